/* table.h: where the columns of the regions table stand: a pure function of its width. */
#ifndef TUI_TABLE_H
#define TUI_TABLE_H

#include "editor_state.h"

typedef struct table_column {
    int at, width;
} table_column; /* from the left inside of the frame; width 0: not shown */

typedef struct table_columns {
    table_column pointer, number, mark, cell[CELLS], tokens;
} table_columns;

/* negatives: the prompt shares its room with the negative prompt. */
table_columns table_arrange(int columns, bool negatives);
/* The first row to show so that the selected one is visible; nothing scrolls that need not. */
int table_scroll(int top, int selected, int count, int lines);
/* The cell under a column, or -1. */
int table_cell_at(const table_columns *columns, int at);

#endif
