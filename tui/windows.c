/* windows.c: divides the terminal among the panes. Draws nothing and remembers nothing. */
#include "windows.h"

#define TABLE_CHROME 3 /* frame above and below, header */
#define TABLE_MIN_LINES 2
#define PANE_MIN_ROWS 8

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

/* The table shows every region where that leaves the panes two thirds of the screen; it never shrinks below two. */
static int table_rows(int body, screen_view shown, int regions) {
    int most = body / 3 - TABLE_CHROME;
    if (shown == VIEW_PICTURE) most = TABLE_MIN_LINES;
    if (most > body - PANE_MIN_ROWS - TABLE_CHROME) most = body - PANE_MIN_ROWS - TABLE_CHROME;
    if (most < TABLE_MIN_LINES) most = TABLE_MIN_LINES;
    /* One spare line below the last region, so that a new row does not move everything at once. */
    return TABLE_CHROME + clamp(regions + 1, most < 4 ? most : 4, most);
}

windows windows_arrange(int rows, int columns, screen_view wanted, int regions) {
    windows w = {.rows = rows, .columns = columns};
    if (rows < WINDOWS_MIN_ROWS || columns < WINDOWS_MIN_COLUMNS) {
        w.card = true;
        return w;
    }
    w.view = wanted == VIEW_BOTH && columns < WINDOWS_SPLIT_COLUMNS ? VIEW_CANVAS : wanted;
    int body = rows - 3;
    int table = table_rows(body, w.view, regions);
    int panes = body - table;
    w.top = (window){0, 0, 1, columns};
    if (w.view == VIEW_BOTH) {
        int left = columns / 2;
        w.canvas = (window){1, 0, panes, left};
        w.picture = (window){1, left, panes, columns - left};
    } else if (w.view == VIEW_CANVAS) {
        w.canvas = (window){1, 0, panes, columns};
    } else {
        w.picture = (window){1, 0, panes, columns};
    }
    w.table = (window){1 + panes, 0, table, columns};
    w.settings = (window){rows - 2, 0, 1, columns};
    w.status = (window){rows - 1, 0, 1, columns};
    return w;
}

window windows_inside(window framed) {
    if (framed.rows < 2 || framed.columns < 2) return (window){framed.row, framed.column, 0, 0};
    return (window){framed.row + 1, framed.column + 1, framed.rows - 2, framed.columns - 2};
}

bool windows_contain(window w, int row, int column) {
    return row >= w.row && row < w.row + w.rows && column >= w.column && column < w.column + w.columns;
}
