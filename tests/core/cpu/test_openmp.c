/* oneDNN stands on gcc's OpenMP run-time, our own loops on the compiler's, and clang brings another. Two at work in one process
 * would be two teams of threads, and the thread count set in one would not be known to the other. One has to serve both. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dnnl.h>
#include <omp.h>

/* The function that a library made by gcc, as oneDNN is, comes to when it calls this name. */
static void *its(const char *name, const char *version) {
    assert_non_null(dnnl_version()); /* it is linked at all */
    void *function = dlvsym(RTLD_DEFAULT, name, version);
    if (!function) skip(); /* oneDNN has threads of another kind */
    return function;
}

static const char *file_of(void *function) {
    Dl_info found;
    assert_int_not_equal(dladdr(function, &found), 0);
    return found.dli_fname;
}

static void one_library_is_called(void **state) {
    (void)state;
    void *loops = its("GOMP_parallel", "GOMP_4.0"), *count = its("omp_get_max_threads", "OMP_1.0");
    assert_string_equal(file_of(loops), file_of(count));
}

static void onednn_knows_our_thread_count(void **state) {
    (void)state;
    int (*max_threads)(void);
    *(void **)&max_threads = its("omp_get_max_threads", "OMP_1.0");
    for (int count = 1; count <= 3; count++) {
        omp_set_num_threads(count);
        assert_int_equal(max_threads(), omp_get_max_threads());
    }
}

/* A product inside a loop of ours must not start a team of its own. */
static void onednn_knows_our_loops(void **state) {
    (void)state;
    int (*in_parallel)(void), members = 0, aware = 0;
    *(void **)&in_parallel = its("omp_in_parallel", "OMP_1.0");
#pragma omp parallel num_threads(2) reduction(+ : members, aware)
    {
        members++;
        aware += in_parallel() != 0;
    }
    if (members < 2) skip();
    assert_int_equal(aware, members);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_library_is_called),
        cmocka_unit_test(onednn_knows_our_thread_count),
        cmocka_unit_test(onednn_knows_our_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
