/* editor_mouse.c: clicks select, a second click edits, drags move and resize. */
#include "editor_ui.h"

#include <math.h>

#define DOUBLE_CLICK_MS 400

static void point_of(const editor *e, const input_event *event, double *x, double *y) {
    editor_canvas_point(e, event->row, event->column, x, y);
}

static bool again(editor *e, const input_event *event) {
    int64_t now = editor_clock_ms();
    bool same = now - e->last_click_ms < DOUBLE_CLICK_MS && e->last_click_row == event->row &&
                e->last_click_column == event->column;
    e->last_click_ms = same ? 0 : now;
    e->last_click_row = event->row;
    e->last_click_column = event->column;
    return same;
}

/* On what no region covers, or with the right button anywhere, a drag makes a new region. */
static void begin_drawing(editor *e, const input_event *event) {
    if (e->state.layout->mode != CPL_MODE_ADVANCED) return;
    e->drag = (drag_status){.active = true, .drawing = true, .region = -1};
    point_of(e, event, &e->drag.x, &e->drag.y);
}

static double down(double value, int step) { return fmax(0, floor(value * step + 1e-9) / step); }
static double up(double value, int step) { return fmin(1, ceil(value * step - 1e-9) / step); }

/* From the grid cell where it began to the one where the mouse is. */
static void keep_drawing(editor *e, double x, double y) {
    drag_status *d = &e->drag;
    int across, deep;
    state_steps(&e->state, &across, &deep);
    d->start = (canvas_rect){down(fmin(d->x, x), across), up(fmax(d->x, x), across), down(fmin(d->y, y), deep),
                             up(fmax(d->y, y), deep)};
    d->changed = d->start.x1 < d->start.x2 && d->start.y1 < d->start.y2;
}

static void end_drawing(editor *e) {
    cpl_error error = {0};
    if (!state_insert(&e->state, e->state.count, &e->drag.start, &error)) {
        editor_say_error(e, &error);
        return;
    }
    editor_edited(e);
    editor_say(e, TONE_INFO, "region %d is new: Enter types its prompt", e->state.selected + 1);
}

/* The middle button, or the left one with Ctrl, Alt or Shift, where the terminal lets it through. */
static bool adds(const input_event *event) {
    return event->button == 2 || (event->button == 1 && (event->modifiers & (INPUT_CTRL | INPUT_ALT | INPUT_SHIFT)));
}

/* Adds the region to those that are marked, or takes it out; the one that was selected before is the first of them. */
static void mark_also(editor *e, int before) {
    editor_state *s = &e->state;
    if (!s->marks && before >= 0 && before != s->selected) state_mark(s, before);
    state_mark(s, s->selected);
    editor_say(e, TONE_INFO, "%d marked: edits take them together, Esc lets go", s->marks);
}

static void press_canvas(editor *e, const input_event *event) {
    e->focus = PANE_CANVAS;
    window w = e->canvas_cells;
    if (!windows_contain(w, event->row, event->column)) return;
    int before = e->state.selected;
    bool twice = again(e, event);
    canvas_view view = editor_canvas_view(e, 1);
    canvas_hit hit = canvas_at(&view, event->column - w.column, event->row - w.row);
    if (hit.region < 0 || event->button == 3) {
        begin_drawing(e, event);
        return;
    }
    state_select(&e->state, hit.region);
    if (adds(event)) {
        mark_also(e, before);
        return;
    }
    if (twice) {
        editor_type_cell(e, hit.region, CELL_PROMPT);
        return;
    }
    if (e->state.layout->mode != CPL_MODE_ADVANCED) return;
    const cpl_region *r = &e->state.layout->regions[hit.region];
    e->drag =
        (drag_status){.active = true, .region = hit.region, .edges = hit.edges, .start = {r->x1, r->x2, r->y1, r->y2}};
    point_of(e, event, &e->drag.x, &e->drag.y);
}

static void press_table(editor *e, const input_event *event) {
    window in = windows_inside(e->windows.table);
    int row = e->table_top + event->row - in.row - 1;
    e->focus = PANE_TABLE;
    if (event->row <= in.row || row >= e->state.count || event->row >= in.row + in.rows) return;
    table_columns columns = editor_table_columns(e);
    int at = table_cell_at(&columns, event->column - in.column);
    bool twice = again(e, event);
    int before = e->state.selected;
    state_select(&e->state, row);
    /* The number's cell marks, like Space. */
    if (adds(event) || event->column - in.column < columns.number.at + columns.number.width) {
        mark_also(e, adds(event) ? before : -1);
        return;
    }
    if (at >= 0) e->state.cell = (table_cell)at;
    if (at >= 0 && twice) editor_type_cell(e, row, (table_cell)at);
}

static void press_settings(editor *e, const input_event *event) {
    field fields[SETTINGS_SHOWN];
    editor_settings_fields(e, fields);
    e->focus = PANE_SETTINGS;
    bool twice = again(e, event);
    for (int i = 0; i < SETTINGS_SHOWN; i++) {
        if (!fields[i].width || event->column < fields[i].at || event->column >= fields[i].at + fields[i].width)
            continue;
        e->state.setting = (setting)i;
        if (twice) editor_type_setting(e, (setting)i);
    }
}

/* A region's move, which is shown already, becomes an undo step. A new region that is being drawn is no row's, and may go on. */
void editor_drag_settle(editor *e) {
    cpl_error error = {0};
    if (e->drag.drawing) return;
    if (e->drag.changed && !state_drag_end(&e->state, &error)) editor_say_error(e, &error);
    e->drag = (drag_status){0};
}

/* The button before it is up, also where the terminal did not tell. */
static void let_go(editor *e) {
    editor_mask_settle(e);
    e->brush.drawing = false;
    editor_drag_settle(e);
    e->drag = (drag_status){0};
}

static void on_press(editor *e, const input_event *event) {
    e->tone = TONE_NONE;
    /* A click elsewhere takes what was typed, unless it is not good. */
    if ((e->typing == TYPING_CELL || e->typing == TYPING_SETTING) && !editor_take(e)) return;
    if (e->typing) editor_stop_typing(e);
    if (windows_contain(e->windows.canvas, event->row, event->column))
        press_canvas(e, event);
    else if (windows_contain(e->windows.picture, event->row, event->column))
        editor_press_strip(e, event->row, event->column);
    else if (windows_contain(e->windows.table, event->row, event->column))
        press_table(e, event);
    else if (windows_contain(e->windows.settings, event->row, event->column))
        press_settings(e, event);
}

static void on_drag(editor *e, const input_event *event) {
    if (!e->drag.active) return;
    double x, y;
    cpl_error error = {0};
    point_of(e, event, &x, &y);
    if (e->drag.drawing) {
        keep_drawing(e, x, y);
        return;
    }
    if (e->drag.region >= e->state.layout->region_count) {
        e->drag = (drag_status){0};
        return;
    }
    int across, deep;
    state_steps(&e->state, &across, &deep);
    canvas_rect rect = canvas_drag_on(e->drag.start, e->drag.edges, x - e->drag.x, y - e->drag.y, across, deep);
    const cpl_region *r = &e->state.layout->regions[e->drag.region];
    if (rect.x1 == r->x1 && rect.x2 == r->x2 && rect.y1 == r->y1 && rect.y2 == r->y2) return;
    if (!state_drag(&e->state, e->drag.region, rect, &error)) {
        editor_say_error(e, &error);
        return;
    }
    e->drag.changed = true;
    editor_edited(e);
}

static void on_release(editor *e) {
    bool hidden = e->windows.card || e->asking || e->recovering || e->list;
    if (e->drag.drawing && e->drag.changed && !hidden) end_drawing(e);
    let_go(e);
}

static void on_list(editor *e, const input_event *event, int turn) {
    bool choosing = e->list == LIST_RECENT || e->list == LIST_PRESETS;
    if (choosing && (e->typing || e->confirming)) return;
    if (choosing && turn)
        editor_choose(e, ACTION_CHOICE, turn, 1);
    else if (choosing && event->action == MOUSE_PRESS && event->button == 1)
        editor_press_choice(e, event->row, again(e, event));
    else
        editor_scroll_list(e, 3 * turn, false); /* drawing keeps it inside */
}

void editor_mouse(editor *e, const input_event *event) {
    e->changed = true;
    /* First, as something else may stand over the canvas since the button went down. */
    if (event->action == MOUSE_RELEASE) {
        on_release(e);
        return;
    }
    if (event->action == MOUSE_PRESS) let_go(e);
    if (e->windows.card || e->asking || e->recovering) return;
    if (!e->list && !e->typing && editor_mask_mouse(e, event)) return;
    int turn = event->action == MOUSE_WHEEL_DOWN ? 1 : event->action == MOUSE_WHEEL_UP ? -1 : 0;
    if (e->list) {
        on_list(e, event, turn);
        return;
    }
    if (turn && !e->typing && (event->modifiers & INPUT_CTRL))
        editor_zoom(e, -turn);
    else if (turn && !e->typing) {
        editor_mask_settle(e);
        state_select(&e->state, e->state.selected + turn);
    } else if (event->action == MOUSE_PRESS && event->button >= 1 && event->button <= 3)
        on_press(e, event);
    else if (event->action == MOUSE_DRAG)
        on_drag(e, event);
}
