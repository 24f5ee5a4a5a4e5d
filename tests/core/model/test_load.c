/* test_load.c: weights that are not stored as they are: divided by a scale that lies beside them, or as whole numbers. */
#include "lora_rig.h"

#define TINY "tests/golden/engine/sd1_tiny.safetensors"
#define LAYER "model.diffusion_model.input_blocks.1.1.transformer_blocks.0."
#define LIMIT 1e-5

static char path[] = "/tmp/couplet-load-XXXXXX";

static int set_up(void **state) {
    (void)state;
    open_stream();
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int tear_down(void **state) {
    (void)state;
    close_stream();
    return unlink(path);
}

/* Divides a weight by `count` scales, one for all or one for each row, and puts them beside it as `name`. */
static void divide(bag *b, const char *layer, const char *name, int rank, int64_t count) {
    char full[160];
    snprintf(full, sizeof full, "%.120s.weight", layer);
    int64_t rows = bag_find(b, full)->shape[0];
    snprintf(full, sizeof full, "%.120s.%s", layer, name);
    tensor *scale = bag_add(b, full, rank, (const int64_t[]){count, 1});
    for (int64_t i = 0; i < count; i++) scale->values[i] = 0.01F + 0.001F * (float)i;
    snprintf(full, sizeof full, "%.120s.weight", layer);
    tensor *weight = bag_find(b, full);
    for (int64_t i = 0; i < weight->count; i++)
        weight->values[i] /= b->list[b->count - 1].values[count == 1 ? 0 : i / (weight->count / rows)];
}

/* Files in fp8 have them: ComfyUI's names of earlier and of now. */
static void scales_are_taken_back(void **state) {
    (void)state;
    size_t count;
    cpl_model *plain = open_model(TINY);
    float *wanted = output_of(plain, NULL, &count);
    bag b = bag_read(TINY);
    divide(&b, LAYER "attn1.to_q", "scale_weight", 0, 1);
    divide(&b, LAYER "attn2.to_v", "scale_weight", 1, 1);
    divide(&b, LAYER "ff.net.2", "weight_scale", 0, 1);
    divide(&b, LAYER "attn2.to_out.0", "weight_scale", 2, 32);
    divide(&b, "model.diffusion_model.input_blocks.2.0.in_layers.2", "weight_scale", 1, 32);
    divide(&b, "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1", "scale_weight", 0, 1);
    bag_add(&b, "scaled_fp8", 1, (const int64_t[]){0});
    bag_write(&b, path);
    cpl_model *scaled = open_model(path);
    float *got = output_of(scaled, NULL, &count);
    double apart = distance_of(got, wanted, count);
    if (!(apart <= LIMIT)) fail_msg("%g apart from the weights as they were", apart);
    free(got);
    free(wanted);
    cpl_model_close(scaled);
    cpl_model_close(plain);
    bag_clear(&b);
}

static void expect_refusal(const char *words) {
    cpl_error error = {0};
    cpl_checkpoint *c = cpl_checkpoint_of(cpl_safetensors_open(path, &error), &error);
    assert_non_null(c);
    assert_null(cpl_model_from(c, NULL, backend, NULL, &error));
    if (!strstr(error.message, words)) fail_msg("\"%s\" is not in: %s", words, error.message);
    cpl_checkpoint_close(c);
}

static void scales_of_blocks_are_refused(void **state) {
    (void)state;
    bag b = bag_read(TINY);
    bag_add(&b, LAYER "attn1.to_q.weight_scale", 2, (const int64_t[]){2, 2});
    bag_write(&b, path);
    bag_clear(&b);
    expect_refusal("attn1.to_q.weight_scale has 4 values");
}

/* Kinds of 8 and 4 bits, whose numbers mean nothing without a rule of their own. Their shapes often differ too, which is no
 * help to whoever reads of it. */
static void whole_numbers_are_refused(void **state) {
    (void)state;
    for (int same_shape = 0; same_shape < 2; same_shape++) {
        bag b = bag_read(TINY);
        if (!same_shape) bag_find(&b, LAYER "attn1.to_q.weight")->shape[1] = 1;
        if (!same_shape) bag_find(&b, LAYER "attn1.to_q.weight")->count = 32;
        bag_write(&b, path);
        bag_clear(&b);
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        static char header[1 << 18];
        size_t size = fread(header, 1, sizeof header, file);
        static const char entry[] = LAYER "attn1.to_q.weight\":{\"dtype\":\"";
        const char *at = memmem(header, size, entry, sizeof entry - 1);
        assert_non_null(at);
        assert_int_equal(fseek(file, (long)(at - header) + (long)sizeof entry - 1, SEEK_SET), 0);
        fputs("I32", file);
        fclose(file);
        expect_refusal("attn1.to_q.weight holds whole numbers (I32)");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_are_taken_back),
        cmocka_unit_test(scales_of_blocks_are_refused),
        cmocka_unit_test(whole_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
