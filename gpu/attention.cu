/* attention.cu: attention on tensor cores for heads of up to 160 values. Head sizes in between are padded with zeroes to
 * the next size that is built; 40 (as 48), 64, 80 and 160 are those of Stable Diffusion. */
#include "attention.cuh"

/* ---- Coupled attention ----
 *
 * A tile of queries is read once and held in registers. The lines that touch it come by one after the other: their keys
 * and values travel into shared memory while the line before is computed, softmax is per line, in registers, its weights
 * times the mask go into one sum, which is written once. A text of up to KEYS tokens is scored once; longer ones twice:
 * first for the largest score and the sum, then for the values. KEYS is what two stages of keys and values leave room for
 * in the 99 KiB that a block may have where it is least: 80, so that a text's 77 are one piece, but 64 of 160 values. */

template <int D> struct coupled_keys {
    enum { KEYS = D > 128 ? 64 : 80 };
};

/* What is computed next: part of a line's keys, for statistics only or for good. */
struct coupled_item {
    int line, first, keys, text_keys;
    bool statistics;
};

template <int KEYS>
static __device__ __forceinline__ bool first_item(const gpu_attention_job &job, const gpu_element &e,
                                                  const gpu_tile &tile, int line, coupled_item *item) {
    if (line >= tile.lines) return false;
    int keys = text_of(job, e.first_text + line_of(e.plan, tile, line)).keys;
    *item = coupled_item{line, 0, keys < KEYS ? keys : KEYS, keys, keys > KEYS};
    return true;
}
template <int KEYS>
static __device__ __forceinline__ bool next_item(const gpu_attention_job &job, const gpu_element &e,
                                                 const gpu_tile &tile, coupled_item *item) {
    int next = item->first + KEYS, left = item->text_keys - next;
    if (left > 0) {
        item->first = next;
        item->keys = left < KEYS ? left : KEYS;
        return true;
    }
    if (!item->statistics) return first_item<KEYS>(job, e, tile, item->line + 1, item);
    item->statistics = false;
    item->first = 0;
    item->keys = KEYS;
    return true;
}

template <class T, int D, int KEYS>
static __device__ __forceinline__ void fetch_item(const gpu_attention_job &job, const gpu_element &e,
                                                  const gpu_tile &tile, const coupled_item &item, int head, T *k) {
    const gpu_text &text = text_of(job, e.first_text + line_of(e.plan, tile, item.line));
    fetch_rows<T, KEYS, D>(k, text_rows<T>(job, text.k, item.first, item.keys, head), 0);
    if (!item.statistics)
        fetch_rows<T, KEYS, D>(k + KEYS * (D + 8), text_rows<T>(job, text.v, item.first, item.keys, head), 0);
}

template <class T, int D, int M>
__global__ void __launch_bounds__(ATTENTION_THREADS) coupled(const __grid_constant__ gpu_attention_job job) {
    enum { KEYS = coupled_keys<D>::KEYS, PITCH = D + 8, STAGE = 2 * KEYS * PITCH, ROWS = ATTENTION_WARPS * M * 16 };
    T *shared = (T *)block_shared();
    const gpu_element &e = job.element[blockIdx.z];
    int head = (int)blockIdx.y, warp_row = (int)threadIdx.x / 32 * M * 16, lane = (int)threadIdx.x % 32;
    gpu_tile tile;
    if (!find_tile(job, e.plan, (int)blockIdx.x, &tile)) return;

    coupled_item item, ahead;
    bool more = first_item<KEYS>(job, e, tile, 0, &item);
    fetch_rows<T, ROWS, D>(shared + STAGE,
                           tile_rows<const T>(job, e.plan, tile, (const T *)job.q, (int)blockIdx.z, head), 0);
    if (more) fetch_item<T, D, KEYS>(job, e, tile, item, head, shared);
    copy_commit();
    copy_wait<0>();
    __syncthreads();
    uint32_t q[M][D / 16][4];
    float out[M][D / 8][4], top[M][2], sum[M][2];
#pragma unroll
    for (int m = 0; m < M; m++) {
        left_tiles<T, D>(q[m], shared + STAGE + (warp_row + m * 16) * PITCH);
        clear_tiles<D / 8>(out[m]);
    }
    __syncthreads();

    float log2_scale = job.scale * GPU_LOG2_E;
    for (int stage = 0; more; stage ^= 1) {
        ahead = item;
        bool goes_on = next_item<KEYS>(job, e, tile, &ahead);
        if (goes_on) fetch_item<T, D, KEYS>(job, e, tile, ahead, head, shared + (stage ^ 1) * STAGE);
        copy_commit();
        T *k = shared + stage * STAGE, *v = k + KEYS * PITCH;
        bool whole = item.text_keys <= KEYS, start = item.first == 0;
#pragma unroll
        for (int m = 0; m < M; m++) {
            float score[KEYS / 8][4], part[2], before[2];
            clear_tiles<KEYS / 8>(score);
            score_keys<T, D, KEYS>(score, q[m], k, item.keys);
            hide_keys<KEYS>(score, item.keys, 0, 0, false);
            if (whole || item.statistics) {
                for (int i = 0; i < 2; i++) {
                    before[i] = whole || start ? -INFINITY : top[m][i];
                    top[m][i] = before[i];
                }
                top_scores<KEYS>(top[m], score);
            }
            exponentials<KEYS>(score, top[m], log2_scale, part);
            if (whole || item.statistics)
                for (int i = 0; i < 2; i++) {
                    float kept =
                        before[i] == -INFINITY ? 0.0f : sum[m][i] * fast_exp2((before[i] - top[m][i]) * log2_scale);
                    sum[m][i] = kept + row_sum(part[i]);
                }
            if (item.statistics) continue;
            for (int i = 0; i < 2; i++) {
                float weight = weight_of(e.plan, tile, item.line, warp_row + m * 16 + lane / 4 + i * 8) / sum[m][i];
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) score[n][2 * i] *= weight, score[n][2 * i + 1] *= weight;
            }
            mix_values<T, D, KEYS>(out[m], score, v, item.keys);
        }
        copy_wait<0>();
        __syncthreads();
        item = ahead;
        more = goes_on;
    }
    head_rows<T> to = tile_rows<T>(job, e.plan, tile, (T *)job.y, (int)blockIdx.z, head);
#pragma unroll
    for (int m = 0; m < M; m++)
        write_rows<T, D>(to, warp_row + m * 16, 0, out[m], shared + (int)threadIdx.x / 32 * 16 * PITCH);
}

/* ---- Self-attention ----
 *
 * One pass over the keys with a running maximum; the sum so far is scaled down whenever it grows. */

enum { SELF_KEYS = 64 };

template <class T, int D, int M> __global__ void __launch_bounds__(ATTENTION_THREADS) self(const gpu_self_job job) {
    enum { PITCH = D + 8, STAGE = 2 * SELF_KEYS * PITCH, ROWS = ATTENTION_WARPS * M * 16 };
    T *shared = (T *)block_shared();
    int head = (int)blockIdx.y, warp_row = (int)threadIdx.x / 32 * M * 16, first_query = (int)blockIdx.x * ROWS;
    size_t pitch = (size_t)job.heads * (size_t)job.depth, offset = (size_t)head * (size_t)job.depth;
    size_t query_at = ((size_t)blockIdx.z * (size_t)job.queries + (size_t)first_query) * pitch + offset;
    size_t key_at = (size_t)blockIdx.z * (size_t)job.keys * pitch + offset;
    int queries = job.queries - first_query < ROWS ? job.queries - first_query : ROWS, keys = job.keys;
    if (job.causal && first_query + ROWS < keys) keys = first_query + ROWS;
    auto fetch = [&](int first, T *k) {
        int rows = keys - first < SELF_KEYS ? keys - first : SELF_KEYS;
        size_t at = key_at + (size_t)first * pitch;
        fetch_rows<T, SELF_KEYS, D>(k, head_rows<const T>{(const T *)job.k + at, pitch, 0, rows, job.depth}, 0);
        fetch_rows<T, SELF_KEYS, D>(k + SELF_KEYS * PITCH,
                                    head_rows<const T>{(const T *)job.v + at, pitch, 0, rows, job.depth}, 0);
    };
    fetch_rows<T, ROWS, D>(shared + STAGE,
                           head_rows<const T>{(const T *)job.q + query_at, pitch, 0, queries, job.depth}, 0);
    fetch(0, shared);
    copy_commit();
    copy_wait<0>();
    __syncthreads();
    uint32_t q[M][D / 16][4];
    float out[M][D / 8][4], top[M][2], sum[M][2];
#pragma unroll
    for (int m = 0; m < M; m++) {
        left_tiles<T, D>(q[m], shared + STAGE + (warp_row + m * 16) * PITCH);
        clear_tiles<D / 8>(out[m]);
        for (int i = 0; i < 2; i++) top[m][i] = -INFINITY, sum[m][i] = 0;
    }
    __syncthreads();

    float log2_scale = job.scale * GPU_LOG2_E;
    for (int first = 0, stage = 0; first < keys; first += SELF_KEYS, stage ^= 1) {
        if (first + SELF_KEYS < keys) fetch(first + SELF_KEYS, shared + (stage ^ 1) * STAGE);
        copy_commit();
        T *k = shared + stage * STAGE, *v = k + SELF_KEYS * PITCH;
        int here = keys - first < SELF_KEYS ? keys - first : SELF_KEYS;
#pragma unroll
        for (int m = 0; m < M; m++) {
            float score[SELF_KEYS / 8][4], part[2], shrink[2];
            clear_tiles<SELF_KEYS / 8>(score);
            score_keys<T, D, SELF_KEYS>(score, q[m], k, here);
            if (here < SELF_KEYS || job.causal)
                hide_keys<SELF_KEYS>(score, here, first_query + warp_row + m * 16, first, job.causal);
            for (int i = 0; i < 2; i++) shrink[i] = top[m][i];
            top_scores<SELF_KEYS>(top[m], score);
            exponentials<SELF_KEYS>(score, top[m], log2_scale, part);
            for (int i = 0; i < 2; i++) {
                shrink[i] = shrink[i] == -INFINITY ? 0.0f : fast_exp2((shrink[i] - top[m][i]) * log2_scale);
                sum[m][i] = sum[m][i] * shrink[i] + part[i];
            }
#pragma unroll
            for (int n = 0; n < D / 8; n++)
                for (int i = 0; i < 4; i++) out[m][n][i] *= shrink[i / 2];
            mix_values<T, D, SELF_KEYS>(out[m], score, v, here);
        }
        copy_wait<0>();
        __syncthreads();
    }
    head_rows<T> to = {(T *)job.y + query_at, pitch, 0, queries, job.depth};
#pragma unroll
    for (int m = 0; m < M; m++) {
        for (int i = 0; i < 2; i++) sum[m][i] = 1.0f / row_sum(sum[m][i]);
#pragma unroll
        for (int n = 0; n < D / 8; n++)
            for (int i = 0; i < 4; i++) out[m][n][i] *= sum[m][i / 2];
        write_rows<T, D>(to, warp_row + m * 16, 0, out[m], shared + (int)threadIdx.x / 32 * 16 * PITCH);
    }
}

/* ---- Which kernel ---- */

template <class T, int D, int M> static cudaError_t run_coupled(cudaStream_t s, const gpu_attention_job *job) {
    dim3 grid((unsigned)job->most_tiles, (unsigned)job->heads, (unsigned)job->elements);
    size_t shared = 4 * coupled_keys<D>::KEYS * (D + 8) * sizeof(T);
    static_assert(4 * coupled_keys<D>::KEYS * (D + 8) * sizeof(T) <= 99 * 1024, "a block has room for it");
    return launch_kernel("coupled", coupled<T, D, M>, grid, dim3(ATTENTION_THREADS), shared, s, *job);
}
template <class T, int D, int M> static cudaError_t run_self(cudaStream_t s, const gpu_self_job *job) {
    dim3 grid((unsigned)((job->queries + ATTENTION_WARPS * M * 16 - 1) / (ATTENTION_WARPS * M * 16)),
              (unsigned)job->heads, (unsigned)job->n);
    return launch_kernel("self", self<T, D, M>, grid, dim3(ATTENTION_THREADS), 4 * SELF_KEYS * (D + 8) * sizeof(T), s,
                         *job);
}

#define BY_DEPTH(run)                                                                                                  \
    template <class T, class Job> static cudaError_t run##_by_depth(cudaStream_t s, const Job *job) {                  \
        if (job->depth <= 16) return run<T, 16, 2>(s, job);                                                            \
        if (job->depth <= 32) return run<T, 32, 2>(s, job);                                                            \
        if (job->depth <= 48) return run<T, 48, 2>(s, job);                                                            \
        if (job->depth <= 64) return run<T, 64, 2>(s, job);                                                            \
        if (job->depth <= 80) return run<T, 80, 2>(s, job);                                                            \
        if (job->depth <= 128) return run<T, 128, 1>(s, job);                                                          \
        return run<T, 160, 1>(s, job);                                                                                 \
    }
BY_DEPTH(run_coupled)
BY_DEPTH(run_self)

int gpu_tile_rows(int type, int depth) {
    if (type == GPU_F32) return GPU_PLAIN_ROWS;
    return depth <= 80 ? 2 * 16 * ATTENTION_WARPS : 16 * ATTENTION_WARPS;
}

cudaError_t gpu_coupled_attention(cudaStream_t s, const gpu_attention_job *job) {
    if (job->type == GPU_F32) return gpu_plain_attention(s, job);
    if (job->depth > GPU_TENSOR_DEPTH) return gpu_wide_attention(s, job);
    return job->type == GPU_F16 ? run_coupled_by_depth<half_t>(s, job) : run_coupled_by_depth<bfloat_t>(s, job);
}

/* The kernels for other types and sizes know texts only: each element of the batch is one. */
static cudaError_t self_as_texts(cudaStream_t s, const gpu_self_job *job) {
    size_t row = (size_t)job->heads * (size_t)job->depth * (job->type == GPU_F32 ? 4 : 2);
    int rows = gpu_tile_rows(job->type, job->depth);
    for (int first = 0; first < job->n; first += GPU_INLINE_ELEMENTS) {
        int count = job->n - first < GPU_INLINE_ELEMENTS ? job->n - first : GPU_INLINE_ELEMENTS;
        gpu_attention_job texts = {};
        texts.type = job->type, texts.elements = count, texts.queries = job->queries;
        texts.heads = job->heads, texts.depth = job->depth, texts.scale = job->scale, texts.causal = job->causal;
        texts.tile_rows = rows, texts.most_tiles = (job->queries + rows - 1) / rows;
        texts.y = (char *)job->y + (size_t)first * (size_t)job->queries * row;
        texts.q = (const char *)job->q + (size_t)first * (size_t)job->queries * row;
        for (int i = 0; i < count; i++) {
            size_t at = (size_t)(first + i) * (size_t)job->keys * row;
            texts.text[i] = gpu_text{(const char *)job->k + at, (const char *)job->v + at, job->keys};
            texts.element[i].first_text = i;
        }
        cudaError_t error = gpu_coupled_attention(s, &texts);
        if (error != cudaSuccess) return error;
    }
    return cudaSuccess;
}

cudaError_t gpu_self_attention(cudaStream_t s, const gpu_self_job *job) {
    if (job->type == GPU_F32 || job->depth > GPU_TENSOR_DEPTH) return self_as_texts(s, job);
    return job->type == GPU_F16 ? run_self_by_depth<half_t>(s, job) : run_self_by_depth<bfloat_t>(s, job);
}
