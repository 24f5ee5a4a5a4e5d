/* Infotext: what is written reads back as the same picture, and so does what the WebUI and Forge Couple write. */
#include "../../test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../core/layout/infotext.h"

#define FORGE "Steps: 12, Sampler: Euler a, Schedule type: Karras, CFG scale: 5.5, Seed: 2984220975, Size: 512x768"
#define COUPLE FORGE ", forge_couple: True, forge_couple_compatibility: True"

static cpl_layout *taken(const char *text, const char *lost) {
    cpl_error error = {0};
    assert_true(cpl_infotext_is(text));
    cpl_layout *layout = cpl_infotext_read(text, NULL, "a.png", &error);
    if (!layout) {
        fail_msg("%s", error.message);
        abort();
    }
    assert_int_equal(error.code, CPL_OK);
    if (lost)
        assert_non_null(strstr(error.message, lost));
    else
        assert_string_equal(error.message, "");
    return layout;
}

/* As JSON on one line, without the version. */
static void expect(const char *text, const char *lost, const char *json) {
    cpl_layout *layout = taken(text, lost), *wanted = cpl_layout_parse(json, NULL, "wanted", NULL);
    assert_non_null(wanted);
    char *is = cpl_layout_print(layout, NULL), *should = cpl_layout_print(wanted, NULL);
    wanted->present = layout->present; /* a text has no keys that stand there at their default */
    if (!cpl_layout_equal(layout, wanted)) fail_msg("%s\n is not\n%s", is, should);
    free(is);
    free(should);
    cpl_layout_free(wanted);
    cpl_layout_free(layout);
}

#define SAMPLING                                                                                                       \
    "\"canvas\": {\"width\": 512, \"height\": 768}, \"sampling\": {\"sampler\": \"euler_a\", \"schedule\": "           \
    "\"karras\", "                                                                                                     \
    "\"steps\": 12, \"cfg\": 5.5, \"seed\": 2984220975, \"rng\": \"nv\"}"

static void test_advanced(void **state) {
    (void)state;
    expect(
        "two cats \r\n a black cat, {x: hat}\nNegative prompt: blurry,\ndark\n" COUPLE
        ", forge_couple_mode: Advanced, forge_couple_separator: \\n, forge_couple_mapping: \"[[0.0, 1, 0, 1.0, 0.5], "
        "[0.25, 0.75, 0.0, 1.0, 1.0]]\", forge_couple_common_parser: { }, forge_couple_def_in_prompt: True, Version: "
        "f2",
        NULL,
        "{\"prompt\": \"two cats\\na black cat, {x: hat}\", \"negative\": \"blurry, dark\", \"regions\": [{\"weight\": "
        "0.5}, {\"rect\": [0.25, 0.75, 0, 1]}], " SAMPLING "}");
}

static void test_basic(void **state) {
    (void)state;
    expect(
        "sky, a cat, a dog\n" COUPLE
        ", forge_couple_mode: Basic, forge_couple_separator: \",\", forge_couple_direction: Vertical, "
        "forge_couple_background: First Line, forge_couple_background_weight: 0.3, forge_couple_common_parser: < >, "
        "forge_couple_def_in_prompt: False, Version: f2",
        NULL,
        "{\"prompt\": \"sky, a cat, a dog\", \"separator\": \",\", \"mode\": \"basic\", \"direction\": \"vertical\", "
        "\"background\": {\"line\": \"first\", \"weight\": 0.3}, \"common\": {\"brackets\": \"< >\", "
        "\"definitions\": false}, " SAMPLING "}");
}

/* The masks are nowhere in the text. */
static void test_masks(void **state) {
    (void)state;
    expect(
        "a cat\na dog\n" COUPLE ", forge_couple_mode: Mask, forge_couple_background: Last Line", NULL,
        "{\"prompt\": \"a cat\\na dog\", \"mode\": \"mask\", \"background\": {\"line\": \"last\"}, \"regions\": [{}, "
        "{}], " SAMPLING "}");
}

/* Without Forge Couple: one text with all of the WebUI's syntax. */
static void test_alone(void **state) {
    (void)state;
    expect("a cat,\na {dog}\n" FORGE, NULL,
           "{\"regions\": [{\"prompt\": \"a cat, a {dog}\"}], \"common\": {\"brackets\": \"off\"}, " SAMPLING "}");
    expect("[a cat:a dog:0.5]\n" FORGE ", forge_couple: ERROR", "forge_couple ERROR",
           "{\"regions\": [{\"prompt\": \"[a cat:a dog:0.5]\"}], \"schedules\": true, " SAMPLING "}");
    expect(FORGE, NULL, "{\"regions\": [{\"prompt\": \"\"}], " SAMPLING "}");
}

static void expect_sampler(const char *pairs, const char *lost, const char *sampler, const char *schedule) {
    char text[256];
    snprintf(text, sizeof text, "a cat\nSteps: 20, CFG scale: 7, Seed: 1, %s", pairs);
    cpl_layout *layout = taken(text, lost);
    if (sampler)
        assert_string_equal(layout->sampling.sampler, sampler);
    else
        assert_null(layout->sampling.sampler);
    assert_string_equal(layout->sampling.schedule, schedule);
    cpl_layout_free(layout);
}

static void test_samplers(void **state) {
    (void)state;
    expect_sampler("Sampler: DPM++ 2M Karras", NULL, "dpmpp_2m", "karras");
    expect_sampler("Sampler: DPM++ 2M SDE Exponential", NULL, "dpmpp_2m_sde", "exponential");
    expect_sampler("Sampler: DPM++ 2M SDE Heun", NULL, "dpmpp_2m_sde_heun", "automatic");
    expect_sampler("Sampler: Euler, Schedule type: Uniform", NULL, "euler", "normal");
    expect_sampler("Sampler: DDIM, Eta DDIM: 1.0", NULL, "ddpm", "automatic");
    expect_sampler("Sampler: DDIM, Eta DDIM: 0.5", "Eta DDIM 0.5", "ddim", "automatic");
    expect_sampler("Sampler: UniPC, Schedule type: Beta", "Sampler UniPC", NULL, "beta");
    expect_sampler("Sampler: LMS, Schedule type: Other", "Schedule type Other", "lms", "automatic");
}

static void test_other_keys(void **state) {
    (void)state;
    cpl_layout *layout = taken(
        "a cat\nSteps: 20, Sampler: Euler, Seed: 1, Size: 516x512, Clip skip: 2, RNG: CPU, Model hash: 12ab, Model: "
        "v1-5, Denoising strength: 0.5, ControlNet 0: \"Module: canny, Weight: 1\", Version: v1.10",
        "without what couplet cannot do: Size 516x512, Denoising strength 0.5, ControlNet 0 Module: canny, Weight: 1");
    assert_int_equal(layout->width, 512);
    assert_int_equal(layout->sampling.clip_skip, 2);
    assert_string_equal(layout->sampling.rng, "cpu");
    assert_string_equal(layout->sampling.model, "v1-5.safetensors");
    cpl_layout_free(layout);
    cpl_layout_free(taken("a\n" COUPLE ", forge_couple_mapping: \"[[0, 2, 0, 1, 1]]\", forge_couple_mode: Advanced",
                          "forge_couple_mapping [[0, 2, 0, 1, 1]]"));
}

static void test_second_pass(void **state) {
    (void)state;
    cpl_layout *layout =
        taken("a cat\nSteps: 20, Sampler: Euler, Seed: 1, Size: 512x512, RNG: CPU, Denoising strength: "
              "0.55, Hires upscale: 1.5, Hires steps: 8, Hires upscaler: Latent (antialiased)",
              NULL);
    assert_true(layout->hires_scale == 1.5 && layout->hires_denoise == 0.55 && layout->hires_steps == 8);
    assert_string_equal(layout->hires_upscaler, "latent");
    cpl_layout_free(layout);
    layout = taken("a cat\nSteps: 20, Sampler: Euler, Seed: 1, Denoising strength: 0.4, Hires upscale: 2, Hires "
                   "upscaler: R-ESRGAN 4x+, TI hashes: \"easynegative: c74b4e810b03\"",
                   "without what couplet cannot do: Hires upscaler R-ESRGAN 4x+");
    assert_true(layout->hires_scale == 2 && layout->hires_denoise == 0.4 && layout->hires_steps == 0);
    assert_string_equal(layout->hires_upscaler, "lanczos");
    cpl_layout_free(layout);
}

/* Forge repeats in every text with a second pass what that has from the first one; "None" enlarges by Lanczos there too. */
static void test_second_pass_like_the_first(void **state) {
    (void)state;
#define PASSES "a cat\nSteps: 20, Sampler: Euler, CFG scale: 6.5, Seed: 1, Denoising strength: 0.4, Hires upscale: 2, "
    cpl_layout *layout = taken(
        PASSES "Hires Module 1: Use same choices, Hires CFG Scale: 6.5, Hires upscaler: None, Version: f2.0", NULL);
    assert_true(layout->hires_scale == 2 && layout->sampling.cfg == 6.5);
    assert_string_equal(layout->hires_upscaler, "lanczos");
    cpl_layout_free(layout);
    cpl_layout_free(taken(PASSES "Hires Module 1: a.vae, Hires CFG Scale: 4, Hires upscaler: Latent",
                          "couplet cannot do: Hires Module 1 a.vae, Hires CFG Scale 4"));
}

static double scale_of(const char *size, const char *resize, const char *words) {
    char text[300];
    snprintf(text, sizeof text,
             "a cat\nSteps: 20, Sampler: Euler, Seed: 1%s, Denoising strength: 0.4, Hires resize: %s, Hires upscaler: "
             "Latent",
             size, resize);
    cpl_layout *layout = taken(text, words);
    cpl_settings settings;
    assert_true(cpl_layout_resolve(layout, NULL, &settings, NULL));
    int width, height;
    cpl_settings_final_size(&settings, &width, &height);
    int wanted_width, wanted_height;
    if (!words && sscanf(resize, "%dx%d", &wanted_width, &wanted_height) == 2) {
        if (wanted_width) assert_int_equal(width, wanted_width / 8 * 8);
        if (wanted_height) assert_int_equal(height, wanted_height / 8 * 8);
        assert_true(layout->hires_denoise == 0.4);
    }
    double scale = layout->hires_scale;
    cpl_layout_free(layout);
    return scale;
}

/* The WebUI may be given a size in place of a factor, with 0 for the side that follows from the other. */
static void test_second_pass_to_a_size(void **state) {
    (void)state;
    char size[40], resize[40];
    assert_true(scale_of(", Size: 512x768", "1024x1536", NULL) == 2);
    assert_true(scale_of(", Size: 512x768", "768x0", NULL) == 1.5);
    assert_true(scale_of(", Size: 512x768", "0x960", NULL) == 1.25);
    /* what would be cut off, too large, too small or the same, or of a size that is not told */
    assert_true(scale_of(", Size: 512x768", "1024x1024", "Denoising strength 0.4, Hires resize 1024x1024") == 1);
    assert_true(scale_of(", Size: 512x768", "4096x0", "Hires resize 4096x0") == 1);
    assert_true(scale_of(", Size: 512x768", "256x384", "Hires resize 256x384") == 1);
    assert_true(scale_of(", Size: 512x768", "0x0", "Hires resize 0x0") == 1);
    assert_true(scale_of(", Size: 512x768", "512x768", "Hires resize 512x768") == 1);
    assert_true(scale_of("", "1024x1024", "Hires resize 1024x1024") == 1);
    cpl_layout_free(
        taken("a\nSteps: 20, Sampler: Euler, Seed: 1, Denoising strength: 0.4, Hires upscale: 1", "Hires upscale 1"));
    for (int width = 64; width <= 1024; width += 8)
        for (int to = width + 8; to <= 2 * width; to += 8) {
            snprintf(size, sizeof size, ", Size: %dx%d", width, width);
            snprintf(resize, sizeof resize, "%dx0", to);
            scale_of(size, resize, NULL);
        }
}

static void test_what_is_none(void **state) {
    (void)state;
    static const char *const none[] = {"",
                                       "{}",
                                       "a cat",
                                       "a cat\nSteps: 20",
                                       "Steps: 20, Sampler: x, Seed: 1\na cat",
                                       "a cat\nSampler: x, Seed: 1, Size: 8x8",
                                       "\xff\nSteps: 20, Sampler: x, Seed: 1"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (cpl_infotext_is(none[i])) fail_msg("\"%s\" was taken", none[i]);
}

static void test_written_reads_back(void **state) {
    (void)state;
    static const char *const layouts[] = {
        "{\"prompt\": \"a\\nb, \\\"c\\\"\", \"regions\": [{\"rect\": [0, 0.3, 0, 1]}, {\"weight\": 0.25}], "
        "\"negative\": \"x\"}",
        "{\"prompt\": \"a: b: c\", \"separator\": \": \", \"mode\": \"basic\", \"background\": {\"line\": \"last\", "
        "\"weight\": 0.75}, \"common\": {\"definitions\": false}}",
        "{\"schedules\": true, \"regions\": [{\"prompt\": \"a [b|c] AND d :0.5\"}], \"sampling\": {\"sampler\": "
        "\"ddpm\", "
        "\"rng\": \"cpu\", \"clip_skip\": 3}}",
        "{\"prompt\": \"a\\nb\", \"regions\": [{\"rect\": [0, 0.5, 0, 1]}, {}], \"hires\": {\"scale\": 1.75, "
        "\"upscaler\": \"latent_bicubic\", \"denoise\": 0.3}}"};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        cpl_layout *layout = cpl_layout_parse(layouts[i], NULL, "test", NULL);
        cpl_settings settings;
        assert_non_null(layout);
        assert_true(cpl_layout_resolve(layout, NULL, &settings, NULL));
        char *text = cpl_infotext(layout, &settings, "builtin", NULL);
        cpl_layout *same = taken(text, NULL);
        char *again = cpl_infotext(same, &settings, "builtin", NULL);
        assert_string_equal(text, again);
        assert_string_equal(same->sampling.sampler, settings.sampler);
        assert_string_equal(same->sampling.schedule, settings.schedule);
        free(again);
        free(text);
        cpl_layout_free(same);
        cpl_layout_free(layout);
    }
}

/* In a picture couplet's own layout comes first. */
static void test_in_pictures(void **state) {
    (void)state;
    char path[] = "/tmp/couplet-infotext-XXXXXX";
    cpl_error error = {0};
    int fd = mkstemp(path);
    cpl_image *image = cpl_image_new(8, 8, &error);
    const cpl_text texts[] = {{"parameters", "a cat\n" FORGE ", ENSD: 31337"}, {"couplet", "{\"prompt\": \"a dog\"}"}};
    assert_true(fd >= 0 && image && cpl_image_write_png(image, path, texts, 1, &error));
    cpl_layout *layout = cpl_layout_load(path, &error);
    assert_true(layout && layout->region_count == 1 && error.code == CPL_OK);
    assert_string_equal(layout->regions[0].prompt, "a cat");
    assert_non_null(strstr(error.message, "ENSD 31337"));
    cpl_layout_free(layout);
    error = (cpl_error){0};
    assert_true(cpl_image_write_png(image, path, texts, 2, &error));
    layout = cpl_layout_load(path, &error);
    assert_true(layout && layout->prompt && !*error.message);
    cpl_layout_free(layout);
    cpl_image_free(image);
    close(fd);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_advanced),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_samplers),
        cmocka_unit_test(test_other_keys),
        cmocka_unit_test(test_second_pass),
        cmocka_unit_test(test_second_pass_like_the_first),
        cmocka_unit_test(test_second_pass_to_a_size),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_written_reads_back),
        cmocka_unit_test(test_in_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
