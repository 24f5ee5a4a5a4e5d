/* attend.h: the inner loops of attention, compiled once per vector width and number type and picked at run time. They run
 * on one thread, for one head: a tile of queries against all keys of one text (or picture).
 *
 * Everything is computed transposed: scores lie as [key][query] and results as [channel][query], so that a vector always
 * holds neighbouring queries. Softmax then needs no sums across a vector, keys and values are read as they lie in memory,
 * one value for all lanes, and only queries have to be packed.
 *
 * The unit of arithmetic is a word of 32 bits: one f32, or two neighbouring bf16, which one instruction multiplies and
 * adds into one f32 sum. Scores, softmax and sums are f32 in either type. */
#ifndef CPL_CPU_ATTEND_H
#define CPL_CPU_ATTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Queries of a tile; keys that go by at once. */
enum { CPU_ATTEND_QUERIES = 64, CPU_ATTEND_KEYS = 64 };

typedef uint32_t __attribute__((may_alias)) cpu_word;

typedef struct cpu_attend {
    int queries, depth, keys; /* depth in channels */
    int first_query;          /* causal: query i may look at keys 0 ... first_query + i; negative: at all */
    float scale;              /* of the scores */
    const cpu_word *q; /* [words of depth][CPU_ATTEND_QUERIES]; what lanes past `queries` hold is not looked at */
    const cpu_word *k; /* [keys][k_stride] words */
    size_t k_stride;
    const cpu_word
        *v; /* f32: [keys][v_stride]; bf16: [keys / 2, rounded up][v_stride], a channel of two keys in a word */
    size_t v_stride;
    const float *weight; /* [CPU_ATTEND_QUERIES], by which results are multiplied */
    bool add;            /* to what is in `out` */
    float *out;          /* [depth][CPU_ATTEND_QUERIES] */
    float *sum;          /* scratch [depth][CPU_ATTEND_QUERIES] */
    float *score;        /* scratch [CPU_ATTEND_KEYS][CPU_ATTEND_QUERIES] */
} cpu_attend;

typedef struct cpu_attend_kernels {
    const char *name;
    bool bf16; /* words are pairs of bf16; depths are even */
    void (*attend)(const cpu_attend *tile);
    /* bf16 only: `out` of a tile becomes words of two channels, [depth / 2][CPU_ATTEND_QUERIES] in its place; */
    void (*round_off)(float *out, int depth);
    /* the values of two keys, as attend wants them. */
    void (*pair_values)(cpu_word *to, const uint16_t *low, const uint16_t *high, int count);
} cpu_attend_kernels;

/* The best set for a type that this processor runs; there is always one for f32, for bf16 perhaps NULL. */
const cpu_attend_kernels *cpu_attend_pick(bool bf16);
/* All sets that it runs, the plainest first; for tests. */
int cpu_attend_all(const cpu_attend_kernels *list[], int room);

/* to[word][i] = row[i][word]: how queries are packed. The number of rows is rounded up to 4. */
void cpu_attend_turn(cpu_word *to, const cpu_word *const row[CPU_ATTEND_QUERIES], int queries, int words);
/* row[i][word] = from[word][i], the way back. */
void cpu_attend_turn_back(cpu_word *const row[CPU_ATTEND_QUERIES], const cpu_word *from, int queries, int words);

#endif
