/* lora_names.c: the spellings of LoRA files as tables: kohya's scripts, LyCORIS, diffusers old and new, PEFT, ComfyUI. What a
 * module is called in the model that it belongs to is not known here. */
#include "lora_names.h"

#include <string.h>

static const struct {
    const char *suffix;
    cpl_lora_part part;
} suffixes[] = {
    {".lora_down.weight", CPL_LORA_DOWN},
    {".lora_up.weight", CPL_LORA_UP},
    {".lora_mid.weight", CPL_LORA_MID},
    {".alpha", CPL_LORA_ALPHA},
    {".lora_A.weight", CPL_LORA_DOWN},
    {".lora_B.weight", CPL_LORA_UP},
    {".lora_A.default.weight", CPL_LORA_DOWN},
    {".lora_B.default.weight", CPL_LORA_UP},
    {".lora_linear_layer.down.weight", CPL_LORA_DOWN},
    {".lora_linear_layer.up.weight", CPL_LORA_UP},
    {".lora.down.weight", CPL_LORA_DOWN},
    {".lora.up.weight", CPL_LORA_UP},
    {"_lora.down.weight", CPL_LORA_DOWN},
    {"_lora.up.weight", CPL_LORA_UP},
    {".hada_w1_a", CPL_LOHA_W1A},
    {".hada_w1_b", CPL_LOHA_W1B},
    {".hada_w2_a", CPL_LOHA_W2A},
    {".hada_w2_b", CPL_LOHA_W2B},
    {".hada_t1", CPL_LOHA_T1},
    {".hada_t2", CPL_LOHA_T2},
    {".lokr_w1", CPL_LOKR_W1},
    {".lokr_w1_a", CPL_LOKR_W1A},
    {".lokr_w1_b", CPL_LOKR_W1B},
    {".lokr_w2", CPL_LOKR_W2},
    {".lokr_w2_a", CPL_LOKR_W2A},
    {".lokr_w2_b", CPL_LOKR_W2B},
    {".lokr_t2", CPL_LOKR_T2},
    {".dora_scale", CPL_LORA_DORA},
    {".lora_magnitude_vector", CPL_LORA_DORA},
    {".lora_magnitude_vector.weight", CPL_LORA_DORA},
    {".lora_magnitude_vector.default.weight", CPL_LORA_DORA},
    {".diff", CPL_LORA_DIFF},
    {".diff_b", CPL_LORA_DIFF},
    {".w_norm", CPL_LORA_DIFF},
    {".b_norm", CPL_LORA_DIFF},
    {".oft_blocks", CPL_LORA_OFT},
    {".oft_diag", CPL_LORA_OFT},
    {".oft_R.weight", CPL_LORA_OFT},
    {".a1.weight", CPL_LORA_GLORA},
    {".a2.weight", CPL_LORA_GLORA},
    {".b1.weight", CPL_LORA_GLORA},
    {".b2.weight", CPL_LORA_GLORA},
    {".on_input", CPL_LORA_IA3},
};

/* Fronts of a name once its dots are underscores; the longest one that fits is taken off. */
static const struct {
    const char *theirs, *ours;
} prefixes[] = {
    {"lora_unet_", "unet_"},
    {"unet_", "unet_"},
    {"base_model_model_unet_", "unet_"},
    {"lycoris_", "unet_"},
    {"lycoris_unet_", "unet_"},
    {"diffusion_model_", "unet_"},
    {"model_diffusion_model_", "unet_"},
    {"lora_te_text_model_", "te1_"},
    {"lora_te1_text_model_", "te1_"},
    {"lora_te2_text_model_", "te2_"},
    {"lora_te2_text_projection", "te2_text_projection"},
    {"text_encoder_text_model_", "te1_"},
    {"text_encoder_2_text_model_", "te2_"},
    {"text_encoder_2_text_projection", "te2_text_projection"},
    {"cond_stage_model_transformer_text_model_", "te1_"},
    {"conditioner_embedders_0_transformer_text_model_", "te1_"},
    {"clip_l_transformer_text_model_", "te1_"},
    {"clip_g_transformer_text_model_", "te2_"},
    {"text_encoders_clip_l_transformer_text_model_", "te1_"},
    {"text_encoders_clip_g_transformer_text_model_", "te2_"},
    {"base_model_model_text_model_", "te1_"},
    {"base_model_model_", "unet_"},
    {"down_blocks_", "unet_down_blocks_"},
    {"mid_block_", "unet_mid_block_"},
    {"up_blocks_", "unet_up_blocks_"},
};

/* What older diffusers put into a module's name, or left out of it. */
static const struct { const char *theirs, *ours; /* ours is not longer */ } repairs[] = {{"_processor_to_", "_to_"}};

/* Older diffusers called a text encoder's attention as the UNet's. */
static const struct {
    const char *theirs, *ours;
} text_ends[] = {
    {"_self_attn_to_q", "_self_attn_q_proj"},
    {"_self_attn_to_k", "_self_attn_k_proj"},
    {"_self_attn_to_v", "_self_attn_v_proj"},
    {"_self_attn_to_out", "_self_attn_out_proj"},
};

static const char *suffix_of(const char *name, cpl_lora_part *part) {
    size_t length = strlen(name), best = 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t size = strlen(suffixes[i].suffix);
        if (size <= best || size >= length || strcmp(name + length - size, suffixes[i].suffix) != 0) continue;
        best = size;
        *part = suffixes[i].part;
    }
    return best ? name + length - best : NULL;
}

static bool exchange_front(char *key) {
    size_t best = 0, which = 0;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t size = strlen(prefixes[i].theirs);
        if (size <= best || strncmp(key, prefixes[i].theirs, size) != 0) continue;
        best = size;
        which = i;
    }
    size_t new_size = best ? strlen(prefixes[which].ours) : 0, rest = strlen(key + best);
    if (!best || new_size + rest >= CPL_LORA_KEY_SIZE) return false;
    memmove(key + new_size, key + best, rest + 1);
    memcpy(key, prefixes[which].ours, new_size);
    return true;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), size = strlen(end);
    return length >= size && strcmp(text + length - size, end) == 0;
}

static void exchange_end(char *key) {
    for (size_t i = 0; i < sizeof text_ends / sizeof *text_ends; i++) {
        if (!ends_with(key, text_ends[i].theirs)) continue;
        size_t kept = strlen(key) - strlen(text_ends[i].theirs), size = strlen(text_ends[i].ours) + 1;
        if (kept + size <= CPL_LORA_KEY_SIZE) memcpy(key + kept, text_ends[i].ours, size);
    }
}

cpl_lora_part cpl_lora_name_split(const char *name, char key[CPL_LORA_KEY_SIZE]) {
    cpl_lora_part part = CPL_LORA_STRANGE;
    const char *suffix = suffix_of(name, &part);
    size_t length = suffix ? (size_t)(suffix - name) : 0;
    *key = '\0';
    if (!suffix || length + 2 >= CPL_LORA_KEY_SIZE) return CPL_LORA_STRANGE;
    for (size_t i = 0; i < length; i++) key[i] = name[i] == '.' ? '_' : name[i];
    key[length] = '\0';
    if (!exchange_front(key)) return part < CPL_LORA_PARTS ? CPL_LORA_STRANGE : part;
    for (size_t i = 0; i < sizeof repairs / sizeof *repairs; i++) {
        char *at = strstr(key, repairs[i].theirs);
        size_t old_size = strlen(repairs[i].theirs), new_size = strlen(repairs[i].ours);
        if (!at) continue;
        memcpy(at, repairs[i].ours, new_size);
        memmove(at + new_size, at + old_size, strlen(at + old_size) + 1);
    }
    exchange_end(key);
    /* Attention's last layer is a list of one; old files call it by the list's name. */
    if (ends_with(key, "_to_out") && strlen(key) + 3 < CPL_LORA_KEY_SIZE) strcat(key, "_0");
    return part;
}
