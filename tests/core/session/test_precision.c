/* test_precision.c: what a user gets who asks for a precision: the choice, the refusal, and a picture that looks the same. */
#include "session_test.h"

#include <math.h>

static cpl_layout *harbour(void) {
    return layout_of("{\"couplet\": 1, \"canvas\": {\"width\": 128, \"height\": 128}, \"regions\": ["
                     "{\"rect\": [0, 0.5, 0, 1], \"prompt\": \"a cat, night sky\"},"
                     "{\"rect\": [0.5, 1, 0, 1], \"prompt\": \"a sun, sunset\"}],"
                     "\"sampling\": {\"seed\": 5, \"steps\": 20}}");
}

/* False: this machine cannot compute in it, and says so with a remedy. */
static cpl_session *session_in(const char *precision) {
    cpl_error error = {0};
    cpl_session *session = cpl_session_new(&(cpl_options){.precision = precision, .preview_every = -1}, &error);
    if (session) return session;
    assert_int_equal(error.code, CPL_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "--precision"));
    return NULL;
}

static double decibels(const cpl_image *a, const cpl_image *b) {
    size_t count = (size_t)a->width * (size_t)a->height * 3;
    double square = 0;
    for (size_t i = 0; i < count; i++) square += ((double)a->rgb[i] - b->rgb[i]) * ((double)a->rgb[i] - b->rgb[i]);
    return square > 0 ? 10 * log10(255.0 * 255.0 * (double)count / square) : INFINITY;
}

static void bf16_pictures_look_the_same(void **state) {
    (void)state;
    cpl_session *exact = session_in("f32"), *narrow = session_in("bf16");
    if (!narrow) {
        cpl_session_free(exact);
        skip();
    }
    cpl_layout *layout = harbour();
    cpl_image *a = picture_of(exact, layout), *b = picture_of(narrow, layout), *again = picture_of(narrow, layout);
    print_message("bf16 against f32, 20 steps at 128x128: %.1f dB\n", decibels(a, b));
    assert_string_equal(stats_of(narrow).precision, "bf16");
    assert_true(stats_of(narrow).weight_bytes < 0.6 * (double)stats_of(exact).weight_bytes);
    assert_int_equal(stats_of(narrow).step_allocations, 0);
    assert_true(decibels(a, b) >= 35);
    assert_false(same_picture(a, b)); /* else nothing was rounded */
    assert_true(same_picture(b, again));
    cpl_image_free(a), cpl_image_free(b), cpl_image_free(again);
    cpl_layout_free(layout);
    cpl_session_free(exact), cpl_session_free(narrow);
}

/* A picture is current only for the precision that made it. */
static void the_hash_tells_precisions_apart(void **state) {
    (void)state;
    cpl_session *exact = session_in("f32"), *automatic = session_in("auto"), *narrow = session_in("bf16");
    cpl_layout *layout = harbour();
    uint64_t hash = hand_over(exact, layout, CPL_SYNC_SETTLE).hash;
    assert_true(hand_over(automatic, layout, CPL_SYNC_SETTLE).hash == hash); /* the built-in model is small */
    if (narrow) assert_true(hand_over(narrow, layout, CPL_SYNC_SETTLE).hash != hash);
    cpl_layout_free(layout);
    cpl_session_free(exact), cpl_session_free(automatic), cpl_session_free(narrow);
}

static void the_cpu_has_no_f16(void **state) {
    (void)state;
    cpl_error error = {0};
    assert_null(cpl_session_new(&(cpl_options){.device = "cpu", .precision = "f16"}, &error));
    assert_int_equal(error.code, CPL_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "not in f16; use --precision auto"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_pictures_look_the_same),
        cmocka_unit_test(the_hash_tells_precisions_apart),
        cmocka_unit_test(the_cpu_has_no_f16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
