/* cpu.h: what the files of the CPU backend share. Nothing outside this room includes it.
 *
 * Results depend on the shapes alone, never on how work falls to threads: every sum is cut at fixed places. (The
 * convolutions of oneDNN may cut theirs by thread count.) Scratch memory comes from the stream's pool. */
#ifndef CPL_CPU_H
#define CPL_CPU_H

#include <pthread.h>

#include "../backend.h"
#include "../memory/cache.h"
#include "kernels.h"
#include "waiting.h"

/* Below this many multiply-adds one thread is done before a second has woken. Either one thread works or all: OpenMP
 * ends and starts threads when the size of its team changes, but not for a team of one. */
#define CPU_SMALL_PRODUCTS 500e3

typedef struct cpu_backend {
    cpl_backend base;
    int threads;
    size_t pool_budget;
    const cpu_kernels *kernels; /* borrowed: the best set this processor runs */
    void *engine;               /* owned by primitive.c */
    pthread_mutex_t packing;    /* guards the packed forms of all weights */
    atomic_uint_fast64_t weight_bytes;
} cpu_backend;

typedef struct cpu_stream {
    cpl_stream base;
    void *queue;           /* owned by primitive.c */
    cpl_cache *primitives; /* owned: per shape, what primitive.c has made ready to run */
    cpu_waiting waiting;
} cpu_stream;

typedef enum cpu_weight_kind { CPU_CONV, CPU_NORM, CPU_TABLE } cpu_weight_kind;

/* One layout of a convolution's weights; the first is as loaded, others are made when a primitive asks for them. */
typedef struct cpu_packed {
    struct cpu_packed *next;
    void *memory; /* owned: the library's handle on data */
    void *data;   /* owned */
    size_t bytes;
    bool handed_out;
} cpu_packed;
typedef struct cpu_packing {
    cpu_packed *forms;
    void *bias; /* owned: handle on cpl_weight.beta, or NULL */
} cpu_packing;

struct cpl_weight {
    cpu_weight_kind kind;
    cpl_dtype type;       /* convolution: what it multiplies in; table: of its rows */
    int out, in, kh, kw;  /* convolution (a linear layer is one of 1x1); norm: out channels; table: out rows of in */
    float *gamma, *beta;  /* owned; norm: scale and offset, convolution: beta is the bias or NULL */
    void *rows;           /* owned, table only */
    cpu_packing *packing; /* owned, convolution only */
};

static inline cpu_backend *cpu_of(const cpl_stream *s) { return (cpu_backend *)s->backend; }
static inline size_t cpu_rows(const cpl_tensor *t) { return (size_t)t->n * (size_t)t->h * (size_t)t->w; }
/* Value `index` of a tensor. */
static inline void *cpu_at(const cpl_tensor *t, size_t index) {
    return (char *)t->data + index * cpl_dtype_bytes(t->dtype);
}
static inline int cpu_round_up(int value, int step) { return (value + step - 1) / step * step; }

/* As OpenMP programs do: OMP_NUM_THREADS if the user set it, else the CPUs this process may run on. */
int cpu_usable_threads(void);
/* Every operation begins with this: false on a failed stream. Sets the thread count, which OpenMP keeps per thread. */
bool cpu_enter(cpl_stream *s);
/* Fails the stream unless t is a f32 or bf16 tensor with data and no empty side. `operation` and `name` go into the
 * message, as below. */
bool cpu_usable(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t);
bool cpu_shaped(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, int n, int h, int w,
                int c);
bool cpu_typed(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, cpl_dtype dtype);
bool cpu_like(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t,
              const cpl_tensor *model); /* of its shape and type */
bool cpu_weighs(cpl_stream *s, const char *operation, const cpl_weight *w, cpu_weight_kind kind);
/* From the pool, given back with cpl_pool_give; NULL: the stream has failed. */
void *cpu_scratch(cpl_stream *s, size_t count, size_t size);

/* Memory of weights, aligned to 64 bytes and counted in weight_bytes. */
void *cpu_weight_take(cpu_backend *b, size_t bytes, cpl_error *error);
void cpu_weight_give(cpu_backend *b, void *data, size_t bytes);

/* The operations, by file; see cpl_backend_ops. */
cpl_weight *cpu_linear_weight(cpl_backend *b, cpl_dtype type, cpl_values w, const float *bias, int out, int in,
                              cpl_error *error);
cpl_weight *cpu_conv_weight(cpl_backend *b, cpl_dtype type, cpl_values w, const float *bias, int out, int in, int kh,
                            int kw, cpl_error *error);
cpl_weight *cpu_norm_weight(cpl_backend *b, const float *gamma, const float *beta, int c, cpl_error *error);
cpl_weight *cpu_table_weight(cpl_backend *b, const float *rows, int count, int c, cpl_error *error);
void cpu_weight_free(cpl_backend *b, cpl_weight *w);

void cpu_linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                const cpl_tensor *add);
void cpu_conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                const cpl_tensor *add);
void cpu_group_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *shift,
                    const cpl_weight *w, int groups, float eps, bool silu);
void cpu_group_sums(cpl_stream *s, const cpl_tensor *sums, const cpl_tensor *x, bool first);
void cpu_group_norm_by(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *sums, size_t pixels,
                       const cpl_weight *w, int groups, float eps, bool silu);
void cpu_layer_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, float eps);
void cpu_geglu(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x);
void cpu_activate(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, cpl_activation act);
void cpu_scale_add(cpl_stream *s, const cpl_tensor *y, float alpha, const cpl_tensor *a, float beta,
                   const cpl_tensor *b);
void cpu_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                   int heads, bool causal);
void cpu_arrange_text(cpl_stream *s, cpl_tensor *k, cpl_tensor *v, int heads);
void cpu_cross_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen, int heads);
void cpu_upsample(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x);
void cpu_concat(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *a, const cpl_tensor *b);
void cpu_embed(cpl_stream *s, const cpl_tensor *y, const cpl_weight *tokens, const int *ids,
               const cpl_weight *positions);
void cpu_timestep_embedding(cpl_stream *s, const cpl_tensor *y, const float *t);

#endif
