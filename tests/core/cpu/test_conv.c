/* test_conv.c: linear layers and convolutions against plain loops: all shapes of padding, stride, tails of channels,
 * fused activations and sums, and weights that several shapes share. */
#include "cpu_test.h"

#include <stdio.h>

typedef struct layer {
    int n, h, w, in, out, kh, kw;
    cpl_conv_shape shape;
    bool bias, add, add_is_y;
} layer;

static double *reference_conv(const layer *l, int oh, int ow, const float *x, const float *weight, const float *bias,
                              const float *add) {
    double *y = reference_new(l->n * oh * ow * l->out);
    for (int n = 0; n < l->n; n++)
        for (int i = 0; i < oh; i++)
            for (int j = 0; j < ow; j++)
                for (int o = 0; o < l->out; o++) {
                    int at = ((n * oh + i) * ow + j) * l->out + o;
                    double sum = bias ? (double)bias[o] : 0;
                    for (int a = 0; a < l->kh; a++)
                        for (int b = 0; b < l->kw; b++) {
                            int r = i * l->shape.stride + a - l->shape.pad_top,
                                q = j * l->shape.stride + b - l->shape.pad_left;
                            if (r < 0 || r >= l->h || q < 0 || q >= l->w) continue;
                            for (int c = 0; c < l->in; c++)
                                sum += (double)x[((n * l->h + r) * l->w + q) * l->in + c] *
                                       (double)weight[((o * l->in + c) * l->kh + a) * l->kw + b];
                        }
                    y[at] = sum + (add ? (double)add[at] : 0);
                }
    return y;
}

static void check_conv(cpu_test *t, const layer *l) {
    int oh = (l->h + l->shape.pad_top + l->shape.pad_bottom - l->kh) / l->shape.stride + 1;
    int ow = (l->w + l->shape.pad_left + l->shape.pad_right - l->kw) / l->shape.stride + 1;
    float *x = random_values(t, l->n * l->h * l->w * l->in, 1);
    float *w = random_values(t, l->out * l->in * l->kh * l->kw, 0.3f);
    float *bias = l->bias ? random_values(t, l->out, 1) : NULL;
    float *add = l->add ? random_values(t, l->n * oh * ow * l->out, 1) : NULL;
    cpl_weight *weight =
        t->ops->conv_weight(t->b, t->b->precision, (cpl_values){w, CPL_F32}, bias, l->out, l->in, l->kh, l->kw, NULL);
    assert_non_null(weight);
    cpl_tensor tx = tensor_of(t, x, l->n, l->h, l->w, l->in), ty = cpl_make(t->s, l->n, oh, ow, l->out), ta = {0};
    if (add && l->add_is_y) t->ops->upload(t->s, &ty, add);
    if (add && !l->add_is_y) ta = tensor_of(t, add, l->n, oh, ow, l->out);
    double *want = reference_conv(l, oh, ow, x, w, bias, add);
    t->ops->conv2d(t->s, &ty, &tx, weight, l->shape, add ? (l->add_is_y ? &ty : &ta) : NULL);
    char what[160];
    snprintf(what, sizeof what, "conv %dx%d of %dx%dx%dx%d to %d, stride %d, pads %d %d %d %d%s%s", l->kh, l->kw, l->n,
             l->h, l->w, l->in, l->out, l->shape.stride, l->shape.pad_top, l->shape.pad_left, l->shape.pad_bottom,
             l->shape.pad_right, l->bias ? ", bias" : "", l->add ? (l->add_is_y ? ", add y" : ", add") : "");
    check_tensor(t, what, &ty, want, 1e-5);
    t->ops->weight_free(t->b, weight);
    cpl_tensor_free(&tx);
    cpl_tensor_free(&ta);
    free(x), free(w), free(bias), free(add);
}

static void convolutions_match_plain_loops(void **state) {
    (void)state;
    static const cpl_conv_shape same = {1, 1, 1, 1, 1}, point = {1, 0, 0, 0, 0}, half = {2, 1, 1, 1, 1},
                                corner = {2, 0, 0, 1, 1}, odd = {1, 2, 0, 1, 3};
    const layer fixed[] = {
        {1, 16, 16, 48, 48, 3, 3, same, true, false, false}, {2, 9, 7, 4, 48, 3, 3, same, true, false, false},
        {2, 8, 8, 48, 4, 3, 3, same, true, true, true},      {1, 11, 5, 16, 3, 3, 3, same, true, false, false},
        {2, 13, 9, 24, 40, 3, 3, half, true, true, false},   {1, 12, 12, 8, 8, 3, 3, corner, true, false, false},
        {3, 7, 11, 5, 7, 3, 3, corner, false, true, true},   {1, 6, 6, 96, 64, 1, 1, point, true, true, false},
        {2, 5, 5, 1, 1, 1, 1, point, false, false, false},   {1, 4, 9, 20, 12, 3, 3, odd, true, false, false},
        {1, 1, 1, 8, 8, 3, 3, same, true, false, false},     {1, 3, 2, 17, 33, 3, 1, odd, true, true, false},
    };
    cpu_test t = cpu_test_open(2);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) check_conv(&t, &fixed[i]);
    for (int i = 0; i < 60; i++) {
        int k = random_int(&t, 0, 2) ? 3 : 1;
        layer l = {random_int(&t, 1, 3),
                   random_int(&t, 3, 14),
                   random_int(&t, 3, 14),
                   random_int(&t, 1, 40),
                   random_int(&t, 1, 40),
                   k,
                   k,
                   {random_int(&t, 1, 2), random_int(&t, 0, k / 2), random_int(&t, 0, k / 2), random_int(&t, 0, k / 2),
                    random_int(&t, 0, k / 2)},
                   random_int(&t, 0, 1),
                   random_int(&t, 0, 1),
                   random_int(&t, 0, 1)};
        check_conv(&t, &l);
    }
    cpu_test_close(&t);
}

static void check_linear(cpu_test *t, int rows, int in, int out, cpl_activation act, bool bias, bool add,
                         bool add_is_y) {
    float *x = random_values(t, rows * in, 2), *w = random_values(t, out * in, 1);
    float *b = bias ? random_values(t, out, 3) : NULL, *a = random_values(t, rows * out, 1);
    cpl_weight *weight = t->ops->linear_weight(t->b, t->b->precision, (cpl_values){w, CPL_F32}, b, out, in, NULL);
    assert_non_null(weight);
    cpl_tensor tx = tensor_of(t, x, 1, 1, rows, in), ta = tensor_of(t, a, 1, 1, rows, out),
               ty = cpl_make(t->s, 1, rows, 1, out);
    /* add has y's own shape; here y is [1, rows, 1, out] to show that only the rows count between x and y */
    cpl_tensor like_y = ta;
    like_y.h = rows, like_y.w = 1;
    if (add_is_y) t->ops->upload(t->s, &ty, a);
    double *want = reference_new(rows * out);
    for (int i = 0; i < rows; i++)
        for (int o = 0; o < out; o++) {
            double sum = b ? (double)b[o] : 0;
            for (int c = 0; c < in; c++) sum += (double)x[i * in + c] * (double)w[o * in + c];
            want[i * out + o] = reference_activation(sum, act) + (add ? (double)a[i * out + o] : 0);
        }
    t->ops->linear(t->s, &ty, &tx, weight, act, add ? (add_is_y ? &ty : &like_y) : NULL);
    char what[120];
    snprintf(what, sizeof what, "linear %d rows, %d to %d, act %d, bias %d, add %d, in place %d", rows, in, out,
             (int)act, bias, add, add_is_y);
    check_tensor(t, what, &ty, want, 4e-6 * sqrt(in));
    t->ops->weight_free(t->b, weight);
    cpl_tensor_free(&tx);
    cpl_tensor_free(&ta);
    free(x), free(w), free(b), free(a);
}

static void linear_layers_match_plain_loops(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    static const int sides[] = {1, 3, 8, 24, 48, 77, 130};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++)
        for (size_t j = 0; j < sizeof sides / sizeof sides[0]; j++)
            for (int act = CPL_ACT_NONE; act <= CPL_ACT_QUICK_GELU; act++)
                check_linear(&t, random_int(&t, 1, 70), sides[i], sides[j], (cpl_activation)act, random_int(&t, 0, 1),
                             random_int(&t, 0, 1), random_int(&t, 0, 1));
    cpu_test_close(&t);
}

/* Large enough that a device takes large tiles; neither side is whole ones. */
static void large_products_match_plain_loops(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    check_linear(&t, 1500, 40, 1000, CPL_ACT_GELU, true, true, false);
    cpu_test_close(&t);
}

/* Fused activations must be as good as the activation by itself: inputs pass through an identity matrix. */
static void fused_activations_are_exact_to_1e_6(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    enum { C = 16, ROWS = 800 };
    float identity[C * C] = {0}, *x = malloc(sizeof *x * ROWS * C);
    for (int i = 0; i < C; i++) identity[i * C + i] = 1;
    for (int i = 0; i < ROWS * C; i++) x[i] = test_round(-12 + 24.0f * (float)i / (ROWS * C));
    cpl_weight *weight = t.ops->linear_weight(t.b, t.b->precision, (cpl_values){identity, CPL_F32}, NULL, C, C, NULL);
    cpl_tensor tx = tensor_of(&t, x, 1, 1, ROWS, C);
    for (int act = CPL_ACT_SILU; act <= CPL_ACT_QUICK_GELU; act++) {
        cpl_tensor y = cpl_make_like(t.s, &tx);
        t.ops->linear(t.s, &y, &tx, weight, (cpl_activation)act, NULL);
        double *want = reference_new(ROWS * C);
        for (int i = 0; i < ROWS * C; i++) want[i] = reference_activation((double)x[i], (cpl_activation)act);
        check_tensor(&t, "fused activation", &y, want, 1e-6);
    }
    cpl_tensor_free(&tx);
    t.ops->weight_free(t.b, weight);
    free(x);
    cpu_test_close(&t);
}

/* The same weight run at many shapes is packed in few layouts and stays right in each. */
static void one_weight_serves_many_shapes(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    enum { IN = 24, OUT = 20 };
    float *w = random_values(&t, OUT * IN * 9, 0.3f), *x = random_values(&t, 40 * 40 * IN, 1);
    cpl_weight *weight = t.ops->conv_weight(t.b, t.b->precision, (cpl_values){w, CPL_F32}, NULL, OUT, IN, 3, 3, NULL);
    cpl_conv_shape same = {1, 1, 1, 1, 1}, half = {2, 1, 1, 1, 1};
    for (int round = 0; round < 2; round++)
        for (int side = 1; side <= 40; side += 3) {
            layer l = {1, side, side, IN, OUT, 3, 3, side % 2 ? same : half, false, false, false};
            int out = (side + 2 - 3) / l.shape.stride + 1;
            cpl_tensor tx = tensor_of(&t, x, 1, side, side, IN), ty = cpl_make(t.s, 1, out, out, OUT);
            t.ops->conv2d(t.s, &ty, &tx, weight, l.shape, NULL);
            check_tensor(&t, "shared weight", &ty, reference_conv(&l, out, out, x, w, NULL, NULL), 1e-5);
            cpl_tensor_free(&tx);
        }
    cpl_stats stats = {0};
    t.ops->stats(t.s, &stats);
    if (t.ops == &cpl_cpu_backend) { /* others need nothing made ready for a shape */
        assert_int_equal(stats.primitives.misses, 14);
        assert_int_equal(stats.primitives.hits, 14);
    }
    assert_true(stats.weight_bytes < 4 * sizeof(float) * (OUT + 12) * (IN + 8) * 9);
    t.ops->weight_free(t.b, weight);
    free(w), free(x);
    cpu_test_close(&t);
}

static void wrong_shapes_fail_the_stream(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    float values[8 * 8 * 9] = {0};
    cpl_weight *weight = t.ops->conv_weight(t.b, t.b->precision, (cpl_values){values, CPL_F32}, NULL, 8, 8, 3, 3, NULL);
    cpl_weight *dense = t.ops->linear_weight(t.b, t.b->precision, (cpl_values){values, CPL_F32}, NULL, 8, 8, NULL);
    cpl_weight *norm = t.ops->norm_weight(t.b, values, values, 8, NULL);
    cpl_tensor x = cpl_make(t.s, 1, 4, 4, 8), y = cpl_make(t.s, 1, 4, 4, 8), small = cpl_make(t.s, 1, 3, 4, 8),
               none = {0};
    cpl_conv_shape same = {1, 1, 1, 1, 1}, still = {0, 1, 1, 1, 1}, bare = {1, 0, 0, 0, 0};
    t.ops->conv2d(t.s, &small, &x, weight, same, NULL),
        expect_failure(&t, "y is [1, 3, 4, 8] and should be [1, 4, 4, 8]");
    t.ops->conv2d(t.s, &y, &x, weight, still, NULL), expect_failure(&t, "stride 0");
    t.ops->conv2d(t.s, &y, &x, norm, same, NULL), expect_failure(&t, "not a linear or convolution");
    t.ops->conv2d(t.s, &y, &none, weight, same, NULL), expect_failure(&t, "x is not a filled");
    t.ops->conv2d(t.s, &y, &y, weight, same, NULL), expect_failure(&t, "y may not be x");
    t.ops->conv2d(t.s, &y, &x, weight, same, &small), expect_failure(&t, "add is");
    t.ops->linear(t.s, &small, &x, dense, CPL_ACT_NONE, NULL), expect_failure(&t, "16 rows of 8 to 12 rows of 8");
    t.ops->linear(t.s, &y, &x, weight, CPL_ACT_NONE, NULL), expect_failure(&t, "linear:");
    cpl_tensor tiny = cpl_make(t.s, 1, 2, 2, 8);
    t.ops->conv2d(t.s, &y, &tiny, weight, bare, NULL), expect_failure(&t, "should be [1, 0, 0, 8]");
    cpl_error error = {0};
    assert_null(t.ops->conv_weight(t.b, t.b->precision, (cpl_values){values, CPL_F32}, NULL, 0, 8, 3, 3, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    /* What comes after a failure does nothing, and the first message stands. */
    t.ops->conv2d(t.s, &y, &x, weight, still, NULL);
    t.ops->conv2d(t.s, &y, &x, norm, same, NULL), expect_failure(&t, "stride 0");
    cpl_tensor_free(&x), cpl_tensor_free(&y), cpl_tensor_free(&small), cpl_tensor_free(&tiny);
    t.ops->weight_free(t.b, weight), t.ops->weight_free(t.b, dense), t.ops->weight_free(t.b, norm);
    cpu_test_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_match_plain_loops),   cmocka_unit_test(linear_layers_match_plain_loops),
        cmocka_unit_test(large_products_match_plain_loops), cmocka_unit_test(fused_activations_are_exact_to_1e_6),
        cmocka_unit_test(one_weight_serves_many_shapes),    cmocka_unit_test(wrong_shapes_fail_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
