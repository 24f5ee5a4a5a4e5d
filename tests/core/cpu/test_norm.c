/* test_norm.c: group norm and layer norm against two-pass f64 loops, also where f32 sums would lose the variance. */
#include "cpu_test.h"

#include <stdio.h>

typedef struct group_case {
    int n, h, w, c, groups;
    float eps, scale, offset;
    bool shift, silu, in_place;
} group_case;

static double *reference_group_norm(const group_case *k, const float *x, const float *shift, const float *gamma,
                                    const float *beta) {
    int rows = k->h * k->w, width = k->c / k->groups;
    double *y = reference_new(k->n * rows * k->c);
    for (int n = 0; n < k->n; n++)
        for (int g = 0; g < k->groups; g++) {
            double mean = 0, variance = 0;
            for (int pass = 0; pass < 3; pass++)
                for (int r = 0; r < rows; r++)
                    for (int c = g * width; c < (g + 1) * width; c++) {
                        int at = (n * rows + r) * k->c + c;
                        double v = (double)x[at] + (shift ? (double)shift[n * k->c + c] : 0);
                        if (pass == 0) mean += v / (rows * width);
                        if (pass == 1) variance += (v - mean) * (v - mean) / (rows * width);
                        if (pass < 2) continue;
                        v = (v - mean) / sqrt(variance + (double)k->eps) * (double)gamma[c] + (double)beta[c];
                        y[at] = k->silu ? v / (1 + exp(-v)) : v;
                    }
        }
    return y;
}

static void check_group_norm(cpu_test *t, const group_case *k, double tolerance) {
    int count = k->n * k->h * k->w * k->c;
    float *x = random_values(t, count, k->scale), *gamma = random_values(t, k->c, 2);
    float *beta = random_values(t, k->c, 1), *shift = k->shift ? random_values(t, k->n * k->c, k->scale) : NULL;
    for (int i = 0; i < count; i++) x[i] = test_round(x[i] + k->offset);
    cpl_weight *w = t->ops->norm_weight(t->b, gamma, beta, k->c, NULL);
    cpl_tensor tx = tensor_of(t, x, k->n, k->h, k->w, k->c), ts = {0}, ty = {0};
    if (shift) ts = tensor_of(t, shift, k->n, 1, 1, k->c);
    if (!k->in_place) ty = cpl_make_like(t->s, &tx);
    t->ops->group_norm(t->s, k->in_place ? &tx : &ty, &tx, shift ? &ts : NULL, w, k->groups, k->eps, k->silu);
    char what[120];
    snprintf(what, sizeof what, "group norm %dx%dx%dx%d in %d groups, shift %d, silu %d, in place %d", k->n, k->h, k->w,
             k->c, k->groups, k->shift, k->silu, k->in_place);
    check_tensor(t, what, k->in_place ? &tx : &ty, reference_group_norm(k, x, shift, gamma, beta), tolerance);
    cpl_tensor_free(&tx);
    cpl_tensor_free(&ts);
    t->ops->weight_free(t->b, w);
    free(x), free(gamma), free(beta), free(shift);
}

static void group_norm_matches_plain_loops(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    const group_case fixed[] = {
        {2, 16, 16, 48, 8, 1e-5f, 1, 0, true, true, false},   {1, 64, 64, 16, 8, 1e-6f, 3, 1, false, true, true},
        {1, 1, 1, 8, 8, 1e-5f, 1, 0, false, false, false},    {3, 5, 7, 21, 7, 1e-5f, 1, 0, true, false, true},
        {1, 130, 71, 12, 1, 1e-6f, 1, 5, false, true, false}, {2, 3, 3, 320, 32, 1e-5f, 1, 0, true, true, true},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) check_group_norm(&t, &fixed[i], 3e-6);
    for (int i = 0; i < 30; i++) {
        int groups = random_int(&t, 1, 9);
        group_case k = {random_int(&t, 1, 3),
                        random_int(&t, 2, 20),
                        random_int(&t, 2, 20),
                        groups * random_int(&t, 1, 9),
                        groups,
                        1e-5f,
                        1,
                        0,
                        random_int(&t, 0, 1),
                        random_int(&t, 0, 1),
                        random_int(&t, 0, 1)};
        check_group_norm(&t, &k, 3e-6);
    }
    cpu_test_close(&t);
}

/* Amplitudes around the root of epsilon show which epsilon it is; a mean far above the deviation shows f32 sums. */
static void group_norm_keeps_small_variances(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    for (int i = 0; i < 4; i++) {
        group_case tiny = {2, 9, 9, 32, 8, i & 1 ? 1e-5f : 1e-6f, 1e-4f, 0, i & 2, false, false};
        check_group_norm(&t, &tiny, 3e-6);
        group_case none = {1, 9, 9, 32, 8, i & 1 ? 1e-5f : 1e-6f, 1e-12f, 0, i & 2, true, false};
        check_group_norm(&t, &none, 3e-6);
    }
    group_case far = {1, 32, 32, 16, 4, 1e-6f, 1.0f, 1000, false, false, false};
    check_group_norm(&t, &far, 1e-4); /* x itself is rounded to 6e-5 there */
    cpu_test_close(&t);
}

/* Rows of an image by the sums over all of them. */
static void group_norm_of_parts_is_that_of_the_whole(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    for (int i = 0; i < 20; i++) {
        int h = random_int(&t, 2, 40), w = random_int(&t, 1, 40), groups = random_int(&t, 1, 6);
        int c = groups * random_int(&t, 1, 9), height = random_int(&t, 1, h);
        float *x = random_values(&t, h * w * c, 3), *gamma = random_values(&t, c, 2), *beta = random_values(&t, c, 1);
        cpl_weight *weight = t.ops->norm_weight(t.b, gamma, beta, c, NULL);
        cpl_tensor tx = tensor_of(&t, x, 1, h, w, c), whole = cpl_make_like(t.s, &tx), sums = cpl_make_sums(t.s, c);
        t.ops->group_norm(t.s, &whole, &tx, NULL, weight, groups, 1e-6f, i % 2);
        for (int y = 0; y < h; y += height) {
            cpl_tensor part = cpl_tensor_rows(&tx, y, y + height < h ? height : h - y);
            t.ops->group_sums(t.s, &sums, &part, y == 0);
        }
        for (int y = 0; y < h; y += height) {
            cpl_tensor part = cpl_tensor_rows(&tx, y, y + height < h ? height : h - y);
            t.ops->group_norm_by(t.s, &part, &part, &sums, (size_t)h * (size_t)w, weight, groups, 1e-6f, i % 2);
        }
        float *want = values_of(&t, &whole);
        double *wanted = reference_new(h * w * c);
        for (int k = 0; k < h * w * c; k++) wanted[k] = (double)want[k];
        check_tensor(&t, "group norm of parts", &tx, wanted, 1e-6);
        cpl_tensor_free(&whole);
        cpl_tensor_free(&sums);
        t.ops->weight_free(t.b, weight);
        free(x), free(gamma), free(beta), free(want);
    }
    cpu_test_close(&t);
}

static void layer_norm_matches_plain_loops(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    static const int widths[] = {1, 3, 8, 13, 48, 96, 127, 768};
    for (size_t i = 0; i < 3 * sizeof widths / sizeof widths[0]; i++) {
        int c = widths[i / 3], rows = random_int(&t, 1, 90);
        float scale = i % 3 == 1 ? 1e-3f : 1.0f, offset = i % 3 == 2 ? 100.0f : 0.0f;
        float *x = random_values(&t, rows * c, scale), *gamma = random_values(&t, c, 1);
        float *beta = random_values(&t, c, 1);
        double *want = reference_new(rows * c);
        for (int r = 0; r < rows; r++) {
            double mean = 0, variance = 0;
            for (int j = 0; j < c; j++) mean += (double)(x[r * c + j] = test_round(x[r * c + j] + offset)) / c;
            for (int j = 0; j < c; j++) variance += ((double)x[r * c + j] - mean) * ((double)x[r * c + j] - mean) / c;
            for (int j = 0; j < c; j++)
                want[r * c + j] =
                    ((double)x[r * c + j] - mean) / sqrt(variance + 1e-5) * (double)gamma[j] + (double)beta[j];
        }
        cpl_weight *w = t.ops->norm_weight(t.b, gamma, beta, c, NULL);
        cpl_tensor tx = tensor_of(&t, x, 1, 1, rows, c), ty = cpl_make_like(t.s, &tx);
        t.ops->layer_norm(t.s, &ty, &tx, w, 1e-5f);
        t.ops->layer_norm(t.s, &tx, &tx, w, 1e-5f);
        double *again = reference_new(rows * c);
        memcpy(again, want, sizeof *want * (size_t)rows * (size_t)c);
        check_tensor(&t, "layer norm", &ty, want, 3e-6);
        check_tensor(&t, "layer norm in place", &tx, again, 3e-6);
        t.ops->weight_free(t.b, w);
        free(x), free(gamma), free(beta);
    }
    cpu_test_close(&t);
}

static void wrong_shapes_fail_the_stream(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    float values[12] = {0};
    cpl_weight *w = t.ops->norm_weight(t.b, values, values, 12, NULL);
    cpl_tensor x = cpl_make(t.s, 2, 3, 3, 12), y = cpl_make(t.s, 2, 3, 3, 12), other = cpl_make(t.s, 2, 3, 3, 6);
    t.ops->group_norm(t.s, &y, &x, NULL, w, 5, 1e-5f, false),
        expect_failure(&t, "12 channels do not fall into 5 groups");
    t.ops->group_norm(t.s, &y, &other, NULL, w, 4, 1e-5f, false), expect_failure(&t, "x is [2, 3, 3, 6]");
    t.ops->group_norm(t.s, &y, &x, &other, w, 4, 1e-5f, false), expect_failure(&t, "shift is");
    t.ops->group_sums(t.s, &other, &x, true), expect_failure(&t, "group_sums");
    t.ops->group_norm_by(t.s, &y, &x, &other, 9, w, 4, 1e-5f, false), expect_failure(&t, "group_norm_by");
    t.ops->layer_norm(t.s, &other, &x, w, 1e-5f), expect_failure(&t, "y is");
    t.ops->layer_norm(t.s, &y, &x, NULL, 1e-5f), expect_failure(&t, "not a norm");
    cpl_tensor_free(&x), cpl_tensor_free(&y), cpl_tensor_free(&other);
    t.ops->weight_free(t.b, w);
    cpu_test_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_norm_matches_plain_loops),
        cmocka_unit_test(group_norm_keeps_small_variances),
        cmocka_unit_test(group_norm_of_parts_is_that_of_the_whole),
        cmocka_unit_test(layer_norm_matches_plain_loops),
        cmocka_unit_test(wrong_shapes_fail_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
