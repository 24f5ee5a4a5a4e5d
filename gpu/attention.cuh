/* attention.cuh: what the attention kernels on tensor cores share. A block of four warps owns a tile of queries of one head;
 * a warp owns 16 rows of it at a time. Rows in shared memory are D values and eight more, which puts eight rows at the
 * same place into different banks. Everything a lane holds of a tile follows multiply_add's layout: two rows, lane / 4
 * and eight below, and of each group of eight columns two, from 2 (lane % 4). */
#ifndef GPU_ATTENTION_CUH
#define GPU_ATTENTION_CUH

#include <cuda_port.h>

#include "kernels.h"

#define GPU_LOG2_E 1.4426950408889634f
enum { ATTENTION_WARPS = 4, ATTENTION_THREADS = ATTENTION_WARPS * 32 };

/* Rows of one head in global memory: row i begins at data + i * pitch, or token[i]'s row. */
template <class T> struct head_rows {
    T *data;
    size_t pitch;
    const int *token; /* or NULL */
    int rows, depth;
};

template <class T> static __device__ __forceinline__ T *row_of(const head_rows<T> &r, int row) {
    return r.data + (size_t)(r.token ? r.token[row] : row) * r.pitch;
}
/* Do chunks of eight values lie on 16 bytes? Heads are neighbours, so the depth decides together with the start. */
template <class T> static __device__ __forceinline__ bool whole_chunks(const head_rows<T> &r) {
    return r.depth % 8 == 0 && (uintptr_t)r.data % 16 == 0 && r.pitch % 8 == 0;
}

/* Puts columns first ... first + D - 1 of ROWS rows into shared memory, zeroes where there is nothing. Asynchronous:
 * to be committed and waited for by the caller. */
template <class T, int ROWS, int D>
static __device__ __forceinline__ void fetch_rows(T *to, const head_rows<const T> &from, int first_column) {
    enum { PITCH = D + 8, CHUNKS = D / 8 };
    if (whole_chunks(from)) {
        for (int i = (int)threadIdx.x; i < ROWS * CHUNKS; i += ATTENTION_THREADS) {
            int row = i / CHUNKS, column = i % CHUNKS * 8;
            bool there = row < from.rows && first_column + column < from.depth;
            copy16_async(to + row * PITCH + column, there ? row_of(from, row) + first_column + column : from.data,
                         there);
        }
        return;
    }
    for (int i = (int)threadIdx.x; i < ROWS * D; i += ATTENTION_THREADS) {
        int row = i / D, column = i % D;
        bool there = row < from.rows && first_column + column < from.depth;
        to[row * PITCH + column] = there ? row_of(from, row)[first_column + column] : from_float<T>(0);
    }
}

/* A warp's 16 rows as the left operand: x[k] for columns 16 k. */
template <class T, int D> static __device__ __forceinline__ void left_tiles(uint32_t x[D / 16][4], const T *rows) {
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < D / 16; k++) load_tiles(x[k], rows + lane % 16 * (D + 8) + k * 16 + lane / 16 * 8);
}

/* score[n] += q k^T for KEYS rows of k; only the first `keys` matter: what lies behind is left alone in steps of 16. */
template <class T, int D, int KEYS>
static __device__ __forceinline__ void score_keys(float score[KEYS / 8][4], const uint32_t q[D / 16][4], const T *k,
                                                  int keys) {
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < KEYS / 16; n++) {
        if (n * 16 >= keys) break;
#pragma unroll
        for (int d = 0; d < D / 16; d++) {
            uint32_t b[4];
            load_tiles(b, k + (n * 16 + lane / 16 * 8 + lane % 8) * (D + 8) + d * 16 + lane / 8 % 2 * 8);
            multiply_add<T>(score[2 * n], q[d], b[0], b[1]);
            multiply_add<T>(score[2 * n + 1], q[d], b[2], b[3]);
        }
    }
}

/* out += p v for rows of v of D columns, p as left operand made of scores. */
template <class T, int D, int KEYS>
static __device__ __forceinline__ void mix_values(float out[D / 8][4], const float p[KEYS / 8][4], const T *v,
                                                  int keys) {
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < KEYS / 16; n++) {
        if (n * 16 >= keys) break;
        uint32_t a[4] = {pack_two<T>(p[2 * n][0], p[2 * n][1]), pack_two<T>(p[2 * n][2], p[2 * n][3]),
                         pack_two<T>(p[2 * n + 1][0], p[2 * n + 1][1]), pack_two<T>(p[2 * n + 1][2], p[2 * n + 1][3])};
#pragma unroll
        for (int d = 0; d < D / 16; d++) {
            uint32_t b[4];
            load_tiles_transposed(b, v + (n * 16 + lane / 8 % 2 * 8 + lane % 8) * (D + 8) + d * 16 + lane / 16 * 8);
            multiply_add<T>(out[2 * d], a, b[0], b[1]);
            multiply_add<T>(out[2 * d + 1], a, b[2], b[3]);
        }
    }
}

template <int N> static __device__ __forceinline__ void clear_tiles(float x[N][4]) {
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) x[n][i] = 0;
}

/* Keys from `keys` on, and for causal attention those after the query, get no part. */
template <int KEYS>
static __device__ __forceinline__ void hide_keys(float score[KEYS / 8][4], int keys, int query_row, int first_key,
                                                 bool causal) {
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int key = n * 8 + lane % 4 * 2 + i % 2, query = query_row + lane / 4 + i / 2 * 8;
            if (key >= keys || (causal && first_key + key > query)) score[n][i] = -INFINITY;
        }
}

/* The largest and the sum over the four lanes that share a row. */
static __device__ __forceinline__ float row_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
static __device__ __forceinline__ float row_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/* The largest score of each of the lane's two rows, `before` included. */
template <int KEYS> static __device__ __forceinline__ void top_scores(float top[2], const float score[KEYS / 8][4]) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float most = top[i];
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++) most = fmaxf(most, fmaxf(score[n][2 * i], score[n][2 * i + 1]));
        top[i] = row_max(most);
    }
}

/* score := exp(scale (score - top)) and this lane's part of its sum. A row without any key yet stays empty. */
template <int KEYS>
static __device__ __forceinline__ void exponentials(float score[KEYS / 8][4], const float top[2], float log2_scale,
                                                    float sum[2]) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
        float offset = top[i] == -INFINITY ? 0.0f : top[i] * log2_scale;
        sum[i] = 0;
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int j = 2 * i; j < 2 * i + 2; j++) {
                score[n][j] = fast_exp2(fmaf(score[n][j], log2_scale, -offset));
                sum[i] += score[n][j];
            }
    }
}

/* Writes a warp's 16 rows of D columns: first into `stage` (16 rows of D + 8), then in whole lines to where they belong. */
template <class T, int D>
static __device__ __forceinline__ void write_rows(const head_rows<T> &to, int first_row, int first_column,
                                                  const float out[D / 8][4], T *stage) {
    enum { PITCH = D + 8, CHUNKS = D / 8 };
    int lane = (int)threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
        uint32_t *at = (uint32_t *)(stage + lane / 4 * PITCH + n * 8 + lane % 4 * 2);
        at[0] = pack_two<T>(out[n][0], out[n][1]);
        at[8 * PITCH / 2] = pack_two<T>(out[n][2], out[n][3]);
    }
    __syncwarp();
    if (whole_chunks(to)) {
        for (int i = lane; i < 16 * CHUNKS; i += 32) {
            int row = i / CHUNKS, column = i % CHUNKS * 8;
            if (first_row + row < to.rows && first_column + column < to.depth)
                *(uint4 *)(row_of(to, first_row + row) + first_column + column) =
                    *(uint4 *)(stage + row * PITCH + column);
        }
    } else {
        for (int i = lane; i < 16 * D; i += 32) {
            int row = i / D, column = i % D;
            if (first_row + row < to.rows && first_column + column < to.depth)
                row_of(to, first_row + row)[first_column + column] = stage[row * PITCH + column];
        }
    }
    __syncwarp();
}

/* Where a tile of an element's queries begins, and which rows it has. */
template <class T>
static __device__ __forceinline__ head_rows<T> tile_rows(const gpu_attention_job &job, const gpu_plan &plan,
                                                         const gpu_tile &tile, T *all, int element, int head) {
    size_t pitch = (size_t)job.heads * (size_t)job.depth;
    head_rows<T> r = {all + (size_t)element * (size_t)job.queries * pitch + (size_t)head * (size_t)job.depth, pitch,
                      plan.token ? plan.token + tile.first : 0, tile.count, job.depth};
    if (!plan.token) r.data += (size_t)tile.first * pitch;
    return r;
}
template <class T>
static __device__ __forceinline__ head_rows<const T> text_rows(const gpu_attention_job &job, const void *data,
                                                               int first, int rows, int head) {
    size_t pitch = (size_t)job.heads * (size_t)job.depth;
    const T *start = (const T *)data + (size_t)first * pitch + (size_t)head * (size_t)job.depth;
    return head_rows<const T>{start, pitch, 0, rows, job.depth};
}
static __device__ __forceinline__ const gpu_text &text_of(const gpu_attention_job &job, int index) {
    return job.more_texts ? job.more_texts[index] : job.text[index];
}
/* A tile of an element: from its plan, or cut from its tokens. False: there is no such tile. */
static __device__ __forceinline__ bool find_tile(const gpu_attention_job &job, const gpu_plan &plan, int number,
                                                 gpu_tile *tile) {
    if (plan.token) {
        if (number >= plan.tiles) return false;
        *tile = plan.tile[number];
        return true;
    }
    int left = job.queries - number * job.tile_rows;
    *tile = gpu_tile{number * job.tile_rows, left < job.tile_rows ? left : job.tile_rows, 0, 1, 0, 0};
    return left > 0;
}
static __device__ __forceinline__ int line_of(const gpu_plan &plan, const gpu_tile &tile, int line) {
    return plan.token ? plan.line[tile.first_line + line] : 0;
}
static __device__ __forceinline__ float weight_of(const gpu_plan &plan, const gpu_tile &tile, int line, int row) {
    if (row >= tile.count) return 0.0f;
    return plan.token ? plan.weight[tile.weight + line * tile.weight_row + row] : 1.0f;
}

#endif
