/* attention_test.h: attention written out in f64, and texts to listen to. */
#ifndef TESTS_ATTENTION_TEST_H
#define TESTS_ATTENTION_TEST_H

#include "cpu_test.h"

/* out[d] = softmax(q k^T / sqrt(d)) v of one query over `keys` rows of `row` values. */
static inline void reference_query(const float *q, const float *k, const float *v, int keys, int row, int depth,
                                   double *out) {
    double *part = reference_new(keys), top = -1e300, sum = 0;
    for (int j = 0; j < keys; j++) {
        for (int d = 0; d < depth; d++) part[j] += (double)q[d] * (double)k[j * row + d];
        part[j] /= sqrt(depth);
        if (part[j] > top) top = part[j];
    }
    for (int j = 0; j < keys; j++) sum += part[j] = exp(part[j] - top);
    for (int d = 0; d < depth; d++) out[d] = 0;
    for (int j = 0; j < keys; j++)
        for (int d = 0; d < depth; d++) out[d] += part[j] / sum * (double)v[j * row + d];
    free(part);
}

typedef struct text {
    int keys;
    float *k, *v;
    cpl_tensor tk, tv;
} text;

static inline void text_new(cpu_test *t, text *line, int keys, int row) {
    line->keys = keys;
    line->k = random_values(t, keys * row, 1);
    line->v = random_values(t, keys * row, 1);
    line->tk = tensor_of(t, line->k, 1, 1, keys, row);
    line->tv = tensor_of(t, line->v, 1, 1, keys, row);
}

static inline void text_free(text *line) {
    cpl_tensor_free(&line->tk);
    cpl_tensor_free(&line->tv);
    free(line->k), free(line->v);
}

/* Cross-attention: q [n][tokens][heads depth]; masks[element] [lines][tokens], or NULL: the element listens to line 0. */
static inline double *reference_cross(const float *q, int n, int tokens, int heads, int depth, const text *line,
                                      int lines, const float *const *masks) {
    int row = heads * depth;
    double *want = reference_new(n * tokens * row), *one = reference_new(depth);
    for (int i = 0; i < n * tokens * heads; i++) {
        int head = i % heads, token = i / heads % tokens, element = i / heads / tokens;
        int at = (element * tokens + token) * row + head * depth;
        for (int r = 0; r < (masks[element] ? lines : 1); r++) {
            double weight = masks[element] ? (double)masks[element][r * tokens + token] : 1;
            if (weight == 0) continue;
            reference_query(q + at, line[r].k + head * depth, line[r].v + head * depth, line[r].keys, row, depth, one);
            for (int d = 0; d < depth; d++) want[at + d] += weight * one[d];
        }
    }
    free(one);
    return want;
}

#endif
