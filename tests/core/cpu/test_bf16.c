/* test_bf16.c: every operation in bf16 against itself in f32. Both get the same values, exact in bf16, and sum in f32: the
 * results may differ by the rounding of what is written and by nothing more. */
#include "cpu_test.h"

#include "../../../core/cpu/kernels.h"

enum { N = 2, H = 6, W = 5, C = 48, WIDE = 80, HEADS = 3, LINES = 2, KEYS = 21 };

/* A value of bf16 has 8 binary digits: rounding takes at most 2^-8 of it. */
#define ROUNDING (1.0 / 256)

static float rounded(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= 0xFFFF0000u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float *rounded_values(cpu_test *t, int count, float scale) {
    float *values = random_values(t, count, scale);
    for (int i = 0; i < count; i++) values[i] = rounded(values[i]);
    return values;
}

/* What an operation may be given; weights are of the backend's precision but for `exact`. */
typedef struct operands {
    cpl_tensor x, other, wide, pair, vector, k[LINES], v[LINES];
    cpl_weight *linear, *conv, *exact, *norm, *table;
} operands;

static cpl_tensor drawn(cpu_test *t, int n, int h, int w, int c, float scale) {
    float *values = rounded_values(t, n * h * w * c, scale);
    cpl_tensor x = tensor_of(t, values, n, h, w, c);
    free(values);
    return x;
}

static operands operands_new(cpu_test *t) {
    cpl_dtype type = t->b->precision;
    float *w = rounded_values(t, 9 * C * WIDE, 0.1f), *b = random_values(t, WIDE, 1), *g = random_values(t, N * C, 2);
    operands o = {.x = drawn(t, N, H, W, C, 2),
                  .other = drawn(t, N, H, W, C, 1),
                  .wide = drawn(t, N, H, W, WIDE, 1),
                  .pair = drawn(t, N, H, W, 2 * C, 3)};
    o.vector = cpl_make_as(t->s, CPL_F32, N, 1, 1, C);
    t->ops->upload(t->s, &o.vector, g);
    for (int i = 0; i < LINES; i++) {
        o.k[i] = drawn(t, 1, 1, KEYS + 7 * i, C, 1);
        o.v[i] = drawn(t, 1, 1, KEYS + 7 * i, C, 1);
    }
    o.linear = t->ops->linear_weight(t->b, type, (cpl_values){w, CPL_F32}, b, WIDE, C, NULL);
    o.conv = t->ops->conv_weight(t->b, type, (cpl_values){w, CPL_F32}, b, C, WIDE, 3, 3, NULL);
    o.exact = t->ops->linear_weight(t->b, CPL_F32, (cpl_values){w, CPL_F32}, NULL, C, C, NULL);
    o.norm = t->ops->norm_weight(t->b, g, b, C, NULL);
    o.table = t->ops->table_weight(t->b, w, WIDE, C, NULL);
    free(w), free(b), free(g);
    return o;
}

static void operands_free(cpu_test *t, operands *o) {
    cpl_tensor *tensors[] = {&o->x, &o->other, &o->wide, &o->pair, &o->vector};
    cpl_weight *weights[] = {o->linear, o->conv, o->exact, o->norm, o->table};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) cpl_tensor_free(tensors[i]);
    for (int i = 0; i < LINES; i++) cpl_tensor_free(&o->k[i]), cpl_tensor_free(&o->v[i]);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) t->ops->weight_free(t->b, weights[i]);
}

/* ---- The operations; each returns a new tensor ---- */

static const cpl_conv_shape around = {1, 1, 1, 1, 1}, halving = {2, 0, 0, 1, 1};

static cpl_tensor linear(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make(t->s, N, H, W, WIDE);
    t->ops->linear(t->s, &y, &o->x, o->linear, CPL_ACT_GELU, NULL);
    return y;
}
static cpl_tensor linear_add(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make(t->s, N, H, W, WIDE);
    t->ops->linear(t->s, &y, &o->x, o->linear, CPL_ACT_NONE, &o->wide);
    return y;
}
static cpl_tensor linear_to_f32(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_as(t->s, CPL_F32, N, H, W, WIDE);
    t->ops->linear(t->s, &y, &o->x, o->linear, CPL_ACT_SILU, NULL);
    return y;
}
static cpl_tensor linear_in_f32(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make(t->s, N, H, W, C);
    t->ops->linear(t->s, &y, &o->x, o->exact, CPL_ACT_NONE, &o->other);
    return y;
}
static cpl_tensor linear_of_f32(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_as(t->s, CPL_F32, N, 1, 1, C);
    t->ops->linear(t->s, &y, &o->vector, o->exact, CPL_ACT_NONE, NULL);
    return y;
}
static cpl_tensor conv(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make(t->s, N, H, W, C);
    t->ops->conv2d(t->s, &y, &o->wide, o->conv, around, &o->other);
    return y;
}
static cpl_tensor conv_halving(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make(t->s, N, (H + 1 - 3) / 2 + 1, (W + 1 - 3) / 2 + 1, C);
    t->ops->conv2d(t->s, &y, &o->wide, o->conv, halving, NULL);
    return y;
}
static cpl_tensor group_norm(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_like(t->s, &o->x);
    t->ops->group_norm(t->s, &y, &o->x, &o->vector, o->norm, 8, 1e-5f, true);
    return y;
}
static cpl_tensor group_norm_of_rows(cpu_test *t, operands *o) {
    cpl_tensor one = cpl_tensor_slice(&o->x, 0, 1), y = cpl_make_like(t->s, &one), sums = cpl_make_sums(t->s, C);
    t->ops->group_sums(t->s, &sums, &one, true);
    t->ops->group_norm_by(t->s, &y, &one, &sums, H * W, o->norm, 8, 1e-5f, false);
    cpl_tensor_free(&sums);
    return y;
}
static cpl_tensor layer_norm(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_like(t->s, &o->x);
    t->ops->layer_norm(t->s, &y, &o->x, o->norm, 1e-5f);
    return y;
}
static cpl_tensor geglu(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_like(t->s, &o->x);
    t->ops->geglu(t->s, &y, &o->pair);
    return y;
}
static cpl_tensor activate(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_like(t->s, &o->x);
    t->ops->activate(t->s, &y, &o->x, CPL_ACT_QUICK_GELU);
    return y;
}
static cpl_tensor scale_add(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_like(t->s, &o->x);
    t->ops->scale_add(t->s, &y, 1.5f, &o->x, -0.25f, &o->other);
    return y;
}
static cpl_tensor scale_add_to_f32(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_as(t->s, CPL_F32, N, H, W, C);
    t->ops->scale_add(t->s, &y, 1.5f, &o->x, 0, NULL);
    t->ops->scale_add(t->s, &y, 1.0f, &y, -0.25f, &o->other);
    return y;
}
static cpl_tensor upsample(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make(t->s, N, 2 * H, 2 * W - 1, C);
    t->ops->upsample(t->s, &y, &o->x);
    return y;
}
static cpl_tensor concat(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make(t->s, N, H, W, C + WIDE);
    t->ops->concat(t->s, &y, &o->x, &o->wide);
    return y;
}
static cpl_tensor embed(cpu_test *t, operands *o) {
    const int ids[N * 3] = {5, 0, 79, 1, 1, 40};
    cpl_tensor y = cpl_make(t->s, N, 1, 3, C);
    t->ops->embed(t->s, &y, o->table, ids, o->table);
    return y;
}
static cpl_tensor self_attention(cpu_test *t, operands *o) {
    cpl_tensor y = cpl_make_like(t->s, &o->x);
    t->ops->attention(t->s, &y, &o->x, &o->other, &o->x, HEADS, false);
    return y;
}
static cpl_tensor cross_attention(cpu_test *t, operands *o) {
    const cpl_tensor *k[N] = {&o->k[0], &o->k[1]}, *v[N] = {&o->v[0], &o->v[1]};
    const cpl_listen listen[N] = {{1, &k[0], &v[0], NULL}, {1, &k[1], &v[1], NULL}};
    cpl_tensor y = cpl_make_like(t->s, &o->x);
    t->ops->cross_attention(t->s, &y, &o->x, listen, HEADS);
    return y;
}

/* tolerance: of the value and of the largest value. Attention may keep its weights in bf16. */
static const struct {
    const char *name;
    cpl_tensor (*run)(cpu_test *t, operands *o);
    double of_value, of_largest;
} operations[] = {
    {"linear with GELU", linear, ROUNDING, 1e-5},
    {"linear with a sum", linear_add, ROUNDING, 1e-5},
    {"linear to f32", linear_to_f32, 0, 1e-5},
    {"linear in f32", linear_in_f32, ROUNDING, 1e-5},
    {"linear of f32", linear_of_f32, 0, 1e-6},
    {"convolution with a sum", conv, ROUNDING, 1e-5},
    {"convolution with stride 2", conv_halving, ROUNDING, 1e-5},
    {"group norm with shift and SiLU", group_norm, ROUNDING, 1e-5},
    {"group norm by sums", group_norm_of_rows, ROUNDING, 1e-5},
    {"layer norm", layer_norm, ROUNDING, 1e-5},
    {"GEGLU", geglu, ROUNDING, 1e-5},
    {"quick GELU", activate, ROUNDING, 1e-5},
    {"scale and add", scale_add, ROUNDING, 1e-6},
    {"scale and add to f32", scale_add_to_f32, 0, 1e-6},
    {"upsample", upsample, 0, 0},
    {"concat", concat, 0, 0},
    {"embed", embed, ROUNDING, 1e-6},
    {"self-attention", self_attention, 2 * ROUNDING, 2 * ROUNDING},
    {"cross-attention", cross_attention, 2 * ROUNDING, 2 * ROUNDING},
};

static bool supported(void) { return cpl_cpu_backend.supports(CPL_BF16, NULL); }

static void each_operation_differs_by_rounding_only(void **state) {
    (void)state;
    if (!supported()) skip();
    cpu_test exact = cpu_test_open_as(2, CPL_F32), narrow = cpu_test_open_as(2, CPL_BF16);
    operands of_exact = operands_new(&exact), of_narrow = operands_new(&narrow);
    assert_int_equal(of_narrow.x.dtype, CPL_BF16);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        cpl_tensor a = operations[i].run(&exact, &of_exact), b = operations[i].run(&narrow, &of_narrow);
        float *want = values_of(&exact, &a), *got = values_of(&narrow, &b);
        double largest = 0;
        for (size_t k = 0; k < cpl_tensor_count(&a); k++) largest = fmax(largest, fabs((double)want[k]));
        for (size_t k = 0; k < cpl_tensor_count(&a); k++) {
            double limit = operations[i].of_value * fabs((double)want[k]) + operations[i].of_largest * largest;
            if (!(fabs((double)got[k] - (double)want[k]) <= limit))
                fail_msg("%s: value %zu is %.9g, not %.9g", operations[i].name, k, (double)got[k], (double)want[k]);
        }
        free(want), free(got);
        cpl_tensor_free(&a), cpl_tensor_free(&b);
    }
    operands_free(&exact, &of_exact), operands_free(&narrow, &of_narrow);
    cpu_test_close(&exact), cpu_test_close(&narrow);
}

/* A text arranged once is the same text: results agree to the byte, with and without a plan. */
static void check_arranged(cpu_test *t) {
    operands o = operands_new(t);
    float masks[LINES * H * W];
    for (int i = 0; i < H * W; i++) masks[i] = i % W < 2 ? 1 : 0.25f, masks[H * W + i] = 1 - masks[i];
    cpl_plan *plan = cpl_plan_new(masks, LINES, W, H, NULL);
    const cpl_tensor *k[LINES] = {&o.k[0], &o.k[1]}, *v[LINES] = {&o.v[0], &o.v[1]};
    const cpl_listen listen[N] = {{1, &k[1], &v[1], NULL}, {LINES, k, v, plan}};
    cpl_tensor as_is = cpl_make_like(t->s, &o.x), arranged = cpl_make_like(t->s, &o.x);
    t->ops->cross_attention(t->s, &as_is, &o.x, listen, HEADS);
    for (int i = 0; i < LINES; i++) t->ops->arrange_text(t->s, &o.k[i], &o.v[i], HEADS);
    assert_int_equal(o.k[1].h, HEADS);
    t->ops->cross_attention(t->s, &arranged, &o.x, listen, HEADS);
    cpl_error error = {0};
    if (!cpl_stream_settle(t->s, &error)) fail_msg("%s", error.message);
    assert_memory_equal(arranged.data, as_is.data, cpl_tensor_bytes(&as_is));
    t->ops->cross_attention(t->s, &arranged, &o.x, listen, 2 * HEADS);
    expect_failure(t, "cross_attention: k is");
    t->ops->arrange_text(t->s, &o.k[0], &o.v[0], HEADS);
    expect_failure(t, "arrange_text: k is");
    t->ops->arrange_text(t->s, &o.x, &o.x, HEADS);
    expect_failure(t, "arrange_text: k is");
    cpl_tensor_free(&as_is), cpl_tensor_free(&arranged);
    cpl_plan_free(plan);
    operands_free(t, &o);
}

static void arranged_texts_give_the_same_results(void **state) {
    (void)state;
    cpu_test exact = cpu_test_open(2);
    check_arranged(&exact);
    cpu_test_close(&exact);
    if (!supported()) return;
    cpu_test narrow = cpu_test_open_as(2, CPL_BF16);
    check_arranged(&narrow);
    cpu_test_close(&narrow);
}

/* Heads of an odd number of channels are computed in f32: in bf16 their texts stay as they are, and no others fit. */
static void texts_are_arranged_only_for_heads_that_are_read_so(void **state) {
    (void)state;
    if (!supported()) skip();
    cpu_test t = cpu_test_open_as(1, CPL_BF16);
    operands o = operands_new(&t);
    const void *data = o.v[0].data;
    t.ops->arrange_text(t.s, &o.k[0], &o.v[0], C);
    assert_true(o.v[0].data == data && o.v[0].w == KEYS && o.k[0].h == 1);
    t.ops->arrange_text(t.s, &o.k[0], &o.v[0], 7);
    expect_failure(&t, "arrange_text: 48 channels do not fall into 7 heads");
    t.ops->arrange_text(t.s, &o.k[0], &o.v[0], HEADS);
    const cpl_tensor *k = &o.k[0], *v = &o.v[0];
    const cpl_listen listen[N] = {{1, &k, &v, NULL}, {1, &k, &v, NULL}};
    t.ops->cross_attention(t.s, &o.other, &o.x, listen, C);
    expect_failure(&t, "cross_attention: k and v were arranged for other heads");
    operands_free(&t, &o);
    cpu_test_close(&t);
}

static void types_that_do_not_fit_fail_the_stream(void **state) {
    (void)state;
    if (!supported()) skip();
    cpu_test t = cpu_test_open_as(1, CPL_BF16);
    operands o = operands_new(&t);
    cpl_tensor exact = cpl_make_as(t.s, CPL_F32, N, H, W, C);
    t.ops->layer_norm(t.s, &exact, &o.x, o.norm, 1e-5f);
    expect_failure(&t, "layer_norm: y is of type f32 and should be of bf16");
    t.ops->attention(t.s, &o.other, &o.x, &exact, &exact, HEADS, false);
    expect_failure(&t, "attention: k is of type f32");
    t.ops->linear(t.s, &o.wide, &o.x, o.linear, CPL_ACT_NONE, &exact);
    expect_failure(&t, "linear: add is");
    cpl_tensor_free(&exact);
    operands_free(&t, &o);
    cpu_test_close(&t);
    cpu_test plain = cpu_test_open(1);
    const float one = 1;
    cpl_error error = {0};
    assert_null(plain.ops->linear_weight(plain.b, CPL_BF16, (cpl_values){&one, CPL_F32}, NULL, 1, 1, &error));
    assert_non_null(strstr(error.message, "bf16 weight on a backend of f32"));
    cpu_test_close(&plain);
}

/* f16 of files, with subnormal numbers, and what rounds up into the exponent; every vector width. */
static void conversions_are_exact_and_round_to_even(void **state) {
    (void)state;
    static const struct {
        uint16_t half;
        float value;
    } halves[] = {{0x0000, 0},     {0x8001, -0x1p-24f}, {0x03FF, 0x1.FF8p-15f}, {0x3C00, 1},       {0xC248, -3.140625f},
                  {0x7BFF, 65504}, {0x7C00, INFINITY},  {0xFC00, -INFINITY},    {0x0400, 0x1p-14f}};
    static const struct {
        float value, nearest;
    } floats[] = {{1, 1},
                  {1 + 0x1p-8f, 1},
                  {1 + 0x3p-8f, 1 + 0x1p-6f},
                  {1 + 0x1.8p-8f, 1 + 0x1p-7f},
                  {-(2 - 0x1p-20f), -2},
                  {3.39e38f, 0x1.FEp127f},
                  {INFINITY, INFINITY},
                  {0x1.FFFFFEp127f, INFINITY}};
    enum { HALVES = sizeof halves / sizeof *halves, FLOATS = sizeof floats / sizeof *floats };
    const cpu_kernels *list[8];
    int sets = cpu_kernels_all(list, 8);
    for (int i = 0; i < sets; i++)
        for (int length = 1; length <= 40; length++) {
            uint16_t half[40], narrow[40];
            float wide[40], back[40];
            for (int k = 0; k < length; k++) half[k] = halves[k % HALVES].half, wide[k] = floats[k % FLOATS].value;
            list[i]->convert(narrow, CPL_BF16, wide, CPL_F32, 1, (size_t)length);
            list[i]->convert(back, CPL_F32, narrow, CPL_BF16, 1, (size_t)length);
            list[i]->convert(wide, CPL_F32, half, CPL_F16, 1, (size_t)length);
            for (int k = 0; k < length; k++) {
                if (back[k] != floats[k % FLOATS].nearest || wide[k] != halves[k % HALVES].value)
                    fail_msg("%s, %d values: %a and %a", list[i]->name, length, (double)back[k], (double)wide[k]);
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_differs_by_rounding_only),
        cmocka_unit_test(arranged_texts_give_the_same_results),
        cmocka_unit_test(texts_are_arranged_only_for_heads_that_are_read_so),
        cmocka_unit_test(types_that_do_not_fit_fail_the_stream),
        cmocka_unit_test(conversions_are_exact_and_round_to_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
