/* masks.c: the normalised masks of all lines at a token grid. Forge Couple normalises at canvas resolution and then takes
 * one pixel a token (golden couple/FORMAT.md 1.3, 1.4); only the pixels that are taken need computing. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/zeros.h"
#include "lines.h"
#include "masks.h"
#include "reason.h"
#include "resolve.h"
#include "shapes.h"

struct cpl_masks {
    cpl_shape *shapes; /* owned, [lines] */
    int lines, width, height;
    bool filled; /* one more line has what no other covers */
};

/* The pixel that each column and row of tokens takes. */
typedef struct grid {
    int w, h;
    int *xs, *ys; /* owned */
} grid;

static bool read_shape(const cpl_masks *m, const grid *g, const cpl_shape *shape, float *out, cpl_error *error) {
    cpl_shape_reader *reader = cpl_shape_open(shape, m->width, m->height, g->xs, g->w, error);
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
    for (float *line = out; line != sums; line += tokens)
        for (size_t t = cpl_skip_zeros(line, 0, tokens);
             t<tokens; t = line[t]> 0 ? t + 1 : cpl_skip_zeros(line, t + 1, tokens))
            sums[t] += line[t];
    for (float *line = out; line != sums; line += tokens)
        for (size_t t = cpl_skip_zeros(line, 0, tokens);
             t<tokens; t = line[t]> 0 ? t + 1 : cpl_skip_zeros(line, t + 1, tokens))
            if (line[t] > 0) line[t] /= sums[t];
    for (size_t t = 0; t < tokens; t++) sums[t] = sums[t] > 0 ? 0 : 1;
}

static bool fill_grid(grid *g, const cpl_masks *m, cpl_error *error) {
    g->xs = cpl_alloc((size_t)g->w, sizeof *g->xs, error);
    g->ys = cpl_alloc((size_t)g->h, sizeof *g->ys, error);
    if (!g->xs || !g->ys) return false;
    for (int x = 0; x < g->w; x++) g->xs[x] = cpl_sample_pixel(x, g->w, m->width);
    for (int y = 0; y < g->h; y++) g->ys[y] = cpl_sample_pixel(y, g->h, m->height);
    return true;
}

cpl_masks *cpl_masks_open(const cpl_layout *layout, const cpl_defaults *defaults, cpl_error *error) {
    bool fills = layout->uncovered == CPL_UNCOVERED_FILL;
    cpl_fault fault;
    if (!cpl_layout_verify(layout, defaults, !fills, &fault)) {
        if (error) *error = fault.error;
        return NULL;
    }
    cpl_masks *m = cpl_alloc(1, sizeof *m, error);
    if (!m) return NULL;
    cpl_cover cover = {.share = 1};
    m->lines = cpl_layout_line_count(layout);
    cpl_layout_size(layout, defaults, &m->width, &m->height);
    m->shapes = cpl_shapes_new(layout, m->width, m->height, m->lines, error);
    /* without "fill" the layout was verified to be covered */
    if (m->shapes && (!fills || cpl_shapes_cover(m->shapes, m->lines, m->width, m->height, &cover, error))) {
        m->filled = cover.share < 1;
        return m;
    }
    cpl_masks_close(m);
    return NULL;
}

void cpl_masks_close(cpl_masks *m) {
    if (!m) return;
    free(m->shapes);
    free(m);
}

int cpl_masks_lines(const cpl_masks *m) { return m->lines + m->filled; }

bool cpl_masks_read(const cpl_masks *m, int w, int h, float *out, cpl_error *error) {
    grid g = {.w = w, .h = h};
    size_t tokens = (size_t)w * (size_t)h;
    bool done = fill_grid(&g, m, error);
    for (int i = 0; done && i < m->lines; i++) done = read_shape(m, &g, &m->shapes[i], out + (size_t)i * tokens, error);
    if (done) normalise(out, m->lines, tokens);
    free(g.xs);
    free(g.ys);
    return done;
}

bool cpl_layout_masks(const cpl_layout *layout, const cpl_defaults *defaults, int w, int h, float *out, int *count,
                      cpl_error *error) {
    if (w < 1 || h < 1 || w > CPL_MAX_SIDE || h > CPL_MAX_SIDE)
        return cpl_fail(error, CPL_E_INPUT, "a token grid of %dx%d cannot be made; sides are 1 to %d", w, h,
                        CPL_MAX_SIDE);
    cpl_masks *m = cpl_masks_open(layout, defaults, error);
    bool done = m && cpl_masks_read(m, w, h, out, error);
    if (done) *count = cpl_masks_lines(m);
    cpl_masks_close(m);
    return done;
}
