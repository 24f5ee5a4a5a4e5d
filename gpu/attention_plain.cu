/* attention_plain.cu: attention in f32 throughout, for the reference precision: any head size up to 512. A warp owns four
 * queries; a lane scores one of 32 keys for each of them, and holds every 32nd channel of the results. */
#include "attention.cuh"

enum { PLAIN_QUERIES = 4, PLAIN_KEYS = 32 };
static_assert(ATTENTION_WARPS * PLAIN_QUERIES == GPU_PLAIN_ROWS, "a tile is a block's queries");

static __device__ __forceinline__ void fetch_plain(float *to, int pitch, const head_rows<const float> &from, int rows) {
    for (int i = (int)threadIdx.x; i < rows * from.depth; i += ATTENTION_THREADS) {
        int row = i / from.depth, column = i % from.depth;
        to[row * pitch + column] = row < from.rows ? row_of(from, row)[column] : 0.0f;
    }
}

static __device__ __forceinline__ float lanes_max(float x) {
    for (int mask = 16; mask; mask >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, mask));
    return x;
}
static __device__ __forceinline__ float lanes_sum(float x) {
    for (int mask = 16; mask; mask >>= 1) x += __shfl_xor_sync(0xffffffffu, x, mask);
    return x;
}

/* CHANNELS: of a lane. Keys and values take turns in one tile of shared memory. */
template <int CHANNELS>
__global__ void __launch_bounds__(ATTENTION_THREADS, CHANNELS > 5 ? 2 : 4)
    plain(const __grid_constant__ gpu_attention_job job) {
    int depth = job.depth, pitch = depth | 1, head = (int)blockIdx.y, lane = (int)threadIdx.x % 32;
    int warp_row = (int)threadIdx.x / 32 * PLAIN_QUERIES;
    float *q = (float *)block_shared(), *tile_of_keys = q + GPU_PLAIN_ROWS * pitch;
    float *p = tile_of_keys + PLAIN_KEYS * pitch + warp_row * PLAIN_KEYS;
    const gpu_element &e = job.element[blockIdx.z];
    gpu_tile tile;
    if (!find_tile(job, e.plan, (int)blockIdx.x, &tile)) return;
    fetch_plain(q, pitch, tile_rows<const float>(job, e.plan, tile, (const float *)job.q, (int)blockIdx.z, head),
                GPU_PLAIN_ROWS);
    q += warp_row * pitch;
    float mixed[PLAIN_QUERIES][CHANNELS] = {};
    for (int line = 0; line < tile.lines; line++) {
        const gpu_text &text = text_of(job, e.first_text + line_of(e.plan, tile, line));
        float out[PLAIN_QUERIES][CHANNELS] = {}, top[PLAIN_QUERIES], sum[PLAIN_QUERIES] = {};
        for (int i = 0; i < PLAIN_QUERIES; i++) top[i] = -INFINITY;
        for (int first = 0; first < text.keys; first += PLAIN_KEYS) {
            int here = text.keys - first < PLAIN_KEYS ? text.keys - first : PLAIN_KEYS;
            __syncthreads();
            fetch_plain(tile_of_keys, pitch, text_rows<float>(job, text.k, first, here, head), PLAIN_KEYS);
            __syncthreads();
            float score[PLAIN_QUERIES] = {}, shrink[PLAIN_QUERIES];
            for (int d = 0; d < depth; d++)
                for (int i = 0; i < PLAIN_QUERIES; i++)
                    score[i] = fmaf(q[i * pitch + d], tile_of_keys[lane * pitch + d], score[i]);
            for (int i = 0; i < PLAIN_QUERIES; i++) {
                bool seen = lane < here && !(job.causal && first + lane > tile.first + warp_row + i);
                float s = seen ? score[i] * job.scale : -INFINITY, before = top[i];
                top[i] = fmaxf(before, lanes_max(s));
                float mine = seen ? expf(s - top[i]) : 0.0f;
                shrink[i] = before == -INFINITY ? 0.0f : expf(before - top[i]);
                sum[i] = sum[i] * shrink[i] + lanes_sum(mine);
                p[i * PLAIN_KEYS + lane] = mine;
            }
            __syncthreads();
            fetch_plain(tile_of_keys, pitch, text_rows<float>(job, text.v, first, here, head), PLAIN_KEYS);
            __syncthreads();
#pragma unroll
            for (int j = 0; j < CHANNELS; j++) {
                int channel = lane + 32 * j < depth ? lane + 32 * j : 0; /* what is past the end is never written */
#pragma unroll
                for (int i = 0; i < PLAIN_QUERIES; i++) {
                    float value = out[i][j] * shrink[i];
                    for (int key = 0; key < here; key++)
                        value = fmaf(p[i * PLAIN_KEYS + key], tile_of_keys[key * pitch + channel], value);
                    out[i][j] = value;
                }
            }
        }
        for (int i = 0; i < PLAIN_QUERIES; i++) {
            float weight = weight_of(e.plan, tile, line, warp_row + i) / sum[i];
            for (int j = 0; j < CHANNELS; j++) mixed[i][j] = fmaf(out[i][j], weight, mixed[i][j]);
        }
    }
    head_rows<float> to = tile_rows<float>(job, e.plan, tile, (float *)job.y, (int)blockIdx.z, head);
    for (int i = 0; i < PLAIN_QUERIES; i++)
        for (int j = 0; j < CHANNELS; j++)
            if (warp_row + i < tile.count && lane + 32 * j < depth)
                row_of(to, warp_row + i)[lane + 32 * j] = mixed[i][j];
}

static constexpr size_t plain_shared(int depth) {
    size_t floats = (size_t)(GPU_PLAIN_ROWS + PLAIN_KEYS) * (size_t)(depth | 1) + GPU_PLAIN_ROWS * PLAIN_KEYS;
    return floats * sizeof(float);
}
static_assert(plain_shared(GPU_MOST_DEPTH) <= 99 * 1024, "a block has room for it");

template <int CHANNELS> static cudaError_t run_plain(cudaStream_t s, const gpu_attention_job *job) {
    dim3 grid((unsigned)job->most_tiles, (unsigned)job->heads, (unsigned)job->elements);
    shared_size shared(plain_shared(job->depth), plain_shared(32 * CHANNELS));
    return launch_kernel("plain", plain<CHANNELS>, grid, dim3(ATTENTION_THREADS), shared, s, *job);
}

cudaError_t gpu_plain_attention(cudaStream_t s, const gpu_attention_job *job) {
    if (job->depth <= 32) return run_plain<1>(s, job);
    if (job->depth <= 96) return run_plain<3>(s, job);
    if (job->depth <= 160) return run_plain<5>(s, job);
    return run_plain<16>(s, job);
}
