/* editor_prompt.c: a long prompt while it is typed: all of it, wrapped, in a pane over the table. Typing itself is
 * editor_typing.c's. */
#include "editor_ui.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 512 };

static int columns_of(const editor *e) { return windows_inside(e->windows.table).columns - 2; }

bool editor_prompt_pane(const editor *e) {
    if (e->typing != TYPING_CELL || e->state.cell < CELL_PROMPT || e->windows.card) return false;
    table_columns t = editor_table_columns(e);
    return text_columns(e->line.text) >= t.cell[e->state.cell].width;
}

/* As high as the text asks for, at least the table's place, at most what leaves the top line. */
static window place(const editor *e, int rows) {
    window w = e->windows.table;
    int most = w.row + w.rows - 1, wanted = rows + 2;
    if (wanted > most) wanted = most;
    if (wanted > w.rows) {
        w.row -= wanted - w.rows;
        w.rows = wanted;
    }
    return w;
}

bool editor_prompt_covers_picture(const editor *e) {
    size_t starts[MOST_ROWS];
    if (!editor_prompt_pane(e)) return false;
    return place(e, text_wrap(e->line.text, columns_of(e), starts, MOST_ROWS)).row < e->windows.table.row;
}

void editor_draw_prompt(editor *e) {
    size_t starts[MOST_ROWS];
    if (!editor_prompt_pane(e)) return;
    int columns = columns_of(e), rows = text_wrap(e->line.text, columns, starts, MOST_ROWS), column;
    int at = text_row_of(e->line.text, starts, rows, e->line.cursor, &column);
    window w = place(e, rows), in = windows_inside(w);
    /* Where not all of it fits the cursor stands in the middle. */
    int top = at - in.rows / 2;
    if (top > rows - in.rows) top = rows - in.rows;
    if (top < 0) top = 0;
    ink with = theme_ink(&e->theme, STYLE_TYPING);
    draw_frame(&e->theme, w.row, w.column, w.rows, w.columns, true);
    draw_format(&e->theme, w.row, w.column + 1, w.columns - 2, theme_ink(&e->theme, STYLE_TITLE_FOCUS),
                " %s of region %d ", e->state.cell == CELL_PROMPT ? "prompt" : "negative prompt", e->typing_row + 1);
    draw_fill(in.row, in.column, in.rows, in.columns, theme_ink(&e->theme, STYLE_TEXT));
    draw_fill(in.row, in.column + 1, rows - top < in.rows ? rows - top : in.rows, columns, with);
    for (int r = 0; r < in.rows && top + r < rows; r++) {
        size_t from = starts[top + r], to = top + r + 1 < rows ? starts[top + r + 1] : e->line.length;
        while (to > from && e->line.text[to - 1] == ' ' && top + r + 1 < rows) to--;
        char *row = strndup(e->line.text + from, to - from);
        draw_text(&e->theme, in.row + r, in.column + 1, columns, with, row);
        free(row);
    }
    e->cursor_row = in.row + at - top;
    e->cursor_column = in.column + 1 + (column < columns ? column : columns - 1);
}

bool editor_prompt_row(editor *e, int direction) {
    return editor_prompt_pane(e) && line_edit_move_row(&e->line, columns_of(e), direction);
}
