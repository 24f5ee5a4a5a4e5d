/* spec.c: which hyper-parameters a model has, and whether they can be right. Reading them from JSON is spec_json.c's, from
 * shapes spec_infer.c's subject. */
#include "spec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "spec_rules.h"

void cpl_spec_defaults(const char *family, cpl_model_spec *spec) {
    bool xl = !strcmp(family, "sdxl");
    *spec = (cpl_model_spec){
        .unet = {.in_channels = 4, .num_heads = -1, .num_head_channels = -1, .norm_groups = 32},
        .vae = {.z_channels = 4, .norm_groups = 32, .scaling_factor = xl ? 0.13025F : 0.18215F},
        .beta_start = 0.00085,
        .beta_end = 0.012,
        .train_timesteps = 1000,
        .defaults = {.width = xl ? 1024 : 512,
                     .height = xl ? 1024 : 512,
                     .steps = 20,
                     .cfg = 7,
                     .sampler = "euler",
                     .schedule = "normal"},
    };
    snprintf(spec->family, sizeof spec->family, "%s", family);
}

static bool check_unet(const cpl_unet_spec *u, const char *file, cpl_error *error) {
    if (u->model_channels % 2)
        return cpl_fail(error, CPL_E_FILE, "%s: unet.model_channels is %d, but must be even", file, u->model_channels);
    for (int i = 0; i < u->levels; i++) {
        int channels = u->model_channels * u->channel_mult[i];
        int depth = u->transformer_depth[i];
        if (i == u->levels - 1 && u->transformer_depth_middle > depth) depth = u->transformer_depth_middle;
        if (channels % u->norm_groups)
            return cpl_fail(error, CPL_E_FILE, "%s: unet level %d has %d channels, which %d norm_groups do not divide",
                            file, i, channels, u->norm_groups);
        int divisor = u->num_heads > 0 ? u->num_heads : u->num_head_channels;
        if (depth && (divisor <= 0 || channels % divisor))
            return cpl_fail(
                error, CPL_E_FILE,
                "%s: unet level %d has %d channels, which its num_heads or num_head_channels (%d) do not divide", file,
                i, channels, divisor);
    }
    return true;
}

static bool check_vae(const cpl_vae_spec *v, const char *file, cpl_error *error) {
    for (int i = 0; i < v->levels; i++)
        if (v->ch * v->ch_mult[i] % v->norm_groups || v->ch * v->ch_mult_decoder[i] % v->norm_groups)
            return cpl_fail(error, CPL_E_FILE, "%s: vae level %d has channels that %d norm_groups do not divide", file,
                            i, v->norm_groups);
    if (v->ch % v->norm_groups)
        return cpl_fail(error, CPL_E_FILE, "%s: vae.ch is %d, which %d norm_groups do not divide", file, v->ch,
                        v->norm_groups);
    return isfinite(v->scaling_factor) && v->scaling_factor > 0
               ? true
               : cpl_fail(error, CPL_E_FILE, "%s: vae.scaling_factor must be above 0", file);
}

bool cpl_spec_check(const cpl_model_spec *spec, const char *file, cpl_error *error) {
    int width = 0;
    if (!check_unet(&spec->unet, file, error) || !check_vae(&spec->vae, file, error)) return false;
    for (int i = 0; i < spec->texts; i++) {
        const cpl_text_spec *t = &spec->text[i];
        width += t->width;
        if (t->width % t->heads)
            return cpl_fail(error, CPL_E_FILE, "%s: text[%d].width is %d, which %d heads do not divide", file, i,
                            t->width, t->heads);
        if (t->context_length != spec->text[0].context_length)
            return cpl_fail(error, CPL_E_FILE, "%s: the text encoders have context lengths of %d and %d", file,
                            spec->text[0].context_length, t->context_length);
    }
    if (width != spec->unet.context_dim)
        return cpl_fail(error, CPL_E_FILE, "%s: the text encoders are %d wide, but unet.context_dim is %d", file, width,
                        spec->unet.context_dim);
    if (spec->unet.in_channels != spec->vae.z_channels)
        return cpl_fail(error, CPL_E_UNSUPPORTED,
                        "%s: the VAE makes latents of %d channels, but the UNet takes %d; choose the VAE that belongs "
                        "to the model",
                        file, spec->vae.z_channels, spec->unet.in_channels);
    return true;
}

size_t cpl_text_projection_prefix(const cpl_text_spec *text) {
    static const char inner[] = "text_model.";
    size_t length = strlen(text->prefix), tail = sizeof inner - 1;
    bool inside = !text->openclip && length >= tail && strcmp(text->prefix + length - tail, inner) == 0;
    return inside ? length - tail : length;
}

bool cpl_prediction_named(const char *name, cpl_prediction *prediction) {
    static const struct {
        const char *name;
        cpl_prediction means;
    } names[] = {{"epsilon", CPL_PREDICT_EPSILON}, {"eps", CPL_PREDICT_EPSILON},    {"v", CPL_PREDICT_V},
                 {"v_prediction", CPL_PREDICT_V},  {"v-prediction", CPL_PREDICT_V}, {"v_zsnr", CPL_PREDICT_V}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, name)) {
            *prediction = names[i].means;
            return true;
        }
    return false;
}

const char *const *cpl_prediction_names(void) {
    static const char *const names[] = {"epsilon", "v", "v_zsnr", NULL};
    return names;
}

void cpl_prediction_override(const char *name, cpl_prediction *prediction, bool *zero_terminal_snr) {
    if (name && cpl_prediction_named(name, prediction)) *zero_terminal_snr = !strcmp(name, "v_zsnr");
}

/* Another model's VAE has the latents that the UNet was trained on, or it would be of no use: scale and preview stay. */
static bool read_lent_vae(const cpl_checkpoint *checkpoint, cpl_model_spec *spec, cpl_error *error) {
    if (!cpl_checkpoint_is_lent(checkpoint, "first_stage_model.")) return true;
    return cpl_spec_infer_vae(checkpoint, &spec->vae, error);
}

bool cpl_model_spec_read(const cpl_checkpoint *checkpoint, cpl_model_spec *spec, cpl_error *error) {
    const char *json = cpl_checkpoint_metadata(checkpoint, "couplet.spec"), *file = cpl_checkpoint_path(checkpoint);
    bool read = json ? cpl_spec_parse(json, file, spec, error)
                     : cpl_spec_infer(checkpoint, spec, error) && cpl_spec_configure(checkpoint, spec, error);
    return read && read_lent_vae(checkpoint, spec, error) && cpl_spec_check(spec, file, error);
}
