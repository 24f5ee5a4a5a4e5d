/* editor_zoom.c: the part of the canvas that is seen: enlarging, moving it, following what is edited, and the rulers in the
 * pane's frame that tell where it lies. */
#include "editor_ui.h"

#include <stdio.h>
#include <string.h>

static const double factors[] = {1, 1.5, 2, 3, 4, 6, 8};
enum { LEVELS = sizeof factors / sizeof factors[0] };

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

static int smaller(int a, int b) { return a < b ? a : b; }

/* A place of the drawing that was `before` places wide, in one of `now`: where its middle falls. */
static int rescaled(int at, int before, int now) { return (int)((at + 0.5) * now / before); }

/* Brush and corner stay on their places of the canvas, whatever has made its drawing larger or smaller. */
static void keep_brush(brush *b, int columns, int rows, const zoom *now) {
    if (columns <= 0 || rows <= 0 || (columns == now->columns && rows == now->rows)) return;
    b->x = rescaled(b->x, columns, now->columns);
    b->y = rescaled(b->y, 2 * rows, 2 * now->rows);
    b->anchor_x = rescaled(b->anchor_x, columns, now->columns);
    b->anchor_y = rescaled(b->anchor_y, 2 * rows, 2 * now->rows);
}

void editor_zoom_arrange(editor *e) {
    if (!e->windows.canvas.rows) return; /* out of sight the drawing keeps its size */
    window in = windows_inside(e->windows.canvas);
    zoom *z = &e->zoom;
    int columns, rows, columns_before = z->columns, rows_before = z->rows;
    canvas_fit(e->state.settings.width, e->state.settings.height, e->caps->cell_width, e->caps->cell_height, in.columns,
               in.rows, &columns, &rows);
    double factor = factors[clamp(z->level, 0, LEVELS - 1)];
    z->columns = (int)(columns * factor);
    z->rows = (int)(rows * factor);
    keep_brush(&e->brush, columns_before, rows_before, z);
    columns = smaller(z->columns, in.columns > 1 ? in.columns : 1);
    rows = smaller(z->rows, in.rows > 1 ? in.rows : 1);
    z->left = clamp(z->left, 0, z->columns - columns);
    z->top = clamp(z->top, 0, z->rows - rows);
    e->canvas_cells = (window){in.row + (in.rows - rows) / 2, in.column + (in.columns - columns) / 2, rows, columns};
}

double editor_zoom_factor(const editor *e) { return factors[clamp(e->zoom.level, 0, LEVELS - 1)]; }

canvas_view editor_canvas_view(const editor *e, int each) {
    const zoom *z = &e->zoom;
    canvas_view view = state_view(&e->state, e->canvas_cells.columns, each * e->canvas_cells.rows);
    view.whole_columns = z->columns;
    view.whole_rows = each * z->rows;
    view.left = z->left;
    view.top = each * z->top;
    return view;
}

void editor_canvas_point(const editor *e, int row, int column, double *x, double *y) {
    *x = (column - e->canvas_cells.column + e->zoom.left + 0.5) / e->zoom.columns;
    *y = (row - e->canvas_cells.row + e->zoom.top + 0.5) / e->zoom.rows;
}

/* What the eye is on: the brush, else the selected region, else the whole canvas. */
static canvas_rect subject(const editor *e) {
    canvas_rect rect = {0, 1, 0, 1};
    canvas_view view = state_view(&e->state, 1, 1);
    if (e->state.layout->mode == CPL_MODE_MASK) {
        double x = (e->brush.x + 0.5) / e->zoom.columns, y = (e->brush.y + 0.5) / (2.0 * e->zoom.rows);
        return (canvas_rect){x, x, y, y};
    }
    if (!canvas_shape(&view, e->state.selected, &rect)) return (canvas_rect){0, 1, 0, 1};
    return rect;
}

void editor_zoom_to(editor *e, int level, double x, double y) {
    zoom *z = &e->zoom;
    z->level = clamp(level, 0, LEVELS - 1);
    editor_zoom_arrange(e);
    if (!z->columns) return; /* it was not in sight yet */
    z->left = (int)(x * z->columns) - e->canvas_cells.columns / 2;
    z->top = (int)(y * z->rows) - e->canvas_cells.rows / 2;
    editor_zoom_arrange(e);
}

void editor_zoom_middle(const editor *e, double *x, double *y) {
    const zoom *z = &e->zoom;
    *x = z->columns > 0 ? (z->left + 0.5 * e->canvas_cells.columns) / z->columns : 0.5;
    *y = z->rows > 0 ? (z->top + 0.5 * e->canvas_cells.rows) / z->rows : 0.5;
}

void editor_zoom(editor *e, int by) {
    canvas_rect r = subject(e);
    editor_zoom_to(e, e->zoom.level + by, (r.x1 + r.x2) / 2, (r.y1 + r.y2) / 2);
}

void editor_pan(editor *e, int dx, int dy) {
    int across = e->canvas_cells.columns / 4, down = e->canvas_cells.rows / 4;
    e->zoom.left += dx * (across ? across : 1);
    e->zoom.top += dy * (down ? down : 1);
    editor_zoom_arrange(e);
}

/* As little as needed. What is larger than the pane is left alone while some of it is seen. */
static int follow(int first, int size, int from, int to, int whole) {
    if (to - from > size) return from >= first + size || to <= first ? clamp(from, 0, whole - size) : first;
    if (from < first) first = from;
    if (to > first + size) first = to - size;
    return clamp(first, 0, whole - size);
}

void editor_follow(editor *e) {
    zoom *z = &e->zoom;
    canvas_rect r = subject(e);
    canvas_view whole = state_view(&e->state, z->columns, z->rows);
    canvas_span s = canvas_cells_of(&whole, r);
    z->left = follow(z->left, e->canvas_cells.columns, s.c0, s.c1, z->columns);
    z->top = follow(z->top, e->canvas_cells.rows, s.r0, s.r1, z->rows);
}

/* ---- Rulers ---- */

/* Marks stand at the quarters, finer ones where the drawing is large enough for their numbers. */
static int marks_for(int cells, int least) {
    int marks = 4;
    while (marks < 64 && cells / (marks * 2) >= least) marks *= 2;
    return marks;
}

static void mark_text(int at, int marks, char text[12]) {
    snprintf(text, 12, "%.4g", (double)at / marks);
    if (text[0] == '0' && text[1]) memmove(text, text + 1, strlen(text));
}

/* The selected region's extent is drawn strongly, in its colour. */
static ink extent(const editor *e, bool inside) {
    if (!inside) return theme_ink(&e->theme, e->focus == PANE_CANVAS ? STYLE_FRAME_FOCUS : STYLE_FRAME);
    unsigned char color[3];
    theme_readable(&e->theme, theme_palette[canvas_color(e->state.layout, e->state.selected)], color);
    return theme_rgb(&e->theme, color, NULL, true);
}

static bool selected_span(const editor *e, canvas_span *s) {
    canvas_rect r;
    canvas_view view = editor_canvas_view(e, 1);
    if (e->state.layout->mode == CPL_MODE_MASK || !canvas_shape(&view, e->state.selected, &r)) return false;
    *s = canvas_cells_of(&view, r);
    return true;
}

static void draw_edges(const editor *e, const canvas_span *s) {
    window w = e->windows.canvas, d = e->canvas_cells;
    for (int c = 0; c < d.columns; c++)
        if (c >= s->c0 && c < s->c1)
            draw_glyph(&e->theme, w.row + w.rows - 1, d.column + c, extent(e, true),
                       theme_line(&e->theme, CANVAS_LEFT | CANVAS_RIGHT, true));
    for (int r = 0; r < d.rows; r++)
        if (r >= s->r0 && r < s->r1)
            draw_glyph(&e->theme, d.row + r, w.column, extent(e, true),
                       theme_line(&e->theme, CANVAS_UP | CANVAS_DOWN, true));
}

static void draw_across(const editor *e, const canvas_span *s) {
    window w = e->windows.canvas, d = e->canvas_cells;
    int marks = marks_for(e->zoom.columns, 9), free_from = w.column + 1;
    for (int i = 0; i <= marks; i++) {
        char text[12];
        mark_text(i, marks, text);
        int size = (int)strlen(text), cell = i * e->zoom.columns / marks - e->zoom.left;
        int column = d.column + cell - (i == marks ? size : i ? size / 2 : 0);
        if (cell < 0 || cell > d.columns || column < free_from || column + size > w.column + w.columns - 1) continue;
        bool inside = s && cell >= s->c0 && cell <= s->c1;
        draw_text(&e->theme, w.row + w.rows - 1, column, size,
                  inside ? extent(e, true) : theme_ink(&e->theme, STYLE_TITLE), text);
        free_from = column + size + 1;
    }
}

/* Down the left side there are numbers where the drawing leaves room beside it, else ticks. */
static void draw_down(const editor *e, const canvas_span *s) {
    window w = e->windows.canvas, d = e->canvas_cells;
    int marks = marks_for(e->zoom.rows, 4), room = d.column - w.column - 1;
    for (int i = 0; i <= marks; i++) {
        char text[12];
        mark_text(i, marks, text);
        int cell = i * e->zoom.rows / marks - e->zoom.top, size = (int)strlen(text);
        int row = d.row + (i == marks ? cell - 1 : cell);
        if (cell < 0 || row < d.row || row >= d.row + d.rows) continue;
        bool inside = s && cell >= s->r0 && cell <= s->r1;
        draw_glyph(&e->theme, row, w.column, extent(e, inside),
                   theme_line(&e->theme, CANVAS_UP | CANVAS_DOWN | CANVAS_RIGHT, inside));
        if (size < room)
            draw_text(&e->theme, row, w.column + 1, size, inside ? extent(e, true) : theme_ink(&e->theme, STYLE_TITLE),
                      text);
    }
}

void editor_draw_rulers(const editor *e) {
    canvas_span span;
    bool selected = selected_span(e, &span);
    if (selected) draw_edges(e, &span);
    draw_across(e, selected ? &span : NULL);
    draw_down(e, selected ? &span : NULL);
}
