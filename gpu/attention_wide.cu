/* attention_wide.cu: attention on tensor cores for heads of more than 160 values, as the VAE's one head over all channels:
 * a block computes a slice of the result's columns. Scores are summed over pieces of the head that pass through shared
 * memory; they are computed anew for each slice, which costs less than keeping them would. */
#include "attention.cuh"

enum { SLICE = 128, PIECE = 64, WIDE_KEYS = 64, WIDE_ROWS = ATTENTION_WARPS * 16 };

template <class T>
__global__ void __launch_bounds__(ATTENTION_THREADS) wide(const __grid_constant__ gpu_attention_job job, int slices) {
    enum { PITCH = PIECE + 8, STAGE = (WIDE_ROWS + WIDE_KEYS) * PITCH };
    T *shared = (T *)block_shared(), *v = shared + 2 * STAGE;
    int head = (int)blockIdx.y / slices, first_column = (int)blockIdx.y % slices * SLICE;
    int warp_row = (int)threadIdx.x / 32 * 16, lane = (int)threadIdx.x % 32, pieces = (job.depth + PIECE - 1) / PIECE;
    const gpu_element &e = job.element[blockIdx.z];
    gpu_tile tile;
    if (!find_tile(job, e.plan, (int)blockIdx.x, &tile)) return;
    head_rows<const T> queries = tile_rows<const T>(job, e.plan, tile, (const T *)job.q, (int)blockIdx.z, head);
    float mixed[SLICE / 8][4], log2_scale = job.scale * GPU_LOG2_E;
    clear_tiles<SLICE / 8>(mixed);

    for (int line = 0; line < tile.lines; line++) {
        const gpu_text &text = text_of(job, e.first_text + line_of(e.plan, tile, line));
        float out[SLICE / 8][4], top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
        clear_tiles<SLICE / 8>(out);
        for (int first = 0; first < text.keys; first += WIDE_KEYS) {
            int here = text.keys - first < WIDE_KEYS ? text.keys - first : WIDE_KEYS;
            head_rows<const T> keys = text_rows<T>(job, text.k, first, here, head);
            float score[WIDE_KEYS / 8][4], part[2], shrink[2];
            clear_tiles<WIDE_KEYS / 8>(score);
            fetch_rows<T, WIDE_ROWS, PIECE>(shared, queries, 0);
            fetch_rows<T, WIDE_KEYS, PIECE>(shared + WIDE_ROWS * PITCH, keys, 0);
            copy_commit();
            fetch_rows<T, WIDE_KEYS, SLICE>(v, text_rows<T>(job, text.v, first, here, head), first_column);
            for (int piece = 0; piece < pieces; piece++) {
                T *q = shared + piece % 2 * STAGE, *next = shared + (piece + 1) % 2 * STAGE;
                if (piece + 1 < pieces) {
                    fetch_rows<T, WIDE_ROWS, PIECE>(next, queries, (piece + 1) * PIECE);
                    fetch_rows<T, WIDE_KEYS, PIECE>(next + WIDE_ROWS * PITCH, keys, (piece + 1) * PIECE);
                }
                copy_commit();
                copy_wait<1>();
                __syncthreads();
                uint32_t x[PIECE / 16][4];
                left_tiles<T, PIECE>(x, q + warp_row * PITCH);
                score_keys<T, PIECE, WIDE_KEYS>(score, x, q + WIDE_ROWS * PITCH, here);
                __syncthreads();
            }
            copy_wait<0>();
            __syncthreads();
            if (here < WIDE_KEYS || job.causal)
                hide_keys<WIDE_KEYS>(score, here, tile.first + warp_row, first, job.causal);
            for (int i = 0; i < 2; i++) shrink[i] = top[i];
            top_scores<WIDE_KEYS>(top, score);
            exponentials<WIDE_KEYS>(score, top, log2_scale, part);
            for (int i = 0; i < 2; i++) {
                shrink[i] = shrink[i] == -INFINITY ? 0.0f : fast_exp2((shrink[i] - top[i]) * log2_scale);
                sum[i] = sum[i] * shrink[i] + part[i];
            }
#pragma unroll
            for (int n = 0; n < SLICE / 8; n++)
                for (int i = 0; i < 4; i++) out[n][i] *= shrink[i / 2];
            mix_values<T, SLICE, WIDE_KEYS>(out, score, v, here);
            __syncthreads();
        }
        for (int i = 0; i < 2; i++)
            sum[i] = weight_of(e.plan, tile, line, warp_row + lane / 4 + i * 8) / row_sum(sum[i]);
#pragma unroll
        for (int n = 0; n < SLICE / 8; n++)
            for (int i = 0; i < 4; i++) mixed[n][i] = fmaf(out[n][i], sum[i / 2], mixed[n][i]);
    }
    head_rows<T> to = tile_rows<T>(job, e.plan, tile, (T *)job.y, (int)blockIdx.z, head);
    write_rows<T, SLICE>(to, warp_row, first_column, mixed, shared + (int)threadIdx.x / 32 * 16 * (SLICE + 8));
}

cudaError_t gpu_wide_attention(cudaStream_t s, const gpu_attention_job *job) {
    int slices = (job->depth + SLICE - 1) / SLICE;
    dim3 grid((unsigned)job->most_tiles, (unsigned)(job->heads * slices), (unsigned)job->elements);
    size_t shared = (2 * (WIDE_ROWS + WIDE_KEYS) * (PIECE + 8) + WIDE_KEYS * (SLICE + 8)) * 2;
    if (job->type == GPU_F16)
        return launch_kernel("wide", wide<half_t>, grid, dim3(ATTENTION_THREADS), shared, s, *job, slices);
    return launch_kernel("wide", wide<bfloat_t>, grid, dim3(ATTENTION_THREADS), shared, s, *job, slices);
}
