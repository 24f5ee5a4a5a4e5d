/* spec.h: the hyper-parameters of a model. From the safetensors metadata key `couplet.spec` (JSON, see CONTRIBUTING.md);
 * a file without one is read off its tensors' names and shapes. */
#ifndef CPL_MODEL_SPEC_H
#define CPL_MODEL_SPEC_H

#include "checkpoint.h"

#define CPL_MAX_LEVELS 8
#define CPL_MAX_TEXTS 2
#define CPL_MAX_PREVIEW_CHANNELS 16
#define CPL_MAX_TRAIN_STEPS 1000 /* as many noise levels are kept of a model */

typedef enum cpl_prediction { CPL_PREDICT_EPSILON, CPL_PREDICT_V } cpl_prediction;

typedef struct cpl_unet_spec {
    int in_channels, model_channels, levels, num_res_blocks;
    int channel_mult[CPL_MAX_LEVELS], transformer_depth[CPL_MAX_LEVELS], transformer_depth_middle;
    int num_heads, num_head_channels; /* num_heads > 0: that many everywhere; else channels / num_head_channels */
    int context_dim, adm_in_channels, norm_groups;
    bool linear_in_transformer; /* proj_in/out are linear [o, i] and not 1x1 convolutions */
} cpl_unet_spec;

typedef struct cpl_vae_spec {
    int ch, levels, ch_mult[CPL_MAX_LEVELS], ch_mult_decoder[CPL_MAX_LEVELS];
    int num_res_blocks, z_channels, norm_groups;
    float scaling_factor;
    bool has_latent_rgb;
    /* Latent (sampler scale) to RGB 0..1, linear, for previews; a row for each of z_channels. */
    float latent_rgb[CPL_MAX_PREVIEW_CHANNELS][3], latent_rgb_bias[3];
} cpl_vae_spec;

typedef struct cpl_text_spec {
    char prefix[96]; /* of the tensor names */
    bool openclip;   /* layout "openclip" (joint in_proj) instead of "hf" */
    bool quick_gelu;
    int width, layers, heads, context_length, vocab_size, projection;
} cpl_text_spec;

typedef struct cpl_model_spec {
    char family[16]; /* "sd1", "sdxl" */
    cpl_unet_spec unet;
    cpl_vae_spec vae;
    cpl_text_spec text[CPL_MAX_TEXTS];
    int texts;
    cpl_prediction prediction;
    bool zero_terminal_snr; /* trained on noise levels whose last one holds no picture at all */
    double beta_start, beta_end;
    int train_timesteps;
    cpl_defaults defaults;
} cpl_model_spec;

/* Length of the prefix of text_projection: Hugging Face's stands beside the transformer ("text_model."), not in it. */
size_t cpl_text_projection_prefix(const cpl_text_spec *text);
/* "epsilon", "v" and the other spellings that files have; false: none of them. */
bool cpl_prediction_named(const char *name, cpl_prediction *prediction);
/* What a user says of it (cpl_prediction_names) in place of what the model says; NULL, "" or another name changes nothing. */
void cpl_prediction_override(const char *name, cpl_prediction *prediction, bool *zero_terminal_snr);
bool cpl_model_spec_read(const cpl_checkpoint *checkpoint, cpl_model_spec *spec, cpl_error *error);

#endif
