/* test_pointwise.c: activations, GEGLU, sums, upsampling, concatenation, look-ups and time embeddings. */
#include "cpu_test.h"

static void activations_are_exact_to_1e_6(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    enum { COUNT = 40003 }; /* odd: the last vector is part filled */
    float *x = malloc(sizeof *x * COUNT);
    for (int i = 0; i < COUNT; i++) x[i] = test_round(-20 + 40.0f * (float)i / COUNT);
    x[0] = -1000, x[1] = 1000, x[2] = 0, x[3] = -88.5f, x[4] = 1e-30f;
    for (int act = CPL_ACT_NONE; act <= CPL_ACT_QUICK_GELU; act++)
        for (int in_place = 0; in_place < 2; in_place++) {
            int count = in_place ? COUNT - 3 : COUNT; /* and whole vectors */
            cpl_tensor tx = tensor_of(&t, x, 1, 1, 1, count), ty = in_place ? tx : cpl_make_like(t.s, &tx);
            t.ops->activate(t.s, &ty, &tx, (cpl_activation)act);
            double *want = reference_new(count);
            for (int i = 0; i < count; i++) want[i] = reference_activation((double)x[i], (cpl_activation)act);
            check_tensor(&t, "activation", &ty, want, 1e-6);
            if (!in_place) cpl_tensor_free(&tx);
        }
    free(x);
    cpu_test_close(&t);
}

static void geglu_gates_with_the_second_half(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    static const int widths[] = {1, 5, 8, 30, 384};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        int c = widths[i], rows = random_int(&t, 1, 70);
        float *x = random_values(&t, rows * 2 * c, 5);
        double *want = reference_new(rows * c);
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < c; j++)
                want[r * c + j] =
                    (double)x[r * 2 * c + j] * reference_activation((double)x[r * 2 * c + c + j], CPL_ACT_GELU);
        cpl_tensor tx = tensor_of(&t, x, 1, 1, rows, 2 * c), ty = cpl_make(t.s, 1, 1, rows, c);
        t.ops->geglu(t.s, &ty, &tx);
        check_tensor(&t, "geglu", &ty, want, 2e-6);
        cpl_tensor_free(&tx);
        free(x);
    }
    cpl_tensor x = cpl_make(t.s, 1, 1, 4, 9), y = cpl_make(t.s, 1, 1, 4, 5);
    t.ops->geglu(t.s, &y, &x), expect_failure(&t, "geglu: x is [1, 1, 4, 9] and should be [1, 1, 4, 10]");
    cpl_tensor_free(&x), cpl_tensor_free(&y);
    cpu_test_close(&t);
}

static void scale_add_allows_all_aliases(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    static const int counts[] = {1, 7, 16, 4096, 20011};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int alias = 0; alias < 4; alias++) { /* 0: none, 1: y is a, 2: y is b, 3: no b */
            int count = counts[i];
            float *a = random_values(&t, count, 1), *b = random_values(&t, count, 1);
            double *want = reference_new(count);
            for (int j = 0; j < count; j++) want[j] = 1.5 * (double)a[j] - (alias == 3 ? 0 : 0.25 * (double)b[j]);
            cpl_tensor ta = tensor_of(&t, a, 1, 1, 1, count), tb = tensor_of(&t, b, 1, 1, 1, count);
            cpl_tensor ty = alias == 1 ? ta : alias == 2 ? tb : cpl_make_like(t.s, &ta);
            t.ops->scale_add(t.s, &ty, 1.5f, &ta, -0.25f, alias == 3 ? NULL : &tb);
            check_tensor(&t, "scale_add", &ty, want, 1e-6);
            if (alias != 1) cpl_tensor_free(&ta);
            if (alias != 2) cpl_tensor_free(&tb);
            free(a), free(b);
        }
    cpu_test_close(&t);
}

static void upsampling_takes_the_nearest_pixel(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    for (int i = 0; i < 20; i++) {
        int n = random_int(&t, 1, 2), h = random_int(&t, 1, 9), w = random_int(&t, 1, 9);
        int c = i % 4 ? random_int(&t, 1, 20) : 8 * random_int(&t, 1, 3);
        int oh = i % 3 ? 2 * h - i % 2 : random_int(&t, h, 3 * h),
            ow = i % 3 ? 2 * w - i % 2 : random_int(&t, w, 3 * w);
        float *x = random_values(&t, n * h * w * c, 1);
        double *want = reference_new(n * oh * ow * c);
        for (int at = 0; at < n * oh * ow * c; at++) {
            int channel = at % c, column = at / c % ow, row = at / c / ow % oh, element = at / c / ow / oh;
            want[at] = (double)x[((element * h + row * h / oh) * w + column * w / ow) * c + channel];
        }
        cpl_tensor tx = tensor_of(&t, x, n, h, w, c), ty = cpl_make(t.s, n, oh, ow, c);
        t.ops->upsample(t.s, &ty, &tx);
        check_tensor(&t, "upsample", &ty, want, 0);
        cpl_tensor_free(&tx);
        free(x);
    }
    cpu_test_close(&t);
}

static void concat_puts_a_before_b(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(2);
    for (int i = 0; i < 10; i++) {
        int n = random_int(&t, 1, 2), h = random_int(&t, 1, 9), w = random_int(&t, 1, 30), ca = random_int(&t, 1, 40);
        int cb = random_int(&t, 1, 40);
        if (i % 3 == 0) ca = 8 * (1 + ca / 8), cb = 8 * (1 + cb / 8);
        int c = ca + cb;
        float *a = random_values(&t, n * h * w * ca, 1), *b = random_values(&t, n * h * w * cb, 1);
        double *want = reference_new(n * h * w * c);
        for (int at = 0; at < n * h * w * c; at++)
            want[at] = at % c < ca ? (double)a[at / c * ca + at % c] : (double)b[at / c * cb + at % c - ca];
        cpl_tensor ta = tensor_of(&t, a, n, h, w, ca), tb = tensor_of(&t, b, n, h, w, cb),
                   ty = cpl_make(t.s, n, h, w, c);
        t.ops->concat(t.s, &ty, &ta, &tb);
        check_tensor(&t, "concat", &ty, want, 0);
        t.ops->concat(t.s, &ta, &ta, &tb), expect_failure(&t, "concat: y is");
        cpl_tensor_free(&ta), cpl_tensor_free(&tb);
        free(a), free(b);
    }
    cpu_test_close(&t);
}

static void check_embed(cpu_test *t, int width) {
    enum { WORDS = 11, PLACES = 5, N = 2 };
    float *words = random_values(t, WORDS * width, 1), *places = random_values(t, PLACES * width, 1);
    cpl_weight *tokens = t->ops->table_weight(t->b, words, WORDS, width, NULL);
    cpl_weight *positions = t->ops->table_weight(t->b, places, PLACES, width, NULL);
    int ids[N * PLACES] = {0, 10, 3, 3, 7, 1, 1, 9, 0, 10};
    for (int with = 0; with < 2; with++) {
        cpl_tensor y = cpl_make(t->s, N, 1, PLACES, width);
        double *want = reference_new(N * PLACES * width);
        for (int i = 0; i < N * PLACES * width; i++) {
            int place = i / width, channel = i % width;
            want[i] = (double)words[ids[place] * width + channel];
            if (with) want[i] += (double)places[place % PLACES * width + channel];
        }
        t->ops->embed(t->s, &y, tokens, ids, with ? positions : NULL);
        check_tensor(t, "embed", &y, want, 1e-7);
    }
    cpl_tensor y = cpl_make(t->s, N, 1, PLACES, width), longer = cpl_make(t->s, 1, 1, PLACES + 1, width);
    ids[4] = WORDS;
    t->ops->embed(t->s, &y, tokens, ids, positions), expect_failure(t, "token id 11 is not in the table of 11");
    ids[4] = -1;
    t->ops->embed(t->s, &y, tokens, ids, positions), expect_failure(t, "token id -1");
    t->ops->embed(t->s, &longer, tokens, ids, positions), expect_failure(t, "embed: 6 tokens");
    cpl_tensor_free(&y), cpl_tensor_free(&longer);
    t->ops->weight_free(t->b, tokens), t->ops->weight_free(t->b, positions);
    free(words), free(places);
}

static void embed_looks_up_and_refuses_bad_ids(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    check_embed(&t, 13);
    check_embed(&t, 16);
    cpu_test_close(&t);
}

static void time_embedding_is_cosines_then_sines(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    enum { C = 48, N = 4 };
    const float times[N] = {0, 1, 499.25f, 999};
    double *want = reference_new(N * C);
    for (int n = 0; n < N; n++)
        for (int i = 0; i < C / 2; i++) {
            double angle = (double)times[n] * exp(-log(10000.0) * 2 * i / C);
            want[n * C + i] = cos(angle);
            want[n * C + C / 2 + i] = sin(angle);
        }
    cpl_tensor y = cpl_make(t.s, N, 1, 1, C), odd = cpl_make(t.s, N, 1, 1, 7);
    t.ops->timestep_embedding(t.s, &y, times);
    check_tensor(&t, "time embedding", &y, want, 1e-4); /* f32 frequencies, as in the reference, times 999 */
    t.ops->timestep_embedding(t.s, &odd, times), expect_failure(&t, "7 channels");
    cpl_tensor_free(&odd);
    cpu_test_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_exact_to_1e_6),
        cmocka_unit_test(geglu_gates_with_the_second_half),
        cmocka_unit_test(scale_add_allows_all_aliases),
        cmocka_unit_test(upsampling_takes_the_nearest_pixel),
        cmocka_unit_test(concat_puts_a_before_b),
        cmocka_unit_test(embed_looks_up_and_refuses_bad_ids),
        cmocka_unit_test(time_embedding_is_cosines_then_sines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
