/* Models that are not one LDM file: folders of diffusers made of the tiny checkpoints, shards, a VAE of its own in each way
 * of naming, averaged weights. All of them must compute the same bits as the file that they were made of. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../core/model/diffusers.h"
#include "../../../core/model/lora.h"
#include "../../../core/model/model.h"
#include "../../../core/model/model_file.h"
#include "../../test.h"

#define SD1 "tests/golden/engine/sd1_tiny.safetensors"
#define XL "tests/golden/engine/sdxl_tiny.safetensors"
#define UNET "model.diffusion_model."
#define VAE "first_stage_model."

static cpl_backend *backend;
static cpl_stream *stream;
static char folder[] = "/tmp/couplet-folder-XXXXXX";

static int set_up(void **state) {
    (void)state;
    cpl_error error = {0};
    backend = cpl_cpu_backend.open(&(cpl_backend_config){.threads = 1}, &error);
    stream = backend ? backend->ops->stream_open(backend, &error) : NULL;
    return stream && mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    backend->ops->stream_close(stream);
    backend->ops->close(backend);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* ---- Writing ---- */

static void path_of(char path[256], const char *name) { snprintf(path, 256, "%s/%s", folder, name); }

static void write_text(const char *name, const char *text) {
    char path[256];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const char *name) {
    char path[256];
    path_of(path, name);
    mkdir(path, 0700);
}

static void remove_file(const char *name) {
    char path[256];
    path_of(path, name);
    assert_int_equal(unlink(path), 0);
}

static cpl_st_writer *writer(void) {
    cpl_st_writer *w = cpl_st_writer_new(NULL);
    assert_non_null(w);
    return w;
}

static void save(cpl_st_writer *w, const char *name) {
    cpl_error error = {0};
    char path[256];
    path_of(path, name);
    if (!cpl_st_writer_save(w, path, &error)) fail_msg("%s", error.message);
    cpl_st_writer_free(w);
}

static void add(cpl_st_writer *w, const char *name, const float *values, int rank, const int64_t *shape) {
    cpl_error error = {0};
    if (!cpl_st_writer_add(w, name, values, rank, shape, &error)) fail_msg("%s", error.message);
}

/* What a tensor is called in another file; false: it is not in it. */
typedef bool renamer(const char *ldm, const void *user, char *name, size_t size);

static void copy_renamed(cpl_st_writer *w, const char *from, renamer *rename, const void *user) {
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_open(from, &error);
    assert_non_null(st);
    for (int i = 0; i < cpl_safetensors_count(st); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(st, i);
        char name[256];
        if (!rename(e->name, user, name, sizeof name)) continue;
        float *values = cpl_safetensors_f32(st, e, &error);
        /* Attention of VAEs is linear in newer files. */
        bool flat = strstr(name, ".to_q.") && e->rank == 4;
        add(w, name, values, flat ? 2 : e->rank, e->shape);
        free(values);
    }
    cpl_safetensors_close(st);
}

typedef struct style {
    const char *from;
    bool shards, old_attention;
    const char *variant;
} style;

static int res_blocks(const style *s) { return strcmp(s->from, XL) ? 2 : 1; }

static const char *after(const char *name, const char *prefix) {
    return strncmp(name, prefix, strlen(prefix)) == 0 ? name + strlen(prefix) : NULL;
}

static bool unet_name(const char *ldm, const void *user, char *name, size_t size) {
    const char *rest = after(ldm, UNET);
    return rest && cpl_diffusers_unet_name(rest, res_blocks(user), name, size);
}
static bool first_shard(const char *ldm, const void *user, char *name, size_t size) {
    return unet_name(ldm, user, name, size) && strncmp(name, "up_blocks.", 10) != 0;
}
static bool second_shard(const char *ldm, const void *user, char *name, size_t size) {
    return unet_name(ldm, user, name, size) && strncmp(name, "up_blocks.", 10) == 0;
}

static bool vae_name(const char *ldm, const void *user, char *name, size_t size) {
    const char *rest = after(ldm, VAE);
    return rest && cpl_diffusers_vae_name(rest, 4, ((const style *)user)->old_attention, name, size);
}

static bool cut_prefix(const char *ldm, const void *user, char *name, size_t size) {
    const char *rest = after(ldm, user);
    return rest && snprintf(name, size, "%s", rest) > 0;
}
static bool same_with_prefix(const char *ldm, const void *user, char *name, size_t size) {
    return after(ldm, user) && snprintf(name, size, "%s", ldm) > 0;
}
static bool other_than_prefix(const char *ldm, const void *user, char *name, size_t size) {
    return !after(ldm, user) && snprintf(name, size, "%s", ldm) > 0;
}

/* The joint projection of OpenCLIP in three, its tables under Hugging Face's names, the last projection turned. */
static void add_openclip(cpl_st_writer *w, const char *name, const float *values, const cpl_st_entry *e) {
    static const struct {
        const char *openclip, *hf;
    } whole[] = {
        {"token_embedding.weight", "text_model.embeddings.token_embedding.weight"},
        {"positional_embedding", "text_model.embeddings.position_embedding.weight"},
        {"ln_final.weight", "text_model.final_layer_norm.weight"},
        {"ln_final.bias", "text_model.final_layer_norm.bias"},
    };
    char to[256], module[256];
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (!strcmp(name, whole[i].openclip)) add(w, whole[i].hf, values, e->rank, e->shape);
    if (!strcmp(name, "text_projection")) {
        int64_t rows = e->shape[0], columns = e->shape[1];
        float *turned = malloc((size_t)e->count * sizeof *turned);
        assert_non_null(turned);
        for (int64_t i = 0; i < e->count; i++) turned[i % columns * rows + i / columns] = values[i];
        add(w, "text_projection.weight", turned, 2, (int64_t[]){columns, rows});
        free(turned);
    }
    const char *joint = strstr(name, ".attn.in_proj_");
    for (int i = 0; i < 3 && joint; i++) {
        int64_t shape[2] = {e->shape[0] / 3, e->rank > 1 ? e->shape[1] : 1};
        snprintf(module, sizeof module, "%.*s.attn.in_proj", (int)(joint - name), name);
        assert_true(cpl_diffusers_text_name(module, i, to, sizeof to));
        strncat(to, strstr(joint, "weight") ? ".weight" : ".bias", sizeof to - strlen(to) - 1);
        add(w, to, values + e->count / 3 * i, e->rank, shape);
    }
    if (!joint && cpl_diffusers_text_name(name, 0, to, sizeof to)) add(w, to, values, e->rank, e->shape);
}

static void write_openclip(const char *from, const char *name) {
    static const char prefix[] = "conditioner.embedders.1.model.";
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_open(from, &error);
    cpl_st_writer *w = writer();
    assert_non_null(st);
    for (int i = 0; i < cpl_safetensors_count(st); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(st, i);
        const char *rest = after(e->name, prefix);
        if (!rest) continue;
        float *values = cpl_safetensors_f32(st, e, &error);
        add_openclip(w, rest, values, e);
        free(values);
    }
    cpl_safetensors_close(st);
    save(w, name);
}

/* Everything that a folder of diffusers has but the tokenizer. */
static void write_folder(const style *s) {
    bool xl = !strcmp(s->from, XL);
    static const char *const places[] = {"unet", "vae", "text_encoder", "text_encoder_2", "scheduler"};
    char name[128];
    for (int i = 0; i < 5; i++)
        if (i != 3 || xl) make_folder(places[i]);
    cpl_st_writer *w = writer();
    copy_renamed(w, s->from, s->shards ? first_shard : unet_name, s);
    snprintf(name, sizeof name, "unet/diffusion_pytorch_model%s%s.safetensors", s->variant,
             s->shards ? "-00001-of-00002" : "");
    save(w, name);
    if (s->shards) {
        w = writer();
        copy_renamed(w, s->from, second_shard, s);
        save(w, "unet/diffusion_pytorch_model-00002-of-00002.safetensors");
        write_text("unet/diffusion_pytorch_model.safetensors.index.json",
                   "{\"metadata\": {}, \"weight_map\": {"
                   "\"conv_in.bias\": \"diffusion_pytorch_model-00001-of-00002.safetensors\","
                   "\"conv_in.weight\": \"diffusion_pytorch_model-00001-of-00002.safetensors\","
                   "\"up_blocks.0.resnets.0.norm1.bias\": \"diffusion_pytorch_model-00002-of-00002.safetensors\"}}");
    }
    w = writer();
    copy_renamed(w, s->from, vae_name, s);
    snprintf(name, sizeof name, "vae/diffusion_pytorch_model%s.safetensors", s->variant);
    save(w, name);
    w = writer();
    copy_renamed(w, s->from, cut_prefix, xl ? "conditioner.embedders.0.transformer." : "cond_stage_model.transformer.");
    snprintf(name, sizeof name, "text_encoder/model%s.safetensors", s->variant);
    save(w, name);
    if (xl) {
        snprintf(name, sizeof name, "text_encoder_2/model%s.safetensors", s->variant);
        write_openclip(s->from, name);
    }
    write_text("model_index.json",
               xl ? "{\"_class_name\": \"StableDiffusionXLPipeline\"}"
                  : "{\"_class_name\": \"StableDiffusionPipeline\", \"safety_checker\": [null, null]}");
}

/* The heads of the tiny models are not those of the real ones, and no shape tells them. */
static void write_configs(const char *from, const char *prediction, bool zero_snr) {
    char text[256];
    cpl_error error = {0};
    cpl_model_spec spec = {0};
    cpl_checkpoint *c = cpl_checkpoint_of(cpl_safetensors_open(from, &error), &error);
    assert_true(c && cpl_model_spec_read(c, &spec, &error));
    cpl_checkpoint_close(c);
    const cpl_unet_spec *u = &spec.unet;
    if (u->num_heads > 0 || u->num_head_channels < 1)
        snprintf(text, sizeof text, "{\"attention_head_dim\": %d, \"norm_num_groups\": %d}", u->num_heads,
                 u->norm_groups);
    else
        snprintf(text, sizeof text,
                 "{\"attention_head_dim\": [%d, %d, %d], \"num_attention_heads\": null, \"norm_num_groups\": %d}",
                 u->model_channels * u->channel_mult[0] / u->num_head_channels,
                 u->model_channels * u->channel_mult[1] / u->num_head_channels,
                 u->model_channels * u->channel_mult[2] / u->num_head_channels, u->norm_groups);
    write_text("unet/config.json", text);
    snprintf(text, sizeof text, "{\"scaling_factor\": %.9g, \"norm_num_groups\": %d}", (double)spec.vae.scaling_factor,
             spec.vae.norm_groups);
    write_text("vae/config.json", text);
    for (int i = 0; i < spec.texts; i++) {
        snprintf(text, sizeof text, "{\"num_attention_heads\": %d, \"hidden_act\": \"%s\"}", spec.text[i].heads,
                 spec.text[i].quick_gelu ? "quick_gelu" : "gelu");
        write_text(i ? "text_encoder_2/config.json" : "text_encoder/config.json", text);
    }
    snprintf(text, sizeof text,
             "{\"prediction_type\": \"%s\", \"rescale_betas_zero_snr\": %s, \"beta_schedule\": \"scaled_linear\"}",
             prediction, zero_snr ? "true" : "false");
    write_text("scheduler/scheduler_config.json", text);
}

static void clear_folder(void) {
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s && mkdir %s", folder, folder);
    assert_int_equal(system(command), 0);
}

/* ---- What a model computes ---- */

static cpl_model *open_source(const cpl_model_source *source, cpl_error *error) {
    cpl_checkpoint *c = cpl_model_open_files(source, error);
    cpl_model *m = c ? cpl_model_from(c, NULL, backend, NULL, error) : NULL;
    cpl_checkpoint_close(c);
    return m;
}

static cpl_tensor ramp(int n, int h, int w, int c) {
    cpl_tensor t = cpl_make(stream, n, h, w, c);
    size_t count = cpl_tensor_count(&t);
    float *values = malloc(count * sizeof *values);
    uint32_t seed = 7;
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) values[i] = (float)(test_uniform(&seed) * 2 - 1);
    stream->ops->upload(stream, &t, values);
    free(values);
    return t;
}

/* Appends a tensor's values and frees it. */
static void take(FILE *out, cpl_tensor *t) {
    cpl_error error = {0};
    size_t count = cpl_tensor_count(t);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    stream->ops->download(stream, values, t);
    if (!cpl_stream_settle(stream, &error)) fail_msg("%s", error.message);
    assert_int_equal(fwrite(values, sizeof *values, count, out), count);
    free(values);
    cpl_tensor_free(t);
}

/* The bits of each network's output for the same inputs; the caller frees. */
static char *fingerprint(const cpl_model *m, size_t *size) {
    int ids[77];
    float multipliers[77], timestep = 321;
    cpl_error error = {0};
    cpl_chunks chunks = {1, 77, ids, multipliers, 0};
    cpl_tensor context, pooled = {0}, y = {0};
    char *bits = NULL;
    FILE *out = open_memstream(&bits, size);
    for (int i = 0; i < 77; i++) ids[i] = i < 9 ? i * 3 : m->spec.text[0].vocab_size - 1, multipliers[i] = 1;
    if (!cpl_model_encode_chunks(m, stream, NULL, &chunks, 1, &context, &error)) fail_msg("%s", error.message);
    if (m->spec.unet.adm_in_channels) {
        if (!cpl_model_pool_chunks(m, stream, NULL, &chunks, &pooled, &error)) fail_msg("%s", error.message);
        y = cpl_make(stream, 1, 1, 1, m->spec.unet.adm_in_channels);
        cpl_model_vector(m, stream, &y, &pooled, 64, 64);
    }
    cpl_text_kv kv;
    if (!cpl_unet_text_kv(m->unet, stream, &context, &kv, &error)) fail_msg("%s", error.message);
    const cpl_text_kv *line = &kv;
    cpl_unet_text text = {.lines = 1, .kv = &line};
    cpl_tensor x = ramp(1, 8, 8, 4), eps = cpl_make_like(stream, &x), z = ramp(1, 4, 4, 4);
    cpl_unet_run(m->unet, stream, &eps, &x, &timestep, y.data ? &y : NULL, &text, NULL, NULL);
    cpl_tensor image = cpl_vae_decode(m->vae, stream, &z, NULL, NULL);
    take(out, &context);
    take(out, &eps);
    take(out, &image);
    cpl_tensor_free(&pooled);
    cpl_tensor_free(&y);
    cpl_tensor_free(&x);
    cpl_tensor_free(&z);
    cpl_text_kv_free(&kv);
    assert_int_equal(fclose(out), 0);
    return bits;
}

static char *fingerprint_of(const cpl_model_source *source, size_t *size) {
    cpl_error error = {0};
    cpl_model *m = open_source(source, &error);
    if (!m) fail_msg("%s", error.message);
    char *bits = fingerprint(m, size);
    cpl_model_close(m);
    return bits;
}

static void assert_same_bits(const cpl_model_source *a, const cpl_model_source *b) {
    size_t size, other;
    char *one = fingerprint_of(a, &size), *two = fingerprint_of(b, &other);
    assert_true(size > 0 && size == other && !memcmp(one, two, size));
    free(one);
    free(two);
}

static void look(const cpl_model_source *source, cpl_model_info *info) {
    cpl_error error = {0};
    if (!cpl_model_peek(source, info, &error)) fail_msg("%s", error.message);
}

/* ---- Names ---- */

/* As the conversion script of diffusers pairs them, for the full-size models. */
static void names_are_those_of_diffusers(void **state) {
    (void)state;
    static const struct {
        const char *ldm, *diffusers;
    } unet[] = {
        {"time_embed.0.weight", "time_embedding.linear_1.weight"},
        {"time_embed.2.bias", "time_embedding.linear_2.bias"},
        {"label_emb.0.0.weight", "add_embedding.linear_1.weight"},
        {"label_emb.0.2.weight", "add_embedding.linear_2.weight"},
        {"input_blocks.0.0.weight", "conv_in.weight"},
        {"out.0.bias", "conv_norm_out.bias"},
        {"out.2.weight", "conv_out.weight"},
        {"input_blocks.1.0.in_layers.0.weight", "down_blocks.0.resnets.0.norm1.weight"},
        {"input_blocks.1.0.in_layers.2.weight", "down_blocks.0.resnets.0.conv1.weight"},
        {"input_blocks.2.0.emb_layers.1.bias", "down_blocks.0.resnets.1.time_emb_proj.bias"},
        {"input_blocks.2.1.proj_in.weight", "down_blocks.0.attentions.1.proj_in.weight"},
        {"input_blocks.3.0.op.bias", "down_blocks.0.downsamplers.0.conv.bias"},
        {"input_blocks.4.0.skip_connection.weight", "down_blocks.1.resnets.0.conv_shortcut.weight"},
        {"input_blocks.5.0.out_layers.0.weight", "down_blocks.1.resnets.1.norm2.weight"},
        {"input_blocks.6.0.op.weight", "down_blocks.1.downsamplers.0.conv.weight"},
        {"input_blocks.8.1.transformer_blocks.9.attn2.to_out.0.weight",
         "down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_out.0.weight"},
        {"input_blocks.11.0.out_layers.3.weight", "down_blocks.3.resnets.1.conv2.weight"},
        {"middle_block.0.in_layers.2.weight", "mid_block.resnets.0.conv1.weight"},
        {"middle_block.1.transformer_blocks.0.ff.net.0.proj.weight",
         "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight"},
        {"middle_block.2.out_layers.3.bias", "mid_block.resnets.1.conv2.bias"},
        {"output_blocks.0.0.skip_connection.bias", "up_blocks.0.resnets.0.conv_shortcut.bias"},
        {"output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"},
        {"output_blocks.2.2.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"},
        {"output_blocks.3.1.norm.weight", "up_blocks.1.attentions.0.norm.weight"},
        {"output_blocks.5.2.conv.bias", "up_blocks.1.upsamplers.0.conv.bias"},
        {"output_blocks.8.2.conv.bias", "up_blocks.2.upsamplers.0.conv.bias"},
        {"output_blocks.11.1.transformer_blocks.0.norm3.weight",
         "up_blocks.3.attentions.2.transformer_blocks.0.norm3.weight"},
        {"input_blocks.1.1", "down_blocks.0.attentions.0"},
        {"input_blocks.3.0", NULL},
        {"input_blocks.1.0.in_layers.1.weight", NULL},
        {"input_blocks.1", NULL},
        {"input_blocks.0.0x", NULL},
        {"output_blocks.1.3.weight", NULL},
        {"middle_block.3.weight", NULL},
        {"something", NULL},
        {"", NULL},
    };
    static const struct {
        const char *ldm, *diffusers;
        bool old;
    } vae[] = {
        {"quant_conv.weight", "quant_conv.weight", false},
        {"post_quant_conv.bias", "post_quant_conv.bias", false},
        {"encoder.conv_in.weight", "encoder.conv_in.weight", false},
        {"encoder.norm_out.bias", "encoder.conv_norm_out.bias", false},
        {"decoder.conv_out.bias", "decoder.conv_out.bias", false},
        {"encoder.down.0.block.1.norm2.weight", "encoder.down_blocks.0.resnets.1.norm2.weight", false},
        {"encoder.down.1.block.0.nin_shortcut.weight", "encoder.down_blocks.1.resnets.0.conv_shortcut.weight", false},
        {"encoder.down.2.downsample.conv.weight", "encoder.down_blocks.2.downsamplers.0.conv.weight", false},
        {"decoder.up.3.block.0.conv1.weight", "decoder.up_blocks.0.resnets.0.conv1.weight", false},
        {"decoder.up.0.block.2.conv2.bias", "decoder.up_blocks.3.resnets.2.conv2.bias", false},
        {"decoder.up.3.upsample.conv.bias", "decoder.up_blocks.0.upsamplers.0.conv.bias", false},
        {"decoder.up.1.upsample.conv.weight", "decoder.up_blocks.2.upsamplers.0.conv.weight", false},
        {"decoder.mid.block_1.norm1.weight", "decoder.mid_block.resnets.0.norm1.weight", false},
        {"encoder.mid.block_2.conv2.bias", "encoder.mid_block.resnets.1.conv2.bias", false},
        {"decoder.mid.attn_1.norm.weight", "decoder.mid_block.attentions.0.group_norm.weight", false},
        {"decoder.mid.attn_1.q.weight", "decoder.mid_block.attentions.0.to_q.weight", false},
        {"decoder.mid.attn_1.proj_out.bias", "decoder.mid_block.attentions.0.to_out.0.bias", false},
        {"decoder.mid.attn_1.k.weight", "decoder.mid_block.attentions.0.key.weight", true},
        {"decoder.mid.attn_1.v.bias", "decoder.mid_block.attentions.0.value.bias", true},
        {"encoder.mid.attn_1.proj_out.bias", "encoder.mid_block.attentions.0.proj_attn.bias", true},
        {"decoder.up.4.block.0.conv1.weight", NULL, false},
        {"decoder", NULL, false},
        {"loss.logvar", NULL, false},
    };
    char name[256];
    for (size_t i = 0; i < sizeof unet / sizeof *unet; i++) {
        bool found = cpl_diffusers_unet_name(unet[i].ldm, 2, name, sizeof name);
        if (found != (unet[i].diffusers != NULL)) fail_msg("%s: %s", unet[i].ldm, found ? name : "not known");
        if (found) assert_string_equal(name, unet[i].diffusers);
        if (found) assert_false(cpl_diffusers_unet_name(unet[i].ldm, 2, name, strlen(unet[i].diffusers)));
    }
    for (size_t i = 0; i < sizeof vae / sizeof *vae; i++) {
        bool found = cpl_diffusers_vae_name(vae[i].ldm, 4, vae[i].old, name, sizeof name);
        if (found != (vae[i].diffusers != NULL)) fail_msg("%s: %s", vae[i].ldm, found ? name : "not known");
        if (found) assert_string_equal(name, vae[i].diffusers);
    }
    assert_true(cpl_diffusers_text_name("transformer.resblocks.31.mlp.c_fc", 0, name, sizeof name));
    assert_string_equal(name, "text_model.encoder.layers.31.mlp.fc1");
    assert_true(cpl_diffusers_text_name("transformer.resblocks.0.attn.in_proj", 2, name, sizeof name));
    assert_string_equal(name, "text_model.encoder.layers.0.self_attn.v_proj");
    assert_true(cpl_diffusers_text_name("transformer.resblocks.4.ln_2.weight", 0, name, sizeof name));
    assert_string_equal(name, "text_model.encoder.layers.4.layer_norm2.weight");
    assert_false(cpl_diffusers_text_name("ln_final.weight", 0, name, sizeof name));
}

/* ---- Folders ---- */

static void folders_compute_the_same_bits(void **state) {
    (void)state;
    static const style styles[] = {
        {SD1, false, false, ""}, {SD1, true, true, ""}, {XL, false, false, ".fp16"}, {XL, true, false, ""}};
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        char index[256];
        cpl_model_info info;
        write_folder(&styles[i]);
        write_configs(styles[i].from, "epsilon", false);
        assert_same_bits(&(cpl_model_source){.model = styles[i].from}, &(cpl_model_source){.model = folder});
        path_of(index, "model_index.json");
        look(&(cpl_model_source){.model = index}, &info);
        assert_string_equal(info.path, folder);
        assert_string_equal(info.name, strrchr(folder, '/') + 1);
        int texts = styles[i].from[0] && !strcmp(styles[i].from, XL) ? 2 : 1;
        assert_string_equal(info.family, texts == 2 ? "sdxl" : "sd1");
        assert_int_equal(info.parts, texts + 2);
        assert_int_equal(info.part[texts].files, styles[i].shards ? 2 : 1);
        assert_non_null(strstr(info.part[texts + 1].file, "/vae/"));
        cpl_model_info file;
        look(&(cpl_model_source){.model = styles[i].from}, &file);
        assert_true(info.packed_f32 == file.packed_f32);
        for (int k = 0; k < texts + 2; k++) assert_string_equal(info.part[k].name, file.part[k].name);
        clear_folder();
    }
}

/* A model's second encoder with a LoRA's part for the projection behind it. */
static char *projected(const char *model, const char *lora, size_t *size) {
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_open(lora, &error);
    cpl_model *m = open_source(&(cpl_model_source){.model = model}, &error);
    if (!m || !st) {
        fail_msg("%s", error.message);
        abort();
    }
    const cpl_lora_want want = {
        .path = strdup(lora), .identity = cpl_safetensors_identity(st), .unet = 1, .text = 1, .row = -1};
    cpl_lora_set *set = cpl_lora_set_new(m, &want, 1, &error);
    if (!set) {
        fail_msg("%s", error.message);
        abort();
    }
    assert_string_equal(set->note, "");
    assert_int_equal(set->adapters.count, 1);
    stream->adapters = &set->adapters;
    char *bits = fingerprint(m, size);
    stream->adapters = NULL;
    cpl_lora_set_free(set);
    cpl_safetensors_close(st);
    free(want.path);
    cpl_model_close(m);
    return bits;
}

/* Hugging Face's projection stands outside of the names that the rest of its encoder has. */
static void a_lora_reaches_the_projection_of_folders(void **state) {
    (void)state;
    char lora[256];
    size_t plain, one, two;
    const style xl = {XL, false, false, ""};
    write_folder(&xl);
    write_configs(XL, "epsilon", false);
    cpl_error error = {0};
    cpl_model_spec spec = {0};
    cpl_checkpoint *c = cpl_checkpoint_of(cpl_safetensors_open(XL, &error), &error);
    assert_true(c && cpl_model_spec_read(c, &spec, &error));
    cpl_checkpoint_close(c);
    enum { MOST = 2048 };
    assert_true(spec.text[1].width <= MOST && spec.text[1].projection <= MOST);
    float values[MOST];
    for (int i = 0; i < MOST; i++) values[i] = (float)(i % 5) / 8;
    cpl_st_writer *w = writer();
    add(w, "lora_te2_text_projection.lora_down.weight", values, 2, (int64_t[]){1, spec.text[1].width});
    add(w, "lora_te2_text_projection.lora_up.weight", values, 2, (int64_t[]){spec.text[1].projection, 1});
    save(w, "lora.safetensors");
    path_of(lora, "lora.safetensors");
    char *without = fingerprint_of(&(cpl_model_source){.model = XL}, &plain);
    char *file = projected(XL, lora, &one), *own = projected(folder, lora, &two);
    assert_true(plain == one && memcmp(without, file, one) != 0);
    assert_true(one == two && memcmp(file, own, one) == 0);
    free(without);
    free(file);
    free(own);
    clear_folder();
}

static void the_scheduler_tells_what_is_predicted(void **state) {
    (void)state;
    const style plain = {SD1, false, false, ""};
    cpl_model_info info;
    write_folder(&plain);
    write_configs(SD1, "v_prediction", true);
    look(&(cpl_model_source){.model = folder}, &info);
    assert_string_equal(info.prediction, "v");
    assert_true(info.zero_terminal_snr);
    write_configs(SD1, "epsilon", false);
    look(&(cpl_model_source){.model = folder}, &info);
    assert_string_equal(info.prediction, "epsilon");
    assert_false(info.zero_terminal_snr);
    clear_folder();
}

static void a_folder_that_is_none_says_what_it_lacks(void **state) {
    (void)state;
    static const struct {
        const char *file, *text, *says; /* text NULL: the file goes */
    } faults[] = {
        {"unet/diffusion_pytorch_model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../x.safetensors\"}}",
         "tensor a is in no file of this folder"},
        {"unet/diffusion_pytorch_model.safetensors.index.json", "{\"weight_map\": {\"a\": 3}}", "in no file"},
        {"unet/diffusion_pytorch_model.safetensors.index.json", "{}", "no index of shards"},
        {"unet/diffusion_pytorch_model.safetensors.index.json", "[[[[", "no index of shards"},
        {"unet/diffusion_pytorch_model.safetensors.index.json", "{\"weight_map\": {\"a\": \"gone.safetensors\"}}",
         "unet/gone.safetensors: cannot open"},
        {"unet/diffusion_pytorch_model-00002-of-00002.safetensors", NULL, "00002-of-00002.safetensors: cannot open"},
        {"unet/config.json", "{\"attention_head_dim\": [1]}", "has fewer levels"},
        {"unet/config.json", "{\"attention_head_dim\": \"many\"}", "attention_head_dim is not a whole number"},
        {"unet/config.json", "{\"attention_head_dim\": 4, \"time_cond_proj_dim\": 256}", "guidance scale as an input"},
        {"unet/config.json", "{", "unet/config.json: "},
        {"vae/config.json", "{\"scaling_factor\": \"x\"}", "vae/config.json: scaling_factor"},
        {"text_encoder/config.json", "{\"hidden_act\": \"relu\"}", "text_encoder/config.json: hidden_act"},
        {"scheduler/scheduler_config.json", "{\"prediction_type\": \"sample\"}", "prediction_type is neither"},
        {"scheduler/scheduler_config.json", "{\"beta_schedule\": \"linear\"}", "beta_schedule is not"},
        {"scheduler/scheduler_config.json", "{\"_class_name\": \"EDMEulerScheduler\"}",
         "was trained on EDM's noise levels"},
        {"model_index.json", "{\"_class_name\": \"StableDiffusion3Pipeline\"}", "StableDiffusion3Pipeline"},
        {"model_index.json", "{\"_class_name\": \"StableDiffusionInpaintPipeline\"}", "InpaintPipeline"},
        {"model_index.json", "nonsense", "model_index.json is no JSON object"},
        {"model_index.json", NULL, "a folder without model_index.json"},
        {"vae/diffusion_pytorch_model.safetensors", NULL, "vae holds no diffusion_pytorch_model.safetensors"},
        {"text_encoder/model.safetensors", NULL, "text_encoder holds no model.safetensors"},
    };
    const style sharded = {SD1, true, false, ""};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        cpl_error error = {0};
        cpl_model_info info;
        write_folder(&sharded);
        write_configs(SD1, "epsilon", false);
        if (faults[i].text)
            write_text(faults[i].file, faults[i].text);
        else
            remove_file(faults[i].file);
        if (cpl_model_peek(&(cpl_model_source){.model = folder}, &info, &error) ||
            !strstr(error.message, faults[i].says))
            fail_msg("%s = %s\n  should say %s, said: %s", faults[i].file, faults[i].text ? faults[i].text : "gone",
                     faults[i].says, error.message);
        clear_folder();
    }
}

/* A pickle in the place of the weights is named; it is never opened. */
static void pickles_are_named(void **state) {
    (void)state;
    const style plain = {SD1, false, false, ""};
    cpl_error error = {0};
    cpl_model_info info;
    write_folder(&plain);
    remove_file("unet/diffusion_pytorch_model.safetensors");
    write_text("unet/diffusion_pytorch_model.bin", "x");
    assert_false(cpl_model_peek(&(cpl_model_source){.model = folder}, &info, &error));
    assert_non_null(strstr(error.message, "diffusion_pytorch_model.bin is a PyTorch pickle"));
    clear_folder();
}

/* A file that changes changes the stamp, and the identity with it; and so does one that is not a file of weights. */
static void changes_are_seen(void **state) {
    (void)state;
    const style plain = {SD1, false, false, ""};
    const cpl_model_source source = {.model = folder};
    cpl_error error = {0};
    cpl_model_info info;
    uint64_t before, after;
    write_folder(&plain);
    write_configs(SD1, "epsilon", false);
    assert_true(cpl_model_look(&source, &info, &before, &error));
    uint64_t stamp = cpl_model_stamp(&source);
    assert_true(stamp != 0 && stamp == cpl_model_stamp(&source));
    write_configs(SD1, "v_prediction", false);
    assert_true(cpl_model_stamp(&source) != stamp);
    assert_true(cpl_model_look(&source, &info, &after, &error));
    assert_true(before != after);
    assert_true(cpl_model_stamp(&(cpl_model_source){.model = "/nowhere"}) == 0);
    assert_true(cpl_model_stamp(&(cpl_model_source){0}) != 0);
    clear_folder();
}

/* ---- A VAE of its own ---- */

static void a_vae_may_come_from_elsewhere(void **state) {
    (void)state;
    char bare[256], prefixed[256], without[256], inside[256];
    const style plain = {SD1, false, true, ""};
    path_of(bare, "bare.safetensors");
    path_of(prefixed, "prefixed.safetensors");
    path_of(without, "without.safetensors");
    path_of(inside, "vae/diffusion_pytorch_model.safetensors");
    cpl_st_writer *w = writer();
    copy_renamed(w, SD1, cut_prefix, VAE);
    save(w, "bare.safetensors");
    w = writer();
    copy_renamed(w, SD1, same_with_prefix, VAE);
    save(w, "prefixed.safetensors");
    write_folder(&plain);
    /* The file has no metadata any more, so heads are the family's; the VAE has none. */
    w = writer();
    copy_renamed(w, SD1, other_than_prefix, VAE);
    save(w, "without.safetensors");
    w = writer();
    copy_renamed(w, SD1, other_than_prefix, "nothing");
    save(w, "whole.safetensors");
    char whole[256];
    path_of(whole, "whole.safetensors");
    cpl_error error = {0};
    cpl_model_info info;
    assert_false(cpl_model_peek(&(cpl_model_source){.model = without}, &info, &error));
    assert_non_null(strstr(error.message, "give one with --vae"));
    const char *const vaes[] = {bare, prefixed, inside, folder, SD1};
    for (size_t i = 0; i < sizeof vaes / sizeof *vaes; i++) {
        const cpl_model_source source = {.model = without, .vae = vaes[i]};
        assert_same_bits(&(cpl_model_source){.model = whole}, &source);
        look(&source, &info);
        assert_string_equal(info.part[2].name, "vae");
        if (vaes[i] != folder) assert_string_equal(info.part[2].file, vaes[i]);
        assert_true(info.part[2].parameters > 0);
    }
    /* It takes the place of the one that is there, is looked for beside the layout, and is part of what the model is. */
    size_t size, other_size;
    uint64_t own, lent;
    const cpl_model_source other = {.model = "whole.safetensors", .directory = folder, .vae = XL};
    char *bits = fingerprint_of(&(cpl_model_source){.model = whole}, &size),
         *changed = fingerprint_of(&other, &other_size);
    assert_true(size == other_size && memcmp(bits, changed, size) != 0);
    assert_true(cpl_model_look(&(cpl_model_source){.model = whole}, &info, &own, &error));
    int64_t parameters = info.part[1].parameters, decoder = info.part[2].parameters;
    assert_true(cpl_model_look(&other, &info, &lent, &error));
    assert_true(own != lent && info.part[1].parameters == parameters && info.part[2].parameters != decoder);
    free(bits);
    free(changed);
    assert_false(cpl_model_peek(&(cpl_model_source){.model = whole, .vae = without}, &info, &error));
    assert_non_null(strstr(error.message, "without.safetensors holds no VAE"));
    assert_false(cpl_model_peek(&(cpl_model_source){.model = whole, .vae = "/nowhere"}, &info, &error));
    assert_non_null(strstr(error.message, "/nowhere: cannot open"));
    /* A folder's own VAE is not even looked at then. */
    write_configs(SD1, "epsilon", false);
    remove_file("vae/diffusion_pytorch_model.safetensors");
    assert_same_bits(&(cpl_model_source){.model = SD1}, &(cpl_model_source){.model = folder, .vae = bare});
    clear_folder();
}

/* ---- Averaged weights ---- */

static bool averaged_name(const char *ldm, const void *user, char *name, size_t size) {
    (void)user;
    const char *rest = after(ldm, "model.");
    if (!rest) return snprintf(name, size, "%s", ldm) > 0;
    size_t used = (size_t)snprintf(name, size, "model_ema.");
    for (; *rest; rest++)
        if (*rest != '.') name[used++] = *rest;
    name[used] = 0;
    return true;
}

static void averages_run_only_where_nothing_else_is(void **state) {
    (void)state;
    char whole[256], only[256], both[256];
    cpl_model_info info;
    path_of(whole, "whole.safetensors");
    path_of(only, "only.safetensors");
    path_of(both, "both.safetensors");
    cpl_st_writer *w = writer();
    copy_renamed(w, SD1, other_than_prefix, "nothing");
    save(w, "whole.safetensors");
    w = writer();
    copy_renamed(w, SD1, averaged_name, NULL);
    add(w, "model_ema.decay", (float[]){1}, 0, NULL);
    save(w, "only.safetensors");
    /* The averages of another model beside the weights: they are not looked at. */
    w = writer();
    copy_renamed(w, SD1, other_than_prefix, "nothing");
    float zeros[32 * 4 * 9] = {0};
    add(w, "model_ema.diffusion_modelinput_blocks00weight", zeros, 4, (int64_t[]){32, 4, 3, 3});
    save(w, "both.safetensors");
    assert_same_bits(&(cpl_model_source){.model = whole}, &(cpl_model_source){.model = only});
    assert_same_bits(&(cpl_model_source){.model = whole}, &(cpl_model_source){.model = both});
    look(&(cpl_model_source){.model = whole}, &info);
    int64_t parameters = info.parameters;
    assert_false(info.averaged);
    look(&(cpl_model_source){.model = only}, &info);
    assert_true(info.averaged && info.parameters == parameters);
    look(&(cpl_model_source){.model = both}, &info);
    assert_true(!info.averaged && info.parameters == parameters);
    clear_folder();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_diffusers),
        cmocka_unit_test(folders_compute_the_same_bits),
        cmocka_unit_test(a_lora_reaches_the_projection_of_folders),
        cmocka_unit_test(the_scheduler_tells_what_is_predicted),
        cmocka_unit_test(a_folder_that_is_none_says_what_it_lacks),
        cmocka_unit_test(pickles_are_named),
        cmocka_unit_test(changes_are_seen),
        cmocka_unit_test(a_vae_may_come_from_elsewhere),
        cmocka_unit_test(averages_run_only_where_nothing_else_is),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
