/* diffusers.c: from LDM names to those of diffusers. LDM numbers the blocks of a half from 0 on, where diffusers counts
 * within each level; both keep the order of the network, so that all can be computed. */
#include "diffusers.h"

#include <stdio.h>
#include <string.h>

typedef struct word {
    const char *ldm, *diffusers;
} word;

/* What follows `head` in `name`, with its leading point, or "" at the end; NULL where it does not begin so. */
static const char *after(const char *name, const char *head) {
    size_t length = strlen(head);
    return !strncmp(name, head, length) && (name[length] == '.' || !name[length]) ? name + length : NULL;
}

/* Takes ".N" off the front of `*at`; false where there is none. */
static bool take_number(const char **at, int *value) {
    const char *p = *at;
    if (*p != '.' || p[1] < '0' || p[1] > '9') return false;
    for (*value = 0, p++; *p >= '0' && *p <= '9' && *value < 10000; p++) *value = *value * 10 + (*p - '0');
    *at = p;
    return !*p || *p == '.';
}

static bool put(char *name, size_t size, const char *module, const char *rest) {
    return snprintf(name, size, "%s%s", module, rest) < (int)size;
}

/* `rest` begins with a point or is empty. Its first module is replaced by the table; where that has none, the name is none. */
static bool put_word(char *name, size_t size, const char *module, const char *rest, const word *words, size_t count) {
    char longer[160];
    if (!*rest) return put(name, size, module, "");
    for (size_t i = 0; i < count; i++) {
        const char *tail = after(rest + 1, words[i].ldm);
        if (tail && snprintf(longer, sizeof longer, "%s.%s", module, words[i].diffusers) < (int)sizeof longer)
            return put(name, size, longer, tail);
    }
    return false;
}
#define PUT_WORD(name, size, module, rest, words)                                                                      \
    put_word(name, size, module, rest, words, sizeof(words) / sizeof *(words))

static const word unet_resnet[] = {
    {"in_layers.0", "norm1"},  {"in_layers.2", "conv1"},  {"emb_layers.1", "time_emb_proj"},
    {"out_layers.0", "norm2"}, {"out_layers.3", "conv2"}, {"skip_connection", "conv_shortcut"},
};

static bool put_resnet(char *name, size_t size, const char *module, const char *rest) {
    return PUT_WORD(name, size, module, rest, unet_resnet);
}

/* Module 0 of a block is the ResBlock, 1 the transformer where there is one; what ends a level comes last. */
static bool input_block(const char *rest, int per_level, char *name, size_t size) {
    int block, module;
    char head[64];
    if (!take_number(&rest, &block) || block < 1 || !take_number(&rest, &module)) return false;
    int level = (block - 1) / per_level, at = (block - 1) % per_level;
    const char *conv = after(rest, ".op");
    if (conv) {
        snprintf(head, sizeof head, "down_blocks.%d.downsamplers.0.conv", level);
        return module == 0 && at == per_level - 1 && put(name, size, head, conv);
    }
    if (at == per_level - 1) return false;
    snprintf(head, sizeof head, "down_blocks.%d.%s.%d", level, module ? "attentions" : "resnets", at);
    if (module == 0) return put_resnet(name, size, head, rest);
    return module == 1 && put(name, size, head, rest);
}

static bool output_block(const char *rest, int per_level, char *name, size_t size) {
    int block, module;
    char head[64];
    if (!take_number(&rest, &block) || !take_number(&rest, &module)) return false;
    int level = block / per_level, at = block % per_level;
    const char *conv = after(rest, ".conv");
    if (conv) {
        snprintf(head, sizeof head, "up_blocks.%d.upsamplers.0.conv", level);
        return module > 0 && at == per_level - 1 && put(name, size, head, conv);
    }
    snprintf(head, sizeof head, "up_blocks.%d.%s.%d", level, module ? "attentions" : "resnets", at);
    if (module == 0) return put_resnet(name, size, head, rest);
    return module == 1 && put(name, size, head, rest);
}

static bool middle_block(const char *rest, char *name, size_t size) {
    int module;
    if (!take_number(&rest, &module) || module > 2) return false;
    if (module == 1) return put(name, size, "mid_block.attentions.0", rest);
    return put_resnet(name, size, module ? "mid_block.resnets.1" : "mid_block.resnets.0", rest);
}

bool cpl_diffusers_unet_name(const char *ldm, int num_res_blocks, char *name, size_t size) {
    static const word alone[] = {
        {"time_embed.0", "time_embedding.linear_1"},
        {"time_embed.2", "time_embedding.linear_2"},
        {"label_emb.0.0", "add_embedding.linear_1"},
        {"label_emb.0.2", "add_embedding.linear_2"},
        {"input_blocks.0.0", "conv_in"},
        {"out.0", "conv_norm_out"},
        {"out.2", "conv_out"},
    };
    const char *rest;
    if (num_res_blocks < 1) return false;
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        if ((rest = after(ldm, alone[i].ldm))) return put(name, size, alone[i].diffusers, rest);
    /* A level of the input half ends with the downsampling; in the output half it has a ResBlock more. */
    int per_level = num_res_blocks + 1;
    if ((rest = after(ldm, "input_blocks"))) return input_block(rest, per_level, name, size);
    if ((rest = after(ldm, "output_blocks"))) return output_block(rest, per_level, name, size);
    if ((rest = after(ldm, "middle_block"))) return middle_block(rest, name, size);
    return false;
}

static const word vae_resnet[] = {
    {"norm1", "norm1"}, {"conv1", "conv1"}, {"norm2", "norm2"}, {"conv2", "conv2"}, {"nin_shortcut", "conv_shortcut"},
};
static const word vae_attention[] = {
    {"norm", "group_norm"}, {"q", "to_q"}, {"k", "to_k"}, {"v", "to_v"}, {"proj_out", "to_out.0"},
};
static const word vae_old_attention[] = {
    {"norm", "group_norm"}, {"q", "query"}, {"k", "key"}, {"v", "value"}, {"proj_out", "proj_attn"},
};

static bool vae_mid(const char *side, const char *rest, bool old_attention, char *name, size_t size) {
    char head[64];
    const char *tail;
    if ((tail = after(rest, ".attn_1"))) {
        snprintf(head, sizeof head, "%s.mid_block.attentions.0", side);
        return old_attention ? PUT_WORD(name, size, head, tail, vae_old_attention)
                             : PUT_WORD(name, size, head, tail, vae_attention);
    }
    bool first = (tail = after(rest, ".block_1")) != NULL;
    if (!first && !(tail = after(rest, ".block_2"))) return false;
    snprintf(head, sizeof head, "%s.mid_block.resnets.%d", side, first ? 0 : 1);
    return PUT_WORD(name, size, head, tail, vae_resnet);
}

/* ".N.block.K...", ".N.downsample.conv..." or ".N.upsample.conv..."; diffusers counts the decoder's levels the other way. */
static bool vae_level(const char *side, const char *rest, int levels, char *name, size_t size) {
    char head[64];
    bool up = !strcmp(side, "decoder");
    int level, block;
    if (!take_number(&rest, &level) || level >= levels) return false;
    if (up) level = levels - 1 - level;
    const char *tail = after(rest, ".block");
    if (tail) {
        if (!take_number(&tail, &block)) return false;
        snprintf(head, sizeof head, "%s.%s_blocks.%d.resnets.%d", side, up ? "up" : "down", level, block);
        return PUT_WORD(name, size, head, tail, vae_resnet);
    }
    if (!(tail = after(rest, up ? ".upsample.conv" : ".downsample.conv"))) return false;
    snprintf(head, sizeof head, "%s.%s_blocks.%d.%ssamplers.0.conv", side, up ? "up" : "down", level,
             up ? "up" : "down");
    return put(name, size, head, tail);
}

bool cpl_diffusers_vae_name(const char *ldm, int levels, bool old_attention, char *name, size_t size) {
    static const word ends[] = {{"conv_in", "conv_in"}, {"conv_out", "conv_out"}, {"norm_out", "conv_norm_out"}};
    if (after(ldm, "quant_conv") || after(ldm, "post_quant_conv")) return put(name, size, ldm, "");
    const char *rest = after(ldm, "encoder"), *tail;
    const char *side = rest ? "encoder" : "decoder";
    if (!rest) rest = after(ldm, "decoder");
    if (!rest || !*rest) return false;
    if ((tail = after(rest, ".mid"))) return vae_mid(side, tail, old_attention, name, size);
    if ((tail = after(rest, !strcmp(side, "encoder") ? ".down" : ".up")))
        return vae_level(side, tail, levels, name, size);
    return PUT_WORD(name, size, side, rest, ends);
}

bool cpl_diffusers_text_name(const char *openclip, int which, char *name, size_t size) {
    static const char *const joint[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
    const word words[] = {
        {"ln_1", "layer_norm1"}, {"attn.in_proj", joint[which]}, {"attn.out_proj", "self_attn.out_proj"},
        {"ln_2", "layer_norm2"}, {"mlp.c_fc", "mlp.fc1"},        {"mlp.c_proj", "mlp.fc2"},
    };
    const char *rest = after(openclip, "transformer.resblocks");
    char head[64];
    int layer;
    if (!rest || !take_number(&rest, &layer)) return false;
    snprintf(head, sizeof head, "text_model.encoder.layers.%d", layer);
    return PUT_WORD(name, size, head, rest, words);
}
