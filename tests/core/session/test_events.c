/* The event queue by itself: order, the file descriptor, and what becomes of news that nobody reads. */
#include "session_test.h"

#include <poll.h>
#include <pthread.h>

#include "../../../core/session/events.h"

static cpl_events *events;

static int set_up(void **state) {
    (void)state;
    events = cpl_events_new(NULL);
    return events ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    cpl_events_free(events);
    return 0;
}

static void post(cpl_event_type type, uint64_t revision, bool answer) {
    cpl_event event = {.type = type, .revision = revision, .step = (int)revision};
    cpl_events_post(events, &event, answer);
}

static bool is_readable(void) {
    struct pollfd p = {.fd = cpl_events_fd(events), .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static int drain(cpl_event_type *types, int room) {
    cpl_event event;
    int count = 0;
    while (cpl_events_next(events, &event)) {
        if (count < room) types[count] = event.type;
        count++;
        cpl_event_clear(&event);
    }
    return count;
}

static void events_come_in_order(void **state) {
    (void)state;
    static const cpl_event_type order[] = {CPL_EVENT_LOADING,  CPL_EVENT_READY,    CPL_EVENT_SYNCED,
                                           CPL_EVENT_STARTED,  CPL_EVENT_PROGRESS, CPL_EVENT_PREVIEW,
                                           CPL_EVENT_FINISHED, CPL_EVENT_STARTED,  CPL_EVENT_FAILED};
    enum { COUNT = sizeof order / sizeof *order };
    cpl_event_type got[COUNT];
    cpl_event preview = {.type = CPL_EVENT_PREVIEW};
    assert_true(cpl_events_reserve_preview(events, 1, 1, NULL));
    for (int i = 0; i < COUNT; i++) {
        if (order[i] == CPL_EVENT_PREVIEW)
            cpl_events_post_preview(events, &preview, (const unsigned char *)"abc", 1, 1);
        else
            post(order[i], 1, true);
    }
    assert_int_equal(drain(got, COUNT), COUNT);
    for (int i = 0; i < COUNT; i++) assert_int_equal(got[i], order[i]);
}

static void the_descriptor_is_readable_just_while_events_wait(void **state) {
    (void)state;
    cpl_event event;
    assert_false(is_readable());
    assert_false(cpl_events_next(events, &event));
    assert_false(cpl_events_wait(events, 0));
    post(CPL_EVENT_STARTED, 1, false);
    post(CPL_EVENT_PROGRESS, 1, false);
    assert_true(is_readable());
    assert_true(cpl_events_next(events, &event));
    assert_true(is_readable());
    assert_true(cpl_events_wait(events, 0));
    assert_true(cpl_events_next(events, &event));
    assert_false(is_readable());
    post(CPL_EVENT_FINISHED, 1, true);
    assert_true(is_readable());
    /* A live run that starts and is cancelled unseen leaves nothing, not even a wake-up. */
    assert_true(cpl_events_next(events, &event));
    post(CPL_EVENT_STARTED, 2, false);
    post(CPL_EVENT_CANCELLED, 2, false);
    assert_false(is_readable());
}

static void a_reader_who_sleeps_finds_only_what_counts(void **state) {
    (void)state;
    static const unsigned char pixels[2][3] = {{1, 2, 3}, {7, 8, 9}};
    cpl_event_type got[8];
    assert_true(cpl_events_reserve_preview(events, 1, 1, NULL));
    for (uint64_t i = 1; i <= 10000; i++) {
        cpl_event preview = {.type = CPL_EVENT_PREVIEW, .step = (int)i};
        post(CPL_EVENT_SYNCED, i, false);
        if (i % 3 == 0) post(CPL_EVENT_INVALID, i, false);
        post(CPL_EVENT_STARTED, i, false);
        post(CPL_EVENT_PROGRESS, i, false);
        cpl_events_post_preview(events, &preview, pixels[i == 10000], 1, 1);
        post(CPL_EVENT_CANCELLED, i, false);
    }
    post(CPL_EVENT_STARTED, 10001, false);
    post(CPL_EVENT_PROGRESS, 10001, false);
    post(CPL_EVENT_FINISHED, 10001, true);
    assert_int_equal(drain(got, 8), 4);
    assert_int_equal(got[0], CPL_EVENT_SYNCED);
    assert_int_equal(got[1], CPL_EVENT_STARTED);
    assert_int_equal(got[2], CPL_EVENT_PROGRESS);
    assert_int_equal(got[3], CPL_EVENT_FINISHED);
}

/* Taking a start back takes nothing else along: not where pictures of the run wait, nor the start of another run. */
static void only_the_start_of_the_cancelled_run_is_taken_back(void **state) {
    (void)state;
    static const cpl_event_type order[][5] = {
        {CPL_EVENT_STARTED, CPL_EVENT_FINISHED, CPL_EVENT_CANCELLED},
        {CPL_EVENT_STARTED, CPL_EVENT_FINISHED, CPL_EVENT_FINISHED, CPL_EVENT_CANCELLED},
        {CPL_EVENT_STARTED, CPL_EVENT_FAILED, CPL_EVENT_CANCELLED},
    };
    cpl_event_type got[8] = {0};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        int count = 0;
        for (; order[i][count]; count++) post(order[i][count], i, false);
        assert_int_equal(drain(got, 8), count);
        for (int k = 0; k < count; k++) assert_int_equal(got[k], order[i][k]);
    }
    /* An answer ends the run before, whatever it says. */
    post(CPL_EVENT_STARTED, 1, false);
    post(CPL_EVENT_INVALID, 1, true);
    post(CPL_EVENT_CANCELLED, 2, false);
    assert_int_equal(drain(got, 8), 3);
    /* The newest run has its own start, and news behind it are none of its end. */
    post(CPL_EVENT_STARTED, 1, false);
    post(CPL_EVENT_FINISHED, 1, false);
    post(CPL_EVENT_STARTED, 2, false);
    post(CPL_EVENT_SYNCED, 3, false);
    post(CPL_EVENT_INVALID, 4, false);
    post(CPL_EVENT_CANCELLED, 2, false);
    assert_int_equal(drain(got, 8), 3);
    assert_int_equal(got[0], CPL_EVENT_STARTED);
    assert_int_equal(got[1], CPL_EVENT_FINISHED);
    assert_int_equal(got[2], CPL_EVENT_INVALID);
}

static void answers_are_never_dropped(void **state) {
    (void)state;
    static const cpl_event_type answers[] = {CPL_EVENT_CANCELLED, CPL_EVENT_INVALID, CPL_EVENT_FAILED,
                                             CPL_EVENT_FINISHED};
    cpl_event_type got[64];
    for (uint64_t i = 0; i < 40; i++) {
        post(answers[i % 4], i, true);
        post(CPL_EVENT_SYNCED, i, false);
    }
    assert_int_equal(drain(got, 64), 41);
    for (int i = 0; i < 40; i++) assert_int_equal(got[i], answers[i % 4]);
}

static void the_newest_progress_and_preview_stand(void **state) {
    (void)state;
    static const unsigned char old[12] = {1}, new[3] = {7, 8, 9};
    cpl_event event = {.type = CPL_EVENT_PREVIEW, .step = 1};
    assert_true(cpl_events_reserve_preview(events, 2, 2, NULL));
    cpl_events_post_preview(events, &event, old, 2, 2);
    assert_true(cpl_events_reserve_preview(events, 4, 4, NULL));
    event.step = 2;
    cpl_events_post_preview(events, &event, new, 1, 1);
    post(CPL_EVENT_PROGRESS, 1, false);
    post(CPL_EVENT_PROGRESS, 9, false);
    assert_true(cpl_events_next(events, &event));
    assert_int_equal(event.type, CPL_EVENT_PREVIEW);
    assert_int_equal(event.step, 2);
    assert_int_equal(event.image->width, 1);
    assert_memory_equal(event.image->rgb, new, 3);
    cpl_event_clear(&event);
    assert_true(cpl_events_next(events, &event));
    assert_int_equal(event.step, 9);
    assert_false(cpl_events_next(events, &event));
}

/* A preview that waits keeps its pixels when a larger run makes room. */
static void reserving_keeps_an_unread_preview(void **state) {
    (void)state;
    static const unsigned char pixels[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    cpl_event event = {.type = CPL_EVENT_PREVIEW};
    assert_true(cpl_events_reserve_preview(events, 2, 2, NULL));
    cpl_events_post_preview(events, &event, pixels, 2, 2);
    assert_true(cpl_events_reserve_preview(events, 64, 64, NULL));
    assert_true(cpl_events_next(events, &event));
    assert_memory_equal(event.image->rgb, pixels, 12);
    cpl_event_clear(&event);
}

static void *post_many(void *user) {
    (void)user;
    for (uint64_t i = 0; i < 2000; i++) post(CPL_EVENT_FINISHED, i, true);
    return NULL;
}

static void posts_from_several_threads_all_arrive(void **state) {
    (void)state;
    pthread_t threads[4];
    int count = 0;
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, post_many, NULL), 0);
    while (count < 8000) {
        cpl_event event;
        assert_true(cpl_events_wait(events, PATIENCE_MS));
        while (cpl_events_next(events, &event)) count++;
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_false(is_readable());
}

static void clearing_frees_what_an_event_owns(void **state) {
    (void)state;
    cpl_event event = {.type = CPL_EVENT_FINISHED, .text_count = 1, .line_count = 2};
    event.image = cpl_image_new(4, 4, NULL);
    event.lines = calloc(2, sizeof *event.lines);
    event.texts = calloc(1, sizeof *event.texts);
    event.texts[0] = (cpl_text){strdup("key"), strdup("value")};
    cpl_events_post(events, &event, true);
    assert_null(event.image); /* taken over */
    assert_true(cpl_events_next(events, &event));
    assert_string_equal(event.texts[0].value, "value");
    cpl_event_clear(&event); /* the address sanitizer counts */
    assert_null(event.texts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_come_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_descriptor_is_readable_just_while_events_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_who_sleeps_finds_only_what_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_start_of_the_cancelled_run_is_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_are_never_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_progress_and_preview_stand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reserving_keeps_an_unread_preview, set_up, tear_down),
        cmocka_unit_test_setup_teardown(posts_from_several_threads_all_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(clearing_frees_what_an_event_owns, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
