/* layers.c: writes down the operations of a network as they pass, and times them. Only linear layers, convolutions and
 * attentions have bare counterparts: a network without norms, activations and copies would be as fast as its products. */
#include "layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../sample/clock.h"

static cpl_layer_list *list_of(cpl_stream *s) { return (cpl_layer_list *)(void *)s->ops; }

static struct cpl_layer *find(cpl_layer_list *list, const char *op, const cpl_bare *bare) {
    for (int i = 0; i < list->count; i++)
        if (list->layer[i].op == op && memcmp(&list->layer[i].bare, bare, sizeof *bare) == 0) return &list->layer[i];
    if (!cpl_grow((void **)&list->layer, &list->room, list->count + 1, sizeof *list->layer, NULL)) {
        list->failed = true;
        return NULL;
    }
    list->layer[list->count] = (struct cpl_layer){.op = op, .bare = *bare};
    return &list->layer[list->count++];
}

/* What the call that began at `start` has taken. The first of a shape also prepares it, and is forgotten. */
static void note(cpl_layer_list *list, const char *op, bool product, const cpl_bare *bare, double start) {
    double ms = cpl_now_ms() - start;
    struct cpl_layer *layer = find(list, op, bare);
    if (!layer) return;
    layer->product = product;
    if (!list->again) layer->times++;
    if (list->again && (layer->ms <= 0 || ms < layer->ms)) layer->ms = ms;
}

/* The operation runs on the real table: what it calls itself is not listed. */
#define RUN(s, call)                                                                                                   \
    cpl_layer_list *list = list_of(s);                                                                                 \
    double start = cpl_now_ms();                                                                                       \
    (s)->ops = list->real;                                                                                             \
    list->real->call;                                                                                                  \
    (s)->ops = &list->ops

static cpl_bare shape_of(const cpl_tensor *x, int out) {
    return (cpl_bare){.n = x->n, .h = x->h, .w = x->w, .in = x->c, .out = out};
}

static void linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                   const cpl_tensor *add) {
    RUN(s, linear(s, y, x, w, act, add));
    cpl_bare bare = {.kind = CPL_BARE_MATMUL, .n = 1, .h = x->n * x->h * x->w, .w = 1, .in = x->c, .out = y->c};
    note(list, "linear", true, &bare, start);
}

static void conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                   const cpl_tensor *add) {
    cpl_bare bare = {.kind = CPL_BARE_CONV,
                     .n = x->n,
                     .h = x->h,
                     .w = x->w,
                     .in = x->c,
                     .out = y->c,
                     .out_h = y->h,
                     .out_w = y->w,
                     .kernel = cpl_bare_kernel(x, y, shape),
                     .stride = shape.stride,
                     .pad_top = shape.pad_top,
                     .pad_left = shape.pad_left,
                     .pad_bottom = shape.pad_bottom,
                     .pad_right = shape.pad_right};
    RUN(s, conv2d(s, y, x, w, shape, add));
    note(list, "conv2d", true, &bare, start);
}

static void attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                      int heads, bool causal) {
    RUN(s, attention(s, y, q, k, v, heads, causal));
    cpl_bare bare = {
        .kind = CPL_BARE_ATTENTION, .n = q->n * heads, .h = q->h * q->w, .w = k->h * k->w, .in = q->c / heads};
    note(list, "attention", true, &bare, start);
}

/* As if all pictures listened to one text, of the first one's length: texts of a step are as long as one another. */
static void cross_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen,
                            int heads) {
    RUN(s, cross_attention(s, y, q, listen, heads));
    cpl_bare bare = {
        .kind = CPL_BARE_ATTENTION, .n = q->n * heads, .h = q->h * q->w, .w = listen[0].k[0]->w, .in = q->c / heads};
    note(list, "cross_attention", true, &bare, start);
}

static void group_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *shift,
                       const cpl_weight *w, int groups, float eps, bool silu) {
    RUN(s, group_norm(s, y, x, shift, w, groups, eps, silu));
    cpl_bare bare = shape_of(x, x->c);
    note(list, silu ? "group_norm and silu" : "group_norm", false, &bare, start);
}

static void layer_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, float eps) {
    RUN(s, layer_norm(s, y, x, w, eps));
    cpl_bare bare = shape_of(x, x->c);
    note(list, "layer_norm", false, &bare, start);
}

static void geglu(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    RUN(s, geglu(s, y, x));
    cpl_bare bare = shape_of(x, y->c);
    note(list, "geglu", false, &bare, start);
}

static void activate(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, cpl_activation act) {
    RUN(s, activate(s, y, x, act));
    cpl_bare bare = shape_of(x, x->c);
    note(list, "activate", false, &bare, start);
}

static void upsample(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    RUN(s, upsample(s, y, x));
    cpl_bare bare = shape_of(x, x->c);
    note(list, "upsample", false, &bare, start);
}

static void concat(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *a, const cpl_tensor *b) {
    RUN(s, concat(s, y, a, b));
    cpl_bare bare = shape_of(a, y->c);
    note(list, "concat", false, &bare, start);
}

static void scale_add(cpl_stream *s, const cpl_tensor *y, float alpha, const cpl_tensor *a, float beta,
                      const cpl_tensor *b) {
    RUN(s, scale_add(s, y, alpha, a, beta, b));
    cpl_bare bare = shape_of(a, a->c);
    note(list, "scale_add", false, &bare, start);
}

void cpl_layers_open(cpl_layer_list *list, const cpl_backend_ops *real) {
    *list = (cpl_layer_list){.ops = *real, .real = real};
    list->ops.linear = linear;
    list->ops.conv2d = conv2d;
    list->ops.attention = attention;
    list->ops.cross_attention = cross_attention;
    list->ops.group_norm = group_norm;
    list->ops.layer_norm = layer_norm;
    list->ops.geglu = geglu;
    list->ops.activate = activate;
    list->ops.upsample = upsample;
    list->ops.concat = concat;
    list->ops.scale_add = scale_add;
}

void cpl_layers_again(cpl_layer_list *list) { list->again = true; }

void cpl_layers_close(cpl_layer_list *list) {
    free(list->layer);
    *list = (cpl_layer_list){0};
}

double cpl_layers_flops(const cpl_layer_list *list) {
    double flops = 0;
    for (int i = 0; i < list->count; i++)
        if (list->layer[i].product) flops += list->layer[i].times * cpl_bare_flops(&list->layer[i].bare);
    return flops;
}

bool cpl_layers_run_bare(cpl_layer_list *list, const cpl_bench_run *run, cpl_dtype type) {
    for (int i = 0; i < list->count; i++) {
        struct cpl_layer *layer = &list->layer[i];
        if (!layer->product) continue;
        double ms = cpl_ceiling_product(run->ceiling, &layer->bare, type, 1);
        if (ms <= 0) return false;
        if (layer->bare_ms <= 0 || ms < layer->bare_ms) layer->bare_ms = ms;
    }
    return true;
}

double cpl_layers_bare_ms(const cpl_layer_list *list) {
    double ms = 0;
    for (int i = 0; i < list->count; i++) ms += list->layer[i].times * list->layer[i].bare_ms;
    return ms;
}

static void print_shape(const struct cpl_layer *layer, char *text, size_t size) {
    const cpl_bare *b = &layer->bare;
    if (layer->product && b->kind == CPL_BARE_ATTENTION)
        snprintf(text, size, "%d heads of %d, %d to %d", b->n, b->in, b->h, b->w);
    else if (layer->product && b->kind == CPL_BARE_CONV)
        snprintf(text, size, "%dx%dx%dx%d to %d, %dx%d by %d", b->n, b->h, b->w, b->in, b->out, b->kernel, b->kernel,
                 b->stride);
    else
        snprintf(text, size, "%dx%dx%dx%d to %d", b->n, b->h, b->w, b->in, b->out);
}

void cpl_layers_report(const cpl_layer_list *list, cpl_bench_run *run) {
    cpl_bench_begin(run, "ops", '[');
    for (int i = 0; i < list->count; i++) {
        const struct cpl_layer *layer = &list->layer[i];
        char shape[96];
        print_shape(layer, shape, sizeof shape);
        cpl_bench_begin(run, NULL, '{');
        cpl_bench_text(run, "op", layer->op);
        cpl_bench_text(run, "shape", shape);
        cpl_bench_whole(run, "calls", (uint64_t)layer->times);
        cpl_bench_number(run, "ms", layer->ms);
        cpl_bench_number(run, "bare_ms", layer->bare_ms);
        cpl_bench_end(run, '}');
    }
    cpl_bench_end(run, ']');
}
