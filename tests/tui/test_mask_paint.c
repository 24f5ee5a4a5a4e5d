/* test_mask_paint.c: brush, rectangle, flood fill and invert on pixels; masks become text and pixels again; mask mode begins
 * with the regions' rectangles. */
#include "../../tui/editor_state.h"
#include "../../tui/mask_paint.h"

#include <stdlib.h>
#include <string.h>

#include "../test.h"

static mask_paint start(void) {
    cpl_error error = {0};
    mask_paint p;
    assert_true(mask_paint_start(&p, NULL, 64, 64, &error)); /* 16x16 */
    assert_int_equal(p.width, 16);
    return p;
}

static int inside(const mask_paint *p) {
    int count = 0;
    for (int i = 0; i < p->width * p->height; i++) count += p->grey[i] == 255;
    return count;
}

static void rectangles_cover_what_they_hold(void **state) {
    (void)state;
    mask_paint p = start();
    assert_true(mask_paint_rect(&p, (canvas_rect){0.25, 0.5, 0, 1}, 255));
    assert_int_equal(inside(&p), 4 * 16);
    assert_int_equal(p.grey[4], 255);
    assert_int_equal(p.grey[3], 0);
    assert_false(mask_paint_rect(&p, (canvas_rect){0.25, 0.5, 0, 1}, 255)); /* nothing new */
    assert_true(mask_paint_rect(&p, (canvas_rect){0, 1, 0, 0.5}, 0));
    assert_int_equal(inside(&p), 4 * 8);
    /* However thin, one pixel; however far, inside. */
    assert_true(mask_paint_rect(&p, (canvas_rect){0.99, 0.991, 0, 0.001}, 255));
    assert_int_equal(p.grey[15], 255);
    mask_paint_rect(&p, (canvas_rect){5, 6, -3, -2}, 255);
    mask_paint_clear(&p);
}

static void a_brush_is_round(void **state) {
    (void)state;
    mask_paint p = start();
    assert_true(mask_paint_disc(&p, (canvas_rect){0, 1, 0, 1}, 255));
    assert_int_equal(p.grey[0], 0);
    assert_int_equal(p.grey[8 * 16 + 8], 255);
    assert_in_range(inside(&p), 190, 212); /* pi * 8 * 8 = 201 */
    mask_paint_clear(&p);
}

static void a_fill_stops_at_edges(void **state) {
    (void)state;
    mask_paint p = start();
    mask_paint_rect(&p, (canvas_rect){0.5, 0.5625, 0, 1}, 255); /* a wall */
    assert_true(mask_paint_fill(&p, 0.1, 0.1, 255));
    assert_int_equal(inside(&p), 9 * 16);
    assert_true(mask_paint_fill(&p, 0.1, 0.1, 0)); /* the wall is of the same area now */
    assert_int_equal(inside(&p), 0);
    assert_true(mask_paint_invert(&p));
    assert_int_equal(inside(&p), 256);
    mask_paint_clear(&p);
}

static void masks_are_kept_in_the_layout(void **state) {
    (void)state;
    cpl_error error = {0};
    mask_paint p = start();
    uint32_t seed = 7;
    for (int i = 0; i < 256; i++) p.grey[i] = (unsigned char)test_random(&seed);
    cpl_mask *mask = cpl_mask_new(p.width, p.height, p.grey, &error);
    char *data = cpl_mask_data(mask, &error), *json = NULL;
    assert_non_null(data);
    assert_true(asprintf(&json, "{\"couplet\":1,\"mode\":\"mask\",\"regions\":[{\"mask\":\"%s\"}]}", data) > 0);
    cpl_layout *layout = cpl_layout_parse(json, NULL, "test", &error);
    if (!layout) fail_msg("%s", error.message);
    assert_int_equal(cpl_mask_width(layout->regions[0].mask), 16);
    assert_memory_equal(cpl_mask_pixels(layout->regions[0].mask), p.grey, 256);
    cpl_layout_free(layout);
    free(json);
    free(data);
    cpl_mask_unref(mask);
    mask_paint_clear(&p);
}

static void mask_mode_begins_with_the_rectangles(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s;
    cpl_layout *layout =
        cpl_layout_parse("{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":64},\"regions\":["
                         "{\"rect\":[0,0.5,0,1],\"prompt\":\"a\"},{\"rect\":[0.5,1,0,1],\"prompt\":\"b\"}]}",
                         NULL, "test", &error);
    assert_true(layout && state_start(&s, layout, &error));
    assert_true(state_mode(&s, &error));
    assert_int_equal(s.layout->mode, CPL_MODE_MASK);
    assert_true(s.coverage == 1.0);
    const unsigned char *pixels = cpl_mask_pixels(s.layout->regions[0].mask);
    assert_int_equal(pixels[0], 255);
    assert_int_equal(pixels[15], 0);
    /* A new region has an empty mask, and the file keeps all of them. */
    assert_true(state_insert(&s, 2, NULL, &error));
    char *json = cpl_layout_print(s.layout, &error);
    cpl_layout *again = cpl_layout_parse(json, NULL, "again", &error);
    if (!again) fail_msg("%s", error.message);
    assert_true(cpl_layout_equal(again, s.layout));
    cpl_layout_free(again);
    free(json);
    state_clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rectangles_cover_what_they_hold),
        cmocka_unit_test(a_brush_is_round),
        cmocka_unit_test(a_fill_stops_at_edges),
        cmocka_unit_test(masks_are_kept_in_the_layout),
        cmocka_unit_test(mask_mode_begins_with_the_rectangles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
