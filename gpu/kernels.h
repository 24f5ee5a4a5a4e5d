/* kernels.h: the kernels as C sees them: each function puts work into a stream and returns at once. Shapes have been
 * checked by the caller; pointers are to device memory and need only the alignment of their elements, but go faster
 * with 16 bytes. All arithmetic is in f32 (products of 16-bit values on tensor cores, summed in f32). */
#ifndef GPU_KERNELS_H
#define GPU_KERNELS_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gpu_type { GPU_F32, GPU_BF16, GPU_F16 } gpu_type;                                 /* as cpl_dtype */
typedef enum gpu_act { GPU_ACT_NONE, GPU_ACT_SILU, GPU_ACT_GELU, GPU_ACT_QUICK_GELU } gpu_act; /* as cpl_activation */

typedef struct gpu_array { /* values of a type that is known at run time only */
    void *data;
    int type; /* gpu_type */
} gpu_array;

/* ---- elementwise.cu ---- */

/* y = alpha a + beta b; b.data may be NULL; y may be a or b; this is also the conversion between types. */
cudaError_t gpu_scale_add(cudaStream_t s, size_t count, gpu_array y, float alpha, gpu_array a, float beta, gpu_array b);
cudaError_t gpu_activate(cudaStream_t s, size_t count, gpu_array y, gpu_array x, int act);
/* x [rows][2 c], y [rows][c]: value times exact GELU of the gate. */
cudaError_t gpu_geglu(cudaStream_t s, size_t rows, int c, gpu_array y, gpu_array x);
/* Nearest, in integers: y (i, j) is x (i xh / yh, j xw / yw). */
cudaError_t gpu_upsample(cudaStream_t s, int n, int c, gpu_array y, int yh, int yw, gpu_array x, int xh, int xw);
/* y [rows][ca + cb]: a's channels, then b's. */
cudaError_t gpu_concat(cudaStream_t s, size_t rows, gpu_array y, gpu_array a, int ca, gpu_array b, int cb);
/* y [count][c] = table[ids[i]] + positions[i % tokens]; ids are device memory; positions.data may be NULL. */
cudaError_t gpu_embed(cudaStream_t s, int count, int tokens, int c, gpu_array y, gpu_array table, const int *ids,
                      gpu_array positions);
enum { GPU_MOST_TIMES = 64 };
typedef struct gpu_times {
    float t[GPU_MOST_TIMES];
} gpu_times;
/* y [n][c]: cosines, then sines, of t exp(-ln(10000) i / (c / 2)). */
cudaError_t gpu_timestep_embedding(cudaStream_t s, int n, int c, gpu_array y, const gpu_times *times);
/* Weights [out][in][taps] in any type to [out][taps][in] of y's type, each row padded with zeroes to `pitch` values. */
cudaError_t gpu_pack_weight(cudaStream_t s, int out, int in, int taps, size_t pitch, gpu_array y, gpu_array w);

/* ---- norm.cu ---- */

/* Group norm over (rows, a group's channels) of x + shift per batch element; y may be x. shift: [n][c], its data may be NULL.
 * `scratch`: gpu_group_norm_scratch floats. */
typedef struct gpu_group_norm_job {
    int n, rows, c, groups;
    gpu_array y, x, shift;
    const float *gamma, *beta;
    float eps;
    bool silu;
    float *scratch;
} gpu_group_norm_job;
size_t gpu_group_norm_scratch(int n, int rows, int c);
cudaError_t gpu_group_norm(cudaStream_t s, const gpu_group_norm_job *job);
/* Sums of the values and their squares, [2][c], of `pixels` rows, or added to those that are there. `scratch`:
 * gpu_group_sums_scratch values. */
size_t gpu_group_sums_scratch(size_t pixels, int c);
cudaError_t gpu_group_sums(cudaStream_t s, size_t pixels, int c, gpu_array x, double *sums, bool first,
                           double *scratch);
/* Group norm of job->rows pixels by the sums of `pixels` of them; without shift; n is 1; scratch: 3 c floats. */
cudaError_t gpu_group_norm_by(cudaStream_t s, const gpu_group_norm_job *job, const double *sums, double pixels);
cudaError_t gpu_layer_norm(cudaStream_t s, size_t rows, int c, gpu_array y, gpu_array x, const float *gamma,
                           const float *beta, float eps);

/* ---- gemm.cu ---- */

/* y = act(conv(x) + bias) + add as one product: a linear layer is a convolution of 1x1 over n = 1, h = rows, w = 1. x and w
 * are of `type`; y and add are f32 or of `type`; w is [out][kh][kw][in] in rows of `pitch` values (a multiple of 8, zeroes
 * behind the last); bias is f32 or NULL; y may be add. */
typedef struct gpu_conv_job {
    int type, n, h, w, in, out_h, out_w, out, kh, kw, stride, pad_top, pad_left, act;
    size_t pitch;
    const void *x, *weight;
    const float *bias;
    gpu_array y, add;
} gpu_conv_job;
cudaError_t gpu_conv(cudaStream_t s, const gpu_conv_job *job);

/* ---- attention.cu, attention_plain.cu ---- */

/* Keys and values of one text: [keys][heads d]. */
typedef struct gpu_text {
    const void *k, *v;
    int keys;
} gpu_text;

/* Queries that are computed together: part of a group of a plan, or a run of tokens of a batch element without plan. */
typedef struct gpu_tile {
    int first, count;       /* into gpu_plan.token; without plan: tokens */
    int first_line, lines;  /* into gpu_plan.line; without plan: 0, 1 */
    int weight, weight_row; /* where the weights of the first line's first query lie; between lines */
} gpu_tile;

/* A plan in device memory; token == NULL: none, every token listens to text 0 with weight 1. */
typedef struct gpu_plan {
    const int *token, *line;
    const float *weight;
    const gpu_tile *tile;
    int tiles;
} gpu_plan;

enum {
    GPU_INLINE_TEXTS = 64,
    GPU_INLINE_ELEMENTS = 16,
    GPU_PLAIN_ROWS = 16,    /* queries of a tile in f32 */
    GPU_TENSOR_DEPTH = 160, /* the largest head of the kernels that hold a whole one */
    GPU_MOST_DEPTH = 512
};
/* How many queries a tile may have: plans are cut by it. */
int gpu_tile_rows(int type, int depth);

typedef struct gpu_element { /* of the batch */
    gpu_plan plan;
    int first_text;
} gpu_element;

/* Small enough to travel with the launch: a recorded graph then holds all of it. */
typedef struct gpu_attention_job {
    int type, elements, queries, heads, depth; /* depth: of a head */
    float scale;                               /* 1 / sqrt(depth) */
    void *y;                                   /* [elements][queries][heads depth], as q */
    const void *q;
    bool causal;    /* without plans only */
    int tile_rows;  /* gpu_tile_rows */
    int most_tiles; /* of any element */
    gpu_element element[GPU_INLINE_ELEMENTS];
    gpu_text text[GPU_INLINE_TEXTS];
    const gpu_text *more_texts; /* device memory, instead of `text`, or NULL */
} gpu_attention_job;

cudaError_t gpu_plain_attention(cudaStream_t s, const gpu_attention_job *job); /* f32 */
cudaError_t gpu_wide_attention(cudaStream_t s, const gpu_attention_job *job);  /* 16 bit, heads of 161 to 512 */
/* Any of them. Coupled attention: y[t] = sum over the lines r of t of weight_r(t) softmax(scale q[t] K_r^T) V_r. */
cudaError_t gpu_coupled_attention(cudaStream_t s, const gpu_attention_job *job);

/* Self-attention: element i of q sees keys and values i; causal: key <= query. */
typedef struct gpu_self_job {
    int type, n, queries, keys, heads, depth;
    float scale;
    bool causal;
    void *y;
    const void *q, *k, *v;
} gpu_self_job;
cudaError_t gpu_self_attention(cudaStream_t s, const gpu_self_job *job);

#ifdef __cplusplus
}
#endif
#endif
