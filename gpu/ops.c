/* ops.c: the operations of the contract, except attention: each checks its tensors and puts kernels into the stream. */
#include "cuda.h"

#include <limits.h>

/* ---- In and out ---- */

static const gpu_array none = {NULL, GPU_F32};

void gpu_op_upload(cpl_stream *stream, const cpl_tensor *y, const float *host) {
    gpu_stream *s = (gpu_stream *)stream;
    if (!gpu_enter(stream) || !gpu_usable(stream, "upload", "y", y)) return;
    size_t count = cpl_tensor_count(y), bytes = count * sizeof(float);
    const void *staged = gpu_stage_copy(s, host, bytes);
    void *wide = !staged ? NULL : y->dtype == CPL_F32 ? y->data : gpu_scratch(stream, bytes);
    if (!wide) return;
    bool sent = gpu_did(stream, "upload", cudaMemcpyAsync(wide, staged, bytes, cudaMemcpyHostToDevice, s->queue));
    if (wide == y->data) return;
    if (sent)
        gpu_did(stream, "upload",
                gpu_scale_add(s->queue, count, gpu_values(y), 1, (gpu_array){wide, GPU_F32}, 0, none));
    cpl_pool_give(stream->pool, wide);
}

void gpu_op_download(cpl_stream *stream, float *host, const cpl_tensor *x) {
    gpu_stream *s = (gpu_stream *)stream;
    if (!gpu_enter(stream) || !gpu_usable(stream, "download", "x", x)) return;
    gpu_flush(s); /* the caller wants the values now */
    size_t count = cpl_tensor_count(x), bytes = count * sizeof(float);
    void *wide = x->dtype == CPL_F32 ? x->data : gpu_scratch(stream, bytes);
    if (!wide) return;
    bool ready = wide == x->data ||
                 gpu_did(stream, "download",
                         gpu_scale_add(s->queue, count, (gpu_array){wide, GPU_F32}, 1, gpu_values(x), 0, none));
    if (ready && gpu_did(stream, "download", cudaMemcpyAsync(host, wide, bytes, cudaMemcpyDeviceToHost, s->queue)))
        gpu_did(stream, "download", cudaStreamSynchronize(s->queue));
    if (wide != x->data) cpl_pool_give(stream->pool, wide);
}

/* ---- Products ---- */

/* y = conv(x) with x rounded to the weight's type. */
static void run_conv(cpl_stream *stream, const char *what, gpu_conv_job *job, const cpl_weight *w, const cpl_tensor *y,
                     const cpl_tensor *x, const cpl_tensor *add) {
    gpu_stream *s = (gpu_stream *)stream;
    void *rounded = NULL;
    job->type = (int)w->type;
    job->in = w->in, job->out = w->out, job->kh = w->kh, job->kw = w->kw;
    job->pitch = w->pitch, job->weight = w->data, job->bias = w->beta;
    job->x = x->data, job->y = gpu_values(y), job->add = gpu_values(add);
    if (x->dtype != w->type) {
        size_t count = cpl_tensor_count(x);
        job->x = rounded = gpu_scratch(stream, count * cpl_dtype_bytes(w->type));
        if (!rounded ||
            !gpu_did(stream, what,
                     gpu_scale_add(s->queue, count, (gpu_array){rounded, (int)w->type}, 1, gpu_values(x), 0, none))) {
            cpl_pool_give(stream->pool, rounded);
            return;
        }
    }
    gpu_did(stream, what, gpu_product(s, job, gpu_short_bias(w)));
    cpl_pool_give(stream->pool, rounded);
}

static bool add_fits(cpl_stream *s, const char *what, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *add) {
    if (y->data == x->data) {
        cpl_stream_fail(s, CPL_E_DEVICE, "%s: y may not be x", what);
        return false;
    }
    return !add || gpu_alike(s, what, "add", add, y);
}

void gpu_op_linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                   const cpl_tensor *add) {
    if (!gpu_enter(s) || !gpu_weighs(s, "linear", w, GPU_CONV) || !gpu_usable(s, "linear", "y", y) ||
        !gpu_usable(s, "linear", "x", x))
        return;
    if (w->kh != 1 || w->kw != 1 || x->c != w->in || y->c != w->out || gpu_rows(x) != gpu_rows(y) ||
        gpu_rows(x) > INT_MAX / 2) {
        cpl_stream_fail(s, CPL_E_DEVICE, "linear: %zu rows of %d to %zu rows of %d with a weight of %d to %d",
                        gpu_rows(x), x->c, gpu_rows(y), y->c, w->in, w->out);
        return;
    }
    if (!add_fits(s, "linear", y, x, add)) return;
    int rows = (int)gpu_rows(x);
    gpu_conv_job job = {.n = 1, .h = rows, .w = 1, .out_h = rows, .out_w = 1, .stride = 1, .act = (int)act};
    run_conv(s, "linear", &job, w, y, x, add);
}

static int out_side(int side, int low, int high, int kernel, int stride) {
    int64_t room = (int64_t)side + low + high - kernel;
    return room < 0 ? 0 : (int)(room / stride + 1);
}

void gpu_op_conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                   const cpl_tensor *add) {
    if (!gpu_enter(s) || !gpu_weighs(s, "conv2d", w, GPU_CONV) || !gpu_usable(s, "conv2d", "y", y) ||
        !gpu_usable(s, "conv2d", "x", x))
        return;
    if (shape.stride < 1 || shape.pad_top < 0 || shape.pad_left < 0 || shape.pad_bottom < 0 || shape.pad_right < 0) {
        cpl_stream_fail(s, CPL_E_DEVICE, "conv2d: stride %d or a pad is out of range", shape.stride);
        return;
    }
    int out_h = out_side(x->h, shape.pad_top, shape.pad_bottom, w->kh, shape.stride);
    int out_w = out_side(x->w, shape.pad_left, shape.pad_right, w->kw, shape.stride);
    if (!gpu_shaped(s, "conv2d", "x", x, y->n, x->h, x->w, w->in) ||
        !gpu_shaped(s, "conv2d", "y", y, x->n, out_h, out_w, w->out) || !add_fits(s, "conv2d", y, x, add))
        return;
    if (gpu_rows(y) > INT_MAX / 2 || gpu_rows(x) > INT_MAX / 2) {
        cpl_stream_fail(s, CPL_E_UNSUPPORTED, "conv2d: %zu pixels at once are too many", gpu_rows(y));
        return;
    }
    gpu_conv_job job = {.n = x->n,
                        .h = x->h,
                        .w = x->w,
                        .out_h = out_h,
                        .out_w = out_w,
                        .stride = shape.stride,
                        .pad_top = shape.pad_top,
                        .pad_left = shape.pad_left};
    run_conv(s, "conv2d", &job, w, y, x, add);
}

/* ---- Norms ---- */

static bool norms(cpl_stream *s, const char *what, const cpl_weight *w, const cpl_tensor *y, const cpl_tensor *x) {
    return gpu_enter(s) && gpu_weighs(s, what, w, GPU_NORM) && gpu_usable(s, what, "x", x) &&
           gpu_shaped(s, what, "x", x, x->n, x->h, x->w, w->out) && gpu_alike(s, what, "y", y, x);
}

static bool groups_fit(cpl_stream *s, const char *what, int channels, int groups) {
    if (groups >= 1 && channels % groups == 0) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: %d channels do not fall into %d groups", what, channels, groups);
    return false;
}

void gpu_op_group_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *shift,
                       const cpl_weight *w, int groups, float eps, bool silu) {
    if (!norms(s, "group_norm", w, y, x) || (shift && !gpu_shaped(s, "group_norm", "shift", shift, x->n, 1, 1, x->c)))
        return;
    if (!groups_fit(s, "group_norm", x->c, groups)) return;
    int rows = x->h * x->w;
    float *scratch = gpu_scratch(s, gpu_group_norm_scratch(x->n, rows, x->c) * sizeof(float));
    if (!scratch) return;
    gpu_group_norm_job job = {.n = x->n,
                              .rows = rows,
                              .c = x->c,
                              .groups = groups,
                              .y = gpu_values(y),
                              .x = gpu_values(x),
                              .shift = gpu_values(shift),
                              .gamma = w->data,
                              .beta = w->beta,
                              .eps = eps,
                              .silu = silu,
                              .scratch = scratch};
    gpu_did(s, "group_norm", gpu_group_norm(((gpu_stream *)s)->queue, &job));
    cpl_pool_give(s->pool, scratch);
}

static bool sums_fit(cpl_stream *s, const char *what, const cpl_tensor *sums, const cpl_tensor *x) {
    if (!gpu_usable(s, what, "sums", sums)) return false;
    if (x->n == 1 && cpl_tensor_bytes(sums) == 2 * (size_t)x->c * sizeof(double)) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: the sums are not those of one image of %d channels", what, x->c);
    return false;
}

void gpu_op_group_sums(cpl_stream *s, const cpl_tensor *sums, const cpl_tensor *x, bool first) {
    if (!gpu_enter(s) || !gpu_usable(s, "group_sums", "x", x) || !sums_fit(s, "group_sums", sums, x)) return;
    double *scratch = gpu_scratch(s, gpu_group_sums_scratch(gpu_rows(x), x->c) * sizeof(double));
    if (!scratch) return;
    gpu_did(s, "group_sums",
            gpu_group_sums(((gpu_stream *)s)->queue, gpu_rows(x), x->c, gpu_values(x), sums->data, first, scratch));
    cpl_pool_give(s->pool, scratch);
}

void gpu_op_group_norm_by(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *sums,
                          size_t pixels, const cpl_weight *w, int groups, float eps, bool silu) {
    if (!norms(s, "group_norm_by", w, y, x) || !groups_fit(s, "group_norm_by", x->c, groups) ||
        !sums_fit(s, "group_norm_by", sums, x))
        return;
    float *scratch = gpu_scratch(s, 3 * (size_t)x->c * sizeof(float));
    if (!scratch) return;
    gpu_group_norm_job job = {.n = 1,
                              .rows = x->h * x->w,
                              .c = x->c,
                              .groups = groups,
                              .y = gpu_values(y),
                              .x = gpu_values(x),
                              .gamma = w->data,
                              .beta = w->beta,
                              .eps = eps,
                              .silu = silu,
                              .scratch = scratch};
    gpu_did(s, "group_norm_by", gpu_group_norm_by(((gpu_stream *)s)->queue, &job, sums->data, (double)pixels));
    cpl_pool_give(s->pool, scratch);
}

void gpu_op_layer_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, float eps) {
    if (!norms(s, "layer_norm", w, y, x)) return;
    gpu_did(s, "layer_norm",
            gpu_layer_norm(((gpu_stream *)s)->queue, gpu_rows(x), x->c, gpu_values(y), gpu_values(x), w->data, w->beta,
                           eps));
}

/* ---- The small ones ---- */

void gpu_op_geglu(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    if (!gpu_enter(s) || !gpu_usable(s, "geglu", "y", y) || !gpu_shaped(s, "geglu", "x", x, y->n, y->h, y->w, 2 * y->c))
        return;
    gpu_did(s, "geglu", gpu_geglu(((gpu_stream *)s)->queue, gpu_rows(y), y->c, gpu_values(y), gpu_values(x)));
}

void gpu_op_activate(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, cpl_activation act) {
    if (!gpu_enter(s) || !gpu_like(s, "activate", "y", y, x)) return;
    gpu_did(s, "activate",
            gpu_activate(((gpu_stream *)s)->queue, cpl_tensor_count(x), gpu_values(y), gpu_values(x), (int)act));
}

void gpu_op_upsample(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    if (!gpu_enter(s) || !gpu_usable(s, "upsample", "x", x) || !gpu_usable(s, "upsample", "y", y) ||
        !gpu_shaped(s, "upsample", "y", y, x->n, y->h, y->w, x->c))
        return;
    gpu_did(s, "upsample",
            gpu_upsample(((gpu_stream *)s)->queue, x->n, x->c, gpu_values(y), y->h, y->w, gpu_values(x), x->h, x->w));
}

void gpu_op_concat(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *a, const cpl_tensor *b) {
    if (!gpu_enter(s) || !gpu_usable(s, "concat", "a", a) || !gpu_usable(s, "concat", "b", b) ||
        !gpu_shaped(s, "concat", "b", b, a->n, a->h, a->w, b->c) ||
        !gpu_shaped(s, "concat", "y", y, a->n, a->h, a->w, a->c + b->c))
        return;
    gpu_did(s, "concat",
            gpu_concat(((gpu_stream *)s)->queue, gpu_rows(a), gpu_values(y), gpu_values(a), a->c, gpu_values(b), b->c));
}

void gpu_op_scale_add(cpl_stream *s, const cpl_tensor *y, float alpha, const cpl_tensor *a, float beta,
                      const cpl_tensor *b) {
    if (!gpu_enter(s) || !gpu_like(s, "scale_add", "y", y, a) || (b && !gpu_like(s, "scale_add", "b", b, a))) return;
    gpu_did(s, "scale_add",
            gpu_scale_add(((gpu_stream *)s)->queue, cpl_tensor_count(a), gpu_values(y), alpha, gpu_values(a), beta,
                          gpu_values(b)));
}

static bool ids_fit(cpl_stream *s, const int *ids, size_t count, int rows) {
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= rows) {
            cpl_stream_fail(s, CPL_E_INPUT, "embed: token id %d is not in the table of %d", ids[i], rows);
            return false;
        }
    return true;
}

void gpu_op_embed(cpl_stream *stream, const cpl_tensor *y, const cpl_weight *tokens, const int *ids,
                  const cpl_weight *positions) {
    gpu_stream *s = (gpu_stream *)stream;
    if (!gpu_enter(stream) || !gpu_weighs(stream, "embed", tokens, GPU_TABLE) ||
        (positions && !gpu_weighs(stream, "embed", positions, GPU_TABLE)) || !gpu_usable(stream, "embed", "y", y) ||
        !gpu_shaped(stream, "embed", "y", y, y->n, 1, y->w, tokens->in))
        return;
    if (positions && (positions->in != y->c || positions->out < y->w)) {
        cpl_stream_fail(stream, CPL_E_DEVICE, "embed: %d tokens of %d values with %d positions of %d", y->w, tokens->in,
                        positions->out, positions->in);
        return;
    }
    if (!ids_fit(stream, ids, (size_t)y->n * (size_t)y->w, tokens->out)) return;
    size_t bytes = (size_t)y->n * (size_t)y->w * sizeof *ids;
    const void *staged = gpu_stage_copy(s, ids, bytes);
    int *there = staged ? gpu_scratch(stream, bytes) : NULL;
    if (!there) return;
    gpu_array table = {tokens->data, GPU_F32}, places = {positions ? positions->data : NULL, GPU_F32};
    if (gpu_did(stream, "embed", cudaMemcpyAsync(there, staged, bytes, cudaMemcpyHostToDevice, s->queue)))
        gpu_did(stream, "embed", gpu_embed(s->queue, y->n * y->w, y->w, y->c, gpu_values(y), table, there, places));
    cpl_pool_give(stream->pool, there);
}

void gpu_op_timestep_embedding(cpl_stream *s, const cpl_tensor *y, const float *t) {
    gpu_times times;
    if (!gpu_enter(s) || !gpu_usable(s, "timestep_embedding", "y", y) ||
        !gpu_shaped(s, "timestep_embedding", "y", y, y->n, 1, 1, y->c))
        return;
    if (y->n > GPU_MOST_TIMES || y->c % 2) {
        if (y->c % 2)
            cpl_stream_fail(s, CPL_E_DEVICE, "timestep_embedding: %d channels are not pairs of cosine and sine", y->c);
        else
            cpl_stream_fail(s, CPL_E_DEVICE, "timestep_embedding: %d times at once are too many", y->n);
        return;
    }
    for (int i = 0; i < GPU_MOST_TIMES; i++) times.t[i] = i < y->n ? t[i] : 0;
    gpu_did(s, "timestep_embedding",
            gpu_timestep_embedding(((gpu_stream *)s)->queue, y->n, y->c, gpu_values(y), &times));
}
