/* resize.c: pictures of another size, columns first, then rows, with eight bits between the two: so the picture libraries that
 * other programs use do it, and numbers agree with theirs to one step. */
#include <math.h>
#include <stdlib.h>

#include "../couplet.h"
#include "../memory/alloc.h"

#define LOBES 3

static double lanczos(double x) {
    if (fabs(x) >= LOBES) return 0;
    if (fabs(x) < 1e-9) return 1;
    return sin(M_PI * x) / (M_PI * x) * (sin(M_PI * x / LOBES) / (M_PI * x / LOBES));
}

/* The old samples that one new sample is made of. */
typedef struct blend {
    int first, count;
    float *weight; /* [count], summing to 1; into one array of all blends */
} blend;

/* How `to` samples are made of `from`. The kernel is as wide as the wider of old and new pixels. */
static blend *make_blends(int from, int to, float **weights, cpl_error *error) {
    double scale = (double)from / to, width = fmax(scale, 1), reach = LOBES * width;
    size_t most = (size_t)(2 * ceil(reach)) + 2;
    blend *blends = cpl_alloc((size_t)to, sizeof *blends, error);
    *weights = cpl_alloc((size_t)to * most, sizeof **weights, error);
    for (int i = 0; blends && *weights && i < to; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int first = (int)fmax(centre - reach + 0.5, 0), end = (int)fmin(centre + reach + 0.5, from);
        blend *b = &blends[i];
        *b = (blend){first, end - first, *weights + (size_t)i * most};
        for (int k = 0; k < b->count; k++) sum += lanczos((first + k + 0.5 - centre) / width);
        for (int k = 0; k < b->count; k++) b->weight[k] = (float)(lanczos((first + k + 0.5 - centre) / width) / sum);
    }
    if (blends && *weights) return blends;
    free(blends);
    free(*weights);
    *weights = NULL;
    return NULL;
}

static unsigned char mix(const unsigned char *samples, size_t stride, const blend *b) {
    float sum = 0;
    for (int k = 0; k < b->count; k++) sum += b->weight[k] * (float)samples[(size_t)(b->first + k) * stride];
    return (unsigned char)fminf(fmaxf(sum + 0.5f, 0), 255);
}

/* Lines of samples `from_step` apart become lines of other samples `to_step` apart. */
static void resize_lines(unsigned char *to, size_t to_line, size_t to_step, const unsigned char *from, size_t from_line,
                         size_t from_step, int lines, const blend *blends, int samples) {
    for (int y = 0; y < lines; y++)
        for (int i = 0; i < samples; i++)
            for (size_t c = 0; c < 3; c++)
                to[(size_t)y * to_line + (size_t)i * to_step + c] =
                    mix(from + (size_t)y * from_line + c, from_step, &blends[i]);
}

cpl_image *cpl_image_resize(const cpl_image *image, int width, int height, cpl_error *error) {
    float *of_columns = NULL, *of_rows = NULL;
    cpl_image *wide = cpl_image_new(width, image->height, error);
    cpl_image *out = wide ? cpl_image_new(width, height, error) : NULL;
    blend *columns = out ? make_blends(image->width, width, &of_columns, error) : NULL;
    blend *rows = columns ? make_blends(image->height, height, &of_rows, error) : NULL;
    if (rows) {
        size_t old_line = (size_t)image->width * 3, line = (size_t)width * 3;
        resize_lines(wide->rgb, line, 3, image->rgb, old_line, 3, image->height, columns, width);
        /* columns of the picture are the lines now */
        resize_lines(out->rgb, 3, line, wide->rgb, 3, line, width, rows, height);
    } else {
        cpl_image_free(out);
        out = NULL;
    }
    free(rows);
    free(columns);
    free(of_rows);
    free(of_columns);
    cpl_image_free(wide);
    return out;
}
