/* masks.c: the normalised masks of all lines at a token grid. Forge Couple normalises at canvas resolution and then takes
 * one pixel a token (golden couple/FORMAT.md 1.3, 1.4); only the pixels that are taken need computing. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "lines.h"
#include "reason.h"
#include "resolve.h"
#include "shapes.h"

typedef struct grid {
    int width, height; /* canvas */
    int w, h;          /* tokens */
    int *xs, *ys;      /* the pixel that each column and row of tokens takes */
} grid;

static bool read_shape(const grid *g, const cpl_shape *shape, float *out, cpl_error *error) {
    cpl_shape_reader *reader = cpl_shape_open(shape, g->width, g->height, g->xs, g->w, error);
    if (!reader) return false;
    for (int y = 0; y < g->h; y++) cpl_shape_row(reader, g->ys[y], out + (size_t)y * (size_t)g->w);
    cpl_shape_close(reader);
    return true;
}

/* In single precision and in line order, as the original. The sums gather in the room of the fill line, which in the end
 * gets all of the weight where no line has any. */
static void normalise(float *out, int lines, size_t tokens) {
    float *sums = out + (size_t)lines * tokens;
    memset(sums, 0, tokens * sizeof *sums);
    for (int i = 0; i < lines; i++)
        for (size_t t = 0; t < tokens; t++) sums[t] += out[(size_t)i * tokens + t];
    for (int i = 0; i < lines; i++)
        for (size_t t = 0; t < tokens; t++) {
            float *value = &out[(size_t)i * tokens + t], sum = sums[t];
            if (*value > 0) *value = *value / sum;
        }
    for (size_t t = 0; t < tokens; t++) sums[t] = sums[t] > 0 ? 0 : 1;
}

static bool fill_grid(grid *g, cpl_error *error) {
    g->xs = cpl_alloc((size_t)g->w, sizeof *g->xs, error);
    g->ys = cpl_alloc((size_t)g->h, sizeof *g->ys, error);
    if (!g->xs || !g->ys) return false;
    for (int x = 0; x < g->w; x++) g->xs[x] = cpl_sample_pixel(x, g->w, g->width);
    for (int y = 0; y < g->h; y++) g->ys[y] = cpl_sample_pixel(y, g->h, g->height);
    return true;
}

static bool make(grid *g, const cpl_layout *layout, int lines, float *out, int *count, cpl_error *error) {
    cpl_shape *shapes = cpl_shapes_new(layout, g->width, g->height, lines, error);
    bool done = shapes && fill_grid(g, error);
    cpl_cover cover = {.share = 1};
    size_t tokens = (size_t)g->w * (size_t)g->h;
    /* without "fill" the layout was verified to be covered */
    if (done && layout->uncovered == CPL_UNCOVERED_FILL)
        done = cpl_shapes_cover(shapes, lines, g->width, g->height, &cover, error);
    for (int i = 0; done && i < lines; i++) done = read_shape(g, &shapes[i], out + (size_t)i * tokens, error);
    if (done) {
        normalise(out, lines, tokens);
        *count = lines + (cover.share < 1);
    }
    free(shapes);
    free(g->xs);
    free(g->ys);
    return done;
}

bool cpl_layout_masks(const cpl_layout *layout, const cpl_defaults *defaults, int w, int h, float *out, int *count,
                      cpl_error *error) {
    cpl_fault fault;
    grid g = {.w = w, .h = h};
    if (w < 1 || h < 1 || w > CPL_MAX_SIDE || h > CPL_MAX_SIDE)
        return cpl_fail(error, CPL_E_INPUT, "a token grid of %dx%d cannot be made; sides are 1 to %d", w, h,
                        CPL_MAX_SIDE);
    if (!cpl_layout_verify(layout, defaults, layout->uncovered != CPL_UNCOVERED_FILL, &fault)) {
        if (error) *error = fault.error;
        return false;
    }
    cpl_layout_size(layout, defaults, &g.width, &g.height);
    return make(&g, layout, cpl_layout_line_count(layout), out, count, error);
}
