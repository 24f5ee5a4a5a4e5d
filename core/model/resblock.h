/* resblock.h: the residual block of two convolutions that the UNet and the VAE are made of.
 *
 * The rule of ownership in all network code: a function that takes `cpl_tensor *x` takes the activation over and frees
 * it as soon as it is not needed; who still needs it passes a view (cpl_tensor_slice), and freeing that does nothing. */
#ifndef CPL_MODEL_RESBLOCK_H
#define CPL_MODEL_RESBLOCK_H

#include "load.h"

/* What a checkpoint calls the parts. emb is NULL where there is no time embedding. */
typedef struct cpl_resblock_names {
    const char *norm1, *conv1, *emb, *norm2, *conv2, *skip;
} cpl_resblock_names;
extern const cpl_resblock_names cpl_resblock_unet_names, cpl_resblock_vae_names;

typedef struct cpl_resblock {
    int out_channels, groups;
    float eps;
    cpl_weight *norm1, *conv1, *norm2, *conv2; /* owned, as the other two */
    cpl_weight *emb;                           /* NULL in the VAE */
    cpl_weight *skip;                          /* 1x1; NULL where the channels stay the same */
} cpl_resblock;

void cpl_resblock_load(cpl_resblock *block, cpl_loader *l, const char *prefix, const cpl_resblock_names *names, int in,
                       int out, int emb_width, int groups, float eps);
void cpl_resblock_free(cpl_resblock *block, cpl_backend *backend);
/* x [n, h, w, in] is taken over. emb [n, 1, 1, emb_width], SiLU already applied; NULL in the VAE. */
cpl_tensor cpl_resblock_run(const cpl_resblock *block, cpl_stream *s, cpl_tensor *x, const cpl_tensor *emb);

/* Where `x + something` goes: x's own memory if x may be overwritten, else a new tensor. *x stays readable until the
 * caller is done with it (cpl_tensor_free does nothing to it afterwards). */
cpl_tensor cpl_residual_target(cpl_stream *s, cpl_tensor *x);
/* NULL-safe and empties the pointer, so that a half-loaded network can be freed. */
void cpl_weight_drop(cpl_backend *backend, cpl_weight **w);
/* Convolutions that keep the size. */
extern const cpl_conv_shape cpl_conv_3x3, cpl_conv_1x1;

#endif
