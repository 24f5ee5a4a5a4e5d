/* cmocka.h: the few things of cmocka that the tests of operations use, for GPU machines that do not have it. What is
 * printed is what tests/run counts. */
#ifndef TESTS_DEVICE_BARE_CMOCKA_H
#define TESTS_DEVICE_BARE_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(function)                                                                                     \
    { #function, function }

static jmp_buf bare_end; /* of the test that runs; 1: it failed, 2: it was skipped */

static inline __attribute__((noreturn, format(printf, 3, 4))) void bare_fail(const char *file, int line,
                                                                             const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("%s:%d: ", file, line);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    longjmp(bare_end, 1);
}
#define fail_msg(...) bare_fail(__FILE__, __LINE__, __VA_ARGS__)
#define skip() longjmp(bare_end, 2)
#define bare_check(holds, text)                                                                                        \
    do {                                                                                                               \
        if (!(holds)) bare_fail(__FILE__, __LINE__, "%s", text);                                                       \
    } while (0)
#define assert_true(x) bare_check(x, #x)
#define assert_false(x) bare_check(!(x), "not " #x)
#define assert_null(x) bare_check((x) == NULL, #x " is NULL")
#define assert_non_null(x) bare_check((x) != NULL, #x " is not NULL")
#define assert_int_equal(a, b) bare_check((long long)(a) == (long long)(b), #a " is " #b)

static inline int bare_run(const struct CMUnitTest *tests, size_t count) {
    /* volatile: they change between setjmp and longjmp */
    volatile int failed = 0;
    for (volatile size_t i = 0; i < count; i++) {
        printf("[ RUN      ] %s\n", tests[i].name);
        fflush(stdout);
        int end = setjmp(bare_end);
        if (end == 0) tests[i].run(&(void *){NULL});
        failed += end == 1;
        printf("[%s] %s\n", end == 1 ? "  FAILED  " : end == 2 ? "  SKIPPED " : "       OK ", tests[i].name);
    }
    return failed;
}
#define cmocka_run_group_tests(tests, set_up, tear_down) bare_run(tests, sizeof(tests) / sizeof *(tests))

#endif
