/* upscale.c: each value of a larger plane is a weighted sum of at most four columns of at most four rows. */
#include "upscale.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../couplet.h"
#include "../memory/alloc.h"

enum { MOST_TAPS = 4 };
#define CUBIC_A (-0.75F) /* the kernel's free parameter, as torch sets it */

/* Where one value of an axis comes from; weights of what is not taken are 0. */
typedef struct taps {
    int at[MOST_TAPS];
    float weight[MOST_TAPS];
} taps;

typedef void find_taps(taps *t, float scale, int to, int size);

static int within(int index, int size) { return index < 0 ? 0 : index >= size ? size - 1 : index; }

static void nearest(taps *t, float scale, int to, int size) {
    *t = (taps){.at = {within((int)floorf((float)to * scale), size)}, .weight = {1}};
}

static void linear(taps *t, float scale, int to, int size) {
    float from = fmaxf(scale * ((float)to + 0.5F) - 0.5F, 0);
    int first = within((int)from, size);
    float share = from - (float)first;
    *t = (taps){.at = {first, within(first + 1, size)}, .weight = {1 - share, share}};
}

/* Keys, "Cubic convolution interpolation", 1981. x: distance, up to 1, and from 1 to 2. */
static float cubic_near(float x) { return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1; }
static float cubic_far(float x) { return ((CUBIC_A * x - 5 * CUBIC_A) * x + 8 * CUBIC_A) * x - 4 * CUBIC_A; }

static void cubic(taps *t, float scale, int to, int size) {
    float from = scale * ((float)to + 0.5F) - 0.5F, first = floorf(from), share = from - first;
    for (int i = 0; i < MOST_TAPS; i++) t->at[i] = within((int)first - 1 + i, size);
    t->weight[0] = cubic_far(share + 1);
    t->weight[1] = cubic_near(share);
    t->weight[2] = cubic_near(1 - share);
    t->weight[3] = cubic_far(2 - share);
}

static const struct {
    const char *name;
    find_taps *find; /* NULL: not of latents */
} upscalers[] = {{"latent", linear}, {"latent_nearest", nearest}, {"latent_bicubic", cubic}, {"lanczos", NULL}};

const char *const *cpl_upscaler_names(void) {
    static const char *const names[] = {"latent", "latent_nearest", "latent_bicubic", "lanczos", NULL};
    return names;
}

static find_taps *named(const char *name) {
    for (size_t i = 0; i < sizeof upscalers / sizeof *upscalers; i++)
        if (strcmp(upscalers[i].name, name) == 0) return upscalers[i].find;
    return NULL;
}

bool cpl_upscaler_is_latent(const char *name) { return named(name) != NULL; }

static taps *find_all(find_taps *find, int size, int to_size, cpl_error *error) {
    taps *list = cpl_alloc((size_t)to_size, sizeof *list, error);
    for (int i = 0; list && i < to_size; i++) find(&list[i], (float)size / (float)to_size, i, size);
    return list;
}

static float value_at(const float *plane, int w, const taps *x, const taps *y) {
    float sum = 0;
    for (int i = 0; i < MOST_TAPS; i++) {
        const float *row = plane + (size_t)y->at[i] * (size_t)w;
        float of_row = 0;
        for (int k = 0; k < MOST_TAPS; k++) of_row += x->weight[k] * row[x->at[k]];
        sum += y->weight[i] * of_row;
    }
    return sum;
}

float *cpl_upscale_latent(const char *name, const float *planes, int channels, int w, int h, int to_w, int to_h,
                          cpl_error *error) {
    find_taps *find = named(name);
    if (!find) {
        cpl_fail(error, CPL_E_INPUT, "%s makes no latents larger", name);
        return NULL;
    }
    taps *x = find_all(find, w, to_w, error), *y = find_all(find, h, to_h, error);
    size_t cells = (size_t)to_w * (size_t)to_h;
    float *out = x && y ? cpl_alloc((size_t)channels * cells, sizeof *out, error) : NULL;
    for (int c = 0; out && c < channels; c++)
        for (int i = 0; i < to_h; i++)
            for (int k = 0; k < to_w; k++)
                out[(size_t)c * cells + (size_t)i * (size_t)to_w + (size_t)k] =
                    value_at(planes + (size_t)c * (size_t)w * (size_t)h, w, &x[k], &y[i]);
    free(x);
    free(y);
    return out;
}
