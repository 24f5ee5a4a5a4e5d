/* test_attend.c: every set of attention kernels that this processor runs, by itself: the processor that tests run on would
 * otherwise only ever use the widest. Against softmax in f64; what bf16 rounds is rounded in the reference too, but for the
 * weights, which lie between 0 and 1 and carry 8 bits. */
#include "../../../core/cpu/attend.h"

#include <stdio.h>

#include "cpu_test.h"

enum { MOST_DEPTH = 160, MOST_KEYS = 200, SETS = 8 };

static uint16_t round_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static float widen(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What a set of kernels is given: rows of f32, or of bf16, and values in the order that it wants. */
typedef struct inputs {
    int depth, keys, words;
    float q[CPU_ATTEND_QUERIES][MOST_DEPTH], k[MOST_KEYS][MOST_DEPTH], v[MOST_KEYS][MOST_DEPTH];
    cpu_word rows[CPU_ATTEND_QUERIES][MOST_DEPTH], keys_packed[MOST_KEYS * MOST_DEPTH],
        values_packed[(MOST_KEYS + 1) * MOST_DEPTH];
    cpu_word turned[MOST_DEPTH * CPU_ATTEND_QUERIES];
} inputs;

static void pack_row(cpu_word *to, float *row, int depth, bool bf16) {
    uint16_t *halves = calloc((size_t)depth, sizeof *halves);
    for (int i = 0; i < depth; i++) {
        halves[i] = round_bf16(row[i]);
        if (bf16) row[i] = widen(halves[i]);
    }
    memcpy(to, bf16 ? (const void *)halves : row, (size_t)depth * (bf16 ? 2 : 4));
    free(halves);
}

static void fill(cpu_test *t, inputs *in, const cpu_attend_kernels *set, int queries) {
    in->words = set->bf16 ? in->depth / 2 : in->depth;
    for (int d = 0; d < in->depth; d++) {
        for (int i = 0; i < CPU_ATTEND_QUERIES; i++) in->q[i][d] = 2 * random_value(t);
        for (int i = 0; i < in->keys; i++) in->k[i][d] = 2 * random_value(t), in->v[i][d] = random_value(t);
    }
    const cpu_word *row[CPU_ATTEND_QUERIES];
    for (int i = 0; i < CPU_ATTEND_QUERIES; i++) {
        pack_row(in->rows[i], in->q[i], in->depth, set->bf16);
        row[i] = in->rows[i];
    }
    cpu_attend_turn(in->turned, row, queries, in->words);
    for (int i = 0; i < in->keys; i++) {
        pack_row(in->keys_packed + i * in->words, in->k[i], in->depth, set->bf16);
        if (!set->bf16) memcpy(in->values_packed + i * in->depth, in->v[i], (size_t)in->depth * 4);
    }
    for (int i = 0; set->bf16 && i < in->keys; i += 2) {
        uint16_t low[MOST_DEPTH], high[MOST_DEPTH];
        for (int d = 0; d < in->depth; d++) {
            low[d] = round_bf16(in->v[i][d]), in->v[i][d] = widen(low[d]);
            high[d] = low[d];
            if (i + 1 < in->keys) high[d] = round_bf16(in->v[i + 1][d]), in->v[i + 1][d] = widen(high[d]);
        }
        set->pair_values(in->values_packed + i / 2 * in->depth, low, high, in->depth);
    }
}

static void reference(const inputs *in, int query, int visible, double out[MOST_DEPTH]) {
    double score[MOST_KEYS], top = -1e300, sum = 0;
    for (int j = 0; j < visible; j++) {
        score[j] = 0;
        for (int d = 0; d < in->depth; d++) score[j] += (double)in->q[query][d] * (double)in->k[j][d] / sqrt(in->depth);
        top = score[j] > top ? score[j] : top;
    }
    for (int d = 0; d < in->depth; d++) out[d] = 0;
    for (int j = 0; j < visible; j++) sum += score[j] = exp(score[j] - top);
    for (int j = 0; j < visible; j++)
        for (int d = 0; d < in->depth; d++) out[d] += score[j] / sum * (double)in->v[j][d];
}

/* Written twice, the second time added with other weights, as two lines of a plan are. */
static void check_set(cpu_test *t, const cpu_attend_kernels *set, int queries, int depth, int keys, bool causal) {
    static inputs in;
    static float out[MOST_DEPTH * CPU_ATTEND_QUERIES], sum[MOST_DEPTH * CPU_ATTEND_QUERIES];
    float score[CPU_ATTEND_KEYS * CPU_ATTEND_QUERIES], weight[CPU_ATTEND_QUERIES],
        result[CPU_ATTEND_QUERIES][MOST_DEPTH];
    in.depth = depth, in.keys = keys;
    fill(t, &in, set, queries);
    int first_query = causal ? random_int(t, 0, keys - 1) : -1;
    cpu_attend tile = {.queries = queries,
                       .depth = depth,
                       .keys = keys,
                       .first_query = first_query,
                       .scale = 1.0f / sqrtf((float)depth),
                       .q = in.turned,
                       .k = in.keys_packed,
                       .k_stride = (size_t)in.words,
                       .v = in.values_packed,
                       .v_stride = (size_t)depth,
                       .weight = weight,
                       .out = out,
                       .sum = sum,
                       .score = score};
    for (int i = 0; i < CPU_ATTEND_QUERIES; i++) weight[i] = 0.25f;
    set->attend(&tile);
    for (int i = 0; i < CPU_ATTEND_QUERIES; i++) weight[i] = (float)(i % 3);
    tile.add = true;
    set->attend(&tile);
    cpu_word *row[CPU_ATTEND_QUERIES];
    for (int i = 0; i < CPU_ATTEND_QUERIES; i++) row[i] = (cpu_word *)(void *)result[i];
    cpu_attend_turn_back(row, (const cpu_word *)(const void *)out, queries, depth);
    double worst = 0;
    for (int i = 0; i < queries; i++) {
        int visible = causal && first_query + i + 1 < keys ? first_query + i + 1 : keys;
        double want[MOST_DEPTH];
        reference(&in, i, visible, want);
        for (int d = 0; d < depth; d++) {
            double off = fabs((double)result[i][d] - (0.25 + i % 3) * want[d]);
            worst = off > worst || isnan(off) ? off : worst;
        }
    }
    if (!(worst < (set->bf16 ? 1e-2 : 1e-5)))
        fail_msg("%s: %d queries, heads of %d, %d keys, causal %d: off by %g", set->name, queries, depth, keys, causal,
                 worst);
}

static void every_set_matches_softmax(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    const cpu_attend_kernels *set[SETS];
    static const int queries[] = {1, 7, 16, 17, 32, 47, 48, 63, 64}, depths[] = {1, 2, 6, 14, 40, 64, 80, 160},
                     keys[] = {1, 2, 12, 63, 64, 65, 77, 129, 200};
    int sets = cpu_attend_all(set, SETS);
    assert_true(sets > 0 && !set[0]->bf16);
    for (int s = 0; s < sets; s++)
        for (int i = 0; i < 9; i++)
            for (int d = set[s]->bf16; d < 8; d++) {
                check_set(&t, set[s], queries[i], depths[d], keys[(i + d) % 9], false);
                check_set(&t, set[s], queries[(i + d) % 9], depths[d], keys[i], true);
            }
    cpu_test_close(&t);
}

/* What overflowed before must not come out as a picture that looks right. */
static void scores_that_are_no_numbers_stay_so(void **state) {
    (void)state;
    enum { DEPTH = 8, QUERIES = 16, KEYS = 77 };
    static inputs in;
    static float out[MOST_DEPTH * CPU_ATTEND_QUERIES], sum[MOST_DEPTH * CPU_ATTEND_QUERIES];
    float score[CPU_ATTEND_KEYS * CPU_ATTEND_QUERIES], weight[CPU_ATTEND_QUERIES];
    const uint32_t nan_bits = 0x7fc00000; /* of f32; of two bf16 the higher is one */
    cpu_test t = cpu_test_open(1);
    const cpu_attend_kernels *set[SETS];
    int sets = cpu_attend_all(set, SETS);
    for (int i = 0; i < CPU_ATTEND_QUERIES; i++) weight[i] = 1;
    for (int s = 0; s < sets; s++)
        for (int of_key = 0; of_key < 2; of_key++) {
            in.depth = DEPTH, in.keys = KEYS;
            fill(&t, &in, set[s], QUERIES);
            if (of_key)
                memcpy(in.keys_packed + 3 * in.words, &nan_bits, sizeof nan_bits);
            else
                for (int i = 0; i < QUERIES; i++) memcpy(in.turned + i, &nan_bits, sizeof nan_bits);
            cpu_attend tile = {.queries = QUERIES, .depth = DEPTH, .keys = KEYS, .first_query = -1, .scale = 0.5f};
            tile.q = in.turned, tile.k = in.keys_packed, tile.v = in.values_packed;
            tile.k_stride = (size_t)in.words, tile.v_stride = DEPTH;
            tile.weight = weight, tile.out = out, tile.sum = sum, tile.score = score;
            set[s]->attend(&tile);
            for (int d = 0; d < DEPTH; d++)
                for (int i = 0; i < QUERIES; i++)
                    if (!isnan(out[d * CPU_ATTEND_QUERIES + i]))
                        fail_msg("%s: %s gave a number", set[s]->name, of_key ? "a key" : "a query");
        }
    cpu_test_close(&t);
}

static void results_are_rounded_to_pairs(void **state) {
    (void)state;
    const cpu_attend_kernels *set = cpu_attend_pick(true);
    if (!set) skip();
    cpu_test t = cpu_test_open(1);
    enum { DEPTH = 6 };
    float out[DEPTH * CPU_ATTEND_QUERIES], before[DEPTH * CPU_ATTEND_QUERIES];
    for (int i = 0; i < DEPTH * CPU_ATTEND_QUERIES; i++) before[i] = out[i] = random_value(&t);
    set->round_off(out, DEPTH);
    for (int d = 0; d < DEPTH; d++)
        for (int i = 0; i < CPU_ATTEND_QUERIES; i++) {
            uint32_t word;
            memcpy(&word, &out[d / 2 * CPU_ATTEND_QUERIES + i], sizeof word);
            assert_int_equal(d % 2 ? word >> 16 : word & 0xffff, round_bf16(before[d * CPU_ATTEND_QUERIES + i]));
        }
    cpu_test_close(&t);
}

static void picks_what_there_is(void **state) {
    (void)state;
    const cpu_attend_kernels *set[SETS], *best = cpu_attend_pick(false);
    int sets = cpu_attend_all(set, SETS), found = 0;
    assert_non_null(best);
    assert_false(best->bf16);
    for (int i = 0; i < sets; i++) found += set[i] == best;
    assert_int_equal(found, 1);
    assert_int_equal(cpu_attend_all(set, 1), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_matches_softmax),
        cmocka_unit_test(scores_that_are_no_numbers_stay_so),
        cmocka_unit_test(results_are_rounded_to_pairs),
        cmocka_unit_test(picks_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
