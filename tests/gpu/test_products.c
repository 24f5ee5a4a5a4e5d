/* test_products.c: who computes linear layers and convolutions on the emulated device: a library where it has a way, else our own
 * kernels; every refusal ends there, too. The libraries are the fake ones of this build; results are compared with plain loops. */
#include "../core/cpu/cpu_test.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>

#include "fake_library.h"

static fake_library *blas, *dnn;
static char module_file[PATH_MAX];

/* ---- Rigs ---- */

static cpu_test begin(const char *choice) {
    assert_int_equal(setenv("COUPLET_CUDA_PRODUCTS", choice, 1), 0);
    assert_int_equal(setenv("COUPLET_CUBLASLT", module_file, 1), 0);
    assert_int_equal(setenv("COUPLET_CUDNN", module_file, 1), 0);
    *blas = *dnn = (fake_library){0};
    return cpu_test_open(1);
}

/* Nothing of a library's may be left. */
static void end(cpu_test *t) {
    cpu_test_close(t);
    assert_int_equal(blas->handles, 0);
    assert_int_equal(blas->parts, 0);
    assert_int_equal(dnn->handles, 0);
    assert_int_equal(dnn->parts, 0);
}

static cpl_stats stats_of(cpu_test *t) {
    cpl_stats stats = {0};
    t->ops->stats(t->s, &stats);
    return stats;
}

static void expect_counts(cpu_test *t, uint64_t library, uint64_t own) {
    cpl_stats stats = stats_of(t);
    assert_int_equal(stats.library_products, library);
    assert_int_equal(stats.own_products, own);
}

static int runs(const fake_library *l) { return l->run[0] + l->run[1] + l->run[2] + l->run[3]; }

typedef enum addition { ADD_NONE, ADD_OTHER, ADD_IN_PLACE } addition;
typedef struct layer {
    int side, in, out, kernel, stride; /* kernel 0: a linear layer of side * side rows */
    bool bias;
    addition add;
    cpl_activation act; /* of a linear layer */
} layer;

static double *reference(const layer *l, int out_side, const float *x, const float *w, const float *bias,
                         const float *add) {
    int k = l->kernel ? l->kernel : 1, pad = k / 2;
    double *y = reference_new(out_side * out_side * l->out);
    for (int at = 0; at < out_side * out_side * l->out; at++) {
        int o = at % l->out, column = at / l->out % out_side, row = at / l->out / out_side;
        double sum = bias ? (double)bias[o] : 0;
        for (int i = 0; i < k; i++)
            for (int j = 0; j < k; j++) {
                int r = row * l->stride + i - pad, q = column * l->stride + j - pad;
                if (r < 0 || r >= l->side || q < 0 || q >= l->side) continue;
                for (int c = 0; c < l->in; c++)
                    sum += (double)x[(r * l->side + q) * l->in + c] * (double)w[((o * l->in + c) * k + i) * k + j];
            }
        y[at] = reference_activation(sum, l->act) + (add ? (double)add[at] : 0);
    }
    return y;
}

/* One layer with new data, compared; y_type: of y and what is added. */
static void check_as(cpu_test *t, const layer *l, cpl_dtype type, cpl_dtype y_type) {
    int k = l->kernel ? l->kernel : 1, out_side = (l->side + 2 * (k / 2) - k) / l->stride + 1;
    int count = out_side * out_side * l->out;
    float *x = random_values(t, l->side * l->side * l->in, 1), *w = random_values(t, l->out * l->in * k * k, 0.3f);
    float *bias = l->bias ? random_values(t, l->out, 1) : NULL, *add = l->add ? random_values(t, count, 1) : NULL;
    cpl_values values = {w, CPL_F32};
    cpl_weight *weight = t->ops->conv_weight(t->b, type, values, bias, l->out, l->in, k, k, NULL);
    assert_non_null(weight);
    cpl_tensor tx = tensor_of(t, x, 1, l->side, l->side, l->in);
    cpl_tensor ty = cpl_make_as(t->s, y_type, 1, out_side, out_side, l->out), ta = {0};
    if (add) {
        ta = cpl_make_like(t->s, &ty);
        t->ops->upload(t->s, l->add == ADD_IN_PLACE ? &ty : &ta, add);
    }
    const cpl_tensor *added = !add ? NULL : l->add == ADD_IN_PLACE ? &ty : &ta;
    cpl_conv_shape shape = {l->stride, k / 2, k / 2, k / 2, k / 2};
    if (l->kernel)
        t->ops->conv2d(t->s, &ty, &tx, weight, shape, added);
    else
        t->ops->linear(t->s, &ty, &tx, weight, l->act, added);
    char what[120];
    snprintf(what, sizeof what, "kernel %d, stride %d, side %d, %d to %d, bias %d, add %d, act %d", l->kernel,
             l->stride, l->side, l->in, l->out, l->bias, (int)l->add, (int)l->act);
    check_tensor(t, what, &ty, reference(l, out_side, x, w, bias, add), 1e-5);
    t->ops->weight_free(t->b, weight);
    cpl_tensor_free(&tx);
    cpl_tensor_free(&ta);
    free(x), free(w), free(bias), free(add);
}
static void check(cpu_test *t, const layer *l) { check_as(t, l, t->b->precision, t->b->precision); }

static const layer linear = {5, 40, 48, 0, 1, true, ADD_NONE, CPL_ACT_NONE};
static const layer conv = {6, 16, 32, 3, 1, true, ADD_NONE, CPL_ACT_NONE};

/* ---- Tests ---- */

static void libraries_compute_what_they_have(void **state) {
    (void)state;
    cpu_test t = begin("library");
    check(&t, &linear);
    expect_counts(&t, 1, 0);
    check(&t, &conv);
    assert_string_equal(stats_of(&t).libraries, "cuBLASLt 13.1.0, cuDNN 9.19.0");
    expect_counts(&t, 2, 0);
    static const layer list[] = {
        {5, 40, 48, 0, 1, true, ADD_OTHER, CPL_ACT_NONE}, {5, 40, 48, 0, 1, true, ADD_IN_PLACE, CPL_ACT_NONE},
        {5, 40, 48, 0, 1, false, ADD_NONE, CPL_ACT_NONE}, {3, 8, 64, 0, 1, false, ADD_OTHER, CPL_ACT_NONE},
        {5, 40, 48, 0, 1, true, ADD_NONE, CPL_ACT_GELU},  {5, 40, 48, 0, 1, false, ADD_NONE, CPL_ACT_GELU},
        {1, 64, 8, 0, 1, true, ADD_NONE, CPL_ACT_NONE},   {6, 16, 32, 1, 1, true, ADD_OTHER, CPL_ACT_NONE},
        {6, 16, 32, 3, 1, true, ADD_OTHER, CPL_ACT_NONE}, {6, 16, 32, 3, 1, true, ADD_IN_PLACE, CPL_ACT_NONE},
        {6, 16, 32, 3, 1, false, ADD_NONE, CPL_ACT_NONE}, {6, 16, 32, 3, 1, false, ADD_IN_PLACE, CPL_ACT_NONE},
        {7, 16, 32, 3, 2, true, ADD_NONE, CPL_ACT_NONE},  {8, 32, 8, 3, 2, true, ADD_OTHER, CPL_ACT_NONE},
        {7, 8, 16, 1, 2, true, ADD_NONE, CPL_ACT_NONE},
    };
    int count = sizeof list / sizeof *list;
    for (int i = 0; i < count; i++) check(&t, &list[i]);
    expect_counts(&t, (uint64_t)count + 2, 0);
    assert_int_equal(runs(blas), 9);
    assert_int_equal(blas->bias, 6);
    assert_int_equal(blas->add, 4);
    assert_int_equal(blas->gelu, 2);
    assert_int_equal(runs(dnn), 8);
    assert_int_equal(dnn->bias, 6);
    end(&t);
}

static void results_in_f32_keep_their_type(void **state) {
    (void)state;
    cpu_test t = begin("library");
    layer l = linear;
    check_as(&t, &l, t.b->precision, CPL_F32);
    l.add = ADD_OTHER;
    check_as(&t, &l, t.b->precision, CPL_F32);
    expect_counts(&t, 2, 0);
    l = conv;
    check_as(&t, &l, t.b->precision, CPL_F32); /* cuDNN is not asked for these */
    expect_counts(&t, 2, 1);
    end(&t);
}

/* Some layers of a 16-bit network are in f32. */
static void weights_in_f32_keep_their_type(void **state) {
    (void)state;
    cpu_test t = begin("library");
    layer l = linear;
    check_as(&t, &l, CPL_F32, CPL_F32);
    l.add = ADD_IN_PLACE;
    l.out = 52;
    check_as(&t, &l, CPL_F32, CPL_F32);
    expect_counts(&t, 2, 0);
    check_as(&t, &l, CPL_F32, t.b->precision); /* into 16 bits: not possible there */
    l.in = 12;                                 /* the rows of the weight are longer than this */
    check_as(&t, &l, CPL_F32, CPL_F32);
    expect_counts(&t, 2, 2);
    end(&t);
}

static void what_no_library_has_is_ours(void **state) {
    (void)state;
    cpu_test t = begin("library");
    static const layer list[] = {
        {5, 24, 48, 0, 1, true, ADD_NONE, CPL_ACT_NONE}, /* refused */
        {5, 40, 48, 0, 1, true, ADD_NONE, CPL_ACT_SILU},  {5, 40, 48, 0, 1, true, ADD_NONE, CPL_ACT_QUICK_GELU},
        {5, 40, 48, 0, 1, true, ADD_OTHER, CPL_ACT_GELU}, /* the library would add first */
        {5, 41, 48, 0, 1, true, ADD_NONE, CPL_ACT_NONE},  {5, 40, 45, 0, 1, true, ADD_NONE, CPL_ACT_NONE},
        {6, 56, 16, 3, 1, true, ADD_NONE, CPL_ACT_NONE}, /* refused */
        {6, 4, 16, 3, 1, true, ADD_NONE, CPL_ACT_NONE},   {6, 16, 4, 3, 1, true, ADD_NONE, CPL_ACT_NONE},
    };
    int count = sizeof list / sizeof *list;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < count; i++) check(&t, &list[i]);
    expect_counts(&t, 0, 2 * (uint64_t)count);
    layer fallback = conv;
    fallback.in = 24; /* there is one by the library's second way of listing */
    check(&t, &fallback);
    expect_counts(&t, 1, 2 * (uint64_t)count);
    end(&t);
}

static void a_library_without_handles_is_none(void **state) {
    (void)state;
    cpu_test t = begin("library");
    blas->refuses_handles = dnn->refuses_handles = 1;
    check(&t, &linear);
    check(&t, &conv);
    assert_string_equal(stats_of(&t).libraries, "");
    expect_counts(&t, 0, 2);
    end(&t);
}

static void refused_runs_are_made_by_us_and_not_asked_again(void **state) {
    (void)state;
    cpu_test t = begin("library");
    blas->refuses_runs = dnn->refuses_runs = 1;
    check(&t, &linear);
    check(&t, &conv);
    blas->refuses_runs = dnn->refuses_runs = 0;
    check(&t, &linear);
    check(&t, &conv);
    expect_counts(&t, 0, 4);
    end(&t);
}

static void workspace_is_taken_once(void **state) {
    (void)state;
    cpu_test t = begin("library");
    uint64_t before = stats_of(&t).device_bytes;
    blas->workspace = dnn->workspace = 1 << 20;
    check(&t, &linear);
    check(&t, &conv);
    check(&t, &linear);
    expect_counts(&t, 3, 0);
    assert_in_range(stats_of(&t).device_bytes - before, 32 << 20, 40 << 20);
    end(&t);
}

static void without_room_for_a_workspace_products_are_ours(void **state) {
    (void)state;
    cpu_test t = begin("library");
    check(&t, &linear); /* the pool has its memory */
    check(&t, &conv);
    blas->workspace = dnn->workspace = 1 << 20;
    layer other = linear, another = conv;
    other.out = 56, another.out = 40;
    assert_int_equal(setenv("EMULATED_MEMORY", "40000000", 1), 0);
    check(&t, &other);
    check(&t, &another);
    assert_int_equal(unsetenv("EMULATED_MEMORY"), 0);
    expect_counts(&t, 2, 2);
    blas->workspace = dnn->workspace = (size_t)64 << 20; /* more than is ever given */
    other.out = 64, another.out = 48;
    check(&t, &other);
    check(&t, &another);
    expect_counts(&t, 2, 4);
    end(&t);
}

static void measured_shapes_take_the_fastest_way(void **state) {
    (void)state;
    cpu_test t = begin("measured");
    const double mixed[FAKE_WAYS] = {5, 4, 1e-7, 3}, slow[FAKE_WAYS] = {1e4, 1e4, 1e4, 1e4};
    memcpy(blas->ms, mixed, sizeof mixed);
    memcpy(dnn->ms, mixed, sizeof mixed);
    layer twice = conv;
    twice.add = ADD_IN_PLACE; /* timing must not add more than once */
    check(&t, &linear);
    check(&t, &twice);
    int tried[2] = {blas->run[2], dnn->run[2]}, others[2] = {runs(blas) - tried[0], runs(dnn) - tried[1]};
    check(&t, &linear);
    check(&t, &twice);
    expect_counts(&t, 4, 0);
    assert_int_equal(blas->run[2], tried[0] + 1);
    assert_int_equal(dnn->run[2], tried[1] + 1);
    assert_int_equal(runs(blas) - blas->run[2], others[0]);
    assert_int_equal(runs(dnn) - dnn->run[2], others[1]);
    memcpy(blas->ms, slow, sizeof slow);
    memcpy(dnn->ms, slow, sizeof slow);
    layer other = linear, another = conv;
    other.out = 56, another.out = 40;
    for (int round = 0; round < 2; round++) {
        check(&t, &other);
        check(&t, &another);
    }
    expect_counts(&t, 4, 4);
    end(&t);
}

static void nothing_is_asked_of_libraries_that_are_not_wanted(void **state) {
    (void)state;
    cpu_test t = begin("own");
    check(&t, &linear);
    check(&t, &conv);
    assert_string_equal(stats_of(&t).libraries, "");
    expect_counts(&t, 0, 2);
    end(&t);
    t = begin("library");
    assert_int_equal(setenv("COUPLET_CUDNN", "no", 1), 0);
    check(&t, &linear);
    check(&t, &conv);
    assert_string_equal(stats_of(&t).libraries, "cuBLASLt 13.1.0");
    expect_counts(&t, 1, 1);
    end(&t);
}

static void refuses_to_open(const char *variable, const char *value, const char *words) {
    cpl_error error = {0};
    const cpl_backend_ops *ops = TEST_OPS;
    assert_int_equal(setenv(variable, value, 1), 0);
    assert_null(ops->open(&(cpl_backend_config){.precision = TEST_PRECISION}, &error));
    assert_int_equal(unsetenv(variable), 0);
    if (!strstr(error.message, words)) fail_msg("'%s' does not speak of '%s'", error.message, words);
}

/* Before anything is loaded: what is, stays. */
static void wrong_wishes_are_told(void **state) {
    (void)state;
    refuses_to_open("COUPLET_CUDA_PRODUCTS", "fast", "COUPLET_CUDA_PRODUCTS is 'fast'; library, own and measured");
    refuses_to_open("COUPLET_CUBLASLT", "/none.so", "COUPLET_CUBLASLT: /none.so");
    refuses_to_open("COUPLET_CUDNN", "/none.so", "COUPLET_CUDNN: /none.so");
    refuses_to_open("COUPLET_CUBLASLT", "libm.so.6", "has no cublasLtGetVersion");
    cpu_test t = cpu_test_open(1); /* none is named, and the usual files do not count here */
    check(&t, &linear);
    check(&t, &conv);
    assert_string_equal(stats_of(&t).libraries, "");
    expect_counts(&t, 0, 2);
    cpu_test_close(&t);
}

/* y = conv(x), then z = linear(y), in steps: the first runs call by call, the others as a graph. */
static void steps(cpu_test *t, int in, int count) {
    enum { SIDE = 6, C = 16 };
    float *w = random_values(t, C * in * 9, 0.3f), *v = random_values(t, C * C, 0.3f);
    float *x = random_values(t, SIDE * SIDE * in, 1), *bias = random_values(t, C, 1);
    cpl_dtype type = t->b->precision;
    cpl_weight *first = t->ops->conv_weight(t->b, type, (cpl_values){w, CPL_F32}, bias, C, in, 3, 3, NULL);
    cpl_weight *second = t->ops->linear_weight(t->b, type, (cpl_values){v, CPL_F32}, bias, C, C, NULL);
    float *before = NULL;
    for (int i = 0; i < count; i++) {
        cpl_tensor tx = tensor_of(t, x, 1, SIDE, SIDE, in);
        t->ops->step_begin(t->s);
        cpl_tensor ty = cpl_make(t->s, 1, SIDE, SIDE, C), tz = cpl_make(t->s, 1, SIDE, SIDE, C);
        t->ops->conv2d(t->s, &ty, &tx, first, (cpl_conv_shape){1, 1, 1, 1, 1}, NULL);
        t->ops->linear(t->s, &tz, &ty, second, CPL_ACT_NONE, &ty);
        t->ops->step_end(t->s);
        float *z = values_of(t, &tz);
        for (int j = 0; j < SIDE * SIDE * C; j++) assert_true(z[j] - z[j] == 0); /* a number */
        if (before) assert_memory_equal(before, z, sizeof *z * SIDE * SIDE * C);
        free(before);
        before = z;
        cpl_tensor_free(&tx), cpl_tensor_free(&ty), cpl_tensor_free(&tz);
    }
    t->ops->weight_free(t->b, first);
    t->ops->weight_free(t->b, second);
    free(before), free(w), free(v), free(x), free(bias);
}

static void recorded_steps_hold_a_librarys_products(void **state) {
    (void)state;
    cpu_test t = begin("library");
    blas->workspace = dnn->workspace = 4096;
    steps(&t, 16, 4);
    expect_counts(&t, 8, 0);
    assert_true(stats_of(&t).primitives.hits > 0); /* graphs that were launched again */
    end(&t);
}

/* Steps whose first one, the only one that runs call by call, has no product: the libraries are there in time all the same. */
static void products_first_met_in_a_recorded_step_are_a_librarys(void **state) {
    (void)state;
    cpu_test t = begin("library");
    t.ops->step_begin(t.s);
    t.ops->step_end(t.s);
    steps(&t, 16, 2);
    assert_string_equal(stats_of(&t).libraries, "cuBLASLt 13.1.0, cuDNN 9.19.0");
    expect_counts(&t, 4, 0);
    assert_int_equal(runs(dnn), 2);
    assert_int_equal(stats_of(&t).primitives.misses, 1); /* they were recorded */
    end(&t);
}

/* In a recording nothing can be timed: the first way is taken, and the shape is measured later. */
static void recorded_shapes_are_not_measured(void **state) {
    (void)state;
    cpu_test t = begin("measured");
    blas->ms[0] = dnn->ms[0] = 1e4;
    steps(&t, 16, 2);
    int slow = dnn->run[0];
    steps(&t, 32, 2); /* recorded from the beginning */
    assert_int_equal(dnn->run[0], slow + 2);
    layer l = {6, 32, 16, 3, 1, true, ADD_NONE, CPL_ACT_NONE};
    check(&t, &l);
    slow = dnn->run[0];
    check(&t, &l);
    assert_int_equal(dnn->run[0], slow);
    end(&t);
}

/* More than the table holds: it begins anew. */
static void shapes_without_number_are_served(void **state) {
    (void)state;
    cpu_test t = begin("library");
    enum { MANY = 1100 };
    float w[64] = {0}, x[8 * MANY];
    for (int i = 0; i < 8; i++) w[i * 8 + i] = 2;
    for (int i = 0; i < 8 * MANY; i++) x[i] = (float)(i % 50);
    cpl_weight *weight = t.ops->linear_weight(t.b, t.b->precision, (cpl_values){w, CPL_F32}, NULL, 8, 8, NULL);
    for (int rows = 1; rows <= MANY; rows++) {
        cpl_tensor tx = tensor_of(&t, x, 1, 1, rows, 8), ty = cpl_make(t.s, 1, 1, rows, 8);
        t.ops->linear(t.s, &ty, &tx, weight, CPL_ACT_NONE, NULL);
        if (rows % 100 == 0) {
            float *y = values_of(&t, &ty);
            for (int i = 0; i < 8 * rows; i++) assert_true(y[i] == 2 * x[i]);
            free(y);
        }
        cpl_tensor_free(&tx), cpl_tensor_free(&ty);
        assert_true(blas->parts <= 4 * 1024);
    }
    expect_counts(&t, MANY, 0);
    t.ops->weight_free(t.b, weight);
    end(&t);
}

/* The module that TEST_OPS has loaded is the libraries, too. */
static int find_libraries(void **state) {
    (void)state;
    const cpl_backend_ops *ops = TEST_OPS;
    snprintf(module_file, sizeof module_file, "%s/libcouplet-cuda.so", getenv("COUPLET_BACKEND_DIR"));
    void *module = ops ? dlopen(module_file, RTLD_NOW | RTLD_LOCAL) : NULL;
    blas = module ? dlsym(module, "fake_cublaslt") : NULL;
    dnn = module ? dlsym(module, "fake_cudnn") : NULL;
    return !blas || !dnn;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_wishes_are_told),
        cmocka_unit_test(libraries_compute_what_they_have),
        cmocka_unit_test(results_in_f32_keep_their_type),
        cmocka_unit_test(weights_in_f32_keep_their_type),
        cmocka_unit_test(what_no_library_has_is_ours),
        cmocka_unit_test(a_library_without_handles_is_none),
        cmocka_unit_test(refused_runs_are_made_by_us_and_not_asked_again),
        cmocka_unit_test(workspace_is_taken_once),
        cmocka_unit_test(without_room_for_a_workspace_products_are_ours),
        cmocka_unit_test(measured_shapes_take_the_fastest_way),
        cmocka_unit_test(nothing_is_asked_of_libraries_that_are_not_wanted),
        cmocka_unit_test(recorded_steps_hold_a_librarys_products),
        cmocka_unit_test(products_first_met_in_a_recorded_step_are_a_librarys),
        cmocka_unit_test(recorded_shapes_are_not_measured),
        cmocka_unit_test(shapes_without_number_are_served),
    };
    return cmocka_run_group_tests(tests, find_libraries, NULL);
}
