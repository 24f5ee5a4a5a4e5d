/* random_load.c: in the place of core/model/load.c: layers of the shapes that a network asks for, with random weights. So a
 * benchmark needs no checkpoint: nothing is read, named or kept, and the weights of SDXL are on the device in seconds. They
 * are not zeros, because a device is faster on zeros; layers that close a residual are small, as in a trained network, or
 * values would grow from block to block. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/memory/alloc.h"
#include "../../core/model/load.h"

/* f16 values of one binary exponent, random in sign and mantissa; kept for the next layer that wants the same. */
enum { EXPONENTS = 16 };
static struct {
    uint16_t *values;
    size_t count;
} kept[EXPONENTS];

static const uint16_t *randoms(cpl_loader *l, size_t count, int exponent) {
    int which = exponent < 0 && exponent > -EXPONENTS ? -exponent : exponent < 0 ? EXPONENTS - 2 : 0;
    if (kept[which].count < count) {
        uint32_t state = 12345 + (uint32_t)which;
        free(kept[which].values);
        kept[which].count = 0;
        kept[which].values = cpl_alloc(count, sizeof(uint16_t), l->error);
        if (!kept[which].values) return NULL;
        kept[which].count = count;
        for (size_t i = 0; i < count; i++) {
            state = state * 1664525u + 1013904223u;
            kept[which].values[i] = (uint16_t)((state >> 16 & 0x83ffu) | (uint32_t)(15 - which) << 10);
        }
    }
    return kept[which].values;
}

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), of_end = strlen(end);
    return length >= of_end && strcmp(name + length - of_end, end) == 0;
}

/* The mean square of such values is 7/3 of the exponent's; a sum over `fan` of them is to be about one, or a quarter. */
static int exponent_for(const char *name, size_t fan) {
    static const char *const closing[] = {"out_layers.3", "proj_out", "to_out.0", "ff.net.2", "conv2", "mlp.fc2"};
    int exponent = (int)floor(-log2(1.5 * sqrt((double)fan)));
    for (size_t i = 0; i < sizeof closing / sizeof *closing; i++)
        if (ends_with(name, closing[i])) exponent -= 2;
    return exponent;
}

static cpl_weight *finish(cpl_loader *l, cpl_weight *w) {
    if (!w) l->failed = true;
    return w;
}

static float *constants(cpl_loader *l, size_t count, float value) {
    float *list = l->failed ? NULL : cpl_alloc(count, sizeof *list, l->error);
    for (size_t i = 0; list && i < count; i++) list[i] = value;
    if (!list) l->failed = true;
    return list;
}

cpl_weight *cpl_load_conv(cpl_loader *l, const char *prefix, const char *name, int out, int in, int k) {
    (void)prefix;
    size_t fan = (size_t)in * (size_t)k * (size_t)k;
    const uint16_t *w = l->failed ? NULL : randoms(l, (size_t)out * fan, exponent_for(name, fan));
    float *bias = constants(l, (size_t)out, 0);
    cpl_weight *packed = NULL;
    if (w && bias)
        packed =
            l->backend->ops->conv_weight(l->backend, l->type, (cpl_values){w, CPL_F16}, bias, out, in, k, k, l->error);
    free(bias);
    return finish(l, packed);
}

cpl_weight *cpl_load_linear(cpl_loader *l, const char *prefix, const char *name, int out, int in, unsigned flags) {
    (void)prefix;
    const uint16_t *w = l->failed ? NULL : randoms(l, (size_t)out * (size_t)in, exponent_for(name, (size_t)in));
    float *bias = flags & CPL_LOAD_BIAS ? constants(l, (size_t)out, 0) : NULL;
    cpl_weight *packed = NULL;
    if (w && !l->failed)
        packed = l->backend->ops->linear_weight(l->backend, l->type, (cpl_values){w, CPL_F16}, bias, out, in, l->error);
    free(bias);
    return finish(l, packed);
}

cpl_weight *cpl_load_rows(cpl_loader *l, const char *prefix, const char *weight, const char *bias, int rows, int first,
                          int out, int in) {
    (void)rows, (void)first;
    return cpl_load_linear(l, prefix, weight, out, in, bias ? CPL_LOAD_BIAS : 0);
}

cpl_weight *cpl_load_norm(cpl_loader *l, const char *prefix, const char *name, int c) {
    (void)prefix, (void)name;
    float *gamma = constants(l, (size_t)c, 1), *beta = constants(l, (size_t)c, 0);
    cpl_weight *packed = NULL;
    if (gamma && beta) packed = l->backend->ops->norm_weight(l->backend, gamma, beta, c, l->error);
    free(gamma);
    free(beta);
    return finish(l, packed);
}

cpl_weight *cpl_load_table(cpl_loader *l, const char *prefix, const char *name, int count, int c) {
    (void)prefix, (void)name;
    float *rows = constants(l, (size_t)count * (size_t)c, 0.02f);
    cpl_weight *packed = rows ? l->backend->ops->table_weight(l->backend, rows, count, c, l->error) : NULL;
    free(rows);
    return finish(l, packed);
}

float *cpl_load_values(cpl_loader *l, const char *prefix, const char *name, int rank, const int *shape) {
    (void)prefix, (void)name;
    size_t count = 1;
    for (int i = 0; i < rank; i++) count *= (size_t)shape[i];
    return constants(l, count, 0.02f);
}

cpl_dtype cpl_load_precision(const cpl_loader *l) { return l->backend->precision; }

void *cpl_load_begin(cpl_loader *l, size_t size, bool sound) {
    void *network = sound && !l->failed ? cpl_alloc(1, size, l->error) : NULL;
    l->failed = !network;
    l->type = cpl_load_precision(l);
    return network;
}

void cpl_load_list(cpl_loader *l, const char *prefix, const char *name, const cpl_named_layer *layer) {
    (void)l, (void)prefix, (void)name, (void)layer; /* nobody adds to these layers */
}
