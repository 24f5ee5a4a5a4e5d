/* Masks in closed form against a plain pixel rasteriser, at every token, and coverage against counted pixels. */
#include "../../test.h"

#include <math.h>

#include "../../golden/raster.c" /* NOLINT(bugprone-suspicious-include): the golden runner shares it */
#include "random_layout.h"

static double counted_share(const raster *r) {
    size_t pixels = (size_t)r->width * (size_t)r->height, covered = 0;
    for (size_t p = 0; p < pixels; p++) covered += r->norm[(size_t)r->lines * pixels + p] == 0;
    return (double)covered / (double)pixels;
}

/* Feathered values go through a mean, whose sum rounds elsewhere. */
static double tolerance_of(const cpl_layout *layout) {
    for (int i = 0; i < layout->region_count; i++)
        if (layout->regions[i].feather > 0) return 2e-6;
    return 0;
}

static void compare_grid(const cpl_layout *layout, const raster *r, int w, int h) {
    cpl_error error = {0};
    int count = 0, size = w * h;
    float *masks = calloc((size_t)(r->lines + 1) * (size_t)size, sizeof *masks);
    bool made = cpl_layout_masks(layout, NULL, w, h, masks, &count, &error);
    bool possible = r->full || layout->uncovered == CPL_UNCOVERED_FILL;
    assert_int_equal(made, possible);
    if (!possible) assert_non_null(strstr(error.message, "of the canvas has no region"));
    if (made) assert_int_equal(count, r->norm_lines);
    for (int i = 0; made && i < count; i++)
        for (int t = 0; t < size; t++) {
            double plain = raster_token(r, i, t % w, t / w, w, h);
            assert_true(fabs(plain - masks[(size_t)i * (size_t)size + (size_t)t]) <= tolerance_of(layout));
        }
    for (int t = 0; made && t < size; t++) {
        double sum = 0;
        for (int i = 0; i < count; i++) sum += masks[(size_t)i * (size_t)size + (size_t)t];
        assert_true(fabs(sum - 1) < 1e-5);
    }
    free(masks);
}

static void test_random_layouts(void **state) {
    (void)state;
    uint64_t seed = 7;
    int holes = 0, whole = 0, painted = 0;
    for (int n = 0; n < 160; n++) {
        cpl_layout *layout = draw_layout(&seed, 96);
        raster r = raster_make(layout, layout->width, layout->height, layout->region_count,
                               layout->uncovered == CPL_UNCOVERED_FILL);
        *(r.full ? &whole : &holes) += 1;
        painted += layout->mode == CPL_MODE_MASK;
        assert_true(fabs(cpl_layout_coverage(layout, NULL) - counted_share(&r)) < 1e-12);
        for (int level = 1, w = layout->width / 8, h = layout->height / 8; level <= 4; level++) {
            compare_grid(layout, &r, w, h);
            w = (w + 1) / 2;
            h = (h + 1) / 2;
        }
        compare_grid(layout, &r, 1 + draw_below(&seed, 90), 1 + draw_below(&seed, 90));
        raster_free(&r);
        cpl_layout_free(layout);
    }
    /* the draw must have reached all kinds */
    assert_true(holes > 20 && whole > 20 && painted > 20);
}

static cpl_layout *two_columns(int width, int height, double at) {
    cpl_layout *layout = cpl_layout_new(NULL);
    layout->width = width;
    layout->height = height;
    cpl_layout_insert(layout, 0, NULL)->x2 = at;
    cpl_layout_insert(layout, 1, NULL)->x1 = at;
    return layout;
}

/* 0.145 * 200 is 28.99..., so that the edge lies at pixel 28; in single precision it would be 29. */
static void test_edges_are_truncated_in_double(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(200, 40, 0.145);
    float masks[3 * 200];
    int count;
    assert_true(cpl_layout_masks(layout, NULL, 200, 1, masks, &count, NULL));
    assert_int_equal(count, 2);
    assert_true(masks[27] == 1 && masks[28] == 0 && masks[200 + 27] == 0 && masks[200 + 28] == 1);
    cpl_layout_free(layout);
}

/* A soft edge between two neighbours: rising in a line, half and half in the middle, hard at the border of the canvas. */
static void test_feather_is_a_linear_ramp(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(80, 24, 0.5);
    layout->regions[0].feather = layout->regions[1].feather = 0.25;
    float masks[3 * 80];
    int count;
    assert_true(cpl_layout_masks(layout, NULL, 80, 1, masks, &count, NULL));
    assert_true(masks[0] == 1 && masks[29] == 1 && masks[50] == 0 && masks[79] == 0);
    for (int x = 30; x < 50; x++) assert_true(fabs((double)masks[x] - masks[x + 1] - 1 / 21.0) < 1e-6);
    assert_true(fabsf(masks[39] + masks[40] - 1) < 1e-6);
    cpl_layout_free(layout);
}

static void test_hole_goes_to_the_fill_line(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(64, 64, 0.5);
    layout->regions[1].y2 = 0.5;
    float masks[3 * 64];
    int count;
    cpl_error error = {0};
    assert_false(cpl_layout_masks(layout, NULL, 8, 8, masks, &count, &error));
    assert_non_null(
        strstr(error.message, "25 % of the canvas has no region, within x 0.500 to 1.000, y 0.500 to 1.000"));
    layout->uncovered = CPL_UNCOVERED_FILL;
    assert_true(cpl_layout_masks(layout, NULL, 8, 8, masks, &count, &error));
    assert_int_equal(count, 3);
    for (int t = 0; t < 64; t++) assert_true(masks[128 + t] == (t % 8 >= 4 && t / 8 >= 4));
    layout->regions[1].y2 = 1;
    assert_true(cpl_layout_masks(layout, NULL, 8, 8, masks, &count, &error));
    assert_int_equal(count, 2);
    cpl_layout_free(layout);
}

static void test_grid_of_no_size_is_refused(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(64, 64, 0.5);
    float out[4];
    int count;
    cpl_error error = {0};
    assert_false(cpl_layout_masks(layout, NULL, 0, 4, out, &count, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    cpl_layout_free(layout);
}

/* 256 regions on the largest canvas: coverage must not need its pixels. */
static void test_largest_layout(void **state) {
    (void)state;
    cpl_layout *layout = cpl_layout_new(NULL);
    layout->width = layout->height = CPL_MAX_SIDE;
    for (int i = 0; i < CPL_MAX_REGIONS; i++) {
        cpl_region *region = cpl_layout_insert(layout, i, NULL);
        region->x1 = i / 256.0;
        region->x2 = (i + 1) / 256.0;
    }
    assert_null(cpl_layout_insert(layout, 0, NULL));
    assert_true(cpl_layout_coverage(layout, NULL) == 1);
    layout->regions[100].y1 = 0.5;
    assert_true(fabs(cpl_layout_coverage(layout, NULL) - (1 - 0.5 / 256)) < 1e-12);
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_layouts),
        cmocka_unit_test(test_edges_are_truncated_in_double),
        cmocka_unit_test(test_feather_is_a_linear_ramp),
        cmocka_unit_test(test_hole_goes_to_the_fill_line),
        cmocka_unit_test(test_grid_of_no_size_is_refused),
        cmocka_unit_test(test_largest_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
