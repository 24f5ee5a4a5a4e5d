/* lora_delta.c: the arithmetic of LoRA, LoCon, LoHa and LoKr modules. Each is brought into one of two forms: a product of low
 * rank, or a whole matrix. Formulas as in the WebUI and Forge (weight + alpha / rank * delta). */
#include "lora_delta.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

typedef struct reader {
    const cpl_lora_file *file;
    const cpl_lora_module *module;
    const cpl_named_layer *layer;
    int64_t out, columns; /* of the layer's weight as a matrix */
    cpl_error *error;
} reader;

void cpl_lora_delta_clear(cpl_lora_delta *d) {
    free(d->down);
    free(d->up);
    free(d->whole);
    *d = (cpl_lora_delta){0};
}

static const cpl_st_entry *part(const reader *r, cpl_lora_part which) { return r->module->part[which]; }

static bool misfit(const reader *r, const cpl_st_entry *e) {
    char shape[96] = "[";
    for (int i = 0; i < e->rank; i++) {
        size_t used = strlen(shape);
        snprintf(shape + used, sizeof shape - used, "%s%lld", i ? ", " : "", (long long)e->shape[i]);
    }
    return cpl_fail(r->error, CPL_E_INPUT,
                    "%s does not fit this model: its tensor %.120s has the shape %s], but the model's layer takes %d "
                    "values to %d%s; it was made for another kind of model",
                    cpl_safetensors_path(r->file->st), e->name, shape, r->layer->in, r->layer->out,
                    r->layer->k > 1 ? " by a convolution" : "");
}

/* The values of a part that must be [rows, columns], or the same with further sides of 1. */
static float *matrix(const reader *r, cpl_lora_part which, int64_t rows, int64_t columns) {
    const cpl_st_entry *e = part(r, which);
    if (e->rank < 2 || rows < 1 || e->shape[0] != rows || e->count / rows != columns) {
        misfit(r, e);
        return NULL;
    }
    return cpl_safetensors_f32(r->file->st, e, r->error);
}

static int64_t side(const cpl_st_entry *e, int dimension) {
    return dimension < e->rank && e->shape[dimension] > 0 && e->shape[dimension] < 1 << 24 ? e->shape[dimension] : 0;
}

static bool read_scale(const reader *r, double weight, int64_t rank, float *scale) {
    const cpl_st_entry *e = part(r, CPL_LORA_ALPHA);
    *scale = (float)weight;
    if (!e || rank < 1) return true;
    if (e->count != 1) return misfit(r, e);
    float *alpha = cpl_safetensors_f32(r->file->st, e, r->error);
    if (!alpha) return false;
    double value = *alpha;
    free(alpha);
    *scale = (float)(weight * value / (double)rank);
    return isfinite(value) ||
           cpl_fail(r->error, CPL_E_INPUT,
                    "%s: its tensor %.120s is no finite number; the file is damaged, use another one",
                    cpl_safetensors_path(r->file->st), e->name);
}

static void scale_by(float *values, int64_t count, float scale) {
    for (int64_t i = 0; i < count; i++) values[i] *= scale;
}

static float *room_for(const reader *r, int64_t rows, int64_t columns) {
    return cpl_alloc((size_t)rows * (size_t)columns, sizeof(float), r->error);
}

/* out [rows][columns] += a [rows][inner] * b [inner][columns] */
static void multiply(float *out, const float *a, const float *b, int64_t rows, int64_t inner, int64_t columns) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < inner; k++)
            for (int64_t j = 0; j < columns; j++) out[i * columns + j] += a[i * inner + k] * b[k * columns + j];
}

/* The product of two parts as [rows][columns]; NULL: failed. */
static float *product(const reader *r, cpl_lora_part first, cpl_lora_part second, int64_t rows, int64_t columns) {
    int64_t rank = side(part(r, second), 0);
    float *a = matrix(r, first, rows, rank), *b = a ? matrix(r, second, rank, columns) : NULL;
    float *out = b ? room_for(r, rows, columns) : NULL;
    if (out) multiply(out, a, b, rows, rank, columns);
    free(a);
    free(b);
    return out;
}

/* Tucker form: sum over i, j of kernel [i][j][area] * a [i][rows] * b [j][columns] as [rows][columns][area]. */
static float *tucker(const reader *r, cpl_lora_part kernel, cpl_lora_part a, cpl_lora_part b, int64_t rows,
                     int64_t columns) {
    int64_t area = (int64_t)r->layer->k * r->layer->k, ri = side(part(r, kernel), 0), rj = side(part(r, kernel), 1);
    float *t = matrix(r, kernel, ri, rj * area), *left = t ? matrix(r, a, ri, rows) : NULL;
    float *right = left ? matrix(r, b, rj, columns) : NULL, *half = right ? room_for(r, rows, rj * area) : NULL;
    float *out = half ? room_for(r, rows, columns * area) : NULL;
    for (int64_t i = 0; out && i < ri; i++)
        for (int64_t p = 0; p < rows; p++)
            for (int64_t j = 0; j < rj * area; j++)
                half[p * rj * area + j] += left[i * rows + p] * t[i * rj * area + j];
    for (int64_t p = 0; out && p < rows; p++)
        for (int64_t j = 0; j < rj; j++)
            for (int64_t c = 0; c < columns; c++)
                for (int64_t s = 0; s < area; s++)
                    out[(p * columns + c) * area + s] += half[(p * rj + j) * area + s] * right[j * columns + c];
    free(half);
    free(right);
    free(left);
    free(t);
    return out;
}

/* A middle of [rank][inner][k][k] behind a down of 1x1 is one kernel: sum over r of mid[o][r][area] * down[r][in]. */
static float *fold_middle(const reader *r, int64_t rank) {
    const cpl_named_layer *l = r->layer;
    int64_t area = (int64_t)l->k * l->k, inner = side(part(r, CPL_LORA_DOWN), 0);
    float *down = matrix(r, CPL_LORA_DOWN, inner, l->in);
    float *mid = down ? matrix(r, CPL_LORA_MID, rank, inner * area) : NULL,
          *out = mid ? room_for(r, rank, r->columns) : NULL;
    for (int64_t o = 0; out && o < rank; o++)
        for (int64_t i = 0; i < inner; i++)
            for (int64_t c = 0; c < l->in; c++)
                for (int64_t s = 0; s < area; s++)
                    out[(o * l->in + c) * area + s] += mid[(o * inner + i) * area + s] * down[i * l->in + c];
    free(mid);
    free(down);
    return out;
}

static bool read_lora(const reader *r, cpl_lora_delta *d, double weight) {
    bool middle = part(r, CPL_LORA_MID);
    int64_t rank = side(part(r, CPL_LORA_UP), 1);
    float scale;
    if (rank < 1) return misfit(r, part(r, CPL_LORA_UP));
    d->rank = (int)rank;
    d->down = middle ? fold_middle(r, rank) : matrix(r, CPL_LORA_DOWN, rank, r->columns);
    d->up = d->down ? matrix(r, CPL_LORA_UP, r->out, rank) : NULL;
    if (!d->up || !read_scale(r, weight, cpl_lora_module_rank(r->module), &scale)) return false;
    scale_by(d->up, r->out * rank, scale);
    return true;
}

/* The product of two matrices, value by value, of ranks r1 and r2 has rank r1 * r2 at most: its factors are all products of a
 * column (row) of one with a column (row) of the other. */
static bool hadamard_factors(const reader *r, cpl_lora_delta *d, int64_t r1, int64_t r2) {
    float *a1 = matrix(r, CPL_LOHA_W1A, r->out, r1), *a2 = a1 ? matrix(r, CPL_LOHA_W2A, r->out, r2) : NULL;
    float *b1 = a2 ? matrix(r, CPL_LOHA_W1B, r1, r->columns) : NULL,
          *b2 = b1 ? matrix(r, CPL_LOHA_W2B, r2, r->columns) : NULL;
    int64_t rank = r1 * r2;
    d->up = b2 ? room_for(r, r->out, rank) : NULL;
    d->down = d->up ? room_for(r, rank, r->columns) : NULL;
    d->rank = (int)rank;
    for (int64_t i = 0; d->down && i < rank; i++) {
        int64_t k1 = i / r2, k2 = i % r2;
        for (int64_t o = 0; o < r->out; o++) d->up[o * rank + i] = a1[o * r1 + k1] * a2[o * r2 + k2];
        for (int64_t c = 0; c < r->columns; c++)
            d->down[i * r->columns + c] = b1[k1 * r->columns + c] * b2[k2 * r->columns + c];
    }
    free(a1);
    free(a2);
    free(b1);
    free(b2);
    return d->down != NULL;
}

static bool hadamard_whole(const reader *r, cpl_lora_delta *d) {
    bool kernel = part(r, CPL_LOHA_T1);
    float *first = kernel ? tucker(r, CPL_LOHA_T1, CPL_LOHA_W1A, CPL_LOHA_W1B, r->out, r->layer->in)
                          : product(r, CPL_LOHA_W1A, CPL_LOHA_W1B, r->out, r->columns);
    float *second = !first   ? NULL
                    : kernel ? tucker(r, CPL_LOHA_T2, CPL_LOHA_W2A, CPL_LOHA_W2B, r->out, r->layer->in)
                             : product(r, CPL_LOHA_W2A, CPL_LOHA_W2B, r->out, r->columns);
    for (int64_t i = 0; second && i < r->out * r->columns; i++) first[i] *= second[i];
    free(second);
    if (!second) free(first);
    d->whole = second ? first : NULL;
    return d->whole != NULL;
}

static bool read_loha(const reader *r, cpl_lora_delta *d, double weight) {
    int64_t r1 = side(part(r, CPL_LOHA_W1B), 0), r2 = side(part(r, CPL_LOHA_W2B), 0);
    float scale;
    if (r1 < 1 || r2 < 1) return misfit(r, part(r, r1 < 1 ? CPL_LOHA_W1B : CPL_LOHA_W2B));
    bool low = !part(r, CPL_LOHA_T1) && r1 * r2 * (r->out + r->columns) < r->out * r->columns;
    if (!(low ? hadamard_factors(r, d, r1, r2) : hadamard_whole(r, d)) || !read_scale(r, weight, r1, &scale))
        return false;
    scale_by(low ? d->up : d->whole, r->out * (low ? d->rank : r->columns), scale);
    return true;
}

/* kron(w1 [a][b], w2 [c][d]) = [a c][b d]. */
static void kronecker(float *out, const float *w1, const float *w2, int64_t a, int64_t b, int64_t c, int64_t d) {
    for (int64_t i = 0; i < a * c; i++)
        for (int64_t j = 0; j < b * d; j++) out[i * b * d + j] = w1[i / c * b + j / d] * w2[i % c * d + j % d];
}

static bool read_lokr(const reader *r, cpl_lora_delta *d, double weight) {
    bool whole1 = part(r, CPL_LOKR_W1), whole2 = part(r, CPL_LOKR_W2), kernel = part(r, CPL_LOKR_T2);
    int64_t area = (int64_t)r->layer->k * r->layer->k, rank = whole2 && whole1 ? 0 : cpl_lora_module_rank(r->module);
    int64_t a = side(part(r, whole1 ? CPL_LOKR_W1 : CPL_LOKR_W1A), 0);
    int64_t b = side(part(r, whole1 ? CPL_LOKR_W1 : CPL_LOKR_W1B), 1);
    float scale;
    if (a < 1 || b < 1 || r->out % a || r->layer->in % b)
        return misfit(r, part(r, whole1 ? CPL_LOKR_W1 : CPL_LOKR_W1A));
    int64_t c = r->out / a, in2 = r->layer->in / b;
    float *w1 = whole1 ? matrix(r, CPL_LOKR_W1, a, b) : product(r, CPL_LOKR_W1A, CPL_LOKR_W1B, a, b);
    float *w2 = !w1      ? NULL
                : whole2 ? matrix(r, CPL_LOKR_W2, c, in2 * area)
                : kernel ? tucker(r, CPL_LOKR_T2, CPL_LOKR_W2A, CPL_LOKR_W2B, c, in2)
                         : product(r, CPL_LOKR_W2A, CPL_LOKR_W2B, c, in2 * area);
    d->whole = w2 ? room_for(r, r->out, r->columns) : NULL;
    bool done = d->whole && read_scale(r, weight, rank, &scale);
    if (done) kronecker(d->whole, w1, w2, a, b, c, in2 * area);
    if (done) scale_by(d->whole, r->out * r->columns, scale);
    free(w1);
    free(w2);
    return done;
}

bool cpl_lora_delta_read(cpl_lora_delta *d, const cpl_lora_file *file, const cpl_lora_module *module,
                         const cpl_named_layer *layer, double weight, cpl_error *error) {
    const reader r = {file, module, layer, layer->out, (int64_t)layer->in * layer->k * layer->k, error};
    *d = (cpl_lora_delta){0};
    bool done = part(&r, CPL_LORA_UP)    ? read_lora(&r, d, weight)
                : part(&r, CPL_LOHA_W1A) ? read_loha(&r, d, weight)
                                         : read_lokr(&r, d, weight);
    if (!done) cpl_lora_delta_clear(d);
    return done;
}
