/* The session as a program sees it: hand over, generate, cancel, live, what is wrong, seeds, ends. */
#include "session_test.h"

#include <math.h>
#include <poll.h>
#include <signal.h>

static void a_layout_becomes_a_picture(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(2);
    static const cpl_event_type order[] = {CPL_EVENT_READY, CPL_EVENT_SYNCED, CPL_EVENT_STARTED};
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_event event = {0};
    double loaded = -1;
    assert_true(ticket.revision == 1 && ticket.hash != 0);
    cpl_session_generate(session);
    for (next_event(session, &event); event.type == CPL_EVENT_LOADING; next_event(session, &event)) {
        assert_true(event.fraction > loaded && event.fraction <= 1);
        assert_string_equal(event.model.name, "builtin");
        loaded = event.fraction;
        cpl_event_clear(&event);
    }
    assert_true(loaded >= 0);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (i > 0) next_event(session, &event);
        assert_int_equal(event.type, order[i]);
        assert_true(event.hash == ticket.hash && event.revision == 1);
        if (event.type == CPL_EVENT_READY) assert_string_equal(event.model.name, "builtin");
        if (event.type == CPL_EVENT_SYNCED) {
            assert_int_equal(event.line_count, 2);
            assert_int_equal(event.lines[0].tokens, 5); /* a cat , night sky */
            assert_string_equal(event.lines[0].unknown, "");
            assert_false(event.lines[0].vanishes);
        }
        if (event.type == CPL_EVENT_STARTED) assert_true(event.steps == 2 && event.seed == 3);
        cpl_event_clear(&event);
    }
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.hash == ticket.hash && event.seed == 3 && event.ms > 0);
    assert_int_equal(event.image->width, 64);
    assert_int_equal(event.image->height, 64);
    assert_int_equal(event.text_count, 2);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void progress_and_previews_come_for_each_step(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.preview_every = 2});
    cpl_layout *layout = two_columns(6);
    cpl_event event = {0};
    int last = 0;
    bool previewed = false;
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    do {
        cpl_event_clear(&event);
        next_event(session, &event);
        if (event.type == CPL_EVENT_PROGRESS) {
            if (event.fraction > 0) /* of the decoding, which comes after the last step */
                assert_true(event.step == 6 && event.fraction <= 1);
            else
                assert_true(event.step > last);
            assert_int_equal(event.steps, 6);
            last = event.step;
        }
        if (event.type == CPL_EVENT_PREVIEW) {
            previewed = true;
            assert_int_equal(event.step % 2, 0);
            assert_int_equal(event.image->width, 8); /* latent size */
        }
    } while (event.type < CPL_EVENT_FINISHED);
    assert_int_equal(event.type, CPL_EVENT_FINISHED);
    assert_int_equal(last, 6); /* the newest progress is never lost */
    assert_true(previewed);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void the_same_layout_is_no_news(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    cpl_ticket first = hand_over(session, layout, CPL_SYNC_NOW), again;
    layout->regions[0].color = 5; /* changes no pixel */
    again = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(again.revision == first.revision && again.hash == first.hash);
    layout->regions[0].weight = 2;
    again = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(again.revision == 2 && again.hash != first.hash);
    layout->regions[0].weight = 1;
    again = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(again.revision == 3 && again.hash == first.hash);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* What a file leaves out and what it spells out as the model's default is the same picture. */
static void defaults_and_spelt_out_values_share_a_hash(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = layout_of("{\"regions\": [{\"prompt\": \"a cat\"}]}");
    uint64_t hash = hand_over(session, layout, CPL_SYNC_NOW).hash;
    cpl_model_info info;
    assert_true(cpl_model_peek(&(cpl_model_source){0}, &info, NULL));
    layout->width = info.defaults.width;
    layout->sampling.steps = info.defaults.steps;
    layout->sampling.cfg = info.defaults.cfg;
    layout->sampling.seed = 0;
    assert_true(cpl_text_set(&layout->sampling.sampler, info.defaults.sampler, NULL));
    assert_true(cpl_text_set(&layout->sampling.model, "builtin", NULL));
    assert_true(hand_over(session, layout, CPL_SYNC_NOW).hash == hash);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void edits_settle_before_the_worker_looks(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 400});
    cpl_layout *layout = two_columns(1);
    cpl_event event = {0};
    cpl_ticket ticket = {0};
    for (int i = 1; i <= 5; i++) {
        layout->regions[0].weight = 1 + i;
        ticket = hand_over(session, layout, CPL_SYNC_SETTLE);
    }
    await(session, CPL_EVENT_SYNCED, &event);
    assert_true(event.revision == ticket.revision); /* the first four were never looked at */
    cpl_event_clear(&event);
    assert_false(cpl_session_wait(session, 50));
    /* Asking for a picture does not wait. */
    layout->regions[0].weight = 9;
    ticket = hand_over(session, layout, CPL_SYNC_SETTLE);
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.hash == ticket.hash);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void what_is_wrong_is_told_with_its_place(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    cpl_event event = {0};
    cpl_image *before = picture_of(session, layout);
    layout->regions[1].x1 = 0.75; /* a hole */
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_INVALID, &event);
    assert_true(event.revision == ticket.revision && event.hash == ticket.hash);
    assert_int_equal(event.error.code, CPL_E_INPUT);
    cpl_event_clear(&event);
    cpl_session_generate(session);
    await(session, CPL_EVENT_INVALID, &event);
    cpl_event_clear(&event);
    layout->regions[1].x1 = 0.9;
    layout->regions[1].x2 = 0.8;
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_INVALID, &event);
    assert_int_equal(event.error.row, 1);
    assert_non_null(strstr(event.error.path, "regions[1]"));
    cpl_event_clear(&event);
    layout->regions[1].x1 = 0.5;
    layout->regions[1].x2 = 1;
    cpl_image *after = picture_of(session, layout);
    assert_true(same_picture(before, after));
    cpl_image_free(before);
    cpl_image_free(after);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* Such an edit changes no hash, but it decides whether the layout can be used at all. */
static void a_fault_that_moves_no_pixel_is_told_and_forgotten(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    cpl_event event = {0};
    for (int i = 0; i < 2; i++) assert_true(cpl_text_set(&layout->regions[i].prompt, NULL, NULL));
    assert_true(cpl_text_set(&layout->prompt, "a cat\na dog", NULL));
    cpl_image *before = picture_of(session, layout);
    assert_true(cpl_text_set(&layout->regions[0].prompt, "a boat", NULL)); /* beside a text for all lines */
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_INVALID, &event);
    cpl_event_clear(&event);
    cpl_session_generate(session);
    await(session, CPL_EVENT_INVALID, &event);
    cpl_event_clear(&event);
    assert_true(cpl_text_set(&layout->regions[0].prompt, NULL, NULL));
    cpl_image *after = picture_of(session, layout);
    assert_true(same_picture(before, after));
    cpl_image_free(before);
    cpl_image_free(after);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void a_model_that_is_not_there_is_told(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    cpl_event event = {0};
    assert_true(cpl_text_set(&layout->sampling.model, "no-such-model.safetensors", NULL));
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_INVALID, &event);
    assert_string_equal(event.error.path, "sampling.model");
    assert_non_null(strstr(event.error.message, "no-such-model"));
    cpl_event_clear(&event);
    assert_true(cpl_text_set(&layout->sampling.model, NULL, NULL));
    cpl_image_free(picture_of(session, layout));
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void names_that_this_build_lacks_are_told(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    cpl_event event = {0};
    assert_true(cpl_text_set(&layout->sampling.rng, "gpu", NULL));
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_INVALID, &event);
    assert_string_equal(event.error.path, "sampling.rng");
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void generating_nothing_is_invalid(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_event event = {0};
    cpl_session_cancel(session); /* nothing to cancel: no event */
    cpl_session_live(session, true);
    cpl_session_live(session, false);
    cpl_session_generate(session);
    next_event(session, &event);
    assert_int_equal(event.type, CPL_EVENT_INVALID);
    cpl_event_clear(&event);
    assert_false(cpl_session_wait(session, 20));
    cpl_session_free(session);
}

static void cancelling_ends_a_run_without_a_picture(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(80);
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await(session, CPL_EVENT_PROGRESS, &event);
    cpl_session_cancel(session);
    await(session, CPL_EVENT_CANCELLED, &event);
    assert_false(cpl_session_wait(session, 20));
    cpl_session_cancel(session); /* a second time does nothing */
    assert_false(cpl_session_wait(session, 20));
    layout->sampling.steps = 1;
    cpl_image_free(picture_of(session, layout));
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* Each call ends with just one event, also those that never came to run. */
static void every_call_is_answered_once(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(3);
    int ends = 0, finished = 0;
    hand_over(session, layout, CPL_SYNC_NOW);
    for (int i = 0; i < 40; i++) {
        cpl_session_generate(session);
        if (i % 3 == 0) cpl_session_cancel(session);
        if (i % 7 == 0) usleep(3000);
    }
    while (ends < 40) {
        cpl_event event;
        next_event(session, &event);
        ends += event.type >= CPL_EVENT_FINISHED;
        finished += event.type == CPL_EVENT_FINISHED;
        assert_true(event.type <= CPL_EVENT_CANCELLED);
        cpl_event_clear(&event);
    }
    /* What the worker makes of the state may still be told, but no end any more. */
    for (cpl_event event; cpl_session_wait(session, 200) && cpl_session_next(session, &event); cpl_event_clear(&event))
        assert_true(event.type < CPL_EVENT_FINISHED);
    assert_true(finished <= 40);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void live_mode_follows_the_edits(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 20});
    cpl_layout *layout = two_columns(2);
    cpl_event event = {0};
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_SYNCED, &event);
    cpl_event_clear(&event);
    cpl_session_live(session, true); /* the state at hand is owed a picture */
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.hash == ticket.hash);
    cpl_event_clear(&event);
    cpl_session_live(session, false);
    cpl_session_live(session, true); /* it has that one already */
    assert_false(cpl_session_wait(session, 60));
    for (int i = 0; i < 10; i++) {
        layout->regions[0].x2 = layout->regions[1].x1 = 0.25 + 0.05 * i;
        ticket = hand_over(session, layout, i % 2 ? CPL_SYNC_SETTLE : CPL_SYNC_NOW);
        usleep(2000);
    }
    do {
        cpl_event_clear(&event);
        next_event(session, &event);
    } while (!(event.type == CPL_EVENT_FINISHED && event.hash == ticket.hash));
    assert_true(event.revision == ticket.revision && event.splices == 0);
    cpl_event_clear(&event);
    /* A newer state ends a run of an older one. */
    layout->sampling.steps = 1000;
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_PROGRESS, &event);
    layout->sampling.steps = 1;
    ticket = hand_over(session, layout, CPL_SYNC_SETTLE);
    await(session, CPL_EVENT_CANCELLED, &event);
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.hash == ticket.hash);
    cpl_event_clear(&event);
    cpl_session_live(session, false);
    layout->sampling.seed = 77;
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_SYNCED, &event);
    cpl_event_clear(&event);
    assert_false(cpl_session_wait(session, 60));
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static const char *text_of(const cpl_event *event, const char *key);

/* Places, weights and texts change under a run of live mode; it is not begun anew, and says in the end what it is. */
static void live_runs_take_edits_up(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 1});
    cpl_layout *layout = two_columns(80);
    cpl_event event = {0};
    cpl_session_live(session, true);
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await_step_of(session, ticket.revision);
    uint64_t calls = stats_of(session).encoder_calls;
    layout->regions[0].x2 = layout->regions[1].x1 = 0.25;
    layout->regions[1].weight = 0.5;
    ticket = hand_over(session, layout, CPL_SYNC_SETTLE);
    await_step_of(session, ticket.revision);
    assert_int_equal(stats_of(session).splices, 1);
    assert_int_equal(stats_of(session).encoder_calls, calls);
    assert_true(cpl_text_set(&layout->regions[1].prompt, "a boat, sea", NULL));
    ticket = hand_over(session, layout, CPL_SYNC_SETTLE);
    await_step_of(session, ticket.revision);
    assert_int_equal(stats_of(session).splices, 2);
    assert_int_equal(stats_of(session).encoder_calls, calls + 1);
    /* What cannot be used is left for later, and the run goes on with the last good state. */
    layout->regions[0].x2 = 0.125;
    hand_over(session, layout, CPL_SYNC_NOW);
    layout->regions[0].x2 = 0.25;
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.splices >= 2 && event.hash == 0 && event.step == 80);
    assert_int_equal(strncmp(text_of(&event, "couplet-splices"), "step ", 5), 0);
    cpl_image *spliced = event.image;
    event.image = NULL;
    cpl_event_clear(&event);
    /* The clean picture is another one, only that is the layout's, and live mode makes it by itself. */
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.splices == 0 && event.hash == ticket.hash);
    cpl_session_free(session);
    session = open_session(&(cpl_options){0});
    cpl_image *clean = picture_of(session, layout);
    assert_false(same_picture(spliced, clean));
    assert_true(same_picture(event.image, clean));
    cpl_event_clear(&event);
    cpl_image_free(spliced);
    cpl_image_free(clean);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* Whoever likes what an edit made of a picture does not want another one. */
static void the_clean_picture_keeps_a_drawn_seed(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 1});
    cpl_layout *layout = two_columns(40);
    cpl_event spliced = {0}, clean = {0};
    layout->sampling.seed = CPL_SEED_RANDOM;
    cpl_session_live(session, true);
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await_step_of(session, ticket.revision);
    layout->regions[1].weight = 0.5;
    ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_FINISHED, &spliced);
    await(session, CPL_EVENT_FINISHED, &clean);
    assert_true(spliced.splices == 1 && spliced.hash == 0);
    assert_true(clean.splices == 0 && clean.hash == ticket.hash && clean.seed == spliced.seed);
    assert_false(cpl_session_wait(session, 60)); /* that was all */
    cpl_event_clear(&spliced);
    cpl_event_clear(&clean);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* The picture of a spliced run is of no layout; its end without one is about the state that it was at. */
static void a_cancelled_run_tells_the_edit_it_had_taken_up(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 1});
    cpl_layout *layout = two_columns(80);
    cpl_event event = {0};
    cpl_session_live(session, true);
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await_step_of(session, ticket.revision);
    layout->regions[1].weight = 0.5;
    ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await_step_of(session, ticket.revision);
    assert_int_equal(stats_of(session).splices, 1);
    cpl_session_cancel(session);
    await(session, CPL_EVENT_CANCELLED, &event);
    assert_true(event.revision == ticket.revision);
    assert_true(event.hash == ticket.hash);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* What changes the form of a run, or more than its texts and places, begins it anew. */
static void live_runs_begin_anew_for_other_edits(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.debounce_ms = 1});
    cpl_layout *layout = two_columns(80);
    cpl_event event = {0};
    cpl_session_live(session, true);
    for (int i = 0; i < 3; i++) {
        cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
        await_step_of(session, ticket.revision);
        if (i == 0) layout->sampling.cfg = 3;
        if (i == 1) assert_true(cpl_text_set(&layout->regions[0].negative, "text", NULL));
        if (i == 2) layout->sampling.seed = 5, layout->sampling.steps = 1;
        hand_over(session, layout, CPL_SYNC_NOW);
        await(session, CPL_EVENT_CANCELLED, &event);
        cpl_event_clear(&event);
    }
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.splices == 0 && event.hash != 0);
    assert_int_equal(stats_of(session).splices, 0);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static const char *text_of(const cpl_event *event, const char *key) {
    for (int i = 0; i < event->text_count; i++)
        if (strcmp(event->texts[i].key, key) == 0) return event->texts[i].value;
    fail_msg("no text %s", key);
    return NULL;
}

static void a_drawn_seed_is_recorded_and_makes_the_picture_again(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(2);
    cpl_event first = {0}, second = {0};
    layout->sampling.seed = CPL_SEED_RANDOM;
    uint64_t hash = hand_over(session, layout, CPL_SYNC_NOW).hash;
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &first);
    assert_true(first.seed >= 0 && first.hash == hash);
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &second);
    assert_true(second.seed != first.seed && second.hash == hash); /* equal once in four billion times */
    assert_false(same_picture(first.image, second.image));
    /* The layout inside the picture holds all that made it. */
    cpl_layout *recorded = layout_of(text_of(&first, "couplet"));
    assert_true(recorded->sampling.seed == first.seed);
    assert_int_equal(recorded->sampling.steps, 2);
    assert_string_equal(recorded->sampling.model, "builtin");
    assert_false(isnan(recorded->sampling.cfg));
    cpl_image *again = picture_of(session, recorded);
    assert_true(same_picture(first.image, again));
    char seed[48];
    snprintf(seed, sizeof seed, "Seed: %lld", (long long)first.seed);
    assert_non_null(strstr(text_of(&first, "parameters"), seed));
    cpl_image_free(again);
    cpl_layout_free(recorded);
    cpl_event_clear(&first);
    cpl_event_clear(&second);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void an_uncovered_canvas_is_filled_where_the_layout_says_so(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *filled = two_columns(2), *spelt = two_columns(2);
    filled->uncovered = CPL_UNCOVERED_FILL;
    filled->regions[1].x1 = 0.75;
    assert_true(cpl_text_set(&filled->background_prompt, "a boat, sea", NULL));
    spelt->regions[1].x1 = 0.75;
    cpl_region *hole = cpl_layout_insert(spelt, 2, NULL);
    hole->x1 = 0.5;
    hole->x2 = 0.75;
    assert_true(cpl_text_set(&hole->prompt, "a boat, sea", NULL));
    cpl_image *a = picture_of(session, filled), *b = picture_of(session, spelt);
    assert_true(same_picture(a, b));
    cpl_image_free(a);
    cpl_image_free(b);
    cpl_layout_free(filled);
    cpl_layout_free(spelt);
    cpl_session_free(session);
}

static void a_regions_own_negative_rules_its_region(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(2);
    cpl_image *plain = picture_of(session, layout);
    assert_true(cpl_text_set(&layout->negative, "a dog", NULL));
    cpl_image *common = picture_of(session, layout);
    assert_false(same_picture(plain, common));
    /* All rows alike is the layout's negative, coupled. */
    assert_true(cpl_text_set(&layout->negative, NULL, NULL));
    for (int i = 0; i < 2; i++) assert_true(cpl_text_set(&layout->regions[i].negative, "a dog", NULL));
    cpl_image *each = picture_of(session, layout);
    int furthest = 0;
    for (int i = 0; i < 64 * 64 * 3; i++)
        furthest = abs(each->rgb[i] - common->rgb[i]) > furthest ? abs(each->rgb[i] - common->rgb[i]) : furthest;
    assert_true(furthest <= 1);
    assert_true(cpl_text_set(&layout->regions[1].negative, "a boat", NULL));
    cpl_image *own = picture_of(session, layout);
    assert_false(same_picture(own, each));
    cpl_image_free(plain);
    cpl_image_free(common);
    cpl_image_free(each);
    cpl_image_free(own);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void rows_are_told_what_the_model_makes_of_them(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    cpl_event event = {0};
    assert_true(cpl_text_set(&layout->regions[0].prompt, "a zeppelin", NULL));
    layout->regions[0].x1 = 0;
    layout->regions[0].x2 = 1.0 / 64; /* one pixel wide: no token of the coarse grid stands in it */
    layout->regions[1].x1 = 0;
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_SYNCED, &event);
    assert_int_equal(event.line_count, 2);
    assert_string_equal(event.lines[0].unknown, "zeppelin");
    assert_string_equal(event.lines[1].unknown, "");
    cpl_event_clear(&event);
    layout->regions[0].x1 = 3.0 / 64;
    layout->regions[0].x2 = 4.0 / 64; /* between the sampled pixels */
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_SYNCED, &event);
    assert_true(event.lines[0].vanishes);
    assert_false(event.lines[1].vanishes);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void freeing_a_session_ends_whatever_it_does(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(80);
    for (int i = 0; i < 6; i++) {
        cpl_session *session = open_session(&(cpl_options){0});
        cpl_event event = {0};
        if (i > 0) hand_over(session, layout, i % 2 ? CPL_SYNC_NOW : CPL_SYNC_SETTLE);
        if (i > 1) cpl_session_generate(session);
        if (i > 2) await(session, i == 3 ? CPL_EVENT_LOADING : i == 4 ? CPL_EVENT_STARTED : CPL_EVENT_PROGRESS, &event);
        cpl_event_clear(&event);
        cpl_session_free(session); /* with events unread */
    }
    cpl_session_free(NULL);
    cpl_layout_free(layout);
}

static void two_sessions_do_not_mix(void **state) {
    (void)state;
    cpl_session *a = open_session(&(cpl_options){.threads = 1}), *b = open_session(&(cpl_options){.threads = 1});
    cpl_layout *first = two_columns(3), *second = two_columns(3);
    second->sampling.seed = 8;
    cpl_image *alone[2] = {picture_of(a, first), picture_of(b, second)};
    for (int i = 0; i < 3; i++) {
        cpl_event ends[2] = {{0}, {0}};
        cpl_session_generate(a);
        cpl_session_generate(b);
        await(a, CPL_EVENT_FINISHED, &ends[0]);
        await(b, CPL_EVENT_FINISHED, &ends[1]);
        for (int k = 0; k < 2; k++) {
            assert_true(same_picture(ends[k].image, alone[k]));
            cpl_event_clear(&ends[k]);
        }
    }
    for (int i = 0; i < 2; i++) cpl_image_free(alone[i]);
    cpl_layout_free(first);
    cpl_layout_free(second);
    cpl_session_free(a);
    cpl_session_free(b);
}

/* The same number of threads gives the same bytes, another one at most the last bit of them. */
static void threads_change_next_to_nothing(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 2};
    cpl_image *images[3];
    cpl_layout *layout = two_columns(4);
    for (int i = 0; i < 3; i++) {
        cpl_session *session = open_session(&(cpl_options){.threads = threads[i]});
        images[i] = picture_of(session, layout);
        cpl_session_free(session);
    }
    assert_true(same_picture(images[1], images[2]));
    for (int i = 0; i < 64 * 64 * 3; i++) assert_true(abs(images[0]->rgb[i] - images[1]->rgb[i]) <= 1);
    for (int i = 0; i < 3; i++) cpl_image_free(images[i]);
    cpl_layout_free(layout);
}

static volatile sig_atomic_t signalled;
static void note_signal(int number) {
    (void)number;
    signalled = 1;
}

/* Signals reach the caller's thread, whose waiting goes on. */
static void signals_do_not_disturb(void **state) {
    (void)state;
    struct sigaction action = {.sa_handler = note_signal}, before;
    cpl_session *session = open_session(&(cpl_options){0});
    sigset_t block, old;
    sigaction(SIGUSR1, &action, &before);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, &old);
    kill(getpid(), SIGUSR1);
    cpl_layout *layout = two_columns(2);
    cpl_image_free(picture_of(session, layout));
    assert_false(signalled); /* no thread of the session took it */
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_true(signalled);
    sigaction(SIGUSR1, &before, NULL);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void options_are_checked(void **state) {
    (void)state;
    static const cpl_options bad[] = {
        {.device = "abacus"}, {.precision = "f7"}, {.threads = -1}, {.dump = "/proc/no/such"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cpl_error error = {0};
        assert_null(cpl_session_new(&bad[i], &error));
        assert_true(error.code != CPL_OK && *error.message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layout_becomes_a_picture),
        cmocka_unit_test(progress_and_previews_come_for_each_step),
        cmocka_unit_test(the_same_layout_is_no_news),
        cmocka_unit_test(defaults_and_spelt_out_values_share_a_hash),
        cmocka_unit_test(edits_settle_before_the_worker_looks),
        cmocka_unit_test(what_is_wrong_is_told_with_its_place),
        cmocka_unit_test(a_fault_that_moves_no_pixel_is_told_and_forgotten),
        cmocka_unit_test(a_model_that_is_not_there_is_told),
        cmocka_unit_test(names_that_this_build_lacks_are_told),
        cmocka_unit_test(generating_nothing_is_invalid),
        cmocka_unit_test(cancelling_ends_a_run_without_a_picture),
        cmocka_unit_test(every_call_is_answered_once),
        cmocka_unit_test(live_mode_follows_the_edits),
        cmocka_unit_test(live_runs_take_edits_up),
        cmocka_unit_test(the_clean_picture_keeps_a_drawn_seed),
        cmocka_unit_test(live_runs_begin_anew_for_other_edits),
        cmocka_unit_test(a_cancelled_run_tells_the_edit_it_had_taken_up),
        cmocka_unit_test(a_drawn_seed_is_recorded_and_makes_the_picture_again),
        cmocka_unit_test(an_uncovered_canvas_is_filled_where_the_layout_says_so),
        cmocka_unit_test(a_regions_own_negative_rules_its_region),
        cmocka_unit_test(rows_are_told_what_the_model_makes_of_them),
        cmocka_unit_test(freeing_a_session_ends_whatever_it_does),
        cmocka_unit_test(two_sessions_do_not_mix),
        cmocka_unit_test(threads_change_next_to_nothing),
        cmocka_unit_test(signals_do_not_disturb),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
