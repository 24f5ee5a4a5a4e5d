/* Random numbers beyond the recorded ones: that state is a plain value, and how draws follow one another. */
#include "../../test.h"

#include <math.h>
#include <string.h>

#include "../../../core/sample/rng.h"

static void one_generator_continues(void **state) {
    (void)state;
    cpl_rng a, b;
    float whole[64], first[32], second[32];
    cpl_rng_seed(&a, 7);
    cpl_rng_seed(&b, 7);
    cpl_rng_normal(&a, whole, 64);
    cpl_rng_normal(&b, first, 32);
    cpl_rng_normal(&b, second, 32);
    /* Uniforms are drawn in order and turned in blocks of 16, so two draws of whole blocks are one draw. */
    assert_memory_equal(whole, first, sizeof first);
    assert_memory_equal(whole + 32, second, sizeof second);
}

static void a_rest_shorter_than_a_block_redraws_the_end(void **state) {
    (void)state;
    cpl_rng a, b;
    float exact[16], longer[20];
    cpl_rng_seed(&a, 3);
    cpl_rng_seed(&b, 3);
    cpl_rng_normal(&a, exact, 16);
    cpl_rng_normal(&b, longer, 20);
    assert_memory_equal(exact, longer, 4 * sizeof *exact); /* the last 16 of 20 are new */
    assert_memory_not_equal(exact + 4, longer + 4, 12 * sizeof *exact);
}

static void copies_draw_the_same(void **state) {
    (void)state;
    cpl_rng a, b;
    float x[5], y[5];
    cpl_rng_seed(&a, 11);
    cpl_rng_normal(&a, x, 5); /* leaves a spare */
    b = a;
    cpl_rng_normal(&a, x, 5);
    cpl_rng_normal(&b, y, 5);
    assert_memory_equal(x, y, sizeof x);
}

static void only_32_bits_of_a_seed_count(void **state) {
    (void)state;
    cpl_rng a, b;
    float x[16], y[16];
    cpl_rng_seed(&a, 42);
    cpl_rng_seed(&b, 42 + (UINT64_C(5) << 32));
    cpl_rng_normal(&a, x, 16);
    cpl_rng_normal(&b, y, 16);
    assert_memory_equal(x, y, sizeof x);
}

static void values_are_normal(void **state) {
    (void)state;
    enum { COUNT = 65536 };
    static float x[COUNT];
    cpl_rng rng;
    double sum = 0, squares = 0;
    cpl_rng_seed(&rng, 1);
    cpl_rng_normal(&rng, x, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_true(isfinite(x[i]));
        sum += x[i];
        squares += (double)x[i] * x[i];
    }
    assert_true(fabs(sum / COUNT) < 0.02);
    assert_true(fabs(squares / COUNT - 1) < 0.02);
}

static void philox_draws_stand_alone(void **state) {
    (void)state;
    cpl_rng a, b;
    float whole[64], part[20];
    assert_true(cpl_rng_open(&a, "nv", 7, NULL));
    cpl_rng_normal(&a, whole, 64);
    cpl_philox_normal(7, 0, part, 20);
    assert_memory_equal(whole, part, sizeof part); /* a value does not depend on how many there are */
    cpl_rng_normal(&a, part, 20);
    assert_memory_not_equal(whole, part, sizeof part);
    assert_true(cpl_rng_open(&b, "nv", 7 + (UINT64_C(1) << 32), NULL));
    cpl_rng_normal(&b, part, 20);
    assert_memory_not_equal(whole, part, sizeof part); /* all 64 bits of the seed count */
    for (int i = 0; i < 64; i++) assert_true(isfinite(whole[i]));
}

static void generators_have_names(void **state) {
    (void)state;
    cpl_rng rng;
    cpl_error error = {0};
    float x[16], y[16];
    for (const char *const *name = cpl_rng_names(); *name; name++) assert_true(cpl_rng_open(&rng, *name, 1, NULL));
    assert_true(cpl_rng_open(&rng, "cpu", 3, NULL)); /* after "nv": nothing of it is left */
    cpl_rng_normal(&rng, x, 16);
    cpl_rng_seed(&rng, 3);
    cpl_rng_normal(&rng, y, 16);
    assert_memory_equal(x, y, sizeof x);
    assert_false(cpl_rng_open(&rng, "gpu", 1, &error));
    assert_non_null(strstr(error.message, "gpu"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_generator_continues), cmocka_unit_test(a_rest_shorter_than_a_block_redraws_the_end),
        cmocka_unit_test(copies_draw_the_same),    cmocka_unit_test(only_32_bits_of_a_seed_count),
        cmocka_unit_test(values_are_normal),       cmocka_unit_test(philox_draws_stand_alone),
        cmocka_unit_test(generators_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
