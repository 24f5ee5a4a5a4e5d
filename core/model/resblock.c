/* resblock.c: group norm, SiLU, 3x3 convolution, twice, plus the input. Also the few helpers that all blocks share. It
 * knows neither where in a network it stands nor whose names it loads. */
#include "resblock.h"

#include "adapter.h"

const cpl_resblock_names cpl_resblock_unet_names = {
    .norm1 = "in_layers.0",
    .conv1 = "in_layers.2",
    .emb = "emb_layers.1",
    .norm2 = "out_layers.0",
    .conv2 = "out_layers.3",
    .skip = "skip_connection",
};
const cpl_resblock_names cpl_resblock_vae_names = {
    .norm1 = "norm1",
    .conv1 = "conv1",
    .norm2 = "norm2",
    .conv2 = "conv2",
    .skip = "nin_shortcut",
};

const cpl_conv_shape cpl_conv_3x3 = {.stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
const cpl_conv_shape cpl_conv_1x1 = {.stride = 1};

void cpl_weight_drop(cpl_backend *backend, cpl_weight **w) {
    if (*w) backend->ops->weight_free(backend, *w);
    *w = NULL;
}

cpl_tensor cpl_residual_target(cpl_stream *s, cpl_tensor *x) {
    if (!x->pool) return cpl_make_like(s, x);
    cpl_tensor y = *x;
    x->pool = NULL;
    return y;
}

void cpl_resblock_load(cpl_resblock *block, cpl_loader *l, const char *prefix, const cpl_resblock_names *names, int in,
                       int out, int emb_width, int groups, float eps) {
    *block = (cpl_resblock){.out_channels = out, .groups = groups, .eps = eps};
    block->norm1 = cpl_load_norm(l, prefix, names->norm1, in);
    block->conv1 = cpl_load_conv(l, prefix, names->conv1, out, in, 3);
    if (names->emb) block->emb = cpl_load_linear(l, prefix, names->emb, out, emb_width, CPL_LOAD_BIAS);
    block->norm2 = cpl_load_norm(l, prefix, names->norm2, out);
    block->conv2 = cpl_load_conv(l, prefix, names->conv2, out, out, 3);
    if (in != out) block->skip = cpl_load_conv(l, prefix, names->skip, out, in, 1);
}

void cpl_resblock_free(cpl_resblock *block, cpl_backend *backend) {
    cpl_weight **const weights[] = {&block->norm1, &block->conv1, &block->emb,
                                    &block->norm2, &block->conv2, &block->skip};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) cpl_weight_drop(backend, weights[i]);
}

cpl_tensor cpl_resblock_run(const cpl_resblock *block, cpl_stream *s, cpl_tensor *x, const cpl_tensor *emb) {
    const cpl_backend_ops *ops = s->ops;
    cpl_tensor y = {0}, shift = {0};
    cpl_tensor normed = cpl_make_like(s, x);
    ops->group_norm(s, &normed, x, NULL, block->norm1, block->groups, block->eps, true);
    /* With a skip convolution x is done with here, which matters most where it is wide: after a concatenation. */
    if (block->skip) {
        y = cpl_make(s, x->n, x->h, x->w, block->out_channels);
        cpl_conv2d(s, &y, x, block->skip, cpl_conv_1x1, NULL);
        cpl_tensor_free(x);
    }
    cpl_tensor h = cpl_make(s, normed.n, normed.h, normed.w, block->out_channels);
    cpl_conv2d(s, &h, &normed, block->conv1, cpl_conv_3x3, NULL);
    cpl_tensor_free(&normed);
    if (block->emb) {
        shift = cpl_make_as(s, CPL_F32, h.n, 1, 1, block->out_channels);
        cpl_linear(s, &shift, emb, block->emb, CPL_ACT_NONE, NULL);
    }
    ops->group_norm(s, &h, &h, block->emb ? &shift : NULL, block->norm2, block->groups, block->eps, true);
    cpl_tensor_free(&shift);
    if (!block->skip) y = cpl_residual_target(s, x);
    cpl_conv2d(s, &y, &h, block->conv2, cpl_conv_3x3, block->skip ? &y : x);
    cpl_tensor_free(&h);
    cpl_tensor_free(x);
    return y;
}
