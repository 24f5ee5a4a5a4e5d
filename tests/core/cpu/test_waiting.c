/* test_waiting.c: when threads should sleep, told by numbers instead of a clock; and that a stream finds its counters. */
#include "cpu_test.h"

#include <unistd.h>

#include "../../../core/cpu/waiting.h"

/* Looks whenever it is due, up to `until`, with `share` of the time of two threads spent queueing. */
static int looks(cpu_patience *p, double *now, double *queued, double until, double share) {
    int count = 0;
    for (; *now < until; *now += 1, *queued += 2 * share)
        if (cpu_patience_is_due(p, *now)) {
            cpu_patience_look(p, *now, *queued, 2);
            count++;
        }
    return count;
}

static void test_free_processors(void **state) {
    (void)state;
    cpu_patience p = {0};
    double now = 1000, queued = 77;
    int count = looks(&p, &now, &queued, 11000, 0.05);
    assert_false(p.asleep);
    assert_in_range(count, 400, 600);
}

static void test_a_crowd(void **state) {
    (void)state;
    cpu_patience p = {0};
    double now = 1000, queued = 0;
    looks(&p, &now, &queued, 1100, 0);
    assert_false(p.asleep);
    looks(&p, &now, &queued, 1150, 0.5);
    assert_true(p.asleep);
    /* it stays asleep while the crowd is there, without being woken to see */
    int count = looks(&p, &now, &queued, 61150, 0.5);
    assert_true(p.asleep);
    assert_in_range(count, 30, 61);
    looks(&p, &now, &queued, 63200, 0);
    assert_false(p.asleep);
}

/* Who is crowded only while awake is not woken again and again. */
static void test_longer_pauses(void **state) {
    (void)state;
    cpu_patience p = {0};
    double now = 1000, queued = 0, awake = 0;
    for (int ms = 0; ms < 120000; ms++, now++) {
        if (cpu_patience_is_due(&p, now)) cpu_patience_look(&p, now, queued, 2);
        queued += p.asleep ? 0 : 1;
        awake += !p.asleep;
    }
    assert_in_range((int)awake, 20, 600);
    assert_true(p.pause_ms > 5000);
    /* a long time without a crowd, and it counts as a new one */
    p.asleep = false;
    looks(&p, &now, &queued, 300000, 0);
    assert_false(p.asleep);
    looks(&p, &now, &queued, 300100, 0.9);
    assert_true(p.asleep);
    assert_true(p.pause_ms < 5000);
}

static void test_counters(void **state) {
    (void)state;
    cpu_waiting w;
    unsetenv("OMP_WAIT_POLICY");
    unsetenv("GOMP_SPINCOUNT");
    cpu_waiting_open(&w);
    cpu_waiting_look(&w, 1);
    assert_false(w.watched); /* one thread has nobody to wait for */
    cpu_waiting_look(&w, 2);
    if (access("/proc/thread-self/schedstat", R_OK) == 0) {
        assert_true(w.watched);
        assert_false(w.fixed);
        assert_int_equal(w.count, 2);
    } else {
        assert_true(w.fixed);
    }
    cpu_waiting_close(&w);
    assert_false(w.watched);
    assert_false(w.team.there);
    /* a user's choice is left alone */
    setenv("OMP_WAIT_POLICY", "passive", 1);
    cpu_waiting_open(&w);
    cpu_waiting_look(&w, 2);
    assert_false(w.watched);
    assert_false(w.team.there);
    cpu_waiting_close(&w);
    unsetenv("OMP_WAIT_POLICY");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_free_processors), cmocka_unit_test(test_a_crowd),
                                       cmocka_unit_test(test_longer_pauses), cmocka_unit_test(test_counters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
