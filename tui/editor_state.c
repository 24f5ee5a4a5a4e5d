/* editor_state.c: the edits of regions and rows, undo and redo, and what is derived from a layout. Settings and cells
 * as text stand in editor_text.c. */
#include "editor_state.h"

#include "convert.h"
#include "mask_paint.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COARSEST = 8, FINEST = 64, LATENT_PX = 8 };

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

bool state_refuse(cpl_error *error, const char *format, ...) {
    if (!error) return false;
    *error = (cpl_error){.code = CPL_E_INPUT, .row = -1};
    va_list list;
    va_start(list, format);
    vsnprintf(error->message, sizeof error->message, format, list);
    va_end(list);
    return false;
}

/* ---- What is derived ---- */

static void derive_defaults(editor_state *s) {
    cpl_model_info info = {0};
    const cpl_model_source source = cpl_layout_source(s->layout);
    if (cpl_model_peek(&source, &info, NULL)) {
        s->defaults = info.defaults;
        s->closed_vocabulary = info.closed_vocabulary;
        return;
    }
    /* The session will say what is wrong with the model; until then the canvas needs some size. */
    s->defaults = (cpl_defaults){512, 512, 20, 7, "euler", "normal"};
    s->closed_vocabulary = false;
}

static void derive(editor_state *s) {
    cpl_settings settings;
    if (cpl_layout_resolve(s->layout, &s->defaults, &settings, NULL)) s->settings = settings;
    cpl_lines_clear(&s->lines);
    if (!cpl_layout_lines(s->layout, &s->lines, NULL)) s->lines = (cpl_lines){0};
    /* One prompt text may make more lines than there are regions; only basic mode gives each a place of its own. */
    s->count = s->layout->region_count;
    if (s->layout->prompt && s->layout->mode == CPL_MODE_BASIC && s->lines.count > s->count) s->count = s->lines.count;
    s->selected = s->count ? clamp(s->selected, 0, s->count - 1) : -1;
    cpl_problems_clear(&s->problems);
    cpl_layout_check(s->layout, &s->defaults, &s->problems);
    s->coverage = cpl_layout_coverage(s->layout, &s->defaults);
    s->dirty = !s->saved || !cpl_layout_equal(s->layout, s->saved);
}

bool state_start(editor_state *s, cpl_layout *layout, cpl_error *error) {
    *s = (editor_state){.layout = layout, .step = 16, .cell = CELL_PROMPT};
    s->history = cpl_history_new(layout, error);
    /* A layout that was never in a file has nothing to lose until its first edit. */
    s->saved = cpl_layout_copy(layout, error);
    if (!s->history || !s->saved) {
        state_clear(s);
        return false;
    }
    derive_defaults(s);
    cpl_layout_resolve(s->layout, &s->defaults, &s->settings, NULL);
    derive(s);
    return true;
}

void state_clear(editor_state *s) {
    cpl_layout_free(s->layout);
    cpl_layout_free(s->saved);
    cpl_history_free(s->history);
    cpl_lines_clear(&s->lines);
    cpl_problems_clear(&s->problems);
    *s = (editor_state){.selected = -1};
}

void state_saved(editor_state *s) {
    cpl_layout *copy = cpl_layout_copy(s->layout, NULL);
    if (!copy) return;
    cpl_layout_free(s->saved);
    s->saved = copy;
    s->dirty = false;
}

canvas_view state_view(const editor_state *s, int columns, int rows) {
    canvas_view view = {
        .layout = s->layout, .count = s->count, .selected = s->selected, .columns = columns, .rows = rows};
    state_steps(s, &view.step, &view.step_down);
    return view;
}

const char *state_prompt(const editor_state *s, int row) {
    if (s->layout->prompt) return row < s->lines.count ? s->lines.line[row] : "";
    if (row < 0 || row >= s->layout->region_count) return "";
    return s->layout->regions[row].prompt ? s->layout->regions[row].prompt : "";
}

const cpl_problem *state_problem(const editor_state *s, int row) {
    for (int i = 0; i < s->problems.count; i++) {
        bool of_row = s->problems.list[i].error.path[0] && s->problems.list[i].error.row >= 0 &&
                      !strncmp(s->problems.list[i].error.path, "regions", 7);
        if (row < 0 ? !of_row : of_row && s->problems.list[i].error.row == row) return &s->problems.list[i];
    }
    return NULL;
}

/* ---- Changing ---- */

cpl_layout *state_change(const editor_state *s, cpl_error *error) { return cpl_layout_copy(s->layout, error); }

static bool same_text(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

bool state_commit(editor_state *s, cpl_layout *next, bool record, cpl_error *error) {
    if (record && !cpl_history_push(s->history, next, error)) {
        cpl_layout_free(next);
        return false;
    }
    if (next->region_count != s->layout->region_count) state_mark_all(s, false);
    bool other_model = !same_text(next->sampling.model, s->layout->sampling.model);
    cpl_layout_free(s->layout);
    s->layout = next;
    if (other_model) derive_defaults(s);
    derive(s);
    return true;
}

/* A step may be from before the layout was saved into another folder. */
static bool step_through(editor_state *s, const cpl_layout *to, const char *none, cpl_error *error) {
    if (!to) return state_refuse(error, "%s", none);
    cpl_layout *copy = convert_move(to, s->layout->directory, error);
    return copy && state_commit(s, copy, false, error);
}

bool state_undo(editor_state *s, cpl_error *error) {
    return step_through(s, cpl_history_undo(s->history), "nothing to undo", error);
}

bool state_redo(editor_state *s, cpl_error *error) {
    return step_through(s, cpl_history_redo(s->history), "nothing to redo", error);
}

void state_select(editor_state *s, int row) { s->selected = s->count ? clamp(row, 0, s->count - 1) : -1; }

void state_mark(editor_state *s, int row) {
    if (row < 0 || row >= s->count || row >= CPL_MAX_REGIONS) return;
    s->marked[row] = !s->marked[row];
    s->marks += s->marked[row] ? 1 : -1;
}

void state_mark_all(editor_state *s, bool on) {
    s->marks = on ? s->count : 0;
    for (int i = 0; i < CPL_MAX_REGIONS; i++) s->marked[i] = on && i < s->count;
}

bool state_chosen(const editor_state *s, int row) {
    return s->marks ? row >= 0 && row < CPL_MAX_REGIONS && s->marked[row] : row == s->selected;
}

void state_grid(editor_state *s, int direction) {
    if (direction > 0 && s->step < FINEST)
        s->step *= 2;
    else if (direction > 0)
        s->latent = true;
    else if (s->latent)
        s->latent = false;
    else if (s->step > COARSEST)
        s->step /= 2;
}

/* The coarser the canvas, the fewer latent steps it has: at least one. */
void state_steps(const editor_state *s, int *across, int *down) {
    int width = s->settings.width / LATENT_PX, height = s->settings.height / LATENT_PX;
    *across = !s->latent ? s->step : width > 1 ? width : 1;
    *down = !s->latent ? s->step : height > 1 ? height : 1;
}

/* ---- Rectangles ---- */

bool state_has_rectangle(const editor_state *s, int row, cpl_error *error) {
    if (row < 0) return state_refuse(error, "there is no region yet: n makes one");
    if (s->layout->mode == CPL_MODE_BASIC)
        return state_refuse(error,
                            "basic mode makes equal tiles: m changes to advanced mode, where regions can be moved");
    if (s->layout->mode == CPL_MODE_MASK)
        return state_refuse(error, "mask mode takes its shapes from painted masks: m changes to advanced mode");
    return row < s->layout->region_count;
}

canvas_rect state_rect(const cpl_region *r) { return (canvas_rect){r->x1, r->x2, r->y1, r->y2}; }

void state_set_rect(cpl_region *r, canvas_rect to) {
    r->x1 = to.x1;
    r->x2 = to.x2;
    r->y1 = to.y1;
    r->y2 = to.y2;
}

static bool place(editor_state *s, int row, canvas_rect rect, bool record, cpl_error *error) {
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    state_set_rect(&next->regions[row], rect);
    return state_commit(s, next, record, error);
}

/* Keys give -1, 0, 1 grid steps, or +-256 for one 256th of the canvas. */
static double amount(int direction, int count, int step) {
    return abs(direction) == 256 ? direction / 256.0 * count / 256 : (double)direction * count / step;
}

/* The rectangle dragged by that many steps of the grid. */
static canvas_rect by_steps(const editor_state *s, canvas_rect rect, unsigned edges, int dx, int dy, int count) {
    int across, down;
    state_steps(s, &across, &down);
    double x = amount(dx, count, across), y = amount(dy, count, down);
    if (abs(dx) == 256 || abs(dy) == 256) across = down = 256;
    return canvas_drag_on(rect, edges, x, y, across, down);
}

/* The rectangle around all chosen regions. */
static canvas_rect around(const editor_state *s) {
    canvas_rect all = {1, 0, 1, 0};
    for (int i = 0; i < s->layout->region_count; i++) {
        if (!state_chosen(s, i)) continue;
        canvas_rect r = state_rect(&s->layout->regions[i]);
        all = (canvas_rect){fmin(all.x1, r.x1), fmax(all.x2, r.x2), fmin(all.y1, r.y1), fmax(all.y2, r.y2)};
    }
    return all;
}

/* Several move as one: their distances stay as they are. */
static bool move_marked(editor_state *s, int dx, int dy, int count, cpl_error *error) {
    canvas_rect from = around(s), to = by_steps(s, from, 0, dx, dy, count);
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    for (int i = 0; i < next->region_count; i++) {
        if (!state_chosen(s, i)) continue;
        canvas_rect r = state_rect(&next->regions[i]);
        double x = to.x1 - from.x1, y = to.y1 - from.y1;
        state_set_rect(&next->regions[i], (canvas_rect){canvas_tidy(r.x1 + x), canvas_tidy(r.x2 + x),
                                                        canvas_tidy(r.y1 + y), canvas_tidy(r.y2 + y)});
    }
    return state_commit(s, next, true, error);
}

bool state_move(editor_state *s, int dx, int dy, int count, cpl_error *error) {
    if (!state_has_rectangle(s, s->selected, error)) return false;
    if (s->marks) return move_marked(s, dx, dy, count, error);
    canvas_rect rect = state_rect(&s->layout->regions[s->selected]);
    return place(s, s->selected, by_steps(s, rect, 0, dx, dy, count), true, error);
}

bool state_resize(editor_state *s, int dx, int dy, int count, cpl_error *error) {
    if (!state_has_rectangle(s, s->selected, error)) return false;
    unsigned edges = (dx ? CANVAS_RIGHT : 0u) | (dy ? CANVAS_DOWN : 0u);
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    for (int i = 0; i < next->region_count; i++) {
        if (!state_chosen(s, i)) continue;
        canvas_rect rect = state_rect(&next->regions[i]);
        state_set_rect(&next->regions[i], by_steps(s, rect, edges, dx, dy, count));
    }
    return state_commit(s, next, true, error);
}

bool state_drag(editor_state *s, int row, canvas_rect rect, cpl_error *error) {
    return state_has_rectangle(s, row, error) && place(s, row, rect, false, error);
}

bool state_drag_end(editor_state *s, cpl_error *error) { return cpl_history_push(s->history, s->layout, error); }

bool state_weight(editor_state *s, int direction, int count, cpl_error *error) {
    cpl_error why;
    if (!state_cell_editable(s, s->selected, CELL_WEIGHT, &why)) return state_refuse(error, "%s", why.message);
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    for (int i = 0; i < next->region_count; i++) {
        if (!state_chosen(s, i) || !state_cell_editable(s, i, CELL_WEIGHT, NULL)) continue;
        double weight = next->regions[i].weight + 0.05 * direction * count;
        next->regions[i].weight = fmin(fmax(0, round(weight * 100) / 100), CPL_MAX_WEIGHT);
    }
    return state_commit(s, next, true, error);
}

/* ---- Rows ---- */

/* Rows cannot come and go while one prompt text makes the lines: each row gets its line for its own. */
static bool own_prompts(cpl_layout *layout, cpl_error *error) {
    if (!layout->prompt) return true;
    cpl_lines lines = {0};
    if (!cpl_layout_lines(layout, &lines, error)) return false;
    bool done = cpl_layout_keep_loras(layout, error) && cpl_text_set(&layout->prompt, NULL, error);
    while (done && layout->region_count < lines.count && layout->region_count < CPL_MAX_REGIONS)
        done = cpl_layout_insert(layout, layout->region_count, error) != NULL;
    for (int i = 0; done && i < layout->region_count && i < lines.count; i++)
        done = cpl_text_set(&layout->regions[i].prompt, lines.line[i], error);
    cpl_lines_clear(&lines);
    return done;
}

cpl_layout *state_change_rows(const editor_state *s, cpl_error *error) {
    cpl_layout *next = state_change(s, error);
    if (next && !own_prompts(next, error)) {
        cpl_layout_free(next);
        return NULL;
    }
    return next;
}

static canvas_rect new_place(const editor_state *s) {
    canvas_rect hole;
    canvas_view view = state_view(s, 1, 1);
    if (s->layout->mode == CPL_MODE_ADVANCED && canvas_hole(&view, &hole)) return hole;
    return (canvas_rect){0.25, 0.75, 0.25, 0.75};
}

/* A mask with a rectangle in it, or an empty one, kept in the layout itself. */
static bool give_mask(const editor_state *s, cpl_region *region, const canvas_rect *rect, cpl_error *error) {
    mask_paint p;
    if (!mask_paint_start(&p, NULL, s->settings.width, s->settings.height, error)) return false;
    if (rect) mask_paint_rect(&p, *rect, 255);
    region->mask = cpl_mask_new(p.width, p.height, p.grey, error);
    mask_paint_clear(&p);
    char *data = region->mask ? cpl_mask_data(region->mask, error) : NULL;
    bool done = data && cpl_text_set(&region->mask_source, data, error);
    free(data);
    return done;
}

bool state_insert(editor_state *s, int at, const canvas_rect *rect, cpl_error *error) {
    if (s->count >= CPL_MAX_REGIONS) return state_refuse(error, "a layout has at most %d regions", CPL_MAX_REGIONS);
    canvas_rect where = rect ? *rect : new_place(s);
    cpl_layout *next = state_change_rows(s, error);
    if (!next) return false;
    at = clamp(at, 0, next->region_count);
    cpl_region *region = cpl_layout_insert(next, at, error);
    if (!region || !cpl_text_set(&region->prompt, "", error)) {
        cpl_layout_free(next);
        return false;
    }
    if (next->mode == CPL_MODE_ADVANCED) state_set_rect(region, where);
    if (next->mode == CPL_MODE_MASK) {
        if (!give_mask(s, region, NULL, error)) {
            cpl_layout_free(next);
            return false;
        }
    }
    if (!state_commit(s, next, true, error)) return false;
    state_select(s, at);
    return true;
}

bool state_copy_region(cpl_region *to, const cpl_region *from, cpl_error *error) {
    if (!cpl_text_set(&to->prompt, from->prompt, error) || !cpl_text_set(&to->negative, from->negative, error) ||
        !cpl_text_set(&to->mask_source, from->mask_source, error))
        return false;
    cpl_mask_unref(to->mask);
    to->mask = from->mask ? cpl_mask_ref(from->mask) : NULL;
    to->weight = from->weight;
    to->feather = from->feather;
    to->present = from->present;
    state_set_rect(to, state_rect(from));
    return true;
}

bool state_duplicate(editor_state *s, cpl_error *error) {
    if (s->selected < 0) return state_refuse(error, "there is no region to copy: n makes one");
    if (s->count >= CPL_MAX_REGIONS) return state_refuse(error, "a layout has at most %d regions", CPL_MAX_REGIONS);
    cpl_layout *next = state_change_rows(s, error);
    if (!next) return false;
    cpl_region *copy = cpl_layout_insert(next, s->selected + 1, error);
    const cpl_region *from = copy ? &next->regions[s->selected] : NULL;
    if (!copy || !state_copy_region(copy, from, error)) {
        cpl_layout_free(next);
        return false;
    }
    /* One step aside where there is room, so that the copy can be seen. */
    state_set_rect(copy, by_steps(s, state_rect(from), 0, 1, 1, 1));
    if (!state_commit(s, next, true, error)) return false;
    state_select(s, s->selected + 1);
    return true;
}

bool state_delete(editor_state *s, int count, cpl_error *error) {
    if (s->selected < 0) return state_refuse(error, "there is no region to delete");
    cpl_layout *next = state_change_rows(s, error);
    if (!next) return false;
    if (s->marks) {
        for (int i = next->region_count - 1; i >= 0; i--)
            if (state_chosen(s, i)) cpl_layout_remove(next, i);
    } else {
        for (int i = 0; i < count && s->selected < next->region_count; i++) cpl_layout_remove(next, s->selected);
    }
    return state_commit(s, next, true, error);
}

bool state_reorder(editor_state *s, int direction, int count, cpl_error *error) {
    int to = s->selected + direction * count;
    if (s->selected < 0) return state_refuse(error, "there is no region to move");
    cpl_layout *next = state_change_rows(s, error);
    if (!next) return false;
    to = clamp(to, 0, next->region_count - 1);
    if (s->selected < next->region_count) cpl_layout_move(next, s->selected, to);
    state_mark_all(s, false);
    if (!state_commit(s, next, true, error)) return false;
    state_select(s, to);
    return true;
}

/* ---- The whole layout ---- */

/* Regions without a mask begin with what their rectangle covered. */
static bool paint_rectangles(const editor_state *s, cpl_layout *next, cpl_error *error) {
    for (int i = 0; i < next->region_count; i++) {
        canvas_rect rect = state_rect(&next->regions[i]);
        if (!next->regions[i].mask && !give_mask(s, &next->regions[i], &rect, error)) return false;
    }
    return true;
}

static bool untouched(const cpl_layout *layout) {
    for (int i = 0; i < layout->region_count; i++) {
        canvas_rect r = state_rect(&layout->regions[i]);
        if (r.x1 != 0 || r.x2 != 1 || r.y1 != 0 || r.y2 != 1) return false;
    }
    return true;
}

bool state_mode(editor_state *s, cpl_error *error) {
    cpl_mode mode = s->layout->mode == CPL_MODE_BASIC      ? CPL_MODE_ADVANCED
                    : s->layout->mode == CPL_MODE_ADVANCED ? CPL_MODE_MASK
                                                           : CPL_MODE_BASIC;
    return state_set_mode(s, mode, error);
}

bool state_set_mode(editor_state *s, cpl_mode mode, cpl_error *error) {
    cpl_layout *next = mode != CPL_MODE_BASIC ? state_change_rows(s, error) : state_change(s, error);
    if (!next) return false;
    if (mode == CPL_MODE_MASK && !paint_rectangles(s, next, error)) {
        cpl_layout_free(next);
        return false;
    }
    /* Regions that never had a rectangle keep the place that their tile had. */
    if (mode == CPL_MODE_ADVANCED && untouched(next)) {
        canvas_view view = state_view(s, 1, 1);
        for (int i = 0; i < next->region_count; i++) {
            canvas_rect rect;
            if (canvas_shape(&view, i, &rect)) state_set_rect(&next->regions[i], rect);
        }
    }
    next->mode = mode;
    return state_commit(s, next, true, error);
}

bool state_direction(editor_state *s, cpl_error *error) {
    if (s->layout->mode != CPL_MODE_BASIC)
        return state_refuse(error, "only basic mode has a direction: m changes the mode");
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    next->direction = next->direction == CPL_HORIZONTAL ? CPL_VERTICAL : CPL_HORIZONTAL;
    return state_commit(s, next, true, error);
}

bool state_background(editor_state *s, cpl_error *error) {
    if (s->layout->mode == CPL_MODE_ADVANCED)
        return state_refuse(error, "advanced mode has no background line: f fills what no region covers");
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    next->background = (cpl_background)((next->background + 1) % (CPL_BACKGROUND_LAST + 1));
    return state_commit(s, next, true, error);
}

bool state_fill(editor_state *s, cpl_error *error) {
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    next->uncovered = next->uncovered == CPL_UNCOVERED_FILL ? CPL_UNCOVERED_ERROR : CPL_UNCOVERED_FILL;
    return state_commit(s, next, true, error);
}
