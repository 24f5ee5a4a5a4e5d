/* Budgets: what a run may take, what caches may keep, and what goes back when nothing is asked for. */
#include "interpose.h"

#include "session_test.h"

static const char *sentences[] = {"a cat, night sky", "a dog, sunset", "a house, sea",    "a star, on grass",
                                  "a fish, in fog",   "a tree, sea",   "a crown, sunset", "a boat, night sky"};

static cpl_layout *eight_lines(void) {
    char json[1200];
    int used =
        snprintf(json, sizeof json,
                 "{\"mode\": \"basic\", \"canvas\": {\"width\": 64, \"height\": 64}, \"sampling\": {\"steps\": 2, "
                 "\"seed\": 1}, \"regions\": [");
    for (int i = 0; i < 8; i++)
        used +=
            snprintf(json + used, sizeof json - (size_t)used, "%s{\"prompt\": \"%s\"}", i ? ", " : "", sentences[i]);
    snprintf(json + used, sizeof json - (size_t)used, "]}");
    return layout_of(json);
}

/* Caches that hold less than one run needs: values in use stay, the others go, and the picture is the same. */
static void a_small_cache_changes_no_picture(void **state) {
    (void)state;
    cpl_session *rich = open_session(&(cpl_options){0}), *poor = open_session(&(cpl_options){.cache_bytes = 1 << 16});
    cpl_layout *layout = eight_lines();
    for (int i = 0; i < 3; i++) {
        cpl_image *a = picture_of(rich, layout), *b = picture_of(poor, layout);
        assert_true(same_picture(a, b));
        cpl_image_free(a);
        cpl_image_free(b);
        static const char *const others[] = {"a heart, in fog", "a heart, sea", "a heart, sunset"};
        assert_true(cpl_text_set(&layout->regions[i].prompt, others[i], NULL));
    }
    cpl_stats with = stats_of(rich), without = stats_of(poor);
    assert_int_equal(with.conditioning.evictions + with.text_kv.evictions, 0);
    assert_true(without.text_kv.evictions > 0);
    assert_true(without.text_kv.bytes < with.text_kv.bytes);
    cpl_layout_free(layout);
    cpl_session_free(rich);
    cpl_session_free(poor);
}

/* The least budget with which a run still succeeds is found by trying; below it each run ends with a clear error and the
 * session goes on, at it the caches have had to give way. */
static void a_budget_ends_runs_with_words_and_not_the_session(void **state) {
    (void)state;
    cpl_layout *layout = eight_lines(), *small = two_columns(1);
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_image *wanted = picture_of(session, layout);
    uint64_t held = stats_of(session).pool_held_peak_bytes;
    cpl_session_free(session);
    int refused = 0, finished = 0;
    for (uint64_t budget = held / 16; budget < held * 2; budget += budget / 5) {
        cpl_event event = {0};
        session = open_session(&(cpl_options){.debounce_ms = 60000, .pool_bytes = budget});
        hand_over(session, layout, CPL_SYNC_SETTLE);
        cpl_session_generate(session);
        await_end(session, &event);
        if (event.type == CPL_EVENT_FINISHED) {
            finished++;
            assert_true(same_picture(event.image, wanted));
            assert_true(stats_of(session).pool_held_peak_bytes <= budget);
        } else {
            refused++;
            assert_int_equal(event.error.code, CPL_E_MEMORY);
            bool where = strstr(event.error.message, "encoding the prompts: ") ||
                         strstr(event.error.message, "sampling: ") ||
                         strstr(event.error.message, "decoding the picture: ");
            if (!where || !strstr(event.error.message, "bytes asked for")) fail_msg("%s", event.error.message);
            assert_int_equal(stats_of(session).active_tensors, 0);
        }
        cpl_event_clear(&event);
        hand_over(session, small, CPL_SYNC_SETTLE);
        cpl_session_generate(session);
        await_end(session, &event);
        assert_true(event.type == CPL_EVENT_FINISHED || event.error.code == CPL_E_MEMORY);
        cpl_event_clear(&event);
        cpl_session_free(session);
    }
    assert_true(refused > 0 && finished > 0);
    cpl_image_free(wanted);
    cpl_layout_free(layout);
    cpl_layout_free(small);
}

/* Nothing of a run stays but what lies in the caches; that, too, is counted. */
static void nothing_is_active_between_runs(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = eight_lines();
    for (const char *const *sampler = cpl_sampler_names(); *sampler; sampler++) {
        assert_true(cpl_text_set(&layout->sampling.sampler, *sampler, NULL));
        cpl_image_free(picture_of(session, layout));
        cpl_stats stats = stats_of(session);
        assert_int_equal(stats.active_tensors, 0);
        assert_int_equal(stats.active_bytes, 0);
        assert_true(stats.cached_tensors >= 9 && stats.cached_bytes > 0);
    }
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* What is held for the activations against the least that any pool could do with: the largest set of live tensors. */
static void little_is_held_that_is_not_live(void **state) {
    (void)state;
    static const int sides[] = {24, 64, 104, 192};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        cpl_session *session = open_session(&(cpl_options){0});
        cpl_layout *layout = eight_lines();
        layout->width = sides[i];
        layout->height = sides[sizeof sides / sizeof *sides - 1 - i];
        cpl_image_free(picture_of(session, layout));
        cpl_stats stats = stats_of(session);
        print_message("%dx%d: %.2f MB live, %.2f MB held at most\n", layout->width, layout->height,
                      (double)stats.live_peak_bytes / 1e6, (double)stats.pool_held_peak_bytes / 1e6);
        assert_true(stats.live_peak_bytes > 100000);
        assert_true(stats.pool_held_peak_bytes >= stats.live_peak_bytes);
        /* A sanitizer's pool has each block by itself, to watch it; there is more of it. */
        if (WATCHED) assert_true((double)stats.pool_held_peak_bytes <= 1.2 * (double)stats.live_peak_bytes);
        assert_int_equal(stats.step_allocations, 0);
        cpl_layout_free(layout);
        cpl_session_free(session);
    }
}

static void idle_memory_goes_back(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.trim_after_ms = 20});
    cpl_layout *layout = eight_lines();
    cpl_image *first = picture_of(session, layout);
    for (int i = 0; stats_of(session).pool_bytes > stats_of(session).cached_bytes * 3 / 2; i++) {
        if (i > PATIENCE_MS) fail_msg("%d bytes are still held", (int)stats_of(session).pool_bytes);
        usleep(1000);
    }
    cpl_image *second = picture_of(session, layout);
    assert_true(same_picture(first, second));
    assert_int_equal(stats_of(session).encoder_calls, 9);
    cpl_image_free(first);
    cpl_image_free(second);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* In strips or not: the same picture, and the decoding is told of. */
static void a_tile_changes_no_picture(void **state) {
    (void)state;
    cpl_layout *layout = eight_lines();
    cpl_image *pictures[3];
    for (int i = 0; i < 3; i++) {
        cpl_session *session = open_session(&(cpl_options){.vae_tile = (int64_t[]){-1, 100, 0}[i]});
        cpl_event event = {0};
        bool told = false;
        hand_over(session, layout, CPL_SYNC_NOW);
        cpl_session_generate(session);
        do {
            cpl_event_clear(&event);
            next_event(session, &event);
            told = told || (event.type == CPL_EVENT_PROGRESS && event.fraction > 0);
        } while (event.type < CPL_EVENT_FINISHED);
        assert_int_equal(event.type, CPL_EVENT_FINISHED);
        assert_true(told);
        pictures[i] = event.image;
        event.image = NULL;
        cpl_event_clear(&event);
        cpl_session_free(session);
    }
    assert_true(same_picture(pictures[0], pictures[2]));
    int most = 0;
    for (int i = 0; i < 64 * 64 * 3; i++) {
        int difference = abs(pictures[0]->rgb[i] - pictures[1]->rgb[i]);
        if (difference > most) most = difference;
    }
    assert_true(most <= 1); /* truncation may fall on the other side */
    for (int i = 0; i < 3; i++) cpl_image_free(pictures[i]);
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_cache_changes_no_picture),
        cmocka_unit_test(a_budget_ends_runs_with_words_and_not_the_session),
        cmocka_unit_test(nothing_is_active_between_runs),
        cmocka_unit_test(little_is_held_that_is_not_live),
        cmocka_unit_test(idle_memory_goes_back),
        cmocka_unit_test(a_tile_changes_no_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
