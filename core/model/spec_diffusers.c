/* spec_diffusers.c: what the config.json files of a diffusers folder say and no shape shows: heads, groups of norms,
 * activations, the VAE's scale, what is predicted. An absent file or key leaves what was made out before. */
#include <stdio.h>
#include <string.h>

#include "spec_reader.h"
#include "spec_rules.h"

/* Empty object where the model has no such text; NULL, and the reader's error, where it is no JSON object. */
static cJSON *document(const cpl_checkpoint *c, spec_reader *r, const char *name) {
    const char *text = cpl_checkpoint_metadata(c, name);
    cJSON *root = text ? cJSON_Parse(text) : cJSON_CreateObject();
    r->document = name;
    if (cJSON_IsObject(root)) return root;
    cJSON_Delete(root);
    cpl_spec_wrong(r, "", "is not a JSON object; get the file again");
    return NULL;
}

/* An absent or null number leaves `*value` as it is. */
static bool whole(const spec_reader *r, const cJSON *object, const char *key, int least, int most, int *value) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return !item || cJSON_IsNull(item) || cpl_spec_whole(r, item, key, least, most, value);
}

/* diffusers' "attention_head_dim" is, against its name, the number of heads: one for all levels or one for each. */
static bool read_heads(const spec_reader *r, const cJSON *root, cpl_unet_spec *u) {
    const char *key = "num_attention_heads";
    const cJSON *heads = cJSON_GetObjectItemCaseSensitive(root, key), *item;
    if (!heads || cJSON_IsNull(heads)) heads = cJSON_GetObjectItemCaseSensitive(root, key = "attention_head_dim");
    if (!heads || cJSON_IsNull(heads)) return true;
    u->num_head_channels = -1;
    if (!cJSON_IsArray(heads)) return cpl_spec_whole(r, heads, key, 1, 1024, &u->num_heads);
    int level = 0, same_heads = 0, same_size = 0;
    bool heads_differ = false, sizes_differ = false;
    cJSON_ArrayForEach(item, heads) {
        int count;
        if (level >= u->levels || !cpl_spec_whole(r, item, key, 1, 1024, &count))
            return level < u->levels ? false : cpl_spec_wrong(r, key, "has more levels than the UNet");
        int size = u->model_channels * u->channel_mult[level] / count;
        heads_differ |= level && count != same_heads;
        sizes_differ |= level && size != same_size;
        same_heads = count, same_size = size;
        level++;
    }
    if (level != u->levels) return cpl_spec_wrong(r, key, "has fewer levels than the UNet");
    if (heads_differ && sizes_differ)
        return cpl_spec_wrong(r, key, "has neither one number of heads nor one size of heads, which cannot be used");
    u->num_heads = heads_differ ? -1 : same_heads;
    u->num_head_channels = heads_differ ? same_size : -1;
    return true;
}

static bool read_unet(const cpl_checkpoint *c, spec_reader *r, cpl_unet_spec *u) {
    cJSON *root = document(c, r, "unet/config.json");
    bool done = root && read_heads(r, root, u) && whole(r, root, "norm_num_groups", 1, 1024, &u->norm_groups);
    const cJSON *guidance = cJSON_GetObjectItemCaseSensitive(root, "time_cond_proj_dim");
    if (done && cJSON_IsNumber(guidance)) done = cpl_spec_refuse_guidance(r->file, r->error);
    cJSON_Delete(root);
    return done;
}

static bool read_vae(const cpl_checkpoint *c, spec_reader *r, cpl_vae_spec *v) {
    cJSON *root = document(c, r, "vae/config.json");
    double scale = (double)v->scaling_factor;
    bool done = root && whole(r, root, "norm_num_groups", 1, 1024, &v->norm_groups) &&
                cpl_spec_real(r, root, "scaling_factor", 1e-6, 1e6, &scale);
    v->scaling_factor = (float)scale;
    cJSON_Delete(root);
    return done;
}

static bool read_text(const cpl_checkpoint *c, spec_reader *r, const char *name, cpl_text_spec *t) {
    cJSON *root = document(c, r, name);
    char activation[32] = "";
    bool done = root && whole(r, root, "num_attention_heads", 1, 1024, &t->heads) &&
                cpl_spec_string(r, root, "hidden_act", activation, sizeof activation);
    if (done && *activation) {
        t->quick_gelu = !strcmp(activation, "quick_gelu");
        done = t->quick_gelu || !strcmp(activation, "gelu") ||
               cpl_spec_wrong(r, "hidden_act", "is neither \"quick_gelu\" nor \"gelu\"");
    }
    cJSON_Delete(root);
    return done;
}

/* EDM's schedulers belong to models that were trained on its noise levels (Playground 2.5). */
static bool noise_levels_fit(const spec_reader *r, const cJSON *root) {
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "_class_name"));
    return !name || strncmp(name, "EDM", 3) != 0 ||
           cpl_fail(
               r->error, CPL_E_UNSUPPORTED,
               "%s: its scheduler is %.60s: the model was trained on EDM's noise levels, which cannot be used here; "
               "choose an ordinary SDXL model",
               r->file, name);
}

static bool read_scheduler(const cpl_checkpoint *c, spec_reader *r, cpl_model_spec *spec) {
    cJSON *root = document(c, r, "scheduler/scheduler_config.json");
    char prediction[24] = "", betas[32] = "scaled_linear";
    bool done = root && noise_levels_fit(r, root) &&
                cpl_spec_string(r, root, "prediction_type", prediction, sizeof prediction) &&
                cpl_spec_string(r, root, "beta_schedule", betas, sizeof betas) &&
                cpl_spec_real(r, root, "beta_start", 1e-9, 0.999, &spec->beta_start) &&
                cpl_spec_real(r, root, "beta_end", 1e-9, 0.999, &spec->beta_end) &&
                whole(r, root, "num_train_timesteps", 2, CPL_MAX_TRAIN_STEPS, &spec->train_timesteps);
    if (done && *prediction && !cpl_prediction_named(prediction, &spec->prediction))
        done = cpl_spec_wrong(r, "prediction_type", "is neither \"epsilon\" nor \"v_prediction\"");
    if (done && strcmp(betas, "scaled_linear") != 0)
        done = cpl_spec_wrong(r, "beta_schedule", "is not \"scaled_linear\", which SD 1.x and SDXL have");
    if (done && spec->beta_start > spec->beta_end) done = cpl_spec_wrong(r, "beta_start", "is above beta_end");
    spec->zero_terminal_snr |= cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "rescale_betas_zero_snr"));
    cJSON_Delete(root);
    return done;
}

bool cpl_spec_configure(const cpl_checkpoint *c, cpl_model_spec *spec, cpl_error *error) {
    static const char *const texts[CPL_MAX_TEXTS] = {"text_encoder/config.json", "text_encoder_2/config.json"};
    spec_reader r = {.file = cpl_checkpoint_path(c), .error = error};
    bool done = read_unet(c, &r, &spec->unet) && read_vae(c, &r, &spec->vae);
    for (int i = 0; done && i < spec->texts && i < CPL_MAX_TEXTS; i++)
        done = read_text(c, &r, texts[i], &spec->text[i]);
    return done && read_scheduler(c, &r, spec);
}
