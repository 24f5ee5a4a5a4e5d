/* A session survives every failed allocation: one after the other of ours is refused, from handing over to the picture and
 * while a model is loaded. What fails is tried once more without the caches, so that most runs make their picture all the
 * same; where allocations go on failing, the run ends with one event that says so. The next run makes the same picture as
 * ever. */
#include "interpose.h"

#include "session_test.h"

#include "lora_files.h"

static char folder[] = "/tmp/couplet-memory-XXXXXX";

static cpl_layout *small_layout(int number) {
    cpl_layout *layout = two_columns(1);
    char prompt[64];
    layout->width = layout->height = 24;
    /* A text and a set of LoRAs that no cache holds. */
    snprintf(prompt, sizeof prompt, "a cat and %d dogs<lora:style:%d>", number, 1 + number % 900);
    assert_true(cpl_text_set(&layout->regions[0].prompt, prompt, NULL));
    layout->regions[0].x2 = layout->regions[1].x1 = 0.25 + 0.0001 * number; /* nor a plan */
    return layout;
}

typedef struct outcome {
    int refused, finished, told;
    int placed; /* of those told, how many say what was done at that moment */
} outcome;

/* Hands over and generates in one job, in which allocation number `at` is refused, and then each `then`-th after it. False:
 * there are not so many. */
static bool run_with_refusals(cpl_session *session, int at, int then, int number, outcome *sum) {
    cpl_layout *layout = small_layout(number);
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_SETTLE);
    atomic_store(&heap_failed, false);
    atomic_store(&heap_fail_then, then);
    atomic_store(&heap_fail_at, at);
    cpl_session_generate(session);
    await_end(session, &event);
    atomic_store(&heap_fail_then, 0);
    atomic_store(&heap_fail_at, 0);
    bool refused = atomic_load(&heap_failed);
    sum->refused += refused;
    if (event.type == CPL_EVENT_FINISHED) {
        sum->finished += refused;
    } else {
        sum->told++;
        if (!refused || event.error.code != CPL_E_MEMORY)
            fail_msg("allocation %d: event %d, code %d: %s", at, event.type, event.error.code, event.error.message);
        sum->placed += strstr(event.error.message, ": out of memory") != NULL;
    }
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    return refused;
}

static void a_run_survives_each_refusal(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 60000, .lora_dir = folder});
    cpl_layout *layout = small_layout(0);
    outcome sum = {0};
    cpl_image *before = picture_of(session, layout);
    int at = 1;
    for (; run_with_refusals(session, at, 0, at, &sum); at += at < 120 ? 1 : 11) {
        cpl_image *after = picture_of(session, layout);
        if (!same_picture(before, after)) fail_msg("another picture after allocation %d was refused", at);
        cpl_image_free(after);
    }
    print_message("%d allocations refused, %d told, %d pictures made all the same\n", sum.refused, sum.told,
                  sum.finished);
    assert_true(sum.finished > sum.refused * 3 / 4);
    assert_true(stats_of(session).memory_rescues > 0);
    assert_int_equal(stats_of(session).active_tensors, 0);
    cpl_image_free(before);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* Sets of LoRAs of earlier runs give way too. */
static void unused_loras_give_way(void **state) {
    (void)state;
    enum { RUNS = 5 };
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 60000, .lora_dir = folder});
    outcome sum = {0};
    for (int i = 1; i <= RUNS; i++) {
        cpl_layout *layout = small_layout(2000 + i);
        cpl_image_free(picture_of(session, layout));
        cpl_layout_free(layout);
    }
    assert_int_equal(stats_of(session).loras.entries, RUNS);
    for (int at = 60; !stats_of(session).memory_rescues && at < 400; at += 7)
        run_with_refusals(session, at, 0, 2000 + RUNS, &sum);
    assert_true(stats_of(session).memory_rescues > 0);
    assert_in_range(stats_of(session).loras.entries, 0, 1); /* the run's own */
    cpl_session_free(session);
}

/* Allocations that go on failing: all of them from some moment on, or each n-th. */
static void a_run_survives_many_refusals(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 60000, .lora_dir = folder});
    cpl_layout *layout = small_layout(0);
    outcome sum = {0};
    cpl_image *before = picture_of(session, layout);
    for (int i = 1; i < 40; i++) {
        int then = i % 2 ? 1 : i + i * i / 8;
        run_with_refusals(session, i % 2 ? 1 + i * i / 3 : then, then, 1000 + i, &sum);
        cpl_image *after = picture_of(session, layout);
        if (!same_picture(before, after)) fail_msg("another picture after round %d", i);
        assert_int_equal(stats_of(session).active_tensors, 0);
        cpl_image_free(after);
    }
    print_message("%d runs with refusals, %d told (%d say where), %d pictures made all the same\n", sum.refused,
                  sum.told, sum.placed, sum.finished);
    assert_true(sum.told > 15);
    assert_true(sum.placed > 5);
    cpl_image_free(before);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void loading_survives_refusals(void **state) {
    (void)state;
    cpl_layout *layout = small_layout(0);
    for (int at = 1; at < 3000; at = at * 5 / 3 + 1) {
        outcome sum = {0};
        cpl_session *session = open_session(&(cpl_options){.debounce_ms = 60000, .lora_dir = folder});
        run_with_refusals(session, at, 0, 0, &sum);
        cpl_image_free(picture_of(session, layout));
        cpl_session_free(session);
    }
    cpl_layout_free(layout);
}

static void opening_survives_refusals(void **state) {
    (void)state;
    heap_spares_this_thread = false;
    for (int at = 1;; at++) {
        cpl_error error = {0};
        atomic_store(&heap_failed, false);
        atomic_store(&heap_fail_at, at);
        cpl_session *session = cpl_session_new(&(cpl_options){.tokenizer = "nowhere", .lora_dir = folder}, &error);
        atomic_store(&heap_fail_at, 0);
        if (!atomic_load(&heap_failed)) {
            cpl_session_free(session);
            break;
        }
        assert_null(session);
        assert_int_equal(error.code, CPL_E_MEMORY);
    }
    heap_spares_this_thread = true;
}

static void handing_over_survives_refusals(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 60000, .lora_dir = folder});
    int refused = 0, told = 0;
    for (int at = 1;; at++) {
        cpl_error error = {0};
        cpl_ticket ticket;
        cpl_layout *layout = small_layout(at);
        heap_spares_this_thread = false;
        atomic_store(&heap_failed, false);
        atomic_store(&heap_fail_at, at);
        bool done = cpl_session_sync(session, layout, CPL_SYNC_SETTLE, &ticket, &error);
        atomic_store(&heap_fail_at, 0);
        heap_spares_this_thread = true;
        if (!atomic_load(&heap_failed)) {
            cpl_layout_free(layout);
            break;
        }
        refused++;
        told += !done;
        if (!done && error.code != CPL_E_MEMORY) fail_msg("allocation %d: %d, %s", at, error.code, error.message);
        /* Hashing has no words for a failure: it then gives a hash of its own, and the next hand-over puts that right. */
        cpl_ticket right = hand_over(session, layout, CPL_SYNC_SETTLE),
                   again = hand_over(session, layout, CPL_SYNC_SETTLE);
        assert_true(right.hash == again.hash && right.revision == again.revision);
        cpl_layout_free(layout);
    }
    print_message("%d allocations refused, %d told\n", refused, told);
    assert_true(told > 5);
    cpl_session_free(session);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    write_lora(folder, "style.safetensors", 1, IN_BOTH);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/style.safetensors", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_survives_refusals),    cmocka_unit_test(handing_over_survives_refusals),
        cmocka_unit_test(unused_loras_give_way),        cmocka_unit_test(a_run_survives_each_refusal),
        cmocka_unit_test(a_run_survives_many_refusals), cmocka_unit_test(loading_survives_refusals),
    };
    if (!WATCHED) {
        print_message("skipped: a sanitizer owns the heap\n");
        return 0;
    }
    heap_spares_this_thread = true;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
