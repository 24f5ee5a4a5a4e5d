/* test_model.c: a checkpoint opens or says what is wrong with it, and a prompt line becomes a context of the right shape. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../core/model/emphasis.h"
#include "../../../core/model/model.h"
#include "../../../core/model/tokenizer_find.h"
#include "../../test.h"

#define TINY "tests/golden/engine/sd1_tiny.safetensors"
#define TINY_XL "tests/golden/engine/sdxl_tiny.safetensors"
#define BUILTIN_FOLDER "core/model/builtin"

static cpl_backend *backend;
static cpl_stream *stream;
static cpl_model *builtin;
static char folder[] = "/tmp/couplet-model-XXXXXX";

static cpl_model *open_named(const char *model, const char *directory, const char *tokenizer, cpl_error *error) {
    const cpl_model_source source = {.model = model, .directory = directory, .tokenizer = tokenizer};
    return cpl_model_open(&source, backend, NULL, error);
}

/* Only token ids can be given to it. */
static cpl_model *open_without_words(const char *path, cpl_error *error) {
    cpl_checkpoint *checkpoint = cpl_checkpoint_of(cpl_safetensors_open(path, error), error);
    cpl_model *m = checkpoint ? cpl_model_from(checkpoint, NULL, backend, NULL, error) : NULL;
    cpl_checkpoint_close(checkpoint);
    return m;
}

static int set_up(void **state) {
    (void)state;
    cpl_error error = {0};
    backend = cpl_cpu_backend.open(&(cpl_backend_config){.threads = 1}, &error);
    stream = backend ? backend->ops->stream_open(backend, &error) : NULL;
    builtin = stream ? open_named(NULL, NULL, NULL, &error) : NULL;
    if (!builtin) fprintf(stderr, "%s\n", error.message);
    return builtin && mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    cpl_model_close(builtin);
    backend->ops->stream_close(stream);
    backend->ops->close(backend);
    return rmdir(folder);
}

/* A file in the test's folder; the static text is good until the next call. */
static const char *in_folder(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The tiny checkpoint with tensors whose name has `what` left out, or with another shape. The copy has no metadata. */
static void write_damaged(const char *path, const char *what, bool reshape) {
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_open(TINY, &error);
    cpl_st_writer *w = cpl_st_writer_new(&error);
    for (int i = 0; i < cpl_safetensors_count(st); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(st, i);
        bool hit = strstr(e->name, what) != NULL;
        if (hit && !reshape) continue;
        float *values = cpl_safetensors_f32(st, e, &error);
        assert_true(cpl_st_writer_add(w, e->name, values, hit ? 1 : e->rank, hit ? &e->count : e->shape, &error));
        free(values);
    }
    assert_true(cpl_st_writer_save(w, path, &error));
    cpl_st_writer_free(w);
    cpl_safetensors_close(st);
}

static void test_builtin_info(void **state) {
    (void)state;
    cpl_model_info info;
    cpl_error error = {0};
    static const char *const names[] = {NULL, "", "builtin"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(cpl_model_peek(&(cpl_model_source){.model = names[i], .directory = "/nowhere"}, &info, &error));
        assert_memory_equal(&info, &builtin->info, sizeof info);
    }
    assert_string_equal(info.name, "builtin");
    assert_string_equal(info.path, "");
    assert_string_equal(info.weights, "F16");
    assert_in_range(info.parameters, 5800000, 5900000);
    assert_int_equal(info.context_length, 24);
    assert_string_equal(info.prediction, "epsilon");
    assert_int_equal(info.parts, 3);
    int64_t sum = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(info.part[i].parameters > 0 && info.part[i].files == 1);
        assert_string_equal(info.part[i].weights, "F16");
        sum += info.part[i].parameters;
    }
    assert_string_equal(info.part[1].name, "unet");
    assert_true(sum == info.parameters && info.part[1].parameters > info.part[2].parameters);
    assert_true(info.packed_f32 > 3 * info.parameters && info.packed_f32 < 4 * info.parameters); /* no VAE encoder */
    assert_true(info.packed_bf16 > info.packed_f32 / 2 && info.packed_bf16 < info.packed_f32);
    assert_true(info.closed_vocabulary);
    assert_int_equal(info.defaults.width, 128);
    uint64_t identity;
    assert_true(cpl_model_look(&(cpl_model_source){.model = NULL, .directory = NULL}, &info, &identity, &error));
    assert_true(identity == builtin->identity && identity);
}

static void test_files_are_found_and_named(void **state) {
    (void)state;
    cpl_model_info info;
    cpl_error error = {0};
    uint64_t before, after;
    const char *name = "a\x1b[2Jb.c.safetensors";
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder(name));
    write_damaged(path, "logit", false);
    if (!cpl_model_peek(&(cpl_model_source){.model = name, .directory = folder}, &info, &error))
        fail_msg("%s", error.message);
    assert_string_equal(info.name, "a?[2Jb.c"); /* goes to the screen */
    assert_string_equal(info.path, path);
    assert_string_equal(info.weights, "F32");
    assert_true(cpl_model_peek(&(cpl_model_source){.model = path, .directory = "/elsewhere"}, &info, &error));
    assert_false(cpl_model_peek(&(cpl_model_source){.model = name, .directory = NULL}, &info, &error));
    assert_non_null(strstr(error.message, "cannot open"));
    assert_null(strchr(error.message, 0x1b));
    assert_true(cpl_model_look(&(cpl_model_source){.model = name, .directory = folder}, &info, &before, &error));
    assert_true(cpl_model_look(&(cpl_model_source){.model = path, .directory = NULL}, &info, &after, &error));
    assert_true(before == after);
    const struct timespec times[2] = {{1000, 0}, {1000, 1}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_true(cpl_model_look(&(cpl_model_source){.model = path, .directory = NULL}, &info, &after, &error));
    assert_true(before != after);
    unlink(path);
}

/* As the WebUI and Forge read it: for SD 1.x one word, for SDXL a class. The editor must see that it came or changed. */
static void test_a_configuration_beside_the_file(void **state) {
    (void)state;
    static const struct {
        const char *text, *means;
    } configs[] = {
        {"model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    parameterization: \"v\"\n", "v"},
        {"model:\r\n  params:\r\n    parameterization: v # not eps\r\n", "v"},
        {"      scaling_config:\n        target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling", "v"},
        {"        target: sgm.modules.diffusionmodules.denoiser_scaling.EpsScaling\n", "epsilon"},
        {"        target: x.VScalingWithEDMcNoise\n", "epsilon"},
        {"    parameterization: \"eps\"\n", "epsilon"},
        {"    # parameterization: \"v\"\n", "epsilon"},
        {"parameterization", "epsilon"},
        {"", "epsilon"},
    };
    char path[256], config[256];
    snprintf(path, sizeof path, "%s", in_folder("some.model.safetensors"));
    snprintf(config, sizeof config, "%s", in_folder("some.model.yaml"));
    write_damaged(path, "no tensor is called so", false);
    const cpl_model_source source = {.model = path};
    uint64_t before = cpl_model_stamp(&source), identity = 0, none;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        cpl_error error = {0};
        cpl_model_info info;
        FILE *file = fopen(config, "w");
        assert_non_null(file);
        fputs(configs[i].text, file);
        fclose(file);
        assert_true(cpl_model_stamp(&source) != before);
        if (!cpl_model_look(&source, &info, &identity, &error)) fail_msg("%s", error.message);
        if (strcmp(info.prediction, configs[i].means) != 0) fail_msg("%s: %s", configs[i].text, info.prediction);
    }
    unlink(config);
    assert_true(cpl_model_stamp(&source) == before);
    cpl_model_info info;
    assert_true(cpl_model_look(&source, &info, &none, NULL));
    assert_true(none != identity);
    unlink(path);
}

static void test_damaged_checkpoints_name_the_tensor(void **state) {
    (void)state;
    static const char *const tensors[] = {
        "encoder.layers.1.self_attn.k_proj.bias",
        "final_layer_norm.weight",
        "input_blocks.1.1.proj_in.bias",
        "middle_block.2.out_layers.3.bias",
        "time_embed.2.weight",
        "decoder.mid.attn_1.k.weight",
        "decoder.norm_out.bias",
    };
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("damaged.safetensors"));
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors * 2; i++) {
        cpl_error error = {0};
        bool reshape = i % 2;
        write_damaged(path, tensors[i / 2], reshape);
        cpl_model *m = open_without_words(path, &error);
        bool is_flat = reshape && !strstr(tensors[i / 2], "weight"); /* has one dimension anyway */
        is_flat = is_flat || (reshape && strstr(tensors[i / 2], "norm"));
        if (is_flat) {
            if (!m) fail_msg("%s", error.message);
        } else if (m || error.code != CPL_E_FILE || !strstr(error.message, tensors[i / 2]) ||
                   !strstr(error.message, reshape ? "has the shape" : "is missing") || !strstr(error.message, path)) {
            fail_msg("%s: %s", tensors[i / 2], m ? "was accepted" : error.message);
        }
        cpl_model_close(m);
    }
    unlink(path);
}

/* A copy of a file with the first `old` in it replaced by as many bytes. */
static void copy_with(const char *from, const char *to, const char *old, const char *instead) {
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out && fseek(in, 0, SEEK_END) == 0);
    size_t size = (size_t)ftell(in);
    char *data = malloc(size);
    rewind(in);
    assert_int_equal(fread(data, 1, size, in), size);
    char *place = memmem(data, size, old, strlen(old));
    assert_non_null(place);
    if (place) memcpy(place, instead, strlen(instead));
    assert_int_equal(fwrite(data, 1, size, out), size);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    free(data);
}

/* The vector beside the context must be made of the text and six numbers. */
static void test_vector_of_another_kind(void **state) {
    (void)state;
    cpl_error error = {0};
    cpl_model *m = open_without_words(TINY_XL, &error);
    assert_non_null(m);
    if (m) assert_int_equal(cpl_model_pooled_width(&m->spec), m->spec.text[1].projection);
    assert_int_equal(cpl_model_pooled_width(&builtin->spec), 0);
    cpl_model_close(m);
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("xl.safetensors"));
    copy_with(TINY_XL, path, "projection_dim\\\": 32", "projection_dim\\\": 31");
    assert_null(open_without_words(path, &error));
    assert_int_equal(error.code, CPL_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "a vector of 1568 values"));
    unlink(path);
}

static void test_refusals(void **state) {
    (void)state;
    cpl_error error = {0};
    assert_null(open_named("tests/golden/engine/tokenizer.json", NULL, NULL, &error));
    assert_int_equal(error.code, CPL_E_FILE);
    /* The built-in vocabulary does not fit another model. */
    assert_null(open_named(TINY, NULL, BUILTIN_FOLDER, &error));
    assert_non_null(strstr(error.message, "tokenizer has 858 entries"));
    assert_null(open_named(TINY, NULL, "/nowhere", &error));
    assert_non_null(strstr(error.message, "/nowhere"));
    assert_null(open_named(TINY, NULL, NULL, &error));
    assert_non_null(strstr(error.message, "--tokenizer"));
    assert_non_null(strstr(error.message, "make clip-vocab"));
}

static void test_a_model_without_words(void **state) {
    (void)state;
    cpl_error error = {0};
    cpl_model *m = open_without_words(TINY, &error);
    if (!m) fail_msg("%s", error.message);
    cpl_tensor x;
    cpl_line_info info;
    assert_false(cpl_model_encode(m, stream, NULL, "a cat", 1, &x, &error));
    assert_non_null(strstr(error.message, "--tokenizer"));
    assert_non_null(strstr(error.message, "make clip-vocab"));
    assert_false(cpl_model_line_info(m, NULL, "a cat", &info, &error));
    int ids[77] = {0};
    float multipliers[77] = {0};
    cpl_chunks chunks = {1, 77, ids, multipliers, 0};
    ids[3] = 300; /* one past the table */
    assert_false(cpl_model_encode_chunks(m, stream, NULL, &chunks, 1, &x, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    ids[3] = 299;
    assert_true(cpl_model_encode_chunks(m, stream, NULL, &chunks, 1, &x, &error));
    cpl_tensor_free(&x);
    chunks.length = 76;
    assert_false(cpl_model_encode_chunks(m, stream, NULL, &chunks, 1, &x, &error));
    cpl_model_close(m);
}

/* The folder `tokenizer` beside a checkpoint is found by itself. */
static void test_tokenizer_beside_the_model(void **state) {
    (void)state;
    cpl_error error = {0};
    char model[256], words[256], vocab[300], merges[300], here[200];
    snprintf(model, sizeof model, "%s", in_folder("m.safetensors"));
    snprintf(words, sizeof words, "%s", in_folder("tokenizer"));
    snprintf(vocab, sizeof vocab, "%s/vocab.json", words);
    snprintf(merges, sizeof merges, "%s/merges.txt", words);
    assert_non_null(getcwd(here, sizeof here));
    char target[300];
    assert_int_equal(mkdir(words, 0700), 0);
    snprintf(target, sizeof target, "%s/" BUILTIN_FOLDER "/vocab.json", here);
    assert_int_equal(symlink(target, vocab), 0);
    snprintf(target, sizeof target, "%s/" BUILTIN_FOLDER "/merges.txt", here);
    assert_int_equal(symlink(target, merges), 0);
    snprintf(target, sizeof target, "%s/" BUILTIN_FOLDER "/builtin.safetensors", here);
    assert_int_equal(symlink(target, model), 0);
    cpl_model *m = open_named("m.safetensors", folder, NULL, &error);
    assert_non_null(m);
    assert_non_null(m->tokenizer);
    assert_string_equal(m->info.name, "m");
    assert_string_equal(m->info.tokenizer, words);
    cpl_model_close(m);
    /* A broken one is an error, not ignored. */
    unlink(merges);
    assert_null(open_named(model, NULL, NULL, &error));
    assert_non_null(strstr(error.message, "merges.txt"));
    unlink(vocab);
    rmdir(words);
    unlink(model);
}

static void expect_folder(int entries, const char *expected) {
    char *found = cpl_tokenizer_folder("/nowhere/m.safetensors", entries);
    if (expected)
        assert_string_equal(found, expected);
    else
        assert_null(found);
    free(found);
}

static char *set_variable(const char *name, const char *value) {
    const char *old = getenv(name);
    char *had = old ? strdup(old) : NULL;
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
    return had;
}

/* The vocabulary of `make clip-vocab`, for models that were trained with it. */
static void test_tokenizer_in_the_data_folder(void **state) {
    (void)state;
    char words[256], vocab[300];
    snprintf(words, sizeof words, "%s", in_folder("couplet/clip"));
    snprintf(vocab, sizeof vocab, "%s/vocab.json", words);
    char *data = set_variable("XDG_DATA_HOME", folder), *home = set_variable("HOME", "/nowhere");
    expect_folder(49408, NULL);
    assert_int_equal(mkdir(in_folder("couplet"), 0700), 0);
    assert_int_equal(mkdir(words, 0700), 0);
    fclose(fopen(vocab, "w"));
    expect_folder(49408, words);
    expect_folder(300, NULL);
    free(set_variable("XDG_DATA_HOME", "relative")); /* does not count, by the rules of XDG */
    expect_folder(49408, NULL);
    free(set_variable("XDG_DATA_HOME", data));
    free(set_variable("HOME", home));
    free(data);
    free(home);
    unlink(vocab);
    rmdir(words);
    rmdir(in_folder("couplet"));
}

static float *encode(const char *text, int *tokens) {
    cpl_tensor x;
    cpl_error error = {0};
    if (!cpl_model_encode(builtin, stream, NULL, text, 1, &x, &error)) fail_msg("%s", error.message);
    assert_int_equal(x.n, 1);
    assert_int_equal(x.h, 1);
    assert_int_equal(x.c, 96);
    *tokens = x.w;
    float *values = calloc(cpl_tensor_count(&x), sizeof *values);
    backend->ops->download(stream, values, &x);
    cpl_tensor_free(&x);
    assert_true(cpl_stream_settle(stream, &error));
    return values;
}

static double mean(const float *values, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)values[i];
    return sum / count;
}

static void test_encoded_lines(void **state) {
    (void)state;
    int n, m;
    float *plain = encode("a cat, night sky", &n);
    assert_int_equal(n, 24);
    float *same = encode("(a cat:1.0), night sky", &m);
    assert_memory_equal(plain, same, 24 * 96 * sizeof *plain);
    free(same);

    float *strong = encode("a (cat:1.4), night sky", &m);
    assert_true(fabs(mean(strong, 24 * 96) - mean(plain, 24 * 96)) < 1e-6);
    /* Apart from the chunk's scale only the emphasised token differs. */
    double scale = (double)strong[0] / (double)plain[0];
    assert_float_equal(strong[5 * 96 + 3], scale * (double)plain[5 * 96 + 3], 1e-5);
    assert_float_equal(strong[2 * 96 + 3], 1.4 * scale * (double)plain[2 * 96 + 3], 1e-5);
    free(strong);

    /* Chunks lie one after the other, and one does not see the other. */
    float *two = encode("a cat, night sky BREAK (a dog:1.3)", &m), *second = encode("(a dog:1.3)", &n);
    assert_int_equal(m, 48);
    for (int i = 0; i < 24 * 96; i++) {
        assert_float_equal(two[i], plain[i], 1e-5);
        assert_float_equal(two[24 * 96 + i], second[i], 1e-5);
    }
    free(two);
    free(second);
    free(plain);
    float *none = encode("(a cat:0)", &n); /* every word without weight: no division by nothing */
    for (int i = 0; i < 24 * 96; i++) assert_true(isfinite(none[i]));
    free(none);
}

static void test_emphasis_by_hand(void **state) {
    (void)state;
    float values[4] = {1, 2, 3, 4}, zero[2] = {1, -1};
    assert_false(cpl_emphasize(values, (const float[]){1, 1}, 2, 2, true));
    assert_true(cpl_emphasize(values, (const float[]){2, 1}, 2, 2, false));
    assert_memory_equal(values, ((const float[]){2, 4, 3, 4}), sizeof values);
    assert_true(cpl_emphasize(values, (const float[]){1, 2}, 2, 2, true)); /* sum 13, then 20 */
    assert_float_equal(values[3], 8 * 13.0 / 20, 1e-6);
    assert_true(cpl_emphasize(zero, (const float[]){2}, 1, 2, true));
    assert_memory_equal(zero, ((const float[]){2, -2}), sizeof zero); /* no mean to keep */
}

static void test_line_info(void **state) {
    (void)state;
    cpl_line_info info;
    cpl_error error = {0};
    assert_true(cpl_model_line_info(builtin, NULL, "a cat, night sky", &info, &error));
    assert_int_equal(info.tokens, 5);
    assert_int_equal(info.room, 22);
    assert_string_equal(info.unknown, "");
    assert_true(cpl_model_line_info(builtin, NULL, "a cat BREAK a sun BREAK", &info, &error));
    assert_true(info.tokens == 44 && info.room == 44); /* each BREAK fills its chunk, and nothing follows the last */
    assert_true(cpl_model_line_info(builtin, NULL, "(a okapi:1.3) BREAK [a zebra], \x1b[31m", &info, &error));
    assert_string_equal(info.unknown, "okapi, zebra");
    assert_true(cpl_model_line_info(builtin, NULL, "", &info, &error));
    assert_int_equal(info.tokens, 0);
}

/* A cancelled run says so and leaves the stream usable. */
static void test_cancelled_encoding(void **state) {
    (void)state;
    atomic_bool cancelled = true;
    cpl_tensor x;
    cpl_error error = {0};
    stream->cancelled = &cancelled;
    assert_false(cpl_model_encode(builtin, stream, NULL, "(a cat:1.2)", 1, &x, &error));
    assert_int_equal(error.code, CPL_E_CANCELLED);
    stream->cancelled = NULL;
    assert_true(cpl_model_encode(builtin, stream, NULL, "(a cat:1.2)", 1, &x, &error));
    cpl_tensor_free(&x);
}

static void test_clip_skip_range(void **state) {
    (void)state;
    int ids[24] = {0};
    cpl_error error = {0};
    static const int wrong[] = {0, -1, 3};
    for (size_t i = 0; i < 3; i++) {
        cpl_tensor x = cpl_text_encoder_run(builtin->text[0], stream, &(cpl_text_input){.ids = ids, .chunks = 1},
                                            wrong[i], true, NULL);
        cpl_tensor_free(&x);
        assert_false(cpl_stream_settle(stream, &error));
        assert_non_null(strstr(error.message, "clip_skip"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin_info),
        cmocka_unit_test(test_files_are_found_and_named),
        cmocka_unit_test(test_a_configuration_beside_the_file),
        cmocka_unit_test(test_damaged_checkpoints_name_the_tensor),
        cmocka_unit_test(test_vector_of_another_kind),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_model_without_words),
        cmocka_unit_test(test_tokenizer_beside_the_model),
        cmocka_unit_test(test_tokenizer_in_the_data_folder),
        cmocka_unit_test(test_encoded_lines),
        cmocka_unit_test(test_emphasis_by_hand),
        cmocka_unit_test(test_line_info),
        cmocka_unit_test(test_cancelled_encoding),
        cmocka_unit_test(test_clip_skip_range),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
