/* coupled.c: cross-attention at the levels of SD 1.5 and SDXL: attention alone against its byte floor, the whole layer against
 * the original's way on the same device with the same kernels. Pictures come in pairs, a negative and a positive one. */
#include <stdio.h>
#include <stdlib.h>

#include "../../core/bench/inputs.h"
#include "../../core/bench/original.h"
#include "../../core/memory/alloc.h"
#include "bench.h"

enum { KEYS = 77, MOST_REGIONS = 16, MOST_SETS = 16, MOST_BATCH = 8, AT_LEAST = 48 };

typedef struct level {
    const char *model;
    int side, heads, depth, width;
} level;

static const level levels[] = {
    {"sd15", 64, 8, 40, 768},   {"sd15", 32, 8, 80, 768},   {"sd15", 16, 8, 160, 768},
    {"sdxl", 64, 10, 64, 2048}, {"sdxl", 32, 20, 64, 2048},
};
static const level quick_levels[] = {{"tiny", 8, 2, 24, 32}};
static const int region_counts[] = {1, 2, 4, 8, 16};

/* Several sets of pictures, taken by turns, so that what one call leaves in the device's cache is gone when its turn comes. */
typedef struct rig {
    gpu_bench *b;
    const level *level;
    int batch, regions, sets;
    cpl_tensor x[MOST_SETS], q[MOST_SETS], y[MOST_SETS];
    cpl_tensor k[1 + MOST_REGIONS], v[1 + MOST_REGIONS], contexts;
    const cpl_tensor *pk[1 + MOST_REGIONS], *pv[1 + MOST_REGIONS];
    cpl_listen listen[MOST_BATCH];
    cpl_plan *plan;
    cpl_weight *to_q, *to_k, *to_v, *to_out;
    cpl_original original;
} rig;

/* ---- Making ---- */

static cpl_weight *weight(gpu_bench *b, int out, int in, unsigned seed) {
    size_t count = (size_t)out * (size_t)in;
    float *values = cpl_alloc(count, sizeof *values, &b->error);
    uint32_t state = seed;
    for (size_t i = 0; values && i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = ((float)(state >> 16) / 32768 - 1) * 0.05f;
    }
    cpl_weight *w = values ? b->backend->ops->linear_weight(b->backend, b->backend->precision,
                                                            (cpl_values){values, CPL_F32}, NULL, out, in, &b->error)
                           : NULL;
    free(values);
    return w;
}

static bool open_rig(rig *r, gpu_bench *b, const level *l, int batch, int regions) {
    int c = l->heads * l->depth;
    *r = (rig){.b = b, .level = l, .batch = batch, .regions = regions, .sets = 1};
    size_t bytes = 2 * (size_t)batch * (size_t)l->side * (size_t)l->side * (size_t)c * 2;
    while (r->sets < MOST_SETS && (size_t)r->sets * bytes < (size_t)(b->quick ? 1 : 256) << 20) r->sets++;
    if (b->quick) r->sets = 2;
    for (int i = 0; i < r->sets; i++) {
        r->x[i] = gpu_bench_tensor(b, batch, l->side, l->side, c, (unsigned)i + 1);
        r->q[i] = gpu_bench_tensor(b, batch, l->side, l->side, c, (unsigned)i + 100);
        r->y[i] = cpl_make_like(b->s, &r->x[i]);
    }
    for (int i = 0; i <= regions; i++) {
        r->k[i] = gpu_bench_tensor(b, 1, 1, KEYS, c, (unsigned)i + 200);
        r->v[i] = gpu_bench_tensor(b, 1, 1, KEYS, c, (unsigned)i + 300);
        r->pk[i] = &r->k[i], r->pv[i] = &r->v[i];
    }
    float *masks = cpl_bench_tiles(regions, l->side, l->side, &b->error);
    r->plan = masks ? cpl_plan_new(masks, regions, l->side, l->side, &b->error) : NULL;
    free(masks);
    for (int i = 0; i < batch; i++)
        r->listen[i] = i % 2 ? (cpl_listen){.lines = regions, .k = r->pk + 1, .v = r->pv + 1, .plan = r->plan}
                             : (cpl_listen){.lines = 1, .k = r->pk, .v = r->pv};
    r->to_q = weight(b, c, c, 1), r->to_k = weight(b, c, l->width, 2);
    r->to_v = weight(b, c, l->width, 3), r->to_out = weight(b, c, c, 4);
    r->contexts = gpu_bench_tensor(b, 1 + regions, 1, KEYS, l->width, 11);
    cpl_original_open(&r->original, b->s->ops, &r->contexts, regions);
    return r->plan && r->to_q && r->to_k && r->to_v && r->to_out && cpl_stream_settle(b->s, &b->error) &&
           cpl_original_add_layer(&r->original, r->to_k, r->to_v);
}

static void close_rig(rig *r) {
    gpu_bench *b = r->b;
    cpl_original_close(&r->original);
    for (int i = 0; i < MOST_SETS; i++) cpl_tensor_free(&r->x[i]), cpl_tensor_free(&r->q[i]), cpl_tensor_free(&r->y[i]);
    for (int i = 0; i <= MOST_REGIONS; i++) cpl_tensor_free(&r->k[i]), cpl_tensor_free(&r->v[i]);
    cpl_tensor_free(&r->contexts);
    cpl_plan_free(r->plan);
    cpl_weight *const weights[] = {r->to_q, r->to_k, r->to_v, r->to_out};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) b->backend->ops->weight_free(b->backend, weights[i]);
}

/* ---- Running ---- */

static void attend(void *context, int call) {
    rig *r = context;
    int i = call % r->sets;
    r->b->s->ops->cross_attention(r->b->s, &r->y[i], &r->q[i], r->listen, r->level->heads);
}

/* y = to_out(attention(to_q(x))) + x, with the keys and values that are there. */
static void layer(void *context, int call) {
    rig *r = context;
    cpl_stream *s = r->b->s;
    int i = call % r->sets;
    cpl_tensor q = cpl_make_like(s, &r->x[i]), y = cpl_make_like(s, &r->x[i]);
    s->ops->linear(s, &q, &r->x[i], r->to_q, CPL_ACT_NONE, NULL);
    s->ops->cross_attention(s, &y, &q, r->listen, r->level->heads);
    s->ops->linear(s, &r->y[i], &y, r->to_out, CPL_ACT_NONE, &r->x[i]);
    cpl_tensor_free(&q);
    cpl_tensor_free(&y);
}

/* The same calls; what original.c makes of them is the original's way. Of one pair: it knows no more. */
static void layer_of_original(void *context, int call) {
    rig *r = context;
    cpl_stream *s = r->b->s;
    const cpl_backend_ops *real = s->ops;
    s->ops = &r->original.ops;
    cpl_original_begin(&r->original);
    layer(context, call);
    s->ops = real;
}

/* What must be moved at least: queries and results once, each text that is listened to once, the weights of the tiles. */
static double least_bytes(const rig *r) {
    double tokens = (double)r->level->side * r->level->side, c = (double)r->level->heads * r->level->depth;
    double value = r->b->backend->precision == CPL_F32 ? 4 : 2;
    return 2 * r->batch * tokens * c * value + 2.0 * (1 + r->regions) * KEYS * c * value + 4 * tokens;
}

static bool measure(gpu_bench *b, const level *l, int batch, int regions) {
    rig *r = cpl_alloc(1, sizeof *r, &b->error);
    gpu_timing alone = {0}, whole = {0}, original = {0};
    if (!r) return false;
    bool done = open_rig(r, b, l, batch, regions);
    /* Many of them: a step's time contains the start of its graph, once. */
    int inner = (AT_LEAST + r->sets - 1) / r->sets * r->sets;
    done = done && gpu_bench_time(b, attend, r, b->quick ? 2 : inner, &alone);
    done = done && gpu_bench_time(b, layer, r, b->quick ? 1 : inner, &whole);
    if (batch == 2) done = done && gpu_bench_time(b, layer_of_original, r, b->quick ? 1 : 8, &original);
    double floor_ms = b->gbps > 0 ? least_bytes(r) / b->gbps / 1e6 : 0;
    close_rig(r);
    free(r);
    if (!done) return false;
    gpu_bench_row(b);
    gpu_bench_text(b, "model", l->model);
    gpu_bench_number(b, "side", l->side);
    gpu_bench_number(b, "heads", l->heads);
    gpu_bench_number(b, "depth", l->depth);
    gpu_bench_number(b, "width", l->width);
    gpu_bench_number(b, "batch", batch);
    gpu_bench_number(b, "regions", regions);
    gpu_bench_number(b, "attention_ms", alone.device_ms);
    gpu_bench_number(b, "floor_ms", floor_ms);
    gpu_bench_number(b, "layer_ms", whole.device_ms);
    if (batch == 2) gpu_bench_number(b, "original_ms", original.device_ms);
    printf("| %s %dx%d, %d of %d | %d | %d | %.4f | %.0f %% | %.4f | ", l->model, l->side, l->side, l->heads, l->depth,
           batch, regions, alone.device_ms, alone.device_ms > 0 ? 100 * floor_ms / alone.device_ms : 0,
           whole.device_ms);
    if (batch == 2)
        printf("%.4f |\n", original.device_ms);
    else
        printf("|\n");
    fflush(stdout);
    return true;
}

bool gpu_bench_coupled(gpu_bench *b) {
    const level *list = b->quick ? quick_levels : levels;
    int count = b->quick ? 1 : (int)(sizeof levels / sizeof *levels);
    int most = b->quick ? 2 : (int)(sizeof region_counts / sizeof *region_counts);
    gpu_bench_open(b, "coupled");
    printf("| layer | batch | regions | attention ms | of the floor | layer ms | the original's way ms |\n"
           "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (int i = 0; i < count; i++)
        for (int batch = 2; batch <= MOST_BATCH; batch += 6)
            for (int k = 0; k < most; k++) {
                fprintf(stderr, "bench-gpu: %s, %dx%d, batch %d, %d regions\n", list[i].model, list[i].side,
                        list[i].side, batch, region_counts[k]);
                if (!measure(b, &list[i], batch, region_counts[k])) return false;
            }
    gpu_bench_close(b);
    return true;
}
