/* attention.c: softmax attention in tiles: keys and values are packed once per head into the order in which the kernel
 * reads them, then tiles of queries run over them on all threads. A tile's result depends on nothing but its inputs.
 * Self-attention is here; who listens to which text is decided in cross_attention.c. */
#include "attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct run {
    const cpu_attention_job *job;
    const cpu_kernels *kernels;
    int depth, padded; /* of a head */
    cpl_dtype type;    /* of all tensors; what is packed is f32 */
    float *packed;     /* [sources][heads]: keys in blocks, values in rows */
    float *scratch;    /* [threads]: queries, scores, result, mix */
    size_t scratch_floats;
    double products; /* about how many multiply-adds the run takes */
} run;

static size_t packed_keys(const run *r, const cpu_source *source) {
    return (size_t)cpu_round_up(source->keys, CPU_TILE_KEYS) * (size_t)r->depth;
}
static size_t packed_values(const run *r, const cpu_source *source) { return (size_t)source->keys * (size_t)r->padded; }

static const void *place(const run *r, const void *values, size_t index) {
    return (const char *)values + index * cpl_dtype_bytes(r->type);
}

/* Keys are transposed in blocks, so that the kernel reads the same channel of neighbouring keys side by side. */
static void pack(const run *r, const cpu_source *source, int head) {
    size_t depth = (size_t)r->depth, row = depth * (size_t)r->job->heads, keys = (size_t)source->keys;
    const char *k = place(r, source->k, (size_t)head * depth), *v = place(r, source->v, (size_t)head * depth);
    float *to_k = r->packed + source->packed_k + (size_t)head * packed_keys(r, source);
    float *to_v = r->packed + source->packed_v + (size_t)head * packed_values(r, source);
    for (size_t first = 0; first < keys; first += CPU_TILE_KEYS) {
        size_t count = keys - first < CPU_TILE_KEYS ? keys - first : CPU_TILE_KEYS;
        float *block = to_k + first * depth;
        if (count < CPU_TILE_KEYS) memset(block, 0, CPU_TILE_KEYS * depth * sizeof *block);
        for (size_t i = 0; i < count; i++) {
            /* the row's place among the values serves as a shelf for its key, widened */
            float *key = to_v + (first + i) * (size_t)r->padded;
            r->kernels->convert(key, CPL_F32, place(r, k, (first + i) * row), r->type, 1.0f, depth);
            for (size_t d = 0; d < depth; d++) block[d * CPU_TILE_KEYS + i] = key[d];
        }
    }
    for (size_t i = 0; i < keys; i++) {
        r->kernels->convert(to_v + i * (size_t)r->padded, CPL_F32, place(r, v, i * row), r->type, 1.0f, depth);
        memset(to_v + i * (size_t)r->padded + depth, 0, ((size_t)r->padded - depth) * sizeof *to_v);
    }
}

static size_t token_row(const cpu_queries *t, const cpl_plan *plan, int i) {
    if (!plan) return (size_t)t->first + (size_t)i;
    return (size_t)plan->token[plan->group[t->group].first_token + t->first + i];
}

static void gather(const run *r, const cpu_queries *t, const cpl_plan *plan, int head, float *q) {
    size_t depth = (size_t)r->depth, row = (size_t)r->job->q->c;
    const void *from = cpu_at(r->job->q, (size_t)t->element * (size_t)r->job->q->h * (size_t)r->job->q->w * row +
                                             (size_t)head * depth);
    float scale = 1.0f / sqrtf((float)r->depth);
    for (int i = 0; i < t->count; i++)
        r->kernels->convert(q + (size_t)i * depth, CPL_F32, place(r, from, token_row(t, plan, i) * row), r->type, scale,
                            depth);
    memset(q + (size_t)t->count * depth, 0, (size_t)(cpu_round_up(t->count, 6) - t->count) * depth * sizeof *q);
}

static void scatter(const run *r, const cpu_queries *t, const cpl_plan *plan, int head, const float *out) {
    size_t depth = (size_t)r->depth, row = (size_t)r->job->y->c;
    size_t to = (size_t)t->element * (size_t)r->job->y->h * (size_t)r->job->y->w * row + (size_t)head * depth;
    for (int i = 0; i < t->count; i++)
        r->kernels->convert(cpu_at(r->job->y, to + token_row(t, plan, i) * row), r->type,
                            out + (size_t)i * (size_t)r->padded, CPL_F32, 1.0f, depth);
}

static void listen_to(const run *r, cpu_tile *tile, int source_index, int head) {
    const cpu_source *source = &r->job->source[source_index];
    tile->keys = source->keys;
    tile->k = r->packed + source->packed_k + (size_t)head * packed_keys(r, source);
    tile->v = r->packed + source->packed_v + (size_t)head * packed_values(r, source);
    r->kernels->attend(tile);
}

/* mix = sum over the group's lines of weight * attention. All tokens of a group have the same lines, so no line is
 * computed for a token that does not listen to it. */
static void mix_lines(const run *r, cpu_tile *tile, const cpu_queries *t, int head, float *mix) {
    const cpu_element *element = &r->job->element[t->element];
    const cpl_plan_group *group = &element->plan->group[t->group];
    size_t padded = (size_t)r->padded;
    memset(mix, 0, (size_t)t->count * padded * sizeof *mix);
    for (int line = 0; line < group->lines; line++) {
        listen_to(r, tile, element->source[element->plan->line[group->first_line + line]], head);
        const float *weight =
            element->plan->weight + group->first_weight + (size_t)line * (size_t)group->tokens + (size_t)t->first;
        for (int i = 0; i < t->count; i++) {
            float *row = mix + (size_t)i * padded;
            r->kernels->scale_add(row, CPL_F32, 1.0f, row, CPL_F32, weight[i], tile->out + (size_t)i * padded, CPL_F32,
                                  padded);
        }
    }
}

static void run_tile(const run *r, const cpu_queries *t, int head) {
    const cpu_element *element = &r->job->element[t->element];
    float *q = r->scratch + (size_t)omp_get_thread_num() * r->scratch_floats;
    float *score = q + CPU_TILE_ROWS * (size_t)r->depth, *out = score + CPU_TILE_ROWS * CPU_TILE_KEYS;
    float *mix = out + CPU_TILE_ROWS * (size_t)r->padded;
    cpu_tile tile = {.rows = t->count,
                     .depth = r->depth,
                     .first_query = r->job->causal ? t->first : -1,
                     .q = q,
                     .score = score,
                     .out = out};
    gather(r, t, element->plan, head, q);
    if (element->plan) {
        mix_lines(r, &tile, t, head, mix);
        scatter(r, t, element->plan, head, mix);
    } else {
        listen_to(r, &tile, element->source[0], head);
        scatter(r, t, NULL, head, out);
    }
}

int cpu_cut_tiles(cpu_queries *tile, int tiles, int element, int group, int queries) {
    for (int first = 0; first < queries; first += CPU_TILE_ROWS) {
        int count = queries - first < CPU_TILE_ROWS ? queries - first : CPU_TILE_ROWS;
        tile[tiles++] = (cpu_queries){.element = element, .group = group, .first = first, .count = count};
    }
    return tiles;
}

static void run_all(const run *r) {
    int heads = r->job->heads, packs = r->job->sources * heads, tiles = r->job->tiles * heads;
#pragma omp parallel if (r->products > CPU_SMALL_PRODUCTS)
    {
#pragma omp for schedule(dynamic)
        for (int i = 0; i < packs; i++) pack(r, &r->job->source[i / heads], i % heads);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < tiles; i++) run_tile(r, &r->job->tile[i / heads], i % heads);
    }
}

void cpu_attention_run(cpl_stream *s, cpu_attention_job *job) {
    int depth = job->q->c / job->heads;
    run r = {.job = job,
             .kernels = cpu_of(s)->kernels,
             .depth = depth,
             .padded = cpu_round_up(depth, CPU_DEPTH_STEP),
             .type = job->q->dtype};
    size_t packed = 0;
    for (int i = 0; i < job->sources; i++) {
        cpu_source *source = &job->source[i];
        r.products += 2.0 * source->keys * job->q->c * job->q->h * job->q->w;
        source->packed_k = packed;
        source->packed_v = packed += (size_t)job->heads * packed_keys(&r, source);
        packed += (size_t)job->heads * packed_values(&r, source);
    }
    /* Each thread's part begins on a line of the cache of its own. */
    r.scratch_floats =
        CPU_TILE_ROWS * ((size_t)cpu_round_up(depth, CPU_DEPTH_STEP) + CPU_TILE_KEYS + 2 * (size_t)r.padded);
    r.packed = cpu_scratch(s, packed ? packed : 1, sizeof *r.packed);
    r.scratch = r.packed ? cpu_scratch(s, (size_t)cpu_of(s)->threads * r.scratch_floats, sizeof *r.scratch) : NULL;
    if (r.scratch) run_all(&r);
    cpl_pool_give(s->pool, r.scratch);
    cpl_pool_give(s->pool, r.packed);
}

void cpu_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                   int heads, bool causal) {
    if (!cpu_enter(s) || !cpu_usable(s, "attention", "q", q) || !cpu_like(s, "attention", "y", y, q) ||
        !cpu_usable(s, "attention", "k", k) || !cpu_shaped(s, "attention", "k", k, q->n, k->h, k->w, q->c) ||
        !cpu_typed(s, "attention", "k", k, q->dtype) || !cpu_like(s, "attention", "v", v, k))
        return;
    if (heads < 1 || q->c % heads) {
        cpl_stream_fail(s, CPL_E_DEVICE, "attention: %d channels do not fall into %d heads", q->c, heads);
        return;
    }
    int queries = q->h * q->w, keys = k->h * k->w, n = q->n, tiles = 0;
    cpu_queries *tile = cpu_scratch(s, (size_t)n * (size_t)cpu_tiles_of(queries), sizeof *tile);
    cpu_source *source = tile ? cpu_scratch(s, (size_t)n, sizeof *source) : NULL;
    cpu_element *element = source ? cpu_scratch(s, (size_t)n, sizeof *element) : NULL;
    int *index = element ? cpu_scratch(s, (size_t)n, sizeof *index) : NULL;
    for (int i = 0; index && i < n; i++) {
        size_t first = (size_t)i * (size_t)keys * (size_t)k->c;
        source[i] = (cpu_source){.k = cpu_at(k, first), .v = cpu_at(v, first), .keys = keys};
        index[i] = i;
        element[i] = (cpu_element){.source = &index[i]};
        tiles = cpu_cut_tiles(tile, tiles, i, 0, queries);
    }
    if (index)
        cpu_attention_run(s, &(cpu_attention_job){.y = y,
                                                  .q = q,
                                                  .heads = heads,
                                                  .causal = causal,
                                                  .sources = n,
                                                  .tiles = tiles,
                                                  .source = source,
                                                  .element = element,
                                                  .tile = tile});
    cpl_pool_give(s->pool, index);
    cpl_pool_give(s->pool, element);
    cpl_pool_give(s->pool, source);
    cpl_pool_give(s->pool, tile);
}
