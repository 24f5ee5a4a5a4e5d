/* vae.c: the VAE's decoder, from a latent to a picture. The way back is vae_encoder.c, an object of its own, so that
 * who only makes pictures does not hold its weights. */
#include "vae.h"

#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "vae_mid.h"

typedef struct level {
    cpl_resblock *block;  /* owned, [num_res_blocks + 1] */
    cpl_weight *upsample; /* owned; NULL at level 0 */
} level;

struct cpl_vae {
    cpl_vae_spec spec;
    cpl_weight *post_quant, *conv_in, *norm_out, *conv_out; /* owned */
    cpl_vae_mid mid;
    level level[CPL_MAX_LEVELS];
};

static int channels(const cpl_vae_spec *spec, int i) { return spec->ch * spec->ch_mult_decoder[i]; }

static void load_level(cpl_vae *vae, cpl_loader *l, int i, int in) {
    const cpl_vae_spec *spec = &vae->spec;
    char prefix[96];
    int out = channels(spec, i);
    level *to = &vae->level[i];
    to->block = l->failed ? NULL : cpl_alloc((size_t)spec->num_res_blocks + 1, sizeof *to->block, l->error);
    if (!to->block) {
        l->failed = true;
        return;
    }
    for (int k = 0; k <= spec->num_res_blocks; k++, in = out) {
        snprintf(prefix, sizeof prefix, CPL_VAE_PREFIX "decoder.up.%d.block.%d.", i, k);
        cpl_resblock_load(&to->block[k], l, prefix, &cpl_resblock_vae_names, in, out, 0, spec->norm_groups,
                          CPL_VAE_EPS);
    }
    if (i == 0) return;
    snprintf(prefix, sizeof prefix, CPL_VAE_PREFIX "decoder.up.%d.", i);
    to->upsample = cpl_load_conv(l, prefix, "upsample.conv", out, out, 3);
}

cpl_vae *cpl_vae_new(cpl_loader *l, const cpl_vae_spec *spec) {
    cpl_vae *vae = cpl_load_begin(l, sizeof *vae, cpl_vae_spec_is_sound(spec, spec->ch_mult_decoder, l->error));
    if (!vae) return NULL;
    vae->spec = *spec;
    int z = spec->z_channels, deepest = channels(spec, spec->levels - 1), first = channels(spec, 0);
    vae->post_quant = cpl_load_linear(l, CPL_VAE_PREFIX, "post_quant_conv", z, z, CPL_LOAD_BIAS | CPL_LOAD_1X1);
    vae->conv_in = cpl_load_conv(l, CPL_VAE_PREFIX, "decoder.conv_in", deepest, z, 3);
    cpl_vae_mid_load(&vae->mid, l, CPL_VAE_PREFIX "decoder.", deepest, spec->norm_groups);
    for (int i = spec->levels - 1, in = deepest; i >= 0; in = channels(spec, i), i--) load_level(vae, l, i, in);
    vae->norm_out = cpl_load_norm(l, CPL_VAE_PREFIX, "decoder.norm_out", first);
    vae->conv_out = cpl_load_conv(l, CPL_VAE_PREFIX, "decoder.conv_out", 3, first, 3);
    if (!l->failed) return vae;
    cpl_vae_free(vae, l->backend);
    return NULL;
}

void cpl_vae_free(cpl_vae *vae, cpl_backend *backend) {
    if (!vae) return;
    for (int i = 0; i < vae->spec.levels; i++) {
        for (int k = 0; vae->level[i].block && k <= vae->spec.num_res_blocks; k++)
            cpl_resblock_free(&vae->level[i].block[k], backend);
        free(vae->level[i].block);
        cpl_weight_drop(backend, &vae->level[i].upsample);
    }
    cpl_vae_mid_free(&vae->mid, backend);
    cpl_weight **const weights[] = {&vae->post_quant, &vae->conv_in, &vae->norm_out, &vae->conv_out};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) cpl_weight_drop(backend, weights[i]);
    free(vae);
}

int cpl_vae_factor(const cpl_vae *vae) { return 1 << (vae->spec.levels - 1); }

static cpl_tensor upsample(const cpl_weight *conv, cpl_stream *s, cpl_tensor *x) {
    cpl_tensor wide = cpl_make(s, x->n, 2 * x->h, 2 * x->w, x->c);
    s->ops->upsample(s, &wide, x);
    cpl_tensor_free(x);
    cpl_tensor y = cpl_make_like(s, &wide);
    s->ops->conv2d(s, &y, &wide, conv, cpl_conv_3x3, NULL);
    cpl_tensor_free(&wide);
    return y;
}

cpl_tensor cpl_vae_decode(const cpl_vae *vae, cpl_stream *s, const cpl_tensor *z, cpl_vae_probe *probe,
                          void *probe_user) {
    const cpl_vae_spec *spec = &vae->spec;
    cpl_tensor quantised = cpl_make_like(s, z);
    s->ops->linear(s, &quantised, z, vae->post_quant, CPL_ACT_NONE, NULL);
    cpl_tensor h = cpl_make(s, z->n, z->h, z->w, vae->mid.channels);
    s->ops->conv2d(s, &h, &quantised, vae->conv_in, cpl_conv_3x3, NULL);
    cpl_tensor_free(&quantised);
    cpl_vae_tell(s, probe, probe_user, &h, "decoder.conv_in");
    h = cpl_vae_mid_run(&vae->mid, s, &h, "decoder", probe, probe_user);
    for (int i = spec->levels - 1; i >= 0; i--) {
        const level *at = &vae->level[i];
        cpl_pool_trim(s->pool, CPL_VAE_KEEP);
        for (int k = 0; k <= spec->num_res_blocks && cpl_stream_ok(s); k++) {
            h = cpl_resblock_run(&at->block[k], s, &h, NULL);
            cpl_vae_tell(s, probe, probe_user, &h, "decoder.up.%d.block.%d", i, k);
        }
        if (!at->upsample || !cpl_stream_ok(s)) continue;
        h = upsample(at->upsample, s, &h);
        cpl_vae_tell(s, probe, probe_user, &h, "decoder.up.%d.upsample", i);
    }
    s->ops->group_norm(s, &h, &h, NULL, vae->norm_out, spec->norm_groups, CPL_VAE_EPS, true);
    cpl_tensor image = cpl_make(s, h.n, h.h, h.w, 3);
    s->ops->conv2d(s, &image, &h, vae->conv_out, cpl_conv_3x3, NULL);
    cpl_tensor_free(&h);
    return image;
}
