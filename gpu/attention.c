/* attention.c: what attention needs before its kernels can run: copies of plans on the device, kept by their identity, and
 * who listens to which text. */
#include "cuda.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"

#define PLAN_BUDGET ((uint64_t)64 << 20)

/* ---- Plans ---- */

typedef struct plan_key {
    uint64_t id;
    uint64_t tile_rows;
} plan_key;

typedef struct device_plan {
    gpu_stream *s;
    void *memory;
    size_t bytes;
    gpu_plan plan;
} device_plan;

static void drop_plan(void *context, void *value) {
    device_plan *p = value;
    gpu_stream *s = context;
    gpu_condemn(s, p->memory, p->bytes);
    free(p);
}

cpl_cache *gpu_plans_new(gpu_stream *s, cpl_error *error) { return cpl_cache_new(PLAN_BUDGET, drop_plan, s, error); }

static int tiles_in(int tokens, int tile_rows) { return (tokens + tile_rows - 1) / tile_rows; }

/* All arrays in one block: tiles, tokens, lines, weights. */
typedef struct plan_block {
    int tiles, tokens, lines;
    size_t weights, token_at, line_at, weight_at, bytes;
} plan_block;

static plan_block measure(const cpl_plan *plan, int tile_rows) {
    plan_block b = {.tokens = plan->w * plan->h};
    for (int i = 0; i < plan->groups; i++) {
        const cpl_plan_group *g = &plan->group[i];
        b.tiles += tiles_in(g->tokens, tile_rows);
        b.lines += g->lines;
        b.weights += (size_t)g->lines * (size_t)g->tokens;
    }
    b.token_at = (size_t)b.tiles * sizeof(gpu_tile);
    b.line_at = b.token_at + (size_t)b.tokens * sizeof(int);
    b.weight_at = b.line_at + (size_t)b.lines * sizeof(int);
    b.bytes = b.weight_at + b.weights * sizeof(float);
    return b;
}

static void fill(const cpl_plan *plan, const plan_block *b, int tile_rows, char *memory) {
    gpu_tile *tile = (gpu_tile *)memory;
    for (int i = 0; i < plan->groups; i++) {
        const cpl_plan_group *g = &plan->group[i];
        for (int first = 0; first < g->tokens; first += tile_rows)
            *tile++ = (gpu_tile){.first = g->first_token + first,
                                 .count = g->tokens - first < tile_rows ? g->tokens - first : tile_rows,
                                 .first_line = g->first_line,
                                 .lines = g->lines,
                                 .weight = (int)g->first_weight + first,
                                 .weight_row = g->tokens};
    }
    memcpy(memory + b->token_at, plan->token, (size_t)b->tokens * sizeof(int));
    memcpy(memory + b->line_at, plan->line, (size_t)b->lines * sizeof(int));
    memcpy(memory + b->weight_at, plan->weight, b->weights * sizeof(float));
}

/* Copied at once and beside the step: a recording must neither contain the copy nor run before it. */
static device_plan *copy_plan(gpu_stream *s, const cpl_plan *plan, int tile_rows) {
    plan_block b = measure(plan, tile_rows);
    cpl_error error = {0};
    device_plan *p = cpl_alloc(1, sizeof *p, &error);
    char *host = p ? cpl_alloc(1, b.bytes, &error) : NULL;
    if (!host) cpl_stream_fail(&s->base, error.code, "%s", error.message);
    if (!host || !gpu_took(s, gpu_take(gpu_backend_of(&s->base), s, &p->memory, b.bytes), b.bytes, "a plan")) {
        free(host);
        free(p);
        return NULL;
    }
    p->bytes = b.bytes;
    fill(plan, &b, tile_rows, host);
    bool copied = gpu_did(&s->base, "copying a plan",
                          cudaMemcpyAsync(p->memory, host, b.bytes, cudaMemcpyHostToDevice, s->side)) &&
                  gpu_did(&s->base, "copying a plan", cudaStreamSynchronize(s->side));
    free(host);
    const char *memory = p->memory;
    p->plan = (gpu_plan){.token = (const int *)(memory + b.token_at),
                         .line = (const int *)(memory + b.line_at),
                         .weight = (const float *)(const void *)(memory + b.weight_at),
                         .tile = (const gpu_tile *)memory,
                         .tiles = b.tiles};
    if (copied) return p;
    drop_plan(s, p);
    return NULL;
}

static bool find_plan(gpu_stream *s, const cpl_plan *plan, int tile_rows, gpu_plan *found) {
    plan_key key = {plan->id, (uint64_t)tile_rows};
    cpl_error error = {0};
    device_plan *p = cpl_cache_find(s->plans, &key, sizeof key);
    if (!p) {
        p = copy_plan(s, plan, tile_rows);
        if (!p) return false;
        if (!cpl_cache_insert(s->plans, &key, sizeof key, p, p->bytes, &error)) {
            cpl_stream_fail(&s->base, error.code, "%s", error.message);
            return false;
        }
    }
    *found = p->plan;
    cpl_cache_release(s->plans, p); /* if it is dropped its memory lives on as long as a recording needs it */
    return true;
}

/* ---- Checks ---- */

static bool heads_fit(cpl_stream *s, const char *operation, int channels, int heads) {
    if (heads < 1 || channels % heads) {
        cpl_stream_fail(s, CPL_E_DEVICE, "%s: %d channels do not fall into %d heads", operation, channels, heads);
        return false;
    }
    if (channels / heads > GPU_MOST_DEPTH) {
        cpl_stream_fail(s, CPL_E_UNSUPPORTED, "%s: a head of %d values; up to %d are possible", operation,
                        channels / heads, GPU_MOST_DEPTH);
        return false;
    }
    return true;
}

static bool text_fits(cpl_stream *s, const cpl_tensor *q, const cpl_listen *l, int line) {
    const cpl_tensor *k = l->k[line];
    if (!gpu_usable(s, "cross_attention", "k", k) || !gpu_shaped(s, "cross_attention", "k", k, 1, 1, k->w, q->c) ||
        !gpu_alike(s, "cross_attention", "v", l->v[line], k))
        return false;
    if (k->dtype == q->dtype) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "cross_attention: k is not of the type of q");
    return false;
}

/* Lines that no token of the grid listens to are not looked at: their texts need not even be there. */
static bool listen_fits(cpl_stream *s, const cpl_tensor *q, const cpl_listen *l) {
    if (l->lines < 1 || (l->plan && (l->plan->lines != l->lines || l->plan->w != q->w || l->plan->h != q->h))) {
        cpl_stream_fail(s, CPL_E_DEVICE, "cross_attention: %d lines at %dx%d tokens with a plan of %d lines at %dx%d",
                        l->lines, q->w, q->h, l->plan ? l->plan->lines : 1, l->plan ? l->plan->w : q->w,
                        l->plan ? l->plan->h : q->h);
        return false;
    }
    if (!l->plan) return text_fits(s, q, l, 0);
    for (int line = 0; line < l->lines; line++)
        if (l->plan->touched[line] && !text_fits(s, q, l, line)) return false;
    return true;
}

/* ---- Cross-attention ---- */

static int lines_of(const cpl_listen *l) { return l->plan ? l->lines : 1; }

static void list_texts(gpu_text *text, const cpl_listen *l) {
    for (int line = 0; line < lines_of(l); line++)
        text[line] = l->plan && !l->plan->touched[line] ? (gpu_text){NULL, NULL, 0}
                                                        : (gpu_text){l->k[line]->data, l->v[line]->data, l->k[line]->w};
}

/* More texts than travel with the launch: a table in device memory, from the pool. */
static gpu_text *send_texts(gpu_stream *s, const cpl_listen *listen, int elements, int lines) {
    size_t bytes = (size_t)lines * sizeof(gpu_text);
    cpl_error error = {0};
    gpu_text *host = cpl_alloc((size_t)lines, sizeof *host, &error), *at = host;
    if (!host) {
        cpl_stream_fail(&s->base, error.code, "%s", error.message);
        return NULL;
    }
    for (int i = 0; i < elements; i++) {
        list_texts(at, &listen[i]);
        at += lines_of(&listen[i]);
    }
    const void *staged = gpu_stage_copy(s, host, bytes);
    gpu_text *there = staged ? gpu_scratch(&s->base, bytes) : NULL;
    free(host);
    if (!there) return NULL;
    if (gpu_did(&s->base, "cross_attention", cudaMemcpyAsync(there, staged, bytes, cudaMemcpyHostToDevice, s->queue)))
        return there;
    cpl_pool_give(s->base.pool, there);
    return NULL;
}

/* Elements first ... first + count - 1 of the batch, all checked. */
static void run_elements(gpu_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen, int heads,
                         int first, int count) {
    int depth = q->c / heads, queries = q->h * q->w, lines = 0;
    size_t element = (size_t)queries * (size_t)q->c * cpl_dtype_bytes(q->dtype);
    gpu_attention_job job = {.type = (int)q->dtype,
                             .elements = count,
                             .queries = queries,
                             .heads = heads,
                             .depth = depth,
                             .scale = 1.0f / sqrtf((float)depth),
                             .y = (char *)y->data + (size_t)first * element,
                             .q = (const char *)q->data + (size_t)first * element,
                             .tile_rows = gpu_tile_rows((int)q->dtype, depth)};
    for (int i = 0; i < count; i++) {
        const cpl_listen *l = &listen[first + i];
        job.element[i].first_text = lines;
        if (l->plan && !find_plan(s, l->plan, job.tile_rows, &job.element[i].plan)) return;
        int tiles = l->plan ? job.element[i].plan.tiles : tiles_in(queries, job.tile_rows);
        if (tiles > job.most_tiles) job.most_tiles = tiles;
        if (lines + lines_of(l) <= GPU_INLINE_TEXTS) list_texts(&job.text[lines], l);
        lines += lines_of(l);
    }
    gpu_text *more = NULL;
    if (lines > GPU_INLINE_TEXTS && !(more = send_texts(s, listen + first, count, lines))) return;
    job.more_texts = more;
    gpu_did(&s->base, "cross_attention", gpu_coupled_attention(s->queue, &job));
    cpl_pool_give(s->base.pool, more);
}

void gpu_op_cross_attention(cpl_stream *stream, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen,
                            int heads) {
    if (!gpu_enter(stream) || !gpu_usable(stream, "cross_attention", "q", q) ||
        !gpu_alike(stream, "cross_attention", "y", y, q) || !heads_fit(stream, "cross_attention", q->c, heads))
        return;
    for (int i = 0; i < q->n; i++)
        if (!listen_fits(stream, q, &listen[i])) return;
    for (int first = 0; first < q->n && !stream->failed; first += GPU_INLINE_ELEMENTS)
        run_elements((gpu_stream *)stream, y, q, listen, heads, first,
                     q->n - first < GPU_INLINE_ELEMENTS ? q->n - first : GPU_INLINE_ELEMENTS);
}

void gpu_op_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                      int heads, bool causal) {
    if (!gpu_enter(s) || !gpu_usable(s, "attention", "q", q) || !gpu_alike(s, "attention", "y", y, q) ||
        !gpu_usable(s, "attention", "k", k) || !gpu_shaped(s, "attention", "k", k, q->n, k->h, k->w, q->c) ||
        !gpu_alike(s, "attention", "v", v, k) || !heads_fit(s, "attention", q->c, heads))
        return;
    if (k->dtype != q->dtype) {
        cpl_stream_fail(s, CPL_E_DEVICE, "attention: k is not of the type of q");
        return;
    }
    int depth = q->c / heads;
    gpu_self_job job = {.type = (int)q->dtype,
                        .n = q->n,
                        .queries = q->h * q->w,
                        .keys = k->h * k->w,
                        .heads = heads,
                        .depth = depth,
                        .scale = 1.0f / sqrtf((float)depth),
                        .causal = causal,
                        .y = y->data,
                        .q = q->data,
                        .k = k->data,
                        .v = v->data};
    gpu_did(s, "attention", gpu_self_attention(((gpu_stream *)s)->queue, &job));
}
