/* shapes.c: Forge Couple's unnormalised masks (golden couple/FORMAT.md 1.2) in closed form, plus our soft edges. */
#include "shapes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

struct cpl_shape_reader {
    const cpl_shape *shape; /* borrowed */
    const int *xs;          /* borrowed */
    int width, height, w;
    float *across;        /* RECT: how far each column lies inside, 0..1 */
    int *mask_x, *mask_y; /* PAINTED: which mask pixel each canvas column and row takes */
    uint32_t *column;     /* soft PAINTED: sums over the rows [top, bottom) */
    uint64_t *prefix;     /* of column, width + 1 */
    int top, bottom;
};

int cpl_sample_pixel(int i, int n, int size) {
    float step = (float)size / (float)n;
    int pixel = (int)floorf((float)i * step);
    return pixel < size - 1 ? pixel : size - 1;
}

/* The product is taken in double and truncated: 0.145 * 200 is 28.999..., pixel 28. */
static int edge(double fraction, int size) {
    if (!(fraction > 0)) return 0;
    return fraction < 1 ? (int)((double)size * fraction) : size;
}

static int soft_pixels(double feather, int size) { return edge(feather, size) / 2; }

static void set_rect(cpl_shape *shape, const cpl_region *region, int width, int height) {
    shape->kind = CPL_SHAPE_RECT;
    shape->x0 = edge(region->x1, width);
    shape->x1 = edge(region->x2, width);
    shape->y0 = edge(region->y1, height);
    shape->y1 = edge(region->y2, height);
}

/* Tiles are ceil(size / count) wide: the last may be narrower, or empty. */
static void set_tile(cpl_shape *shape, bool columns, int tile, int tiles, int width, int height) {
    int size = columns ? width : height, step = (size - 1) / tiles + 1;
    int from = tile * step < size ? tile * step : size, to = from + step < size ? from + step : size;
    *shape = (cpl_shape){CPL_SHAPE_RECT, 1.25f, 0, width, 0, height, 0, 0, NULL};
    *(columns ? &shape->x0 : &shape->y0) = from;
    *(columns ? &shape->x1 : &shape->y1) = to;
}

cpl_shape *cpl_shapes_new(const cpl_layout *layout, int width, int height, int lines, cpl_error *error) {
    cpl_shape *shapes = cpl_alloc((size_t)lines, sizeof *shapes, error);
    if (!shapes) return NULL;
    bool background = layout->mode != CPL_MODE_ADVANCED && layout->background != CPL_BACKGROUND_NONE;
    int background_line = !background ? -1 : layout->background == CPL_BACKGROUND_FIRST ? 0 : lines - 1;
    int tile = 0;
    for (int i = 0; i < lines; i++) {
        const cpl_region *region = i < layout->region_count ? &layout->regions[i] : NULL;
        cpl_shape *shape = &shapes[i];
        if (i == background_line) {
            shape->kind = CPL_SHAPE_WHOLE;
            shape->weight = (float)fmax(0.1, layout->background_weight);
            continue;
        }
        if (layout->mode == CPL_MODE_BASIC) {
            set_tile(shape, layout->direction == CPL_HORIZONTAL, tile++, lines - background, width, height);
            if (background) shape->weight = 1; /* beside a background the weights matter; alone they cancel out */
        } else if (layout->mode == CPL_MODE_ADVANCED && region) {
            set_rect(shape, region, width, height);
        } else if (region && region->mask) {
            shape->kind = CPL_SHAPE_PAINTED;
            shape->mask = region->mask;
        }
        if (!region) continue;
        if (layout->mode != CPL_MODE_BASIC) shape->weight = (float)region->weight;
        shape->soft_x = soft_pixels(region->feather, width);
        shape->soft_y = soft_pixels(region->feather, height);
    }
    return shapes;
}

/* How much of the window of 2 * soft + 1 pixels around p, cut at the canvas, lies in [from, to). A hard edge becomes a
 * linear ramp with its middle on the edge; where the region ends with the canvas there is no ramp. */
static float inside(int p, int soft, int from, int to, int size) {
    int low = p - soft > 0 ? p - soft : 0, high = p + soft + 1 < size ? p + soft + 1 : size;
    int a = low > from ? low : from, b = high < to ? high : to;
    return b <= a ? 0.0f : (float)((double)(b - a) / (high - low));
}

/* Nearest neighbour as Pillow does it: the position is a running sum, and where it should be a whole number it may fall
 * just short of it. */
static int *resize_map(int from, int to, cpl_error *error) {
    int *map = cpl_alloc((size_t)to, sizeof *map, error);
    double step = (double)from / to, position = 0.5 * step;
    for (int i = 0; map && i < to; i++, position += step) {
        map[i] = from == to ? i : (int)position;
        if (map[i] > from - 1) map[i] = from - 1;
    }
    return map;
}

static bool open_painted(cpl_shape_reader *r, cpl_error *error) {
    r->mask_x = resize_map(cpl_mask_width(r->shape->mask), r->width, error);
    r->mask_y = r->mask_x ? resize_map(cpl_mask_height(r->shape->mask), r->height, error) : NULL;
    if (!r->mask_y || (!r->shape->soft_x && !r->shape->soft_y)) return r->mask_y;
    r->column = cpl_alloc((size_t)r->width, sizeof *r->column, error);
    r->prefix = r->column ? cpl_alloc((size_t)r->width + 1, sizeof *r->prefix, error) : NULL;
    return r->prefix;
}

cpl_shape_reader *cpl_shape_open(const cpl_shape *shape, int width, int height, const int *xs, int w,
                                 cpl_error *error) {
    cpl_shape_reader *r = cpl_alloc(1, sizeof *r, error);
    if (!r) return NULL;
    *r = (cpl_shape_reader){.shape = shape, .xs = xs, .width = width, .height = height, .w = w};
    bool done = true;
    if (shape->kind == CPL_SHAPE_RECT) {
        r->across = cpl_alloc((size_t)w, sizeof *r->across, error);
        done = r->across;
        for (int i = 0; done && i < w; i++) r->across[i] = inside(xs[i], shape->soft_x, shape->x0, shape->x1, width);
    } else if (shape->kind == CPL_SHAPE_PAINTED) {
        done = open_painted(r, error);
    }
    if (done) return r;
    cpl_shape_close(r);
    return NULL;
}

void cpl_shape_close(cpl_shape_reader *r) {
    if (!r) return;
    free(r->across);
    free(r->mask_x);
    free(r->mask_y);
    free(r->column);
    free(r->prefix);
    free(r);
}

static const unsigned char *mask_row(const cpl_shape_reader *r, int y) {
    return cpl_mask_pixels(r->shape->mask) + (size_t)r->mask_y[y] * (size_t)cpl_mask_width(r->shape->mask);
}

/* Moves the window of rows down to [top, bottom) and sums it up from the left. */
static void slide(cpl_shape_reader *r, int top, int bottom) {
    if (top == r->top && bottom == r->bottom) return;
    for (; r->bottom < bottom; r->bottom++)
        for (int x = 0; x < r->width; x++) r->column[x] += mask_row(r, r->bottom)[r->mask_x[x]];
    for (; r->top < top; r->top++)
        for (int x = 0; x < r->width; x++) r->column[x] -= mask_row(r, r->top)[r->mask_x[x]];
    for (int x = 0; x < r->width; x++) r->prefix[x + 1] = r->prefix[x] + r->column[x];
}

static void soft_row(cpl_shape_reader *r, int y, float *out) {
    int soft_x = r->shape->soft_x, soft_y = r->shape->soft_y;
    slide(r, y - soft_y > 0 ? y - soft_y : 0, y + soft_y + 1 < r->height ? y + soft_y + 1 : r->height);
    for (int i = 0; i < r->w; i++) {
        int low = r->xs[i] - soft_x > 0 ? r->xs[i] - soft_x : 0;
        int high = r->xs[i] + soft_x + 1 < r->width ? r->xs[i] + soft_x + 1 : r->width;
        double sum = (double)(r->prefix[high] - r->prefix[low]);
        double mean = sum / ((double)(high - low) * (r->bottom - r->top));
        out[i] = (float)(mean / 255.0) * r->shape->weight;
    }
}

void cpl_shape_row(cpl_shape_reader *r, int y, float *out) {
    const cpl_shape *shape = r->shape;
    float down;
    switch (shape->kind) {
    case CPL_SHAPE_NONE:
        memset(out, 0, (size_t)r->w * sizeof *out);
        break;
    case CPL_SHAPE_WHOLE:
        for (int i = 0; i < r->w; i++) out[i] = shape->weight;
        break;
    case CPL_SHAPE_RECT:
        down = shape->weight * inside(y, shape->soft_y, shape->y0, shape->y1, r->height);
        for (int i = 0; i < r->w; i++) out[i] = down * r->across[i];
        break;
    case CPL_SHAPE_PAINTED:
        if (r->prefix) {
            soft_row(r, y, out);
            break;
        }
        for (int i = 0; i < r->w; i++) out[i] = (float)mask_row(r, y)[r->mask_x[r->xs[i]]] / 255.0f * shape->weight;
        break;
    }
}
