/* original.h: coupling as the original extension does it, as a baseline: every line gets a copy of the whole picture through
 * to_q, attention and to_out; keys and values are projected anew at each step; the results are masked and summed.
 *
 * It stands in for a backend's operations: a stream whose `ops` point here runs the same networks, handed plain texts, and
 * the copies are made behind their back. Its products are the backend's own. */
#ifndef CPL_BENCH_ORIGINAL_H
#define CPL_BENCH_ORIGINAL_H

#include "../backend.h"

#define CPL_ORIGINAL_GRIDS 8

typedef struct cpl_original {
    cpl_backend_ops ops; /* first: a stream's ops lead back to here */
    const cpl_backend_ops *real;
    cpl_tensor contexts; /* a view: [1 + lines, 1, S, width], the negative's first */
    int lines;
    const cpl_weight **projections; /* owned array: k and v of each layer, in running order */
    int projection_count, room, layer;
    bool listing;
    struct {
        int w, h;
        float *masks; /* owned */
    } grid[CPL_ORIGINAL_GRIDS];
    cpl_tensor x; /* a view: what went into the last linear layer, which may turn out to be to_q */
    const cpl_weight *to_q;
    cpl_tensor copies; /* owned while `pending`: what attention gave for each copy */
    bool pending;
    double product_ms, product_flops; /* of the linear layers and convolutions since cpl_original_begin */
} cpl_original;

/* contexts: at least 1 + lines elements, borrowed. */
void cpl_original_open(cpl_original *o, const cpl_backend_ops *real, const cpl_tensor *contexts, int lines);
void cpl_original_close(cpl_original *o);
bool cpl_original_add_layer(cpl_original *o, const cpl_weight *k, const cpl_weight *v);
/* While listing, linear layers are run and taken for the projections of the layers, in order: for cpl_unet_text_kv. */
static inline void cpl_original_list(cpl_original *o, bool on) { o->listing = on; }
/* To be called before each pass: layers are counted from here. */
static inline void cpl_original_begin(cpl_original *o) {
    o->layer = 0;
    o->product_ms = o->product_flops = 0;
}

#endif
