/* What a session tells beside its pictures: statistics as JSON, previews, dumped tensors. */
#include "session_test.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "../../../core/model/safetensors.h"
#include "../../../core/session/preview.h"

static double number_at(const cJSON *json, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(item)) fail_msg("%s is no number", key);
    return item->valuedouble;
}

static void statistics_are_json(void **state) {
    (void)state;
    cpl_stats stats = {
        .pool_allocations = 1, .encoder_calls = 9007199254740991, .steps = 20, .step_ms = 0.1, .threads = 3};
    stats.text_kv = (cpl_cache_stats){5, 6, 7, 8, 9};
    snprintf(stats.model, sizeof stats.model, "a \"quoted\" name");
    char *text = cpl_stats_print(&stats, NULL);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    assert_true(number_at(json, "encoder_calls") == 9007199254740991.0);
    assert_true(number_at(json, "step_ms") == 0.1);
    assert_true(number_at(json, "threads") == 3);
    assert_true(number_at(cJSON_GetObjectItemCaseSensitive(json, "text_kv"), "evictions") == 7);
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(json, "model")->valuestring, "a \"quoted\" name");
    cJSON_Delete(json);
    free(text);
}

/* Each member of the struct stands in the text: 8-byte members set to distinct values are all found again. */
static void no_member_is_left_out(void **state) {
    (void)state;
    cpl_stats stats = {0};
    char *empty = cpl_stats_print(&stats, NULL);
    for (size_t at = 0; at + 8 <= offsetof(cpl_stats, threads); at += 8) {
        memset(&stats, 0, sizeof stats);
        /* A pattern that changes the text as a count and as a double. */
        memcpy((char *)&stats + at, &(uint64_t){0x3ff8000000000001}, 8);
        char *text = cpl_stats_print(&stats, NULL);
        if (strcmp(text, empty) == 0) fail_msg("the member at byte %d is not printed", (int)at);
        free(text);
    }
    free(empty);
}

static void statistics_follow_the_runs(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.threads = 1});
    cpl_layout *layout = two_columns(3);
    cpl_stats stats = stats_of(session);
    assert_string_equal(stats.backend, "cpu");
    assert_string_equal(stats.precision, "f32");
    assert_int_equal(stats.runs, 0);
    cpl_image_free(picture_of(session, layout));
    stats = stats_of(session);
    assert_int_equal(stats.runs, 1);
    assert_int_equal(stats.steps, 3);
    assert_int_equal(stats.threads, 1);
    assert_int_equal(stats.step_allocations, 0);
    assert_true(stats.load_ms > 0 && stats.text_ms > 0 && stats.first_step_ms > 0 && stats.step_ms > 0);
    assert_true(stats.decode_ms > 0 && stats.total_ms >= stats.decode_ms && stats.steps_per_second > 0);
    assert_true(stats.weight_bytes > 0 && stats.pool_bytes > 0 && stats.pool_peak_bytes > 0 && stats.pool_reuses > 0);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void previews_are_linear_in_the_latent(void **state) {
    (void)state;
    cpl_vae_spec spec = {.z_channels = 4,
                         .has_latent_rgb = true,
                         .latent_rgb = {{0.5f, 0, 0}, {0, 0.5f, 0}, {0, 0, 0.5f}, {0.1f, 0.1f, 0.1f}},
                         .latent_rgb_bias = {0.25f, 0.5f, 0}};
    /* Four cells: the bias, mixed, beyond both ends, not a number. */
    const float latent[4 * 4] = {0, 1, 5, NAN, 0, 0, -9, 0, 0, 0.5f, 9, 0, 0, 0, 0, 0};
    static const unsigned char expected[12] = {63, 127, 0, 191, 127, 63, 255, 0, 255, 0, 0, 0};
    unsigned char rgb[12];
    cpl_preview(&spec, latent, 4, rgb);
    assert_memory_equal(rgb, expected, sizeof expected);
}

static void previews_count_every_channel(void **state) {
    (void)state;
    cpl_vae_spec spec = {.z_channels = 6, .has_latent_rgb = true, .latent_rgb_bias = {0.25f, 0.25f, 0.25f}};
    spec.latent_rgb[5][1] = 0.25f;
    /* One cell of six channels: only the last speaks, and only of green. */
    const float latent[6] = {1, 1, 1, 1, 1, 2};
    static const unsigned char expected[3] = {63, 191, 63};
    unsigned char rgb[3];
    cpl_preview(&spec, latent, 1, rgb);
    assert_memory_equal(rgb, expected, sizeof expected);
}

static float *values_of(const cpl_safetensors *st, const char *name, int64_t count) {
    const cpl_st_entry *entry = cpl_safetensors_find(st, name);
    if (!entry || entry->count != count) fail_msg("%s: not there, or not %d values", name, (int)count);
    float *values = cpl_safetensors_f32(st, entry, NULL);
    assert_non_null(values);
    return values;
}

static cpl_safetensors *open_dump(const char *folder, const char *file) {
    char path[128];
    cpl_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    cpl_safetensors *st = cpl_safetensors_open(path, &error);
    if (!st) fail_msg("%s", error.message);
    unlink(path);
    return st;
}

static void a_dump_holds_each_stage(void **state) {
    (void)state;
    enum { LATENT = 8 * 8 * 8 }; /* channels, rows, columns */
    char folder[] = "/tmp/couplet-dump-XXXXXX", inner[64];
    assert_non_null(mkdtemp(folder));
    snprintf(inner, sizeof inner, "%s/new", folder); /* made by the session */
    cpl_session *session = open_session(&(cpl_options){.dump = inner});
    cpl_layout *layout = two_columns(2);
    cpl_image *image = picture_of(session, layout);
    cpl_session_free(session);

    cpl_safetensors *st = open_dump(inner, "conditionings.safetensors");
    assert_int_equal(cpl_safetensors_count(st), 3); /* two lines and the negative */
    assert_non_null(cpl_safetensors_find(st, "positive.1"));
    assert_non_null(cpl_safetensors_find(st, "negative.0"));
    cpl_safetensors_close(st);

    st = open_dump(inner, "masks.safetensors");
    for (int i = 0; i < cpl_safetensors_count(st); i++) {
        const cpl_st_entry *entry = cpl_safetensors_at(st, i);
        int64_t cells = entry->shape[1] * entry->shape[2];
        assert_int_equal(entry->shape[0], 2);
        float *masks = values_of(st, entry->name, entry->count);
        for (int64_t t = 0; t < cells; t++) assert_true(masks[t] + masks[cells + t] == 1);
        assert_true(masks[0] == 1 && masks[cells - 1] == 0); /* left and right column */
        free(masks);
    }
    assert_true(cpl_safetensors_count(st) > 0);
    cpl_safetensors_close(st);

    cpl_safetensors *steps = open_dump(inner, "steps.safetensors"), *result = open_dump(inner, "result.safetensors");
    float *last = values_of(steps, "x.2", LATENT), *latent = values_of(result, "latent", LATENT);
    assert_memory_equal(last, latent, LATENT * sizeof(float));
    free(values_of(steps, "denoised.1", LATENT));
    float *planes = values_of(result, "image01", 3 * 64 * 64);
    assert_int_equal(image->rgb[0], (int)(255 * planes[0]));
    free(last);
    free(latent);
    free(planes);
    cpl_safetensors_close(steps);
    cpl_safetensors_close(result);
    cpl_image_free(image);
    cpl_layout_free(layout);
    assert_int_equal(rmdir(inner), 0); /* nothing else was written */
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_are_json),          cmocka_unit_test(no_member_is_left_out),
        cmocka_unit_test(statistics_follow_the_runs),   cmocka_unit_test(previews_are_linear_in_the_latent),
        cmocka_unit_test(previews_count_every_channel), cmocka_unit_test(a_dump_holds_each_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
