/* A layout as a value: rows, copies, undo, identity, and the two things made from it for people: map and infotext. */
#include "../../test.h"

#include <stdlib.h>
#include <string.h>

#include "../../../core/layout/hash.h"
#include "../../../core/layout/infotext.h"
#include "../../../core/layout/shapes.h"
#include "random_layout.h"

static cpl_layout *parse(const char *json) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, NULL, NULL, &error);
    if (!layout) fail_msg("%s: %s", json, error.message);
    return layout;
}

static void check_order(const cpl_layout *layout, const char *expected) {
    assert_int_equal(layout->region_count, strlen(expected));
    for (int i = 0; i < layout->region_count; i++) assert_int_equal(layout->regions[i].prompt[0], expected[i]);
}

static void test_rows(void **state) {
    (void)state;
    cpl_layout *layout = cpl_layout_new(NULL);
    for (int i = 0; i < 4; i++)
        cpl_text_set(&cpl_layout_insert(layout, i, NULL)->prompt, (char[]){(char)('a' + i), 0}, NULL);
    check_order(layout, "abcd");
    cpl_layout_move(layout, 0, 2);
    check_order(layout, "bcad");
    cpl_layout_move(layout, 3, 0);
    check_order(layout, "dbca");
    cpl_layout_move(layout, 1, 9);
    cpl_layout_move(layout, -1, 0);
    cpl_layout_remove(layout, 1);
    cpl_layout_remove(layout, 7);
    check_order(layout, "dca");
    cpl_text_set(&cpl_layout_insert(layout, 99, NULL)->prompt, "e", NULL);
    check_order(layout, "dcae");
    assert_int_equal(cpl_layout_background_row(layout), -1);
    layout->background = CPL_BACKGROUND_LAST;
    assert_int_equal(cpl_layout_background_row(layout), -1);
    layout->mode = CPL_MODE_MASK;
    assert_int_equal(cpl_layout_background_row(layout), 3);
    cpl_layout_free(layout);
}

static void test_copy_is_deep(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (int n = 0; n < 40; n++) {
        cpl_layout *layout = draw_layout(&seed, 64), *copy = cpl_layout_copy(layout, NULL);
        assert_true(cpl_layout_equal(layout, copy));
        if (layout->regions[0].mask) assert_ptr_equal(layout->regions[0].mask, copy->regions[0].mask);
        char *before = cpl_layout_print(copy, NULL);
        cpl_text_set(&layout->regions[0].prompt, "changed", NULL);
        layout->regions[1].x1 /= 2;
        layout->background_weight += 1;
        assert_false(cpl_layout_equal(layout, copy));
        cpl_layout_free(layout);
        char *after = cpl_layout_print(copy, NULL);
        assert_string_equal(before, after);
        free(before);
        free(after);
        cpl_layout_free(copy);
    }
}

static void test_equal_looks_at_mask_pixels(void **state) {
    (void)state;
    unsigned char black[4] = {0}, white[4] = {0, 0, 0, 255};
    cpl_layout *a = parse("{\"regions\": [{\"mask\": \"m.png\"}]}"),
               *b = parse("{\"regions\": [{\"mask\": \"m.png\"}]}");
    a->regions[0].mask = cpl_mask_new(2, 2, black, NULL);
    assert_false(cpl_layout_equal(a, b));
    b->regions[0].mask = cpl_mask_new(2, 2, black, NULL);
    assert_true(cpl_layout_equal(a, b));
    cpl_mask_unref(b->regions[0].mask);
    b->regions[0].mask = cpl_mask_new(2, 2, white, NULL);
    assert_false(cpl_layout_equal(a, b));
    cpl_layout_free(a);
    cpl_layout_free(b);
}

static void test_history(void **state) {
    (void)state;
    cpl_layout *layout = parse("{\"regions\": [{}]}");
    cpl_history *history = cpl_history_new(layout, NULL);
    assert_null(cpl_history_undo(history));
    for (int i = 1; i <= 3; i++) {
        layout->background_weight = i;
        assert_true(cpl_history_push(history, layout, NULL));
        assert_true(cpl_history_push(history, layout, NULL)); /* unchanged: no step */
    }
    assert_null(cpl_history_redo(history));
    assert_true(cpl_history_undo(history)->background_weight == 2);
    assert_true(cpl_history_undo(history)->background_weight == 1);
    assert_true(cpl_history_redo(history)->background_weight == 2);
    layout->background_weight = 7;
    assert_true(cpl_history_push(history, layout, NULL)); /* drops what was undone */
    assert_null(cpl_history_redo(history));
    assert_true(cpl_history_undo(history)->background_weight == 2);
    assert_true(cpl_history_redo(history)->background_weight == 7);
    cpl_history_free(history);
    cpl_layout_free(layout);
}

static void test_history_is_bounded(void **state) {
    (void)state;
    cpl_layout *layout = parse("{\"regions\": [{}]}");
    cpl_history *history = cpl_history_new(layout, NULL);
    for (int i = 1; i <= 1500; i++) {
        layout->background_weight = i;
        assert_true(cpl_history_push(history, layout, NULL));
    }
    int steps = 0;
    const cpl_layout *last = layout;
    for (const cpl_layout *l; (l = cpl_history_undo(history)); steps++) last = l;
    assert_int_equal(steps, 1000);
    assert_true(last->background_weight == 500);
    for (steps = 0; cpl_history_redo(history);) steps++;
    assert_int_equal(steps, 1000);
    cpl_history_free(history);
    cpl_layout_free(layout);
}

/* ---- Identity ---- */

static uint64_t hash_of(const cpl_layout *layout) {
    cpl_settings settings;
    assert_true(cpl_layout_resolve(layout, NULL, &settings, NULL));
    return cpl_layout_hash(layout, &settings);
}

static uint64_t hash_of_text(const char *json) {
    cpl_layout *layout = parse(json);
    uint64_t hash = hash_of(layout);
    cpl_layout_free(layout);
    return hash;
}

#define BASE "\"canvas\": {\"width\": 64, \"height\": 64}"

static void test_hash_ignores_what_makes_no_pixel(void **state) {
    (void)state;
    uint64_t hash =
        hash_of_text("{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}]}");
    static const char *const same[] = {
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1], \"color\": 5, \"name\": \"x\"}, "
        "{\"prompt\": \"b\"}]}",
        "{" BASE ", \"note\": \"hello\", \"regions\": [{\"prompt\": \" a \", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": "
        "\"b\", \"weight\": 1}]}",
        "{" BASE ", \"background\": {\"weight\": 3}, \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.501, 0, 1]}, "
        "{\"prompt\": \"b\"}]}",
        "{" BASE ", \"regions\": [{\"prompt\": \"{k:a}\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}], "
        "\"sampling\": {\"steps\": 20, "
        "\"model\": \"x\"}}",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) assert_true(hash_of_text(same[i]) == hash);
}

static void test_hash_sees_what_makes_pixels(void **state) {
    (void)state;
    static const char *const different[] = {
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}]}",
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.52, 0, 1]}, {\"prompt\": \"b\"}]}",
        "{" BASE
        ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1], \"weight\": 1.1}, {\"prompt\": \"b\"}]}",
        "{" BASE
        ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1], \"feather\": 0.1}, {\"prompt\": \"b\"}]}",
        "{" BASE
        ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1], \"negative\": \"n\"}, {\"prompt\": \"b\"}]}",
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"c\"}]}",
        "{" BASE ", \"regions\": [{\"prompt\": \"b\"}, {\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}]}",
        "{" BASE
        ", \"negative\": \"n\", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}]}",
        "{" BASE
        ", \"mode\": \"basic\", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}]}",
        "{" BASE
        ", \"mode\": \"basic\", \"direction\": \"vertical\", \"regions\": [{\"prompt\": \"a\"}, {\"prompt\": \"b\"}]}",
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}], \"sampling\": "
        "{\"steps\": 21}}",
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}], \"sampling\": "
        "{\"cfg\": 7.5}}",
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}], \"sampling\": "
        "{\"seed\": 1}}",
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}], \"sampling\": "
        "{\"sampler\": \"heun\"}}",
        "{" BASE ", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\"}], \"sampling\": "
        "{\"schedule\": "
        "\"karras\"}}",
        "{" BASE ", \"uncovered\": \"fill\", \"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}]}",
        "{" BASE ", \"uncovered\": \"fill\", \"background\": {\"prompt\": \"x\"}, \"regions\": [{\"prompt\": \"a\", "
        "\"rect\": [0, 0.5, 0, 1]}]}",
    };
    enum { COUNT = sizeof different / sizeof *different };
    uint64_t hash[COUNT];
    for (int i = 0; i < COUNT; i++) {
        hash[i] = hash_of_text(different[i]);
        for (int k = 0; k < i; k++)
            if (hash[k] == hash[i]) fail_msg("one hash: %s and %s", different[k], different[i]);
    }
}

/* Every random edit of a rectangle changes the hash if and only if it changes a mask at some pixel. */
static void test_hash_follows_the_masks(void **state) {
    (void)state;
    enum { SIDE = 40 };
    uint64_t seed = 5;
    int kept = 0, changed = 0;
    for (int n = 0; n < 600; n++) {
        cpl_layout *layout = parse(
            "{\"canvas\": {\"width\": 40, \"height\": 40}, \"regions\": [{\"prompt\": \"a\"}, {\"prompt\": \"b\"}]}");
        float before[3 * SIDE * SIDE], after[3 * SIDE * SIDE];
        int count;
        layout->regions[1].x1 = 0.1 + draw_unit(&seed) / 4;
        layout->regions[1].x2 = 0.6 + draw_unit(&seed) / 4;
        uint64_t hash = hash_of(layout);
        assert_true(cpl_layout_masks(layout, NULL, SIDE, SIDE, before, &count, NULL));
        layout->regions[1].x1 += (draw_unit(&seed) - 0.5) / 30;
        assert_true(cpl_layout_masks(layout, NULL, SIDE, SIDE, after, &count, NULL));
        bool same = true;
        for (int i = 0; i < 2 * SIDE * SIDE; i++) same &= before[i] == after[i];
        assert_true((hash_of(layout) == hash) == same);
        *(same ? &kept : &changed) += 1;
        cpl_layout_free(layout);
    }
    assert_true(kept > 50 && changed > 50);
}

static void test_hash_sees_painted_pixels(void **state) {
    (void)state;
    cpl_layout *layout = parse("{" BASE ", \"regions\": [{\"prompt\": \"a\"}]}");
    layout->mode = CPL_MODE_MASK;
    unsigned char grey[64] = {255};
    layout->regions[0].mask = cpl_mask_new(8, 8, grey, NULL);
    uint64_t hash = hash_of(layout);
    cpl_mask_unref(layout->regions[0].mask);
    layout->regions[0].mask = cpl_mask_new(8, 8, grey, NULL);
    assert_true(hash_of(layout) == hash);
    grey[63] = 1;
    cpl_mask_unref(layout->regions[0].mask);
    layout->regions[0].mask = cpl_mask_new(8, 8, grey, NULL);
    assert_true(hash_of(layout) != hash);
    cpl_layout_free(layout);
}

/* ---- Map and infotext ---- */

static const unsigned char palette[16][3] = {{200, 0, 0}, {0, 100, 0}, {0, 0, 50}};

static void check_pixel(const cpl_image *image, int x, int y, int r, int g, int b) {
    const unsigned char *p = image->rgb + 3 * (y * image->width + x);
    assert_true(p[0] == r && p[1] == g && p[2] == b);
}

static void test_map(void **state) {
    (void)state;
    cpl_layout *layout = parse(
        "{\"regions\": [{\"rect\": [0, 0.5, 0, 1]}, {\"rect\": [0.25, 0.5, 0, 0.5]}, {\"rect\": [0.5, 1, 0, 0.5], "
        "\"color\": 0, \"weight\": 4}]}");
    cpl_image *map = cpl_layout_map(layout, NULL, 80, 40, palette, NULL);
    check_pixel(map, 10, 10, 200, 0, 0);
    check_pixel(map, 30, 10, 100, 50, 0);
    check_pixel(map, 39, 39, 200, 0, 0);
    check_pixel(map, 40, 0, 200, 0, 0);
    check_pixel(map, 60, 30, 80, 80, 80); /* the hatch of what is not covered */
    check_pixel(map, 64, 30, 40, 40, 40);
    cpl_image_free(map);
    cpl_layout_free(layout);
    /* layouts that are not finished can be drawn */
    layout = parse("{}");
    map = cpl_layout_map(layout, NULL, 16, 16, palette, NULL);
    check_pixel(map, 0, 0, 80, 80, 80);
    cpl_image_free(map);
    cpl_layout_free(layout);
}

/* One pixel, from shapes that are read for its row alone. */
static void mix_pixel(const cpl_layout *layout, const cpl_shape *shapes, int lines, int x, int y,
                      unsigned char rgb[3]) {
    float sum[4] = {0};
    for (int i = 0; i < lines; i++) {
        float weight;
        cpl_shape_reader *reader = cpl_shape_open(&shapes[i], layout->width, layout->height, &x, 1, NULL);
        assert_non_null(reader);
        cpl_shape_row(reader, y, &weight);
        cpl_shape_close(reader);
        for (int k = 0; k < 3; k++) sum[k] += weight * palette[i % 16][k];
        sum[3] += weight;
    }
    for (int k = 0; k < 3; k++) {
        const float raised = sum[3] > 0 ? sum[k] / sum[3] + 0.5f : (x + y) / 4 % 2 ? 40 : 80;
        rgb[k] = (unsigned char)raised;
    }
}

/* Rows that are like the one above are copied: that must not be seen. */
static void test_map_of_any_layout(void **state) {
    (void)state;
    uint64_t seed = 7;
    for (int round = 0; round < 40; round++) {
        cpl_layout *layout = draw_layout(&seed, 64);
        int lines = layout->region_count;
        cpl_shape *shapes = cpl_shapes_new(layout, layout->width, layout->height, lines, NULL);
        cpl_image *map = cpl_layout_map(layout, NULL, layout->width, layout->height, palette, NULL);
        assert_true(shapes && map);
        for (int y = 0; y < layout->height; y++)
            for (int x = 0; x < layout->width; x += 3) {
                unsigned char rgb[3];
                mix_pixel(layout, shapes, lines, x, y, rgb);
                check_pixel(map, x, y, rgb[0], rgb[1], rgb[2]);
            }
        cpl_image_free(map);
        free(shapes);
        cpl_layout_free(layout);
    }
}

static void test_infotext(void **state) {
    (void)state;
    cpl_layout *layout = parse(
        "{\"negative\": \"blurry\", \"sampling\": {\"sampler\": \"dpmpp_2m\", \"schedule\": \"karras\", \"cfg\": 4.5}, "
        "\"canvas\": {\"width\": 128, \"height\": 64}, \"regions\": [{\"prompt\": \"a cat,\\nnight\", \"rect\": [0, "
        "0.5, 0, 1]}, "
        "{\"prompt\": \"a boat\"}]}");
    cpl_settings settings;
    assert_true(cpl_layout_resolve(layout, NULL, &settings, NULL));
    settings.seed = 42;
    char *text = cpl_infotext(layout, &settings, "builtin", NULL);
    assert_string_equal(
        text,
        "a cat, night\na boat\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, Seed: 42, Size: 128x64, Model: builtin, "
        "RNG: CPU, forge_couple: True, forge_couple_compatibility: False, forge_couple_mode: Advanced, "
        "forge_couple_separator: \\n, forge_couple_mapping: \"[[0, 0.5, 0, 1, 1], [0, 1, 0, 1, 1]]\", "
        "forge_couple_common_parser: { }, forge_couple_def_in_prompt: True, Version: couplet " CPL_VERSION);
    free(text);
    cpl_layout_free(layout);
    layout = parse("{\"mode\": \"basic\", \"direction\": \"vertical\", \"prompt\": \"a;b;c\", \"separator\": \";\", "
                   "\"background\": {\"line\": \"first\", \"weight\": 0.25}, \"common\": {\"brackets\": \"off\", "
                   "\"definitions\": false}}");
    text = cpl_infotext(layout, &settings, NULL, NULL);
    assert_non_null(strstr(text, "a;b;c\nSteps: 20"));
    assert_non_null(strstr(text,
                           "forge_couple_mode: Basic, forge_couple_separator: ;, forge_couple_direction: Vertical, "
                           "forge_couple_background: First Line, forge_couple_background_weight: 0.25, "
                           "forge_couple_common_parser: off, forge_couple_def_in_prompt: False"));
    free(text);
    cpl_layout_free(layout);
}

/* To Forge Couple AND and schedules are words: the WebUI must be asked alone. */
static void test_infotext_of_a_text_that_changes(void **state) {
    (void)state;
    cpl_layout *layout =
        parse("{\"schedules\": true, \"regions\": [{\"prompt\": \"{a:cat}, [{a}:dog:0.5] AND a sun <lora:x:1>\"}]}");
    cpl_settings settings;
    assert_true(cpl_layout_resolve(layout, NULL, &settings, NULL));
    char *text = cpl_infotext(layout, &settings, NULL, NULL);
    assert_non_null(strstr(text, "cat, [cat:dog:0.5] AND a sun <lora:x:1>\nSteps: 20"));
    assert_null(strstr(text, "forge_couple"));
    free(text);
    layout->schedules = false;
    text = cpl_infotext(layout, &settings, NULL, NULL);
    assert_non_null(strstr(text, "forge_couple: True"));
    free(text);
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_copy_is_deep),
        cmocka_unit_test(test_equal_looks_at_mask_pixels),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_history_is_bounded),
        cmocka_unit_test(test_hash_ignores_what_makes_no_pixel),
        cmocka_unit_test(test_hash_sees_what_makes_pixels),
        cmocka_unit_test(test_hash_follows_the_masks),
        cmocka_unit_test(test_hash_sees_painted_pixels),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_map_of_any_layout),
        cmocka_unit_test(test_infotext),
        cmocka_unit_test(test_infotext_of_a_text_that_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
