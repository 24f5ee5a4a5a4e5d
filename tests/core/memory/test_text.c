/* Numbers as text in any locale, and messages that are safe to print. */
#include "../../test.h"

#include "../../../core/memory/alloc.h"
#include "../../../core/memory/hash.h"
#include "../../../core/memory/number.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void round_trip(double value) {
    char text[CPL_NUMBER_SIZE];
    double back = 0;
    cpl_number_print(value, text);
    assert_null(strchr(text, ','));
    assert_true(cpl_number_parse(text, &back));
    assert_memory_equal(&back, &value, sizeof value);
}

static void numbers_read_back_bit_equal(void **state) {
    (void)state;
    uint32_t seed = 11;
    const double special[] = {
        0.0, -0.0, 1.0, 0.1, 1.0 / 3, 0.575, 1e-300, 5e-324, 1.7976931348623157e308, 9007199254740991.0};
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) round_trip(special[i]);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)test_random(&seed) << 32 | test_random(&seed);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) round_trip(value);
        round_trip(test_uniform(&seed));
    }
    char text[CPL_NUMBER_SIZE];
    cpl_number_print(0.1, text);
    assert_string_equal(text, "0.1");
    cpl_number_print(NAN, text);
    assert_string_equal(text, "null");
}

static void numbers_do_not_follow_the_locale(void **state) {
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) skip(); /* the command tests make that locale */
    round_trip(0.125);
    double value;
    assert_false(cpl_number_parse("0,5", &value));
    setlocale(LC_NUMERIC, "C");
}

static void only_decimal_numbers_are_numbers(void **state) {
    (void)state;
    double value;
    const char *bad[] = {"", " 1", "1 ", "0x10", "inf", "nan", "1e", "1e+", ".", "-", "1.2.3", "1,5", "1e999", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_false(cpl_number_parse(bad[i], &value));
    assert_true(cpl_number_parse("-.5e1", &value));
    assert_true(value == -5.0);
}

static void messages_carry_no_control_characters(void **state) {
    (void)state;
    cpl_error error = {0};
    assert_false(cpl_fail(&error, CPL_E_FILE, "file \x1b[31m\xc2\x9bX\x7f\n%s", "\t"));
    assert_string_equal(error.message, "file ?[31m??X???");
}

static void long_messages_end_at_a_character(void **state) {
    (void)state;
    char text[2000] = "";
    for (int i = 0; i < 600; i++) strcat(text, "\xe2\x82\xac"); /* a euro sign */
    cpl_error error = {0};
    cpl_fail(&error, CPL_E_FILE, "x%s", text);
    size_t length = strlen(error.message);
    assert_true(length > 500);
    assert_int_equal((length - 1) % 3, 0);
    assert_false(cpl_fail(NULL, CPL_E_FILE, "nobody listens"));
}

static void hashes_tell_texts_apart(void **state) {
    (void)state;
    uint64_t start = CPL_HASH_START;
    assert_true(cpl_hash_text(start, NULL) != cpl_hash_text(start, ""));
    assert_true(cpl_hash_text(cpl_hash_text(start, "ab"), "c") != cpl_hash_text(cpl_hash_text(start, "a"), "bc"));
    assert_true(cpl_hash_double(start, 0.0) == cpl_hash_double(start, -0.0));
    assert_true(cpl_hash_double(start, 0.1) != cpl_hash_double(start, 0.1 + 1e-17 + 2e-17));
}

static void growing_keeps_what_was_there(void **state) {
    (void)state;
    int *array = NULL, room = 0;
    for (int i = 0; i < 1000; i++) {
        assert_true(cpl_grow((void **)&array, &room, i + 1, sizeof *array, NULL));
        array[i] = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(array[i], i);
    free(array);
    cpl_error error = {0};
    assert_null(cpl_alloc(SIZE_MAX / 2, 4, &error));
    assert_int_equal(error.code, CPL_E_MEMORY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_read_back_bit_equal),      cmocka_unit_test(numbers_do_not_follow_the_locale),
        cmocka_unit_test(only_decimal_numbers_are_numbers), cmocka_unit_test(messages_carry_no_control_characters),
        cmocka_unit_test(long_messages_end_at_a_character), cmocka_unit_test(hashes_tell_texts_apart),
        cmocka_unit_test(growing_keeps_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
