/* spec_json.c: a model's spec from the JSON text of `couplet.spec`. One table per object names the keys, their ranges and
 * what absence means; an error names the key. Unknown keys are ignored, so that later versions may add some. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "spec_reader.h"
#include "spec_rules.h"

enum { REQUIRED = 1 };

typedef struct field {
    const char *key;
    size_t offset; /* of an int */
    int least, most;
    int flags;
} field;

#define UNET(member) offsetof(cpl_unet_spec, member)
static const field unet_fields[] = {
    {"in_channels", UNET(in_channels), 1, 64, 0},
    {"model_channels", UNET(model_channels), 2, 4096, REQUIRED},
    {"num_res_blocks", UNET(num_res_blocks), 1, 16, REQUIRED},
    {"transformer_depth_middle", UNET(transformer_depth_middle), 0, 64, 0},
    {"num_heads", UNET(num_heads), -1, 1024, 0},
    {"num_head_channels", UNET(num_head_channels), -1, 4096, 0},
    {"context_dim", UNET(context_dim), 1, 16384, REQUIRED},
    {"adm_in_channels", UNET(adm_in_channels), 0, 16384, 0},
    {"norm_groups", UNET(norm_groups), 1, 1024, 0},
};

#define VAE(member) offsetof(cpl_vae_spec, member)
static const field vae_fields[] = {
    {"ch", VAE(ch), 1, 4096, REQUIRED},
    {"num_res_blocks", VAE(num_res_blocks), 1, 16, REQUIRED},
    {"z_channels", VAE(z_channels), 1, 64, 0},
    {"norm_groups", VAE(norm_groups), 1, 1024, 0},
};

#define TEXT(member) offsetof(cpl_text_spec, member)
static const field text_fields[] = {
    {"width", TEXT(width), 1, 8192, REQUIRED},
    {"layers", TEXT(layers), 1, 256, REQUIRED},
    {"heads", TEXT(heads), 1, 1024, REQUIRED},
    {"context_length", TEXT(context_length), 3, 4096, 0},
    {"vocab_size", TEXT(vocab_size), 3, 1 << 24, REQUIRED},
    {"projection_dim", TEXT(projection), 1, 16384, 0},
};

#define DEFAULTS(member) offsetof(cpl_defaults, member)
static const field default_fields[] = {
    {"width", DEFAULTS(width), CPL_MIN_SIDE, CPL_MAX_SIDE, 0},
    {"height", DEFAULTS(height), CPL_MIN_SIDE, CPL_MAX_SIDE, 0},
    {"steps", DEFAULTS(steps), 1, 1000, 0},
};

static void enter(spec_reader *r, const char *place) { snprintf(r->place, sizeof r->place, "%s", place); }

static bool read_fields(const spec_reader *r, const cJSON *object, const field *fields, size_t count, void *into) {
    for (size_t i = 0; i < count; i++) {
        const field *f = &fields[i];
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, f->key);
        if (!item && !(f->flags & REQUIRED)) continue;
        if (!item) return cpl_spec_wrong(r, f->key, "is missing");
        if (!cpl_spec_whole(r, item, f->key, f->least, f->most, (int *)((char *)into + f->offset))) return false;
    }
    return true;
}
#define READ(r, object, fields, into) read_fields(r, object, fields, sizeof(fields) / sizeof *(fields), into)

/* A list of `*count` numbers; of any number up to the most levels if that is 0. */
static bool levels(const spec_reader *r, const cJSON *object, const char *key, int least, int *list, int *count) {
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key), *item;
    int n = 0;
    if (!cJSON_IsArray(array)) return cpl_spec_wrong(r, key, array ? "is not a list" : "is missing");
    cJSON_ArrayForEach(item, array) {
        if (n == CPL_MAX_LEVELS) return cpl_spec_wrong(r, key, "has too many levels");
        if (!cpl_spec_whole(r, item, key, least, 64, &list[n++])) return false;
    }
    if (n == 0 || (*count && n != *count)) return cpl_spec_wrong(r, key, "has the wrong number of levels");
    *count = n;
    return true;
}

static bool read_unet(spec_reader *r, const cJSON *object, cpl_unet_spec *u) {
    const cJSON *linear = cJSON_GetObjectItemCaseSensitive(object, "use_linear_in_transformer");
    enter(r, "unet.");
    if (!cJSON_IsObject(object)) return cpl_spec_wrong(r, "", "is missing");
    if (linear && !cJSON_IsBool(linear))
        return cpl_spec_wrong(r, "use_linear_in_transformer", "is neither true nor false");
    u->linear_in_transformer = cJSON_IsTrue(linear);
    return READ(r, object, unet_fields, u) && levels(r, object, "channel_mult", 1, u->channel_mult, &u->levels) &&
           levels(r, object, "transformer_depth", 0, u->transformer_depth, &u->levels);
}

static bool read_vae(spec_reader *r, const cJSON *object, cpl_vae_spec *v) {
    double scale = v->scaling_factor;
    enter(r, "vae.");
    if (!cJSON_IsObject(object)) return cpl_spec_wrong(r, "", "is missing");
    if (!READ(r, object, vae_fields, v) || !levels(r, object, "ch_mult", 1, v->ch_mult, &v->levels) ||
        !cpl_spec_real(r, object, "scaling_factor", 1e-6, 1e6, &scale))
        return false;
    v->scaling_factor = (float)scale;
    memcpy(v->ch_mult_decoder, v->ch_mult, sizeof v->ch_mult);
    return !cJSON_HasObjectItem(object, "ch_mult_decoder") ||
           levels(r, object, "ch_mult_decoder", 1, v->ch_mult_decoder, &v->levels);
}

static bool read_text(spec_reader *r, const cJSON *object, cpl_text_spec *t) {
    char layout[16] = "hf", activation[16] = "quick_gelu";
    t->context_length = 77;
    if (!cJSON_IsObject(object)) return cpl_spec_wrong(r, "", "is not an object");
    if (!READ(r, object, text_fields, t) || !cpl_spec_string(r, object, "prefix", t->prefix, sizeof t->prefix) ||
        !cpl_spec_string(r, object, "layout", layout, sizeof layout) ||
        !cpl_spec_string(r, object, "activation", activation, sizeof activation))
        return false;
    t->openclip = !strcmp(layout, "openclip");
    t->quick_gelu = !strcmp(activation, "quick_gelu");
    if (!t->openclip && strcmp(layout, "hf") != 0)
        return cpl_spec_wrong(r, "layout", "is neither \"hf\" nor \"openclip\"");
    if (!t->quick_gelu && strcmp(activation, "gelu") != 0)
        return cpl_spec_wrong(r, "activation", "is neither \"quick_gelu\" nor \"gelu\"");
    return true;
}

static bool read_texts(spec_reader *r, const cJSON *array, cpl_model_spec *spec) {
    const cJSON *item;
    enter(r, "");
    int wanted = strcmp(spec->family, "sdxl") ? 1 : 2;
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != wanted)
        return cpl_spec_wrong(r, "text",
                              wanted == 1 ? "must be a list of one encoder" : "must be a list of two encoders");
    cJSON_ArrayForEach(item, array) {
        snprintf(r->place, sizeof r->place, "text[%d].", spec->texts);
        if (!read_text(r, item, &spec->text[spec->texts++])) return false;
    }
    enter(r, "");
    return true;
}

static bool numbers3(const cJSON *array, float out[3]) {
    const cJSON *item;
    int n = 0;
    if (cJSON_GetArraySize(array) != 3) return false;
    cJSON_ArrayForEach(item, array) {
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) return false;
        out[n++] = (float)item->valuedouble;
    }
    return true;
}

static bool read_latent_rgb(spec_reader *r, const cJSON *object, cpl_vae_spec *v) {
    const cJSON *factors = cJSON_GetObjectItemCaseSensitive(object, "factors"), *row;
    int n = 0;
    enter(r, "latent_rgb.");
    if (!object) return true;
    if (!cJSON_IsArray(factors) || cJSON_GetArraySize(factors) != v->z_channels ||
        v->z_channels > CPL_MAX_PREVIEW_CHANNELS)
        return cpl_spec_wrong(r, "factors",
                              "is not a list of one row for each latent channel, or they are more than 16");
    cJSON_ArrayForEach(row, factors) {
        if (!numbers3(row, v->latent_rgb[n++]))
            return cpl_spec_wrong(r, "factors", "has a row that is not three numbers");
    }
    if (!numbers3(cJSON_GetObjectItemCaseSensitive(object, "bias"), v->latent_rgb_bias))
        return cpl_spec_wrong(r, "bias", "is not three numbers");
    v->has_latent_rgb = true;
    return true;
}

static bool read_defaults(spec_reader *r, const cJSON *object, cpl_defaults *d) {
    enter(r, "defaults.");
    if (!object) return true;
    if (!READ(r, object, default_fields, d) || !cpl_spec_real(r, object, "cfg", 0, 1000, &d->cfg)) return false;
    if (d->width % 8 || d->height % 8) return cpl_spec_wrong(r, "width", "or height is not a multiple of 8");
    return cpl_spec_string(r, object, "sampler", d->sampler, sizeof d->sampler) &&
           cpl_spec_string(r, object, "schedule", d->schedule, sizeof d->schedule);
}

static bool read_noise(spec_reader *r, const cJSON *root, cpl_model_spec *spec) {
    static const field steps = {"num_train_timesteps", offsetof(cpl_model_spec, train_timesteps), 2,
                                CPL_MAX_TRAIN_STEPS, 0};
    char prediction[24] = "epsilon";
    enter(r, "");
    if (!read_fields(r, root, &steps, 1, spec) ||
        !cpl_spec_real(r, root, "beta_start", 1e-9, 0.999, &spec->beta_start) ||
        !cpl_spec_real(r, root, "beta_end", 1e-9, 0.999, &spec->beta_end) ||
        !cpl_spec_string(r, root, "prediction", prediction, sizeof prediction))
        return false;
    if (spec->beta_start > spec->beta_end) return cpl_spec_wrong(r, "beta_start", "is above beta_end");
    const cJSON *ends = cJSON_GetObjectItemCaseSensitive(root, "zero_terminal_snr");
    if (ends && !cJSON_IsBool(ends)) return cpl_spec_wrong(r, "zero_terminal_snr", "is neither true nor false");
    spec->zero_terminal_snr = cJSON_IsTrue(ends);
    return cpl_prediction_named(prediction, &spec->prediction) ||
           cpl_spec_wrong(r, "prediction", "is neither \"epsilon\" nor \"v_prediction\"");
}

bool cpl_spec_parse(const char *json, const char *file, cpl_model_spec *spec, cpl_error *error) {
    spec_reader r = {.file = file, .document = "couplet.spec", .error = error};
    cJSON *root = cJSON_Parse(json);
    char family[16] = "";
    bool ok = cJSON_IsObject(root) || cpl_spec_wrong(&r, "", "is not a JSON object");
    ok = ok && cpl_spec_string(&r, root, "family", family, sizeof family);
    if (ok && strcmp(family, "sd1") != 0 && strcmp(family, "sdxl") != 0)
        ok = cpl_spec_wrong(&r, "family", "is neither \"sd1\" nor \"sdxl\"");
    if (ok) cpl_spec_defaults(family, spec);
    ok = ok && read_unet(&r, cJSON_GetObjectItemCaseSensitive(root, "unet"), &spec->unet) &&
         read_vae(&r, cJSON_GetObjectItemCaseSensitive(root, "vae"), &spec->vae) &&
         read_texts(&r, cJSON_GetObjectItemCaseSensitive(root, "text"), spec) && read_noise(&r, root, spec) &&
         read_latent_rgb(&r, cJSON_GetObjectItemCaseSensitive(root, "latent_rgb"), &spec->vae) &&
         read_defaults(&r, cJSON_GetObjectItemCaseSensitive(root, "defaults"), &spec->defaults);
    cJSON_Delete(root);
    return ok;
}
