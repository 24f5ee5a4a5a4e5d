/* test_attention.c: self-attention and coupled cross-attention against softmax written out in f64, over head sizes,
 * lengths around the tile's borders, causal masks, texts of mixed lengths, plans with overlaps and untouched lines. */
#include "attention_test.h"

#include <stdio.h>

/* In bf16 weights and results keep 8 bits. */
static double tolerance_of(const cpu_test *t, double f32) { return t->b->precision == CPL_BF16 ? 1e-2 : f32; }

static void check_self(cpu_test *t, int n, int h, int w, int keys, int heads, int depth, bool causal, float scale) {
    int queries = h * w, row = heads * depth;
    float *q = random_values(t, n * queries * row, scale), *k = random_values(t, n * keys * row, scale);
    float *v = random_values(t, n * keys * row, 1);
    double *want = reference_new(n * queries * row);
    for (int i = 0; i < n * queries * heads; i++) {
        int head = i % heads, query = i / heads % queries, element = i / heads / queries;
        int at = (element * queries + query) * row + head * depth, from = element * keys * row + head * depth;
        int visible = causal && query + 1 < keys ? query + 1 : keys;
        reference_query(q + at, k + from, v + from, visible, row, depth, want + at);
    }
    cpl_tensor tq = tensor_of(t, q, n, h, w, row), tk = tensor_of(t, k, n, 1, keys, row),
               tv = tensor_of(t, v, n, 1, keys, row);
    cpl_tensor ty = cpl_make_like(t->s, &tq);
    t->ops->attention(t->s, &ty, &tq, &tk, &tv, heads, causal);
    char what[120];
    snprintf(what, sizeof what, "attention %d x %d queries, %d keys, %d heads of %d, causal %d", n, queries, keys,
             heads, depth, causal);
    check_tensor(t, what, &ty, want, tolerance_of(t, 3e-6 * (double)(1 + scale)));
    cpl_tensor_free(&tq), cpl_tensor_free(&tk), cpl_tensor_free(&tv);
    free(q), free(k), free(v);
}

static void self_attention_matches_softmax(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    static const int depths[] = {1, 8, 24, 40, 64, 80, 96, 130, 320, 512},
                     lengths[] = {1, 5, 47, 48, 49, 63, 64, 65, 130};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            int heads = depths[i] > 100 ? 1 : random_int(&t, 1, 4), keys = lengths[j];
            check_self(&t, random_int(&t, 1, 2), 1, lengths[random_int(&t, 0, 8)], keys, heads, depths[i], false, 1);
            check_self(&t, random_int(&t, 1, 2), 1, keys, keys, heads, depths[i], true, 1);
        }
    check_self(&t, 2, 16, 16, 256, 4, 24, false, 1);
    check_self(&t, 1, 7, 13, 91, 3, 20, false, 8); /* scores far apart */
    check_self(&t, 1, 1, 70, 20, 2, 8, true, 1);   /* more queries than keys */
    cpu_test_close(&t);
}

/* Scores that grow from block to block make every block lift the running maximum; huge ones must not overflow. */
static void large_and_rising_scores_stay_exact(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    enum { KEYS = 300, D = 8 };
    float q[D], k[KEYS * D], *v = random_values(&t, KEYS * D, 1);
    for (int i = 0; i < D; i++) q[i] = 10;
    for (int j = 0; j < KEYS; j++)
        for (int i = 0; i < D; i++) k[j * D + i] = (float)j * 0.01f + (j == 299 ? 20.0f : 0.0f) - 3;
    for (int last = 299; last <= 300; last++) { /* without and with the key whose score is near 600 */
        double *want = reference_new(D);
        reference_query(q, k, v, last, D, D, want);
        cpl_tensor tq = tensor_of(&t, q, 1, 1, 1, D), tk = tensor_of(&t, k, 1, 1, last, D),
                   tv = tensor_of(&t, v, 1, 1, last, D);
        cpl_tensor ty = cpl_make_like(t.s, &tq);
        t.ops->attention(t.s, &ty, &tq, &tk, &tv, 1, false);
        check_tensor(&t, "rising scores", &ty, want, 5e-5);
        cpl_tensor_free(&tq), cpl_tensor_free(&tk), cpl_tensor_free(&tv);
    }
    free(v);
    cpu_test_close(&t);
}

/* ---- Cross-attention ---- */

enum { MOST_LINES = 9 };

/* Rectangles over a weak line 0 that covers all, normalised; line `bare` is left out everywhere. */
static float *random_masks(cpu_test *t, int lines, int bare, int w, int h) {
    float *masks = calloc((size_t)lines, sizeof *masks * (size_t)w * (size_t)h);
    for (int i = 0; i < w * h; i++) masks[i] = 0.3f;
    for (int r = 1; r < lines; r++) {
        int x1 = random_int(t, 0, w - 1), y1 = random_int(t, 0, h - 1), x2 = random_int(t, x1, w),
            y2 = random_int(t, y1, h);
        for (int y = y1; y < y2 && r != bare; y++)
            for (int x = x1; x < x2; x++) masks[(r * h + y) * w + x] = (float)random_int(t, 1, 3);
    }
    for (int i = 0; i < w * h; i++) {
        float sum = 0;
        for (int r = 0; r < lines; r++) sum += masks[r * w * h + i];
        for (int r = 0; r < lines; r++) masks[r * w * h + i] /= sum;
    }
    return masks;
}

static void check_cross(cpu_test *t, int n, int h, int w, int lines, int heads, int depth) {
    text line[MOST_LINES];
    const cpl_tensor *k[MOST_LINES], *v[MOST_LINES];
    int row = heads * depth, tokens = h * w, bare = lines > 2 ? lines - 1 : -1;
    for (int r = 0; r < lines; r++) {
        static const int lengths[] = {24, 77, 154, 1, 64, 65};
        text_new(t, &line[r], lengths[random_int(t, 0, 5)], row);
        k[r] = r == bare ? NULL : &line[r].tk; /* a line that no token listens to need not be there */
        v[r] = r == bare ? NULL : &line[r].tv;
    }
    cpl_listen listen[4];
    cpl_plan *plan[4] = {0};
    float *masks[4] = {0};
    for (int i = 0; i < n; i++) {
        if (i != 1) masks[i] = random_masks(t, lines, bare, w, h); /* element 1 is the uncond half: line 0 alone */
        if (masks[i]) plan[i] = cpl_plan_new(masks[i], lines, w, h, NULL);
        listen[i] = (cpl_listen){.lines = plan[i] ? lines : 1, .k = k, .v = v, .plan = plan[i]};
    }
    float *q = random_values(t, n * tokens * row, 2);
    cpl_tensor tq = tensor_of(t, q, n, h, w, row), ty = cpl_make_like(t->s, &tq);
    t->ops->cross_attention(t->s, &ty, &tq, listen, heads);
    char what[120];
    snprintf(what, sizeof what, "cross-attention %dx%dx%d, %d lines, %d heads of %d", n, h, w, lines, heads, depth);
    const float *borrowed[4] = {masks[0], masks[1], masks[2], masks[3]};
    check_tensor(t, what, &ty, reference_cross(q, n, tokens, heads, depth, line, lines, borrowed),
                 tolerance_of(t, 3e-6));
    cpl_tensor_free(&tq);
    for (int i = 0; i < n; i++) cpl_plan_free(plan[i]), free(masks[i]);
    for (int r = 0; r < lines; r++) text_free(&line[r]);
    free(q);
}

static void cross_attention_is_the_weighted_sum_of_lines(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    check_cross(&t, 2, 16, 16, 3, 4, 24);
    check_cross(&t, 4, 5, 7, MOST_LINES, 2, 8);
    for (int i = 0; i < 25; i++)
        check_cross(&t, random_int(&t, 1, 4), random_int(&t, 1, 20), random_int(&t, 1, 20),
                    random_int(&t, 1, MOST_LINES), random_int(&t, 1, 4), random_int(&t, 1, 70));
    cpu_test_close(&t);
}

/* With one text for all lines the mask must not matter: the weights of a token sum to 1. */
static void equal_lines_mix_to_plain_attention(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    enum { H = 9, W = 11, LINES = 5, HEADS = 2, D = 16, ROW = HEADS * D };
    text line;
    text_new(&t, &line, 77, ROW);
    const cpl_tensor *k[LINES], *v[LINES];
    for (int r = 0; r < LINES; r++) k[r] = &line.tk, v[r] = &line.tv;
    float *masks = random_masks(&t, LINES, -1, W, H), *q = random_values(&t, 2 * H * W * ROW, 1);
    memcpy(q + H * W * ROW, q, sizeof *q * H * W * ROW);
    cpl_plan *plan = cpl_plan_new(masks, LINES, W, H, NULL);
    const cpl_listen listen[2] = {{LINES, k, v, plan}, {1, k, v, NULL}};
    cpl_tensor tq = tensor_of(&t, q, 2, H, W, ROW), ty = cpl_make_like(t.s, &tq);
    t.ops->cross_attention(t.s, &ty, &tq, listen, HEADS);
    float *got = values_of(&t, &ty);
    for (int i = 0; i < H * W * ROW; i++)
        assert_true(fabs((double)got[i] - (double)got[H * W * ROW + i]) < test_tolerance(1e-6));
    cpl_tensor_free(&tq), cpl_tensor_free(&ty);
    text_free(&line);
    cpl_plan_free(plan);
    free(masks), free(q), free(got);
    cpu_test_close(&t);
}

static void wrong_shapes_fail_the_stream(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    const float masks[2 * 6] = {1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1};
    cpl_plan *plan = cpl_plan_new(masks, 2, 3, 2, NULL);
    cpl_tensor q = cpl_make(t.s, 1, 2, 3, 16), y = cpl_make(t.s, 1, 2, 3, 16), k = cpl_make(t.s, 1, 1, 7, 16);
    cpl_tensor narrow = cpl_make(t.s, 1, 1, 7, 8), turned = cpl_make(t.s, 1, 3, 2, 16), none = {0};
    const cpl_tensor *good[2] = {&k, &k}, *bad[2] = {&k, &narrow}, *empty[2] = {&none, &k};
    t.ops->attention(t.s, &y, &q, &k, &narrow, 2, false), expect_failure(&t, "v is [1, 1, 7, 8]");
    t.ops->attention(t.s, &y, &q, &k, &k, 3, false), expect_failure(&t, "16 channels do not fall into 3 heads");
    t.ops->attention(t.s, &turned, &q, &k, &k, 2, false), expect_failure(&t, "y is [1, 3, 2, 16]");
    t.ops->cross_attention(t.s, &y, &q, &(cpl_listen){2, good, bad, plan}, 2), expect_failure(&t, "v is");
    t.ops->cross_attention(t.s, &y, &q, &(cpl_listen){2, empty, good, plan}, 2),
        expect_failure(&t, "k is not a filled");
    t.ops->cross_attention(t.s, &y, &q, &(cpl_listen){3, good, good, plan}, 2), expect_failure(&t, "3 lines at 3x2");
    t.ops->cross_attention(t.s, &turned, &turned, &(cpl_listen){2, good, good, plan}, 2),
        expect_failure(&t, "at 2x3 tokens");
    cpl_tensor_free(&q), cpl_tensor_free(&y), cpl_tensor_free(&k), cpl_tensor_free(&narrow), cpl_tensor_free(&turned);
    cpl_plan_free(plan);
    cpu_test_close(&t);
}

/* Odd heads go another way than even ones, and long sources than short ones. */
static void bf16_is_near(void **state) {
    (void)state;
    cpu_test t;
    static const int depths[] = {1, 2, 15, 40, 64, 80, 95, 160}, lengths[] = {1, 24, 77, 256, 257, 300};
    if (!cpu_test_open_bf16(&t, 2)) skip();
    for (int d = 0; d < 8; d++)
        for (int i = 0; i < 6; i++) {
            check_self(&t, 1, 1, 70, lengths[i], 2, depths[d], false, 1);
            check_self(&t, 2, 1, lengths[i], lengths[i], 1, depths[d], true, 1);
        }
    for (int i = 0; i < 12; i++)
        check_cross(&t, random_int(&t, 1, 4), random_int(&t, 1, 20), random_int(&t, 1, 20),
                    random_int(&t, 1, MOST_LINES), random_int(&t, 1, 4), random_int(&t, 1, 70));
    cpu_test_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_is_near),
        cmocka_unit_test(self_attention_matches_softmax),
        cmocka_unit_test(large_and_rising_scores_stay_exact),
        cmocka_unit_test(cross_attention_is_the_weighted_sum_of_lines),
        cmocka_unit_test(equal_lines_mix_to_plain_attention),
        cmocka_unit_test(wrong_shapes_fail_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
