/* tiles.c: a prompt for each tile of the canvas, for upscalers that work tile by tile; Forge Couple's rules. Regions are laid on
 * a square of fixed size whatever the canvas is, and their weights play no part. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "builder.h"
#include "lines.h"
#include "loras.h"
#include "reason.h"
#include "shapes.h"
#include "words.h"

enum { SIDE = 1024 };

typedef struct tiling {
    const cpl_layout *layout;
    int columns, rows;
    double threshold;
    cpl_lines lines;   /* of the regions, without the background's */
    char *background;  /* owned, NULL: there is none */
    int background_at; /* among all lines */
    cpl_shape *shapes; /* owned, of the regions */
    int *counts;       /* owned: pixels of region i in tile t at [i * tiles + t] */
    cpl_error *error;
} tiling;

/* ---- Which part of a region lies in a tile ---- */

/* The last column and row reach to the edge. */
static int tile_of(int pixel, int tiles) {
    int size = SIDE / tiles, tile = pixel / size;
    return tile < tiles ? tile : tiles - 1;
}

/* Columns or rows of equal width; not rounded as the masks of a picture are. */
static void lay_tiles(const tiling *t) {
    int count = t->lines.count;
    for (int i = 0; i < count; i++) {
        int from = (int)(SIDE * ((double)i / count)), to = (int)(SIDE * ((double)(i + 1) / count));
        cpl_shape *s = &t->shapes[i];
        *s = (cpl_shape){.kind = CPL_SHAPE_RECT, .x1 = SIDE, .y1 = SIDE};
        *(t->layout->direction == CPL_HORIZONTAL ? &s->x0 : &s->y0) = from;
        *(t->layout->direction == CPL_HORIZONTAL ? &s->x1 : &s->y1) = to;
    }
}

static bool find_shapes(tiling *t) {
    int lines = t->lines.count, at = t->background_at;
    t->shapes = cpl_shapes_new(t->layout, SIDE, SIDE, lines + (t->background ? 1 : 0), t->error);
    if (!t->shapes) return false;
    if (t->background) memmove(t->shapes + at, t->shapes + at + 1, (size_t)(lines - at) * sizeof *t->shapes);
    if (t->layout->mode == CPL_MODE_BASIC) lay_tiles(t);
    for (int i = 0; i < lines; i++) {
        t->shapes[i].weight = 1;
        t->shapes[i].soft_x = t->shapes[i].soft_y = 0;
    }
    return true;
}

/* Only what is painted whole is inside. */
static bool count_pixels(tiling *t, int region, const int *xs, float *values) {
    int *count = t->counts + (size_t)region * (size_t)(t->columns * t->rows);
    cpl_shape_reader *reader = cpl_shape_open(&t->shapes[region], SIDE, SIDE, xs, SIDE, t->error);
    for (int y = 0; reader && y < SIDE; y++) {
        cpl_shape_row(reader, y, values);
        for (int x = 0; x < SIDE; x++)
            count[tile_of(y, t->rows) * t->columns + tile_of(x, t->columns)] += values[x] >= 1;
    }
    cpl_shape_close(reader);
    return reader;
}

static bool count_all(tiling *t) {
    size_t tiles = (size_t)t->columns * (size_t)t->rows;
    int *xs = cpl_alloc(SIDE, sizeof *xs, t->error);
    float *values = cpl_alloc(SIDE, sizeof *values, t->error);
    t->counts = cpl_alloc((size_t)t->lines.count * tiles, sizeof *t->counts, t->error);
    bool done = xs && values && t->counts;
    for (int x = 0; done && x < SIDE; x++) xs[x] = x;
    for (int i = 0; done && i < t->lines.count; i++) done = count_pixels(t, i, xs, values);
    free(values);
    free(xs);
    return done;
}

static bool is_in(const tiling *t, int region, int tile) {
    int tiles = t->columns * t->rows, all = 0;
    const int *count = t->counts + (size_t)region * (size_t)tiles;
    for (int i = 0; i < tiles; i++) all += count[i];
    return all > 0 && (double)count[tile] / all >= t->threshold;
}

/* ---- Replacing words ---- */

/* "goal: tag, tag": tag becomes goal. */
typedef struct rule {
    char *tag, *goal; /* owned */
} rule;

typedef struct rules {
    rule *list;
    int count, room;
} rules;

static void clear_rules(rules *r) {
    for (int i = 0; i < r->count; i++) {
        free(r->list[i].tag);
        free(r->list[i].goal);
    }
    free(r->list);
}

/* A tag that is named twice keeps its place and takes the last goal. */
static bool add_rule(rules *r, const char *tag, const char *goal, cpl_error *error) {
    if (!*tag)
        return cpl_fail(error, CPL_E_INPUT, "the rule \"%.60s: ...\" replaces an empty text; take the last comma away",
                        goal);
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->list[i].tag, tag) == 0) return cpl_text_set(&r->list[i].goal, goal, error);
    if (!cpl_grow((void **)&r->list, &r->room, r->count + 1, sizeof *r->list, error)) return false;
    rule *made = &r->list[r->count++];
    *made = (rule){cpl_strdup(tag, error), cpl_strdup(goal, error)};
    return made->tag && made->goal;
}

/* Lines without exactly one colon are none. `line` is changed. */
static bool read_rule(rules *r, char *line, cpl_error *error) {
    char *colon = strchr(line, ':'), *tag;
    bool done = true;
    if (!colon || strchr(colon + 1, ':')) return true;
    *colon = '\0';
    char *tags = colon + 1;
    const char *goal = cpl_strip(line);
    while (done && (tag = strsep(&tags, ","))) done = add_rule(r, cpl_strip(tag), goal, error);
    return done;
}

static bool replace_words(cpl_lines *lines, const char *replace, cpl_error *error) {
    rules all = {0};
    char *text = cpl_strdup(replace, error), *rest = text, *line;
    bool done = text;
    while (done && (line = strsep(&rest, "\n"))) done = read_rule(&all, line, error);
    for (int i = 0; done && i < lines->count; i++)
        for (int k = 0; done && k < all.count; k++)
            done = cpl_replace_all(&lines->line[i], all.list[k].tag, all.list[k].goal, error);
    clear_rules(&all);
    free(text);
    return done;
}

/* ---- The prompts ---- */

static void take_background(tiling *t) {
    cpl_lines *lines = &t->lines;
    /* not cpl_layout_background_row: in basic mode there may be lines without rows */
    if (t->layout->mode == CPL_MODE_ADVANCED || t->layout->background == CPL_BACKGROUND_NONE || !lines->count) return;
    int at = t->layout->background == CPL_BACKGROUND_LAST ? lines->count - 1 : 0;
    t->background = lines->line[at];
    t->background_at = at;
    lines->count--;
    memmove(lines->line + at, lines->line + at + 1, (size_t)(lines->count - at) * sizeof *lines->line);
}

static char *tile_prompt(const tiling *t, int tile) {
    cpl_builder out = {.error = t->error};
    bool any = t->background && !cpl_is_blank(t->background);
    cpl_builder_text(&out, any ? t->background : "");
    for (int i = 0; i < t->lines.count; i++) {
        if (!is_in(t, i, tile)) continue;
        if (any) cpl_builder_text(&out, "\n");
        cpl_builder_text(&out, t->lines.line[i]);
        any = true;
    }
    cpl_loras_put(&out, t->layout);
    return cpl_builder_take(&out);
}

static bool make_prompts(const tiling *t, cpl_lines *tiles) {
    int count = t->columns * t->rows;
    tiles->line = cpl_alloc((size_t)count, sizeof *tiles->line, t->error);
    for (int i = 0; tiles->line && i < count; i++) {
        tiles->line[i] = tile_prompt(t, i);
        if (!tiles->line[i]) return false;
        tiles->count++;
    }
    return tiles->line;
}

bool cpl_layout_tiles(const cpl_layout *layout, int columns, int rows, double threshold, const char *replace,
                      cpl_lines *tiles, cpl_error *error) {
    tiling t = {.layout = layout, .columns = columns, .rows = rows, .threshold = threshold, .error = error};
    *tiles = (cpl_lines){0};
    if (columns < 1 || rows < 1 || columns > CPL_MAX_TILES || rows > CPL_MAX_TILES || columns * rows < 2)
        return cpl_fail(error, CPL_E_INPUT,
                        "%dx%d tiles: there must be at least two, and at most %d in a row or column", columns, rows,
                        CPL_MAX_TILES);
    cpl_fault fault;
    if (!cpl_layout_verify(layout, NULL, false, &fault)) {
        if (error) *error = fault.error;
        return false;
    }
    bool done = cpl_layout_tagged_lines(layout, &t.lines, error);
    if (done) {
        take_background(&t);
        done = (!replace || replace_words(&t.lines, replace, error)) && find_shapes(&t) && count_all(&t) &&
               make_prompts(&t, tiles);
    }
    if (!done) cpl_lines_clear(tiles);
    free(t.counts);
    free(t.shapes);
    free(t.background);
    cpl_lines_clear(&t.lines);
    return done;
}

void cpl_tile_grid(int width, int height, int tile_width, int tile_height, int overlap, int *columns, int *rows) {
    *columns = (int)ceil((double)(width - overlap) / (tile_width - overlap));
    *rows = (int)ceil((double)(height - overlap) / (tile_height - overlap));
}
