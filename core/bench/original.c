/* original.c: the copies, behind the operations of backend.h. Of the pictures of a batch the first listens to the negative
 * text, the second to the lines. */
#include "original.h"

#include <stdlib.h>

#include "../cpu/ceiling.h"
#include "../memory/alloc.h"
#include "../sample/clock.h"
#include "bench.h"
#include "inputs.h"
#include "layers.h"

static cpl_original *original_of(cpl_stream *s) { return (cpl_original *)(void *)s->ops; }

bool cpl_original_add_layer(cpl_original *o, const cpl_weight *k, const cpl_weight *v) {
    if (!cpl_grow((void **)&o->projections, &o->room, o->projection_count + 2, sizeof *o->projections, NULL))
        return false;
    o->projections[o->projection_count++] = k;
    o->projections[o->projection_count++] = v;
    return true;
}

/* The backend's linear layer, timed. */
static void multiply(cpl_original *o, cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w,
                     cpl_activation act, const cpl_tensor *add) {
    double start = cpl_now_ms();
    o->real->linear(s, y, x, w, act, add);
    o->product_ms += cpl_now_ms() - start;
    o->product_flops += 2.0 * (double)cpl_tensor_count(x) * y->c;
}

static void conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                   const cpl_tensor *add) {
    cpl_original *o = original_of(s);
    double kernel = cpl_bare_kernel(x, y, shape), start = cpl_now_ms();
    o->real->conv2d(s, y, x, w, shape, add);
    o->product_ms += cpl_now_ms() - start;
    o->product_flops += 2.0 * (double)cpl_tensor_count(y) * x->c * kernel * kernel;
}

/* Made at the first pass; a benchmark's first pass is not timed. */
static const float *masks_at(cpl_original *o, cpl_stream *s, int w, int h) {
    cpl_error error = {0};
    for (int i = 0; i < CPL_ORIGINAL_GRIDS; i++) {
        if (o->grid[i].masks && o->grid[i].w == w && o->grid[i].h == h) return o->grid[i].masks;
        if (o->grid[i].masks) continue;
        o->grid[i].masks = cpl_bench_tiles(o->lines, w, h, &error);
        o->grid[i].w = w;
        o->grid[i].h = h;
        if (o->grid[i].masks) return o->grid[i].masks;
        break;
    }
    cpl_stream_fail(s, CPL_E_MEMORY, "out of memory for the masks of the benchmark");
    return NULL;
}

/* The first copy is the negative's; the backend adds the input to it. */
static void finish(cpl_original *o, cpl_stream *s, const cpl_tensor *y, const cpl_weight *to_out,
                   const cpl_tensor *add) {
    cpl_tensor out = cpl_make_like(s, &o->copies);
    const float *masks = masks_at(o, s, y->w, y->h);
    multiply(o, s, &out, &o->copies, to_out, CPL_ACT_NONE, NULL);
    cpl_tensor_free(&o->copies);
    o->pending = false;
    if (masks && out.data) {
        cpl_tensor negative = cpl_tensor_slice(&out, 0, 1), lines = cpl_tensor_slice(&out, 1, o->lines);
        cpl_tensor y0 = cpl_tensor_slice(y, 0, 1), y1 = cpl_tensor_slice(y, 1, 1);
        cpl_tensor add0 = cpl_tensor_slice(add, 0, 1), add1 = cpl_tensor_slice(add, 1, 1);
        o->real->scale_add(s, &y0, 1, &negative, 1, &add0);
        cpl_masked_sum(s, &y1, &lines, masks, &add1);
    }
    cpl_tensor_free(&out);
}

static void linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                   const cpl_tensor *add) {
    cpl_original *o = original_of(s);
    if (o->pending) {
        finish(o, s, y, w, add);
        return;
    }
    if (o->listing &&
        !cpl_grow((void **)&o->projections, &o->room, o->projection_count + 1, sizeof *o->projections, NULL))
        cpl_stream_fail(s, CPL_E_MEMORY, "out of memory for the layers of the benchmark");
    else if (o->listing)
        o->projections[o->projection_count++] = w;
    o->x = *x;
    o->to_q = w;
    multiply(o, s, y, x, w, act, add);
}

/* q holds the projection of the negative's picture and of the first copy; the others are made here. */
static cpl_tensor repeat_queries(cpl_original *o, cpl_stream *s, const cpl_tensor *q) {
    cpl_tensor all = cpl_make(s, 1 + o->lines, q->h, q->w, q->c), first = cpl_tensor_slice(&all, 0, 2);
    o->real->scale_add(s, &first, 1, q, 0, NULL);
    if (o->lines < 2 || !all.data) return all;
    cpl_tensor x = cpl_make(s, o->lines - 1, q->h, q->w, q->c), rest = cpl_tensor_slice(&all, 2, o->lines - 1);
    cpl_tensor positive = cpl_tensor_slice(&o->x, 1, 1);
    for (int i = 0; i < o->lines - 1 && x.data; i++) {
        cpl_tensor slot = cpl_tensor_slice(&x, i, 1);
        o->real->scale_add(s, &slot, 1, &positive, 0, NULL);
    }
    multiply(o, s, &rest, &x, o->to_q, CPL_ACT_NONE, NULL);
    cpl_tensor_free(&x);
    return all;
}

static void cross_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen,
                            int heads) {
    cpl_original *o = original_of(s);
    (void)y, (void)listen;
    if (o->layer + 2 > o->projection_count || q->n != 2) {
        cpl_stream_fail(s, CPL_E_DEVICE, "the original's way knows %d layers of pairs", o->projection_count / 2);
        return;
    }
    const cpl_weight *to_k = o->projections[o->layer], *to_v = o->projections[o->layer + 1];
    o->layer += 2;
    cpl_tensor k = cpl_make(s, o->contexts.n, 1, o->contexts.w, q->c), v = cpl_make_like(s, &k);
    multiply(o, s, &k, &o->contexts, to_k, CPL_ACT_NONE, NULL);
    multiply(o, s, &v, &o->contexts, to_v, CPL_ACT_NONE, NULL);
    cpl_tensor all = repeat_queries(o, s, q);
    o->copies = cpl_make_like(s, &all);
    o->real->attention(s, &o->copies, &all, &k, &v, heads, false);
    o->pending = true;
    cpl_tensor_free(&all);
    cpl_tensor_free(&v);
    cpl_tensor_free(&k);
}

void cpl_original_open(cpl_original *o, const cpl_backend_ops *real, const cpl_tensor *contexts, int lines) {
    *o = (cpl_original){
        .ops = *real, .real = real, .lines = lines, .contexts = cpl_tensor_slice(contexts, 0, 1 + lines)};
    o->ops.linear = linear;
    o->ops.conv2d = conv2d;
    o->ops.cross_attention = cross_attention;
}

void cpl_original_close(cpl_original *o) {
    cpl_tensor_free(&o->copies);
    for (int i = 0; i < CPL_ORIGINAL_GRIDS; i++) free(o->grid[i].masks);
    free(o->projections);
    *o = (cpl_original){0};
}
