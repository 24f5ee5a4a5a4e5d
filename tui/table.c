/* table.c: the regions table's geometry. Drawing is editor_draw_table.c's. */
#include "table.h"

#define COMFORTABLE 74 /* inside columns from which on there are gaps of two */
#define TOKENS_FROM 66 /* narrower tables show the prompt instead of its tokens */

table_columns table_arrange(int columns, bool negatives) {
    table_columns t = {.pointer = {1, 1}, .number = {2, 3}, .mark = {5, 1}};
    int gap = columns >= COMFORTABLE ? 2 : 1, at = 6 + gap;
    for (int c = CELL_X1; c <= CELL_Y2; c++, at += 5 + gap) t.cell[c] = (table_column){at, 5};
    t.cell[CELL_WEIGHT] = (table_column){at, 6};
    at += 6 + gap;
    if (columns >= TOKENS_FROM) {
        t.tokens = (table_column){at, 6};
        at += 6 + gap;
    }
    at += gap - 1;
    int room = columns - at - 1 > 0 ? columns - at - 1 : 0;
    t.cell[CELL_PROMPT] = (table_column){at, room};
    if (negatives) {
        t.cell[CELL_PROMPT].width = room * 3 / 5 - gap;
        t.cell[CELL_NEGATIVE] = (table_column){at + room * 3 / 5, room - room * 3 / 5};
    }
    return t;
}

int table_scroll(int top, int selected, int count, int lines) {
    if (lines < 1) return 0;
    if (selected >= 0 && selected < top) top = selected;
    if (selected >= top + lines) top = selected - lines + 1;
    if (top > count - lines) top = count - lines;
    return top > 0 ? top : 0;
}

int table_cell_at(const table_columns *columns, int at) {
    for (int c = 0; c < CELLS; c++)
        if (columns->cell[c].width && at >= columns->cell[c].at - 1 &&
            at < columns->cell[c].at + columns->cell[c].width)
            return c;
    return -1;
}
