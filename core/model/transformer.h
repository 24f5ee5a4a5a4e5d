/* transformer.h: the SpatialTransformer of the UNet: self-attention, cross-attention to the text, feed-forward. */
#ifndef CPL_MODEL_TRANSFORMER_H
#define CPL_MODEL_TRANSFORMER_H

#include "load.h"
#include "unet.h"

/* Of one run: texts of all batch elements, and lines over all of them. */
#define CPL_UNET_MAX_BATCH 64
#define CPL_UNET_MAX_LINES 4096

typedef struct cpl_transformer_block {
    cpl_weight *norm1, *q1, *k1, *v1, *out1; /* self-attention; all owned */
    cpl_weight *norm2, *q2, *k2, *v2, *out2; /* cross-attention: k2 and v2 see the text only */
    cpl_weight *norm3, *ff_in, *ff_out;
} cpl_transformer_block;

typedef struct cpl_transformer {
    int channels, heads, groups, depth; /* depth 0: there is none */
    int first_layer;                    /* index of its first block in cpl_text_kv */
    cpl_weight *norm, *proj_in, *proj_out;
    cpl_transformer_block *block; /* owned, [depth] */
} cpl_transformer;

void cpl_transformer_load(cpl_transformer *t, cpl_loader *l, const char *prefix, int channels, int heads, int depth,
                          int context_dim, int groups);
void cpl_transformer_free(cpl_transformer *t, cpl_backend *backend);
/* Keys and values of `conditioning` for each block, into k and v [depth]. */
void cpl_transformer_text_kv(const cpl_transformer *t, cpl_stream *s, const cpl_tensor *conditioning, cpl_tensor *k,
                             cpl_tensor *v);
/* x [n, h, w, channels] is taken over; texts [n], checked by the caller; level: which plan of a text is x's. */
cpl_tensor cpl_transformer_run(const cpl_transformer *t, cpl_stream *s, cpl_tensor *x, const cpl_unet_text *texts,
                               int level);

#endif
