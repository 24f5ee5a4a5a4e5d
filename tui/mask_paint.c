/* mask_paint.c: the pixels of a mask that is being painted. */
#include "mask_paint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FINE = 4, MOST_SIDE = 512 }; /* canvas pixels a mask pixel; larger canvases get coarser masks */

bool mask_paint_start(mask_paint *p, const cpl_mask *mask, int canvas_width, int canvas_height, cpl_error *error) {
    int most = canvas_width > canvas_height ? canvas_width : canvas_height, each = FINE;
    while (most / each > MOST_SIDE) each *= 2;
    *p = (mask_paint){.width = mask ? cpl_mask_width(mask) : canvas_width / each,
                      .height = mask ? cpl_mask_height(mask) : canvas_height / each};
    if (p->width < 1) p->width = 1;
    if (p->height < 1) p->height = 1;
    size_t count = (size_t)p->width * (size_t)p->height;
    p->grey = calloc(count, 1);
    if (!p->grey) {
        *error = (cpl_error){.code = CPL_E_MEMORY, .row = -1};
        snprintf(error->message, sizeof error->message, "out of memory for a mask of %dx%d", p->width, p->height);
        return false;
    }
    if (mask) memcpy(p->grey, cpl_mask_pixels(mask), count);
    return true;
}

void mask_paint_clear(mask_paint *p) {
    free(p->grey);
    *p = (mask_paint){0};
}

static bool set(mask_paint *p, int x, int y, unsigned char value) {
    unsigned char *at = &p->grey[(size_t)y * (size_t)p->width + (size_t)x];
    bool changed = *at != value;
    *at = value;
    return changed;
}

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

/* Pixels whose middle lies between two places; one where none does. */
static void span(double from, double to, int size, int *first, int *last) {
    *first = clamp((int)ceil(from * size - 0.5), 0, size - 1);
    *last = clamp((int)ceil(to * size - 0.5) - 1, 0, size - 1);
    if (*last < *first) *first = *last = clamp((int)((from + to) / 2 * size), 0, size - 1);
}

bool mask_paint_rect(mask_paint *p, canvas_rect where, unsigned char value) {
    int x1, x2, y1, y2;
    bool changed = false;
    span(where.x1, where.x2, p->width, &x1, &x2);
    span(where.y1, where.y2, p->height, &y1, &y2);
    for (int y = y1; y <= y2; y++)
        for (int x = x1; x <= x2; x++) changed |= set(p, x, y, value);
    return changed;
}

bool mask_paint_disc(mask_paint *p, canvas_rect around, unsigned char value) {
    int x1, x2, y1, y2;
    bool changed = false;
    span(around.x1, around.x2, p->width, &x1, &x2);
    span(around.y1, around.y2, p->height, &y1, &y2);
    double cx = (around.x1 + around.x2) / 2 * p->width, cy = (around.y1 + around.y2) / 2 * p->height;
    double rx = (around.x2 - around.x1) / 2 * p->width, ry = (around.y2 - around.y1) / 2 * p->height;
    for (int y = y1; y <= y2; y++)
        for (int x = x1; x <= x2; x++) {
            double dx = rx > 0 ? (x + 0.5 - cx) / rx : 0, dy = ry > 0 ? (y + 0.5 - cy) / ry : 0;
            bool small = x2 - x1 < 2 || y2 - y1 < 2; /* nothing to round off */
            if (small || dx * dx + dy * dy <= 1) changed |= set(p, x, y, value);
        }
    return changed;
}

/* By rows that wait on a stack, so that no mask is too large for the program's own stack. */
bool mask_paint_fill(mask_paint *p, double x, double y, unsigned char value) {
    int sx = clamp((int)(x * p->width), 0, p->width - 1), sy = clamp((int)(y * p->height), 0, p->height - 1);
    size_t count = (size_t)p->width * (size_t)p->height, waiting = 0;
    bool inside = p->grey[(size_t)sy * (size_t)p->width + (size_t)sx] >= 128, changed = false;
    unsigned char *seen = calloc(count, 1);
    size_t *stack = malloc(count * sizeof *stack);
    if (!seen || !stack) goto out;
    stack[waiting++] = (size_t)sy * (size_t)p->width + (size_t)sx;
    seen[stack[0]] = 1;
    while (waiting) {
        size_t at = stack[--waiting];
        int px = (int)(at % (size_t)p->width), py = (int)(at / (size_t)p->width);
        static const int way[4][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
        for (int w = 0; w < 4; w++) {
            int nx = px + way[w][0], ny = py + way[w][1];
            if (nx < 0 || ny < 0 || nx >= p->width || ny >= p->height) continue;
            size_t next = (size_t)ny * (size_t)p->width + (size_t)nx;
            if (seen[next] || (p->grey[next] >= 128) != inside) continue;
            seen[next] = 1;
            stack[waiting++] = next;
        }
    }
    for (size_t i = 0; i < count; i++) {
        changed |= seen[i] && p->grey[i] != value;
        if (seen[i]) p->grey[i] = value;
    }
out:
    free(stack);
    free(seen);
    return changed;
}

bool mask_paint_invert(mask_paint *p) {
    for (size_t i = 0; i < (size_t)p->width * (size_t)p->height; i++) p->grey[i] = (unsigned char)(255 - p->grey[i]);
    return true;
}
