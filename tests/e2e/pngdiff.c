/* pngdiff: how far two PNG files are apart.
 *
 *   pngdiff [--scale] [--most N] [--mean X] A.png B.png
 *
 * Prints "max M mean X" over all channels. Exit 0 if no limit is passed, 1 if one is, 2 if the files cannot be compared.
 * --scale: B is a picture as a terminal showed it, larger by a whole factor and perhaps cut to whole sixel bands: A is
 * enlarged by that factor first. */
#include "../../core/couplet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *message) {
    fprintf(stderr, "pngdiff: %s\n", message);
    return 2;
}

static int compare(const cpl_image *a, const cpl_image *b, bool scale, double most, double mean) {
    int factor = scale ? (int)lround((double)b->width / a->width) : 1;
    /* a sixel picture may lack the last rows of an incomplete band */
    int lost_rows = a->height * factor - b->height;
    if (factor < 1 || a->width * factor != b->width || lost_rows < 0 || (lost_rows > 0 && (!scale || lost_rows >= 6))) {
        fprintf(stderr, "pngdiff: %dx%d and %dx%d\n", a->width, a->height, b->width, b->height);
        return 2;
    }
    int largest = 0;
    double sum = 0;
    for (int y = 0; y < b->height; y++)
        for (int x = 0; x < b->width * 3; x++) {
            int pixel = x / 3 / factor, channel = x % 3;
            int difference =
                abs(a->rgb[((size_t)(y / factor) * (size_t)a->width + (size_t)pixel) * 3 + (size_t)channel] -
                    b->rgb[(size_t)y * (size_t)b->width * 3 + (size_t)x]);
            if (difference > largest) largest = difference;
            sum += difference;
        }
    double average = sum / ((double)b->width * b->height * 3);
    printf("max %d mean %.4f\n", largest, average);
    return largest > most || average > mean;
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
    int status = b ? compare(a, b, scale, most, mean) : complain(error.message);
    cpl_image_free(a);
    cpl_image_free(b);
    return status;
}
