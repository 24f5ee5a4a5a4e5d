/* coverage.c: how much of the canvas has any weight, exactly, to the pixel. Rectangles cut the canvas into cells in which
 * coverage cannot change, so that one pixel a cell is looked at; painted masks need all pixels. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "lines.h"
#include "resolve.h"
#include "shapes.h"

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int clip(int value, int size) { return value < 0 ? 0 : value > size ? size : value; }

/* The first pixels of the cells along one side, and `size` at their end. `at` has room for 2 * count + 2. */
static int cut(const cpl_shape *shapes, int count, int size, bool across, int *at) {
    int n = 0, kept = 1;
    at[n++] = 0;
    at[n++] = size;
    for (int i = 0; i < count; i++) {
        const cpl_shape *s = &shapes[i];
        int from = across ? s->x0 : s->y0, to = across ? s->x1 : s->y1, soft = across ? s->soft_x : s->soft_y;
        if (s->kind != CPL_SHAPE_RECT) continue;
        at[n++] = clip(from - soft, size);
        at[n++] = clip(to + soft, size);
    }
    qsort(at, (size_t)n, sizeof *at, ascending);
    for (int i = 1; i < n; i++)
        if (at[i] != at[kept - 1]) at[kept++] = at[i];
    return kept - 1;
}

static int every_pixel(int size, int *at) {
    for (int i = 0; i <= size; i++) at[i] = i;
    return size;
}

typedef struct scan {
    const cpl_shape *shapes;
    int count, width, height;
    int *xs, *ys, columns, rows; /* xs[columns + 1]: starts of cells, then the end */
    cpl_shape_reader **readers;
    float *row, *sum;
} scan;

static void add_row(scan *s, int y, double *covered, cpl_cover *cover) {
    memset(s->sum, 0, (size_t)s->columns * sizeof *s->sum);
    for (int i = 0; i < s->count; i++) {
        cpl_shape_row(s->readers[i], s->ys[y], s->row);
        for (int x = 0; x < s->columns; x++) s->sum[x] += s->row[x];
    }
    double tall = s->ys[y + 1] - s->ys[y];
    for (int x = 0; x < s->columns; x++) {
        if (s->sum[x] > 0) {
            *covered += tall * (s->xs[x + 1] - s->xs[x]);
            continue;
        }
        if (s->xs[x] < cover->x0) cover->x0 = s->xs[x];
        if (s->xs[x + 1] > cover->x1) cover->x1 = s->xs[x + 1];
        if (s->ys[y] < cover->y0) cover->y0 = s->ys[y];
        cover->y1 = s->ys[y + 1];
    }
}

static bool run(scan *s, cpl_cover *cover, cpl_error *error) {
    double covered = 0;
    s->readers = cpl_alloc((size_t)s->count, sizeof(void *), error);
    s->row = cpl_alloc((size_t)s->columns, sizeof *s->row, error);
    s->sum = cpl_alloc((size_t)s->columns, sizeof *s->sum, error);
    if (!s->readers || !s->row || !s->sum) return false;
    for (int i = 0; i < s->count; i++) {
        s->readers[i] = cpl_shape_open(&s->shapes[i], s->width, s->height, s->xs, s->columns, error);
        if (!s->readers[i]) return false;
    }
    *cover = (cpl_cover){.x0 = s->width, .y0 = s->height};
    for (int y = 0; y < s->rows; y++) add_row(s, y, &covered, cover);
    cover->share = covered / ((double)s->width * s->height);
    return true;
}

bool cpl_shapes_cover(const cpl_shape *shapes, int count, int width, int height, cpl_cover *cover, cpl_error *error) {
    scan s = {.shapes = shapes, .count = count, .width = width, .height = height};
    bool painted = false;
    for (int i = 0; i < count; i++) {
        *cover = (cpl_cover){.share = 1};
        if (shapes[i].kind == CPL_SHAPE_WHOLE && shapes[i].weight > 0) return true;
        painted |= shapes[i].kind == CPL_SHAPE_PAINTED;
    }
    size_t cells = 2 * (size_t)count + 2;
    s.xs = cpl_alloc(painted ? (size_t)width + 1 : cells, sizeof *s.xs, error);
    s.ys = cpl_alloc(painted ? (size_t)height + 1 : cells, sizeof *s.ys, error);
    bool done = s.xs && s.ys;
    if (done) {
        s.columns = painted ? every_pixel(width, s.xs) : cut(shapes, count, width, true, s.xs);
        s.rows = painted ? every_pixel(height, s.ys) : cut(shapes, count, height, false, s.ys);
        done = run(&s, cover, error);
    }
    for (int i = 0; s.readers && i < count; i++) cpl_shape_close(s.readers[i]);
    free(s.readers);
    free(s.row);
    free(s.sum);
    free(s.xs);
    free(s.ys);
    return done;
}

double cpl_layout_coverage(const cpl_layout *layout, const cpl_defaults *defaults) {
    int width, height, lines = cpl_layout_line_count(layout);
    cpl_cover cover = {0};
    cpl_layout_size(layout, defaults, &width, &height);
    if (lines < 1 || width < 1 || height < 1) return 0;
    cpl_shape *shapes = cpl_shapes_new(layout, width, height, lines, NULL);
    if (!shapes || !cpl_shapes_cover(shapes, lines, width, height, &cover, NULL)) cover.share = 0;
    free(shapes);
    return cover.share;
}
