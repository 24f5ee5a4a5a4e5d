/* network_rig.h: what the tests of the UNet and the VAE share: a tiny checkpoint, a CPU stream, and a way to stop a run at
 * any operation. */
#ifndef TESTS_MODEL_NETWORK_RIG_H
#define TESTS_MODEL_NETWORK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../core/model/spec.h"
#include "../../../core/model/unet.h"

#define CHECKPOINT "tests/golden/engine/sd1_tiny.safetensors"

static cpl_backend *backend;
static cpl_stream *stream;
static cpl_model_spec spec;

static inline cpl_checkpoint *open_checkpoint(void) {
    cpl_error error = {0};
    cpl_checkpoint *st = cpl_checkpoint_of(cpl_safetensors_open(CHECKPOINT, &error), &error);
    if (!st || !cpl_model_spec_read(st, &spec, &error)) fail_msg("%s", error.message);
    return st;
}

static inline cpl_checkpoint *checkpoint_in_memory(const void *data, size_t size) {
    cpl_error error = {0};
    cpl_checkpoint *st = cpl_checkpoint_of(cpl_safetensors_memory(data, size, "forged", &error), &error);
    if (!st) fail_msg("%s", error.message);
    return st;
}

static inline cpl_loader loader_of(const cpl_checkpoint *st, cpl_error *error) {
    return (cpl_loader){.backend = backend, .weights = st, .error = error};
}

static inline void open_stream(void) {
    cpl_error error = {0};
    const cpl_backend_ops *ops = cpl_backend_find("cpu", &error);
    backend = ops ? ops->open(&(cpl_backend_config){.threads = 2, .precision = CPL_F32}, &error) : NULL;
    stream = backend ? ops->stream_open(backend, &error) : NULL;
    if (!stream) fail_msg("%s", error.message);
}

static inline void close_stream(void) {
    const cpl_backend_ops *ops = backend->ops;
    ops->stream_close(stream);
    ops->close(backend);
}

static inline void assert_stream_ok(void) {
    cpl_error error = {0};
    if (!cpl_stream_settle(stream, &error)) fail_msg("%s", error.message);
}

/* Numbers that look like noise, the same for the same seed. */
static inline cpl_tensor noise(int n, int h, int w, int c, uint32_t seed) {
    cpl_tensor t = cpl_make(stream, n, h, w, c);
    size_t count = cpl_tensor_count(&t);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
    }
    stream->ops->upload(stream, &t, values);
    free(values);
    return t;
}

static inline float *values_of(const cpl_tensor *x) {
    float *values = malloc(cpl_tensor_count(x) * sizeof *values);
    assert_non_null(values);
    stream->ops->download(stream, values, x);
    assert_stream_ok();
    return values;
}

static inline double largest_difference(const float *a, const float *b, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)a[i] - (double)b[i];
        if (difference < 0) difference = -difference;
        if (!(difference <= most)) most = difference;
    }
    return most;
}

static inline cpl_pool_stats pool_stats(void) {
    cpl_pool_stats stats;
    cpl_pool_stats_read(stream->pool, &stats);
    return stats;
}

/* The whole checkpoint in memory, with one text of its header replaced by another of the same length. */
static inline char *forged_checkpoint(const char *from, const char *to, size_t *size) {
    FILE *file = fopen(CHECKPOINT, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    char *place = memmem(data, *size, from, strlen(from));
    assert_non_null(place);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(place, to, strlen(to));
    return data;
}

/* Operations that count, and set the cancel flag when the count has come: a cancel in any moment of a run. */
static atomic_bool cancel_flag;
static int operations_left;
static int norms_1e5, norms_1e6, norms_other; /* group norms by epsilon, since hook_operations */
static const cpl_backend_ops *real_ops;
static cpl_backend_ops counting_ops;

static inline void tick(void) {
    if (operations_left-- == 0) atomic_store(&cancel_flag, true);
}
static inline void count_linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w,
                                cpl_activation act, const cpl_tensor *add) {
    tick();
    real_ops->linear(s, y, x, w, act, add);
}
static inline void count_conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w,
                                cpl_conv_shape shape, const cpl_tensor *add) {
    tick();
    real_ops->conv2d(s, y, x, w, shape, add);
}
static inline void count_group_norm(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_tensor *shift,
                                    const cpl_weight *w, int groups, float eps, bool silu) {
    tick();
    *(eps == 1e-5f ? &norms_1e5 : eps == 1e-6f ? &norms_1e6 : &norms_other) += 1;
    real_ops->group_norm(s, y, x, shift, w, groups, eps, silu);
}
static inline void count_attention(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *q, const cpl_tensor *k,
                                   const cpl_tensor *v, int heads, bool causal) {
    tick();
    real_ops->attention(s, y, q, k, v, heads, causal);
}
static inline void count_upsample(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    tick();
    real_ops->upsample(s, y, x);
}

static inline void hook_operations(void) {
    real_ops = stream->ops;
    counting_ops = *real_ops;
    counting_ops.linear = count_linear;
    counting_ops.conv2d = count_conv2d;
    counting_ops.group_norm = count_group_norm;
    counting_ops.attention = count_attention;
    counting_ops.upsample = count_upsample;
    stream->ops = &counting_ops;
    operations_left = -1;
    norms_1e5 = norms_1e6 = norms_other = 0;
}
static inline void unhook_operations(void) { stream->ops = real_ops; }

/* Runs `run` once for each operation at which it may be cancelled; each time the stream must have failed as cancelled
 * and the pool must hold just what it held before. Returns how many operations there were. */
static inline int cancel_everywhere(void (*run)(void *network), void *network) {
    int cancelled = 0;
    hook_operations();
    stream->cancelled = &cancel_flag;
    uint64_t blocks = pool_stats().used_blocks;
    for (bool done = false; !done; cancelled += !done) {
        cpl_error error = {0};
        atomic_store(&cancel_flag, false);
        operations_left = cancelled;
        run(network);
        done = !atomic_load(&cancel_flag);
        bool fine = cpl_stream_settle(stream, &error);
        /* The very last operation is followed by no question: then the run ends well, and the flag speaks to the next. */
        if (!fine) assert_int_equal(error.code, CPL_E_CANCELLED);
        if (done) assert_true(fine);
        assert_int_equal(pool_stats().used_blocks, blocks);
    }
    unhook_operations();
    stream->cancelled = NULL;
    return cancelled;
}

#endif
