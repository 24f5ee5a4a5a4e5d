/* mask_import.c: a picture of any size as a mask, by Forge Couple's rule for uploaded masks (7.0.7, lib_couple/ui_masks.py:
 * _parse_resolution, _on_up_mask, _write_mask): brought to the canvas by Pillow's bicubic resize, laid over black, made grey;
 * what is then fully white is inside, all else is outside. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/file.h"
#include "mask.h"
#include "png_decode.h"

enum { REACH = 2, CHANNELS = 4, PRECISION = 32 - 8 - 2, MOST_PIXELS = 1024 * 1024, WHITE = 255 };

/* The original keeps its masks at half the size, or half of that, where the canvas is larger than a million pixels. */
static void mask_size(int *width, int *height) {
    while ((long)*width * *height > MOST_PIXELS) {
        *width /= 2;
        *height /= 2;
    }
}

/* Pillow's kernel: Keys' with a = -1/2. */
static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* The old samples that a new one is made of, in whole numbers as Pillow does it: the last bit decides what is white. */
typedef struct taps {
    int first, count;
    int *weight; /* [count], into one array of all taps */
} taps;

static void weigh(taps *t, double centre, double width) {
    double sum = 0;
    for (int k = 0; k < t->count; k++) sum += bicubic((t->first + k - centre + 0.5) / width);
    for (int k = 0; k < t->count; k++) {
        double weight = bicubic((t->first + k - centre + 0.5) / width);
        if (sum != 0) weight /= sum;
        t->weight[k] = (int)(weight * (1 << PRECISION) + (weight < 0 ? -0.5 : 0.5));
    }
}

static taps *make_taps(int from, int to, int **weights, cpl_error *error) {
    double scale = (double)from / to, width = fmax(scale, 1), reach = REACH * width;
    size_t most = (size_t)(2 * ceil(reach)) + 2;
    taps *list = cpl_alloc((size_t)to, sizeof *list, error);
    *weights = cpl_alloc((size_t)to * most, sizeof **weights, error);
    for (int i = 0; list && *weights && i < to; i++) {
        double centre = (i + 0.5) * scale;
        int first = (int)fmax(centre - reach + 0.5, 0), end = (int)fmin(centre + reach + 0.5, from);
        list[i] = (taps){first, end - first, *weights + (size_t)i * most};
        weigh(&list[i], centre, width);
    }
    if (list && *weights) return list;
    free(list);
    free(*weights);
    *weights = NULL;
    return NULL;
}

/* Lines of samples `from_step` apart become lines of other samples `to_step` apart. */
static void resample(unsigned char *to, size_t to_line, size_t to_step, const unsigned char *from, size_t from_line,
                     size_t from_step, int lines, const taps *list, int samples) {
    for (int y = 0; y < lines; y++)
        for (int i = 0; i < samples; i++)
            for (size_t c = 0; c < CHANNELS; c++) {
                const unsigned char *at = from + (size_t)y * from_line + (size_t)list[i].first * from_step + c;
                int sum = 1 << (PRECISION - 1);
                for (int k = 0; k < list[i].count; k++, at += from_step) sum += list[i].weight[k] * *at;
                int value = sum >> PRECISION;
                to[(size_t)y * to_line + (size_t)i * to_step + c] = (unsigned char)(value < 0     ? 0
                                                                                    : value > 255 ? 255
                                                                                                  : value);
            }
}

/* A pass in which the size stays is left out, as in Pillow. Takes `from` over; freed by the caller. */
static unsigned char *one_pass(unsigned char *from, int width, int height, int to, bool rows, cpl_error *error) {
    if (to == (rows ? height : width)) return from;
    size_t count = (size_t)to * (size_t)(rows ? width : height);
    int *weights = NULL;
    unsigned char *out = cpl_alloc(count, CHANNELS, error);
    taps *list = out ? make_taps(rows ? height : width, to, &weights, error) : NULL;
    size_t line = (size_t)width * CHANNELS;
    if (list && rows)
        resample(out, CHANNELS, line, from, CHANNELS, line, width, list, to);
    else if (list)
        resample(out, (size_t)to * CHANNELS, CHANNELS, from, line, CHANNELS, height, list, to);
    if (!list) {
        free(out);
        out = NULL;
    }
    free(list);
    free(weights);
    free(from);
    return out;
}

/* Colours are weighed by their alpha while they are resized, and what is not wholly there is not white over black. */
static void premultiply(unsigned char *rgba, size_t count) {
    for (size_t i = 0; i < count; i++, rgba += CHANNELS)
        for (int c = 0; c < 3; c++) {
            unsigned product = rgba[c] * (unsigned)rgba[3] + 128;
            rgba[c] = (unsigned char)(((product >> 8) + product) >> 8);
        }
}

static bool is_white(const unsigned char *rgba) {
    unsigned grey = (rgba[0] * 19595u + rgba[1] * 38470u + rgba[2] * 7471u + 32768u) >> 16;
    return rgba[3] == WHITE && grey == WHITE;
}

/* In place, RGBA to one byte a pixel. False: nothing is white. */
static bool keep_white(unsigned char *rgba, size_t count) {
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        bool white = is_white(rgba + i * CHANNELS);
        any |= white;
        rgba[i] = white ? WHITE : 0;
    }
    return any;
}

static cpl_mask *from_pixels(cpl_pixels pixels, int width, int height, const char *name, cpl_error *error) {
    premultiply(pixels.data, (size_t)pixels.width * (size_t)pixels.height);
    unsigned char *wide = one_pass(pixels.data, pixels.width, pixels.height, width, false, error);
    unsigned char *whole = wide ? one_pass(wide, width, pixels.height, height, true, error) : NULL;
    if (!whole) return NULL;
    cpl_mask *mask = NULL;
    if (keep_white(whole, (size_t)width * (size_t)height))
        mask = cpl_mask_new(width, height, whole, error);
    else
        cpl_fail(error, CPL_E_INPUT, "%s: has no white pixel, and only white is inside of a mask; paint it white",
                 name);
    free(whole);
    return mask;
}

cpl_mask *cpl_mask_import_png(const char *path, int width, int height, cpl_error *error) {
    size_t size = 0;
    cpl_pixels pixels;
    if (width < 1 || height < 1 || width > CPL_PNG_MAX_SIDE || height > CPL_PNG_MAX_SIDE) {
        cpl_fail(error, CPL_E_INPUT, "a canvas of %dx%d pixels has no masks; sides are 1 to %d", width, height,
                 CPL_PNG_MAX_SIDE);
        return NULL;
    }
    void *bytes = cpl_file_read(path, CPL_PNG_MAX_BYTES, &size, error);
    bool done = bytes && cpl_png_decode(bytes, size, path, CPL_PNG_RGBA, &pixels, error);
    free(bytes);
    if (!done) return NULL;
    mask_size(&width, &height);
    return from_pixels(pixels, width < 1 ? 1 : width, height < 1 ? 1 : height, path, error);
}
