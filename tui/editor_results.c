/* editor_results.c: the last finished pictures: which one is shown, two beside each other, regions drawn over it, and the
 * way back to a picture's layout, which its own texts hold. */
#include "editor_ui.h"

#include "convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES (256u << 20) /* of all pictures that are kept */

const cpl_event *editor_result(const editor *e) { return e->results.count ? &e->results.list[e->results.shown] : NULL; }

static size_t bytes_of(const cpl_event *result) {
    return (size_t)result->image->width * (size_t)result->image->height * 3;
}

static void drop_oldest(results *r) {
    cpl_event_clear(&r->list[0]);
    memmove(r->list, r->list + 1, sizeof r->list[0] * (size_t)(r->count - 1));
    r->count--;
    r->compared = r->compared > 0 ? r->compared - 1 : -1;
}

void editor_results_add(editor *e, cpl_event *event) {
    results *r = &e->results;
    size_t bytes = bytes_of(event);
    for (int i = 0; i < r->count; i++) bytes += bytes_of(&r->list[i]);
    while (r->count && (r->count == RESULTS || bytes > MOST_BYTES)) {
        bytes -= bytes_of(&r->list[0]);
        drop_oldest(r);
    }
    r->list[r->count++] = *event;
    *event = (cpl_event){0}; /* the list has it now */
    r->shown = r->count - 1;
    editor_show_result(e);
}

void editor_results_clear(editor *e) {
    while (e->results.count) drop_oldest(&e->results);
}

/* The layout that made it. */
static cpl_layout *layout_of(const editor *e, const cpl_event *result, cpl_error *error) {
    for (int i = 0; i < result->text_count; i++)
        if (!strcmp(result->texts[i].key, "couplet"))
            return cpl_layout_parse(result->texts[i].value, e->state.layout->directory, "the picture's layout", error);
    return state_refuse(error, "this picture holds no layout"), NULL;
}

/* ---- Regions over the picture ---- */

static void dot(cpl_image *image, int x, int y, const unsigned char rgb[3]) {
    if (x < 0 || y < 0 || x >= image->width || y >= image->height) return;
    memcpy(image->rgb + ((size_t)y * (size_t)image->width + (size_t)x) * 3, rgb, 3);
}

static void frame(cpl_image *image, canvas_rect r, int inset, const unsigned char rgb[3]) {
    int x1 = (int)(r.x1 * image->width) + inset, x2 = (int)(r.x2 * image->width) - 1 - inset;
    int y1 = (int)(r.y1 * image->height) + inset, y2 = (int)(r.y2 * image->height) - 1 - inset;
    for (int x = x1; x <= x2; x++) dot(image, x, y1, rgb), dot(image, x, y2, rgb);
    for (int y = y1; y <= y2; y++) dot(image, x1, y, rgb), dot(image, x2, y, rgb);
}

/* A dark line inside the coloured one keeps both visible on any picture. */
static void draw_regions(cpl_image *image, const cpl_layout *layout) {
    static const unsigned char black[3] = {0, 0, 0};
    int width = 1 + (image->width < image->height ? image->width : image->height) / 256;
    canvas_view view = {
        .layout = layout, .count = layout->region_count, .selected = -1, .step = 16, .columns = 1, .rows = 1};
    for (int i = 0; i < layout->region_count; i++) {
        canvas_rect r;
        if (layout->mode == CPL_MODE_MASK || !canvas_shape(&view, i, &r)) continue;
        for (int w = 0; w < width; w++) frame(image, r, w, theme_palette[canvas_color(layout, i)]);
        frame(image, r, width, black);
    }
}

static cpl_image *picture_of(const editor *e, int index) {
    const cpl_event *result = &e->results.list[index];
    cpl_image *image = cpl_image_copy(result->image, NULL);
    cpl_layout *layout = image && e->results.overlay ? layout_of(e, result, NULL) : NULL;
    if (layout) draw_regions(image, layout);
    cpl_layout_free(layout);
    return image;
}

/* ---- Two beside each other ---- */

static void copy_into(cpl_image *to, const cpl_image *from, int left) {
    for (int y = 0; y < from->height && y < to->height; y++)
        memcpy(to->rgb + ((size_t)y * (size_t)to->width + (size_t)left) * 3,
               from->rgb + (size_t)y * (size_t)from->width * 3, (size_t)from->width * 3);
}

static cpl_image *beside(cpl_image *a, cpl_image *b) {
    int gap = a && b ? 1 + a->width / 64 : 0;
    cpl_image *same = a && b && a->height != b->height
                          ? picture_scale(b, (int)((double)b->width * a->height / b->height + 0.5), a->height)
                          : NULL;
    const cpl_image *right = same ? same : b;
    cpl_image *both = a && b ? cpl_image_new(a->width + gap + right->width, a->height, NULL) : NULL;
    if (both) {
        copy_into(both, a, 0);
        copy_into(both, right, a->width + gap);
    }
    cpl_image_free(same);
    cpl_image_free(a);
    cpl_image_free(b);
    return both;
}

/* ---- What is shown ---- */

void editor_show_result(editor *e) {
    const results *r = &e->results;
    e->map = false;
    if (!r->count) {
        preview_none(&e->preview);
        return;
    }
    cpl_image *image = picture_of(e, r->shown);
    if (r->compared >= 0 && r->compared != r->shown) image = beside(picture_of(e, r->compared), image);
    if (image) preview_show(&e->preview, e->term, image, false, image->width, image->height);
    editor_backdrop_picture(e);
    e->changed = true;
}

static bool have_results(editor *e) {
    if (!e->results.count) editor_say(e, TONE_ERROR, "there is no picture yet: g makes one");
    return e->results.count > 0;
}

void editor_go_result(editor *e, int by) {
    results *r = &e->results;
    if (!have_results(e)) return;
    int to = r->shown + by;
    r->shown = to < 0 ? 0 : to >= r->count ? r->count - 1 : to;
    editor_show_result(e);
}

void editor_compare(editor *e) {
    results *r = &e->results;
    if (!have_results(e)) return;
    bool on = r->compared < 0;
    r->compared = on ? r->shown : -1;
    editor_show_result(e);
    if (!on)
        editor_say(e, TONE_INFO, "one picture again");
    else if (r->count == 1)
        editor_say(e, TONE_INFO, "the next picture will stand beside this one");
    else
        editor_say(e, TONE_INFO, "{ and } choose the picture beside this one; C ends it");
}

void editor_toggle_overlay(editor *e) {
    if (!have_results(e)) return;
    e->results.overlay = !e->results.overlay;
    editor_show_result(e);
}

/* Like any edit: u goes back to what was there. */
void editor_take_result(editor *e) {
    cpl_error error = {0};
    const cpl_event *result = editor_result(e);
    if (!have_results(e)) return;
    cpl_layout *layout = layout_of(e, result, &error);
    if (layout && !convert_name_as(layout, e->state.layout, &error)) {
        cpl_layout_free(layout);
        layout = NULL;
    }
    if (!layout || !state_commit(&e->state, layout, true, &error)) {
        editor_say_error(e, &error);
        return;
    }
    editor_edited(e);
    editor_say(e, TONE_INFO, "the layout of the picture with seed %lld is back: u undoes that",
               (long long)result->seed);
}

/* ---- The strip below the picture ---- */

bool editor_strip_shown(const editor *e) { return e->results.count > 1 && windows_inside(e->windows.picture).rows > 8; }

static int strip_text(const editor *e, int index, char text[32]) {
    snprintf(text, 32, "%lld", (long long)e->results.list[index].seed);
    return text_columns(text);
}

/* The first result of those that fit, so that the shown one is among them. */
static int first_shown(const editor *e, int columns) {
    char text[32];
    int used = 0, first = e->results.shown;
    for (int i = e->results.shown; i >= 0; i--) {
        used += strip_text(e, i, text) + 3;
        if (used > columns && i < e->results.shown) break;
        first = i;
    }
    return first;
}

/* Draws the strip, or with `at` looks up which result stands in that column. -1: none. */
static int strip(const editor *e, int at) {
    window in = windows_inside(e->windows.picture);
    int row = in.row + in.rows - 1, end = in.column + in.columns - 1, column = in.column + 1;
    column += at < 0 ? draw_text(&e->theme, row, column, end - column, theme_ink(&e->theme, STYLE_DIM), "seeds") : 5;
    column += 2;
    for (int i = first_shown(e, end - column); i < e->results.count; i++) {
        char text[32];
        int width = strip_text(e, i, text);
        if (column + width > end) break;
        if (at >= column && at < column + width) return i;
        style with = i == e->results.shown ? STYLE_CURSOR : i == e->results.compared ? STYLE_KEY : STYLE_TEXT;
        if (at < 0) draw_text(&e->theme, row, column, width, theme_ink(&e->theme, with), text);
        column += width + 3;
    }
    return -1;
}

void editor_draw_strip(const editor *e) {
    if (editor_strip_shown(e)) strip(e, -1);
}

void editor_press_strip(editor *e, int row, int column) {
    window in = windows_inside(e->windows.picture);
    if (!editor_strip_shown(e) || row != in.row + in.rows - 1) return;
    int index = strip(e, column);
    if (index >= 0) editor_go_result(e, index - e->results.shown);
}
