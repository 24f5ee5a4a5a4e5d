/* norm.c: group norm and layer norm. Sums of a group norm are taken over chunks of rows whose size depends on the shape
 * alone and added up in their order, so that the thread count does not show in the result. */
#include "cpu.h"

#include <math.h>
#include <string.h>

/* A chunk stays in the first-level cache while its columns are summed; more chunks than these only cost memory. */
enum { CHUNK_FLOATS = 8192, MOST_CHUNKS = 64, SMALL_WORK = 8192 };

typedef struct group_norm {
    const cpu_kernels *kernels;
    const cpl_tensor *y, *x, *shift;
    const cpl_weight *w;
    int groups, chunks, sum_chunks;
    size_t rows, chunk_rows; /* of one batch element */
    size_t pixels;           /* that the sums are of */
    float eps;
    bool silu;
    double *sums;                 /* [n][sum_chunks][2][c]: sums, then squares */
    float *mean, *scale, *offset; /* [n][c] */
} group_norm;

static void sum_chunk(const group_norm *g, int element, int chunk) {
    size_t c = (size_t)g->x->c, first = (size_t)chunk * g->chunk_rows;
    size_t rows = g->rows - first < g->chunk_rows ? g->rows - first : g->chunk_rows;
    double *sum = g->sums + ((size_t)element * (size_t)g->chunks + (size_t)chunk) * 2 * c;
    memset(sum, 0, 2 * c * sizeof *sum);
    g->kernels->channel_sums(cpu_at(g->x, ((size_t)element * g->rows + first) * c),
                             g->shift ? cpu_at(g->shift, (size_t)element * c) : NULL, rows, c, sum, sum + c,
                             g->x->dtype);
}

/* What the shift adds to x it takes from the mean: the pass over the picture then has no shift. What rounding took from
 * the mean goes into the offset: it matters where the mean is far above the deviation. */
static void finish_group(const group_norm *g, int element, int group) {
    size_t c = (size_t)g->x->c, width = c / (size_t)g->groups, first = (size_t)group * width;
    double sum = 0, square = 0;
    for (int chunk = 0; chunk < g->sum_chunks; chunk++) {
        const double *sums = g->sums + ((size_t)element * (size_t)g->sum_chunks + (size_t)chunk) * 2 * c;
        for (size_t i = first; i < first + width; i++) {
            sum += sums[i];
            square += sums[c + i];
        }
    }
    double count = (double)g->pixels * (double)width, mean = sum / count, variance = square / count - mean * mean;
    double scale = 1.0 / sqrt((variance > 0 ? variance : 0) + (double)g->eps);
    for (size_t i = first; i < first + width; i++) {
        size_t at = (size_t)element * c + i;
        double centre = mean - (g->shift ? (double)((const float *)g->shift->data)[at] : 0.0),
               factor = scale * (double)g->w->gamma[i];
        g->mean[at] = (float)centre;
        g->scale[at] = (float)factor;
        g->offset[at] = (float)((double)g->w->beta[i] + ((double)g->mean[at] - centre) * factor);
    }
}

static void normalize_chunk(const group_norm *g, int element, int chunk) {
    size_t c = (size_t)g->x->c, first = (size_t)chunk * g->chunk_rows, at = ((size_t)element * g->rows + first) * c;
    size_t rows = g->rows - first < g->chunk_rows ? g->rows - first : g->chunk_rows, channel = (size_t)element * c;
    g->kernels->normalize(cpu_at(g->y, at), cpu_at(g->x, at), rows, c, g->mean + channel, g->scale + channel,
                          g->offset + channel, g->silu, g->x->dtype);
}

/* One team for all three passes; the loops end in barriers, which is what the passes need between them. */
static void run_group_norm(const group_norm *g) {
    int elements = g->x->n, pieces = elements * g->chunks, statistics = elements * g->groups;
#pragma omp parallel if (cpl_tensor_count(g->x) > SMALL_WORK)
    {
#pragma omp for schedule(static)
        for (int i = 0; i < pieces; i++) sum_chunk(g, i / g->chunks, i % g->chunks);
#pragma omp for schedule(static)
        for (int i = 0; i < statistics; i++) finish_group(g, i / g->groups, i % g->groups);
#pragma omp for schedule(static)
        for (int i = 0; i < pieces; i++) normalize_chunk(g, i / g->chunks, i % g->chunks);
    }
}

static bool are_grouped(cpl_stream *s, const cpl_tensor *x, int groups) {
    if (groups >= 1 && x->c % groups == 0) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "group_norm: %d channels do not fall into %d groups", x->c, groups);
    return false;
}

/* How the passes over x fall into chunks. */
static group_norm cut(const cpl_stream *s, const cpl_tensor *x) {
    size_t rows = (size_t)x->h * (size_t)x->w, c = (size_t)x->c;
    size_t chunk_rows = (rows + MOST_CHUNKS - 1) / MOST_CHUNKS;
    if (chunk_rows * c < CHUNK_FLOATS) chunk_rows = (CHUNK_FLOATS + c - 1) / c;
    int chunks = (int)((rows + chunk_rows - 1) / chunk_rows);
    return (group_norm){.kernels = cpu_of(s)->kernels,
                        .x = x,
                        .chunks = chunks,
                        .sum_chunks = chunks,
                        .rows = rows,
                        .chunk_rows = chunk_rows,
                        .pixels = rows};
}

static bool take_channels(group_norm *g, cpl_stream *s) {
    size_t channels = (size_t)g->x->n * (size_t)g->x->c;
    g->mean = cpu_scratch(s, 3 * channels, sizeof *g->mean);
    if (!g->mean) return false;
    g->scale = g->mean + channels;
    g->offset = g->mean + 2 * channels;
    return true;
}

void cpu_group_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *shift,
                    const cpl_weight *w, int groups, float eps, bool silu) {
    if (!cpu_enter(s) || !cpu_weighs(s, "group_norm", w, CPU_NORM) || !cpu_usable(s, "group_norm", "x", x) ||
        !cpu_shaped(s, "group_norm", "x", x, x->n, x->h, x->w, w->out) || !cpu_like(s, "group_norm", "y", y, x) ||
        (shift && (!cpu_shaped(s, "group_norm", "shift", shift, x->n, 1, 1, x->c) ||
                   !cpu_typed(s, "group_norm", "shift", shift, CPL_F32))) ||
        !are_grouped(s, x, groups))
        return;
    group_norm g = cut(s, x);
    g.y = y, g.shift = shift, g.w = w, g.groups = groups, g.eps = eps, g.silu = silu;
    size_t c = (size_t)x->c, n = (size_t)x->n;
    g.sums = cpu_scratch(s, n * (size_t)g.chunks * 2 * c, sizeof *g.sums);
    if (g.sums && take_channels(&g, s)) run_group_norm(&g);
    cpl_pool_give(s->pool, g.mean);
    cpl_pool_give(s->pool, g.sums);
}

/* ---- Rows of an image ---- */

static bool are_sums(cpl_stream *s, const char *operation, const cpl_tensor *sums, const cpl_tensor *x) {
    return cpu_shaped(s, operation, "sums", sums, 1, 1, 4, x->c);
}

void cpu_group_sums(cpl_stream *s, const cpl_tensor *sums, const cpl_tensor *x, bool first) {
    if (!cpu_enter(s) || !cpu_usable(s, "group_sums", "x", x) ||
        !cpu_shaped(s, "group_sums", "x", x, 1, x->h, x->w, x->c) || !are_sums(s, "group_sums", sums, x))
        return;
    group_norm g = cut(s, x);
    size_t values = 2 * (size_t)x->c;
    double *total = sums->data;
    g.sums = cpu_scratch(s, (size_t)g.chunks * values, sizeof *g.sums);
    if (!g.sums) return;
#pragma omp parallel for schedule(static) if (cpl_tensor_count(x) > SMALL_WORK)
    for (int i = 0; i < g.chunks; i++) sum_chunk(&g, 0, i);
    if (first) memset(total, 0, values * sizeof *total);
    for (int i = 0; i < g.chunks; i++)
        for (size_t k = 0; k < values; k++) total[k] += g.sums[(size_t)i * values + k];
    cpl_pool_give(s->pool, g.sums);
}

void cpu_group_norm_by(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *sums, size_t pixels,
                       const cpl_weight *w, int groups, float eps, bool silu) {
    if (!cpu_enter(s) || !cpu_weighs(s, "group_norm_by", w, CPU_NORM) || !cpu_usable(s, "group_norm_by", "x", x) ||
        !cpu_shaped(s, "group_norm_by", "x", x, 1, x->h, x->w, w->out) || !cpu_like(s, "group_norm_by", "y", y, x) ||
        !are_sums(s, "group_norm_by", sums, x) || !are_grouped(s, x, groups))
        return;
    group_norm g = cut(s, x);
    g.y = y, g.w = w, g.groups = groups, g.eps = eps, g.silu = silu;
    g.sums = sums->data, g.sum_chunks = 1, g.pixels = pixels;
    if (!take_channels(&g, s)) return;
    for (int i = 0; i < groups; i++) finish_group(&g, 0, i);
#pragma omp parallel for schedule(static) if (cpl_tensor_count(x) > SMALL_WORK)
    for (int i = 0; i < g.chunks; i++) normalize_chunk(&g, 0, i);
    cpl_pool_give(s->pool, g.mean);
}

void cpu_layer_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, float eps) {
    if (!cpu_enter(s) || !cpu_weighs(s, "layer_norm", w, CPU_NORM) || !cpu_usable(s, "layer_norm", "x", x) ||
        !cpu_shaped(s, "layer_norm", "x", x, x->n, x->h, x->w, w->out) || !cpu_like(s, "layer_norm", "y", y, x))
        return;
    const cpu_kernels *kernels = cpu_of(s)->kernels;
    size_t rows = cpu_rows(x), c = (size_t)x->c;
#pragma omp parallel for schedule(static) if (rows * c > SMALL_WORK)
    for (size_t i = 0; i < rows; i++)
        kernels->layer_norm(cpu_at(y, i * c), cpu_at(x, i * c), c, w->gamma, w->beta, eps, x->dtype);
}
