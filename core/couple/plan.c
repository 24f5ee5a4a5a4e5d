/* plan.c: from the masks of a grid to groups of tokens that are covered by the same lines.
 *
 * Owns the grouping and its arrays. It does not make or normalise masks (core/layout) and does no attention (backends). */
#include "plan.h"

#include "../memory/alloc.h"
#include "../memory/hash.h"
#include "../memory/zeros.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What is only needed while a plan is made. A token's cover is the bit set of the lines whose weight there is above 0. */
typedef struct grouping {
    int tokens, lines, words; /* words of 64 lines in a cover */
    uint64_t *cover;          /* [tokens][words] */
    int *group_of;            /* [tokens] */
    int *first;               /* [groups]: the first token of a group, whose cover stands for all */
    int *slot;                /* open addressing over covers: group + 1, 0 is free */
    uint32_t slots;           /* a power of two, at least twice the tokens */
    int groups;
} grouping;

static void grouping_free(grouping *g) {
    free(g->cover);
    free(g->group_of);
    free(g->first);
    free(g->slot);
}

static bool grouping_new(grouping *g, int lines, int tokens, cpl_error *error) {
    *g = (grouping){.tokens = tokens, .lines = lines, .words = (lines + 63) / 64, .slots = 16};
    while (g->slots < 2u * (uint32_t)tokens) g->slots *= 2;
    g->cover = cpl_alloc((size_t)tokens, sizeof *g->cover * (size_t)g->words, error);
    g->group_of = cpl_alloc((size_t)tokens, sizeof *g->group_of, error);
    g->first = cpl_alloc((size_t)tokens, sizeof *g->first, error);
    g->slot = cpl_alloc(g->slots, sizeof *g->slot, error);
    return g->cover && g->group_of && g->first && g->slot;
}

/* Line by line, because the masks lie that way. */
static bool find_covers(grouping *g, const float *masks, int w, cpl_error *error) {
    size_t tokens = (size_t)g->tokens, words = (size_t)g->words;
    for (int r = 0; r < g->lines; r++) {
        const float *mask = masks + (size_t)r * tokens;
        for (size_t t = cpl_skip_zeros(mask, 0, tokens);
             t<tokens; t = mask[t]> 0.0f ? t + 1 : cpl_skip_zeros(mask, t + 1, tokens)) {
            if (!(mask[t] >= 0.0f) || !isfinite(mask[t]))
                return cpl_fail(error, CPL_E_INPUT,
                                "The mask of line %d is %g at token (%d, %d); weights are 0 or more.", r + 1,
                                (double)mask[t], (int)t % w, (int)t / w);
            if (mask[t] > 0.0f) g->cover[t * words + (size_t)(r / 64)] |= UINT64_C(1) << (r % 64);
        }
    }
    return true;
}

static const uint64_t *cover_of(const grouping *g, int token) { return g->cover + (size_t)token * (size_t)g->words; }

static bool same_cover(const grouping *g, int a, int b) {
    const uint64_t *x = cover_of(g, a), *y = cover_of(g, b);
    for (int i = 0; i < g->words; i++)
        if (x[i] != y[i]) return false;
    return true;
}

/* Groups are numbered in the order in which a row-major walk meets them, so a plan does not depend on the hash. */
static void find_groups(grouping *g) {
    for (int t = 0; t < g->tokens; t++) {
        if (t > 0 && same_cover(g, t, t - 1)) { /* the usual case inside a region */
            g->group_of[t] = g->group_of[t - 1];
            continue;
        }
        uint64_t hash = cpl_hash_bytes(CPL_HASH_START, cover_of(g, t), sizeof *g->cover * (size_t)g->words);
        uint32_t at = (uint32_t)hash & (g->slots - 1);
        while (g->slot[at] && !same_cover(g, t, g->first[g->slot[at] - 1])) at = (at + 1) & (g->slots - 1);
        if (!g->slot[at]) {
            g->first[g->groups] = t;
            g->slot[at] = ++g->groups;
        }
        g->group_of[t] = g->slot[at] - 1;
    }
}

static bool covered_by(const grouping *g, int token, int line) {
    return cover_of(g, token)[line / 64] >> (line % 64) & 1;
}

/* Sizes of the groups, and from them where each begins in the shared arrays. */
static bool lay_out(cpl_plan *plan, const grouping *g, cpl_error *error) {
    plan->groups = g->groups;
    plan->group = cpl_alloc((size_t)g->groups, sizeof *plan->group, error);
    plan->touched = cpl_alloc((size_t)plan->lines, sizeof *plan->touched, error);
    plan->token = cpl_alloc((size_t)g->tokens, sizeof *plan->token, error);
    if (!plan->group || !plan->touched || !plan->token) return false;
    for (int t = 0; t < g->tokens; t++) plan->group[g->group_of[t]].tokens++;
    int token = 0, line = 0;
    size_t weight = 0;
    for (int i = 0; i < plan->groups; i++) {
        cpl_plan_group *group = &plan->group[i];
        for (int r = 0; r < plan->lines; r++)
            if (covered_by(g, g->first[i], r)) {
                group->lines++;
                plan->touched[r] = true;
            }
        group->first_token = token;
        group->first_line = line;
        group->first_weight = weight;
        token += group->tokens;
        line += group->lines;
        weight += (size_t)group->lines * (size_t)group->tokens;
        if (group->tokens > plan->largest_group) plan->largest_group = group->tokens;
    }
    /* A grid whose masks are all zero has no line and no weight; one element keeps the pointers valid. */
    plan->line = cpl_alloc(line ? (size_t)line : 1, sizeof *plan->line, error);
    plan->weight = cpl_alloc(weight ? weight : 1, sizeof *plan->weight, error);
    return plan->line && plan->weight;
}

static void fill_in(cpl_plan *plan, const grouping *g, const float *masks) {
    int *filled = g->slot; /* the hash table has done its work; it has room for one count per group */
    memset(filled, 0, sizeof *filled * (size_t)plan->groups);
    for (int t = 0; t < g->tokens; t++) {
        int i = g->group_of[t];
        plan->token[plan->group[i].first_token + filled[i]++] = t;
    }
    for (int i = 0; i < plan->groups; i++) {
        const cpl_plan_group *group = &plan->group[i];
        int *line = plan->line + group->first_line;
        float *weight = plan->weight + group->first_weight;
        for (int r = 0; r < plan->lines; r++) {
            if (!covered_by(g, g->first[i], r)) continue;
            *line++ = r;
            for (int t = 0; t < group->tokens; t++)
                *weight++ = masks[(size_t)r * (size_t)g->tokens + (size_t)plan->token[group->first_token + t]];
        }
    }
}

cpl_plan *cpl_plan_new(const float *masks, int lines, int w, int h, cpl_error *error) {
    static atomic_uint_fast64_t last_id;
    if (lines < 1 || w < 1 || h < 1 || w > INT32_MAX / 4 / h) {
        cpl_fail(error, CPL_E_INPUT, "A plan of %d lines on a grid of %dx%d tokens is not possible.", lines, w, h);
        return NULL;
    }
    grouping g;
    cpl_plan *plan = cpl_alloc(1, sizeof *plan, error);
    bool ok = grouping_new(&g, lines, w * h, error) && plan && find_covers(&g, masks, w, error);
    if (ok) {
        *plan = (cpl_plan){.id = atomic_fetch_add(&last_id, 1) + 1, .w = w, .h = h, .lines = lines};
        find_groups(&g);
        ok = lay_out(plan, &g, error);
        if (ok) fill_in(plan, &g, masks);
    }
    grouping_free(&g);
    if (!ok) {
        cpl_plan_free(plan);
        return NULL;
    }
    return plan;
}

void cpl_plan_free(cpl_plan *plan) {
    if (!plan) return;
    free(plan->group);
    free(plan->token);
    free(plan->line);
    free(plan->weight);
    free(plan->touched);
    free(plan);
}

size_t cpl_plan_bytes(const cpl_plan *plan) {
    size_t bytes = sizeof *plan + sizeof *plan->group * (size_t)plan->groups +
                   sizeof *plan->touched * (size_t)plan->lines +
                   sizeof *plan->token * (size_t)plan->w * (size_t)plan->h;
    for (int i = 0; i < plan->groups; i++)
        bytes +=
            (size_t)plan->group[i].lines * (sizeof *plan->line + sizeof *plan->weight * (size_t)plan->group[i].tokens);
    return bytes;
}
