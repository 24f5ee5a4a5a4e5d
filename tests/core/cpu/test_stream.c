/* test_stream.c: what holds for the backend as a whole: same bytes on every run, nearly the same for every thread count,
 * no new memory after the first step, streams that share weights, sticky failures, every width of vector kernel. */
#include "cpu_test.h"

#include <pthread.h>
#include <stdio.h>

#include "../../../core/cpu/kernels.h"

enum { SIDE = 16, C = 48, HEADS = 2, TEXT = 24, TEXTS = 3, CONTEXT = 32 };

/* A block as a UNet has it: each kind of operation once. */
typedef struct block {
    cpl_weight *conv, *down, *norm, *layer, *q, *k, *v, *out, *wide, *narrow, *table;
} block;

static cpl_weight *random_linear(cpu_test *t, int out, int in) {
    float *w = random_values(t, out * in, 0.2f), *b = random_values(t, out, 0.2f);
    cpl_weight *weight = t->ops->linear_weight(t->b, t->b->precision, (cpl_values){w, CPL_F32}, b, out, in, NULL);
    free(w), free(b);
    assert_non_null(weight);
    return weight;
}

static block block_new(cpu_test *t) {
    float *w = random_values(t, C * C * 9, 0.1f);
    block b = {.conv = t->ops->conv_weight(t->b, t->b->precision, (cpl_values){w, CPL_F32}, w, C, C, 3, 3, NULL),
               .down = t->ops->conv_weight(t->b, t->b->precision, (cpl_values){w, CPL_F32}, NULL, C, C, 3, 3, NULL),
               .norm = t->ops->norm_weight(t->b, w, w + C, C, NULL),
               .layer = t->ops->norm_weight(t->b, w, w + C, C, NULL),
               .table = t->ops->table_weight(t->b, w, 50, CONTEXT, NULL),
               .q = random_linear(t, C, C),
               .k = random_linear(t, C, CONTEXT),
               .v = random_linear(t, C, CONTEXT),
               .out = random_linear(t, C, C),
               .wide = random_linear(t, 8 * C, C),
               .narrow = random_linear(t, C, 4 * C)};
    free(w);
    return b;
}

static void block_free(cpu_test *t, block *b) {
    cpl_weight *all[] = {b->conv, b->down, b->norm, b->layer, b->q, b->k, b->v, b->out, b->wide, b->narrow, b->table};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) t->ops->weight_free(t->b, all[i]);
}

static void cross(const cpl_backend_ops *o, cpl_stream *s, const block *b, const cpl_tensor *y, const cpl_tensor *x,
                  const cpl_plan *plan) {
    cpl_tensor k[TEXTS], v[TEXTS], q = cpl_make_like(s, x);
    const cpl_tensor *pk[TEXTS], *pv[TEXTS];
    for (int r = 0; r < TEXTS; r++) {
        int ids[TEXT];
        for (int i = 0; i < TEXT; i++) ids[i] = (i * 7 + r * 11) % 50;
        cpl_tensor text = cpl_make(s, 1, 1, TEXT, CONTEXT);
        o->embed(s, &text, b->table, ids, NULL);
        k[r] = cpl_make(s, 1, 1, TEXT, C);
        v[r] = cpl_make(s, 1, 1, TEXT, C);
        o->linear(s, &k[r], &text, b->k, CPL_ACT_NONE, NULL);
        o->linear(s, &v[r], &text, b->v, CPL_ACT_NONE, NULL);
        pk[r] = &k[r], pv[r] = &v[r];
        cpl_tensor_free(&text);
    }
    const cpl_listen listen[2] = {{TEXTS, pk, pv, plan}, {1, pk, pv, NULL}};
    o->linear(s, &q, x, b->q, CPL_ACT_NONE, NULL);
    o->cross_attention(s, y, &q, listen, HEADS);
    cpl_tensor_free(&q);
    for (int r = 0; r < TEXTS; r++) cpl_tensor_free(&k[r]), cpl_tensor_free(&v[r]);
}

static void step(const cpl_backend_ops *o, cpl_stream *s, const block *b, const float *input, float *output,
                 const cpl_plan *plan) {
    const float times[2] = {999, 3};
    o->step_begin(s);
    cpl_tensor x = cpl_make(s, 2, SIDE, SIDE, C), y = cpl_make_like(s, &x), time = cpl_make(s, 2, 1, 1, C);
    cpl_tensor wide = cpl_make(s, 2, SIDE, SIDE, 8 * C), gated = cpl_make(s, 2, SIDE, SIDE, 4 * C);
    cpl_tensor both = cpl_make(s, 2, SIDE, SIDE, 2 * C), half = cpl_make(s, 2, SIDE / 2, SIDE / 2, C);
    o->upload(s, &x, input);
    o->timestep_embedding(s, &time, times);
    o->activate(s, &time, &time, CPL_ACT_SILU);
    o->group_norm(s, &x, &x, &time, b->norm, 8, 1e-5f, true);
    o->conv2d(s, &y, &x, b->conv, (cpl_conv_shape){1, 1, 1, 1, 1}, &x);
    o->conv2d(s, &half, &y, b->down, (cpl_conv_shape){2, 0, 0, 1, 1}, NULL);
    o->upsample(s, &x, &half);
    o->layer_norm(s, &x, &x, b->layer, 1e-5f);
    o->attention(s, &y, &x, &x, &x, HEADS, false);
    o->linear(s, &x, &y, b->out, CPL_ACT_NONE, &x);
    cross(o, s, b, &y, &x, plan);
    o->linear(s, &x, &y, b->out, CPL_ACT_QUICK_GELU, NULL);
    o->linear(s, &wide, &x, b->wide, CPL_ACT_NONE, NULL);
    o->geglu(s, &gated, &wide);
    o->linear(s, &y, &gated, b->narrow, CPL_ACT_NONE, &x);
    o->concat(s, &both, &x, &y);
    o->scale_add(s, &y, 0.5f, &x, 1.5f, &y);
    o->download(s, output, &y);
    cpl_tensor *all[] = {&x, &y, &time, &wide, &gated, &both, &half};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) cpl_tensor_free(all[i]);
    o->step_end(s);
}

enum { COUNT = 2 * SIDE * SIDE * C };

static cpl_plan *three_columns(void) {
    float masks[TEXTS * SIDE * SIDE] = {0};
    for (int i = 0; i < SIDE * SIDE; i++) {
        int line = i % SIDE * TEXTS / SIDE;
        masks[line * SIDE * SIDE + i] = i < SIDE * 4 ? 0.75f : 1;
        if (i < SIDE * 4) masks[(line + 1) % TEXTS * SIDE * SIDE + i] = 0.25f;
    }
    return cpl_plan_new(masks, TEXTS, SIDE, SIDE, NULL);
}

static float *one_step(int threads) {
    cpu_test t = cpu_test_open(threads);
    block b = block_new(&t);
    float *input = random_values(&t, COUNT, 1), *output = malloc(sizeof *output * COUNT);
    cpl_plan *plan = three_columns();
    step(t.ops, t.s, &b, input, output, plan);
    cpl_plan_free(plan);
    block_free(&t, &b);
    free(input);
    cpu_test_close(&t);
    return output;
}

static void same_threads_same_bytes(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        float *a = one_step(threads), *b = one_step(threads);
        assert_memory_equal(a, b, sizeof *a * COUNT);
        free(a), free(b);
    }
}

static void thread_counts_differ_by_rounding_only(void **state) {
    (void)state;
    float *one = one_step(1);
    for (int threads = 2; threads <= 5; threads++) {
        float *more = one_step(threads), worst = 0;
        for (int i = 0; i < COUNT; i++) worst = fmaxf(worst, fabsf(one[i] - more[i]) / (1 + fabsf(one[i])));
        assert_true(worst < 1e-5f);
        free(more);
    }
    free(one);
}

static void later_steps_take_no_new_memory(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    block b = block_new(&t);
    float *input = random_values(&t, COUNT, 1), *output = malloc(sizeof *output * COUNT);
    cpl_plan *plan = three_columns();
    cpl_stats first = {0}, later = {0};
    step(t.ops, t.s, &b, input, output, plan);
    t.ops->stats(t.s, &first);
    for (int i = 0; i < 5; i++) step(t.ops, t.s, &b, input, output, plan);
    t.ops->stats(t.s, &later);
    assert_int_equal(later.pool_allocations, first.pool_allocations);
    assert_true(later.pool_reuses > first.pool_reuses);
    assert_int_equal(later.primitives.misses, first.primitives.misses);
    assert_true(later.primitives.hits > first.primitives.hits);
    assert_int_equal(later.weight_bytes, first.weight_bytes);
    assert_int_equal(later.device_bytes, later.weight_bytes + later.pool_bytes);
    assert_int_equal(later.active_tensors, 0);
    assert_true(later.pool_peak_bytes >= 8 * COUNT * sizeof(float));
    assert_int_equal(later.threads, ONE_THREAD_ONLY ? 1 : 2);
    cpl_plan_free(plan);
    block_free(&t, &b);
    free(input), free(output);
    cpu_test_close(&t);
}

/* ---- Two streams on one backend, at once ---- */

typedef struct worker {
    cpu_test *t;
    const block *b;
    const float *input;
    float *output;
    const cpl_plan *plan;
    bool ok;
} worker;

static void *work(void *argument) {
    worker *w = argument;
    cpl_stream *s = w->t->ops->stream_open(w->t->b, NULL);
    for (int i = 0; i < 3; i++) step(w->t->ops, s, w->b, w->input, w->output, w->plan);
    w->ok = cpl_stream_settle(s, NULL);
    w->t->ops->stream_close(s);
    return NULL;
}

static void streams_share_weights(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    block b = block_new(&t);
    float *input = random_values(&t, COUNT, 1), *want = malloc(sizeof *want * COUNT);
    cpl_plan *plan = three_columns();
    enum { WORKERS = 3 };
    pthread_t thread[WORKERS];
    worker w[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        w[i] = (worker){&t, &b, input, malloc(sizeof(float) * COUNT), plan, false};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) pthread_join(thread[i], NULL);
    step(t.ops, t.s, &b, input, want, plan);
    for (int i = 0; i < WORKERS; i++) {
        assert_true(w[i].ok);
        assert_memory_equal(w[i].output, want, sizeof *want * COUNT);
        free(w[i].output);
    }
    cpl_plan_free(plan);
    block_free(&t, &b);
    free(input), free(want);
    cpu_test_close(&t);
}

/* ---- Failure ---- */

static void a_pool_budget_fails_the_stream_and_leaves_nothing(void **state) {
    (void)state;
    cpl_error error = {0};
    cpu_test t = {.ops = &cpl_cpu_backend, .random = 5};
    t.b = t.ops->open(&(cpl_backend_config){.threads = 1, .pool_budget = 1 << 20}, &error);
    t.s = t.ops->stream_open(t.b, &error);
    block b = block_new(&t);
    float *input = random_values(&t, COUNT, 1), *output = malloc(sizeof *output * COUNT);
    cpl_plan *plan = three_columns();
    step(t.ops, t.s, &b, input, output, plan);
    assert_false(cpl_stream_settle(t.s, &error));
    assert_int_equal(error.code, CPL_E_MEMORY);
    cpl_plan_free(plan);
    block_free(&t, &b);
    free(input), free(output);
    cpu_test_close(&t);
}

static void odd_configurations_are_refused(void **state) {
    (void)state;
    cpl_error error = {0};
    assert_null(cpl_cpu_backend.open(&(cpl_backend_config){.precision = CPL_F16}, &error));
    assert_int_equal(error.code, CPL_E_UNSUPPORTED);
    assert_null(cpl_cpu_backend.open(&(cpl_backend_config){.threads = -1}, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    cpu_test t = cpu_test_open(0);
    cpl_stats stats = {0};
    t.ops->stats(t.s, &stats);
    assert_true(stats.threads >= 1);
    cpu_test_close(&t);
}

/* ---- Kernels ---- */

/* The wide kernels must agree with the plain ones; only rounding (fused multiply-add) may differ. Those of attention are
 * test_attend.c's. */
static void all_vector_widths_agree(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    const cpu_kernels *list[8];
    int count = cpu_kernels_all(list, 8);
    assert_true(count >= 1 && list[count - 1] == cpu_kernels_pick());
    enum { N = 1003 };
    float *x = random_values(&t, 2 * N, 6);
    float gate[N], first_gate[N], row[N], first_row[N];
    for (int i = 0; i < count; i++) {
        list[i]->geglu(i ? gate : first_gate, x, N, CPL_F32);
        list[i]->layer_norm(i ? row : first_row, x, N, x + N / 2, x + N, 1e-5f, CPL_F32);
        for (int j = 0; i && j < N; j++) assert_true(fabsf(gate[j] - first_gate[j]) < 2e-6f * (1 + fabsf(gate[j])));
        for (int j = 0; i && j < N; j++) assert_true(fabsf(row[j] - first_row[j]) < 1e-5f);
    }
    free(x);
    cpu_test_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_threads_same_bytes),
        cmocka_unit_test(thread_counts_differ_by_rounding_only),
        cmocka_unit_test(later_steps_take_no_new_memory),
        cmocka_unit_test(streams_share_weights),
        cmocka_unit_test(a_pool_budget_fails_the_stream_and_leaves_nothing),
        cmocka_unit_test(odd_configurations_are_refused),
        cmocka_unit_test(all_vector_widths_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
