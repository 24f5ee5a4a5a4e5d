/* cuda.h: what the files of the CUDA backend share. Nothing outside this room includes it.
 *
 * Each stream has a CUDA stream of its own; operations put kernels into it and return. Memory of activations is the
 * stream's pool over device memory. A step is recorded as a graph from the second one on and launched as a whole: the
 * same calls, but no gaps between kernels. */
#ifndef GPU_CUDA_H
#define GPU_CUDA_H

#include <pthread.h>

#include "../core/module.h"
#include "kernels.h"
#include "products.h"

/* Pinned memory through which host data passes. While a step is recorded its parts are kept until the step has run. */
typedef struct gpu_stage {
    char *data; /* owned, pinned */
    size_t room, used;
    cudaEvent_t done; /* owned: all that was sent through it has been read */
    bool in_use;
} gpu_stage;

typedef struct gpu_uploader gpu_uploader; /* weights.c */

/* A part of a model: weights that leave the device, and come back, together. */
typedef struct gpu_part {
    cpl_weight *first;   /* of those that belong to it */
    size_t bytes;        /* of all of them */
    char *host;          /* owned, pinned: a copy of all; NULL: it never was moved */
    void *slab;          /* owned: where all lie since they came back; NULL: each has memory of its own */
    bool out;            /* they are not on the device */
    cudaEvent_t arrived; /* owned: they have come back ... */
    const struct gpu_stream *brought_by; /* ... in the order of this one */
} gpu_part;

typedef struct gpu_backend {
    cpl_backend base;
    int device;
    size_t pool_budget;
    size_t memory_budget;   /* 0: none */
    size_t memory_total;    /* of the device */
    gpu_uploader *uploader; /* owned */
    atomic_uint_fast64_t weight_bytes;
    atomic_uint_fast64_t device_bytes, device_peak_bytes; /* all that the backend has taken */
    atomic_uint_fast64_t moved_out_bytes, moves_out, moves_in;
    pthread_mutex_t lock; /* of all below */
    gpu_part part[CPL_COMPONENTS];
    cpl_component loading;
    struct gpu_stream *streams; /* borrowed: that are open */
} gpu_backend;

/* Values on their way to the host. */
typedef struct gpu_fetch {
    float *pinned; /* owned */
    void *device;  /* owned: the stream's own copy */
    size_t room, count;
    cudaEvent_t made, arrived; /* owned: that copy; its values in `pinned` */
    bool under_way;
} gpu_fetch;

typedef struct gpu_stream {
    cpl_stream base;
    cudaStream_t queue, side; /* owned; side: copies that must not wait for a step, nor be recorded */
    cpl_cache *plans;         /* owned: device copies of plans */
    void *pool_memory;        /* owned by memory.c */
    gpu_stage stage[2];       /* of the step under way and the one before */
    int stage_now;
    void *condemned;    /* owned by memory.c: device memory to be freed when no recording needs it */
    cpl_component part; /* that it works with; written under the backend's lock */
    bool part_recorded; /* the recording under way reads weights of it */
    struct gpu_stream *next;
    cudaStream_t carrier; /* owned: of what is fetched */
    gpu_fetch fetch[CPL_MOST_FETCHES];
    int fetches, fetched; /* how many were asked for, and taken */
    bool recording, in_step;
    int steps_done;           /* since the last failure */
    cudaEvent_t began, ended; /* owned: of the last step, with the device's time */
    cudaGraphExec_t graph;
    uint64_t graph_launches, graph_builds;
    gpu_products *products; /* owned */
} gpu_stream;

typedef enum gpu_weight_kind { GPU_CONV, GPU_NORM, GPU_TABLE } gpu_weight_kind;
struct cpl_weight {
    gpu_weight_kind kind;
    cpl_dtype type;      /* of data */
    int out, in, kh, kw; /* convolution (a linear layer is one of 1x1); norm: out channels; table: out rows of in */
    size_t pitch;        /* convolution: values from one output channel to the next */
    void *data;          /* owned; norm: gamma */
    float *beta;         /* owned; norm: beta, convolution: the bias or NULL */
    size_t bytes, beta_bytes;
    cpl_component part;
    cpl_weight *next, *before; /* of the same part */
};

/* Behind a bias in f32 lies the same in the weight's 16-bit type, which is how libraries want it; NULL: there is none. */
static inline size_t gpu_short_bias_at(int out) { return ((size_t)out * sizeof(float) + 15) / 16 * 16; }
static inline void *gpu_short_bias(const cpl_weight *w) {
    bool has = w->kind == GPU_CONV && w->beta && w->type != CPL_F32;
    return has ? (char *)w->beta + gpu_short_bias_at(w->out) : NULL;
}

static inline gpu_backend *gpu_backend_of(const cpl_stream *s) { return (gpu_backend *)s->backend; }
static inline size_t gpu_rows(const cpl_tensor *t) { return (size_t)t->n * (size_t)t->h * (size_t)t->w; }
static inline gpu_array gpu_values(const cpl_tensor *t) {
    return t ? (gpu_array){t->data, (int)t->dtype} : (gpu_array){NULL, GPU_F32};
}

/* Every operation begins with this: false on a failed stream. Makes the device current in this thread. */
bool gpu_enter(cpl_stream *s);
/* Fails the stream unless the call succeeded. */
bool gpu_did(cpl_stream *s, const char *what, cudaError_t error);
bool gpu_usable(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t);
bool gpu_shaped(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, int n, int h, int w,
                int c);
bool gpu_like(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, const cpl_tensor *model);
/* ... and of the same type. */
bool gpu_alike(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, const cpl_tensor *model);
bool gpu_weighs(cpl_stream *s, const char *operation, const cpl_weight *w, gpu_weight_kind kind);

/* memory.c */
/* Not f16, which takes as much as bf16 but ends at 65504: SDXL's own VAE goes beyond. All devices that are served have bf16. */
#define GPU_REMEDY "use a smaller canvas, --precision bf16 or --device cpu"
/* Device memory within the budget. Where there is no more the stream's idle memory is given back, then parts of the model go
 * that no stream works with; then cudaErrorMemoryAllocation. Any other error is of what the device did before: nothing moves for
 * it. s: who asks, or NULL. */
cudaError_t gpu_take(gpu_backend *b, gpu_stream *s, void **memory, size_t bytes);
cudaError_t gpu_take_at_once(gpu_backend *b, void **memory, size_t bytes); /* ... or not at all */
void gpu_give(gpu_backend *b, void *memory, size_t bytes);
cpl_pool *gpu_pool_new(gpu_stream *s, size_t budget, cpl_error *error);
void *gpu_scratch(cpl_stream *s, size_t bytes); /* from the pool, given back with cpl_pool_give; NULL: failed */
cudaError_t gpu_stages_open(gpu_stream *s);
/* A copy of host data in pinned memory, which stays until the work that reads it is done. NULL: the stream has failed. */
const void *gpu_stage_copy(gpu_stream *s, const void *host, size_t bytes);
void gpu_memory_close(gpu_stream *s); /* after the pool */
/* Frees device memory once no recorded step can refer to it. */
void gpu_condemn(gpu_stream *s, void *memory, size_t bytes);
void gpu_free_condemned(gpu_stream *s);
/* Gives back what the pool holds idle; what has been recorded runs first. */
void gpu_free_idle(gpu_stream *s);
/* Fails the stream unless gpu_take succeeded; where there is no memory with what is in use and what to do instead. */
bool gpu_took(gpu_stream *s, cudaError_t did, size_t bytes, const char *what);

/* residence.c */
void gpu_component_begin(cpl_backend *b, cpl_component part);
void gpu_part_add(gpu_backend *b, cpl_weight *w); /* whose memory is there */
bool gpu_part_remove(gpu_backend *b, cpl_weight *w);
cudaError_t gpu_move_out_for(gpu_backend *b, void **memory, size_t bytes);
/* Before an operation reads the weight: brings its part back if it is not on the device, and keeps it until the stream turns to
 * another. False: the stream has failed. */
bool gpu_reside(gpu_stream *s, const cpl_weight *w);
void gpu_join(gpu_stream *s); /* opened, closed */
void gpu_leave(gpu_stream *s);

/* fetch.c; see cpl_backend_ops */
void gpu_op_fetch(cpl_stream *s, const cpl_tensor *x);
void gpu_op_fetched(cpl_stream *s, float *host);
cudaError_t gpu_fetch_open(gpu_stream *s);
void gpu_fetch_close(gpu_stream *s);

/* products.c */
gpu_products *gpu_products_new(cpl_error *error);
void gpu_products_free(gpu_stream *s);
/* As gpu_conv, by a library where one has a way for this shape. short_bias: job->bias in 16 bits, or NULL. */
cudaError_t gpu_product(gpu_stream *s, const gpu_conv_job *job, const void *short_bias);
/* Opens the libraries that are wanted and not open yet. Before a step is recorded: handles cannot be made in a recording, and a
 * step may be the first that has products. */
void gpu_products_open(gpu_stream *s);
void gpu_products_stats(const gpu_stream *s, cpl_stats *stats);

/* steps.c */
void gpu_step_begin(cpl_stream *s);
void gpu_step_end(cpl_stream *s);
double gpu_step_ms(const gpu_stream *s); /* of the last step, as the device measured it; 0: none, or it still runs */
/* Runs what has been recorded so far; the rest of the step is not recorded. */
void gpu_flush(gpu_stream *s);

/* weights.c; see cpl_backend_ops */
gpu_uploader *gpu_uploader_new(gpu_backend *b, cpl_error *error);
void gpu_uploader_free(gpu_backend *b, gpu_uploader *u);
cudaStream_t gpu_uploader_queue(const gpu_uploader *u);
cpl_weight *gpu_linear_weight(cpl_backend *b, cpl_dtype type, cpl_values w, const float *bias, int out, int in,
                              cpl_error *error);
cpl_weight *gpu_conv_weight(cpl_backend *b, cpl_dtype type, cpl_values w, const float *bias, int out, int in, int kh,
                            int kw, cpl_error *error);
cpl_weight *gpu_norm_weight(cpl_backend *b, const float *gamma, const float *beta, int c, cpl_error *error);
cpl_weight *gpu_table_weight(cpl_backend *b, const float *rows, int count, int c, cpl_error *error);
void gpu_weight_free(cpl_backend *b, cpl_weight *w);

/* ops.c, attention.c; see cpl_backend_ops */
void gpu_op_linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                   const cpl_tensor *add);
void gpu_op_conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                   const cpl_tensor *add);
void gpu_op_group_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *shift,
                       const cpl_weight *w, int groups, float eps, bool silu);
void gpu_op_group_sums(cpl_stream *s, const cpl_tensor *sums, const cpl_tensor *x, bool first);
void gpu_op_group_norm_by(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *sums,
                          size_t pixels, const cpl_weight *w, int groups, float eps, bool silu);
void gpu_op_layer_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, float eps);
void gpu_op_geglu(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x);
void gpu_op_activate(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, cpl_activation act);
void gpu_op_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                      int heads, bool causal);
void gpu_op_cross_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen,
                            int heads);
void gpu_op_upsample(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x);
void gpu_op_concat(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *a, const cpl_tensor *b);
void gpu_op_scale_add(cpl_stream *s, const cpl_tensor *y, float alpha, const cpl_tensor *a, float beta,
                      const cpl_tensor *b);
void gpu_op_embed(cpl_stream *s, const cpl_tensor *y, const cpl_weight *tokens, const int *ids,
                  const cpl_weight *positions);
void gpu_op_timestep_embedding(cpl_stream *s, const cpl_tensor *y, const float *t);
void gpu_op_upload(cpl_stream *s, const cpl_tensor *y, const float *host);
void gpu_op_download(cpl_stream *s, float *host, const cpl_tensor *x);

cpl_cache *gpu_plans_new(gpu_stream *s, cpl_error *error);

#endif
