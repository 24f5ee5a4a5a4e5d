/* map.c: a picture of the regions: each pixel mixes the colours of the lines by their weights there. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "lines.h"
#include "resolve.h"
#include "shapes.h"

#define HATCH 4 /* pixels; after two of them it repeats */

typedef struct map {
    cpl_image *image;
    const unsigned char (*palette)[3];
    const cpl_layout *layout;
    int lines, width, height; /* of the canvas */
    int *xs;
    cpl_shape *shapes;
    cpl_shape_reader **readers;
    float *weights, *weights_above; /* of all lines in a row */
    float *mix;                     /* r, g, b and the sum of weights, for each column */
    int alike;                      /* rows above with the weights of this one */
    bool hatched;                   /* some pixel of the row has no line */
} map;

static const unsigned char *color_of(const map *m, int line) {
    int color = line < m->layout->region_count ? m->layout->regions[line].color : -1;
    return m->palette[(color < 0 ? line : color) % 16];
}

/* Of 0 to 255. lroundf() for each channel takes most of the time of a map. */
static unsigned char nearest(float value) {
    const float raised = value + 0.5f;
    return (unsigned char)raised;
}

static void read_weights(map *m, int y) {
    size_t count = (size_t)m->lines * (size_t)m->image->width;
    float *above = m->weights;
    m->weights = m->weights_above;
    m->weights_above = above;
    int canvas_y = (int)(((int64_t)2 * y + 1) * m->height / (2 * m->image->height));
    for (int i = 0; i < m->lines; i++)
        cpl_shape_row(m->readers[i], canvas_y, m->weights + (size_t)i * (size_t)m->image->width);
    bool same = y > 0 && memcmp(m->weights, m->weights_above, count * sizeof *m->weights) == 0;
    m->alike = same ? m->alike + 1 : 0;
}

static void mix_lines(map *m) {
    int width = m->image->width;
    memset(m->mix, 0, (size_t)width * 4 * sizeof *m->mix);
    for (int i = 0; i < m->lines; i++) {
        const unsigned char *color = color_of(m, i);
        const float *weight = m->weights + (size_t)i * (size_t)width;
        for (int x = 0; x < width; x++) {
            for (int k = 0; k < 3; k++) m->mix[4 * x + k] += weight[x] * color[k];
            m->mix[4 * x + 3] += weight[x];
        }
    }
}

/* Regions have few different rows: most are copies, hatching included. */
static void paint_row(map *m, int y) {
    size_t bytes = (size_t)m->image->width * 3;
    unsigned char *out = m->image->rgb + (size_t)y * bytes;
    read_weights(m, y);
    int back = m->hatched ? 2 * HATCH : 1;
    if (m->alike >= back) {
        memcpy(out, out - (size_t)back * bytes, bytes);
        return;
    }
    if (!m->alike) mix_lines(m);
    m->hatched = false;
    for (int x = 0; x < m->image->width; x++, out += 3) {
        const float *mix = m->mix + 4 * (size_t)x;
        m->hatched |= !(mix[3] > 0);
        /* the hatch leans to the right, in two greys that no palette uses alone */
        unsigned char hatch = (x + y) / HATCH % 2 ? 40 : 80;
        for (int k = 0; k < 3; k++) out[k] = mix[3] > 0 ? nearest(mix[k] / mix[3]) : hatch;
    }
}

static bool paint(map *m, cpl_error *error) {
    int w = m->image->width;
    m->xs = cpl_alloc((size_t)w, sizeof *m->xs, error);
    m->weights = cpl_alloc((size_t)m->lines * (size_t)w, sizeof *m->weights, error);
    m->weights_above = cpl_alloc((size_t)m->lines * (size_t)w, sizeof *m->weights_above, error);
    m->mix = cpl_alloc((size_t)w, 4 * sizeof *m->mix, error);
    m->readers = cpl_alloc((size_t)m->lines, sizeof(void *), error);
    m->shapes = cpl_shapes_new(m->layout, m->width, m->height, m->lines, error);
    if (!m->xs || !m->weights || !m->weights_above || !m->mix || !m->readers || !m->shapes) return false;
    for (int x = 0; x < w; x++) m->xs[x] = (int)(((int64_t)2 * x + 1) * m->width / (2 * w));
    for (int i = 0; i < m->lines; i++) {
        m->readers[i] = cpl_shape_open(&m->shapes[i], m->width, m->height, m->xs, w, error);
        if (!m->readers[i]) return false;
    }
    for (int y = 0; y < m->image->height; y++) paint_row(m, y);
    return true;
}

cpl_image *cpl_layout_map(const cpl_layout *layout, const cpl_defaults *defaults, int width, int height,
                          const unsigned char palette[16][3], cpl_error *error) {
    map m = {.palette = palette, .layout = layout, .lines = cpl_layout_line_count(layout)};
    if (m.lines < 0) m.lines = layout->region_count;
    cpl_layout_size(layout, defaults, &m.width, &m.height);
    if (m.width < 1 || m.height < 1) {
        cpl_fail_at(error, -1, "canvas", "canvas: has no size; set width and height");
        return NULL;
    }
    m.image = cpl_image_new(width, height, error);
    bool done = m.image && paint(&m, error);
    for (int i = 0; m.readers && i < m.lines; i++) cpl_shape_close(m.readers[i]);
    free(m.readers);
    free(m.shapes);
    free(m.xs);
    free(m.weights);
    free(m.weights_above);
    free(m.mix);
    if (done) return m.image;
    cpl_image_free(m.image);
    return NULL;
}
