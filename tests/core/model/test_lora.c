/* LoRAs beside a model make what a model with merged weights makes, whatever the file calls its tensors; and files that do not
 * fit are refused. The merging here is its own, plain and in double precision. */
#include "lora_rig.h"

#include <math.h>
#include <sys/stat.h>

#define TINY "tests/golden/engine/sd1_tiny.safetensors"
#define TINY_XL "tests/golden/engine/sdxl_tiny.safetensors"
#define LIMIT 1e-4

static char folder[] = "/tmp/couplet-lora-XXXXXX";
static cpl_model *models[2]; /* SD 1, SDXL */
static float *plain[2];      /* their output as they are */
static size_t counts[2];

static const char *in_folder(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    open_stream();
    models[0] = open_model(TINY);
    models[1] = open_model(TINY_XL);
    for (int i = 0; i < 2; i++) plain[i] = output_of(models[i], NULL, &counts[i]);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        cpl_model_close(models[i]);
        free(plain[i]);
    }
    close_stream();
    static const char *const names[] = {"a.safetensors", "b.safetensors", "merged.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(in_folder(names[i]));
    return rmdir(folder);
}

/* ---- Layers, as the checkpoint and as diffusers call them ---- */

typedef struct target {
    const char *weight; /* the checkpoint's tensor */
    const char *ldm;    /* its module as kohya's scripts for LDM models name it; NULL: they do not */
    const char *dotted; /* as diffusers does */
    int third;          /* of a joint projection, from 1; 0: the whole tensor */
    bool turned;        /* the tensor is the transpose */
} target;

#define U "model.diffusion_model."
#define L "cond_stage_model.transformer.text_model."
#define T "text_encoder.text_model."
#define SPOT(ldm, diffusers)                                                                                           \
    { U ldm ".weight", ldm, "unet." diffusers, 0, false }
#define WORD(name)                                                                                                     \
    { L name ".weight", NULL, T name, 0, false }
static const target sd1[] = {
    SPOT("input_blocks.1.1.transformer_blocks.0.attn1.to_q",
         "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"),
    SPOT("input_blocks.5.1.transformer_blocks.0.attn2.to_k",
         "down_blocks.1.attentions.1.transformer_blocks.0.attn2.to_k"),
    SPOT("middle_block.1.transformer_blocks.0.attn2.to_out.0",
         "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0"),
    SPOT("output_blocks.10.1.transformer_blocks.0.ff.net.0.proj",
         "up_blocks.3.attentions.1.transformer_blocks.0.ff.net.0.proj"),
    SPOT("input_blocks.2.1.proj_in", "down_blocks.0.attentions.1.proj_in"),
    SPOT("input_blocks.4.0.in_layers.2", "down_blocks.1.resnets.0.conv1"),
    SPOT("output_blocks.2.0.out_layers.3", "up_blocks.0.resnets.2.conv2"),
    SPOT("input_blocks.3.0.op", "down_blocks.0.downsamplers.0.conv"),
    SPOT("output_blocks.5.2.conv", "up_blocks.1.upsamplers.0.conv"),
    SPOT("input_blocks.10.0.skip_connection", "down_blocks.3.resnets.0.conv_shortcut"),
    SPOT("middle_block.2.emb_layers.1", "mid_block.resnets.1.time_emb_proj"),
    SPOT("time_embed.0", "time_embedding.linear_1"),
    SPOT("input_blocks.0.0", "conv_in"),
    SPOT("out.2", "conv_out"),
    WORD("encoder.layers.0.self_attn.q_proj"),
    WORD("encoder.layers.1.mlp.fc1"),
    WORD("encoder.layers.2.mlp.fc2"),
    WORD("encoder.layers.2.self_attn.out_proj"),
};
#undef L
#define L "conditioner.embedders.0.transformer.text_model."
#define G "conditioner.embedders.1.model."
#define BLOCK(tensor, name, third)                                                                                     \
    { G "transformer.resblocks." tensor, NULL, "text_encoder_2.text_model." name, third, false }
static const target sdxl[] = {
    SPOT("input_blocks.5.1.transformer_blocks.0.attn2.to_v",
         "down_blocks.2.attentions.0.transformer_blocks.0.attn2.to_v"),
    SPOT("middle_block.1.transformer_blocks.1.ff.net.2", "mid_block.attentions.0.transformer_blocks.1.ff.net.2"),
    SPOT("output_blocks.1.2.conv", "up_blocks.0.upsamplers.0.conv"),
    SPOT("output_blocks.3.1.proj_out", "up_blocks.1.attentions.1.proj_out"),
    SPOT("label_emb.0.0", "add_embedding.linear_1"),
    WORD("encoder.layers.0.self_attn.k_proj"),
    BLOCK("0.attn.in_proj_weight", "encoder.layers.0.self_attn.q_proj", 1),
    BLOCK("0.attn.in_proj_weight", "encoder.layers.0.self_attn.k_proj", 2),
    BLOCK("1.attn.in_proj_weight", "encoder.layers.1.self_attn.v_proj", 3),
    BLOCK("1.attn.out_proj.weight", "encoder.layers.1.self_attn.out_proj", 0),
    BLOCK("0.mlp.c_fc.weight", "encoder.layers.0.mlp.fc1", 0),
    BLOCK("1.mlp.c_proj.weight", "encoder.layers.1.mlp.fc2", 0),
    {G "text_projection", NULL, "text_encoder_2.text_projection", 0, true},
};
static const target *const targets[2] = {sd1, sdxl};
static const int target_counts[2] = {sizeof sd1 / sizeof *sd1, sizeof sdxl / sizeof *sdxl};

/* Sides of what is added: out, in, kernel. */
static void sides_of(const bag *base, const target *t, int64_t *out, int64_t *in, int64_t *k) {
    const tensor *w = bag_find(base, t->weight);
    *out = t->third ? w->shape[0] / 3 : w->shape[t->turned ? 1 : 0];
    *in = w->shape[t->turned ? 0 : 1];
    *k = w->rank == 4 ? w->shape[2] : 1;
}

/* Adds scale * delta [out][in * k * k] to the checkpoint's tensor. */
static void merge(const bag *base, const target *t, const float *delta, double scale) {
    tensor *w = bag_find(base, t->weight);
    int64_t out, in, k;
    sides_of(base, t, &out, &in, &k);
    int64_t columns = in * k * k, first = t->third ? (t->third - 1) * out : 0;
    for (int64_t o = 0; o < out; o++)
        for (int64_t c = 0; c < columns; c++) {
            float *at = t->turned ? &w->values[c * out + o] : &w->values[(first + o) * columns + c];
            *at = (float)((double)*at + scale * (double)delta[o * columns + c]);
        }
}

/* ---- Spellings ---- */

typedef enum style { KOHYA_LDM, KOHYA_DIFFUSERS, PEFT, OLD_DIFFUSERS, STYLES } style;

/* name becomes the module's, *down and *up its suffixes. */
static void spell(style s, bool xl, const target *t, char name[160], const char **down, const char **up) {
    bool text = strncmp(t->dotted, "text_encoder", 12) == 0, second = strncmp(t->dotted, "text_encoder_2", 14) == 0;
    const char *inner = strchr(t->dotted, '.') + 1;
    *down = s == PEFT ? ".lora_A.weight" : s == OLD_DIFFUSERS ? ".lora.down.weight" : ".lora_down.weight";
    *up = s == PEFT ? ".lora_B.weight" : s == OLD_DIFFUSERS ? ".lora.up.weight" : ".lora_up.weight";
    if (s == PEFT || s == OLD_DIFFUSERS) {
        const char *attention = strstr(t->dotted, ".attn");
        snprintf(name, 160, "%s", t->dotted);
        if (s == PEFT || !attention) return;
        /* "attn1.to_out.0" was "attn1.processor.to_out_lora" once */
        snprintf(name, 160, "%.*s.processor%.5s", (int)(attention + 6 - t->dotted), t->dotted, attention + 6);
        if (strncmp(attention + 6, ".to_out", 7) == 0)
            snprintf(name, 160, "%.*s.processor.to_out", (int)(attention + 6 - t->dotted), t->dotted);
        *down = "_lora.down.weight";
        *up = "_lora.up.weight";
        return;
    }
    const char *front = !text ? "lora_unet_" : second ? "lora_te2_" : xl ? "lora_te1_" : "lora_te_";
    snprintf(name, 160, "%s%s", front, s == KOHYA_LDM && t->ldm ? t->ldm : inner);
    for (char *p = name; *p; p++)
        if (*p == '.') *p = '_';
}

static tensor *add_part(bag *b, const char *module, const char *suffix, int rank, const int64_t *shape, float size) {
    char name[160];
    snprintf(name, sizeof name, "%.120s%s", module, suffix);
    tensor *t = bag_add(b, name, rank, shape);
    fill(t, size);
    return t;
}

/* A module for `t` in `lora`, and what it adds, times weight, in `base`. alpha 0: none. */
static void add_module(bag *lora, bag *base, const target *t, style s, bool xl, int64_t rank, float alpha,
                       double weight) {
    int64_t out, in, k;
    char name[160];
    const char *down_name, *up_name;
    sides_of(base, t, &out, &in, &k);
    spell(s, xl, t, name, &down_name, &up_name);
    bool four = bag_find(base, t->weight)->rank == 4;
    add_part(lora, name, down_name, four ? 4 : 2, (const int64_t[]){rank, in, k, k}, 0.3F);
    add_part(lora, name, up_name, four ? 4 : 2, (const int64_t[]){out, rank, 1, 1}, 0.3F);
    const tensor *down = &lora->list[lora->count - 2], *up = &lora->list[lora->count - 1];
    int64_t columns = in * k * k;
    float *delta = calloc((size_t)(out * columns), sizeof *delta);
    for (int64_t o = 0; o < out; o++)
        for (int64_t r = 0; r < rank; r++)
            for (int64_t c = 0; c < columns; c++)
                delta[o * columns + c] += up->values[o * rank + r] * down->values[r * columns + c];
    merge(base, t, delta, weight * (alpha != 0 ? (double)alpha / (double)rank : 1));
    free(delta);
    if (alpha != 0) add_part(lora, name, ".alpha", 0, NULL, 0)->values[0] = alpha;
}

/* ---- Comparing ---- */

static cpl_lora_want want_of(const char *path, double unet, double text) {
    cpl_lora_want want = {.path = strdup(path), .unet = unet, .text = text, .row = 1, .place = "regions[1].prompt"};
    cpl_safetensors *st = cpl_safetensors_open(path, NULL);
    want.identity = st ? cpl_safetensors_identity(st) : 0;
    cpl_safetensors_close(st);
    return want;
}

/* The model with the files beside it against the one whose weights were merged. */
static void compare(int which, const cpl_lora_want *wants, int count, const bag *merged) {
    cpl_error error = {0};
    size_t values;
    cpl_lora_set *set = cpl_lora_set_new(models[which], wants, count, &error);
    if (!set) fail_msg("%s", error.message);
    assert_string_equal(set->note, "");
    bag_write(merged, in_folder("merged.safetensors"));
    cpl_model *other = open_model(in_folder("merged.safetensors"));
    float *beside = output_of(models[which], &set->adapters, &values), *within = output_of(other, NULL, &values);
    assert_int_equal(values, counts[which]);
    double apart = distance_of(beside, within, values), moved = distance_of(beside, plain[which], values);
    if (!(apart <= LIMIT)) fail_msg("%g apart from the merged weights", apart);
    if (!(moved > 0.01)) fail_msg("the LoRA moved nothing: %g", moved);
    float *back = output_of(models[which], NULL, &values);
    assert_memory_equal(back, plain[which], values * sizeof *back);
    free(back);
    free(within);
    free(beside);
    cpl_model_close(other);
    cpl_lora_set_free(set);
}

static void every_spelling(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++)
        for (style s = 0; s < STYLES; s++) {
            bag base = bag_read(which ? TINY_XL : TINY), lora = {0};
            for (int i = 0; i < target_counts[which]; i++)
                add_module(&lora, &base, &targets[which][i], s, which == 1, 2 + i % 3, i % 2 ? 3.0F : 0.0F, 0.8);
            bag_write(&lora, in_folder("a.safetensors"));
            cpl_lora_want want = want_of(in_folder("a.safetensors"), 0.8, 0.8);
            compare(which, &want, 1, &base);
            free(want.path);
            bag_clear(&lora);
            bag_clear(&base);
        }
}

/* Each layer by itself: a sum over all could hide that one is not touched. */
static void every_layer(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++)
        for (int i = 0; i < target_counts[which]; i++) {
            bag base = bag_read(which ? TINY_XL : TINY), lora = {0};
            add_module(&lora, &base, &targets[which][i], KOHYA_DIFFUSERS, which == 1, 4, 8.0F, 3);
            bag_write(&lora, in_folder("a.safetensors"));
            cpl_lora_want want = want_of(in_folder("a.safetensors"), 3, 3);
            cpl_error error = {0};
            size_t values;
            cpl_lora_set *set = cpl_lora_set_new(models[which], &want, 1, &error);
            if (!set) fail_msg("%s", error.message);
            bag_write(&base, in_folder("merged.safetensors"));
            cpl_model *other = open_model(in_folder("merged.safetensors"));
            float *beside = output_of(models[which], &set->adapters, &values),
                  *within = output_of(other, NULL, &values);
            double apart = distance_of(beside, within, values), moved = distance_of(beside, plain[which], values);
            if (!(apart <= LIMIT) || !(moved > 2e-4) || !(moved > 5 * apart))
                fail_msg("%s: %g apart, moved by %g", targets[which][i].weight, apart, moved);
            free(within);
            free(beside);
            cpl_model_close(other);
            cpl_lora_set_free(set);
            free(want.path);
            bag_clear(&lora);
            bag_clear(&base);
        }
}

/* Two files on the same layers, one of them negative, with other weights for text and UNet. */
static void two_at_once(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++) {
        bag base = bag_read(which ? TINY_XL : TINY), first = {0}, second = {0};
        for (int i = 0; i < target_counts[which]; i++) {
            bool text = strncmp(targets[which][i].dotted, "text", 4) == 0;
            add_module(&first, &base, &targets[which][i], KOHYA_LDM, which == 1, 3, 1.5F, text ? 0.25 : 0.75);
            add_module(&second, &base, &targets[which][i], PEFT, which == 1, 5, 0, text ? 0.5 : -0.6);
        }
        bag_write(&first, in_folder("a.safetensors"));
        bag_write(&second, in_folder("b.safetensors"));
        cpl_lora_want wants[2];
        wants[0] = want_of(in_folder("a.safetensors"), 0.75, 0.25);
        wants[1] = want_of(in_folder("b.safetensors"), -0.6, 0.5);
        compare(which, wants, 2, &base);
        for (int i = 0; i < 2; i++) free(wants[i].path);
        bag_clear(&first);
        bag_clear(&second);
        bag_clear(&base);
    }
}

/* ---- Other kinds ---- */

#define LINEAR 0
#define CONV 5

/* Sum over r of a [rows][rank] b [rank][columns]. */
static float *dot(const float *a, const float *b, int64_t rows, int64_t rank, int64_t columns) {
    float *out = calloc((size_t)(rows * columns), sizeof *out);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t r = 0; r < rank; r++)
            for (int64_t c = 0; c < columns; c++) out[i * columns + c] += a[i * rank + r] * b[r * columns + c];
    return out;
}

static void check_kind(bag *lora, bag *base, double weight) {
    bag_write(lora, in_folder("a.safetensors"));
    cpl_lora_want want = want_of(in_folder("a.safetensors"), weight, weight);
    compare(0, &want, 1, base);
    free(want.path);
    bag_clear(lora);
    bag_clear(base);
}

/* LoCon in its three-part form: 1x1, 3x3 between ranks, 1x1. */
static void locon_with_a_middle(void **state) {
    (void)state;
    bag base = bag_read(TINY), lora = {0};
    const target *t = &sd1[CONV];
    int64_t out, in, k, r = 3, area = 9;
    static const char name[] = "lora_unet_down_blocks_1_resnets_0_conv1";
    sides_of(&base, t, &out, &in, &k);
    add_part(&lora, name, ".lora_down.weight", 4, (const int64_t[]){r, in, 1, 1}, 0.6F);
    add_part(&lora, name, ".lora_mid.weight", 4, (const int64_t[]){r, r, k, k}, 0.6F);
    add_part(&lora, name, ".lora_up.weight", 4, (const int64_t[]){out, r, 1, 1}, 0.6F);
    add_part(&lora, name, ".alpha", 0, NULL, 0)->values[0] = 6;
    const float *down = lora.list[0].values, *mid = lora.list[1].values, *up = lora.list[2].values;
    float *delta = calloc((size_t)(out * in * area), sizeof *delta);
    for (int64_t o = 0; o < out; o++)
        for (int64_t p = 0; p < r; p++)
            for (int64_t q = 0; q < r; q++)
                for (int64_t i = 0; i < in; i++)
                    for (int64_t s = 0; s < area; s++)
                        delta[(o * in + i) * area + s] +=
                            up[o * r + p] * mid[(p * r + q) * area + s] * down[q * in + i];
    merge(&base, t, delta, 1.5 * 6 / 3);
    free(delta);
    check_kind(&lora, &base, 1.5);
}

/* Of low rank, of a rank that is cheaper whole, and with a kernel of its own. */
static void loha(void **state) {
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        bag base = bag_read(TINY), lora = {0};
        const target *t = &sd1[variant == 2 ? CONV : LINEAR];
        const char *name = variant == 2 ? "lora_unet_input_blocks_4_0_in_layers_2"
                                        : "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q";
        int64_t out, in, k, r = variant == 1 ? 6 : 2;
        sides_of(&base, t, &out, &in, &k);
        int64_t area = k * k, wide = variant == 2 ? in : in * area;
        static const char *const suffix[2][3] = {{".hada_w1_a", ".hada_w1_b", ".hada_t1"},
                                                 {".hada_w2_a", ".hada_w2_b", ".hada_t2"}};
        float *half[2];
        for (int i = 0; i < 2; i++) {
            const int64_t left[2] = {variant == 2 ? r : out, variant == 2 ? out : r}, right[2] = {r, wide},
                          kernel[4] = {r, r, k, k};
            int first = lora.count;
            add_part(&lora, name, suffix[i][0], 2, left, 1);
            add_part(&lora, name, suffix[i][1], 2, right, 1);
            if (variant == 2) add_part(&lora, name, suffix[i][2], 4, kernel, 1);
            const float *a = lora.list[first].values, *b = lora.list[first + 1].values;
            half[i] = variant == 2 ? calloc((size_t)(out * in * area), sizeof **half) : dot(a, b, out, r, wide);
            for (int64_t x = 0; variant == 2 && x < r; x++)
                for (int64_t y = 0; y < r; y++)
                    for (int64_t o = 0; o < out; o++)
                        for (int64_t c = 0; c < in; c++)
                            for (int64_t s = 0; s < area; s++)
                                half[i][(o * in + c) * area + s] +=
                                    lora.list[first + 2].values[(x * r + y) * area + s] * a[x * out + o] *
                                    b[y * in + c];
        }
        add_part(&lora, name, ".alpha", 1, (const int64_t[]){1}, 0)->values[0] = 1;
        for (int64_t i = 0; i < out * in * area; i++) half[0][i] *= half[1][i];
        merge(&base, t, half[0], 0.5 / (double)r);
        free(half[0]);
        free(half[1]);
        check_kind(&lora, &base, 0.5);
    }
}

/* Both factors whole (no alpha counts then), the second of low rank, and a convolution. */
static void lokr(void **state) {
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        bag base = bag_read(TINY), lora = {0};
        const target *t = &sd1[variant == 2 ? CONV : LINEAR];
        const char *name = variant == 2 ? "lora_unet_down_blocks_1_resnets_0_conv1"
                                        : "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
        int64_t out, in, k, a = 4, b = 2, r = 3;
        sides_of(&base, t, &out, &in, &k);
        int64_t c = out / a, d = in / b, area = k * k;
        add_part(&lora, name, ".lokr_w1", 2, (const int64_t[]){a, b}, 0.5F);
        float *second;
        if (variant == 1) {
            add_part(&lora, name, ".lokr_w2_a", 2, (const int64_t[]){c, r}, 0.5F);
            add_part(&lora, name, ".lokr_w2_b", 2, (const int64_t[]){r, d}, 0.5F);
            second = dot(lora.list[1].values, lora.list[2].values, c, r, d);
        } else {
            const tensor *w2 =
                add_part(&lora, name, ".lokr_w2", variant == 2 ? 4 : 2, (const int64_t[]){c, d, k, k}, 0.5F);
            second = calloc((size_t)w2->count, sizeof *second);
            memcpy(second, w2->values, (size_t)w2->count * sizeof *second);
        }
        add_part(&lora, name, ".alpha", 0, NULL, 0)->values[0] = 2;
        float *delta = calloc((size_t)(out * in * area), sizeof *delta);
        for (int64_t o = 0; o < out; o++)
            for (int64_t i = 0; i < in; i++)
                for (int64_t s = 0; s < area; s++)
                    delta[(o * in + i) * area + s] =
                        lora.list[0].values[o / c * b + i / d] * second[(o % c * d + i % d) * area + s];
        merge(&base, t, delta, variant == 1 ? 2.0 / 3 : 1);
        free(delta);
        free(second);
        check_kind(&lora, &base, 1);
    }
}

/* ---- What is refused ---- */

static void expect_refusal(int which, bag *lora, const char *words) {
    cpl_error error = {0};
    bag_write(lora, in_folder("a.safetensors"));
    cpl_lora_want want = want_of(in_folder("a.safetensors"), 1, 1);
    assert_null(cpl_lora_set_new(models[which], &want, 1, &error));
    if (!strstr(error.message, words)) fail_msg("\"%s\" is not in: %s", words, error.message);
    assert_int_equal(error.code, CPL_E_INPUT);
    assert_int_equal(error.row, 1);
    assert_string_equal(error.path, "regions[1].prompt");
    free(want.path);
    bag_clear(lora);
}

static void pair(bag *lora, const char *module, int64_t out, int64_t in) { bag_add_pair(lora, module, out, in, 2, 1); }

static void refusals(void **state) {
    (void)state;
    static const char spot[] = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q";
    static const char middle[] = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k";
    bag lora = {0};
    pair(&lora, "lora_unet_nothing_that_is_there", 32, 32);
    expect_refusal(0, &lora, "fits nothing");
    pair(&lora, middle, 1280, 2048);
    expect_refusal(0, &lora, "was made for SDXL, but the model sd1_tiny is SD 1.x");
    pair(&lora, middle, 1280, 768);
    expect_refusal(1, &lora, "was made for SD 1.x, but the model sdxl_tiny is SDXL");
    pair(&lora, "lora_te2_text_model_encoder_layers_0_mlp_fc1", 128, 32);
    expect_refusal(0, &lora, "was made for SDXL");
    pair(&lora, "lora_unet_double_blocks_0_img_attn_qkv", 32, 32);
    expect_refusal(0, &lora, "was made for Flux");
    pair(&lora, "transformer.single_transformer_blocks.0.attn.to_q", 32, 32);
    expect_refusal(0, &lora, "is a LoRA for another kind of model");
    pair(&lora, spot, 32, 64);
    expect_refusal(0, &lora, "does not fit this model");
    pair(&lora, spot, 64, 32);
    expect_refusal(0, &lora, "does not fit this model");
    pair(&lora, spot, 32, 32);
    pair(&lora, "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", 32, 32);
    expect_refusal(0, &lora, "twice");
    add_part(&lora, spot, ".lora_down.weight", 2, (const int64_t[]){2, 32}, 1);
    expect_refusal(0, &lora, "lacks its lora_up");
    add_part(&lora, spot, ".hada_w1_a", 2, (const int64_t[]){32, 2}, 1);
    expect_refusal(0, &lora, "lacks a part of its LoHa");
    pair(&lora, spot, 32, 32);
    add_part(&lora, spot, ".dora_scale", 2, (const int64_t[]){1, 32}, 1);
    expect_refusal(0, &lora, "kind DoRA");
    add_part(&lora, spot, ".diff", 2, (const int64_t[]){32, 32}, 1);
    expect_refusal(0, &lora, "kind full difference");
    add_part(&lora, spot, ".oft_blocks", 3, (const int64_t[]){4, 8, 8}, 1);
    expect_refusal(0, &lora, "kind OFT");
    bag_add(&lora, "some.tensor", 1, (const int64_t[]){4});
    expect_refusal(0, &lora, "is no LoRA");
    pair(&lora, spot, 32, 32);
    add_part(&lora, spot, ".alpha", 1, (const int64_t[]){3}, 1);
    expect_refusal(0, &lora, "alpha");
    static const float strange[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        pair(&lora, spot, 32, 32);
        add_part(&lora, spot, ".alpha", 0, NULL, 0)->values[0] = strange[i];
        char words[160];
        snprintf(words, sizeof words, "a.safetensors: its tensor %s.alpha is no finite number", spot);
        expect_refusal(0, &lora, words);
    }
}

/* A file that changed since its weights were asked for is not taken for what it was. */
static void a_changed_file(void **state) {
    (void)state;
    bag lora = {0};
    cpl_error error = {0};
    pair(&lora, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", 32, 32);
    bag_write(&lora, in_folder("a.safetensors"));
    cpl_lora_want want = want_of(in_folder("a.safetensors"), 1, 1);
    want.identity++;
    assert_null(cpl_lora_set_new(models[0], &want, 1, &error));
    assert_non_null(strstr(error.message, "changed while"));
    unlink(want.path);
    assert_null(cpl_lora_set_new(models[0], &want, 1, &error));
    free(want.path);
    bag_clear(&lora);
}

/* Modules for which the model has no layer are told, not an error, as long as others fit. */
static void a_part_that_does_not_fit(void **state) {
    (void)state;
    bag lora = {0};
    cpl_error error = {0};
    pair(&lora, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", 32, 32);
    pair(&lora, "lora_unet_some_other_place", 32, 32);
    bag_write(&lora, in_folder("a.safetensors"));
    cpl_lora_want want = want_of(in_folder("a.safetensors"), 1, 1);
    cpl_lora_set *set = cpl_lora_set_new(models[0], &want, 1, &error);
    assert_non_null(set);
    assert_int_equal(set->adapters.count, 1);
    assert_non_null(strstr(set->note, "1 of its 2 modules are not in the model, such as unet_some_other_place"));
    cpl_lora_set_free(set);
    /* Weight 0 in the UNet leaves nothing to add; the file is looked at all the same. */
    want.unet = 0;
    set = cpl_lora_set_new(models[0], &want, 1, &error);
    assert_non_null(set);
    assert_int_equal(set->adapters.count, 0);
    assert_null(cpl_adapter_of(&set->adapters, models[0]->layers.list[0].weight));
    cpl_lora_set_free(set);
    free(want.path);
    bag_clear(&lora);
}

/* So are tensors whose names say nothing here, such as the embeddings that some trainers put into the file, and of every file. */
static void a_part_that_is_not_understood(void **state) {
    (void)state;
    bag lora = {0};
    cpl_error error = {0};
    pair(&lora, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", 32, 32);
    add_part(&lora, "bundle_emb.cat", ".clip_l", 2, (const int64_t[]){4, 32}, 1);
    add_part(&lora, "bundle_emb.dog", ".clip_l", 2, (const int64_t[]){4, 32}, 1);
    bag_write(&lora, in_folder("a.safetensors"));
    bag_clear(&lora);
    pair(&lora, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_k", 32, 32);
    pair(&lora, "lora_unet_some_other_place", 32, 32);
    pair(&lora, "some_encoder_layers_0", 32, 32);
    bag_write(&lora, in_folder("b.safetensors"));
    bag_clear(&lora);
    cpl_lora_want wants[] = {want_of(in_folder("a.safetensors"), 1, 1), want_of(in_folder("b.safetensors"), 1, 1)};
    cpl_lora_set *set = cpl_lora_set_new(models[0], wants, 2, &error);
    if (!set) {
        fail_msg("%s", error.message);
        abort();
    }
    assert_int_equal(set->adapters.count, 2);
    assert_string_equal(set->note,
                        "LoRA a: 2 of its tensors are not understood and left out, such as bundle_emb.cat.clip_l; "
                        "LoRA b: 1 of its 2 modules are not in the model, such as unet_some_other_place; "
                        "LoRA b: 2 of its tensors are not understood and left out, such as "
                        "some_encoder_layers_0.lora_down.weight");
    cpl_lora_set_free(set);
    for (int i = 0; i < 2; i++) free(wants[i].path);
}

/* Any damage to a header is told or does no harm; under a sanitizer this looks for more than a crash. */
static void damaged_headers(void **state) {
    (void)state;
    bag lora = {0};
    uint32_t random = 3;
    int told = 0;
    pair(&lora, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", 32, 32);
    add_part(&lora, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", ".alpha", 0, NULL, 1);
    add_part(&lora, "lora_unet_a", ".hada_w1_a", 2, (const int64_t[]){32, 2}, 1);
    add_part(&lora, "lora_unet_a", ".hada_w1_b", 2, (const int64_t[]){2, 32}, 1);
    add_part(&lora, "lora_unet_a", ".hada_w2_a", 2, (const int64_t[]){32, 2}, 1);
    add_part(&lora, "lora_unet_a", ".hada_w2_b", 2, (const int64_t[]){2, 32}, 1);
    add_part(&lora, "lora_te_text_model_encoder_layers_0_mlp_fc1", ".lokr_w1", 2, (const int64_t[]){4, 4}, 1);
    add_part(&lora, "lora_te_text_model_encoder_layers_0_mlp_fc1", ".lokr_w2", 2, (const int64_t[]){32, 8}, 1);
    bag_write(&lora, in_folder("a.safetensors"));
    FILE *file = fopen(in_folder("a.safetensors"), "rb");
    assert_non_null(file);
    static char whole[1 << 16];
    size_t size = fread(whole, 1, sizeof whole, file);
    fclose(file);
    uint64_t header;
    memcpy(&header, whole, sizeof header);
    for (int i = 0; i < 400; i++) {
        char damaged[sizeof whole];
        memcpy(damaged, whole, size);
        for (int k = 0; k < 1 + i % 3; k++) {
            /* Mostly digits for digits: shapes that are possible, and wrong. */
            size_t at = 8 + test_random(&random) % header;
            bool digit = damaged[at] >= '0' && damaged[at] <= '9';
            damaged[at] = digit || i % 4 ? (char)('0' + test_random(&random) % 10) : (char)(test_random(&random) % 256);
        }
        file = fopen(in_folder("b.safetensors"), "wb");
        fwrite(damaged, 1, size, file);
        fclose(file);
        cpl_error error = {0};
        cpl_lora_want want = want_of(in_folder("b.safetensors"), 1, 1);
        cpl_lora_set *set = cpl_lora_set_new(models[0], &want, 1, &error);
        if (!set && !*error.message) fail_msg("nothing was said");
        told += !set;
        cpl_lora_set_free(set);
        free(want.path);
    }
    assert_true(told > 100);
    bag_clear(&lora);
}

static void what_a_file_is(void **state) {
    (void)state;
    bag lora = {0};
    cpl_lora_info info;
    cpl_error error = {0};
    pair(&lora, "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", 32, 768);
    pair(&lora, "lora_te_text_model_encoder_layers_0_mlp_fc1", 32, 32);
    lora.metadata = strdup("{\"ss_output_name\":\"My Style\",\"ss_sd_model_name\":\"v1-5.ckpt\"}");
    bag_write(&lora, in_folder("a.safetensors"));
    if (!cpl_lora_peek(in_folder("a.safetensors"), NULL, &info, &error)) fail_msg("%s", error.message);
    assert_string_equal(info.name, "a");
    assert_string_equal(info.kind, "LoRA");
    assert_string_equal(info.family, "sd1");
    assert_string_equal(info.title, "My Style");
    assert_string_equal(info.base, "v1-5.ckpt");
    assert_string_equal(info.weights, "F32");
    assert_true(info.usable && info.unet_modules == 1 && info.text_modules == 1);
    assert_true(info.least_rank == 2 && info.most_rank == 2 && info.parameters == 2 * (32 + 768) + 2 * 64);
    assert_true(cpl_lora_peek("My Style", folder, &info, &error));
    assert_false(cpl_lora_peek(TINY, NULL, &info, &error));
    assert_non_null(strstr(error.message, "is no LoRA"));
    bag_clear(&lora);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling),
        cmocka_unit_test(every_layer),
        cmocka_unit_test(two_at_once),
        cmocka_unit_test(locon_with_a_middle),
        cmocka_unit_test(loha),
        cmocka_unit_test(lokr),
        cmocka_unit_test(refusals),
        cmocka_unit_test(a_changed_file),
        cmocka_unit_test(a_part_that_does_not_fit),
        cmocka_unit_test(a_part_that_is_not_understood),
        cmocka_unit_test(what_a_file_is),
        cmocka_unit_test(damaged_headers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
