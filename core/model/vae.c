/* vae.c: the VAE's decoder, from a latent to a picture: each level as a whole or in strips. The way back is vae_encoder.c, an object of its own, so that
 * who only makes pictures does not hold its weights. */
#include "vae.h"

#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "vae_mid.h"
#include "vae_work.h"

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
    /* As in the UNet: the latent comes in and the picture goes out in f32. */
    l->type = CPL_F32;
    vae->post_quant = cpl_load_linear(l, CPL_VAE_PREFIX, "post_quant_conv", z, z, CPL_LOAD_BIAS | CPL_LOAD_1X1);
    vae->conv_in = cpl_load_conv(l, CPL_VAE_PREFIX, "decoder.conv_in", deepest, z, 3);
    l->type = cpl_load_precision(l);
    cpl_vae_mid_load(&vae->mid, l, CPL_VAE_PREFIX "decoder.", deepest, spec->norm_groups);
    for (int i = spec->levels - 1, in = deepest; i >= 0; in = channels(spec, i), i--) load_level(vae, l, i, in);
    l->type = CPL_F32;
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

/* ---- Decoding ---- */

/* One decode: the image as far as it has come. */
typedef struct decoding {
    const cpl_vae *vae;
    cpl_stream *s;
    cpl_vae_work work;
    cpl_vae_probe *probe;
    void *probe_user;
    cpl_tensor h, sums; /* sums: of h; empty where they are not known */
} decoding;

/* Multiply-adds of level i for an image of `pixels` at that level. */
static double level_products(const cpl_vae *vae, int i, double pixels) {
    const cpl_vae_spec *spec = &vae->spec;
    double out = channels(spec, i), in = i < spec->levels - 1 ? channels(spec, i + 1) : out, products = 0;
    if (i < spec->levels - 1) products += 9 * in * in;
    for (int k = 0; k <= spec->num_res_blocks; k++, in = out) products += 9 * out * (in + out);
    return products * pixels;
}

static double all_products(const cpl_vae *vae, const cpl_tensor *z) {
    double pixels = (double)z->h * z->w, sum = 0;
    for (int i = vae->spec.levels - 1; i >= 0; i--, pixels *= 4) sum += level_products(vae, i, pixels);
    return sum;
}

/* The level's first block looks at the level below, doubled: that image, the largest of all, is never there as a whole. */
static void level_in_strips(decoding *d, int i, const cpl_weight *up) {
    const cpl_vae *vae = d->vae;
    int out = channels(&vae->spec, i), factor = up ? 2 : 1;
    double share = 1.0 / (vae->spec.num_res_blocks + 1);
    for (int k = 0; k <= vae->spec.num_res_blocks && cpl_stream_ok(d->s); k++) {
        const cpl_resblock *block = &vae->level[i].block[k];
        cpl_rows x = {d->h.h, d->h.w, d->h.c, &d->h, NULL, NULL, false};
        if (k == 0 && up) x = (cpl_rows){factor * d->h.h, factor * d->h.w, d->h.c, NULL, &d->h, up, true};
        bool in_place = x.kept && !block->skip;
        cpl_tensor y = in_place ? d->h : cpl_make(d->s, 1, x.h, x.w, out), sums = cpl_make_sums(d->s, out);
        cpl_strips_resblock(&d->work.strips, d->s, block, &x, &y, x.kept && d->sums.data ? &d->sums : NULL, &sums,
                            share);
        if (!in_place) cpl_tensor_free(&d->h);
        cpl_tensor_free(&d->sums);
        d->h = y;
        d->sums = sums;
        cpl_vae_tell(d->s, d->probe, d->probe_user, &d->h, "decoder.up.%d.block.%d", i, k);
    }
}

static void level_whole(decoding *d, int i, const cpl_weight *up) {
    const cpl_vae *vae = d->vae;
    cpl_tensor_free(&d->sums);
    if (up) {
        d->h = upsample(up, d->s, &d->h);
        cpl_vae_tell(d->s, d->probe, d->probe_user, &d->h, "decoder.up.%d.upsample", i + 1);
    }
    for (int k = 0; k <= vae->spec.num_res_blocks && cpl_stream_ok(d->s); k++) {
        d->h = cpl_resblock_run(&vae->level[i].block[k], d->s, &d->h, NULL);
        cpl_vae_tell(d->s, d->probe, d->probe_user, &d->h, "decoder.up.%d.block.%d", i, k);
        cpl_vae_work_add(&d->work, 1.0 / (vae->spec.num_res_blocks + 1));
    }
}

static cpl_tensor end_picture(decoding *d) {
    const cpl_vae *vae = d->vae;
    cpl_stream *s = d->s;
    cpl_tensor image = cpl_make_as(s, CPL_F32, d->h.n, d->h.h, d->h.w, 3);
    if (d->sums.data) {
        cpl_strips_end(&d->work.strips, s, vae->norm_out, vae->spec.norm_groups, vae->conv_out, &d->h, &image, &d->sums,
                       0);
    } else {
        s->ops->group_norm(s, &d->h, &d->h, NULL, vae->norm_out, vae->spec.norm_groups, CPL_VAE_EPS, true);
        s->ops->conv2d(s, &image, &d->h, vae->conv_out, cpl_conv_3x3, NULL);
    }
    cpl_tensor_free(&d->sums);
    cpl_tensor_free(&d->h);
    return image;
}

size_t cpl_vae_decode_bytes(const cpl_vae *vae, int w, int h, cpl_dtype dtype) {
    /* The first block of the last level: what comes from below, its norm, and the block's own width. */
    size_t wide = (size_t)channels(&vae->spec, vae->spec.levels > 1 ? 1 : 0), own = (size_t)channels(&vae->spec, 0);
    size_t factor = (size_t)cpl_vae_factor(vae);
    return (size_t)w * (size_t)h * factor * factor * (2 * wide + own) * cpl_dtype_bytes(dtype);
}

cpl_tensor cpl_vae_decode_by(const cpl_vae *vae, cpl_stream *s, const cpl_tensor *z, const cpl_vae_way *way,
                             cpl_vae_probe *probe, void *probe_user) {
    const cpl_vae_spec *spec = &vae->spec;
    decoding d = {.vae = vae, .s = s, .probe = probe, .probe_user = probe_user};
    cpl_vae_work_begin(&d.work, way, spec->ch, all_products(vae, z));
    cpl_tensor quantised = cpl_make_like(s, z);
    s->ops->linear(s, &quantised, z, vae->post_quant, CPL_ACT_NONE, NULL);
    d.h = cpl_make(s, z->n, z->h, z->w, vae->mid.channels);
    s->ops->conv2d(s, &d.h, &quantised, vae->conv_in, cpl_conv_3x3, NULL);
    cpl_tensor_free(&quantised);
    cpl_vae_tell(s, probe, probe_user, &d.h, "decoder.conv_in");
    d.h = cpl_vae_mid_run(&vae->mid, s, &d.h, "decoder", probe, probe_user);
    for (int i = spec->levels - 1, scale = 1; i >= 0; i--, scale *= 2) {
        const cpl_weight *up = i < spec->levels - 1 ? vae->level[i + 1].upsample : NULL;
        int h = z->h * scale, w = z->w * scale, in = d.h.c, out = channels(spec, i);
        cpl_pool_trim(s->pool, CPL_VAE_KEEP);
        cpl_vae_work_enter(&d.work, level_products(vae, i, (double)h * w));
        if (cpl_vae_work_needs_strips(&d.work, z->n, h, w, in > out ? in : out))
            level_in_strips(&d, i, up);
        else
            level_whole(&d, i, up);
    }
    return end_picture(&d);
}

cpl_tensor cpl_vae_decode(const cpl_vae *vae, cpl_stream *s, const cpl_tensor *z, cpl_vae_probe *probe,
                          void *probe_user) {
    return cpl_vae_decode_by(vae, s, z, &(cpl_vae_way){0}, probe, probe_user);
}
