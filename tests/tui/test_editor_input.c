/* test_editor_input.c: keys, mouse events and pastes that cross each other, given to the editor itself: what they leave in
 * its layout and in the file. Nothing is drawn, so no terminal is needed but its size. */
#include "../../tui/editor_ui.h"

#include <curses.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "work_folder.h"

static const char WORK[] = "{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":64},\"regions\":["
                           "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"},{\"rect\":[0.5,1,0,1],\"prompt\":\"a sun\"}],"
                           "\"sampling\":{\"steps\":3,\"seed\":5}}";
static const term_caps caps = {.cell_width = 9, .cell_height = 18, .utf8 = true};

static int enter_folder(void **state) { return new_folder(state) ? 0 : -1; }

static editor *start(const char *json) {
    static const cpl_options quiet = {.threads = 1};
    cpl_error error = {0};
    editor *e = calloc(1, sizeof *e);
    cpl_layout *layout = cpl_layout_parse(json, NULL, "work", &error);
    if (!e || !layout || !state_start(&e->state, layout, &error)) {
        fail_msg("%s", error.message);
        abort();
    }
    e->session = cpl_session_new(&quiet, &error);
    assert_non_null(e->session);
    e->results.compared = -1;
    e->brush.size = 1;
    e->caps = &caps;
    e->path = strdup("work.json");
    editor_mark_file(e);
    LINES = 40;
    COLS = 120;
    editor_arrange(e);
    return e;
}

static void end(editor *e) {
    cpl_session_free(e->session);
    state_clear(&e->state);
    line_edit_clear(&e->line);
    free(e->began);
    completion_clear(&e->complete);
    cpl_layout_free(e->yanked);
    free(e->path);
    free(e);
}

/* As a key script has them. */
static void keys(editor *e, const char *text) {
    cpl_error error = {0};
    e->script = script_parse(text, "test", &error);
    if (!e->script) fail_msg("%s", error.message);
    editor_script_run(e);
    assert_null(e->script);
}

static void mouse(editor *e, mouse_action action, int column, int row) {
    editor_mouse(e, &(input_event){.type = INPUT_MOUSE, .action = action, .button = 1, .column = column, .row = row});
    editor_arrange(e);
}

static void click_row(editor *e, int row) {
    window in = windows_inside(e->windows.table);
    mouse(e, MOUSE_PRESS, in.column + in.columns / 2, in.row + 1 + row);
    mouse(e, MOUSE_RELEASE, in.column + in.columns / 2, in.row + 1 + row);
}

/* ---- Strokes ---- */

/* White pixels of a region's mask as the file that is saved now has it. */
static long saved_white(editor *e, int row) {
    cpl_error error = {0};
    keys(e, "s");
    cpl_layout *layout = cpl_layout_load("work.json", &error);
    if (!layout) {
        fail_msg("%s", error.message);
        abort();
    }
    const cpl_mask *mask = layout->regions[row].mask;
    long white = 0, count = (long)cpl_mask_width(mask) * cpl_mask_height(mask);
    for (long i = 0; i < count; i++) white += cpl_mask_pixels(mask)[i] >= 128;
    cpl_layout_free(layout);
    return white;
}

static editor *start_painting(void) {
    editor *e = start(WORK);
    keys(e, "m X ) ) ) 14 j");
    assert_int_equal(saved_white(e, 0), 0);
    keys(e, "d 20 l");
    assert_true(e->brush.stroke);
    return e;
}

static void a_stroke_is_kept_when_the_mouse_selects_another_row(void **state) {
    (void)state;
    editor *e = start_painting();
    click_row(e, 1);
    assert_int_equal(e->state.selected, 1);
    assert_true(saved_white(e, 0) > 0);
    end(e);
    e = start_painting();
    mouse(e, MOUSE_WHEEL_DOWN, 0, 0);
    assert_int_equal(e->state.selected, 1);
    assert_true(saved_white(e, 0) > 0);
    end(e);
}

static void a_press_on_the_large_picture_paints_nothing(void **state) {
    (void)state;
    editor *e = start(WORK);
    keys(e, "m X s");
    int x = e->canvas_cells.column + 3, y = e->canvas_cells.row + 3;
    e->view = VIEW_PICTURE;
    editor_arrange(e);
    mouse(e, MOUSE_PRESS, x, y);
    mouse(e, MOUSE_RELEASE, x, y);
    assert_int_equal(saved_white(e, 0), 0);
    end(e);
}

static void the_brush_is_up_in_another_file(void **state) {
    (void)state;
    editor *e = start_painting();
    keys(e, "s");
    assert_true(e->brush.down);
    assert_true(editor_open(e, "work.json"));
    long white = saved_white(e, 0);
    keys(e, "5 j");
    assert_int_equal(saved_white(e, 0), white);
    end(e);
}

static void strokes_of_two_rows_are_two_steps(void **state) {
    (void)state;
    editor *e = start_painting();
    mouse(e, MOUSE_WHEEL_DOWN, 0, 0);
    keys(e, "20 h");
    keys(e, "u"); /* the second row's */
    assert_true(saved_white(e, 0) > 0);
    keys(e, "u");
    assert_int_equal(saved_white(e, 0), 0);
    end(e);
}

static void a_stroke_is_kept_in_a_copy_of_its_row(void **state) {
    (void)state;
    editor *e = start_painting();
    keys(e, "y");
    long white = saved_white(e, 1);
    assert_true(white > 0);
    assert_int_equal(saved_white(e, 0), white);
    end(e);
}

/* The commands of a key script are not typed. */
static void a_stroke_is_kept_by_a_command_in_its_middle(void **state) {
    (void)state;
    editor *e = start_painting();
    keys(e, ":w");
    cpl_layout *layout = cpl_layout_load("work.json", NULL);
    assert_true(layout && cpl_layout_equal(layout, e->state.layout));
    cpl_layout_free(layout);
    end(e);
}

/* ---- The brush's place ---- */

static void resize(editor *e, int columns, int rows) {
    COLS = columns;
    LINES = rows;
    editor_arrange(e);
}

static double brush_x(const editor *e) { return (e->brush.x + 0.5) / e->zoom.columns; }
static double brush_y(const editor *e) { return (e->brush.y + 0.5) / (2.0 * e->zoom.rows); }

/* As well as places of the coarsest drawing so far can tell. */
static void expect_place(const editor *e, double x, double y, int columns, int rows) {
    assert_true(fabs(brush_x(e) - x) < 1.0 / columns);
    assert_true(fabs(brush_y(e) - y) < 0.5 / rows);
    assert_int_equal(e->brush.anchor_x, e->brush.x);
    assert_int_equal(e->brush.anchor_y, e->brush.y);
}

/* However large the drawing is, brush and first corner stay where they are on the canvas. */
static void a_rectangle_of_one_place_is_no_block(void **state) {
    (void)state;
    editor *e = start("{\"couplet\":1,\"canvas\":{\"width\":512,\"height\":512},\"regions\":["
                      "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"}]}");
    keys(e, "m X 11 l 23 j a");
    double x = brush_x(e), y = brush_y(e);
    int columns = e->zoom.columns, rows = e->zoom.rows;
    for (int i = 0; i < 20; i++) {
        keys(e, "Z Z");
        expect_place(e, x, y, columns, rows);
        keys(e, "W W");
        expect_place(e, x, y, columns, rows);
    }
    e->view = VIEW_PICTURE; /* behind which the canvas can be enlarged, too */
    editor_arrange(e);
    keys(e, "Z W");
    e->view = VIEW_BOTH;
    editor_arrange(e);
    expect_place(e, x, y, columns, rows);
    resize(e, 80, 24);
    columns = e->zoom.columns, rows = e->zoom.rows;
    for (int i = 0; i < 20; i++) {
        expect_place(e, x, y, columns, rows);
        resize(e, 81 + i, 25 + i);
        expect_place(e, x, y, columns, rows);
        resize(e, 60, 15); /* a card: no canvas */
        resize(e, 200, 60);
        expect_place(e, x, y, columns, rows);
        resize(e, 80, 24);
    }
    keys(e, ":size 512x128");
    if (e->zoom.rows < rows) rows = e->zoom.rows;
    expect_place(e, x, y, columns, rows);
    keys(e, ":size 512x512\na");
    long white = saved_white(e, 0);
    assert_true(white > 0 && white < 64);
    end(e);
}

/* ---- Fields ---- */

/* Defaults of the model are shown as values; looking at them must not make them the layout's own. */
static void fields_that_are_only_looked_at_change_nothing(void **state) {
    (void)state;
    static const char BARE[] = "{\"couplet\":1,\"mode\":\"basic\",\"prompt\":\"a cat\\na boat\"}";
    editor *e = start(BARE);
    keys(e, "Tab Tab Enter Tab Tab Tab Tab Tab Tab Tab Esc");
    assert_false(e->state.dirty);
    keys(e, "Esc Tab Enter Tab Enter"); /* a line of one prompt text stays one */
    assert_false(e->state.dirty);
    assert_int_equal(e->typing, TYPING_NONE);
    keys(e, "Tab Enter \"64\" Tab Esc");
    assert_true(e->state.dirty);
    assert_int_equal(e->state.layout->width, 64);
    assert_int_equal(e->state.layout->sampling.steps, 0);
    end(e);
}

/* What is pasted stays, as what is typed would: candidates of the line before it are none any more. */
static void a_paste_ends_a_completion(void **state) {
    (void)state;
    editor *e = start(WORK);
    keys(e, ": \"m\" Tab");
    assert_true(e->complete.count > 1);
    keys(e, "paste \"ask inv\" Tab");
    assert_string_equal(e->line.text, "mask invert ");
    end(e);
}

/* ---- Drags ---- */

/* The middle of what a region covers on the canvas. */
static void press_region(editor *e, int row, int *x, int *y) {
    const cpl_region *r = &e->state.layout->regions[row];
    *x = e->canvas_cells.column + (int)((r->x1 + r->x2) / 2 * e->canvas_cells.columns);
    *y = e->canvas_cells.row + (int)((r->y1 + r->y2) / 2 * e->canvas_cells.rows);
    mouse(e, MOUSE_PRESS, *x, *y);
    assert_true(e->drag.active && e->drag.region == row);
}

static void a_button_that_goes_up_over_a_list_ends_its_drag(void **state) {
    (void)state;
    int x, y;
    editor *e = start(WORK);
    press_region(e, 0, &x, &y);
    keys(e, "?");
    mouse(e, MOUSE_RELEASE, x, y);
    keys(e, "q");
    window in = windows_inside(e->windows.table);
    mouse(e, MOUSE_PRESS, in.column + 30, in.row + 1);
    mouse(e, MOUSE_DRAG, in.column + 60, in.row + 1);
    mouse(e, MOUSE_RELEASE, in.column + 60, in.row + 1);
    assert_false(e->state.dirty);
    end(e);
}

/* Nor does the brush go on where the terminal never told of the button. */
static void a_press_ends_what_the_one_before_began(void **state) {
    (void)state;
    int x, y;
    editor *e = start(WORK);
    window in = windows_inside(e->windows.table);
    press_region(e, 0, &x, &y);
    mouse(e, MOUSE_DRAG, x + 4, y);
    assert_true(e->state.dirty);
    double x1 = e->state.layout->regions[0].x1;
    assert_true(x1 > 0);
    mouse(e, MOUSE_PRESS, in.column + 30, in.row + 1);
    mouse(e, MOUSE_DRAG, in.column + 60, in.row + 1);
    assert_true(e->state.layout->regions[0].x1 == x1);
    keys(e, "u"); /* the move was a step */
    assert_false(e->state.dirty);
    keys(e, "m X s");
    x = e->canvas_cells.column + 3, y = e->canvas_cells.row + 3;
    mouse(e, MOUSE_PRESS, x, y);
    mouse(e, MOUSE_PRESS, in.column + 30, in.row + 1);
    long white = saved_white(e, 0);
    mouse(e, MOUSE_DRAG, x + 9, y);
    assert_int_equal(saved_white(e, 0), white);
    end(e);
}

static void a_drag_ends_with_its_region(void **state) {
    (void)state;
    int x, y;
    editor *e = start("{\"couplet\":1,\"regions\":[{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"}]}");
    press_region(e, 0, &x, &y);
    mouse(e, MOUSE_DRAG, x + 4, y);
    keys(e, "x");
    assert_int_equal(e->state.count, 0);
    mouse(e, MOUSE_DRAG, x + 8, y);
    assert_int_not_equal(e->tone, TONE_ERROR);
    mouse(e, MOUSE_RELEASE, x + 8, y);
    keys(e, "u"); /* x, then the move: a step each */
    assert_true(e->state.layout->regions[0].x1 > 0);
    keys(e, "u");
    assert_true(e->state.layout->regions[0].x1 == 0);
    end(e);
}

/* What has become the first row is another region. */
static void a_drag_does_not_go_over_to_another_region(void **state) {
    (void)state;
    int x, y;
    editor *e = start(WORK);
    press_region(e, 0, &x, &y);
    keys(e, "x");
    mouse(e, MOUSE_DRAG, x + 8, y);
    assert_true(e->state.layout->regions[0].x1 == 0.5);
    mouse(e, MOUSE_RELEASE, x + 8, y);
    end(e);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        in_folder(a_stroke_is_kept_when_the_mouse_selects_another_row),
        in_folder(a_press_on_the_large_picture_paints_nothing),
        in_folder(the_brush_is_up_in_another_file),
        in_folder(strokes_of_two_rows_are_two_steps),
        in_folder(a_stroke_is_kept_in_a_copy_of_its_row),
        in_folder(a_stroke_is_kept_by_a_command_in_its_middle),
        in_folder(a_rectangle_of_one_place_is_no_block),
        in_folder(fields_that_are_only_looked_at_change_nothing),
        in_folder(a_paste_ends_a_completion),
        in_folder(a_button_that_goes_up_over_a_list_ends_its_drag),
        in_folder(a_press_ends_what_the_one_before_began),
        in_folder(a_drag_ends_with_its_region),
        in_folder(a_drag_does_not_go_over_to_another_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
