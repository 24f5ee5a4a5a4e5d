/* backend.h: the contract between the networks and whatever runs them (core/cpu here, gpu/ as a module).
 *
 * A *backend* is one device: it packs weights once and keeps them; immutable while networks run, so several streams may
 * use it at once. A *stream* is one worker's queue on it, with its pool of activations and its sticky error: after a
 * failure every later operation on the stream does nothing, and the network asks once per block (cpl_stream_ok). So
 * network code reads as arithmetic, without a check behind each line. Networks never look into tensor data.
 *
 * Tensors: [n, h, w, c] as in tensor.h; "rows" are all n*h*w tokens. Operations write into `y`, which the caller has
 * made with cpl_make (same stream); y may be x only where it says so. All shapes are checked by the operations.
 *
 * Types: a backend is opened for a precision (f32, or bf16 or f16 where it can). Activations are of that precision
 * (cpl_make) or f32 (cpl_make_as), and so are weights of linear layers and convolutions; norms, biases and a norm's shift
 * are f32. Sums, norms and softmax are in f32 whatever the types. The tensors of one operation have one type, unless it
 * says otherwise; scale_add takes any mix and is how tensors are converted. */
#ifndef CPL_BACKEND_H
#define CPL_BACKEND_H

#include <stdatomic.h>

#include "couple/plan.h"
#include "memory/tensor.h"

#define CPL_BACKEND_ABI 4u

typedef struct cpl_backend cpl_backend;
typedef struct cpl_stream cpl_stream;
typedef struct cpl_weight cpl_weight; /* opaque: packed for one backend */

typedef enum cpl_activation { CPL_ACT_NONE, CPL_ACT_SILU, CPL_ACT_GELU, CPL_ACT_QUICK_GELU } cpl_activation;

/* What one batch element listens to in cross-attention. */
typedef struct cpl_listen {
    int lines; /* 1, or the number of lines of the plan */
    /* [lines] tensors [1, 1, S_r, heads * d], or what arrange_text has made of them; S_r may differ from line to line */
    const cpl_tensor *const *k, *const *v;
    const cpl_plan *plan; /* NULL: ordinary attention to line 0 */
} cpl_listen;

typedef struct cpl_conv_shape {
    int stride, pad_top, pad_left, pad_bottom, pad_right;
} cpl_conv_shape;

/* What of a model a weight belongs to: where memory is short, a backend may keep parts that nothing works with elsewhere. */
typedef enum cpl_component {
    CPL_COMPONENT_NONE,
    CPL_COMPONENT_TEXT,
    CPL_COMPONENT_UNET,
    CPL_COMPONENT_VAE,
    CPL_COMPONENTS
} cpl_component;

enum { CPL_MOST_FETCHES = 2 };

/* Values of a weight in host memory, of the type they have in the file: f32, bf16 or f16. */
typedef struct cpl_values {
    const void *data;
    cpl_dtype dtype;
} cpl_values;

typedef struct cpl_backend_config {
    int threads;          /* CPU threads, 0: all this process may use */
    int device;           /* which one of its kind, from 0: cpl_backend_number */
    cpl_dtype precision;  /* activations and packed weights; f32 is always possible */
    size_t pool_budget;   /* bytes of a stream's pool, 0: none */
    size_t memory_budget; /* bytes of a device's own memory that may be taken, 0: what there is */
} cpl_backend_config;

typedef struct cpl_backend_ops {
    uint32_t abi;
    const char *name; /* "cpu" */
    /* Whether this machine's device has instructions for a precision; if not, the error tells what to do instead. */
    bool (*supports)(cpl_dtype precision, cpl_error *error);

    cpl_backend *(*open)(const cpl_backend_config *config, cpl_error *error);
    void (*close)(cpl_backend *b); /* after its weights and streams */
    cpl_stream *(*stream_open)(cpl_backend *b, cpl_error *error);
    void (*stream_close)(cpl_stream *s); /* after its tensors */
    void (*stats)(const cpl_stream *s,
                  cpl_stats *stats); /* fills the pool, tensor, weight, device and primitive fields */

    /* Weights from host memory, which may go away afterwards. Any thread, one at a time per backend. `type`: what the
     * layer multiplies in, CPL_F32 or the backend's precision. */
    cpl_weight *(*linear_weight)(cpl_backend *b, cpl_dtype type, cpl_values w /* [out][in] */,
                                 const float *bias /* [out] or NULL */, int out, int in, cpl_error *error);
    cpl_weight *(*conv_weight)(cpl_backend *b, cpl_dtype type, cpl_values w /* [out][in][kh][kw] */, const float *bias,
                               int out, int in, int kh, int kw, cpl_error *error);
    cpl_weight *(*norm_weight)(cpl_backend *b, const float *gamma, const float *beta, int c, cpl_error *error);
    cpl_weight *(*table_weight)(cpl_backend *b, const float *rows /* [count][c] */, int count, int c, cpl_error *error);
    void (*weight_free)(cpl_backend *b, cpl_weight *w);
    /* Weights made from now on belong to this part (NONE: to no part, and stay where they are). NULL: parts are all one. */
    void (*component_begin)(cpl_backend *b, cpl_component part);

    /* Called around one denoise step, so that a backend can record, flush or check. */
    void (*step_begin)(cpl_stream *s);
    void (*step_end)(cpl_stream *s);
    void (*upload)(cpl_stream *s, const cpl_tensor *y, const float *host); /* converts from f32; host is free to go */
    void (*download)(cpl_stream *s, float *host, const cpl_tensor *x);     /* waits; converts to f32 */
    /* A download in two halves, so that nothing stands still for it. `fetch`, between steps: what x holds once the work before
     * it is done (x NULL: nothing, only that moment is meant); x may be changed or freed at once. `fetched` waits for the oldest
     * one, which must have been of a tensor unless host is NULL: then its values are wanted by nobody. At most
     * CPL_MOST_FETCHES are under way; each must be fetched, on a failed stream too. Both NULL: work is done when a call returns. */
    void (*fetch)(cpl_stream *s, const cpl_tensor *x);
    void (*fetched)(cpl_stream *s, float *host);

    /* y = act(x * W^T + bias) + add. x [.., in], y [.., out], the same rows; add: shape and type of y, or NULL; y may be
     * add. x, y and w may each have another type: x is rounded to w's (cheap only where x has it already). */
    void (*linear)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                   const cpl_tensor *add);
    /* y = conv(x) + bias + add. Output side = (side + pads - k) / stride + 1. add, y and types: as in linear. */
    void (*conv2d)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                   const cpl_tensor *add);
    /* Statistics over (h, w, channels of a group) per batch element of x + shift; y = norm * gamma + beta, then SiLU if
     * asked. shift: [n, 1, 1, c], f32, or NULL (the time embedding). y may be x. */
    void (*group_norm)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *shift,
                       const cpl_weight *w, int groups, float eps, bool silu);
    /* The same for an image that is never held as a whole, x [1, h, w, c] being some of its rows: group_sums adds their sums to
     * `sums` (cpl_make_sums; `first`: they are the first), and group_norm_by norms rows by the sums of all, which are
     * `pixels` (rows times width). No shift. y may be x. */
    void (*group_sums)(cpl_stream *s, const cpl_tensor *sums, const cpl_tensor *x, bool first);
    void (*group_norm_by)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *sums,
                          size_t pixels, const cpl_weight *w, int groups, float eps, bool silu);
    void (*layer_norm)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w,
                       float eps); /* y may be x */
    /* x [.., 2c]: the first half is the value, the second goes through exact GELU as gate; y [.., c]. */
    void (*geglu)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x);
    void (*activate)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, cpl_activation act); /* y may be x */
    /* softmax(q k^T / sqrt(d)) v per batch element and head; heads are consecutive slices of c; causal: key <= query. */
    void (*attention)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                      int heads, bool causal);
    /* Rearranges keys and values of a text, [1, 1, S, heads * d], as cross_attention with so many heads reads them fastest,
     * once for all steps. Their memory and shapes may be others then; a failed stream keeps what is there. */
    void (*arrange_text)(cpl_stream *s, cpl_tensor *k, cpl_tensor *v, int heads); /* NULL: they are best as they are */
    /* Cross-attention, one cpl_listen per batch element of q [n, h, w, c]:
     * y[t] = sum over the lines r of t of weight_r(t) * softmax(q[t] K_r^T / sqrt(d)) V_r, see design note "Coupled
     * attention". A plan's grid must be q's. */
    void (*cross_attention)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen,
                            int heads);
    /* Nearest: y's pixel (i, j) is x's (i * xh / yh, j * xw / yw) in integers. */
    void (*upsample)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x);
    void (*concat)(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *a,
                   const cpl_tensor *b); /* channels: a, then b */
    /* y = alpha * a + beta * b, b may be NULL; y may be a or b. Any mix of types. */
    void (*scale_add)(cpl_stream *s, const cpl_tensor *y, float alpha, const cpl_tensor *a, float beta,
                      const cpl_tensor *b);
    /* y [n, 1, S, c] = tokens[ids] + positions[0..S-1]; ids: host, n * S, each checked; positions may be NULL. */
    void (*embed)(cpl_stream *s, const cpl_tensor *y, const cpl_weight *tokens, const int *ids,
                  const cpl_weight *positions);
    /* y [n, 1, 1, c]: cos(t * f_i) for i < c/2, then sin; f_i = exp(-ln(10000) * i / (c/2)); t: host, n values. */
    void (*timestep_embedding)(cpl_stream *s, const cpl_tensor *y, const float *t);
} cpl_backend_ops;

struct cpl_backend { /* implementations put this first in their own struct */
    const cpl_backend_ops *ops;
    cpl_dtype precision;
};

struct cpl_stream {
    const cpl_backend_ops *ops;
    cpl_backend *backend;         /* borrowed */
    cpl_pool *pool;               /* owned by the implementation */
    const atomic_bool *cancelled; /* borrowed, set by whoever runs the stream; NULL: never */
    /* What networks add to weights (model/adapter.h); borrowed, set likewise; NULL: nothing. No backend looks at it, but one
     * that records steps must not replay them once it has changed. */
    const struct cpl_adapters *adapters;
    bool failed;
    cpl_error error; /* of the first failure */
};

/* component_begin of the backend, where it has one. */
void cpl_begin_component(cpl_backend *b, cpl_component part);
/* A tensor of the stream's precision from its pool; on failure the stream fails and the tensor is empty. */
cpl_tensor cpl_make(cpl_stream *s, int n, int h, int w, int c);
cpl_tensor cpl_make_as(cpl_stream *s, cpl_dtype dtype, int n, int h, int w, int c);
cpl_tensor cpl_make_like(cpl_stream *s, const cpl_tensor *x); /* shape and type of x */
/* For group_sums of c channels: two f64 values a channel, which only the backend reads. */
cpl_tensor cpl_make_sums(cpl_stream *s, int c);
/* Records the first failure (later ones are echoes). */
void cpl_stream_fail(cpl_stream *s, cpl_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* False once the stream has failed or was cancelled (which then is its failure: CPL_E_CANCELLED). */
bool cpl_stream_ok(cpl_stream *s);
/* Copies the failure out and makes the stream usable again. True if there was none. */
bool cpl_stream_settle(cpl_stream *s, cpl_error *error);

extern const cpl_backend_ops cpl_cpu_backend; /* core/cpu */
/* The backend for a device name ("auto", "cpu", "cuda:0"), or NULL with the reason. "auto" (and NULL) is the first CUDA
 * device where there is one that can be used, else the processor. */
const cpl_backend_ops *cpl_backend_find(const char *device, cpl_error *error);
/* Whether "auto" passes over a module that is there: with the reason. */
bool cpl_backend_passed_over(const char *device, cpl_error *why);
/* What cpl_backend_config.device is to be for that name; of "auto" and "cuda" it is the first that can be used. */
int cpl_backend_number(const char *device);

#endif
