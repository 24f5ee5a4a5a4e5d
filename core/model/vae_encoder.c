/* vae_encoder.c: the VAE's encoder, from a picture to the distribution of its latent. It draws no noise: the mean is the
 * reproducible choice, anything else is the caller's. */
#include "vae_encoder.h"

#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "vae_mid.h"
#include "vae_work.h"

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
    l->type = CPL_F32;
    e->conv_in = cpl_load_conv(l, CPL_VAE_PREFIX, "encoder.conv_in", spec->ch, 3, 3);
    l->type = cpl_load_precision(l);
    for (int i = 0; i < spec->levels; i++) load_level(e, l, i);
    cpl_vae_mid_load(&e->mid, l, CPL_VAE_PREFIX "encoder.", deepest, spec->norm_groups);
    l->type = CPL_F32;
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

/* Multiply-adds of level i for an image of `pixels` at that level. */
static double level_products(const cpl_vae_encoder *e, int i, double pixels) {
    const cpl_vae_spec *spec = &e->spec;
    double out = spec->ch * spec->ch_mult[i], in = spec->ch * (i > 0 ? spec->ch_mult[i - 1] : 1), products = 0;
    for (int k = 0; k < spec->num_res_blocks; k++, in = out) products += 9 * out * (in + out);
    return products * pixels;
}

static double all_products(const cpl_vae_encoder *e, const cpl_tensor *image) {
    double pixels = (double)image->h * image->w, sum = 0;
    for (int i = 0; i < e->spec.levels; i++, pixels /= 4) sum += level_products(e, i, pixels);
    return sum;
}

typedef struct encoding {
    const cpl_vae_encoder *e;
    cpl_stream *s;
    cpl_vae_work work;
    cpl_vae_probe *probe;
    void *probe_user;
    const cpl_tensor *image;
    cpl_tensor h; /* empty before the first level: then rows are made from the image */
} encoding;

static void level_in_strips(encoding *g, int i) {
    const cpl_vae_encoder *e = g->e;
    cpl_tensor known = {0};
    int out = e->spec.ch * e->spec.ch_mult[i];
    for (int k = 0; k < e->spec.num_res_blocks && cpl_stream_ok(g->s); k++) {
        const cpl_resblock *block = &e->level[i].block[k];
        cpl_rows x = {g->h.h, g->h.w, g->h.c, &g->h, NULL, NULL, false};
        if (!g->h.data) x = (cpl_rows){g->image->h, g->image->w, e->spec.ch, NULL, g->image, e->conv_in, false};
        bool in_place = x.kept && !block->skip;
        cpl_tensor y = in_place ? g->h : cpl_make(g->s, 1, x.h, x.w, out), sums = cpl_make_sums(g->s, out);
        cpl_strips_resblock(&g->work.strips, g->s, block, &x, &y, known.data ? &known : NULL, &sums,
                            1.0 / e->spec.num_res_blocks);
        if (!in_place) cpl_tensor_free(&g->h);
        cpl_tensor_free(&known);
        g->h = y;
        known = sums;
        cpl_vae_tell(g->s, g->probe, g->probe_user, &g->h, "encoder.down.%d.block.%d", i, k);
    }
    cpl_tensor_free(&known);
}

static void level_whole(encoding *g, int i) {
    const cpl_vae_encoder *e = g->e;
    if (!g->h.data) {
        g->h = cpl_make(g->s, g->image->n, g->image->h, g->image->w, e->spec.ch);
        g->s->ops->conv2d(g->s, &g->h, g->image, e->conv_in, cpl_conv_3x3, NULL);
        cpl_vae_tell(g->s, g->probe, g->probe_user, &g->h, "encoder.conv_in");
    }
    for (int k = 0; k < e->spec.num_res_blocks && cpl_stream_ok(g->s); k++) {
        g->h = cpl_resblock_run(&e->level[i].block[k], g->s, &g->h, NULL);
        cpl_vae_tell(g->s, g->probe, g->probe_user, &g->h, "encoder.down.%d.block.%d", i, k);
        cpl_vae_work_add(&g->work, 1.0 / e->spec.num_res_blocks);
    }
}

static void downsample(encoding *g, int i) {
    cpl_tensor half = cpl_make(g->s, g->h.n, g->h.h / 2, g->h.w / 2, g->h.c);
    g->s->ops->conv2d(g->s, &half, &g->h, g->e->level[i].downsample, halve, NULL);
    cpl_tensor_free(&g->h);
    g->h = half;
    cpl_vae_tell(g->s, g->probe, g->probe_user, &g->h, "encoder.down.%d.downsample", i);
}

cpl_tensor cpl_vae_encode_by(const cpl_vae_encoder *e, cpl_stream *s, const cpl_tensor *image, const cpl_vae_way *way,
                             cpl_vae_probe *probe, void *probe_user) {
    const cpl_vae_spec *spec = &e->spec;
    encoding g = {.e = e, .s = s, .probe = probe, .probe_user = probe_user, .image = image};
    cpl_vae_work_begin(&g.work, way, spec->ch, all_products(e, image));
    for (int i = 0, h = image->h, w = image->w, in = spec->ch; i < spec->levels && cpl_stream_ok(s); i++) {
        int out = spec->ch * spec->ch_mult[i];
        cpl_vae_work_enter(&g.work, level_products(e, i, (double)h * w));
        if (cpl_vae_work_needs_strips(&g.work, image->n, h, w, in > out ? in : out))
            level_in_strips(&g, i);
        else
            level_whole(&g, i);
        if (e->level[i].downsample && cpl_stream_ok(s)) downsample(&g, i);
        in = out, h /= 2, w /= 2;
    }
    cpl_tensor h = cpl_vae_mid_run(&e->mid, s, &g.h, "encoder", probe, probe_user);
    s->ops->group_norm(s, &h, &h, NULL, e->norm_out, spec->norm_groups, CPL_VAE_EPS, true);
    cpl_tensor moments = cpl_make_as(s, CPL_F32, h.n, h.h, h.w, 2 * spec->z_channels);
    cpl_tensor out = cpl_make_like(s, &moments);
    s->ops->conv2d(s, &moments, &h, e->conv_out, cpl_conv_3x3, NULL);
    cpl_tensor_free(&h);
    s->ops->linear(s, &out, &moments, e->quant, CPL_ACT_NONE, NULL);
    cpl_tensor_free(&moments);
    return out;
}

cpl_tensor cpl_vae_encode(const cpl_vae_encoder *e, cpl_stream *s, const cpl_tensor *image, cpl_vae_probe *probe,
                          void *probe_user) {
    return cpl_vae_encode_by(e, s, image, &(cpl_vae_way){0}, probe, probe_user);
}
