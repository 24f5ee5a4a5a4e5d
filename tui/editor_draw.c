/* editor_draw.c: one frame: the windows, the picture pane, the card of a terminal that is too small. */
#include "editor_ui.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void editor_arrange(editor *e) {
    e->windows = windows_arrange(LINES, COLS, e->view, e->state.count);
    editor_zoom_arrange(e);
    window picture = windows_inside(e->windows.picture);
    if (editor_strip_shown(e)) picture.rows--;
    if (preview_place(&e->preview, e->caps, picture) && e->map) editor_show_map(e, true);
}

/* ---- Picture pane ---- */

/* As much as fits, the most important first. */
static int title_part(const editor *e, int at, style with, const char *text) {
    window w = e->windows.picture;
    int room = w.column + w.columns - 2 - at;
    if (text_columns(text) + 1 > room) return at;
    at += draw_text(&e->theme, w.row, at, room, theme_ink(&e->theme, with), text);
    return at + draw_text(&e->theme, w.row, at, 1, theme_ink(&e->theme, STYLE_TITLE), " ");
}

/* At the right: how much the line carries, which is why previews are small on a slow one. */
static void title_line(const editor *e, int at) {
    static const char *const sizes[] = {"", "half size", "quarter size", "small", "no previews"};
    window w = e->windows.picture;
    char rate[24], text[64];
    int level = preview_level(&e->preview), end = w.column + w.columns - 2;
    if (!editor_link_text(e, rate, sizeof rate)) return;
    bool slow = e->core.running && level > 0;
    snprintf(text, sizeof text, " %s%s%s ", rate, slow ? ": " : "", slow ? sizes[level] : "");
    int columns = text_columns(text);
    if (columns <= end - at)
        draw_text(&e->theme, w.row, end - columns, columns, theme_ink(&e->theme, slow ? STYLE_WARNING : STYLE_TITLE),
                  text);
}

static void picture_title(const editor *e) {
    window w = e->windows.picture;
    const cpl_event *made = editor_result(e);
    char text[64];
    int at = w.column + 1;
    at += draw_text(&e->theme, w.row, at, 1, theme_ink(&e->theme, STYLE_TITLE), " ");
    at = title_part(e, at, STYLE_TITLE, e->map ? "region map" : "picture");
    if (e->map) return;
    if (e->core.running) {
        snprintf(text, sizeof text, "step %d of %d", e->core.step, e->core.steps);
        at = title_part(e, at, STYLE_TITLE_FOCUS, text);
        if (e->core.spliced) at = title_part(e, at, STYLE_WARNING, " with your edits");
        title_line(e, at);
        return;
    }
    if (!made) return;
    if (e->results.compared >= 0 && e->results.compared != e->results.shown) {
        snprintf(text, sizeof text, " seed %lld", (long long)e->results.list[e->results.compared].seed);
        at = title_part(e, at, STYLE_KEY, text);
        snprintf(text, sizeof text, "and %lld", (long long)made->seed);
        title_part(e, at, STYLE_TITLE, text);
        return;
    }
    bool current = editor_picture_current(e);
    at = title_part(e, at, current ? STYLE_GOOD : STYLE_WARNING,
                    current         ? " current"
                    : made->splices ? " edited on the way: g makes it anew"
                                    : " of an earlier layout");
    snprintf(text, sizeof text, " seed %lld", (long long)made->seed);
    at = title_part(e, at, STYLE_TITLE, text);
    snprintf(text, sizeof text, " %d steps", made->steps);
    at = title_part(e, at, STYLE_TITLE, text);
    snprintf(text, sizeof text, " %.1f s", made->ms / 1000);
    at = title_part(e, at, STYLE_TITLE, text);
    title_line(e, at);
}

static void picture_hint(const editor *e, const char *text, int below) {
    window in = windows_inside(e->windows.picture);
    int columns = text_columns(text);
    if (columns > in.columns) columns = in.columns;
    draw_text(&e->theme, in.row + in.rows / 2 + below, in.column + (in.columns - columns) / 2, columns,
              theme_ink(&e->theme, STYLE_DIM), text);
}

static void draw_picture(editor *e) {
    window w = e->windows.picture;
    if (!w.rows) return;
    draw_frame(&e->theme, w.row, w.column, w.rows, w.columns, false);
    picture_title(e);
    if (!e->preview.image) {
        picture_hint(e,
                     e->core.loading[0] ? "loading the model: c cancels"
                     : e->core.running  ? "the first step is on its way"
                                        : "no picture yet: g makes one",
                     0);
        return;
    }
    preview_draw(&e->preview, &e->theme, e->caps);
    editor_draw_strip(e);
}

/* ---- Frame ---- */

static void draw_card(const editor *e) {
    char lines[3][80];
    int rows = e->windows.rows, columns = e->windows.columns;
    snprintf(lines[0], sizeof lines[0], "couplet needs %d x %d cells", WINDOWS_MIN_COLUMNS, WINDOWS_MIN_ROWS);
    snprintf(lines[1], sizeof lines[1], "this terminal has %d x %d", columns, rows);
    snprintf(lines[2], sizeof lines[2], "make it larger, or press q to quit");
    for (int i = 0; i < 3; i++) {
        int row = rows / 2 - 1 + i, width = text_columns(lines[i]), column = (columns - width) / 2;
        if (row < 0 || row >= rows) continue;
        draw_text(&e->theme, row, column > 0 ? column : 0, columns, theme_ink(&e->theme, i ? STYLE_TEXT : STYLE_STRONG),
                  lines[i]);
    }
}

static void draw_panes(editor *e) {
    editor_draw_top(e);
    editor_draw_canvas(e);
    draw_picture(e);
    editor_draw_table(e);
    editor_draw_settings(e);
    editor_draw_prompt(e);
    if (e->list) editor_draw_list(e);
    editor_draw_status(e); /* a long message lies over all of them */
}

/* ncurses likes to scroll what moved up or down, and would scroll the picture with it, of which it knows nothing. Handed
 * over row by row it never sees that a line has moved. */
static void refresh_rows(void) {
    untouchwin(stdscr);
    leaveok(stdscr, TRUE);
    for (int r = 0; r < LINES; r++) {
        touchline(stdscr, r, 1);
        wnoutrefresh(stdscr);
        doupdate();
    }
    leaveok(stdscr, FALSE);
    refresh();
}

void editor_draw(editor *e) {
    editor_arrange(e);
    e->cursor_row = -1;
    erase();
    if (e->windows.card)
        draw_card(e);
    else
        draw_panes(e);
    preview_hide(&e->preview, e->list != LIST_NONE || editor_prompt_covers_picture(e));
    preview_erase(&e->preview, e->term);
    term_frame_begin(e->term);
    curs_set(e->cursor_row >= 0 ? 1 : 0);
    if (e->cursor_row >= 0) move(e->cursor_row, e->cursor_column);
    if (e->preview.painted.rows)
        refresh_rows();
    else
        refresh();
    term_frame_end(e->term);
    e->changed = false;
}
