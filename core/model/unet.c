/* unet.c: the UNet of SD 1.x and SDXL from a checkpoint in LDM naming, and what depends on the text only. How it runs is
 * in unet_run.c. */
#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "unet_blocks.h"

static const char prefix[] = "model.diffusion_model.";

/* The spec comes from a file. What is checked here is what the code below divides by, or indexes with. */
static bool spec_is_sound(const cpl_unet_spec *spec, cpl_error *error) {
    if (spec->levels < 1 || spec->levels > CPL_MAX_LEVELS || spec->num_res_blocks < 1 ||
        spec->num_res_blocks >= CPL_UNET_MAX_SKIPS / CPL_MAX_LEVELS || spec->in_channels < 1 ||
        spec->model_channels < 2 || spec->model_channels > 1 << 16 || spec->model_channels % 2 != 0 ||
        spec->context_dim < 1 || spec->norm_groups < 1 || spec->adm_in_channels < 0)
        return cpl_fail(error, CPL_E_UNSUPPORTED,
                        "the model's spec describes no UNet that can be built (%d levels of %d blocks, %d channels)",
                        spec->levels, spec->num_res_blocks, spec->model_channels);
    for (int i = 0; i < spec->levels; i++) {
        int mult = spec->channel_mult[i], channels = spec->model_channels * mult;
        int heads = spec->num_heads > 0           ? spec->num_heads
                    : spec->num_head_channels > 0 ? channels / spec->num_head_channels
                                                  : 0;
        if (mult < 1 || mult > 64 || channels % spec->norm_groups != 0)
            return cpl_fail(error, CPL_E_UNSUPPORTED, "the model's spec: %d channels at level %d, norms of %d groups",
                            channels, i, spec->norm_groups);
        bool attends = spec->transformer_depth[i] > 0 || i == spec->levels - 1;
        if (attends && (heads < 1 || channels % heads != 0))
            return cpl_fail(error, CPL_E_UNSUPPORTED, "the model's spec: %d heads for %d channels at level %d", heads,
                            channels, i);
        if (spec->transformer_depth[i] < 0 || spec->transformer_depth[i] > 64 || spec->transformer_depth_middle < 0 ||
            spec->transformer_depth_middle > 64)
            return cpl_fail(error, CPL_E_UNSUPPORTED, "the model's spec: a transformer of %d and one of %d blocks",
                            spec->transformer_depth[i], spec->transformer_depth_middle);
    }
    return true;
}

static int heads_of(const cpl_unet_spec *spec, int channels) {
    return spec->num_heads > 0 ? spec->num_heads : channels / spec->num_head_channels;
}

static const char *module_name(char name[48], const cpl_unet_block *b, int module) {
    snprintf(name, 48, "%s.%d", b->name, b->first_module + module);
    return name;
}

/* Loads a ResBlock and, with depth > 0, a transformer into `b`; returns how many modules that were. */
static int load_modules(cpl_unet *u, cpl_loader *l, cpl_unet_block *b, int in, int out, int depth) {
    char name[48], module_prefix[96];
    int modules = 0;
    b->has_res = true;
    snprintf(module_prefix, sizeof module_prefix, "%s%s.", prefix, module_name(name, b, modules++));
    cpl_resblock_load(&b->res, l, module_prefix, &cpl_resblock_unet_names, in, out, 4 * u->spec.model_channels,
                      u->spec.norm_groups, 1e-5f);
    if (depth > 0) {
        snprintf(module_prefix, sizeof module_prefix, "%s%s.", prefix, module_name(name, b, modules++));
        cpl_transformer_load(&b->transformer, l, module_prefix, out, heads_of(&u->spec, out), depth,
                             u->spec.context_dim, u->spec.norm_groups);
        b->transformer.first_layer = u->text_layers;
        u->text_layers += b->transformer.depth;
    }
    return modules;
}

/* channels: of each skip that the input half leaves behind. Returns the channels at its end. */
static int load_inputs(cpl_unet *u, cpl_loader *l, int channels[CPL_UNET_MAX_SKIPS]) {
    const cpl_unet_spec *spec = &u->spec;
    char name[64];
    int c = spec->model_channels, i = 0;
    for (int level = 0; level < spec->levels; level++) {
        /* Each level is entered through a convolution: the first from the latent, the others by halving. */
        cpl_unet_block *b = &u->block[i];
        snprintf(b->name, sizeof b->name, "input_blocks.%d", i);
        snprintf(name, sizeof name, "%s.0%s", b->name, level > 0 ? ".op" : "");
        b->level = level;
        b->conv_kind = level > 0 ? CPL_UNET_CONV_DOWN : CPL_UNET_CONV_STEM;
        l->type = level > 0 ? cpl_load_precision(l) : CPL_F32;
        b->conv = cpl_load_conv(l, prefix, name, c, level > 0 ? c : spec->in_channels, 3);
        l->type = cpl_load_precision(l);
        channels[i++] = c;
        for (int k = 0; k < spec->num_res_blocks; k++, i++) {
            int out = spec->model_channels * spec->channel_mult[level];
            b = &u->block[i];
            snprintf(b->name, sizeof b->name, "input_blocks.%d", i);
            b->level = level;
            load_modules(u, l, b, c, out, spec->transformer_depth[level]);
            channels[i] = c = out;
        }
    }
    return c;
}

static void load_middle(cpl_unet *u, cpl_loader *l, int c) {
    cpl_unet_block *b = &u->block[u->half];
    for (int k = 0; k < CPL_UNET_MIDDLE_BLOCKS; k++) {
        snprintf(b[k].name, sizeof b[k].name, "middle_block");
        b[k].level = u->spec.levels - 1;
    }
    b[1].first_module = load_modules(u, l, &b[0], c, c, u->spec.transformer_depth_middle);
    load_modules(u, l, &b[1], c, c, 0);
}

static void load_outputs(cpl_unet *u, cpl_loader *l, int c, const int channels[CPL_UNET_MAX_SKIPS]) {
    const cpl_unet_spec *spec = &u->spec;
    int i = 0, skip = u->half;
    for (int level = spec->levels - 1; level >= 0; level--) {
        int out = spec->model_channels * spec->channel_mult[level];
        for (int k = 0; k <= spec->num_res_blocks; k++, i++) {
            cpl_unet_block *b = &u->block[u->half + CPL_UNET_MIDDLE_BLOCKS + i];
            char name[64], module[48];
            snprintf(b->name, sizeof b->name, "output_blocks.%d", i);
            b->level = level;
            int modules = load_modules(u, l, b, c + channels[--skip], out, spec->transformer_depth[level]);
            c = out;
            if (level == 0 || k < spec->num_res_blocks) continue;
            snprintf(name, sizeof name, "%s.conv", module_name(module, b, modules));
            b->conv_kind = CPL_UNET_CONV_UP;
            b->conv = cpl_load_conv(l, prefix, name, c, c, 3);
        }
    }
}

static void load_unet(cpl_unet *u, cpl_loader *l) {
    const cpl_unet_spec *spec = &u->spec;
    int channels[CPL_UNET_MAX_SKIPS], c = spec->model_channels, wide = 4 * c;
    /* What all blocks hear, what comes in and what goes out is f32: each is a small layer, and its rounding would be in
     * every value of the picture. */
    l->type = CPL_F32;
    u->time_in = cpl_load_linear(l, prefix, "time_embed.0", wide, c, CPL_LOAD_BIAS);
    u->time_out = cpl_load_linear(l, prefix, "time_embed.2", wide, wide, CPL_LOAD_BIAS);
    if (spec->adm_in_channels > 0) {
        u->label_in = cpl_load_linear(l, prefix, "label_emb.0.0", wide, spec->adm_in_channels, CPL_LOAD_BIAS);
        u->label_out = cpl_load_linear(l, prefix, "label_emb.0.2", wide, wide, CPL_LOAD_BIAS);
    }
    l->type = cpl_load_precision(l);
    int deepest = load_inputs(u, l, channels);
    load_middle(u, l, deepest);
    load_outputs(u, l, deepest, channels);
    int first = spec->model_channels * spec->channel_mult[0];
    l->type = CPL_F32;
    u->out_norm = cpl_load_norm(l, prefix, "out.0", first);
    u->out_conv = cpl_load_conv(l, prefix, "out.2", spec->in_channels, first, 3);
}

cpl_unet *cpl_unet_new(cpl_loader *l, const cpl_unet_spec *spec) {
    cpl_unet *u = cpl_load_begin(l, sizeof *u, spec_is_sound(spec, l->error));
    if (!u) return NULL;
    u->spec = *spec;
    u->half = spec->levels * (spec->num_res_blocks + 1);
    u->blocks = 2 * u->half + CPL_UNET_MIDDLE_BLOCKS;
    u->block = cpl_alloc((size_t)u->blocks, sizeof *u->block, l->error);
    l->failed = !u->block;
    if (!l->failed) load_unet(u, l);
    if (!l->failed) return u;
    cpl_unet_free(u, l->backend);
    return NULL;
}

void cpl_unet_free(cpl_unet *u, cpl_backend *backend) {
    if (!u) return;
    for (int i = 0; u->block && i < u->blocks; i++) {
        cpl_resblock_free(&u->block[i].res, backend);
        cpl_transformer_free(&u->block[i].transformer, backend);
        cpl_weight_drop(backend, &u->block[i].conv);
    }
    free(u->block);
    cpl_weight **const weights[] = {&u->time_in, &u->time_out, &u->label_in, &u->label_out, &u->out_norm, &u->out_conv};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) cpl_weight_drop(backend, weights[i]);
    free(u);
}

int cpl_unet_levels(const cpl_unet *u) { return u->spec.levels; }

void cpl_unet_grid(int latent_w, int latent_h, int level, int *w, int *h) {
    *w = latent_w, *h = latent_h;
    for (int i = 0; i < level; i++) *w = (*w + 1) / 2, *h = (*h + 1) / 2;
}

bool cpl_unet_couples(const cpl_unet *u, int level) {
    return level >= 0 && level < u->spec.levels &&
           (u->spec.transformer_depth[level] > 0 ||
            (level == u->spec.levels - 1 && u->spec.transformer_depth_middle > 0));
}

bool cpl_unet_text_kv(const cpl_unet *u, cpl_stream *s, const cpl_tensor *conditioning, cpl_text_kv *kv,
                      cpl_error *error) {
    *kv = (cpl_text_kv){.layers = u->text_layers};
    if (u->text_layers == 0) return true;
    kv->k = cpl_alloc((size_t)u->text_layers * 2, sizeof *kv->k, error);
    if (!kv->k) return false;
    kv->v = kv->k + u->text_layers;
    for (int i = 0; i < u->blocks; i++) {
        const cpl_transformer *t = &u->block[i].transformer;
        cpl_transformer_text_kv(t, s, conditioning, kv->k + t->first_layer, kv->v + t->first_layer);
    }
    if (cpl_stream_ok(s)) return true;
    cpl_text_kv_free(kv);
    return cpl_stream_settle(s, error);
}

void cpl_text_kv_free(cpl_text_kv *kv) {
    for (int i = 0; kv->k && i < kv->layers; i++) {
        cpl_tensor_free(&kv->k[i]);
        cpl_tensor_free(&kv->v[i]);
    }
    free(kv->k); /* k and v are one block */
    *kv = (cpl_text_kv){0};
}

void cpl_text_kv_keep(const cpl_text_kv *kv) {
    for (int i = 0; i < kv->layers; i++) {
        cpl_tensor_keep(&kv->k[i]);
        cpl_tensor_keep(&kv->v[i]);
    }
}

size_t cpl_text_kv_bytes(const cpl_text_kv *kv) {
    size_t bytes = (size_t)kv->layers * 2 * sizeof *kv->k;
    for (int i = 0; i < kv->layers; i++) bytes += cpl_tensor_bytes(&kv->k[i]) + cpl_tensor_bytes(&kv->v[i]);
    return bytes;
}
