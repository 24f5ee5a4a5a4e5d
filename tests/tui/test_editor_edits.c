/* test_editor_edits.c: edits of several regions at once: marks, split, mirror, align, distribute, copy and paste, pasted
 * lines. Each is one undo step. */
#include "../../tui/editor_state.h"

#include <math.h>
#include <string.h>

#include "../test.h"

static const char THREE[] = "{\"couplet\":1,\"canvas\":{\"width\":128,\"height\":128},\"regions\":["
                            "{\"rect\":[0,0.25,0,0.5],\"prompt\":\"a cat\"},"
                            "{\"rect\":[0.3125,0.5,0.25,1],\"prompt\":\"a sun\",\"weight\":0.7,\"negative\":\"rain\"},"
                            "{\"rect\":[0.875,1,0.5,0.75],\"prompt\":\"a boat\"}]}";

static editor_state start(void) {
    cpl_error error = {0};
    editor_state s = {0};
    cpl_layout *layout = cpl_layout_parse(THREE, NULL, "test", &error);
    if (!layout || !state_start(&s, layout, &error)) fail_msg("%s", error.message);
    return s;
}

static void expect_rect(const editor_state *s, int row, double x1, double x2, double y1, double y2) {
    const cpl_region *r = &s->layout->regions[row];
    if (r->x1 != x1 || r->x2 != x2 || r->y1 != y1 || r->y2 != y2)
        fail_msg("row %d is %.17g %.17g %.17g %.17g", row, r->x1, r->x2, r->y1, r->y2);
}

/* One step back is where it began. */
static void expect_one_step(editor_state *s) {
    cpl_error error = {0};
    assert_true(s->dirty);
    assert_true(state_undo(s, &error));
    assert_false(s->dirty);
    assert_false(state_undo(s, &error));
    state_clear(s);
}

static void marked_regions_move_as_one(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = start();
    state_mark(&s, 0);
    state_mark(&s, 1);
    assert_int_equal(s.marks, 2);
    assert_true(state_chosen(&s, 1) && !state_chosen(&s, 2));
    /* The group stops at the edge, its distances stay. */
    assert_true(state_move(&s, 1, 0, 99, &error));
    expect_rect(&s, 0, 0.5, 0.75, 0, 0.5);
    expect_rect(&s, 1, 0.8125, 1, 0.25, 1);
    expect_rect(&s, 2, 0.875, 1, 0.5, 0.75);
    expect_one_step(&s);
}

static void marked_regions_are_resized_weighed_and_deleted_together(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = start();
    state_mark(&s, 0);
    state_mark(&s, 2);
    assert_true(state_resize(&s, 0, -1, 1, &error));
    expect_rect(&s, 0, 0, 0.25, 0, 0.4375);
    expect_rect(&s, 2, 0.875, 1, 0.5, 0.6875);
    assert_true(state_weight(&s, 1, 2, &error));
    assert_true(s.layout->regions[0].weight == 1.1 && s.layout->regions[1].weight == 0.7 &&
                s.layout->regions[2].weight == 1.1);
    assert_true(state_delete(&s, 1, &error));
    assert_int_equal(s.count, 1);
    assert_string_equal(s.layout->regions[0].prompt, "a sun");
    assert_int_equal(s.marks, 0); /* rows are others now */
    state_clear(&s);
}

static void split_keeps_the_ratios(void **state) {
    (void)state;
    cpl_error error = {0};
    static const double ratios[] = {1, 2, 1}, thirds[] = {1, 1, 1};
    editor_state s = start();
    state_select(&s, 1);
    assert_true(state_split(&s, ratios, 3, true, &error));
    assert_int_equal(s.count, 5);
    expect_rect(&s, 1, 0.3125, 0.5, 0.25, 0.4375);
    expect_rect(&s, 2, 0.3125, 0.5, 0.4375, 0.8125);
    expect_rect(&s, 3, 0.3125, 0.5, 0.8125, 1);
    assert_string_equal(s.layout->regions[1].prompt, "a sun");
    assert_string_equal(s.layout->regions[2].prompt, "");
    assert_true(s.layout->regions[3].weight == 0.7);
    expect_one_step(&s);
    s = start();
    assert_true(state_split(&s, thirds, 3, false, &error));
    /* Neighbours meet exactly: no gap of a rounding. */
    assert_true(s.layout->regions[0].x2 == s.layout->regions[1].x1);
    assert_true(s.layout->regions[1].x2 == s.layout->regions[2].x1);
    assert_true(s.layout->regions[2].x2 == 0.25);
    state_clear(&s);
}

static void mirror_twice_is_nothing(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = start();
    assert_true(state_mirror(&s, false, &error));
    expect_rect(&s, 0, 0.75, 1, 0, 0.5);
    expect_rect(&s, 1, 0.5, 0.6875, 0.25, 1);
    assert_true(state_mirror(&s, false, &error));
    assert_false(s.dirty);
    state_mark(&s, 2);
    assert_true(state_mirror(&s, true, &error));
    expect_rect(&s, 0, 0, 0.25, 0, 0.5);
    expect_rect(&s, 2, 0.875, 1, 0.25, 0.5);
    state_clear(&s);
}

static void align_follows_the_selected_one(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = start();
    assert_true(state_align(&s, EDGE_CENTER, &error)); /* alone: to the canvas */
    expect_rect(&s, 0, 0.375, 0.625, 0, 0.5);
    assert_true(state_undo(&s, &error));
    state_mark_all(&s, true);
    state_select(&s, 2);
    assert_true(state_align(&s, EDGE_BOTTOM, &error));
    expect_rect(&s, 0, 0, 0.25, 0.25, 0.75);
    expect_rect(&s, 1, 0.3125, 0.5, 0, 0.75);
    expect_rect(&s, 2, 0.875, 1, 0.5, 0.75);
    expect_one_step(&s);
}

static void distribute_makes_equal_gaps(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = start();
    assert_true(state_distribute(&s, false, &error));
    expect_rect(&s, 0, 0, 0.25, 0, 0.5);
    expect_rect(&s, 1, 0.46875, 0.65625, 0.25, 1);
    expect_rect(&s, 2, 0.875, 1, 0.5, 0.75);
    assert_true(state_delete(&s, 1, &error));
    assert_false(state_distribute(&s, false, &error));
    assert_non_null(strstr(error.message, "three"));
    state_clear(&s);
}

static void rows_are_copied_with_all_they_have(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = start();
    assert_false(state_paste(&s, NULL, true, &error));
    state_select(&s, 1);
    cpl_layout *rows = state_yank(&s, 2, &error);
    assert_non_null(rows);
    assert_int_equal(rows->region_count, 2);
    state_select(&s, 0);
    assert_true(state_paste(&s, rows, true, &error));
    assert_int_equal(s.count, 5);
    assert_int_equal(s.selected, 1);
    expect_rect(&s, 1, 0.3125, 0.5, 0.25, 1);
    assert_string_equal(s.layout->regions[1].prompt, "a sun");
    assert_string_equal(s.layout->regions[1].negative, "rain");
    assert_true(s.layout->regions[1].weight == 0.7);
    assert_string_equal(s.layout->regions[2].prompt, "a boat");
    cpl_layout_free(rows);
    expect_one_step(&s);
}

static void lines_become_regions(void **state) {
    (void)state;
    cpl_error error = {0};
    int count;
    editor_state s = start();
    assert_false(state_insert_lines(&s, "\n  \n", &count, &error));
    assert_true(state_insert_lines(&s, "\n a penguin \r\n\nthe sea\n", &count, &error));
    assert_int_equal(count, 2);
    assert_int_equal(s.count, 5);
    assert_int_equal(s.selected, 3);
    assert_string_equal(s.layout->regions[3].prompt, "a penguin");
    assert_string_equal(s.layout->regions[4].prompt, "the sea");
    assert_true(s.layout->regions[3].x2 == s.layout->regions[4].x1);
    expect_one_step(&s);
}

static void cells_step_by_their_own_amount(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = start();
    assert_true(state_step_cell(&s, CELL_X2, 1, 2, &error));
    expect_rect(&s, 0, 0, 0.375, 0, 0.5);
    assert_true(state_step_cell(&s, CELL_Y1, 1, 99, &error));
    expect_rect(&s, 0, 0, 0.375, 0.4375, 0.5); /* never turns over */
    assert_true(state_step_cell(&s, CELL_WEIGHT, -1, 1, &error));
    assert_true(s.layout->regions[0].weight == 0.95);
    assert_true(state_set_cell(&s, 0, CELL_NEGATIVE, "snow", &error));
    assert_string_equal(s.layout->regions[0].negative, "snow");
    assert_true(state_set_cell(&s, 0, CELL_NEGATIVE, "", &error));
    assert_null(s.layout->regions[0].negative);
    state_clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marked_regions_move_as_one),
        cmocka_unit_test(marked_regions_are_resized_weighed_and_deleted_together),
        cmocka_unit_test(split_keeps_the_ratios),
        cmocka_unit_test(mirror_twice_is_nothing),
        cmocka_unit_test(align_follows_the_selected_one),
        cmocka_unit_test(distribute_makes_equal_gaps),
        cmocka_unit_test(rows_are_copied_with_all_they_have),
        cmocka_unit_test(lines_become_regions),
        cmocka_unit_test(cells_step_by_their_own_amount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
