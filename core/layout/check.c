/* check.c: what only a whole layout shows: counts, coverage, keys that contradict each other or do nothing. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "compose.h"
#include "fields.h"
#include "lines.h"
#include "loras.h"
#include "resolve.h"
#include "shapes.h"
#include "words.h"

typedef struct checker {
    const cpl_layout *layout;
    int width, height;
    int background;     /* row of the background line, or -1 */
    cpl_problems *list; /* NULL: only the first error is wanted */
    int room, errors;
    cpl_fault *first;
} checker;

/* Errors stand before warnings. Without memory for the list the first error is still kept. */
static void put(checker *c, bool warning, const cpl_fault *fault) {
    if (!warning && c->errors++ == 0) *c->first = *fault;
    if (!c->list || !cpl_grow((void **)&c->list->list, &c->room, c->list->count + 1, sizeof(cpl_problem), NULL)) return;
    cpl_problem *list = c->list->list;
    int at = c->list->count++;
    for (; !warning && at > 0 && list[at - 1].warning; at--) list[at] = list[at - 1];
    list[at] = (cpl_problem){warning, fault->error};
}

static bool put_error(void *user, cpl_fault *fault) {
    put(user, false, fault);
    return true;
}

__attribute__((format(printf, 6, 0))) static void put_words(checker *c, bool warning, cpl_reason reason, int row,
                                                            const char *path, const char *format, va_list args) {
    char words[sizeof c->first->error.message];
    cpl_fault fault = {0};
    vsnprintf(words, sizeof words, format, args);
    cpl_fault_set(&fault, reason, row, path, "%s", words);
    put(c, warning, &fault);
}

__attribute__((format(printf, 4, 5))) static void warn(checker *c, int row, const char *path, const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_words(c, true, CPL_REASON_OTHER, row, path, format, args);
    va_end(args);
}

__attribute__((format(printf, 5, 6))) static void fail(checker *c, cpl_reason reason, int row, const char *path,
                                                       const char *format, ...) {
    va_list args;
    va_start(args, format);
    put_words(c, false, reason, row, path, format, args);
    va_end(args);
}

static void row_path(char path[64], int row, const char *key) {
    snprintf(path, 64, "regions[%d]%s%s", row, *key ? "." : "", key);
}

/* A terminal would obey them, and no text encoder knows them. */
static void check_text(checker *c, int row, const char *path, const char *text) {
    unsigned control = cpl_control_in(text);
    if (control) fail(c, CPL_REASON_OTHER, row, path, "holds the control character U+%04X; remove it", control);
}

static void check_texts(checker *c) {
    check_text(c, -1, "prompt", c->layout->prompt);
    check_text(c, -1, "negative", c->layout->negative);
    check_text(c, -1, "background.prompt", c->layout->background_prompt);
    for (int row = 0; row < c->layout->region_count; row++) {
        char path[64];
        row_path(path, row, "prompt");
        check_text(c, row, path, c->layout->regions[row].prompt);
        row_path(path, row, "negative");
        check_text(c, row, path, c->layout->regions[row].negative);
    }
}

/* Things that stand in a row but cannot work there. */
static void check_row(checker *c, int row) {
    const cpl_layout *layout = c->layout;
    const cpl_region *region = &layout->regions[row];
    char path[64];
    row_path(path, row, "");
    cpl_fields_check(&cpl_region_object, region, row, path, put_error, c);
    if (layout->prompt && region->prompt) {
        row_path(path, row, "prompt");
        fail(c, CPL_REASON_OTHER, row, path, "the layout has one \"prompt\" for all lines; remove that or this one");
    }
    if (row == c->background && region->weight != 1) {
        row_path(path, row, "weight");
        fail(c, CPL_REASON_OTHER, row, path, "this row is the background line; set background.weight instead");
    }
    if (layout->mode == CPL_MODE_MASK && row != c->background && !region->mask) {
        row_path(path, row, "mask");
        if (region->mask_source)
            fail(c, CPL_REASON_OTHER, row, path, "\"%.100s\" was not read; load the layout again", region->mask_source);
        else
            fail(c, CPL_REASON_OTHER, row, path, "is missing; in mask mode each row names a PNG file");
    }
    if (layout->mode == CPL_MODE_BASIC && row != c->background && region->weight != 1) {
        row_path(path, row, "weight");
        warn(c, row, path, "does nothing in basic mode, where all tiles weigh the same");
    }
}

static const char *plural(int count, const char *one, const char *many) { return count == 1 ? one : many; }

static void check_counts(checker *c, int lines) {
    const cpl_layout *layout = c->layout;
    int rows = layout->region_count, least = layout->background == CPL_BACKGROUND_NONE ? 2 : 3;
    const char *path = layout->prompt ? "prompt" : "regions";
    cpl_fault fault = {.have = lines, .need = layout->mode == CPL_MODE_BASIC ? least : rows};
    if (layout->mode == CPL_MODE_BASIC) {
        if (lines >= least && rows && lines != rows)
            warn(c, -1, path, "gives %d lines, but there are %d regions; the lines count", lines, rows);
        if (lines >= least) return;
        cpl_fault_set(&fault, CPL_REASON_TOO_FEW_LINES, -1, path,
                      "basic mode needs at least %d lines%s, there %s %d; add %s", least,
                      least == 3 ? " (one is the background)" : "", plural(lines, "is", "are"), lines,
                      plural(least - lines, "one", "some"));
    } else if (rows == 0) {
        cpl_fault_set(&fault, CPL_REASON_NO_REGIONS, -1, "regions", "there are none; add one");
    } else if (lines != rows) {
        cpl_fault_set(&fault, CPL_REASON_COUNT_MISMATCH, -1, path, "gives %d %s for %d %s; make them as many", lines,
                      plural(lines, "line", "lines"), rows, plural(rows, "region", "regions"));
    } else {
        return;
    }
    put(c, false, &fault);
}

static void check_loras(checker *c) {
    cpl_lora_uses uses;
    cpl_fault fault = {.reason = CPL_REASON_OTHER};
    for (int i = 0; i < c->layout->lora_count; i++) {
        char path[64];
        snprintf(path, sizeof path, "loras[%d]", i);
        cpl_fields_check(&cpl_lora_object, &c->layout->loras[i], -1, path, put_error, c);
    }
    if (!cpl_layout_loras(c->layout, &uses, &fault.error)) put(c, false, &fault);
    cpl_lora_uses_clear(&uses);
}

/* AND asks for whole pictures that are weighed against each other; a part of one cannot be. */
static void check_compositions(checker *c, const cpl_lines *lines) {
    for (int i = 0; c->layout->schedules && lines->count > 1 && i < lines->count; i++) {
        char path[64];
        snprintf(path, sizeof path, c->layout->prompt ? "prompt, line %d" : "regions[%d].prompt",
                 c->layout->prompt ? i + 1 : i);
        if (cpl_parts_any(lines->line[i]))
            fail(c, CPL_REASON_OTHER, i < c->layout->region_count ? i : -1, path,
                 "AND composes whole pictures and cannot stand in one of several lines; take it out, or set "
                 "\"schedules\" to false to have it read as a word");
    }
}

static void check_cover(checker *c, const cpl_shape *shapes, int lines) {
    cpl_cover cover;
    cpl_fault fault = {.reason = CPL_REASON_OTHER};
    if (!cpl_shapes_cover(shapes, lines, c->width, c->height, &cover, &fault.error)) {
        put(c, false, &fault);
    } else if (cover.share < 1 && c->layout->uncovered == CPL_UNCOVERED_ERROR) {
        fail(c, CPL_REASON_NOT_COVERED, -1, "regions",
             "%.3g %% of the canvas has no region, within x %.3f to %.3f, y %.3f to %.3f; widen a region, add a "
             "background "
             "or set \"uncovered\": \"fill\"",
             fmax(100 * (1 - cover.share), 0.001), (double)cover.x0 / c->width, (double)cover.x1 / c->width,
             (double)cover.y0 / c->height, (double)cover.y1 / c->height);
    }
}

static void warn_extra(checker *c, const cpl_object *object, const cJSON *extra, int row, const char *parent) {
    for (const cJSON *item = extra ? extra->child : NULL; item; item = item->next) {
        int index;
        char path[64];
        if (object->kept && cpl_name_find(object->kept, item->string, &index)) continue;
        snprintf(path, sizeof path, "%.40s%s%.20s", parent, *parent ? "." : "", item->string);
        warn(c, row, path, "this key is not known; it is kept, but does nothing");
    }
}

/* Keys of nested objects lie beside the layout's own. */
static void warn_unknown_keys(checker *c) {
    static const cpl_object inner = {0};
    const cpl_layout *layout = c->layout;
    warn_extra(c, &cpl_layout_object, layout->extra, -1, "");
    warn_extra(c, &inner, layout->extra_canvas, -1, "canvas");
    warn_extra(c, &inner, layout->extra_background, -1, "background");
    warn_extra(c, &inner, layout->extra_common, -1, "common");
    warn_extra(c, &inner, layout->extra_img2img, -1, "img2img");
    warn_extra(c, &inner, layout->extra_hires, -1, "hires");
    warn_extra(c, &cpl_sampling_object, layout->sampling.extra, -1, "sampling");
    for (int i = 0; i < layout->lora_count; i++) {
        char path[64];
        snprintf(path, sizeof path, "loras[%d]", i);
        warn_extra(c, &cpl_lora_object, layout->loras[i].extra, -1, path);
    }
    for (int i = 0; i < layout->region_count; i++) {
        char path[64];
        row_path(path, i, "");
        warn_extra(c, &cpl_region_object, layout->regions[i].extra, i, path);
    }
}

static void warn_settings(checker *c) {
    const cpl_layout *layout = c->layout;
    if (layout->mode == CPL_MODE_ADVANCED && layout->background != CPL_BACKGROUND_NONE)
        warn(c, -1, "background.line", "does nothing in advanced mode; add a region over the whole canvas instead");
    else if (layout->background != CPL_BACKGROUND_NONE && layout->background_weight < 0.1)
        warn(c, -1, "background.weight", "%g acts as 0.1, which is the least", layout->background_weight);
    if (layout->background_prompt && layout->uncovered == CPL_UNCOVERED_ERROR)
        warn(c, -1, "background.prompt", "does nothing without \"uncovered\": \"fill\"");
}

static bool is_empty(const cpl_shape *shape) {
    return shape->kind == CPL_SHAPE_RECT && (shape->x0 >= shape->x1 || shape->y0 >= shape->y1);
}

static void warn_lines(checker *c, const cpl_lines *lines, const cpl_shape *shapes) {
    bool own = !c->layout->prompt;
    static const char open[] = {[CPL_BRACKETS_CURLY] = '{', [CPL_BRACKETS_ANGLE] = '<', [CPL_BRACKETS_OFF] = '\0'};
    char bracket = open[c->layout->brackets], path[64];
    for (int i = 0; i < lines->count; i++) {
        int row = i < c->layout->region_count ? i : -1;
        snprintf(path, sizeof path, own ? "regions[%d].prompt" : "prompt, line %d", own ? i : i + 1);
        const char *left = bracket ? strchr(lines->line[i], bracket) : NULL;
        if (!*lines->line[i]) warn(c, row, path, "is empty; the region is drawn without words");
        if (left) warn(c, row, path, "\"%.40s\" has no definition; it is taken as plain text", left);
        if (own || c->layout->mode != CPL_MODE_BASIC)
            row_path(path, i, c->layout->mode == CPL_MODE_ADVANCED ? "rect" : "");
        if (is_empty(&shapes[i]))
            warn(c, row, path, "is narrower than a pixel of the canvas and has no effect");
        else if (shapes[i].weight == 0)
            warn(c, row, path, "has weight 0 and no effect");
    }
}

/* What the whole layout shows of a second pass; ranges were looked at. */
static void check_hires(checker *c) {
    const cpl_layout *layout = c->layout;
    double most = layout->hires_scale * (c->width > c->height ? c->width : c->height);
    if (!(layout->hires_scale > 1) || !(layout->hires_scale <= CPL_MAX_HIRES)) return;
    if (layout->init_image && *layout->init_image)
        fail(c, CPL_REASON_OTHER, -1, "hires.scale",
             "a run that begins with a picture has no second pass; set it to 1, or remove img2img.image");
    if (most > CPL_MAX_SIDE)
        fail(c, CPL_REASON_OTHER, -1, "hires.scale", "%g makes %dx%d larger than %d pixels a side; take less of it",
             layout->hires_scale, c->width, c->height, CPL_MAX_SIDE);
}

static void check_all(checker *c, const cpl_defaults *defaults, bool coverage) {
    const cpl_layout *layout = c->layout;
    cpl_lines lines = {0};
    cpl_fault fault = {.reason = CPL_REASON_OTHER};
    c->background = cpl_layout_background_row(layout);
    cpl_layout_size(layout, defaults, &c->width, &c->height);
    for (int i = 0; i < layout->region_count; i++) check_row(c, i);
    check_texts(c);
    cpl_fields_check(&cpl_layout_object, layout, -1, "", put_error, c);
    cpl_fields_check(&cpl_sampling_object, &layout->sampling, -1, "sampling", put_error, c);
    check_loras(c);
    check_hires(c);
    if (cpl_layout_lines(layout, &lines, &fault.error)) {
        check_counts(c, lines.count);
        check_compositions(c, &lines);
    } else {
        put(c, false, &fault);
    }
    if (c->list) {
        warn_settings(c);
        warn_unknown_keys(c);
    }
    if (!c->errors && (coverage || c->list)) {
        cpl_shape *shapes = cpl_shapes_new(layout, c->width, c->height, lines.count, &fault.error);
        if (!shapes) put(c, false, &fault);
        if (shapes && coverage) check_cover(c, shapes, lines.count);
        if (shapes && c->list) warn_lines(c, &lines, shapes);
        free(shapes);
    }
    cpl_lines_clear(&lines);
}

bool cpl_layout_verify(const cpl_layout *layout, const cpl_defaults *defaults, bool coverage, cpl_fault *fault) {
    *fault = (cpl_fault){0};
    checker c = {.layout = layout, .first = fault};
    check_all(&c, defaults, coverage);
    return c.errors == 0;
}

bool cpl_layout_check(const cpl_layout *layout, const cpl_defaults *defaults, cpl_problems *problems) {
    cpl_fault first = {0};
    *problems = (cpl_problems){0};
    checker c = {.layout = layout, .list = problems, .first = &first};
    check_all(&c, defaults, true);
    return c.errors == 0;
}

void cpl_problems_clear(cpl_problems *problems) {
    free(problems->list);
    *problems = (cpl_problems){0};
}
