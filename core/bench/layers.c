/* layers.c: writes down the shapes of linear layers, convolutions and attentions as they pass. Norms, activations and copies
 * are not in the list: a network without them would be as fast as its products. */
#include "layers.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

static cpl_layer_list *list_of(cpl_stream *s) { return (cpl_layer_list *)(void *)s->ops; }

static void note(cpl_stream *s, const cpl_bare *bare) {
    cpl_layer_list *list = list_of(s);
    for (int i = 0; i < list->count; i++)
        if (memcmp(&list->layer[i].bare, bare, sizeof *bare) == 0) {
            list->layer[i].times++;
            return;
        }
    if (cpl_grow((void **)&list->layer, &list->room, list->count + 1, sizeof *list->layer, NULL))
        list->layer[list->count++] = (struct cpl_layer){.bare = *bare, .times = 1};
    else
        list->failed = true;
}

static void linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                   const cpl_tensor *add) {
    note(s, &(cpl_bare){.kind = CPL_BARE_MATMUL, .n = 1, .h = x->n * x->h * x->w, .w = 1, .in = x->c, .out = y->c});
    list_of(s)->real->linear(s, y, x, w, act, add);
}

/* A tensor does not tell the kernel's size; the padded side that its last output reaches over does. Kernels are odd. */
static void conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                   const cpl_tensor *add) {
    int kernel = x->h + shape.pad_top + shape.pad_bottom - (y->h - 1) * shape.stride;
    cpl_bare bare = {.kind = CPL_BARE_CONV,
                     .n = x->n,
                     .h = x->h,
                     .w = x->w,
                     .in = x->c,
                     .out = y->c,
                     .out_h = y->h,
                     .out_w = y->w,
                     .kernel = kernel - (kernel % 2 == 0),
                     .stride = shape.stride,
                     .pad_top = shape.pad_top,
                     .pad_left = shape.pad_left,
                     .pad_bottom = shape.pad_bottom,
                     .pad_right = shape.pad_right};
    note(s, &bare);
    list_of(s)->real->conv2d(s, y, x, w, shape, add);
}

static void attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                      int heads, bool causal) {
    note(s, &(cpl_bare){
                .kind = CPL_BARE_ATTENTION, .n = q->n * heads, .h = q->h * q->w, .w = k->h * k->w, .in = q->c / heads});
    list_of(s)->real->attention(s, y, q, k, v, heads, causal);
}

/* As if each picture listened to one text. */
static void cross_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen,
                            int heads) {
    for (int i = 0; i < q->n; i++)
        note(s,
             &(cpl_bare){
                 .kind = CPL_BARE_ATTENTION, .n = heads, .h = q->h * q->w, .w = listen[i].k[0]->w, .in = q->c / heads});
    list_of(s)->real->cross_attention(s, y, q, listen, heads);
}

void cpl_layers_open(cpl_layer_list *list, const cpl_backend_ops *real) {
    *list = (cpl_layer_list){.ops = *real, .real = real};
    list->ops.linear = linear;
    list->ops.conv2d = conv2d;
    list->ops.attention = attention;
    list->ops.cross_attention = cross_attention;
}

void cpl_layers_close(cpl_layer_list *list) {
    free(list->layer);
    *list = (cpl_layer_list){0};
}

double cpl_layers_flops(const cpl_layer_list *list) {
    double flops = 0;
    for (int i = 0; i < list->count; i++) flops += list->layer[i].times * cpl_bare_flops(&list->layer[i].bare);
    return flops;
}

bool cpl_layers_run_bare(cpl_layer_list *list, const cpl_bench_run *run, cpl_dtype type) {
    for (int i = 0; i < list->count; i++) {
        double ms = cpl_ceiling_product(run->ceiling, &list->layer[i].bare, type, 1);
        if (ms <= 0) return false;
        if (list->layer[i].ms <= 0 || ms < list->layer[i].ms) list->layer[i].ms = ms;
    }
    return true;
}

double cpl_layers_bare_ms(const cpl_layer_list *list) {
    double ms = 0;
    for (int i = 0; i < list->count; i++) ms += list->layer[i].times * list->layer[i].ms;
    return ms;
}
