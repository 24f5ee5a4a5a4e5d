/* layers.h: the operations of a network, listed while it runs: what each takes, what its product costs at least, and as a
 * bare primitive. */
#ifndef CPL_BENCH_LAYERS_H
#define CPL_BENCH_LAYERS_H

#include "bench.h"

/* The side of a convolution's kernel. Tensors do not tell it; the padded side that the last output reaches over does. Kernels
 * are odd. */
static inline int cpl_bare_kernel(const cpl_tensor *x, const cpl_tensor *y, cpl_conv_shape shape) {
    int side = x->h + shape.pad_top + shape.pad_bottom - (y->h - 1) * shape.stride;
    return side - (side % 2 == 0);
}

typedef struct cpl_layer_list {
    cpl_backend_ops ops; /* first: a stream's ops lead back to here */
    const cpl_backend_ops *real;
    struct cpl_layer {
        const char *op; /* as in backend.h */
        bool product;   /* else a norm, an activation or a copy: of `bare` only the shapes are filled in */
        cpl_bare bare;
        int times;
        double ms, bare_ms; /* of one run in the network and of one bare, the best so far; 0: none yet */
    } * layer;              /* owned: each operation and shape once */
    int count, room;
    bool again; /* nothing new is to come: calls are not counted once more */
    bool failed;
} cpl_layer_list;

/* A stream whose `ops` point to list->ops runs as before and is written down and timed: every pass after the first, which
 * makes the list, should be begun with cpl_layers_again. */
void cpl_layers_open(cpl_layer_list *list, const cpl_backend_ops *real);
void cpl_layers_again(cpl_layer_list *list);
void cpl_layers_close(cpl_layer_list *list);
double cpl_layers_flops(const cpl_layer_list *list);
/* Runs each shape once more, bare. False: the library lacks one in this type. */
bool cpl_layers_run_bare(cpl_layer_list *list, const cpl_bench_run *run, cpl_dtype type);
double cpl_layers_bare_ms(const cpl_layer_list *list);
/* A member "ops" of the JSON object that is being written: what each operation and shape has taken. */
void cpl_layers_report(const cpl_layer_list *list, cpl_bench_run *run);

#endif
