/* cross_attention.c: who listens to which text. Resolves each batch element's cpl_listen into texts (each packed once,
 * however many elements listen to it), and its plan's groups into tiles; attention.c runs them. */
#include "attention.h"

#include <string.h>

/* One head has its keys in one piece as it is. */
static bool is_arranged(const cpl_tensor *k, const cpl_tensor *v, int heads) {
    return k->h > 1 || (heads == 1 && v->c != k->c);
}

static bool has_shape(cpl_stream *s, const char *name, const cpl_tensor *t, const cpl_tensor *shape) {
    return cpu_usable(s, "cross_attention", name, t) &&
           cpu_shaped(s, "cross_attention", name, t, 1, shape->h, shape->w, shape->c) &&
           cpu_typed(s, "cross_attention", name, t, shape->dtype);
}

static bool arranged_text_fits(cpl_stream *s, const cpl_tensor *q, const cpl_tensor *k, const cpl_tensor *v,
                               int heads) {
    cpl_tensor keys, values;
    if (cpu_arranged_shapes(q->dtype, k->w, heads, q->c / heads, &keys, &values))
        return has_shape(s, "k", k, &keys) && has_shape(s, "v", v, &values);
    cpl_stream_fail(s, CPL_E_DEVICE, "cross_attention: k and v were arranged for other heads");
    return false;
}

static bool text_fits(cpl_stream *s, const cpl_tensor *q, const cpl_listen *l, int line, int heads) {
    const cpl_tensor *k = l->k[line];
    if (is_arranged(k, l->v[line], heads)) return arranged_text_fits(s, q, k, l->v[line], heads);
    return cpu_usable(s, "cross_attention", "k", k) && cpu_shaped(s, "cross_attention", "k", k, 1, 1, k->w, q->c) &&
           cpu_typed(s, "cross_attention", "k", k, q->dtype) && cpu_like(s, "cross_attention", "v", l->v[line], k);
}

/* Lines that no token of the grid listens to are not looked at: their texts need not even be there. */
static bool listen_fits(cpl_stream *s, const cpl_tensor *q, const cpl_listen *l, int heads) {
    if (l->lines < 1 || (l->plan && (l->plan->lines != l->lines || l->plan->w != q->w || l->plan->h != q->h))) {
        cpl_stream_fail(s, CPL_E_DEVICE, "cross_attention: %d lines at %dx%d tokens with a plan of %d lines at %dx%d",
                        l->lines, q->w, q->h, l->plan ? l->plan->lines : 1, l->plan ? l->plan->w : q->w,
                        l->plan ? l->plan->h : q->h);
        return false;
    }
    if (!l->plan) return text_fits(s, q, l, 0, heads);
    for (int line = 0; line < l->lines; line++)
        if (l->plan->touched[line] && !text_fits(s, q, l, line, heads)) return false;
    return true;
}

static int lines_of(const cpl_listen *l) { return l->plan ? l->lines : 1; }

static int tiles_of(const cpl_tensor *q, const cpl_listen *l) {
    int tiles = 0;
    if (!l->plan) return cpu_tiles_of(q->h * q->w);
    for (int i = 0; i < l->plan->groups; i++) tiles += cpu_tiles_of(l->plan->group[i].tokens);
    return tiles;
}

/* Elements of a batch mostly share their texts. */
static int find_source(cpu_source *source, int *sources, const cpl_tensor *k, const cpl_tensor *v, int heads) {
    for (int i = 0; i < *sources; i++)
        if (source[i].k == k->data && source[i].v == v->data && source[i].keys == k->w) return i;
    source[*sources] = (cpu_source){.k = k->data, .v = v->data, .keys = k->w, .arranged = is_arranged(k, v, heads)};
    return (*sources)++;
}

static void resolve(cpu_attention_job *job, const cpl_listen *listen, cpu_element *element, int *index,
                    cpu_queries *tile) {
    const cpl_tensor *q = job->q;
    for (int i = 0; i < q->n; i++) {
        const cpl_listen *l = &listen[i];
        element[i] = (cpu_element){.plan = l->plan, .source = index};
        for (int line = 0; line < lines_of(l); line++)
            *index++ = l->plan && !l->plan->touched[line]
                           ? -1
                           : find_source(job->source, &job->sources, l->k[line], l->v[line], job->heads);
        if (!l->plan) job->tiles = cpu_cut_tiles(tile, job->tiles, i, 0, q->h * q->w);
        for (int group = 0; l->plan && group < l->plan->groups; group++)
            job->tiles = cpu_cut_tiles(tile, job->tiles, i, group, l->plan->group[group].tokens);
    }
}

void cpu_cross_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_listen *listen, int heads) {
    if (!cpu_enter(s) || !cpu_usable(s, "cross_attention", "q", q) || !cpu_like(s, "cross_attention", "y", y, q))
        return;
    if (heads < 1 || q->c % heads) {
        cpl_stream_fail(s, CPL_E_DEVICE, "cross_attention: %d channels do not fall into %d heads", q->c, heads);
        return;
    }
    size_t lines = 0, tiles = 0;
    for (int i = 0; i < q->n; i++) {
        if (!listen_fits(s, q, &listen[i], heads)) return;
        lines += (size_t)lines_of(&listen[i]);
        tiles += (size_t)tiles_of(q, &listen[i]);
    }
    cpu_source *source = cpu_scratch(s, lines, sizeof *source);
    cpu_queries *tile = source ? cpu_scratch(s, tiles, sizeof *tile) : NULL;
    cpu_element *element = tile ? cpu_scratch(s, (size_t)q->n, sizeof *element) : NULL;
    int *index = element ? cpu_scratch(s, lines, sizeof *index) : NULL;
    if (index) {
        cpu_attention_job job = {.y = y, .q = q, .heads = heads, .source = source, .element = element, .tile = tile};
        resolve(&job, listen, element, index, tile);
        cpu_attention_run(s, &job);
    }
    cpl_pool_give(s->pool, index);
    cpl_pool_give(s->pool, element);
    cpl_pool_give(s->pool, tile);
    cpl_pool_give(s->pool, source);
}
