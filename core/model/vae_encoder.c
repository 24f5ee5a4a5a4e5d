/* vae_encoder.c: the VAE's encoder, from a picture to the distribution of its latent. It draws no noise: the mean is the
 * reproducible choice, anything else is the caller's. */
#include "vae_encoder.h"

#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "vae_mid.h"

typedef struct level {
    cpl_resblock *block;    /* owned, [num_res_blocks] */
    cpl_weight *downsample; /* owned; NULL at the last level */
} level;

struct cpl_vae_encoder {
    cpl_vae_spec spec;
    cpl_weight *conv_in, *norm_out, *conv_out, *quant; /* owned */
    cpl_vae_mid mid;
    level level[CPL_MAX_LEVELS];
};

/* One column of zeros right and one row below, none left and above. */
static const cpl_conv_shape halve = {.stride = 2, .pad_bottom = 1, .pad_right = 1};

static void load_level(cpl_vae_encoder *e, cpl_loader *l, int i) {
    const cpl_vae_spec *spec = &e->spec;
    char prefix[96];
    int in = spec->ch * (i > 0 ? spec->ch_mult[i - 1] : 1), out = spec->ch * spec->ch_mult[i];
    level *to = &e->level[i];
    to->block = l->failed ? NULL : cpl_alloc((size_t)spec->num_res_blocks, sizeof *to->block, l->error);
    if (!to->block) {
        l->failed = true;
        return;
    }
    for (int k = 0; k < spec->num_res_blocks; k++, in = out) {
        snprintf(prefix, sizeof prefix, CPL_VAE_PREFIX "encoder.down.%d.block.%d.", i, k);
        cpl_resblock_load(&to->block[k], l, prefix, &cpl_resblock_vae_names, in, out, 0, spec->norm_groups,
                          CPL_VAE_EPS);
    }
    if (i == spec->levels - 1) return;
    snprintf(prefix, sizeof prefix, CPL_VAE_PREFIX "encoder.down.%d.", i);
    to->downsample = cpl_load_conv(l, prefix, "downsample.conv", out, out, 3);
}

cpl_vae_encoder *cpl_vae_encoder_new(cpl_loader *l, const cpl_vae_spec *spec) {
    cpl_vae_encoder *e = cpl_load_begin(l, sizeof *e, cpl_vae_spec_is_sound(spec, spec->ch_mult, l->error));
    if (!e) return NULL;
    e->spec = *spec;
    int z = 2 * spec->z_channels, deepest = spec->ch * spec->ch_mult[spec->levels - 1];
    e->conv_in = cpl_load_conv(l, CPL_VAE_PREFIX, "encoder.conv_in", spec->ch, 3, 3);
    for (int i = 0; i < spec->levels; i++) load_level(e, l, i);
    cpl_vae_mid_load(&e->mid, l, CPL_VAE_PREFIX "encoder.", deepest, spec->norm_groups);
    e->norm_out = cpl_load_norm(l, CPL_VAE_PREFIX, "encoder.norm_out", deepest);
    e->conv_out = cpl_load_conv(l, CPL_VAE_PREFIX, "encoder.conv_out", z, deepest, 3);
    e->quant = cpl_load_linear(l, CPL_VAE_PREFIX, "quant_conv", z, z, CPL_LOAD_BIAS | CPL_LOAD_1X1);
    if (!l->failed) return e;
    cpl_vae_encoder_free(e, l->backend);
    return NULL;
}

void cpl_vae_encoder_free(cpl_vae_encoder *e, cpl_backend *backend) {
    if (!e) return;
    for (int i = 0; i < e->spec.levels; i++) {
        for (int k = 0; e->level[i].block && k < e->spec.num_res_blocks; k++)
            cpl_resblock_free(&e->level[i].block[k], backend);
        free(e->level[i].block);
        cpl_weight_drop(backend, &e->level[i].downsample);
    }
    cpl_vae_mid_free(&e->mid, backend);
    cpl_weight **const weights[] = {&e->conv_in, &e->norm_out, &e->conv_out, &e->quant};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) cpl_weight_drop(backend, weights[i]);
    free(e);
}

cpl_tensor cpl_vae_encode(const cpl_vae_encoder *e, cpl_stream *s, const cpl_tensor *image, cpl_vae_probe *probe,
                          void *probe_user) {
    const cpl_vae_spec *spec = &e->spec;
    cpl_tensor h = cpl_make(s, image->n, image->h, image->w, spec->ch);
    s->ops->conv2d(s, &h, image, e->conv_in, cpl_conv_3x3, NULL);
    cpl_vae_tell(s, probe, probe_user, &h, "encoder.conv_in");
    for (int i = 0; i < spec->levels; i++) {
        const level *at = &e->level[i];
        for (int k = 0; k < spec->num_res_blocks && cpl_stream_ok(s); k++) {
            h = cpl_resblock_run(&at->block[k], s, &h, NULL);
            cpl_vae_tell(s, probe, probe_user, &h, "encoder.down.%d.block.%d", i, k);
        }
        if (!at->downsample || !cpl_stream_ok(s)) continue;
        cpl_tensor half = cpl_make(s, h.n, h.h / 2, h.w / 2, h.c);
        s->ops->conv2d(s, &half, &h, at->downsample, halve, NULL);
        cpl_tensor_free(&h);
        h = half;
        cpl_vae_tell(s, probe, probe_user, &h, "encoder.down.%d.downsample", i);
    }
    h = cpl_vae_mid_run(&e->mid, s, &h, "encoder", probe, probe_user);
    s->ops->group_norm(s, &h, &h, NULL, e->norm_out, spec->norm_groups, CPL_VAE_EPS, true);
    cpl_tensor moments = cpl_make(s, h.n, h.h, h.w, 2 * spec->z_channels), out = cpl_make_like(s, &moments);
    s->ops->conv2d(s, &moments, &h, e->conv_out, cpl_conv_3x3, NULL);
    cpl_tensor_free(&h);
    s->ops->linear(s, &out, &moments, e->quant, CPL_ACT_NONE, NULL);
    cpl_tensor_free(&moments);
    return out;
}
