/* gemm.cu: convolutions and linear layers as one product: rows are output pixels, columns output channels, and the sum
 * runs over (tap, input channel) of an image that is never unfolded: each row of a tile is read from where its pixel lies.
 *
 * 16-bit types: tiles in shared memory, filled asynchronously STAGES deep, products on tensor cores. f32: the same
 * walk with plain multiply-adds. The order of sums depends on neither tile size nor device. */
#include "typed.cuh"

enum { DEPTH = 32, STAGES = 4 };

/* Where a row of the product reads its input. */
struct pixel {
    const char *image; /* the batch element */
    int y, x;          /* of tap (0, 0); may lie outside */
    bool there;
};

static __device__ __forceinline__ pixel pixel_of(const gpu_conv_job &job, int row, int value_bytes) {
    pixel p;
    int rows = job.n * job.out_h * job.out_w, column = row % job.out_w, line = row / job.out_w % job.out_h;
    size_t element = (size_t)(row / job.out_w / job.out_h) * (size_t)job.h * (size_t)job.w * (size_t)job.in;
    p.there = row < rows;
    p.image = (const char *)job.x + (p.there ? element * (size_t)value_bytes : 0);
    p.y = line * job.stride - job.pad_top;
    p.x = column * job.stride - job.pad_left;
    return p;
}

/* A place in the sum, moved along without divisions. */
struct place {
    int channel, tap_y, tap_x;
};
static __device__ __forceinline__ void move(place &p, const gpu_conv_job &job, int by) {
    p.channel += by;
    while (p.channel >= job.in) {
        p.channel -= job.in;
        if (++p.tap_x == job.kw) p.tap_x = 0, p.tap_y++;
    }
}
/* The value's index in the image, or -1 where it is padding or past the end of the sum. */
static __device__ __forceinline__ long long index_of(const gpu_conv_job &job, const pixel &p, const place &k) {
    int y = p.y + k.tap_y, x = p.x + k.tap_x;
    bool there = p.there && k.tap_y < job.kh && y >= 0 && y < job.h && x >= 0 && x < job.w;
    return there ? ((long long)y * job.w + x) * job.in + k.channel : -1;
}

/* Rows of DEPTH values in chunks of 16 bytes, turned so that eight rows at the same place lie in different banks. */
template <class T> static __device__ __forceinline__ T *chunk_at(T *tile, int row, int chunk) {
    return tile + row * DEPTH + ((chunk ^ (row >> 1 & 3)) << 3);
}

template <class T, int ROWS, int COLUMNS, bool WHOLE>
__global__ void __launch_bounds__(ROWS == 128 ? 256 : 128) conv_tensor(const __grid_constant__ gpu_conv_job job) {
    enum {
        WARPS = ROWS == 128 ? 8 : 4,
        THREADS = WARPS * 32,
        WARP_ROWS = ROWS == 128 ? 64 : 32,
        ACROSS = COLUMNS / 32,
        M = WARP_ROWS / 16,
        N = 4,
        LOAD_ROWS = THREADS / 4,
        A_LOADS = ROWS / LOAD_ROWS,
        B_LOADS = COLUMNS / LOAD_ROWS,
        STAGE = (ROWS + COLUMNS) * DEPTH
    };
    static_assert(WARPS * WARP_ROWS * 32 == ROWS * COLUMNS, "the warps cover the tile");
    T *shared = (T *)block_shared();
    int thread = (int)threadIdx.x, lane = thread % 32, warp = thread / 32;
    int first_row = (int)blockIdx.x * ROWS, first_column = (int)blockIdx.y * COLUMNS;
    int chunk = thread % 4, load_row = thread / 4, sum_length = job.kh * job.kw * job.in;
    int steps = (sum_length + DEPTH - 1) / DEPTH;

    pixel from[A_LOADS];
    for (int i = 0; i < A_LOADS; i++) from[i] = pixel_of(job, first_row + load_row + i * LOAD_ROWS, sizeof(T));
    place k = {0, 0, 0};
    move(k, job, chunk * 8);
    int sum_at = chunk * 8;

    /* Fills the next stage and moves on; past the end it only closes an empty group, so that the waits count alike. */
    auto fill = [&](int step) {
        if (step < steps) {
            T *a = shared + step % STAGES * STAGE, *b = a + ROWS * DEPTH;
            for (int i = 0; i < A_LOADS; i++) {
                T *to = chunk_at(a, load_row + i * LOAD_ROWS, chunk);
                if (WHOLE) {
                    long long at = index_of(job, from[i], k);
                    copy16_async(to, (const T *)from[i].image + (at < 0 ? 0 : at), at >= 0);
                } else {
                    place each = k;
                    for (int j = 0; j < 8; j++, move(each, job, 1)) {
                        long long at = index_of(job, from[i], each);
                        to[j] = at < 0 ? from_float<T>(0) : ((const T *)from[i].image)[at];
                    }
                }
            }
            for (int i = 0; i < B_LOADS; i++) {
                int column = first_column + load_row + i * LOAD_ROWS;
                bool there = column < job.out && sum_at < sum_length; /* the pitch is whole chunks */
                const T *w = (const T *)job.weight + (there ? (size_t)column * job.pitch + (size_t)sum_at : 0);
                copy16_async(chunk_at(b, load_row + i * LOAD_ROWS, chunk), w, there);
            }
            move(k, job, DEPTH);
            sum_at += DEPTH;
        }
        copy_commit();
    };

    float c[M][N][4];
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++)
            for (int i = 0; i < 4; i++) c[m][n][i] = 0;
    int row = warp / ACROSS * WARP_ROWS, column = warp % ACROSS * 32;
    for (int i = 0; i < STAGES - 1; i++) fill(i);
    for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        __syncthreads();
        fill(step + STAGES - 1);
        T *a = shared + step % STAGES * STAGE, *b = a + ROWS * DEPTH;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            uint32_t x[M][4], w[N / 2][4];
#pragma unroll
            for (int m = 0; m < M; m++) load_tiles(x[m], chunk_at(a, row + m * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
            for (int n = 0; n < N / 2; n++)
                load_tiles(w[n], chunk_at(b, column + n * 16 + lane / 16 * 8 + lane % 8, half * 2 + lane / 8 % 2));
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int n = 0; n < N; n++)
                    multiply_add<T>(c[m][n], x[m], w[n / 2][n % 2 * 2], w[n / 2][n % 2 * 2 + 1]);
        }
    }
    copy_wait<0>();
    __syncthreads();

    /* Through shared memory, so that each thread writes eight neighbours. */
    enum { PITCH = 36 };
    float *stage = (float *)block_shared() + warp * 16 * PITCH;
    bool vectors = job.out % 8 == 0;
    int rows = job.n * job.out_h * job.out_w;
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++)
            for (int i = 0; i < 4; i++)
                stage[(lane / 4 + i / 2 * 8) * PITCH + n * 8 + lane % 4 * 2 + i % 2] = c[m][n][i];
        __syncwarp();
        for (int pass = 0; pass < 2; pass++) {
            int local = pass * 8 + lane / 4, to_row = first_row + row + m * 16 + local;
            int to_column = first_column + column + lane % 4 * 8;
            float v[8], add[8];
            for (int i = 0; i < 8; i++) v[i] = stage[local * PITCH + lane % 4 * 8 + i];
            if (to_row >= rows) continue;
            size_t at = (size_t)to_row * (size_t)job.out + (size_t)to_column;
            if (vectors && to_column < job.out) {
                if (job.add.data) load<8>(job.add, at, add);
                for (int i = 0; i < 8; i++) {
                    if (job.bias) v[i] += job.bias[to_column + i];
                    v[i] = activation(v[i], job.act) + (job.add.data ? add[i] : 0.0f);
                }
                store<8>(job.y, at, v);
            }
            for (int i = 0; !vectors && i < 8 && to_column + i < job.out; i++) {
                add[0] = 0;
                if (job.add.data) load<1>(job.add, at + (size_t)i, add);
                v[i] = activation(v[i] + (job.bias ? job.bias[to_column + i] : 0.0f), job.act) + add[0];
                store<1>(job.y, at + (size_t)i, &v[i]);
            }
        }
        __syncwarp();
    }
}

/* f32: 64x64 results a block, 4x4 a thread. */
enum { PLAIN_SIDE = 64, PLAIN_DEPTH = 16, PLAIN_PITCH = PLAIN_SIDE + 4, PLAIN_THREADS = 256 };

__global__ void __launch_bounds__(PLAIN_THREADS) conv_plain(const __grid_constant__ gpu_conv_job job) {
    enum { LOADS = PLAIN_SIDE * PLAIN_DEPTH / PLAIN_THREADS };
    float *a = (float *)block_shared(), *b = a + PLAIN_DEPTH * PLAIN_PITCH;
    int thread = (int)threadIdx.x, depth = thread % PLAIN_DEPTH, load_row = thread / PLAIN_DEPTH;
    int first_row = (int)blockIdx.x * PLAIN_SIDE, first_column = (int)blockIdx.y * PLAIN_SIDE;
    int sum_length = job.kh * job.kw * job.in, rows = job.n * job.out_h * job.out_w;
    pixel from[LOADS];
    for (int i = 0; i < LOADS; i++) from[i] = pixel_of(job, first_row + load_row + i * PLAIN_DEPTH, sizeof(float));
    place k = {0, 0, 0};
    move(k, job, depth);
    float c[4][4] = {};
    int row = thread / 16 * 4, column = thread % 16 * 4;
    for (int start = 0; start < sum_length; start += PLAIN_DEPTH, move(k, job, PLAIN_DEPTH)) {
        for (int i = 0; i < LOADS; i++) {
            long long at = index_of(job, from[i], k);
            int to = first_column + load_row + i * PLAIN_DEPTH;
            bool there = to < job.out && start + depth < sum_length;
            a[depth * PLAIN_PITCH + load_row + i * PLAIN_DEPTH] = at < 0 ? 0.0f : ((const float *)from[i].image)[at];
            b[depth * PLAIN_PITCH + load_row + i * PLAIN_DEPTH] =
                there ? ((const float *)job.weight)[(size_t)to * job.pitch + (size_t)(start + depth)] : 0.0f;
        }
        __syncthreads();
        for (int d = 0; d < PLAIN_DEPTH; d++)
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++)
                    c[i][j] = fmaf(a[d * PLAIN_PITCH + row + i], b[d * PLAIN_PITCH + column + j], c[i][j]);
        __syncthreads();
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            int to_row = first_row + row + i, to_column = first_column + column + j;
            if (to_row >= rows || to_column >= job.out) continue;
            size_t at = (size_t)to_row * (size_t)job.out + (size_t)to_column;
            float add = 0, v = activation(c[i][j] + (job.bias ? job.bias[to_column] : 0.0f), job.act);
            if (job.add.data) load<1>(job.add, at, &add);
            v += add;
            store<1>(job.y, at, &v);
        }
}

template <class T, int ROWS, int COLUMNS, bool WHOLE>
static cudaError_t run_tensor(cudaStream_t s, const gpu_conv_job *job, int rows) {
    dim3 grid(blocks_of((size_t)rows, ROWS), blocks_of((size_t)job->out, COLUMNS));
    size_t shared = (size_t)STAGES * (ROWS + COLUMNS) * DEPTH * sizeof(T);
    return launch_kernel("conv_tensor", conv_tensor<T, ROWS, COLUMNS, WHOLE>, grid, dim3(ROWS == 128 ? 256 : 128),
                         shared, s, *job);
}

/* The large tile reads memory half as often but leaves most of a device idle where the product is small. */
template <class T> static cudaError_t run_tiles(cudaStream_t s, const gpu_conv_job *job, int rows) {
    bool whole = job->in % 8 == 0 && fits_vectors(job->x);
    size_t blocks = (size_t)blocks_of((size_t)rows, 128) * blocks_of((size_t)job->out, 128);
    if (!whole) return run_tensor<T, 64, 64, false>(s, job, rows);
    return blocks >= 96 ? run_tensor<T, 128, 128, true>(s, job, rows) : run_tensor<T, 64, 64, true>(s, job, rows);
}

cudaError_t gpu_conv(cudaStream_t s, const gpu_conv_job *job) {
    int rows = job->n * job->out_h * job->out_w;
    if (job->type == GPU_F16) return run_tiles<half_t>(s, job, rows);
    if (job->type == GPU_BF16) return run_tiles<bfloat_t>(s, job, rows);
    dim3 grid(blocks_of((size_t)rows, PLAIN_SIDE), blocks_of((size_t)job->out, PLAIN_SIDE));
    return launch_kernel("conv_plain", conv_plain, grid, dim3(PLAIN_THREADS),
                         2 * PLAIN_DEPTH * PLAIN_PITCH * sizeof(float), s, *job);
}
