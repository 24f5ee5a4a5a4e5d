/* Loading a model: how far it is, and giving it up. Files are read through a gate of this test, so that it knows where the
 * loading stands. */
#include "session_test.h"

#include <pthread.h>
#include <sys/syscall.h>

#define MODEL "core/model/builtin/builtin.safetensors" /* a file as any other, with its vocabulary beside it */
#define DATA_BEGINS 65512                              /* behind the header */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static bool gate_is_shut, somebody_waits;
static int let_through; /* reads of data before the gate holds one */

/* In front of the C library's: reads of tensors wait at the gate. */
ssize_t pread(int fd, void *out, size_t size, off_t offset);
ssize_t pread(int fd, void *out, size_t size, off_t offset) {
    pthread_mutex_lock(&lock);
    bool held = gate_is_shut && offset >= DATA_BEGINS && let_through-- <= 0;
    while (held && gate_is_shut) {
        somebody_waits = true;
        pthread_cond_broadcast(&moved);
        pthread_cond_wait(&moved, &lock);
    }
    pthread_mutex_unlock(&lock);
    return syscall(SYS_pread64, fd, out, size, offset);
}

static void shut_gate(int after) {
    pthread_mutex_lock(&lock);
    gate_is_shut = true;
    somebody_waits = false;
    let_through = after;
    pthread_mutex_unlock(&lock);
}

static void open_gate(void) {
    pthread_mutex_lock(&lock);
    gate_is_shut = false;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

static void await_reader(void) {
    pthread_mutex_lock(&lock);
    while (!somebody_waits) pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

static cpl_layout *layout_with(const char *model) {
    cpl_layout *layout = two_columns(1);
    assert_true(cpl_text_set(&layout->sampling.model, model, NULL));
    return layout;
}

static void no_end_follows(cpl_session *session) {
    for (cpl_event event; cpl_session_wait(session, 50) && cpl_session_next(session, &event); cpl_event_clear(&event))
        assert_true(event.type < CPL_EVENT_FINISHED);
}

static void a_cancel_gives_the_loading_up(void **state) {
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        cpl_session *session = open_session(&(cpl_options){0});
        cpl_layout *layout = layout_with(MODEL), *plain = two_columns(1);
        cpl_event event = {0};
        shut_gate(300);
        hand_over(session, layout, CPL_SYNC_NOW);
        if (asked) cpl_session_generate(session);
        await_reader();
        await(session, CPL_EVENT_LOADING, &event); /* the newest of many */
        assert_string_equal(event.model.name, "builtin");
        assert_true(event.fraction > 0 && event.fraction < 1);
        cpl_session_cancel(session);
        cpl_session_cancel(session); /* a second time changes nothing */
        open_gate();
        await(session, CPL_EVENT_CANCELLED, &event);
        no_end_follows(session);
        /* It can be asked for again, and so can another one. */
        cpl_image_free(picture_of(session, plain));
        hand_over(session, layout, CPL_SYNC_NOW);
        await(session, CPL_EVENT_READY, &event);
        cpl_event_clear(&event);
        cpl_layout_free(layout);
        cpl_layout_free(plain);
        cpl_session_free(session);
    }
}

/* Nobody waits for the first any more: it is not read to its end, and no word is said about it. */
static void another_model_takes_the_place_of_the_one_on_the_way(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *first = layout_with(MODEL), *second = layout_with("builtin");
    cpl_event event = {0};
    shut_gate(50);
    hand_over(session, first, CPL_SYNC_NOW);
    await_reader();
    hand_over(session, second, CPL_SYNC_NOW);
    open_gate();
    await(session, CPL_EVENT_READY, &event);
    assert_string_equal(event.model.name, "builtin");
    cpl_event_clear(&event);
    no_end_follows(session);
    cpl_layout_free(first);
    cpl_layout_free(second);
    cpl_session_free(session);
}

/* An edit while a model is on the way does not make it start anew. */
static void edits_do_not_disturb_the_loading(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = layout_with(MODEL);
    cpl_event event = {0};
    shut_gate(400);
    cpl_session_live(session, true);
    hand_over(session, layout, CPL_SYNC_NOW);
    await_reader();
    layout->regions[0].weight = 0.5;
    hand_over(session, layout, CPL_SYNC_NOW);
    open_gate();
    double loaded = 0;
    do {
        cpl_event_clear(&event);
        next_event(session, &event);
        if (event.type == CPL_EVENT_LOADING) {
            assert_true(event.fraction >= loaded);
            loaded = event.fraction;
        }
    } while (event.type != CPL_EVENT_READY);
    assert_string_equal(event.model.name, "builtin");
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void freeing_a_session_gives_the_loading_up(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = layout_with(MODEL);
    shut_gate(100);
    hand_over(session, layout, CPL_SYNC_NOW);
    await_reader();
    open_gate();
    cpl_session_free(session);
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_gives_the_loading_up),
        cmocka_unit_test(another_model_takes_the_place_of_the_one_on_the_way),
        cmocka_unit_test(edits_do_not_disturb_the_loading),
        cmocka_unit_test(freeing_a_session_gives_the_loading_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
