/* spec_kind.c: what a file is that is no checkpoint of the kinds that are built, told by its tensors' names. */
#include <string.h>

#include "spec_rules.h"

#define CHOOSE "choose an SD 1.x or SDXL checkpoint"
#define LORA "a LoRA: an addition to a checkpoint, not a model of its own; choose the checkpoint that it was made for"

/* Told by a part of a tensor's name, in this order: what is more particular comes first. */
static const struct {
    const char *part, *is;
} strangers[] = {
    {"lora_", LORA},
    {"lora.", LORA},
    {".hada_w1_", LORA},
    {".lokr_w", LORA},
    {".oft_blocks", LORA},
    {"control_model.", "a ControlNet, not a model of its own; choose a checkpoint"},
    {"input_hint_block.", "a ControlNet, not a model of its own; choose a checkpoint"},
    {"controlnet_", "a ControlNet, not a model of its own; choose a checkpoint"},
    {"ip_adapter.", "an IP-Adapter, not a model of its own; choose a checkpoint"},
    {"motion_modules.", "a motion module of AnimateDiff, not a model of its own; choose a checkpoint"},
    {"emb_params", "a textual inversion embedding, not a model of its own; choose a checkpoint"},
    {"string_to_param", "a textual inversion embedding, not a model of its own; choose a checkpoint"},
    {"double_blocks.", "a model of the Flux family, which cannot be used here; " CHOOSE},
    {"joint_blocks.", "a model of the SD 3 family, which cannot be used here; " CHOOSE},
    {"transformer_blocks.0.norm1_context.",
     "a transformer model of diffusers (SD 3, Flux or newer), which cannot be used here; " CHOOSE},
    {"input_blocks.0.0.weight",
     "a UNet as a part of a model, which is of no use alone; choose the whole checkpoint, with text encoder and VAE"},
    {"encoder.down_blocks.", "only a VAE; choose a whole checkpoint, and give the VAE with --vae"},
    {"decoder.conv_out", "only a VAE; choose a whole checkpoint, and give the VAE with --vae"},
    {"down_blocks.0.resnets.", "one part of a diffusers model; name the folder that holds its model_index.json"},
    {"text_model.", "only a text encoder; choose a whole checkpoint"},
    {"transformer.resblocks.", "only a text encoder; choose a whole checkpoint"},
    {"encoder.block.", "only a T5 text encoder; " CHOOSE},
    {"RDB1.conv1", "an upscaler, not a model of this kind; " CHOOSE},
    {"rdb1.conv1", "an upscaler, not a model of this kind; " CHOOSE},
};

/* An embedding for SDXL has just a table for each of the two encoders. */
static bool is_embedding(const cpl_checkpoint *c) {
    const cpl_ck_tensor *first = cpl_checkpoint_at(c, 0);
    return first && cpl_checkpoint_count(c) <= 2 && (!strcmp(first->name, "clip_g") || !strcmp(first->name, "clip_l"));
}

bool cpl_spec_refuse_guidance(const char *file, cpl_error *error) {
    return cpl_fail(
        error, CPL_E_UNSUPPORTED,
        "%s: this UNet takes the guidance scale as an input (a distilled LCM), which is not built; choose the "
        "model as it was before, with an LCM LoRA",
        file);
}

bool cpl_spec_refuse_stranger(const cpl_checkpoint *c, cpl_error *error) {
    const char *is =
        is_embedding(c) ? "a textual inversion embedding, not a model of its own; choose a checkpoint" : NULL;
    for (size_t k = 0; !is && k < sizeof strangers / sizeof *strangers; k++)
        for (int i = 0; !is && i < cpl_checkpoint_count(c); i++)
            if (strstr(cpl_checkpoint_at(c, i)->name, strangers[k].part)) is = strangers[k].is;
    if (is) return cpl_fail(error, CPL_E_UNSUPPORTED, "%s is %s", cpl_checkpoint_path(c), is);
    return cpl_fail(error, CPL_E_UNSUPPORTED, "%s holds no UNet that is known here; " CHOOSE, cpl_checkpoint_path(c));
}
