/* editor_edits.c: edits of several rectangles or rows at once: split, mirror, align, distribute, copy and paste. The basic
 * ones stand in editor_state.c. */
#include "editor_state.h"

#include "convert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Split ---- */

/* Grid lines where the ratios allow it: parts of 1/3 of 16 steps stay 1/3. */
static double part_end(double from, double to, double sum, double total) {
    return sum >= total ? to : canvas_tidy(from + (to - from) * sum / total);
}

bool state_split(editor_state *s, const double *ratios, int count, bool rows, cpl_error *error) {
    double total = 0, sum = 0;
    if (!state_has_rectangle(s, s->selected, error)) return false;
    if (s->count + count - 1 > CPL_MAX_REGIONS)
        return state_refuse(error, "a layout has at most %d regions", CPL_MAX_REGIONS);
    for (int i = 0; i < count; i++) total += ratios[i];
    cpl_layout *next = state_change_rows(s, error);
    if (!next) return false;
    int row = s->selected;
    const canvas_rect whole = state_rect(&next->regions[row]);
    bool done = true;
    for (int i = 0; done && i < count; i++) {
        cpl_region *part = i ? cpl_layout_insert(next, row + i, error) : &next->regions[row];
        if (!part || (i && !cpl_text_set(&part->prompt, "", error))) {
            done = false;
            break;
        }
        double from = sum;
        sum += ratios[i];
        canvas_rect r = whole;
        if (rows)
            r.y1 = part_end(whole.y1, whole.y2, from, total), r.y2 = part_end(whole.y1, whole.y2, sum, total);
        else
            r.x1 = part_end(whole.x1, whole.x2, from, total), r.x2 = part_end(whole.x1, whole.x2, sum, total);
        state_set_rect(part, r);
        if (i) part->weight = next->regions[row].weight;
        if (r.x1 >= r.x2 || r.y1 >= r.y2) done = state_refuse(error, "part %d would have no width", i + 1);
    }
    if (!done) {
        cpl_layout_free(next);
        return false;
    }
    return state_commit(s, next, true, error);
}

/* ---- Mirror, align, distribute ---- */

/* What an edit of the arrangement is about: the marked regions, or all. */
static bool takes_part(const editor_state *s, int row) { return !s->marks || state_chosen(s, row); }

static bool has_rectangles(const editor_state *s, cpl_error *error) {
    return state_has_rectangle(s, s->selected, error);
}

bool state_mirror(editor_state *s, bool vertical, cpl_error *error) {
    if (!has_rectangles(s, error)) return false;
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    for (int i = 0; i < next->region_count; i++) {
        if (!takes_part(s, i)) continue;
        canvas_rect r = state_rect(&next->regions[i]), to = r;
        if (vertical)
            to.y1 = canvas_tidy(1 - r.y2), to.y2 = canvas_tidy(1 - r.y1);
        else
            to.x1 = canvas_tidy(1 - r.x2), to.x2 = canvas_tidy(1 - r.x1);
        state_set_rect(&next->regions[i], to);
    }
    return state_commit(s, next, true, error);
}

static void shift(double *from, double *to, double new_from) {
    double size = *to - *from;
    *from = fmin(fmax(canvas_tidy(new_from), 0), canvas_tidy(1 - size));
    *to = canvas_tidy(*from + size);
}

static void align_one(canvas_rect *r, canvas_rect to, state_edge edge) {
    switch (edge) {
    case EDGE_LEFT:
        shift(&r->x1, &r->x2, to.x1);
        break;
    case EDGE_RIGHT:
        shift(&r->x1, &r->x2, to.x2 - (r->x2 - r->x1));
        break;
    case EDGE_TOP:
        shift(&r->y1, &r->y2, to.y1);
        break;
    case EDGE_BOTTOM:
        shift(&r->y1, &r->y2, to.y2 - (r->y2 - r->y1));
        break;
    case EDGE_CENTER:
        shift(&r->x1, &r->x2, (to.x1 + to.x2) / 2 - (r->x2 - r->x1) / 2);
        break;
    case EDGE_MIDDLE:
        shift(&r->y1, &r->y2, (to.y1 + to.y2) / 2 - (r->y2 - r->y1) / 2);
        break;
    }
}

bool state_align(editor_state *s, state_edge edge, cpl_error *error) {
    if (!has_rectangles(s, error)) return false;
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    canvas_rect to = s->marks ? state_rect(&next->regions[s->selected]) : (canvas_rect){0, 1, 0, 1};
    for (int i = 0; i < next->region_count; i++) {
        if (!state_chosen(s, i)) continue;
        canvas_rect r = state_rect(&next->regions[i]);
        align_one(&r, to, edge);
        state_set_rect(&next->regions[i], r);
    }
    return state_commit(s, next, true, error);
}

typedef struct placed {
    int row;
    double from, to;
} placed;

static int by_place(const void *a, const void *b) {
    double x = ((const placed *)a)->from, y = ((const placed *)b)->from;
    return x < y ? -1 : x > y;
}

bool state_distribute(editor_state *s, bool vertical, cpl_error *error) {
    placed list[CPL_MAX_REGIONS];
    int count = 0;
    double used = 0;
    if (!has_rectangles(s, error)) return false;
    for (int i = 0; i < s->layout->region_count; i++) {
        canvas_rect r = state_rect(&s->layout->regions[i]);
        if (!takes_part(s, i)) continue;
        list[count] = vertical ? (placed){i, r.y1, r.y2} : (placed){i, r.x1, r.x2};
        used += list[count].to - list[count].from;
        count++;
    }
    if (count < 3)
        return state_refuse(error, "distribute needs at least three regions, the first and the last of which stay");
    qsort(list, (size_t)count, sizeof *list, by_place);
    cpl_layout *next = state_change(s, error);
    if (!next) return false;
    double gap = (list[count - 1].to - list[0].from - used) / (count - 1), at = list[0].from;
    for (int i = 0; i < count; i++) {
        double from = list[i].from, to = list[i].to;
        if (i && i < count - 1) shift(&from, &to, at);
        at += to - from + gap;
        canvas_rect r = state_rect(&next->regions[list[i].row]);
        if (vertical)
            r.y1 = from, r.y2 = to;
        else
            r.x1 = from, r.x2 = to;
        state_set_rect(&next->regions[list[i].row], r);
    }
    return state_commit(s, next, true, error);
}

/* ---- Copy and paste ---- */

static bool add_copy(cpl_layout *rows, const cpl_region *from, cpl_error *error) {
    cpl_region *to = cpl_layout_insert(rows, rows->region_count, error);
    return to && state_copy_region(to, from, error);
}

cpl_layout *state_yank(const editor_state *s, int count, cpl_error *error) {
    if (s->selected < 0) return state_refuse(error, "there is no region to copy: n makes one"), NULL;
    cpl_layout *from = state_change_rows(s, error), *rows = cpl_layout_new(error);
    bool done = from && rows && cpl_text_set(&rows->directory, from->directory, error);
    for (int i = 0; done && i < from->region_count; i++)
        if (s->marks ? state_chosen(s, i) : i >= s->selected && i < s->selected + count)
            done = add_copy(rows, &from->regions[i], error);
    cpl_layout_free(from);
    if (done) return rows;
    cpl_layout_free(rows);
    return NULL;
}

bool state_paste(editor_state *s, const cpl_layout *rows, bool below, cpl_error *error) {
    if (!rows || !rows->region_count) return state_refuse(error, "nothing was copied yet: yy copies a row");
    if (s->count + rows->region_count > CPL_MAX_REGIONS)
        return state_refuse(error, "a layout has at most %d regions", CPL_MAX_REGIONS);
    cpl_layout *next = state_change_rows(s, error);
    if (!next) return false;
    /* They may be from a layout in another folder. */
    cpl_layout *moved = convert_move(rows, next->directory, error);
    int at = s->selected < 0 ? 0 : s->selected + below;
    bool done = moved != NULL;
    for (int i = 0; done && i < moved->region_count; i++) {
        cpl_region *to = cpl_layout_insert(next, at + i, error);
        done = to && state_copy_region(to, &moved->regions[i], error);
    }
    cpl_layout_free(moved);
    if (!done) {
        cpl_layout_free(next);
        return false;
    }
    if (!state_commit(s, next, true, error)) return false;
    state_select(s, at);
    return true;
}

/* ---- Lines of text ---- */

static int count_lines(const char *text) {
    int count = 0;
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        count += text[strspn(text, " \t\r")] != '\n' && text[strspn(text, " \t\r")] != '\0';
    return count;
}

/* The new regions stand side by side over what is not covered; where everything is, over the middle. */
static canvas_rect place_of(canvas_rect room, int index, int count) {
    double width = room.x2 - room.x1;
    return (canvas_rect){canvas_tidy(room.x1 + width * index / count),
                         canvas_tidy(room.x1 + width * (index + 1) / count), room.y1, room.y2};
}

bool state_insert_lines(editor_state *s, const char *text, int *count, cpl_error *error) {
    int lines = count_lines(text), index = 0;
    *count = lines;
    if (s->layout->mode == CPL_MODE_MASK)
        return state_refuse(error, "mask mode needs a painted mask for every region: press m for another mode");
    if (!lines || s->count + lines > CPL_MAX_REGIONS)
        return state_refuse(error, lines ? "a layout has at most %d regions" : "there is no text in it",
                            CPL_MAX_REGIONS);
    canvas_view view = state_view(s, 1, 1);
    canvas_rect room = {0.25, 0.75, 0.25, 0.75};
    if (s->layout->mode == CPL_MODE_ADVANCED) canvas_hole(&view, &room);
    cpl_layout *next = state_change_rows(s, error);
    bool done = next != NULL;
    int at = done ? next->region_count : 0;
    while (done && *text) {
        size_t length = strcspn(text, "\n"), skip = strspn(text, " \t\r"), end = length;
        while (end > skip && strchr(" \t\r", text[end - 1])) end--;
        if (skip < end) {
            char *line = strndup(text + skip, end - skip);
            cpl_region *region = line ? cpl_layout_insert(next, at + index, error) : NULL;
            done = region && cpl_text_set(&region->prompt, line, error);
            if (done && next->mode == CPL_MODE_ADVANCED) state_set_rect(region, place_of(room, index, lines));
            free(line);
            index++;
        }
        text += length + (text[length] == '\n');
    }
    if (!done) {
        cpl_layout_free(next);
        return false;
    }
    if (!state_commit(s, next, true, error)) return false;
    state_select(s, at);
    return true;
}
