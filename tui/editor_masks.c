/* editor_masks.c: painting in mask mode: the cursor in half cells, the tools, the mouse. What a stroke
 * does to pixels stands in mask_paint.c, files in editor_mask_files.c. */
#include "editor_ui.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A region's mask in the layout ---- */

static bool can_paint(const editor_state *s, cpl_error *error) {
    if (s->layout->mode != CPL_MODE_MASK) return state_refuse(error, "masks are painted in mask mode: m changes to it");
    if (s->selected < 0 || s->selected >= s->layout->region_count)
        return state_refuse(error, "there is no region to paint: n makes one");
    if (s->selected == cpl_layout_background_row(s->layout))
        return state_refuse(error, "the background line covers the whole canvas");
    return true;
}

bool editor_mask_can_paint(const editor *e, cpl_error *error) { return can_paint(&e->state, error); }

/* A stroke changes pixels only; its end makes them the text that the file keeps, and an undo step. source: a file that holds
 * the mask already; NULL: it is kept inside the layout. */
static bool put_mask(editor_state *s, int row, cpl_mask *mask, const char *source, bool record, cpl_error *error) {
    cpl_layout *next = mask ? state_change(s, error) : NULL;
    char *data = next && record && !source ? cpl_mask_data(mask, error) : NULL;
    const char *kept = source ? source : data;
    bool done = next && (!record || (kept && cpl_text_set(&next->regions[row].mask_source, kept, error)));
    free(data);
    if (!done) {
        cpl_mask_unref(mask);
        cpl_layout_free(next);
        return false;
    }
    cpl_mask_unref(next->regions[row].mask);
    next->regions[row].mask = mask;
    return state_commit(s, next, record, error);
}

bool editor_mask_put(editor *e, cpl_mask *mask, const char *source, cpl_error *error) {
    return put_mask(&e->state, e->state.selected, mask, source, true, error);
}

static bool put_pixels(editor *e, const mask_paint *p, bool record, cpl_error *error) {
    return put_mask(&e->state, e->state.selected, cpl_mask_new(p->width, p->height, p->grey, error), NULL, record,
                    error);
}

typedef bool paint_fn(mask_paint *p, canvas_rect where, unsigned char value);

/* One change of pixels; false: nothing changed, or it was said why. */
static bool paint(editor *e, paint_fn *with, canvas_rect where, unsigned char value, bool record) {
    cpl_error error = {0};
    mask_paint p = {0};
    const cpl_settings *canvas = &e->state.settings;
    if (!can_paint(&e->state, &error) || !mask_paint_start(&p, e->state.layout->regions[e->state.selected].mask,
                                                           canvas->width, canvas->height, &error)) {
        editor_say_error(e, &error);
        return false;
    }
    bool changed = with(&p, where, value), done = changed && put_pixels(e, &p, record, &error);
    if (changed && !done) editor_say_error(e, &error);
    mask_paint_clear(&p);
    if (done) editor_edited(e);
    return done;
}

static void end_stroke(editor *e) {
    cpl_error error = {0};
    int row = e->brush.painted;
    if (!e->brush.stroke) return;
    e->brush.stroke = false;
    if (row < 0 || row >= e->state.layout->region_count || !e->state.layout->regions[row].mask) return;
    if (!put_mask(&e->state, row, cpl_mask_ref(e->state.layout->regions[row].mask), NULL, true, &error))
        editor_say_error(e, &error);
    else
        editor_edited(e);
}

void editor_mask_settle(editor *e) { end_stroke(e); }

bool editor_mask_write(const editor *e, cpl_layout *copy, cpl_error *error) {
    int row = e->brush.painted;
    if (!e->brush.stroke || row < 0 || row >= copy->region_count || !copy->regions[row].mask) return true;
    char *data = cpl_mask_data(copy->regions[row].mask, error);
    bool done = data && cpl_text_set(&copy->regions[row].mask_source, data, error);
    free(data);
    return done;
}

/* ---- The cursor: two places a cell ---- */

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

static void keep_inside(editor *e) {
    brush *b = &e->brush;
    b->x = clamp(b->x, 0, e->zoom.columns - 1);
    b->y = clamp(b->y, 0, 2 * e->zoom.rows - 1);
    b->size = clamp(b->size, 1, 16);
}

/* What the brush touches. Half cells are about square, so that it is round. */
static canvas_rect touched(const editor *e) {
    const brush *b = &e->brush;
    double columns = e->zoom.columns, rows = 2.0 * e->zoom.rows;
    int before = (b->size - 1) / 2, after = b->size - before;
    return (canvas_rect){fmax(0, (b->x - before) / columns), fmin(1, (b->x + after) / columns),
                         fmax(0, (b->y - before) / rows), fmin(1, (b->y + after) / rows)};
}

static unsigned char value_of(bool erase) { return erase ? 0 : 255; }

static void dab(editor *e, bool erase) {
    if (e->brush.painted != e->state.selected) end_stroke(e);
    if (!paint(e, mask_paint_disc, touched(e), value_of(erase), false)) return;
    e->brush.stroke = true;
    e->brush.painted = e->state.selected;
}

static bool fill_at(mask_paint *p, canvas_rect where, unsigned char value) {
    return mask_paint_fill(p, (where.x1 + where.x2) / 2, (where.y1 + where.y2) / 2, value);
}

static bool invert(mask_paint *p, canvas_rect where, unsigned char value) {
    (void)where, (void)value;
    return mask_paint_invert(p);
}

static canvas_rect cursor_place(const editor *e) {
    const brush *b = &e->brush;
    double columns = e->zoom.columns, rows = 2.0 * e->zoom.rows;
    return (canvas_rect){b->x / columns, (b->x + 1) / columns, b->y / rows, (b->y + 1) / rows};
}

/* The first press notes a corner, the second paints what lies between. */
static void rectangle(editor *e) {
    brush *b = &e->brush;
    if (!b->anchored) {
        b->anchored = true;
        b->anchor_x = b->x;
        b->anchor_y = b->y;
        editor_say(e, TONE_INFO, "one corner is here: go to the other and press a again");
        return;
    }
    b->anchored = false;
    double columns = e->zoom.columns, rows = 2.0 * e->zoom.rows;
    int x1 = b->x < b->anchor_x ? b->x : b->anchor_x, x2 = b->x + b->anchor_x - x1;
    int y1 = b->y < b->anchor_y ? b->y : b->anchor_y, y2 = b->y + b->anchor_y - y1;
    paint(e, mask_paint_rect, (canvas_rect){x1 / columns, (x2 + 1) / columns, y1 / rows, (y2 + 1) / rows},
          value_of(b->erase), true);
}

void editor_mask_key(editor *e, key_action action, int x, int y, int count) {
    static const canvas_rect all = {0, 1, 0, 1};
    brush *b = &e->brush;
    if (action != ACTION_BRUSH_MOVE || !b->down) end_stroke(e);
    switch (action) {
    case ACTION_BRUSH_MOVE:
        for (int i = 0; i < count && i < 512; i++) {
            b->x += x;
            b->y += y;
            keep_inside(e);
            if (b->down) dab(e, b->erase);
        }
        editor_follow(e);
        break;
    case ACTION_BRUSH_DAB:
        dab(e, b->erase);
        end_stroke(e);
        break;
    case ACTION_BRUSH_DOWN:
        b->down = !b->down;
        if (b->down) dab(e, b->erase);
        break;
    case ACTION_BRUSH_ERASE:
        b->erase = !b->erase;
        break;
    case ACTION_BRUSH_SIZE:
        b->size += x * count;
        keep_inside(e);
        break;
    case ACTION_BRUSH_RECTANGLE:
        rectangle(e);
        break;
    case ACTION_BRUSH_FILL:
        paint(e, fill_at, cursor_place(e), value_of(b->erase), true);
        break;
    case ACTION_MASK_INVERT:
        paint(e, invert, all, 0, true);
        break;
    case ACTION_MASK_CLEAR:
        paint(e, mask_paint_rect, all, 0, true);
        break;
    default:
        break;
    }
    e->changed = true;
}

/* Left paints, right erases. True: the event was for the brush. */
bool editor_mask_mouse(editor *e, const input_event *event) {
    window w = e->canvas_cells;
    if (e->state.layout->mode != CPL_MODE_MASK) return false;
    /* Under the large picture the cells are where the canvas was last seen. */
    bool starts = event->action == MOUSE_PRESS && (event->button == 1 || event->button == 3) &&
                  e->windows.canvas.rows && windows_contain(w, event->row, event->column);
    if (!starts && !(event->action == MOUSE_DRAG && e->brush.drawing)) return false;
    if (starts) {
        e->focus = PANE_CANVAS;
        e->brush.drawing = true;
        e->brush.x = event->column - w.column + e->zoom.left;
        e->brush.y = 2 * (event->row - w.row + e->zoom.top);
    }
    /* The mouse tells only cells: both halves are painted, and the way between two reports. */
    int to_x = event->column - w.column + e->zoom.left, to_y = 2 * (event->row - w.row + e->zoom.top);
    int from_x = e->brush.x, from_y = e->brush.y, steps = abs(to_x - from_x) + abs(to_y - from_y);
    for (int i = steps ? 1 : 0; i <= steps; i++) {
        e->brush.x = steps ? from_x + (to_x - from_x) * i / steps : to_x;
        e->brush.y = steps ? from_y + (to_y - from_y) * i / steps : to_y;
        keep_inside(e);
        dab(e, event->button == 3 || e->brush.erase);
        if (e->brush.size == 1 && e->brush.y + 1 < 2 * e->zoom.rows) {
            e->brush.y++;
            dab(e, event->button == 3 || e->brush.erase);
            e->brush.y--;
        }
    }
    return true;
}

/* ---- On the screen ---- */

static void draw_mark(const editor *e, int x, int half, const char *mark) {
    window w = e->canvas_cells;
    int column = x - e->zoom.left, row = half / 2 - e->zoom.top;
    if (column < 0 || row < 0 || column >= w.columns || row >= w.rows) return;
    draw_glyph(&e->theme, w.row + row, w.column + column, theme_ink(&e->theme, STYLE_CURSOR), mark);
}

void editor_draw_brush(const editor *e) {
    const brush *b = &e->brush;
    if (e->state.layout->mode != CPL_MODE_MASK || e->focus != PANE_CANVAS) return;
    if (b->anchored) draw_mark(e, b->anchor_x, b->anchor_y, "+");
    draw_mark(e, b->x, b->y, !e->theme.utf8 ? (b->erase ? "o" : "+") : b->y % 2 ? "▄" : "▀");
}

void editor_brush_text(const editor *e, char *text, size_t size) {
    const brush *b = &e->brush;
    snprintf(text, size, "%s %d%s", b->erase ? "eraser" : "brush", b->size, b->down ? " down" : "");
}
