/* norm.cu: group norm and layer norm. A group norm is three kernels: sums over chunks of rows (channels side by side, so
 * that memory is read in whole lines however narrow a group is), statistics, and one pass over the picture. The chunks
 * depend on the shape alone, so results never depend on the device's size. */
#include "typed.cuh"

enum { SUM_THREADS = 128, ROW_LANES = 4, APPLY_THREADS = 256, NORM_WARPS = 4, MOST_CHUNKS = 128 };

static __device__ __host__ __forceinline__ int chunk_rows(int rows) {
    int each = (rows + MOST_CHUNKS - 1) / MOST_CHUNKS;
    return each < 16 ? 16 : each;
}
static __device__ __host__ __forceinline__ int chunks_of(int rows) {
    return (rows + chunk_rows(rows) - 1) / chunk_rows(rows);
}

/* scratch: sums [n][chunks][2][c], then per channel [n][3][c]: mean, factor, offset. */
size_t gpu_group_norm_scratch(int n, int rows, int c) {
    return (size_t)n * (size_t)c * (2 * (size_t)chunks_of(rows) + 3);
}

/* Sums of x - pivot and its square per channel, where the pivot is the channel's first value: a mean far above the
 * deviation then costs no digits. One thread a channel, ROW_LANES of them share the rows. */
__global__ void __launch_bounds__(SUM_THREADS) group_sums(int rows, int c, gpu_array x, float *sums) {
    enum { CHANNELS = SUM_THREADS / ROW_LANES };
    float(*part)[2][CHANNELS] = (float(*)[2][CHANNELS])block_shared();
    int lane = (int)threadIdx.x % CHANNELS, row_lane = (int)threadIdx.x / CHANNELS;
    int channel = (int)blockIdx.x * CHANNELS + lane, each = chunk_rows(rows), chunk = (int)blockIdx.y;
    int n = (int)blockIdx.z, first = chunk * each, last = first + each < rows ? first + each : rows;
    float sum = 0, square = 0;
    if (channel < c) {
        size_t start = (size_t)n * (size_t)rows * (size_t)c + (size_t)channel;
        float pivot, v;
        load<1>(x, start, &pivot);
        for (int row = first + row_lane; row < last; row += ROW_LANES) {
            load<1>(x, start + (size_t)row * (size_t)c, &v);
            v -= pivot;
            sum += v;
            square = fmaf(v, v, square);
        }
    }
    part[row_lane][0][lane] = sum;
    part[row_lane][1][lane] = square;
    __syncthreads();
    if (row_lane || channel >= c) return;
    for (int i = 1; i < ROW_LANES; i++) sum += part[i][0][lane], square += part[i][1][lane];
    float *to = sums + ((size_t)n * gridDim.y + (size_t)chunk) * 2 * (size_t)c;
    to[channel] = sum;
    to[c + channel] = square;
}

static __device__ __forceinline__ double lanes_sum(double x, double *shared, int lane) {
    shared[lane] = x;
    __syncwarp();
    double sum = 0;
    for (int i = 0; i < 32; i++) sum += shared[i];
    __syncwarp();
    return sum;
}

static __device__ __forceinline__ double shift_of(const gpu_array &shift, size_t at) {
    float v = 0;
    if (shift.data) load<1>(shift, at, &v);
    return (double)v;
}

/* One warp a group. What the shift adds to x it takes from the mean, so the pass over the picture knows no shift; what
 * rounding took from the mean goes into the offset. */
__global__ void __launch_bounds__(32)
    group_statistics(int rows, int c, int groups, gpu_array x, const float *sums, gpu_array shift, const float *gamma,
                     const float *beta, float eps, float *channels) {
    double *shared = (double *)block_shared();
    int lane = (int)threadIdx.x, width = c / groups, first = (int)blockIdx.x * width, n = (int)blockIdx.y;
    int chunks = chunks_of(rows);
    const float *from = sums + (size_t)n * (size_t)chunks * 2 * (size_t)c;
    size_t start = (size_t)n * (size_t)rows * (size_t)c, at = (size_t)n * (size_t)c;
    double mean = 0, spread = 0;
    for (int pass = 0; pass < 2; pass++) {
        double total = 0;
        for (int i = first + lane; i < first + width; i += 32) {
            double sum = 0, square = 0;
            float pivot;
            for (int chunk = 0; chunk < chunks; chunk++) {
                sum += (double)from[(size_t)chunk * 2 * (size_t)c + (size_t)i];
                square += (double)from[((size_t)chunk * 2 + 1) * (size_t)c + (size_t)i];
            }
            load<1>(x, start + (size_t)i, &pivot);
            double here = (double)pivot + sum / rows + shift_of(shift, at + (size_t)i);
            total += pass ? square - sum * sum / rows + rows * (here - mean) * (here - mean) : here;
        }
        total = lanes_sum(total, shared, lane);
        if (pass)
            spread = total / ((double)rows * width);
        else
            mean = total / width;
    }
    double scale = 1.0 / sqrt((spread > 0 ? spread : 0) + (double)eps);
    float *to = channels + (size_t)n * 3 * (size_t)c;
    for (int i = first + lane; i < first + width; i += 32) {
        double centre = mean - shift_of(shift, at + (size_t)i), factor = scale * (double)gamma[i];
        to[i] = (float)centre;
        to[c + i] = (float)factor;
        to[2 * c + i] = (float)((double)beta[i] + ((double)(float)centre - centre) * factor);
    }
}

template <int W>
__global__ void __launch_bounds__(APPLY_THREADS)
    group_apply(size_t count, size_t element, int c, gpu_array y, gpu_array x, const float *channels, bool silu) {
    size_t at = ((size_t)blockIdx.x * APPLY_THREADS + threadIdx.x) * W;
    if (at >= count) return;
    int channel = (int)(at % (size_t)c);
    const float *mean = channels + at / element * 3 * (size_t)c + channel, *factor = mean + c, *offset = factor + c;
    float v[W];
    load<W>(x, at, v);
    for (int i = 0; i < W; i++) {
        v[i] = fmaf(v[i] - mean[i], factor[i], offset[i]);
        if (silu) v[i] = activation(v[i], GPU_ACT_SILU);
    }
    store<W>(y, at, v);
}

static cudaError_t apply_group_norm(cudaStream_t s, const gpu_group_norm_job *job, const float *channels) {
    int c = job->c;
    size_t element = (size_t)job->rows * (size_t)c, count = (size_t)job->n * element;
    if (c % 8 == 0 && fits_vectors(job->x.data) && fits_vectors(job->y.data))
        return launch_kernel("group_apply<8>", group_apply<8>, dim3(blocks_of(count / 8, APPLY_THREADS)),
                             dim3(APPLY_THREADS), 0, s, count, element, c, job->y, job->x, channels, job->silu);
    return launch_kernel("group_apply<1>", group_apply<1>, dim3(blocks_of(count, APPLY_THREADS)), dim3(APPLY_THREADS),
                         0, s, count, element, c, job->y, job->x, channels, job->silu);
}

cudaError_t gpu_group_norm(cudaStream_t s, const gpu_group_norm_job *job) {
    int chunks = chunks_of(job->rows), c = job->c;
    float *sums = job->scratch, *channels = sums + (size_t)job->n * (size_t)chunks * 2 * (size_t)c;
    dim3 grid(blocks_of((size_t)c, SUM_THREADS / ROW_LANES), (unsigned)chunks, (unsigned)job->n);
    cudaError_t error = launch_kernel("group_sums", group_sums, grid, dim3(SUM_THREADS),
                                      2 * SUM_THREADS * sizeof(float), s, job->rows, c, job->x, sums);
    if (error != cudaSuccess) return error;
    error = launch_kernel("group_statistics", group_statistics, dim3((unsigned)job->groups, (unsigned)job->n), dim3(32),
                          32 * sizeof(double), s, job->rows, c, job->groups, job->x, sums, job->shift, job->gamma,
                          job->beta, job->eps, channels);
    if (error != cudaSuccess) return error;
    return apply_group_norm(s, job, channels);
}

/* ---- Group norm of an image that comes in strips ----
 *
 * Sums of strips must add up, so there is no pivot: they are kept in f64 from the first value on. */

static __device__ __host__ __forceinline__ int strip_chunks(size_t pixels) {
    size_t chunks = (pixels + 63) / 64;
    return chunks < 256 ? (int)chunks : 256;
}
size_t gpu_group_sums_scratch(size_t pixels, int c) { return 2 * (size_t)strip_chunks(pixels) * (size_t)c; }

__global__ void __launch_bounds__(SUM_THREADS) strip_sums(size_t pixels, int c, gpu_array x, double *part) {
    int channel = (int)(blockIdx.x * SUM_THREADS + threadIdx.x), chunks = strip_chunks(pixels);
    if (channel >= c) return;
    double sum = 0, square = 0;
    for (size_t i = blockIdx.y; i < pixels; i += (size_t)chunks) {
        float v;
        load<1>(x, i * (size_t)c + (size_t)channel, &v);
        sum += (double)v;
        square += (double)v * (double)v;
    }
    part[2 * (size_t)blockIdx.y * (size_t)c + (size_t)channel] = sum;
    part[(2 * (size_t)blockIdx.y + 1) * (size_t)c + (size_t)channel] = square;
}

/* sums [2][c] become, or grow by, the sums of all chunks, in their order. */
__global__ void __launch_bounds__(SUM_THREADS)
    strip_add(int c, int chunks, const double *part, double *sums, bool first) {
    int at = (int)(blockIdx.x * SUM_THREADS + threadIdx.x);
    if (at >= 2 * c) return;
    double sum = first ? 0 : sums[at];
    for (int i = 0; i < chunks; i++) sum += part[2 * (size_t)i * (size_t)c + (size_t)at];
    sums[at] = sum;
}

__global__ void __launch_bounds__(32)
    strip_statistics(double pixels, int c, int groups, const double *sums, const float *gamma, const float *beta,
                     float eps, float *channels) {
    double *shared = (double *)block_shared();
    int lane = (int)threadIdx.x, width = c / groups, first = (int)blockIdx.x * width;
    double sum = 0, square = 0;
    for (int i = first + lane; i < first + width; i += 32) sum += sums[i], square += sums[c + i];
    double mean = lanes_sum(sum, shared, lane) / (pixels * width);
    double spread = lanes_sum(square, shared, lane) / (pixels * width) - mean * mean;
    double scale = 1.0 / sqrt((spread > 0 ? spread : 0) + (double)eps);
    for (int i = first + lane; i < first + width; i += 32) {
        double factor = scale * (double)gamma[i];
        channels[i] = (float)mean;
        channels[c + i] = (float)factor;
        channels[2 * c + i] = (float)((double)beta[i] + ((double)(float)mean - mean) * factor);
    }
}

cudaError_t gpu_group_sums(cudaStream_t s, size_t pixels, int c, gpu_array x, double *sums, bool first,
                           double *scratch) {
    int chunks = strip_chunks(pixels);
    dim3 grid(blocks_of((size_t)c, SUM_THREADS), (unsigned)chunks);
    cudaError_t error = launch_kernel("strip_sums", strip_sums, grid, dim3(SUM_THREADS), 0, s, pixels, c, x, scratch);
    if (error != cudaSuccess) return error;
    return launch_kernel("strip_add", strip_add, dim3(blocks_of(2 * (size_t)c, SUM_THREADS)), dim3(SUM_THREADS), 0, s,
                         c, chunks, scratch, sums, first);
}

cudaError_t gpu_group_norm_by(cudaStream_t s, const gpu_group_norm_job *job, const double *sums, double pixels) {
    cudaError_t error =
        launch_kernel("strip_statistics", strip_statistics, dim3((unsigned)job->groups), dim3(32), 32 * sizeof(double),
                      s, pixels, job->c, job->groups, sums, job->gamma, job->beta, job->eps, job->scratch);
    return error == cudaSuccess ? apply_group_norm(s, job, job->scratch) : error;
}

/* ---- Layer norm ---- */

/* One warp a row, which is read from memory once and then from the cache: mean, spread, result. All relative to the row's
 * first value, as in a group norm. */
template <int W>
__global__ void __launch_bounds__(NORM_WARPS * 32)
    layer_norm(size_t rows, int c, gpu_array y, gpu_array x, const float *gamma, const float *beta, float eps) {
    int lane = (int)threadIdx.x % 32;
    size_t row = (size_t)blockIdx.x * NORM_WARPS + threadIdx.x / 32;
    if (row >= rows) return;
    float v[W], pivot, mean = 0, spread = 0;
    load<1>(x, row * (size_t)c, &pivot);
    __syncwarp(); /* y may be x */
    for (int i = lane * W; i < c; i += 32 * W) {
        load<W>(x, row * (size_t)c + (size_t)i, v);
        for (int j = 0; j < W; j++) mean += v[j] - pivot;
    }
    mean = warp_sum(mean) / (float)c;
    for (int i = lane * W; i < c; i += 32 * W) {
        load<W>(x, row * (size_t)c + (size_t)i, v);
        for (int j = 0; j < W; j++) {
            float apart = v[j] - pivot - mean;
            spread = fmaf(apart, apart, spread);
        }
    }
    float scale = 1.0f / sqrtf(warp_sum(spread) / (float)c + eps);
    for (int i = lane * W; i < c; i += 32 * W) {
        load<W>(x, row * (size_t)c + (size_t)i, v);
        for (int j = 0; j < W; j++) v[j] = fmaf((v[j] - pivot - mean) * scale, gamma[i + j], beta[i + j]);
        store<W>(y, row * (size_t)c + (size_t)i, v);
    }
}

cudaError_t gpu_layer_norm(cudaStream_t s, size_t rows, int c, gpu_array y, gpu_array x, const float *gamma,
                           const float *beta, float eps) {
    dim3 grid(blocks_of(rows, NORM_WARPS)), block(NORM_WARPS * 32);
    if (c % 8 == 0 && fits_vectors(x.data) && fits_vectors(y.data))
        return launch_kernel("layer_norm<8>", layer_norm<8>, grid, block, 0, s, rows, c, y, x, gamma, beta, eps);
    return launch_kernel("layer_norm<1>", layer_norm<1>, grid, block, 0, s, rows, c, y, x, gamma, beta, eps);
}
