/* pngdiff: how far two PNG files are apart.
 *
 *   pngdiff [--scale] [--most N] [--mean X] A.png B.png
 *
 * Prints "max M mean X" over all channels. Exit 0 if no limit is passed, 1 if one is, 2 if the files cannot be compared.
 * --scale: B is A as a terminal showed it: enlarged by any factor, in a palette, with diffused errors, and filled up to
 * whole sixel bands. Both are compared at the size of A, each pixel the mean of its area, in which diffusion cancels out. */
#include "../../core/couplet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAND_PX 6

static int complain(const char *message) {
    fprintf(stderr, "pngdiff: %s\n", message);
    return 2;
}

/* How much of the source pixel `i` lies in [from, to). */
static double overlap(int i, double from, double to) {
    double low = i > from ? i : from, high = i + 1 < to ? i + 1 : to;
    return high > low ? high - low : 0;
}

/* The first `rows` rows of the image at another size, larger or smaller: every pixel is the mean of its area. */
static cpl_image *resample(const cpl_image *in, int rows, int width, int height) {
    cpl_image *out = cpl_image_new(width, height, NULL);
    double across = (double)in->width / width, down = (double)rows / height;
    for (int i = 0; out && i < width * height; i++) {
        int column = i % width, row = i / width;
        double x0 = column * across, x1 = x0 + across, y0 = row * down, y1 = y0 + down, sum[3] = {0};
        for (int y = (int)y0; y < y1 && y < rows; y++)
            for (int x = (int)x0; x < x1 && x < in->width; x++) {
                const unsigned char *pixel = in->rgb + ((size_t)y * (size_t)in->width + (size_t)x) * 3;
                double weight = overlap(x, x0, x1) * overlap(y, y0, y1);
                for (int c = 0; c < 3; c++) sum[c] += weight * pixel[c];
            }
        for (int c = 0; c < 3; c++) out->rgb[i * 3 + c] = (unsigned char)(sum[c] / (across * down) + 0.5);
    }
    return out;
}

static int compare(const cpl_image *a, const cpl_image *b, double most, double mean) {
    if (a->width != b->width || a->height != b->height) {
        fprintf(stderr, "pngdiff: %dx%d and %dx%d\n", a->width, a->height, b->width, b->height);
        return 2;
    }
    int largest = 0, count = a->width * a->height * 3;
    double sum = 0;
    for (int i = 0; i < count; i++) {
        int difference = abs(a->rgb[i] - b->rgb[i]);
        if (difference > largest) largest = difference;
        sum += difference;
    }
    printf("max %d mean %.4f\n", largest, sum / count);
    return largest > most || sum / count > mean;
}

static int compare_shown(const cpl_image *a, const cpl_image *b, double most, double mean) {
    /* after a whole factor, rows are added below; after a broken one the height is rounded */
    int rows = b->width % a->width == 0 ? b->width / a->width * a->height : b->height;
    if (rows > b->height || abs(b->height - (int)lround((double)b->width * a->height / a->width)) >= BAND_PX) {
        fprintf(stderr, "pngdiff: %dx%d is not %dx%d enlarged\n", b->width, b->height, a->width, a->height);
        return 2;
    }
    cpl_image *larger = resample(a, a->height, b->width, rows);
    cpl_image *back = larger ? resample(larger, rows, a->width, a->height) : NULL;
    cpl_image *shown = resample(b, rows, a->width, a->height);
    int status = back && shown ? compare(back, shown, most, mean) : complain("out of memory");
    cpl_image_free(larger);
    cpl_image_free(back);
    cpl_image_free(shown);
    return status;
}

int main(int argc, char **argv) {
    bool scale = false;
    double most = 255, mean = 255;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--scale") == 0)
            scale = true;
        else if (strcmp(argv[at], "--most") == 0 && at + 1 < argc)
            most = atof(argv[++at]);
        else if (strcmp(argv[at], "--mean") == 0 && at + 1 < argc)
            mean = atof(argv[++at]);
        else
            return complain("usage: pngdiff [--scale] [--most N] [--mean X] A.png B.png");
    }
    if (argc - at != 2) return complain("usage: pngdiff [--scale] [--most N] [--mean X] A.png B.png");
    cpl_error error = {0};
    cpl_image *a = cpl_image_read_png(argv[at], &error);
    cpl_image *b = a ? cpl_image_read_png(argv[at + 1], &error) : NULL;
    int status = !b ? complain(error.message) : scale ? compare_shown(a, b, most, mean) : compare(a, b, most, mean);
    cpl_image_free(a);
    cpl_image_free(b);
    return status;
}
