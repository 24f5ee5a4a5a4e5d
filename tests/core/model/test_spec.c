/* test_spec.c: specs from metadata and from shapes say the same, and a spec that cannot be right names its key. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../core/model/spec_rules.h"
#include "../../test.h"
#include "st_bag.h"

static const char *const models[] = {"tests/golden/engine/sd1_tiny.safetensors",
                                     "tests/golden/engine/sdxl_tiny.safetensors",
                                     "core/model/builtin/builtin.safetensors"};

static cpl_checkpoint *open_model(const char *path) {
    cpl_error error = {0};
    cpl_checkpoint *st = cpl_checkpoint_of(cpl_safetensors_open(path, &error), &error);
    if (!st) fail_msg("%s", error.message);
    return st;
}

static void test_builtin_spec(void **state) {
    (void)state;
    cpl_checkpoint *st = open_model(models[2]);
    cpl_model_spec spec;
    cpl_error error = {0};
    if (!cpl_model_spec_read(st, &spec, &error)) fail_msg("%s", error.message);
    assert_string_equal(spec.family, "sd1");
    assert_int_equal(spec.unet.model_channels, 64);
    assert_int_equal(spec.unet.levels, 2);
    assert_int_equal(spec.unet.channel_mult[1], 2);
    assert_int_equal(spec.unet.num_head_channels, 32);
    assert_int_equal(spec.unet.norm_groups, 8);
    assert_false(spec.unet.linear_in_transformer);
    assert_int_equal(spec.vae.levels, 4);
    assert_int_equal(spec.vae.ch_mult[3], 8);
    assert_int_equal(spec.vae.ch_mult_decoder[3], 11);
    assert_float_equal(spec.vae.scaling_factor, 0.8253441465952736, 1e-7);
    assert_true(spec.vae.has_latent_rgb);
    assert_float_equal(spec.vae.latent_rgb[3][1], 0.10762, 1e-7);
    assert_float_equal(spec.vae.latent_rgb_bias[1], 0.65342, 1e-7);
    assert_int_equal(spec.texts, 1);
    assert_int_equal(spec.text[0].context_length, 24);
    assert_int_equal(spec.text[0].vocab_size, 858);
    assert_true(spec.text[0].quick_gelu);
    assert_int_equal(spec.train_timesteps, 1000);
    assert_int_equal(spec.defaults.width, 128);
    assert_true(spec.defaults.cfg == 4);
    assert_string_equal(spec.defaults.schedule, "karras");
    cpl_checkpoint_close(st);
}

/* All but heads and norm groups, which no shape shows, can be read off the tensors. */
static void test_shapes_say_the_same(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        cpl_checkpoint *st = open_model(models[m]);
        cpl_model_spec told = {0}, seen = {0};
        cpl_error error = {0};
        if (!cpl_model_spec_read(st, &told, &error) || !cpl_spec_infer(st, &seen, &error))
            fail_msg("%s", error.message);
        assert_string_equal(seen.family, told.family);
        seen.unet.num_heads = told.unet.num_heads;
        seen.unet.num_head_channels = told.unet.num_head_channels;
        seen.unet.norm_groups = told.unet.norm_groups;
        seen.vae.norm_groups = told.vae.norm_groups;
        assert_memory_equal(&seen.unet, &told.unet, sizeof told.unet);
        assert_memory_equal(seen.vae.ch_mult, told.vae.ch_mult, sizeof told.vae.ch_mult);
        assert_memory_equal(seen.vae.ch_mult_decoder, told.vae.ch_mult_decoder, sizeof told.vae.ch_mult);
        assert_int_equal(seen.vae.ch, told.vae.ch);
        assert_int_equal(seen.vae.num_res_blocks, told.vae.num_res_blocks);
        assert_int_equal(seen.texts, told.texts);
        for (int i = 0; i < told.texts; i++) {
            seen.text[i].heads = told.text[i].heads;
            assert_string_equal(seen.text[i].prefix, told.text[i].prefix);
            assert_memory_equal(&seen.text[i].openclip, &told.text[i].openclip,
                                sizeof seen.text[i] - offsetof(cpl_text_spec, openclip));
        }
        cpl_checkpoint_close(st);
    }
}

#define UNET                                                                                                           \
    "\"unet\":{\"model_channels\":32,\"channel_mult\":[1,2],\"num_res_blocks\":1,\"transformer_depth\":[1,1],"         \
    "\"num_heads\":4,\"context_dim\":32}"
#define VAE "\"vae\":{\"ch\":32,\"ch_mult\":[1,2],\"num_res_blocks\":1}"
#define TEXT "\"text\":[{\"prefix\":\"t.\",\"width\":32,\"layers\":1,\"heads\":2,\"vocab_size\":300}]"
#define FAMILY "\"family\":\"sd1\""

static bool parse(const char *json, cpl_model_spec *spec, cpl_error *error) {
    *error = (cpl_error){0};
    return cpl_spec_parse(json, "file", spec, error) && cpl_spec_check(spec, "file", error);
}

static void test_absent_keys_have_defaults(void **state) {
    (void)state;
    cpl_model_spec spec;
    cpl_error error;
    if (!parse("{" FAMILY "," UNET "," VAE "," TEXT ",\"later\":[1]}", &spec, &error)) fail_msg("%s", error.message);
    assert_int_equal(spec.unet.norm_groups, 32);
    assert_int_equal(spec.unet.in_channels, 4);
    assert_int_equal(spec.unet.adm_in_channels, 0);
    assert_int_equal(spec.text[0].context_length, 77);
    assert_int_equal(spec.vae.ch_mult_decoder[1], 2);
    assert_int_equal(spec.defaults.width, 512);
    assert_int_equal(spec.prediction, CPL_PREDICT_EPSILON);
    assert_true(spec.beta_end == 0.012);
    assert_false(spec.vae.has_latent_rgb);
    assert_float_equal(spec.vae.scaling_factor, 0.18215, 1e-7);
}

#define WIDE_UNET                                                                                                      \
    "\"unet\":{\"in_channels\":6,\"model_channels\":32,\"channel_mult\":[1,2],\"num_res_blocks\":1,"                   \
    "\"transformer_depth\":[1,1],\"num_heads\":4,\"context_dim\":32}"
#define WIDE_VAE "\"vae\":{\"ch\":32,\"ch_mult\":[1,2],\"num_res_blocks\":1,\"z_channels\":6}"
#define ROW "[0.5,0.25,0]"

static void test_previews_of_more_channels(void **state) {
    (void)state;
    cpl_model_spec spec;
    cpl_error error;
    if (!parse("{" FAMILY "," WIDE_UNET "," WIDE_VAE "," TEXT ",\"latent_rgb\":{\"factors\":[" ROW "," ROW "," ROW
               "," ROW "," ROW ",[0,0,0.75]],\"bias\":[0,0,0.5]}}",
               &spec, &error))
        fail_msg("%s", error.message);
    assert_true(spec.vae.has_latent_rgb);
    assert_float_equal(spec.vae.latent_rgb[4][1], 0.25, 0);
    assert_float_equal(spec.vae.latent_rgb[5][2], 0.75, 0);
}

static void test_faults_name_their_key(void **state) {
    (void)state;
    static const struct {
        const char *json, *says;
    } faults[] = {
        {"", "JSON"},
        {"[]", "JSON"},
        {"{}", "family"},
        {"{\"family\":\"sd9\"}", "family"},
        {"{\"family\":7}", "family"},
        {"{" FAMILY "}", "unet"},
        {"{" FAMILY "," UNET "," TEXT "}", "vae"},
        {"{" FAMILY "," UNET "," VAE "}", "text"},
        {"{" FAMILY "," UNET "," VAE ",\"text\":[]}", "text"},
        {"{" FAMILY "," UNET "," VAE ",\"text\":[1]}", "text[0]."},
        {"{" FAMILY "," UNET "," VAE ",\"text\":[{\"width\":32,\"layers\":1,\"heads\":5,\"vocab_size\":300}]}",
         "heads"},
        {"{" FAMILY "," UNET "," VAE ",\"text\":[{\"width\":64,\"layers\":1,\"heads\":2,\"vocab_size\":300}]}",
         "context_dim"},
        {"{" FAMILY "," UNET "," VAE ",\"text\":[{\"width\":32,\"layers\":0,\"heads\":2,\"vocab_size\":300}]}",
         "text[0].layers"},
        {"{" FAMILY "," UNET "," VAE ",\"text\":[{\"width\":32,\"layers\":1,\"heads\":2}]}",
         "text[0].vocab_size is missing"},
        {"{" FAMILY "," UNET "," VAE
         ",\"text\":[{\"width\":32,\"layers\":1,\"heads\":2,\"vocab_size\":300,\"layout\":\"x\"}]}",
         "text[0].layout"},
        {"{" FAMILY "," UNET "," VAE
         ",\"text\":[{\"width\":32,\"layers\":1,\"heads\":2,\"vocab_size\":300,\"context_length\":2}]}",
         "context_length"},
        {"{" FAMILY ",\"unet\":{\"model_channels\":1e9}," VAE "," TEXT "}", "unet.model_channels"},
        {"{" FAMILY ",\"unet\":{\"model_channels\":32.5}," VAE "," TEXT "}", "unet.model_channels"},
        {"{" FAMILY ",\"unet\":{\"model_channels\":-32}," VAE "," TEXT "}", "unet.model_channels"},
        {"{" FAMILY
         ",\"unet\":{\"model_channels\":32,\"num_res_blocks\":1,\"context_dim\":32,\"channel_mult\":[1,2]," VAE "," TEXT
         "}",
         "JSON"},
        {"{" FAMILY ",\"unet\":{\"model_channels\":32,\"num_res_blocks\":1,\"context_dim\":32,\"channel_mult\":[1,1,1,"
         "1,1,1,1,1,1],"
         "\"transformer_depth\":[1]}," VAE "," TEXT "}",
         "unet.channel_mult"},
        {"{" FAMILY ",\"unet\":{\"model_channels\":32,\"num_res_blocks\":1,\"context_dim\":32,\"channel_mult\":[1,2],"
         "\"transformer_depth\":[1]}," VAE "," TEXT "}",
         "unet.transformer_depth"},
        {"{" FAMILY ",\"unet\":{\"model_channels\":40,\"num_res_blocks\":1,\"context_dim\":32,\"channel_mult\":[1,2],"
         "\"transformer_depth\":[0,0]}," VAE "," TEXT "}",
         "norm_groups"},
        {"{" FAMILY ",\"unet\":{\"model_channels\":32,\"num_res_blocks\":1,\"context_dim\":32,\"channel_mult\":[1,2],"
         "\"transformer_depth\":[1,0]}," VAE "," TEXT "}",
         "num_head"},
        {"{" FAMILY "," UNET ",\"vae\":{\"ch\":32,\"ch_mult\":[1,2],\"num_res_blocks\":1,\"scaling_factor\":0}," TEXT
         "}",
         "vae.scaling_factor"},
        {"{" FAMILY "," UNET ",\"vae\":{\"ch\":20,\"ch_mult\":[1,2],\"num_res_blocks\":1}," TEXT "}", "vae"},
        {"{" FAMILY "," UNET ",\"vae\":{\"ch\":32,\"ch_mult\":[1,2],\"ch_mult_decoder\":[1],\"num_res_blocks\":1}," TEXT
         "}",
         "vae.ch_mult_decoder"},
        {"{" FAMILY "," UNET ",\"vae\":{\"ch\":32,\"ch_mult\":[1,2],\"z_channels\":8,\"num_res_blocks\":1}," TEXT "}",
         "latents of 8 channels"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"prediction\":\"x0\"}", "prediction"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"beta_start\":0.5}", "beta_start"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"beta_end\":\"0.1\"}", "beta_end"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"num_train_timesteps\":0}", "num_train_timesteps"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"num_train_timesteps\":1001}", "num_train_timesteps"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"latent_rgb\":{\"factors\":[[1,2,3]]}}", "latent_rgb.factors"},
        {"{" FAMILY "," WIDE_UNET "," WIDE_VAE "," TEXT ",\"latent_rgb\":{\"factors\":[" ROW "," ROW "," ROW "," ROW
         "],\"bias\":[0,0,0]}}",
         "one row for each latent channel"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"defaults\":{\"width\":100}}", "defaults.width"},
        {"{" FAMILY "," UNET "," VAE "," TEXT ",\"defaults\":{\"sampler\":\"a name that is far too long for it\"}}",
         "defaults.sampler"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        cpl_model_spec spec = {0};
        cpl_error error;
        if (parse(faults[i].json, &spec, &error) || !strstr(error.message, faults[i].says))
            fail_msg("%s\n  should name %s, said: %s", faults[i].json, faults[i].says, error.message);
    }
}

static void test_strangers_are_named(void **state) {
    (void)state;
    static const struct {
        const char *tensor, *says;
    } files[] = {
        {"lora_unet_down_blocks_0.lora_up.weight", "LoRA"},
        {"control_model.zero", "ControlNet"},
        {"first_stage_model.decoder.conv_out.weight", "VAE"},
        {"model.diffusion_model.double_blocks.0.x", "Flux"},
        {"text_model.final_layer_norm.weight", "text encoder"},
        {"something.else", "no UNet"},
        {"down_blocks.0.resnets.0.conv1.weight", "diffusers"},
        {"unet.x.lora_A.weight", "LoRA"},
        {"lycoris_unet_x.hada_w1_a", "LoRA"},
        {"emb_params", "textual inversion"},
        {"clip_g", "textual inversion"},
        {"x.joint_blocks.0.y", "SD 3"},
        {"controlnet_cond_embedding.conv_in.weight", "Control"},
        {"decoder.conv_in.weight", "no UNet"},
        {"input_blocks.0.0.weight", "a UNet as a part"},
        {"diffusion_model.input_blocks.0.0.weight", "a UNet as a part"},
        {"input_hint_block.0.weight", "ControlNet"},
        {"encoder.down_blocks.0.resnets.0.norm1.bias", "VAE"},
        {"encoder.block.0.layer.0.x", "T5"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[] = "/tmp/couplet-test-XXXXXX";
        cpl_error error = {0};
        cpl_model_spec spec;
        float one = 1;
        close(mkstemp(path));
        cpl_st_writer *w = cpl_st_writer_new(&error);
        assert_true(cpl_st_writer_add(w, files[i].tensor, &one, 1, (int64_t[]){1}, &error));
        assert_true(cpl_st_writer_save(w, path, &error));
        cpl_st_writer_free(w);
        cpl_checkpoint *st = open_model(path);
        assert_false(cpl_model_spec_read(st, &spec, &error));
        if (error.code != CPL_E_UNSUPPORTED || !strstr(error.message, files[i].says)) fail_msg("%s", error.message);
        cpl_checkpoint_close(st);
        unlink(path);
    }
}

/* A tiny model as files without a spec of their own are read: with one more tensor, and with metadata. */
static bool infer_with(const char *more, const char *metadata, cpl_model_spec *spec, cpl_error *error) {
    char path[] = "/tmp/couplet-test-XXXXXX";
    bag b = bag_read(models[0]);
    close(mkstemp(path));
    free(b.metadata);
    b.metadata = metadata ? strdup(metadata) : NULL;
    if (more) bag_add(&b, more, 1, (const int64_t[]){4});
    bag_write(&b, path);
    bag_clear(&b);
    cpl_checkpoint *st = open_model(path);
    bool done = cpl_spec_infer(st, spec, error);
    cpl_checkpoint_close(st);
    unlink(path);
    return done;
}

/* ComfyUI says it under another key than the ModelSpec standard. */
static void test_what_files_say_of_the_prediction(void **state) {
    (void)state;
    static const struct {
        const char *metadata;
        cpl_prediction means;
    } files[] = {
        {NULL, CPL_PREDICT_EPSILON},
        {"{\"modelspec.prediction_type\":\"v\"}", CPL_PREDICT_V},
        {"{\"modelspec.predict_key\":\"v\"}", CPL_PREDICT_V},
        {"{\"modelspec.predict_key\":\"epsilon\"}", CPL_PREDICT_EPSILON},
        {"{\"modelspec.predict_key\":\"v\",\"modelspec.prediction_type\":\"epsilon\"}", CPL_PREDICT_EPSILON},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cpl_model_spec spec;
        cpl_error error = {0};
        if (!infer_with(NULL, files[i].metadata, &spec, &error)) fail_msg("%s", error.message);
        if (spec.prediction != files[i].means) fail_msg("%s", files[i].metadata);
    }
}

static void test_other_noise_levels_are_refused(void **state) {
    (void)state;
    static const char *const files[][2] = {{"edm_mean", "Playground 2.5"},
                                           {"edm_std", "Playground 2.5"},
                                           {"edm_vpred.sigma_max", "CosXL"},
                                           {"edm_vpred.sigma_min", "CosXL"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cpl_model_spec spec;
        cpl_error error = {0};
        assert_false(infer_with(files[i][0], NULL, &spec, &error));
        assert_int_equal(error.code, CPL_E_UNSUPPORTED);
        if (!strstr(error.message, files[i][1]) || !strstr(error.message, "choose")) fail_msg("%s", error.message);
    }
}

/* Without it such a UNet runs, and its pictures are wrong. */
static void test_distilled_guidance_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"model.diffusion_model.time_embedding.cond_proj.weight",
                                        "model.diffusion_model.time_embed.cond_proj.weight"};
    for (size_t i = 0; i < 2; i++) {
        cpl_model_spec spec;
        cpl_error error = {0};
        assert_false(infer_with(names[i], NULL, &spec, &error));
        if (!strstr(error.message, "LCM LoRA")) fail_msg("%s", error.message);
    }
}

/* As a folder of diffusers has it: SD 1.x but for the width of its text encoder. */
static void test_sd2_with_hugging_face_names(void **state) {
    (void)state;
    char path[] = "/tmp/couplet-test-XXXXXX";
    bag b = bag_read(models[0]);
    cpl_model_spec spec;
    cpl_error error = {0};
    close(mkstemp(path));
    tensor *words = bag_find(&b, "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight");
    words->shape[1] = 1024;
    words->count = words->shape[0] * 1024;
    free(words->values);
    words->values = calloc((size_t)words->count, sizeof *words->values);
    bag_write(&b, path);
    bag_clear(&b);
    cpl_checkpoint *st = open_model(path);
    assert_false(cpl_spec_infer(st, &spec, &error));
    if (!strstr(error.message, "SD 2.x checkpoint")) fail_msg("%s", error.message);
    cpl_checkpoint_close(st);
    unlink(path);
}

/* A UNet whose other parts are cut away is told as incomplete, wherever the cut is. */
static void test_incomplete_checkpoints(void **state) {
    (void)state;
    cpl_checkpoint *st = open_model(models[0]);
    static const char *const cuts[] = {"decoder.up.", "encoder.layers", "input_blocks.1.", "first_stage_model."};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        char path[] = "/tmp/couplet-test-XXXXXX";
        cpl_error error = {0};
        cpl_model_spec spec;
        close(mkstemp(path));
        cpl_st_writer *w = cpl_st_writer_new(&error);
        for (int k = 0; k < cpl_checkpoint_count(st); k++) {
            const cpl_ck_tensor *found = cpl_checkpoint_at(st, k);
            const cpl_st_entry *e = found->entry;
            if (strstr(e->name, cuts[i])) continue;
            float *values = cpl_safetensors_f32(found->file, e, &error);
            assert_true(cpl_st_writer_add(w, e->name, values, e->rank, e->shape, &error));
            free(values);
        }
        assert_true(cpl_st_writer_save(w, path, &error));
        cpl_st_writer_free(w);
        cpl_checkpoint *part = open_model(path);
        assert_false(cpl_model_spec_read(part, &spec, &error));
        if (!strstr(error.message,
                    i < 3 ? "no complete checkpoint" : "no VAE, which turns latents into pictures; give"))
            fail_msg("%s: %s", cuts[i], error.message);
        cpl_checkpoint_close(part);
        unlink(path);
    }
    cpl_checkpoint_close(st);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_spec),
        cmocka_unit_test(test_shapes_say_the_same),
        cmocka_unit_test(test_absent_keys_have_defaults),
        cmocka_unit_test(test_previews_of_more_channels),
        cmocka_unit_test(test_faults_name_their_key),
        cmocka_unit_test(test_strangers_are_named),
        cmocka_unit_test(test_what_files_say_of_the_prediction),
        cmocka_unit_test(test_other_noise_levels_are_refused),
        cmocka_unit_test(test_distilled_guidance_is_refused),
        cmocka_unit_test(test_sd2_with_hugging_face_names),
        cmocka_unit_test(test_incomplete_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
