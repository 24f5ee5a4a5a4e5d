/* editor_draw_table.c: the regions table, its warnings and the cell that is being typed. */
#include "editor_ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The row is named already: the place in the file says no more. */
static const char *without_path(const cpl_error *error) {
    size_t length = strlen(error->path);
    const char *text = error->message;
    bool begins = length && !strncmp(text, error->path, length) && !strncmp(text + length, ": ", 2);
    return begins ? text + length + 2 : text;
}

const cpl_error *editor_fault(const editor *e) {
    const core_status *core = &e->core;
    return core->invalid && core->fault_revision == core->revision ? &core->fault : NULL;
}

const char *editor_row_warning(const editor *e, int row, bool *bad, char *text, size_t size) {
    const cpl_problem *problem = state_problem(&e->state, row);
    const cpl_error *fault = editor_fault(e);
    *bad = problem && !problem->warning;
    if (*bad) return without_path(&problem->error);
    /* What only the core knows: a LoRA that is not there, an embedding for another model. */
    *bad = fault && fault->row == row;
    if (*bad) return without_path(fault);
    const cpl_line_info *line = editor_line_info(e, row);
    if (line && line->unknown[0])
        snprintf(text, size, "the model does not know: %s", line->unknown);
    else if (line && line->vanishes)
        snprintf(text, size, "too thin: on some attention grid no token lies inside");
    else
        return problem ? without_path(&problem->error) : NULL;
    return text;
}

void editor_draw_typing(editor *e, int row, int column, int columns) {
    const char *visible;
    int lead;
    int cursor = line_edit_view(&e->line, columns, &visible, &lead);
    ink with = theme_ink(&e->theme, e->untouched ? STYLE_CURSOR : STYLE_TYPING);
    draw_fill(row, column, 1, columns, theme_ink(&e->theme, STYLE_TYPING));
    /* No ellipsis here: the field scrolls with the cursor. */
    size_t fits = text_fit(visible, columns - lead, NULL);
    char part[1200];
    if (fits >= sizeof part) fits = sizeof part - 1;
    memcpy(part, visible, fits);
    part[fits] = '\0';
    draw_text(&e->theme, row, column + lead, columns - lead, with, part);
    e->cursor_row = row;
    e->cursor_column = column + cursor;
}

/* Negative prompts have a column where some region has its own, or one is about to be typed. */
table_columns editor_table_columns(const editor *e) {
    bool any = e->focus == PANE_TABLE && e->state.cell == CELL_NEGATIVE;
    for (int i = 0; i < e->state.layout->region_count; i++) any = any || e->state.layout->regions[i].negative;
    return table_arrange(windows_inside(e->windows.table).columns, any);
}

static void draw_header(const editor *e, const table_columns *t, window in) {
    static const char *const names[CELLS] = {"x1", "x2", "y1", "y2", "weight", "prompt", "negative"};
    ink with = theme_ink(&e->theme, STYLE_DIM);
    draw_text(&e->theme, in.row, in.column + t->number.at, t->number.width, with, "  #");
    for (int c = 0; c < CELLS; c++) {
        table_column column = t->cell[c];
        if (!column.width) continue;
        /* Numbers stand right, so their names do. */
        int shift = c >= CELL_PROMPT ? 0 : column.width - (int)strlen(names[c]);
        draw_text(&e->theme, in.row, in.column + column.at + shift, column.width - shift, with, names[c]);
    }
    if (t->tokens.width) draw_text(&e->theme, in.row, in.column + t->tokens.at, t->tokens.width, with, "tokens");
}

static void draw_number(const editor *e, const table_columns *t, int screen_row, int left, int row) {
    static const unsigned char black[3] = {0, 0, 0};
    const unsigned char *color = theme_palette[canvas_color(e->state.layout, row)];
    ink with =
        e->theme.colors >= 256 ? theme_rgb(&e->theme, black, color, true) : theme_rgb(&e->theme, color, NULL, true);
    draw_format(&e->theme, screen_row, left + t->number.at, t->number.width, with, row < 99 ? "%2d " : "%3d", row + 1);
}

static void draw_cell(editor *e, const table_columns *t, int screen_row, int left, int row, table_cell c) {
    table_column column = t->cell[c];
    if (!column.width) return;
    bool selected = row == e->state.selected;
    bool typed = e->typing == TYPING_CELL && row == e->typing_row && c == e->state.cell;
    if (typed) {
        editor_draw_typing(e, screen_row, left + column.at, column.width);
        return;
    }
    char text[STATE_TEXT];
    state_cell_text(&e->state, row, c, text);
    bool cursor = selected && e->focus == PANE_TABLE && c == e->state.cell;
    bool fixed = !state_cell_editable(&e->state, row, c, NULL);
    ink with = theme_ink(&e->theme, cursor               ? STYLE_CURSOR
                                    : selected && !fixed ? STYLE_ROW
                                    : fixed              ? STYLE_DIM
                                                         : STYLE_TEXT);
    if (cursor) draw_fill(screen_row, left + column.at, 1, column.width, with);
    if (c >= CELL_PROMPT) {
        char *whole = state_cell_whole(&e->state, row, c);
        draw_text(&e->theme, screen_row, left + column.at, column.width, with, whole);
        free(whole);
        return;
    }
    int shift = column.width - text_columns(text);
    draw_text(&e->theme, screen_row, left + column.at + (shift > 0 ? shift : 0), column.width, with, text);
}

static void draw_tokens(const editor *e, const table_columns *t, int screen_row, int left, int row) {
    const cpl_line_info *line = editor_line_info(e, row);
    if (!t->tokens.width || !line) return;
    char text[32];
    snprintf(text, sizeof text, "%d/%d", line->tokens, line->room);
    if (text_columns(text) > t->tokens.width) snprintf(text, sizeof text, "%d", line->tokens);
    int shift = t->tokens.width - text_columns(text);
    draw_text(&e->theme, screen_row, left + t->tokens.at + (shift > 0 ? shift : 0), t->tokens.width,
              theme_ink(&e->theme, row == e->state.selected ? STYLE_ROW : STYLE_TEXT), text);
}

static void draw_row(editor *e, const table_columns *t, int screen_row, int left, int row) {
    char text[256];
    bool bad;
    if (row == e->state.selected)
        draw_text(&e->theme, screen_row, left + t->pointer.at, 1, theme_ink(&e->theme, STYLE_KEY),
                  theme_glyph(&e->theme, GLYPH_POINTER));
    if (row < CPL_MAX_REGIONS && e->state.marked[row])
        draw_text(&e->theme, screen_row, left, 1, theme_ink(&e->theme, STYLE_STRONG), "*");
    draw_number(e, t, screen_row, left, row);
    if (editor_row_warning(e, row, &bad, text, sizeof text))
        draw_text(&e->theme, screen_row, left + t->mark.at, 1, theme_ink(&e->theme, bad ? STYLE_ERROR : STYLE_WARNING),
                  theme_glyph(&e->theme, GLYPH_WARNING));
    for (int c = 0; c < CELLS; c++) draw_cell(e, t, screen_row, left, row, (table_cell)c);
    draw_tokens(e, t, screen_row, left, row);
}

/* Says in the frame that there is more above or below. */
static void draw_more(const editor *e, window w, int lines) {
    char text[48];
    if (e->state.count <= lines) return;
    snprintf(text, sizeof text, " %d-%d of %d ", e->table_top + 1, e->table_top + lines, e->state.count);
    draw_text(&e->theme, w.row, w.column + w.columns - 1 - text_columns(text), text_columns(text),
              theme_ink(&e->theme, STYLE_TITLE), text);
}

void editor_draw_table(editor *e) {
    window w = e->windows.table, in = windows_inside(w);
    bool focused = e->focus == PANE_TABLE;
    draw_frame(&e->theme, w.row, w.column, w.rows, w.columns, focused);
    draw_text(&e->theme, w.row, w.column + 1, w.columns - 2,
              theme_ink(&e->theme, focused ? STYLE_TITLE_FOCUS : STYLE_TITLE), " regions ");
    table_columns t = editor_table_columns(e);
    int lines = in.rows - 1;
    draw_header(e, &t, in);
    e->table_top = table_scroll(e->table_top, e->state.selected, e->state.count, lines);
    draw_more(e, w, lines);
    for (int i = 0; i < lines && e->table_top + i < e->state.count; i++)
        draw_row(e, &t, in.row + 1 + i, in.column, e->table_top + i);
}
