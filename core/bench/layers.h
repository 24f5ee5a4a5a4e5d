/* layers.h: the products of a network, listed while it runs: what they cost at least, and as bare primitives. */
#ifndef CPL_BENCH_LAYERS_H
#define CPL_BENCH_LAYERS_H

#include "bench.h"

typedef struct cpl_layer_list {
    cpl_backend_ops ops; /* first: a stream's ops lead back to here */
    const cpl_backend_ops *real;
    struct cpl_layer {
        cpl_bare bare;
        int times;
        double ms; /* of one bare run, the best so far; 0: none yet */
    } * layer;     /* owned: each shape once */
    int count, room;
    bool failed;
} cpl_layer_list;

/* A stream whose `ops` point to list->ops runs as before and is written down. */
void cpl_layers_open(cpl_layer_list *list, const cpl_backend_ops *real);
void cpl_layers_close(cpl_layer_list *list);
double cpl_layers_flops(const cpl_layer_list *list);
/* Runs each shape once more, bare. False: the library lacks one in this type. */
bool cpl_layers_run_bare(cpl_layer_list *list, const cpl_bench_run *run, cpl_dtype type);
double cpl_layers_bare_ms(const cpl_layer_list *list);

#endif
