/* test_windows.c: the division of the screen, at every size a terminal can have. */
#include "../../tui/windows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MOST 7

static int shown(const windows *w, window list[MOST]) {
    const window all[] = {w->top, w->canvas, w->picture, w->table, w->settings, w->status};
    int count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].rows) list[count++] = all[i];
    return count;
}

static bool overlap(window a, window b) {
    return a.row < b.row + b.rows && b.row < a.row + a.rows && a.column < b.column + b.columns &&
           b.column < a.column + a.columns;
}

static void check(int rows, int columns, screen_view wanted, int regions) {
    windows w = windows_arrange(rows, columns, wanted, regions);
    window list[MOST];
    int count = shown(&w, list), area = 0;
    bool small = rows < WINDOWS_MIN_ROWS || columns < WINDOWS_MIN_COLUMNS;
    assert_int_equal(w.card, small);
    if (small) {
        assert_int_equal(count, 0);
        return;
    }
    for (int i = 0; i < count; i++) {
        assert_true(list[i].row >= 0 && list[i].column >= 0);
        assert_true(list[i].rows >= 1 && list[i].columns >= 1);
        assert_true(list[i].row + list[i].rows <= rows && list[i].column + list[i].columns <= columns);
        for (int j = 0; j < i; j++) assert_false(overlap(list[i], list[j]));
        area += list[i].rows * list[i].columns;
    }
    /* Nothing is left over: every cell belongs to one window. */
    assert_int_equal(area, rows * columns);
    assert_true(w.canvas.rows || w.picture.rows);
    if (w.canvas.rows) assert_true(w.canvas.rows >= 8 && w.canvas.columns >= 38);
    if (w.picture.rows) {
        assert_true(w.picture.rows >= 8 && w.picture.columns >= 38);
        /* Sixel on the last row would scroll the terminal. */
        assert_true(w.picture.row + w.picture.rows < rows - 1);
    }
    assert_true(w.table.rows >= 5 && w.table.columns == columns);
    assert_int_equal(w.status.row, rows - 1);
}

static void every_size(void **state) {
    (void)state;
    static const int regions[] = {0, 1, 3, 8, 256};
    for (int rows = 1; rows <= 100; rows++)
        for (int columns = 1; columns <= 300; columns++)
            for (screen_view wanted = VIEW_BOTH; wanted <= VIEW_PICTURE; wanted++)
                for (size_t r = 0; r < sizeof regions / sizeof regions[0]; r++)
                    check(rows, columns, wanted, regions[r]);
}

static void usual_terminal(void **state) {
    (void)state;
    windows w = windows_arrange(24, 80, VIEW_BOTH, 3);
    assert_int_equal(w.view, VIEW_BOTH);
    assert_true(w.table.rows >= 3 + 3); /* all three regions are there without scrolling */
    assert_true(windows_inside(w.canvas).rows >= 10);
    w = windows_arrange(24, 70, VIEW_BOTH, 3);
    assert_int_equal(w.view, VIEW_CANVAS);
    assert_int_equal(w.picture.rows, 0);
    assert_true(windows_arrange(15, 60, VIEW_BOTH, 3).card);
    assert_true(windows_arrange(40, 60, VIEW_BOTH, 3).card);
    assert_true(windows_arrange(15, 120, VIEW_BOTH, 3).card);
}

static void table_grows_with_regions(void **state) {
    (void)state;
    int before = 0;
    for (int regions = 0; regions < 40; regions++) {
        int rows = windows_arrange(50, 160, VIEW_BOTH, regions).table.rows;
        assert_true(rows >= before);
        before = rows;
    }
    assert_true(before <= 50 / 3);
    /* The large picture takes the table's room. */
    assert_true(windows_arrange(24, 80, VIEW_PICTURE, 8).picture.rows >
                windows_arrange(24, 80, VIEW_BOTH, 8).picture.rows);
}

static void containment(void **state) {
    (void)state;
    window w = {2, 3, 4, 5};
    assert_true(windows_contain(w, 2, 3) && windows_contain(w, 5, 7));
    assert_false(windows_contain(w, 6, 3) || windows_contain(w, 2, 8) || windows_contain(w, 1, 3));
    window inner = windows_inside(w);
    assert_true(inner.row == 3 && inner.column == 4 && inner.rows == 2 && inner.columns == 3);
    assert_int_equal(windows_inside((window){0, 0, 0, 0}).rows, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size),
        cmocka_unit_test(usual_terminal),
        cmocka_unit_test(table_grows_with_regions),
        cmocka_unit_test(containment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
