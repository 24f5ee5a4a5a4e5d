/* attention.c: softmax attention in tiles of queries, on all threads. Keys and values are read where they lie unless they
 * are long or of a type that has to be rearranged; then each head's are copied once. A tile's result depends on nothing
 * but its inputs. Self-attention is here; who listens to which text is decided in cross_attention.c. */
#include "attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Longer ones are copied head by head: a tile then reads lines of the cache of which it needs every byte. */
enum { LONG_SOURCE = 256 };

typedef struct run {
    const cpu_attention_job *job;
    const cpu_kernels *kernels;
    const cpu_attend_kernels *attend;
    int depth, words; /* of a head: channels, and words of the kernel's type */
    bool widen;       /* bf16 tensors, but no kernel that multiplies such heads: they are copied as f32 */
    cpu_word *packed; /* what is copied of all sources */
    float *scratch;   /* [threads] */
    size_t scratch_floats;
    double products; /* about how many multiply-adds the run takes */
} run;

static cpl_dtype type_of(const run *r) { return r->job->q->dtype; }
static bool copies_keys(const run *r, const cpu_source *source) { return r->widen || source->keys > LONG_SOURCE; }
static bool copies_values(const run *r, const cpu_source *source) {
    return copies_keys(r, source) || type_of(r) == CPL_BF16;
}

/* In words, of one head. */
static size_t packed_keys(const run *r, const cpu_source *source) {
    return copies_keys(r, source) ? (size_t)source->keys * (size_t)r->words : 0;
}
static size_t packed_values(const run *r, const cpu_source *source) {
    size_t rows = (size_t)(r->attend->bf16 ? (source->keys + 1) / 2 : source->keys);
    return copies_values(r, source) ? rows * (size_t)r->depth : 0;
}

/* A row of one head in a tensor whose rows are all heads side by side. */
static void *head_row(const run *r, const void *rows, size_t row, int head) {
    size_t at = (row * (size_t)r->job->heads + (size_t)head) * (size_t)r->depth;
    return (char *)rows + at * cpl_dtype_bytes(type_of(r));
}

static void copy_row(const run *r, cpu_word *to, const void *from) {
    if (r->widen)
        r->kernels->convert(to, CPL_F32, from, CPL_BF16, 1.0f, (size_t)r->depth);
    else
        memcpy(to, from, (size_t)r->words * sizeof *to);
}

static void pack(const run *r, const cpu_source *source, int head) {
    cpu_word *k = r->packed + source->packed_k + (size_t)head * packed_keys(r, source);
    cpu_word *v = r->packed + source->packed_v + (size_t)head * packed_values(r, source);
    size_t keys = (size_t)source->keys, depth = (size_t)r->depth;
    for (size_t i = 0; copies_keys(r, source) && i < keys; i++)
        copy_row(r, k + i * (size_t)r->words, head_row(r, source->k, i, head));
    if (!copies_values(r, source)) return;
    for (size_t i = 0; !r->attend->bf16 && i < keys; i++) copy_row(r, v + i * depth, head_row(r, source->v, i, head));
    for (size_t i = 0; r->attend->bf16 && i < keys; i += 2) {
        /* The last of an odd number is paired with itself: it meets a weight of zero. */
        const void *low = head_row(r, source->v, i, head);
        const void *high = i + 1 < keys ? head_row(r, source->v, i + 1, head) : low;
        r->attend->pair_values(v + i / 2 * depth, low, high, r->depth);
    }
}

/* One thread's memory for a tile. */
typedef struct desk {
    cpu_word *q, *wide;
    float *sum, *out, *score, *weight;
} desk;

static size_t desk_floats(const run *r) {
    return CPU_ATTEND_QUERIES * (3 * (size_t)r->depth + CPU_ATTEND_KEYS + 1 + (r->widen ? (size_t)r->depth : 0));
}

static desk desk_of(const run *r) {
    float *at = r->scratch + (size_t)omp_get_thread_num() * r->scratch_floats;
    size_t tile = CPU_ATTEND_QUERIES * (size_t)r->depth;
    desk d = {.q = (cpu_word *)(void *)at, .sum = at + tile, .out = at + 2 * tile, .score = at + 3 * tile};
    d.weight = d.score + CPU_ATTEND_QUERIES * CPU_ATTEND_KEYS;
    d.wide = (cpu_word *)(void *)(d.weight + CPU_ATTEND_QUERIES);
    return d;
}

static size_t token_row(const run *r, const cpu_queries *t, int i) {
    const cpl_plan *plan = r->job->element[t->element].plan;
    size_t first = (size_t)t->element * (size_t)r->job->q->h * (size_t)r->job->q->w;
    if (!plan) return first + (size_t)t->first + (size_t)i;
    return first + (size_t)plan->token[plan->group[t->group].first_token + t->first + i];
}

/* Rows past the last are the first again, as many as the widest vector looks at. */
static void gather(const run *r, const cpu_queries *t, int head, const desk *d) {
    const cpu_word *row[CPU_ATTEND_QUERIES];
    for (int i = 0; i < CPU_ATTEND_QUERIES; i++)
        row[i] = head_row(r, r->job->q->data, token_row(r, t, i < t->count ? i : 0), head);
    for (int i = 0; r->widen && i < CPU_ATTEND_QUERIES; i++) {
        cpu_word *wide = d->wide + (size_t)i * (size_t)r->depth;
        copy_row(r, wide, row[i]);
        row[i] = wide;
    }
    cpu_attend_turn(d->q, row, cpu_round_up(t->count, 16), r->words);
}

static void scatter(const run *r, const cpu_queries *t, int head, const desk *d) {
    cpu_word *row[CPU_ATTEND_QUERIES];
    for (int i = 0; i < t->count; i++)
        row[i] =
            r->widen ? d->wide + (size_t)i * (size_t)r->depth : head_row(r, r->job->y->data, token_row(r, t, i), head);
    if (r->attend->bf16) r->attend->round_off(d->out, r->depth);
    cpu_attend_turn_back(row, (const cpu_word *)(const void *)d->out, t->count, r->words);
    for (int i = 0; r->widen && i < t->count; i++)
        r->kernels->convert(head_row(r, r->job->y->data, token_row(r, t, i), head), CPL_BF16, row[i], CPL_F32, 1.0f,
                            (size_t)r->depth);
}

static void listen_to(const run *r, cpu_attend *tile, int source_index, int head) {
    const cpu_source *source = &r->job->source[source_index];
    size_t row = (size_t)r->words * (size_t)r->job->heads;
    bool own_k = copies_keys(r, source), own_v = copies_values(r, source);
    tile->keys = source->keys;
    tile->k =
        own_k ? r->packed + source->packed_k + (size_t)head * packed_keys(r, source) : head_row(r, source->k, 0, head);
    tile->k_stride = own_k ? (size_t)r->words : row;
    tile->v = own_v ? r->packed + source->packed_v + (size_t)head * packed_values(r, source)
                    : head_row(r, source->v, 0, head);
    tile->v_stride = own_v ? (size_t)r->depth : row;
    r->attend->attend(tile);
}

/* The sum over the group's lines of weight * attention. All tokens of a group have the same lines, so no line is computed
 * for a token that does not listen to it. */
static void mix_lines(const run *r, cpu_attend *tile, const cpu_queries *t, int head, const desk *d) {
    const cpu_element *element = &r->job->element[t->element];
    const cpl_plan_group *group = &element->plan->group[t->group];
    if (!group->lines) memset(d->out, 0, CPU_ATTEND_QUERIES * (size_t)r->depth * sizeof *d->out);
    for (int line = 0; line < group->lines; line++) {
        const float *weight =
            element->plan->weight + group->first_weight + (size_t)line * (size_t)group->tokens + (size_t)t->first;
        memcpy(d->weight, weight, (size_t)t->count * sizeof *weight);
        tile->add = line > 0;
        listen_to(r, tile, element->source[element->plan->line[group->first_line + line]], head);
    }
}

static void run_tile(const run *r, const cpu_queries *t, int head) {
    const cpu_element *element = &r->job->element[t->element];
    desk d = desk_of(r);
    cpu_attend tile = {.queries = t->count,
                       .depth = r->depth,
                       .first_query = r->job->causal ? t->first : -1,
                       .scale = 1.0f / sqrtf((float)r->depth),
                       .q = d.q,
                       .weight = d.weight,
                       .out = d.out,
                       .sum = d.sum,
                       .score = d.score};
    for (int i = 0; i < CPU_ATTEND_QUERIES; i++) d.weight[i] = 1;
    gather(r, t, head, &d);
    if (element->plan)
        mix_lines(r, &tile, t, head, &d);
    else
        listen_to(r, &tile, element->source[0], head);
    scatter(r, t, head, &d);
}

int cpu_cut_tiles(cpu_queries *tile, int tiles, int element, int group, int queries) {
    for (int first = 0; first < queries; first += CPU_ATTEND_QUERIES) {
        int count = queries - first < CPU_ATTEND_QUERIES ? queries - first : CPU_ATTEND_QUERIES;
        tile[tiles++] = (cpu_queries){.element = element, .group = group, .first = first, .count = count};
    }
    return tiles;
}

/* Head by head, so that the keys and values of few heads are in the cache at once. */
static void run_all(const run *r) {
    int heads = r->job->heads, packs = r->packed ? r->job->sources * heads : 0, tiles = r->job->tiles;
#pragma omp parallel if (r->products > CPU_SMALL_PRODUCTS)
    {
#pragma omp for schedule(dynamic)
        for (int i = 0; i < packs; i++) pack(r, &r->job->source[i / heads], i % heads);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < tiles * heads; i++) run_tile(r, &r->job->tile[i % tiles], i / tiles);
    }
}

static void choose_kernel(run *r) {
    bool bf16 = type_of(r) == CPL_BF16;
    r->attend = bf16 && r->depth % 2 == 0 ? cpu_attend_pick(true) : NULL;
    r->widen = bf16 && !r->attend;
    if (!r->attend) r->attend = cpu_attend_pick(false);
    r->words = r->attend->bf16 ? r->depth / 2 : r->depth;
}

void cpu_attention_run(cpl_stream *s, cpu_attention_job *job) {
    run r = {.job = job, .kernels = cpu_of(s)->kernels, .depth = job->q->c / job->heads};
    size_t packed = 0;
    choose_kernel(&r);
    for (int i = 0; i < job->sources; i++) {
        cpu_source *source = &job->source[i];
        r.products += 2.0 * source->keys * job->q->c * job->q->h * job->q->w;
        source->packed_k = packed;
        source->packed_v = packed += (size_t)job->heads * packed_keys(&r, source);
        packed += (size_t)job->heads * packed_values(&r, source);
    }
    r.scratch_floats = desk_floats(&r);
    r.scratch = cpu_scratch(s, (size_t)cpu_of(s)->threads * r.scratch_floats, sizeof *r.scratch);
    r.packed = r.scratch && packed ? cpu_scratch(s, packed, sizeof *r.packed) : NULL;
    if (r.scratch && (r.packed || !packed)) run_all(&r);
    cpl_pool_give(s->pool, r.packed);
    cpl_pool_give(s->pool, r.scratch);
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
