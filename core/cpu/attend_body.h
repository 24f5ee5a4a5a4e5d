/* attend_body.h: the loops of attend.h, included once per set with WIDTH (words of a vector), COLUMNS (vectors of queries
 * that are computed together), TARGET (a function attribute), SUFFIX, KERNEL_NAME, LARGER(a, b), and for bf16 DOT(sum, a, b),
 * PAIR(low, high), POWER(x) and ZIP_ROWS(to, low, high, count) defined, the last for 32 channels at most. No include guard: it
 * is meant to be read several times. */

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define F(name) JOIN(name, SUFFIX)
#define INLINE TARGET static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float F(floats) __attribute__((vector_size(WIDTH * sizeof(float))));
typedef uint32_t F(words) __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t F(ints) __attribute__((vector_size(WIDTH * sizeof(float))));

INLINE F(floats) F(load)(const float *p) {
    F(floats) v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void F(store)(float *p, F(floats) v) { memcpy(p, &v, sizeof v); }
INLINE F(words) F(load_words)(const cpu_word *p) {
    F(words) v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE F(floats) F(all)(float x) { return x - (F(floats)){0}; } /* see kernels_body.h */
INLINE F(words) F(all_words)(uint32_t x) { return x | (F(words)){0}; }

#ifdef DOT
#define MULTIPLY(sum, a, b) DOT(sum, F(all_words)(a), b)
#else
#define MULTIPLY(sum, a, b) ((sum) + (F(floats))F(all_words)(a) * (F(floats))(b))
#endif

/* c[i][..] (+)= sum over k of a[i][k] b[k][..], for ROWS rows and COLS vectors of queries. Step from row to row and along
 * k: a_row, a_next, one of which is 1. */
INLINE void F(block)(const int rows, const int cols, int depth, const cpu_word *a, size_t a_row, size_t a_next,
                     const cpu_word *b, float *c, bool add) {
    F(floats) sum[12][COLUMNS];
    const cpu_word *row[12];
    UNROLL for (int i = 0; i < rows; i++) {
        row[i] = a + (size_t)i * a_row;
        UNROLL for (int j = 0; j < cols; j++) sum[i][j] =
            add ? F(load)(c + i * CPU_ATTEND_QUERIES + j * WIDTH) : (F(floats)){0};
    }
    for (int k = 0; k < depth; k++) {
        F(words) right[COLUMNS];
        UNROLL for (int j = 0; j < cols; j++) right[j] = F(load_words)(b + j * WIDTH);
        UNROLL for (int i = 0; i < rows; i++) {
            uint32_t left = a_row == 1 ? row[0][i] : row[i][0];
            UNROLL for (int j = 0; j < cols; j++) sum[i][j] = MULTIPLY(sum[i][j], left, right[j]);
            if (a_row != 1) row[i] += a_next;
        }
        row[0] += a_row == 1 ? a_next : 0;
        b += CPU_ATTEND_QUERIES;
    }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < cols; j++) F(store)(c + i * CPU_ATTEND_QUERIES + j * WIDTH, sum[i][j]);
    }
}

/* As many sums as registers hold beside a vector of b for each column and one value of a. */
INLINE void F(product)(const int cols, int rows, int depth, const cpu_word *a, size_t a_row, size_t a_next,
                       const cpu_word *b, float *c, bool add) {
    const int most = WIDTH < 16 ? 6 : cols == 4 ? 6 : cols == 3 ? 8 : 12;
    int i = 0;
#define BLOCKS_OF(n)                                                                                                   \
    if (n <= most)                                                                                                     \
        for (; i + n <= rows; i += n)                                                                                  \
    F(block)(n, cols, depth, a + (size_t)i * a_row, a_row, a_next, b, c + (size_t)i * CPU_ATTEND_QUERIES, add)
    if (most == 12) BLOCKS_OF(12);
    if (most == 8) BLOCKS_OF(8);
    BLOCKS_OF(6);
    BLOCKS_OF(4);
    BLOCKS_OF(2);
    BLOCKS_OF(1);
#undef BLOCKS_OF
}

/* 2^x for x <= 0, off by at most 8e-8 of it: the exponent is the nearest integer, the rest a polynomial of degree 5 (best
 * in relative error on -0.5 ... 0.5). What would be less than 2^-125 is that. */
INLINE F(floats) F(power)(F(floats) x) {
    const float round_to_integer = 12582912.0f; /* 1.5 * 2^23: adding it leaves the integer in the low bits */
    x = LARGER(F(all)(-125.0f), x);             /* in this order, which leaves NaN what it is */
    F(floats) shifted = x + round_to_integer;
    F(floats) r = x - (shifted - round_to_integer);
    F(floats) p = r * 0.00132764725f + 0.00967554096f;
    p = p * r + 0.0555071309f;
    p = p * r + 0.240221202f;
    p = p * r + 0.693146944f;
    p = p * r + 1.00000012f;
    return (F(floats))((F(words))p + ((F(words))shifted << 23)); /* may wrap in lanes that nobody looks at */
}

/* Masks what a causal query may not see, for `count` keys from `first` on. */
INLINE void F(hide)(const cpu_attend *t, int lane, int first, int count, float *score) {
    F(ints) query = {0};
    for (int i = 0; i < WIDTH; i++) query[i] = t->first_query + lane + i;
    for (int key = 0; key < count; key++, score += CPU_ATTEND_QUERIES) {
        F(ints) hidden = (F(ints)){0} + (first + key) > query;
        F(words) v = (F(words))F(load)(score);
        F(store)(score, (F(floats))((v & ~(F(words))hidden) | ((F(words))F(all)(-1e30f) & (F(words))hidden)));
    }
}

/* Turns the scores of a block of keys into weights. top: the largest score so far; total: the sum of the weights, relative
 * to it. Where the top rises what was summed before is scaled down. In bf16 the weights of two keys become one row of
 * words, written over scores that are done with. */
INLINE void F(soften)(const cpu_attend *t, int lane, int count, bool first, F(floats) * top, F(floats) * total) {
    const float unit = t->scale * 1.44269504f; /* powers are of 2 */
    float *score = t->score + lane;
    F(floats) best = *top;
    for (int key = 0; key < count; key++) best = LARGER(F(load)(score + key * CPU_ATTEND_QUERIES), best);
    F(floats) floor = best * unit, sum = {0};
    if (!first) {
        F(ints) rises = best > *top;
        bool any = false;
        for (int i = 0; i < WIDTH; i++) any |= rises[i] != 0;
        if (any) {
            /* Exactly 1 for a query whose top stays: what its neighbours do must not show. */
            F(words) scaled = (F(words))F(power)(*top * unit - floor);
            F(floats) factor = (F(floats))((scaled & (F(words))rises) | ((F(words))F(all)(1.0f) & ~(F(words))rises));
            *total *= factor;
            for (int d = 0; d < t->depth; d++) {
                float *at = t->sum + d * CPU_ATTEND_QUERIES + lane;
                F(store)(at, F(load)(at) * factor);
            }
        }
    }
    *top = best;
#ifdef DOT
    for (int key = 0; key < count; key += 2) {
        F(floats) low = POWER(F(load)(score + key * CPU_ATTEND_QUERIES) * unit - floor), high = {0};
        if (key + 1 < count) high = POWER(F(load)(score + (key + 1) * CPU_ATTEND_QUERIES) * unit - floor);
        F(words) pair = PAIR(low, high);
        sum += low + high;
        memcpy(t->score + key / 2 * CPU_ATTEND_QUERIES + lane, &pair, sizeof pair);
    }
#else
    for (int key = 0; key < count; key++) {
        F(floats) weight = F(power)(F(load)(score + key * CPU_ATTEND_QUERIES) * unit - floor);
        F(store)(score + key * CPU_ATTEND_QUERIES, weight);
        sum += weight;
    }
#endif
    *total += sum;
}

/* COLS vectors of queries from `lane` on, against all keys that they may see. */
INLINE void F(attend_columns)(const cpu_attend *t, const int cols, int lane) {
    F(floats) top[COLUMNS], total[COLUMNS];
    UNROLL for (int j = 0; j < cols; j++) {
        top[j] = F(all)(-1e30f); /* finite: a row whose scores are all hidden gives weights of almost 0, and not NaN */
        total[j] = (F(floats)){0};
    }
#ifdef DOT
    enum { KEYS_A_WORD = 2 };
#else
    enum { KEYS_A_WORD = 1 };
#endif
    int words = t->depth / KEYS_A_WORD, last = t->keys;
    if (t->first_query >= 0 && t->first_query + t->queries < last) last = t->first_query + t->queries;
    for (int first = 0; first < last; first += CPU_ATTEND_KEYS) {
        int count = last - first < CPU_ATTEND_KEYS ? last - first : CPU_ATTEND_KEYS;
        F(product)
        (cols, count, words, t->k + (size_t)first * t->k_stride, t->k_stride, 1, t->q + lane, t->score + lane, false);
        for (int j = 0; j < cols; j++) {
            if (t->first_query >= 0) F(hide)(t, lane + j * WIDTH, first, count, t->score + lane + j * WIDTH);
            F(soften)(t, lane + j * WIDTH, count, first == 0, &top[j], &total[j]);
        }
        F(product)
        (cols, t->depth, (count + KEYS_A_WORD - 1) / KEYS_A_WORD, t->v + (size_t)(first / KEYS_A_WORD) * t->v_stride, 1,
         t->v_stride, (const cpu_word *)(const void *)t->score + lane, t->sum + lane, first > 0);
    }
    for (int j = 0; j < cols; j++) total[j] = F(load)(t->weight + lane + j * WIDTH) / total[j];
    for (int d = 0; d < t->depth; d++)
        for (int j = 0; j < cols; j++) {
            size_t at = (size_t)d * CPU_ATTEND_QUERIES + (size_t)(lane + j * WIDTH);
            F(floats) result = F(load)(t->sum + at) * total[j];
            F(store)(t->out + at, t->add ? F(load)(t->out + at) + result : result);
        }
}

TARGET static void F(attend)(const cpu_attend *t) {
    int lane = 0;
    for (; lane + (COLUMNS - 1) * WIDTH < t->queries; lane += COLUMNS * WIDTH) F(attend_columns)(t, COLUMNS, lane);
    int left = (t->queries - lane + WIDTH - 1) / WIDTH;
#if COLUMNS > 2
    if (left == 3) F(attend_columns)(t, 3, lane);
    if (left == 2) F(attend_columns)(t, 2, lane);
#endif
    if (left == 1) F(attend_columns)(t, 1, lane);
}

#ifdef DOT

/* Two channels become a row of words, written over channels that are done with. */
TARGET static void F(round_off)(float *out, int depth) {
    for (int d = 0; d < depth; d += 2)
        for (int lane = 0; lane < CPU_ATTEND_QUERIES; lane += WIDTH) {
            const float *from = out + d * CPU_ATTEND_QUERIES + lane;
            F(words) pair = PAIR(F(load)(from), F(load)(from + CPU_ATTEND_QUERIES));
            memcpy(out + d / 2 * CPU_ATTEND_QUERIES + lane, &pair, sizeof pair);
        }
}

TARGET static void F(pair_values)(cpu_word *to, const uint16_t *low, const uint16_t *high, int count) {
    for (int i = 0; i < count; i += 32) ZIP_ROWS(to + i, low + i, high + i, count - i);
}

#endif

static const cpu_attend_kernels F(attend_kernels) = {
    .name = KERNEL_NAME,
#ifdef DOT
    .bf16 = true,
    .round_off = F(round_off),
    .pair_values = F(pair_values),
#endif
    .attend = F(attend),
};

#undef JOIN2
#undef JOIN
#undef F
#undef INLINE
#undef UNROLL
#undef MULTIPLY
