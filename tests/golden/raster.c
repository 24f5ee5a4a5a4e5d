/* raster.c: every pixel of every mask, the slow way. */
#include "raster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *need(size_t count, size_t size) {
    void *block = calloc(count ? count : 1, size);
    if (!block) abort();
    return block;
}

static void rectangle(const raster *r, float *mask, int x0, int x1, int y0, int y1, float weight) {
    for (int y = y0; y < y1 && y < r->height; y++)
        for (int x = x0; x < x1 && x < r->width; x++) mask[(size_t)y * (size_t)r->width + (size_t)x] = weight;
}

/* Nearest neighbour with a running sum for the position. */
static void painted(const raster *r, float *mask, const cpl_mask *m, float weight) {
    int mw = cpl_mask_width(m), mh = cpl_mask_height(m);
    const unsigned char *grey = cpl_mask_pixels(m);
    double step_y = (double)mh / r->height, step_x = (double)mw / r->width, at_y = step_y * 0.5;
    for (int y = 0; y < r->height; y++, at_y += step_y) {
        double at_x = step_x * 0.5;
        for (int x = 0; x < r->width; x++, at_x += step_x) {
            int from = mw == r->width && mh == r->height ? y * mw + x : (int)at_y * mw + (int)at_x;
            mask[(size_t)y * (size_t)r->width + (size_t)x] = grey[from] / 255.0f * weight;
        }
    }
}

/* Mean over the pixels of a box around each pixel that lie on the canvas. */
static void soften(const raster *r, float *mask, double feather) {
    int soft_x = (int)(feather * r->width) / 2, soft_y = (int)(feather * r->height) / 2;
    size_t count = (size_t)r->width * (size_t)r->height;
    if (!soft_x && !soft_y) return;
    float *from = need(count, sizeof *from);
    memcpy(from, mask, count * sizeof *from);
    for (int y = 0; y < r->height; y++)
        for (int x = 0; x < r->width; x++) {
            double sum = 0, n = 0;
            for (int v = y - soft_y; v <= y + soft_y; v++)
                for (int u = x - soft_x; u <= x + soft_x; u++) {
                    if (u < 0 || v < 0 || u >= r->width || v >= r->height) continue;
                    sum += from[(size_t)v * (size_t)r->width + (size_t)u];
                    n++;
                }
            mask[(size_t)y * (size_t)r->width + (size_t)x] = (float)(sum / n);
        }
    free(from);
}

static void draw_tile(const raster *r, float *mask, const cpl_layout *layout, int tile, int tiles, float weight) {
    bool columns = layout->direction == CPL_HORIZONTAL;
    int size = columns ? r->width : r->height, each = (int)ceil((double)size / tiles);
    if (columns)
        rectangle(r, mask, tile * each, (tile + 1) * each, 0, r->height, weight);
    else
        rectangle(r, mask, 0, r->width, tile * each, (tile + 1) * each, weight);
}

static void draw_line(const raster *r, const cpl_layout *layout, int line, float *mask) {
    bool background = layout->mode != CPL_MODE_ADVANCED && layout->background != CPL_BACKGROUND_NONE;
    bool first = layout->background == CPL_BACKGROUND_FIRST;
    const cpl_region *region = line < layout->region_count ? &layout->regions[line] : NULL;
    if (background && line == (first ? 0 : r->lines - 1)) {
        double weight = layout->background_weight > 0.1 ? layout->background_weight : 0.1;
        rectangle(r, mask, 0, r->width, 0, r->height, (float)weight);
        return;
    }
    if (layout->mode == CPL_MODE_BASIC)
        draw_tile(r, mask, layout, line - (background && first), r->lines - background, background ? 1.0f : 1.25f);
    else if (!region)
        return;
    else if (layout->mode == CPL_MODE_MASK)
        painted(r, mask, region->mask, (float)region->weight);
    else
        rectangle(r, mask, (int)(r->width * region->x1), (int)(r->width * region->x2), (int)(r->height * region->y1),
                  (int)(r->height * region->y2), (float)region->weight);
    if (region) soften(r, mask, region->feather);
}

raster raster_make(const cpl_layout *layout, int width, int height, int lines, bool fill) {
    raster r = {.width = width, .height = height, .lines = lines, .full = true};
    size_t pixels = (size_t)width * (size_t)height;
    r.raw = need(pixels * (size_t)lines, sizeof *r.raw);
    r.norm = need(pixels * (size_t)(lines + 1), sizeof *r.norm);
    for (int i = 0; i < lines; i++) draw_line(&r, layout, i, r.raw + (size_t)i * pixels);
    for (size_t p = 0; p < pixels; p++) {
        float sum = 0;
        for (int i = 0; i < lines; i++) sum += r.raw[(size_t)i * pixels + p];
        for (int i = 0; i < lines; i++)
            r.norm[(size_t)i * pixels + p] = sum > 0 ? r.raw[(size_t)i * pixels + p] / sum : 0;
        r.norm[(size_t)lines * pixels + p] = sum > 0 ? 0 : 1;
        r.full &= sum > 0;
    }
    r.norm_lines = lines + (fill && !r.full);
    return r;
}

void raster_free(raster *r) {
    free(r->raw);
    free(r->norm);
    *r = (raster){0};
}

static int nearest(int target, int target_size, int size) {
    float step = (float)size / (float)target_size;
    float source = floorf((float)target * step);
    return source < (float)(size - 1) ? (int)source : size - 1;
}

float raster_token(const raster *r, int line, int x, int y, int w, int h) {
    size_t row = (size_t)nearest(y, h, r->height), column = (size_t)nearest(x, w, r->width);
    return r->norm[((size_t)line * (size_t)r->height + row) * (size_t)r->width + column];
}
