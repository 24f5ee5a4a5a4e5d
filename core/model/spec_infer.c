/* spec_infer.c: the hyper-parameters of a checkpoint, read off its tensors' LDM names and shapes. Only heads and groups of
 * norms cannot be seen in a shape: they follow from the family. Relatives that cannot be used are named for what they are. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "spec_rules.h"

#define UNET "model.diffusion_model."
#define VAE "first_stage_model."

typedef struct shapes {
    const cpl_checkpoint *checkpoint;
    cpl_error *error;
} shapes;

/* Entry of a printed name, or NULL. */
static const cpl_st_entry *named(const shapes *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const cpl_st_entry *named(const shapes *s, const char *format, ...) {
    char name[256];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    const cpl_ck_tensor *found = cpl_checkpoint_find(s->checkpoint, name);
    return found ? found->entry : NULL;
}

/* A side of a tensor as a plausible size, 0 where it has none. */
static int side(const cpl_st_entry *e, int dimension) {
    return e && dimension < e->rank && e->shape[dimension] > 0 && e->shape[dimension] < 1 << 24
               ? (int)e->shape[dimension]
               : 0;
}

static bool lacks(const shapes *s, const char *what) {
    return cpl_fail(s->error, CPL_E_FILE, "%s: no complete checkpoint: its %s cannot be made out; get the file again",
                    cpl_checkpoint_path(s->checkpoint), what);
}

static int transformer_depth(const shapes *s, const char *module) {
    int depth = 0;
    while (depth < 64 && named(s, UNET "%s.transformer_blocks.%d.norm1.weight", module, depth)) depth++;
    return depth;
}

static bool infer_unet(const shapes *s, cpl_unet_spec *u) {
    const cpl_st_entry *first = named(s, UNET "input_blocks.0.0.weight");
    char module[64];
    int level = 0, blocks = 0;
    u->model_channels = side(first, 0);
    u->in_channels = side(first, 1);
    if (!u->model_channels || !u->in_channels) return lacks(s, "UNet");
    for (int i = 1; i < 64; i++) {
        if (named(s, UNET "input_blocks.%d.0.op.weight", i)) { /* downsampling ends a level */
            if (!blocks || ++level == CPL_MAX_LEVELS) return lacks(s, "UNet's levels");
            blocks = 0;
            continue;
        }
        int channels = side(named(s, UNET "input_blocks.%d.0.out_layers.3.weight", i), 0);
        if (!channels) break;
        snprintf(module, sizeof module, "input_blocks.%d.1", i);
        u->channel_mult[level] = channels / u->model_channels;
        u->transformer_depth[level] = transformer_depth(s, module);
        if (channels % u->model_channels || !u->channel_mult[level]) return lacks(s, "UNet's channels");
        if (level == 0) u->num_res_blocks++;
        blocks++;
        const cpl_st_entry *proj = named(s, UNET "%s.proj_in.weight", module);
        if (!proj) continue;
        u->linear_in_transformer = proj->rank == 2;
        u->context_dim = side(named(s, UNET "%s.transformer_blocks.0.attn2.to_k.weight", module), 1);
    }
    u->levels = level + 1;
    u->transformer_depth_middle = transformer_depth(s, "middle_block.1");
    u->adm_in_channels = side(named(s, UNET "label_emb.0.0.weight"), 1);
    return (u->num_res_blocks && blocks && u->context_dim) || lacks(s, "UNet's blocks");
}

static bool infer_vae(const shapes *s, cpl_vae_spec *v) {
    /* What both halves' channels are multiples of: the encoder begins with it, while the decoder may end with more. */
    v->ch = side(named(s, VAE "encoder.conv_in.weight"), 0);
    if (!v->ch) v->ch = side(named(s, VAE "decoder.conv_out.weight"), 1);
    v->z_channels = side(named(s, VAE "decoder.conv_in.weight"), 1);
    v->levels = v->num_res_blocks = 0;
    if (!v->ch || !v->z_channels) return lacks(s, "VAE");
    for (; v->levels < CPL_MAX_LEVELS; v->levels++) {
        int out = side(named(s, VAE "decoder.up.%d.block.0.conv1.weight", v->levels), 0);
        int in = side(named(s, VAE "encoder.down.%d.block.0.conv1.weight", v->levels), 0);
        if (!out) break;
        v->ch_mult_decoder[v->levels] = out / v->ch;
        v->ch_mult[v->levels] = (in ? in : out) / v->ch;
        if (!v->ch_mult_decoder[v->levels] || !v->ch_mult[v->levels] || out % v->ch || in % v->ch)
            return lacks(s, "VAE's channels");
    }
    while (v->num_res_blocks < 16 && named(s, VAE "decoder.up.0.block.%d.conv1.weight", v->num_res_blocks + 1))
        v->num_res_blocks++;
    return (v->levels && v->num_res_blocks) || lacks(s, "VAE's blocks");
}

/* Both kinds of CLIP have heads of 64. */
static bool infer_text(const shapes *s, const char *prefix, bool openclip, cpl_text_spec *t) {
    const char *tokens = openclip ? "token_embedding.weight" : "embeddings.token_embedding.weight";
    const char *positions = openclip ? "positional_embedding" : "embeddings.position_embedding.weight";
    const cpl_st_entry *table = named(s, "%s%s", prefix, tokens);
    t->openclip = openclip;
    t->quick_gelu = !openclip;
    snprintf(t->prefix, sizeof t->prefix, "%s", prefix);
    t->vocab_size = side(table, 0);
    t->width = side(table, 1);
    t->heads = t->width < 64 ? 1 : t->width / 64;
    t->context_length = side(named(s, "%s%s", prefix, positions), 0);
    t->projection = openclip ? side(named(s, "%stext_projection", prefix), 1) : 0;
    for (char name[64]; t->layers < 256; t->layers++) {
        snprintf(name, sizeof name,
                 openclip ? "transformer.resblocks.%d.ln_1.weight" : "encoder.layers.%d.layer_norm1.weight", t->layers);
        if (!named(s, "%s%s", prefix, name)) break;
    }
    return (t->width && t->layers && t->context_length > 2 && t->vocab_size > 2) || lacks(s, "text encoder");
}

/* The value of a line "key: value" of a YAML text, without quotes; false: the line has another key, or none. */
static bool line_value(const char *line, const char *key, char *value, size_t size) {
    size_t length = strlen(key), blanks = strspn(line, " \t");
    if (strncmp(line + blanks, key, length) != 0 || line[blanks + length] != ':') return false;
    line += blanks + length + 1;
    line += strspn(line, " \t\"'");
    snprintf(value, size, "%.*s", (int)strcspn(line, " \t\"'#\r\n"), line);
    return true;
}

/* What the configurations of the original trainers say of the prediction: SD 1.x's in one word, SDXL's by a class. */
static bool config_tells_v(const char *text) {
    static const char scaling[] = ".VScaling";
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char value[160];
        if (line_value(line, "parameterization", value, sizeof value) && !strcmp(value, "v")) return true;
        if (!line_value(line, "target", value, sizeof value)) continue;
        size_t used = strlen(value), tail = sizeof scaling - 1;
        if (used > tail && !strcmp(value + used - tail, scaling)) return true;
    }
    return false;
}

/* How checkpoints mark what they predict: empty tensors (NoobAI, Forge), the metadata of the ModelSpec standard, what
 * ComfyUI writes in its place, or a configuration beside the file. */
static void infer_prediction(const shapes *s, cpl_model_spec *spec) {
    static const char *const keys[] = {"modelspec.predict_key", "modelspec.prediction_type"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *told = cpl_checkpoint_metadata(s->checkpoint, keys[i]);
        if (told) cpl_prediction_named(told, &spec->prediction);
    }
    const char *config = cpl_checkpoint_metadata(s->checkpoint, CPL_CHECKPOINT_CONFIG);
    if (named(s, "v_pred") || (config && config_tells_v(config))) spec->prediction = CPL_PREDICT_V;
    spec->zero_terminal_snr = named(s, "ztsnr") != NULL;
}

#define TEXT_1 "conditioner.embedders.0.transformer.text_model."
#define TEXT_2 "conditioner.embedders.1.model."
#define TEXT_2_HF "conditioner.embedders.1.transformer.text_model."

/* SDXL's second encoder is OpenCLIP's in single files, and the same in Hugging Face's names in folders. */
static bool infer_xl(const shapes *s, cpl_model_spec *spec) {
    bool openclip = named(s, TEXT_2 "token_embedding.weight") != NULL;
    spec->texts = 2;
    spec->unet.num_head_channels = 64;
    if (!infer_text(s, TEXT_1, false, &spec->text[0]) ||
        !infer_text(s, openclip ? TEXT_2 : TEXT_2_HF, openclip, &spec->text[1]))
        return false;
    spec->text[1].quick_gelu = false;
    if (!openclip)
        spec->text[1].projection = side(named(s, "conditioner.embedders.1.transformer.text_projection.weight"), 0);
    return true;
}

static bool refuse_sd2(const shapes *s) {
    return cpl_fail(s->error, CPL_E_UNSUPPORTED,
                    "%s is an SD 2.x checkpoint, which cannot be used here; choose an SD 1.x or SDXL checkpoint",
                    cpl_checkpoint_path(s->checkpoint));
}

/* In Hugging Face's names, which folders have, SD 2.x differs from SD 1.x by nothing but the width of its texts. It would
 * run, on chunks that are filled with another token than those it was trained on. */
#define SD2_WIDTH 1024

static bool infer_sd1(const shapes *s, cpl_model_spec *spec) {
    /* Old SD 1.x files leave "text_model." out. */
    static const char *const prefixes[] = {"cond_stage_model.transformer.text_model.", "cond_stage_model.transformer."};
    const char *file = cpl_checkpoint_path(s->checkpoint);
    spec->texts = 1;
    spec->unet.num_heads = 8;
    for (size_t i = 0; i < 2; i++)
        if (named(s, "%sembeddings.token_embedding.weight", prefixes[i]))
            return infer_text(s, prefixes[i], false, &spec->text[0]) &&
                   (spec->text[0].width != SD2_WIDTH || refuse_sd2(s));
    if (named(s, "cond_stage_model.model.token_embedding.weight")) return refuse_sd2(s);
    if (named(s, "conditioner.embedders.0.model.token_embedding.weight"))
        return cpl_fail(s->error, CPL_E_UNSUPPORTED,
                        "%s is SDXL's refiner, which makes no picture alone; choose an SDXL base checkpoint", file);
    return cpl_fail(s->error, CPL_E_UNSUPPORTED,
                    "%s holds a UNet without a text encoder that is known here; choose a whole SD 1.x or SDXL "
                    "checkpoint",
                    file);
}

/* Models that see more than the latent, whose channels are as many as the UNet gives. */
static bool channels_fit(const shapes *s, const cpl_unet_spec *u) {
    int gives = side(named(s, UNET "out.2.weight"), 0);
    const char *is = !gives || gives == u->in_channels ? NULL
                     : u->in_channels == 9             ? "an inpainting checkpoint (its UNet takes 9 channels)"
                     : u->in_channels == 8
                         ? "a checkpoint for editing pictures by instruction (its UNet takes 8 channels)"
                         : "a checkpoint whose UNet takes another number of channels than it gives";
    return !is || cpl_fail(s->error, CPL_E_UNSUPPORTED,
                           "%s is %s, which cannot be used here; choose the ordinary version of the model",
                           cpl_checkpoint_path(s->checkpoint), is);
}

/* Conversions of diffusers' LCMs to one file keep its name for the layer that no other model has. */
static bool takes_no_guidance(const shapes *s) {
    static const char *const names[] = {"time_embedding.cond_proj.weight", "time_embed.cond_proj.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (named(s, UNET "%s", names[i]))
            return cpl_spec_refuse_guidance(cpl_checkpoint_path(s->checkpoint), s->error);
    return true;
}

/* Nothing but a mark tells these apart from SDXL, and on its noise levels they would give no picture. */
static bool noise_levels_fit(const shapes *s) {
    static const char *const marks[][2] = {{"edm_mean", "Playground 2.5"},
                                           {"edm_std", "Playground 2.5"},
                                           {"edm_vpred.sigma_max", "CosXL"},
                                           {"edm_vpred.sigma_min", "CosXL"}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (named(s, "%s", marks[i][0]))
            return cpl_fail(
                s->error, CPL_E_UNSUPPORTED,
                "%s is a checkpoint like %s, trained on EDM's noise levels, which cannot be used here; choose "
                "an ordinary SDXL checkpoint",
                cpl_checkpoint_path(s->checkpoint), marks[i][1]);
    return true;
}

bool cpl_spec_infer_vae(const cpl_checkpoint *checkpoint, cpl_vae_spec *vae, cpl_error *error) {
    const shapes s = {checkpoint, error};
    if (!named(&s, VAE "decoder.conv_in.weight"))
        return cpl_fail(error, CPL_E_FILE, "%s holds no VAE, which turns latents into pictures; give one with --vae",
                        cpl_checkpoint_path(checkpoint));
    return infer_vae(&s, vae);
}

bool cpl_spec_infer(const cpl_checkpoint *checkpoint, cpl_model_spec *spec, cpl_error *error) {
    const shapes s = {checkpoint, error};
    if (!named(&s, UNET "input_blocks.0.0.weight")) return cpl_spec_refuse_stranger(checkpoint, error);
    bool xl = named(&s, TEXT_2 "token_embedding.weight") || named(&s, TEXT_2_HF "embeddings.token_embedding.weight");
    cpl_spec_defaults(xl ? "sdxl" : "sd1", spec);
    infer_prediction(&s, spec);
    return noise_levels_fit(&s) && infer_unet(&s, &spec->unet) && channels_fit(&s, &spec->unet) &&
           takes_no_guidance(&s) && (xl ? infer_xl(&s, spec) : infer_sd1(&s, spec)) &&
           cpl_spec_infer_vae(checkpoint, &spec->vae, error);
}
