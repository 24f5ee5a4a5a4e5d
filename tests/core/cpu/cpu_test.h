/* cpu_test.h: what the tests of the CPU backend share: a backend with a stream, random data, tensors from host arrays,
 * and a comparison that names the first value that is off. Reference results are computed by each test in plain loops
 * in f64. */
#ifndef TESTS_CPU_TEST_H
#define TESTS_CPU_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../core/backend.h"

typedef struct cpu_test {
    const cpl_backend_ops *ops;
    cpl_backend *b;
    cpl_stream *s;
    uint64_t random;
    bool draws_bf16; /* random values are such as bf16 holds */
} cpu_test;

/* ThreadSanitizer does not see the barriers of libgomp: under it the backend's own threads would be all false alarms. */
#if defined(__SANITIZE_THREAD__)
#define ONE_THREAD_ONLY 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ONE_THREAD_ONLY 1
#endif
#endif
#ifndef ONE_THREAD_ONLY
#define ONE_THREAD_ONLY 0
#endif

/* The same tests run on other backends and in other precisions: see tests/gpu/on_module.h. */
#ifndef TEST_OPS
#define TEST_OPS &cpl_cpu_backend
#endif
#ifndef TEST_PRECISION
#define TEST_PRECISION CPL_F32
#endif

static inline cpu_test cpu_test_open_as(int threads, cpl_dtype precision) {
    cpl_error error = {0};
    if (ONE_THREAD_ONLY) threads = 1;
    cpu_test t = {.ops = TEST_OPS, .random = 88172645463325252u};
    t.b = t.ops->open(&(cpl_backend_config){.threads = threads, .precision = precision}, &error);
    t.s = t.b ? t.ops->stream_open(t.b, &error) : NULL;
    if (!t.s) fail_msg("%s", error.message);
    return t;
}

static inline cpu_test cpu_test_open(int threads) { return cpu_test_open_as(threads, TEST_PRECISION); }
/* The CPU backend in bf16; false where the processor has no instructions for it, and where another backend is tested. */
static inline bool cpu_test_open_bf16(cpu_test *t, int threads) {
    const cpl_backend_ops *tested = TEST_OPS;
    if (tested != &cpl_cpu_backend) return false;
    if (ONE_THREAD_ONLY) threads = 1;
    *t = (cpu_test){.ops = &cpl_cpu_backend, .random = 88172645463325252u, .draws_bf16 = true};
    t->b = t->ops->open(&(cpl_backend_config){.threads = threads, .precision = CPL_BF16}, NULL);
    t->s = t->b ? t->ops->stream_open(t->b, NULL) : NULL;
    return t->s != NULL;
}

/* Nothing may be left of what the test took from the pool, and of its weights. */
static inline void cpu_test_close(cpu_test *t) {
    cpl_stats stats = {0};
    cpl_error error = {0};
    if (!cpl_stream_settle(t->s, &error)) fail_msg("the stream failed: %s", error.message);
    t->ops->stats(t->s, &stats);
    assert_int_equal(stats.active_tensors, 0);
    assert_int_equal(stats.weight_bytes, 0);
    t->ops->stream_close(t->s);
    t->ops->close(t->b);
}

static inline void expect_failure(cpu_test *t, const char *part_of_message) {
    cpl_error error = {0};
    assert_false(cpl_stream_ok(t->s));
    assert_false(cpl_stream_settle(t->s, &error));
    if (!strstr(error.message, part_of_message))
        fail_msg("'%s' does not speak of '%s'", error.message, part_of_message);
}

static inline uint32_t random_bits(cpu_test *t) {
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (uint32_t)(t->random >> 32);
}
static inline int random_int(cpu_test *t, int low, int high) {
    return low + (int)(random_bits(t) % (uint32_t)(high - low + 1));
}
/* -1 ... 1, and as every number that a test makes for a tensor one that the precision can hold: references are then made
 * of what the backend really sees. */
static inline float test_round(float x) {
    const cpl_dtype precision = TEST_PRECISION;
    int bits = precision == CPL_F32 ? 24 : precision == CPL_F16 ? 11 : 8, exponent;
    double fraction = frexp((double)x, &exponent);
    return (float)ldexp(rint(ldexp(fraction, bits)), exponent - bits);
}
static inline float random_value(cpu_test *t) {
    return test_round((float)((double)random_bits(t) / 2147483648.0 - 1.0));
}
/* What results may be off by: in 16 bits their own rounding, and that of what is multiplied on the way. */
static inline double test_tolerance(double of_f32) {
    const cpl_dtype precision = TEST_PRECISION;
    double unit = precision == CPL_F16 ? 1.0 / 2048 : precision == CPL_BF16 ? 1.0 / 256 : 0;
    return of_f32 > 1.5 * unit ? of_f32 : 1.5 * unit;
}

static inline float nearest_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* In bf16 such that nothing is lost when they become a tensor. */
static inline float *random_values(cpu_test *t, int count, float scale) {
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < count; i++) {
        values[i] = test_round(scale * random_value(t));
        if (t->draws_bf16) values[i] = nearest_bf16(values[i]);
    }
    return values;
}

static inline cpl_tensor tensor_of(cpu_test *t, const float *values, int n, int h, int w, int c) {
    cpl_tensor x = cpl_make(t->s, n, h, w, c);
    t->ops->upload(t->s, &x, values);
    return x;
}

static inline float *values_of(cpu_test *t, const cpl_tensor *x) {
    float *values = malloc(cpl_tensor_count(x) * sizeof *values);
    assert_non_null(values);
    t->ops->download(t->s, values, x);
    cpl_error error = {0};
    if (!cpl_stream_settle(t->s, &error)) fail_msg("the stream failed: %s", error.message);
    return values;
}

/* |got - want| <= tolerance * (1 + |want|) everywhere. */
static inline void expect_near(const char *what, const float *got, const double *want, size_t count, double of_f32) {
    double tolerance = test_tolerance(of_f32);
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * (1 + fabs(want[i]))))
            fail_msg("%s: value %zu of %zu is %.9g, not %.9g", what, i, count, (double)got[i], want[i]);
}

/* Compares a tensor with a reference and frees both. */
static inline void check_tensor(cpu_test *t, const char *what, cpl_tensor *y, double *want, double tolerance) {
    float *got = values_of(t, y);
    expect_near(what, got, want, cpl_tensor_count(y), tolerance);
    free(got);
    free(want);
    cpl_tensor_free(y);
}

static inline double *reference_new(int count) {
    double *values = calloc((size_t)count, sizeof *values);
    assert_non_null(values);
    return values;
}

static inline double reference_activation(double x, cpl_activation act) {
    switch (act) {
    case CPL_ACT_SILU:
        return x / (1 + exp(-x));
    case CPL_ACT_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case CPL_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    default:
        return x;
    }
}

#endif
