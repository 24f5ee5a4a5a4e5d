/* preview.c: keeps one image on the screen. It paints over and never clears first, paints only what changed or was drawn
 * on, and removes old copies with spaces, because a terminal brings images back that were erased in any other way.
 * It does not know what a layout is, and whether the picture is a current one. */
#include "preview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REST_MS 300 /* a large final picture waits for this long without keys */
#define LARGE_BYTES (48 * 1024)
#define ROUGH_MS 30 /* what a step preview may cost the line: a key has to wait for all that is on its way */
#define ROUGH_SIDE 512
#define LEVELS 4
#define TRY_AGAIN 10 /* previews later */

bool preview_start(preview *p, const term_caps *caps, cpl_error *error) {
    *p = (preview){0};
    if (!caps->sixel) return true;
    p->encoder = picture_encoder_new(error);
    return p->encoder != NULL;
}

void preview_clear(preview *p) {
    picture_encoder_free(p->encoder);
    cpl_image_free(p->image);
    picture_sixel_clear(&p->sixel);
    free(p->cells);
    *p = (preview){0};
}

static void forget_cells(preview *p) {
    free(p->cells);
    p->cells = NULL;
}

void preview_adapt(preview *p, const term_caps *caps) {
    if (caps->sixel && !p->encoder) p->encoder = picture_encoder_new(NULL);
    if (caps->sixel || !p->encoder) return;
    picture_encoder_free(p->encoder);
    picture_sixel_clear(&p->sixel);
    p->encoder = NULL;
    p->ready = false;
}

/* The pixels of the pane that this picture takes, and with few pixels how many whole cells. */
static window target(const preview *p, const term_caps *caps) {
    int columns = (p->width_px + caps->cell_width - 1) / caps->cell_width;
    int rows = (p->height_px + caps->cell_height - 1) / caps->cell_height;
    if (columns > p->area.columns) columns = p->area.columns;
    if (rows > p->area.rows) rows = p->area.rows;
    return (window){p->area.row + (p->area.rows - rows) / 2, p->area.column + (p->area.columns - columns) / 2, rows,
                    columns};
}

/* As many pixels of the pane as these proportions allow. */
static void fill(const preview *p, const term_caps *caps, int width, int height, int *width_px, int *height_px) {
    const cpl_image large = {.width = width * 64, .height = height * 64};
    picture_fit(&large, caps, p->area.columns, p->area.rows, width_px, height_px);
}

/* Whole factors show every pixel alike, but where they leave more than an eighth of the width empty a picture that fills it
 * is better. */
static void fit(const preview *p, const term_caps *caps, int *width, int *height) {
    int whole_width, whole_height;
    picture_fit(p->image, caps, p->area.columns, p->area.rows, &whole_width, &whole_height);
    fill(p, caps, p->image->width, p->image->height, width, height);
    if (whole_width >= *width * 7 / 8) *width = whole_width, *height = whole_height;
}

/* An enlargement by a broken factor: whole pixels first, then averaged down, so that no pixel is twice as wide as its
 * neighbour. NULL: the encoder scales well by itself. */
static cpl_image *smooth_source(const cpl_image *image, int width) {
    if (width <= image->width || width % image->width == 0) return NULL;
    int factor = width / image->width + 2;
    return picture_scale(image, image->width * factor, image->height * factor);
}

static void request(preview *p, const term_caps *caps) {
    if (!p->encoder || !p->image || !p->area.rows) return;
    int width, height;
    fit(p, caps, &width, &height);
    int colors = p->rough ? 32 : 256;
    for (int i = 0;
         p->rough && (i < p->level || width > ROUGH_SIDE || height > ROUGH_SIDE) && width > 48 && height > 48; i++)
        width /= 2, height = height / 12 * 6, colors = 16;
    if (colors > caps->sixel_registers) colors = caps->sixel_registers;
    if (width < 1 || height < 1) return;
    p->width_px = width;
    p->height_px = height;
    p->ready = false;
    cpl_image *smooth = p->rough || p->drawing ? NULL : smooth_source(p->image, width);
    picture_encoder_put(p->encoder, smooth ? smooth : p->image, width, height, colors < 16 ? 16 : colors,
                        !p->rough && !p->drawing, ++p->wanted);
    cpl_image_free(smooth);
}

static void show(preview *p, term *t, cpl_image *image, bool rough, int width, int height) {
    /* A frame that the line cannot take in time is left out; the next step brings another. */
    bool trial = p->level >= LEVELS && ++p->left_out > TRY_AGAIN;
    if (rough && p->encoder && (!term_drained(t) || (p->level >= LEVELS && !trial))) {
        cpl_image_free(image);
        return;
    }
    if (rough && width > 0 && height > 0 && (image->width != width || image->height != height)) {
        /* Enlarged to the size of the picture that is coming, so that it takes just the same place on the screen. */
        double shrink = width > height ? (double)ROUGH_SIDE / width : (double)ROUGH_SIDE / height;
        if (shrink > 1) shrink = 1;
        cpl_image *large = picture_scale(image, (int)(width * shrink + 0.5), (int)(height * shrink + 0.5));
        cpl_image_free(image);
        image = large;
    }
    if (!image) return;
    cpl_image_free(p->image);
    if (!rough && !p->encoder) term_look_again(t);
    p->image = image;
    p->rough = rough;
    if (!rough) p->level = 0;
    p->trial = rough && trial;
    if (trial) p->left_out = 0;
    forget_cells(p);
    request(p, term_capabilities(t));
}

void preview_show(preview *p, term *t, cpl_image *image, bool rough, int width, int height) {
    p->drawing = false;
    show(p, t, image, rough, width, height);
}

void preview_show_drawing(preview *p, term *t, cpl_image *image) {
    p->drawing = true;
    show(p, t, image, false, image->width, image->height);
}

bool preview_drawing_size(const preview *p, const term_caps *caps, int width, int height, int *width_px,
                          int *height_px) {
    if (!p->encoder || !p->area.rows || width < 1 || height < 1) return false;
    fill(p, caps, width, height, width_px, height_px);
    return *width_px > 0 && *height_px > 0;
}

void preview_none(preview *p) {
    cpl_image_free(p->image);
    p->image = NULL;
    p->rough = p->ready = false;
    p->wanted++; /* what the encoder is at is not wanted any more */
    forget_cells(p);
}

static bool same_window(window a, window b) {
    return a.row == b.row && a.column == b.column && a.rows == b.rows && a.columns == b.columns;
}

bool preview_place(preview *p, const term_caps *caps, window area) {
    if (same_window(p->area, area)) return false;
    bool shown_before = p->area.rows > 0;
    bool moved_only = shown_before && area.rows == p->area.rows && area.columns == p->area.columns;
    p->area = area;
    if (!moved_only) {
        forget_cells(p);
        request(p, caps);
    }
    p->stale = true;
    return !moved_only;
}

void preview_hide(preview *p, bool hidden) {
    if (p->hidden && !hidden) p->stale = true;
    p->hidden = hidden;
}

void preview_lost(preview *p) {
    p->painted = (window){0};
    p->area = (window){0}; /* the cells may have another size now: fit and encode anew */
    p->stale = true;
}

static bool too_heavy(const term *t, size_t bytes) { return bytes > term_link_bytes(t, ROUGH_MS); }

void preview_collect(preview *p, const term *t) {
    picture_sixel sixel = {0};
    uint64_t tag;
    while (p->encoder && picture_encoder_take(p->encoder, &sixel, &tag)) {
        bool heavy = p->rough && !p->trial && too_heavy(t, sixel.size);
        if (p->trial && tag == p->wanted) p->level = LEVELS - 1;
        if (tag != p->wanted || !sixel.size || heavy) {
            if (heavy && tag == p->wanted) p->level++;
            picture_sixel_clear(&sixel);
            continue;
        }
        picture_sixel_clear(&p->sixel);
        p->sixel = sixel;
        p->ready = true;
        p->rough_sixel = p->rough;
        p->stale = true;
    }
}

int preview_level(const preview *p) { return p->level; }

static bool within(window inner, window outer) {
    return inner.row >= outer.row && inner.column >= outer.column && inner.row + inner.rows <= outer.row + outer.rows &&
           inner.column + inner.columns <= outer.column + outer.columns;
}

/* ncurses takes these cells for blank, so real spaces change nothing for it. */
static void blank_painted(preview *p, term *t) {
    char spaces[512], place[64];
    memset(spaces, ' ', sizeof spaces);
    term_write(t, "\0337\033[m", 5);
    for (int r = 0; r < p->painted.rows; r++) {
        int left = p->painted.columns;
        snprintf(place, sizeof place, "\033[%d;%dH", p->painted.row + r + 1, p->painted.column + 1);
        term_write(t, place, strlen(place));
        for (; left > 0; left -= (int)sizeof spaces) term_write(t, spaces, left < 512 ? (size_t)left : sizeof spaces);
    }
    term_write(t, "\0338", 2);
    p->painted = (window){0};
    p->stale = true;
}

void preview_erase(preview *p, term *t) {
    /* Inside the pane an old picture stays until the new one is ready to cover it. */
    bool stays = !p->hidden && p->area.rows && p->image && within(p->painted, p->area);
    if (p->painted.rows && !stays) blank_painted(p, t);
}

/* Milliseconds that the picture still has to wait for keys to rest. */
static int64_t wait_ms(const preview *p, int64_t rest_ms) {
    bool large = !p->rough_sixel && p->sixel.size > LARGE_BYTES;
    return large && rest_ms < REST_MS ? REST_MS - rest_ms : 0;
}

void preview_paint(preview *p, term *t, int64_t rest_ms) {
    if (p->hidden || !p->stale || !p->ready || !p->area.rows || !term_drained(t) || wait_ms(p, rest_ms) > 0) return;
    window where = target(p, term_capabilities(t));
    if (p->painted.rows && !within(p->painted, where)) blank_painted(p, t);
    p->painted = where; /* also when a key cuts it short: something of it is there */
    if (!picture_paint(t, &p->sixel, where.row, where.column)) return;
    term_mark(t);
    p->stale = false;
}

int preview_timeout(const preview *p, const term *t, int64_t rest_ms) {
    if (p->hidden || !p->stale || !p->ready || !p->area.rows) return -1;
    if (!term_drained(t)) return 20;
    int64_t wait = wait_ms(p, rest_ms);
    return wait > 0 ? (int)wait : 10;
}

/* ---- The fallback ---- */

static bool make_cells(preview *p, const term_caps *caps) {
    if (p->cells && p->cells_columns == p->area.columns && p->cells_rows == p->area.rows) return true;
    forget_cells(p);
    p->cells = calloc((size_t)p->area.columns * (size_t)p->area.rows, sizeof *p->cells);
    p->cells_columns = p->area.columns;
    p->cells_rows = p->area.rows;
    if (p->cells &&
        picture_cells(p->image, caps, p->area.columns, p->area.rows, p->cells, &p->used_columns, &p->used_rows))
        return true;
    forget_cells(p);
    return false;
}

static void draw_cell(const theme *t, int row, int column, const picture_cell *cell) {
    char shade[2] = {cell->shade, '\0'};
    if (!t->colors)
        draw_glyph(t, row, column, theme_ink(t, STYLE_TEXT), shade);
    else if (t->utf8)
        draw_glyph(t, row, column, theme_rgb(t, cell->top, cell->bottom, false), theme_glyph(t, GLYPH_HALF));
    else
        draw_glyph(t, row, column, theme_rgb(t, NULL, cell->top, false), " ");
}

void preview_draw(preview *p, const theme *t, const term_caps *caps) {
    if (p->encoder || !p->image || !p->area.rows || !make_cells(p, caps)) return;
    int top = p->area.row + (p->area.rows - p->used_rows) / 2,
        left = p->area.column + (p->area.columns - p->used_columns) / 2;
    for (int r = 0; r < p->used_rows; r++)
        for (int c = 0; c < p->used_columns; c++) draw_cell(t, top + r, left + c, &p->cells[r * p->cells_columns + c]);
}
