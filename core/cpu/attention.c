/* attention.c: softmax attention in tiles of queries, on all threads. Keys and values are read where they lie unless they
 * are long or of a type that has to be rearranged; then each head's are copied once: per run, or for all runs by
 * cpu_arrange_text. A tile's result depends on nothing but its inputs. Self-attention is here; who listens to which text is
 * decided in cross_attention.c. */
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
static bool copies_keys(const run *r, const cpu_source *source) {
    return !source->arranged && (r->widen || source->keys > LONG_SOURCE);
}
static bool copies_values(const run *r, const cpu_source *source) {
    return copies_keys(r, source) || (!source->arranged && type_of(r) == CPL_BF16);
}

/* A head by itself, in words. */
static size_t head_keys(const run *r, const cpu_source *source) { return (size_t)source->keys * (size_t)r->words; }
static size_t head_values(const run *r, const cpu_source *source) {
    return (size_t)(r->attend->bf16 ? (source->keys + 1) / 2 : source->keys) * (size_t)r->depth;
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

static void pack_keys(const run *r, const cpu_source *source, int head, cpu_word *to) {
    for (size_t i = 0; i < (size_t)source->keys; i++)
        copy_row(r, to + i * (size_t)r->words, head_row(r, source->k, i, head));
}

static void pack_values(const run *r, const cpu_source *source, int head, cpu_word *to) {
    size_t keys = (size_t)source->keys, depth = (size_t)r->depth;
    for (size_t i = 0; !r->attend->bf16 && i < keys; i++) copy_row(r, to + i * depth, head_row(r, source->v, i, head));
    for (size_t i = 0; r->attend->bf16 && i < keys; i += 2) {
        /* The last of an odd number is paired with itself: it meets a weight of zero. */
        const void *low = head_row(r, source->v, i, head);
        const void *high = i + 1 < keys ? head_row(r, source->v, i + 1, head) : low;
        r->attend->pair_values(to + i / 2 * depth, low, high, r->depth);
    }
}

static void pack(const run *r, const cpu_source *source, int head) {
    if (copies_keys(r, source))
        pack_keys(r, source, head, r->packed + source->packed_k + (size_t)head * head_keys(r, source));
    if (copies_values(r, source))
        pack_values(r, source, head, r->packed + source->packed_v + (size_t)head * head_values(r, source));
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
    tile->keys = source->keys;
    if (copies_keys(r, source) || source->arranged) {
        const cpu_word *first = source->arranged ? source->k : r->packed + source->packed_k;
        tile->k = first + (size_t)head * head_keys(r, source);
        tile->k_stride = (size_t)r->words;
    } else {
        tile->k = head_row(r, source->k, 0, head);
        tile->k_stride = row;
    }
    if (copies_values(r, source) || source->arranged) {
        const cpu_word *first = source->arranged ? source->v : r->packed + source->packed_v;
        tile->v = first + (size_t)head * head_values(r, source);
        tile->v_stride = (size_t)r->depth;
    } else {
        tile->v = head_row(r, source->v, 0, head);
        tile->v_stride = row;
    }
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

static const cpu_attend_kernels *paired_kernels(cpl_dtype type, int depth) {
    return type == CPL_BF16 && depth % 2 == 0 ? cpu_attend_pick(true) : NULL;
}

static void choose_kernel(run *r) {
    r->attend = paired_kernels(type_of(r), r->depth);
    r->widen = type_of(r) == CPL_BF16 && !r->attend;
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
        if (copies_keys(&r, source)) packed += (size_t)job->heads * head_keys(&r, source);
        source->packed_v = packed;
        if (copies_values(&r, source)) packed += (size_t)job->heads * head_values(&r, source);
    }
    r.scratch_floats = desk_floats(&r);
    r.scratch = cpu_scratch(s, (size_t)cpu_of(s)->threads * r.scratch_floats, sizeof *r.scratch);
    r.packed = r.scratch && packed ? cpu_scratch(s, packed, sizeof *r.packed) : NULL;
    if (r.scratch && (r.packed || !packed)) run_all(&r);
    cpl_pool_give(s->pool, r.packed);
    cpl_pool_give(s->pool, r.scratch);
}

bool cpu_arranged_shapes(cpl_dtype type, int keys, int heads, int depth, cpl_tensor *k, cpl_tensor *v) {
    bool pairs = paired_kernels(type, depth) != NULL;
    if (type == CPL_BF16 && !pairs) return false; /* copied as f32, which takes twice the memory */
    *k = (cpl_tensor){.dtype = type, .n = 1, .h = heads, .w = keys, .c = depth};
    *v = *k;
    if (pairs) v->w = (keys + 1) / 2, v->c = 2 * depth;
    return true;
}

static void arrange(const cpu_attention_job *job, cpl_tensor *k, cpl_tensor *v) {
    run r = {.job = job, .depth = job->q->c / job->heads};
    choose_kernel(&r);
    for (int head = 0; head < job->heads; head++) {
        pack_keys(&r, job->source, head, (cpu_word *)k->data + (size_t)head * head_keys(&r, job->source));
        pack_values(&r, job->source, head, (cpu_word *)v->data + (size_t)head * head_values(&r, job->source));
    }
}

void cpu_arrange_text(cpl_stream *s, cpl_tensor *k, cpl_tensor *v, int heads) {
    if (!cpu_enter(s) || !cpu_usable(s, "arrange_text", "k", k) ||
        !cpu_shaped(s, "arrange_text", "k", k, 1, 1, k->w, k->c) || !cpu_like(s, "arrange_text", "v", v, k))
        return;
    if (heads < 1 || k->c % heads) {
        cpl_stream_fail(s, CPL_E_DEVICE, "arrange_text: %d channels do not fall into %d heads", k->c, heads);
        return;
    }
    cpl_tensor ks, vs;
    if (!cpu_arranged_shapes(k->dtype, k->w, heads, k->c / heads, &ks, &vs)) return;
    ks = cpl_make_like(s, &ks);
    vs = cpl_make_like(s, &vs);
    if (cpl_stream_ok(s)) {
        cpu_source text = {.k = k->data, .v = v->data, .keys = k->w};
        arrange(&(cpu_attention_job){.q = k, .heads = heads, .source = &text}, &ks, &vs);
        cpl_tensor before = *k;
        *k = ks, ks = before;
        before = *v;
        *v = vs, vs = before;
    }
    cpl_tensor_free(&ks);
    cpl_tensor_free(&vs);
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
