/* coupled.c: one cross-attention layer at every grid of SD 1.5 and SDXL, for a batch of a negative and a positive picture:
 * coupled over R lines, with one prompt, and the original's way, by turns in one loop. */
#include <stdlib.h>

#include "../memory/alloc.h"
#include "../sample/clock.h"
#include "bench.h"
#include "inputs.h"
#include "original.h"

#include <string.h>

enum { KEYS = 77, MOST_REGIONS = 16, METHODS = 3 };
enum { PLAIN, OURS, ORIGINAL };

/* layers: how many of a step's cross-attentions are of this kind. */
typedef struct level {
    const char *model;
    int side, heads, depth, layers, width;
} level;

static const level levels[] = {
    {"sd15", 64, 8, 40, 5, 768}, {"sd15", 32, 8, 80, 5, 768},    {"sd15", 16, 8, 160, 5, 768},
    {"sd15", 8, 8, 160, 1, 768}, {"sdxl", 64, 10, 64, 10, 2048}, {"sdxl", 32, 20, 64, 60, 2048},
};
/* A quick run takes the first two. */
static const int region_counts[] = {1, 8, 2, 4, 16};
enum { QUICK_COUNTS = 2, ALL_COUNTS = sizeof region_counts / sizeof *region_counts };

/* One way to do it, on a stream of its own: what it takes is seen in that stream's pool. */
typedef struct method {
    cpl_stream *s;
    cpl_tensor x, q, y, out;
    cpl_tensor k[1 + MOST_REGIONS], v[1 + MOST_REGIONS]; /* the negative's first */
    const cpl_tensor *listed_k[1 + MOST_REGIONS], *listed_v[1 + MOST_REGIONS];
    int texts;
    cpl_tensor contexts; /* ORIGINAL */
    cpl_listen listen[2];
    double whole_ms, attention_ms; /* best so far */
    uint64_t bytes;                /* the most that was in use during a call beyond what was there before */
} method;

typedef struct bench {
    cpl_bench_run *run;
    cpl_backend *backend;
    const level *level;
    cpl_dtype type;
    const char *precision;
    cpl_weight *to_q, *to_k, *to_v, *to_out;
    method method[METHODS];
    cpl_plan *plan;
    cpl_original original;
    int regions;
} bench;

/* ---- Making ---- */

static cpl_weight *weight_of(bench *b, int out, int in, unsigned seed) {
    float *values = cpl_alloc((size_t)out * (size_t)in, sizeof *values, b->run->error);
    if (!values) return NULL;
    cpl_bench_fill(values, (size_t)out * (size_t)in, seed);
    for (size_t i = 0; i < (size_t)out * (size_t)in; i++) values[i] *= 0.05f;
    cpl_weight *w = b->backend->ops->linear_weight(b->backend, b->type, (cpl_values){values, CPL_F32}, NULL, out, in,
                                                   b->run->error);
    free(values);
    return w;
}

static bool make_weights(bench *b) {
    int c = b->level->heads * b->level->depth;
    b->to_q = weight_of(b, c, c, 1);
    b->to_k = weight_of(b, c, b->level->width, 2);
    b->to_v = weight_of(b, c, b->level->width, 3);
    b->to_out = weight_of(b, c, c, 4);
    return b->to_q && b->to_k && b->to_v && b->to_out;
}

static bool make_text(bench *b, method *m, int index) {
    cpl_tensor context;
    cpl_stream *s = m->s;
    int c = b->level->heads * b->level->depth;
    if (!cpl_bench_tensor(s, &context, 1, 1, KEYS, b->level->width, 10 + (unsigned)index, b->run->error)) return false;
    m->k[index] = cpl_make(s, 1, 1, KEYS, c);
    m->v[index] = cpl_make(s, 1, 1, KEYS, c);
    s->ops->linear(s, &m->k[index], &context, b->to_k, CPL_ACT_NONE, NULL);
    s->ops->linear(s, &m->v[index], &context, b->to_v, CPL_ACT_NONE, NULL);
    if (s->ops->arrange_text) s->ops->arrange_text(s, &m->k[index], &m->v[index], b->level->heads);
    m->listed_k[index] = &m->k[index];
    m->listed_v[index] = &m->v[index];
    m->texts = index + 1;
    cpl_tensor_free(&context);
    return cpl_stream_settle(s, b->run->error);
}

static bool open_method(bench *b, int which) {
    method *m = &b->method[which];
    const level *l = b->level;
    int c = l->heads * l->depth, texts = which == OURS ? 1 + b->regions : 2;
    m->s = b->backend->ops->stream_open(b->backend, b->run->error);
    if (!m->s || !cpl_bench_tensor(m->s, &m->x, 2, l->side, l->side, c, 5, b->run->error)) return false;
    m->out = cpl_make_like(m->s, &m->x);
    for (int i = 0; i < texts && which != ORIGINAL; i++)
        if (!make_text(b, m, i)) return false;
    m->listen[0] = (cpl_listen){.lines = 1, .k = m->listed_k, .v = m->listed_v};
    m->listen[1] = (cpl_listen){.lines = 1, .k = m->listed_k + 1, .v = m->listed_v + 1};
    if (which == OURS) {
        m->listen[1].lines = b->regions;
        m->listen[1].plan = b->plan;
    }
    if (which != ORIGINAL) return cpl_stream_settle(m->s, b->run->error);
    if (!cpl_bench_tensor(m->s, &m->contexts, 1 + b->regions, 1, KEYS, l->width, 11, b->run->error)) return false;
    cpl_original_open(&b->original, m->s->ops, &m->contexts, b->regions);
    return cpl_original_add_layer(&b->original, b->to_k, b->to_v) ||
           cpl_fail(b->run->error, CPL_E_MEMORY, "out of memory for the benchmark");
}

static void close_methods(bench *b) {
    cpl_original_close(&b->original);
    for (int i = 0; i < METHODS; i++) {
        method *m = &b->method[i];
        for (int k = 0; k < m->texts; k++) {
            cpl_tensor_free(&m->k[k]);
            cpl_tensor_free(&m->v[k]);
        }
        cpl_tensor *const tensors[] = {&m->contexts, &m->x, &m->q, &m->y, &m->out};
        for (size_t k = 0; k < sizeof tensors / sizeof *tensors; k++) cpl_tensor_free(tensors[k]);
        if (m->s) b->backend->ops->stream_close(m->s);
        *m = (method){0};
    }
    cpl_plan_free(b->plan);
    b->plan = NULL;
}

/* ---- Running ---- */

static void best(double *least, double ms) {
    if (*least <= 0 || ms < *least) *least = ms;
}

/* out = to_out(attention(to_q(x))) + x */
static void run_layer(bench *b, int which) {
    method *m = &b->method[which];
    cpl_stream *s = m->s;
    const cpl_backend_ops *real = s->ops;
    if (which == ORIGINAL) s->ops = &b->original.ops;
    cpl_original_begin(&b->original);
    double start = cpl_now_ms();
    m->q = cpl_make_like(s, &m->x);
    m->y = cpl_make_like(s, &m->x);
    s->ops->linear(s, &m->q, &m->x, b->to_q, CPL_ACT_NONE, NULL);
    double attention = cpl_now_ms();
    s->ops->cross_attention(s, &m->y, &m->q, m->listen, b->level->heads);
    attention = cpl_now_ms() - attention;
    s->ops->linear(s, &m->out, &m->y, b->to_out, CPL_ACT_NONE, &m->x);
    cpl_tensor_free(&m->q);
    cpl_tensor_free(&m->y);
    best(&m->whole_ms, cpl_now_ms() - start);
    best(&m->attention_ms, attention);
    s->ops = real;
}

/* The first pass makes primitives and packs weights; its times do not count, its memory does. */
static bool warm_up(bench *b) {
    for (int i = 0; i < METHODS; i++) {
        cpl_pool_stats before, after;
        method *m = &b->method[i];
        cpl_pool_stats_read(m->s->pool, &before);
        run_layer(b, i);
        if (!cpl_stream_settle(m->s, b->run->error)) return false;
        cpl_pool_stats_read(m->s->pool, &after);
        m->bytes = after.peak_bytes > before.used_bytes ? after.peak_bytes - before.used_bytes : 0;
        m->whole_ms = m->attention_ms = 0;
    }
    return true;
}

static uint64_t text_bytes(const method *m, int from) {
    uint64_t bytes = 0;
    for (int i = from; i < m->texts; i++) bytes += cpl_tensor_bytes(&m->k[i]) + cpl_tensor_bytes(&m->v[i]);
    return bytes;
}

/* Beyond what one prompt takes: of ours the keys and values that wait for the next step count too, and the plan; of the
 * original its masks. */
static uint64_t extra_bytes(const bench *b, int which) {
    const method *m = &b->method[which], *plain = &b->method[PLAIN];
    uint64_t has = m->bytes + text_bytes(m, 0), one = plain->bytes + text_bytes(plain, 0);
    if (which == OURS) has += cpl_plan_bytes(b->plan);
    if (which == ORIGINAL)
        has += (uint64_t)b->regions * (uint64_t)b->level->side * (uint64_t)b->level->side * sizeof(float);
    return has > one ? has - one : 0;
}

static void report(bench *b) {
    cpl_bench_run *run = b->run;
    const level *l = b->level;
    double tokens = 2.0 * l->side * l->side, c = (double)l->heads * l->depth;
    cpl_bench_begin(run, NULL, '{');
    cpl_bench_text(run, "model", l->model);
    cpl_bench_text(run, "precision", b->precision);
    cpl_bench_whole(run, "tokens", (uint64_t)l->side * (uint64_t)l->side);
    cpl_bench_whole(run, "heads", (uint64_t)l->heads);
    cpl_bench_whole(run, "head_dim", (uint64_t)l->depth);
    cpl_bench_whole(run, "layers", (uint64_t)l->layers);
    cpl_bench_whole(run, "regions", (uint64_t)b->regions);
    cpl_bench_number(run, "ours_ms", b->method[OURS].whole_ms);
    cpl_bench_number(run, "original_ms", b->method[ORIGINAL].whole_ms);
    cpl_bench_number(run, "plain_ms", b->method[PLAIN].whole_ms);
    cpl_bench_number(run, "ours_attention_ms", b->method[OURS].attention_ms);
    cpl_bench_number(run, "plain_attention_ms", b->method[PLAIN].attention_ms);
    cpl_bench_number(run, "floor_ms", cpl_bench_floor(run, b->type, tokens * (4 * c * c + 4 * c * KEYS)));
    cpl_bench_whole(run, "ours_bytes", extra_bytes(b, OURS));
    cpl_bench_whole(run, "original_bytes", extra_bytes(b, ORIGINAL));
    cpl_bench_end(run, '}');
}

static bool compare_methods(bench *b) {
    float *masks = cpl_bench_tiles(b->regions, b->level->side, b->level->side, b->run->error);
    b->plan = masks ? cpl_plan_new(masks, b->regions, b->level->side, b->level->side, b->run->error) : NULL;
    free(masks);
    bool done = b->plan != NULL;
    for (int i = 0; done && i < METHODS; i++) done = open_method(b, i);
    done = done && warm_up(b);
    for (int round = cpl_bench_rounds(b->run, 12, 1); done && round > 0; round--)
        for (int i = 0; i < METHODS; i++) run_layer(b, i);
    for (int i = 0; done && i < METHODS; i++) done = cpl_stream_settle(b->method[i].s, b->run->error);
    if (done) report(b);
    close_methods(b);
    return done;
}

static bool run_level(bench *b) {
    bool done = make_weights(b);
    int counts = cpl_bench_rounds(b->run, ALL_COUNTS, QUICK_COUNTS);
    for (int i = 0; done && i < counts; i++) {
        b->regions = region_counts[i];
        done = compare_methods(b);
    }
    cpl_weight **const weights[] = {&b->to_q, &b->to_k, &b->to_v, &b->to_out};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        b->backend->ops->weight_free(b->backend, *weights[i]);
        *weights[i] = NULL;
    }
    return done;
}

bool cpl_bench_coupled(cpl_bench_run *run) {
    bool done = true;
    cpl_dtype type;
    const char *precision;
    cpl_bench_begin(run, "coupled_attention", '[');
    for (int number = 0; done && cpl_bench_type(run, number, &type, &precision); number++) {
        bench b = {.run = run, .type = type, .precision = precision};
        b.backend = cpl_bench_backend(run, type, NULL);
        for (size_t i = 0; b.backend && done && i < sizeof levels / sizeof *levels; i++) {
            cpl_bench_say(run, "coupled attention, %s, %s, %d tokens", precision, levels[i].model,
                          levels[i].side * levels[i].side);
            b.level = &levels[i];
            done = run_level(&b);
        }
        if (b.backend) b.backend->ops->close(b.backend);
    }
    cpl_bench_end(run, ']');
    return done;
}
