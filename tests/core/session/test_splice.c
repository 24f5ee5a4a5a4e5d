/* What a splice leaves as it was: the LoRAs of the run, its settings, and the clean picture that live mode owes. */
#include "session_test.h"

#include "lora_files.h"

static char folder[] = "/tmp/couplet-splice-XXXXXX";
static cpl_session *session;

static int set_up_files(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    write_lora(folder, "style.safetensors", 1, IN_BOTH);
    return 0;
}

static int remove_files(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static int set_up(void **state) {
    (void)state;
    session = open_session(&(cpl_options){.lora_dir = folder, .debounce_ms = 1});
    cpl_session_live(session, true);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cpl_session_free(session);
    return 0;
}

/* The regions do not overlap, so that their masks stay: any other picture than the clean one comes of something else. */
static void the_loras_of_the_run_go_on(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(24);
    cpl_event spliced = {0}, clean = {0};
    assert_true(cpl_text_set(&layout->regions[0].prompt, "a cat, night sky <lora:style:1>", NULL));
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await_step_of(session, ticket.revision);
    layout->regions[0].weight = 2;
    ticket = hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_FINISHED, &spliced);
    await(session, CPL_EVENT_FINISHED, &clean);
    assert_true(spliced.splices == 1 && clean.splices == 0 && clean.hash == ticket.hash);
    assert_true(same_picture(spliced.image, clean.image));
    cpl_event_clear(&spliced);
    cpl_event_clear(&clean);
    cpl_layout_free(layout);
}

/* Moves the border between the regions while picture `picture` is at its steps; the ticket is that of the new state. */
static cpl_ticket edit_in_picture(cpl_layout *layout, int picture, double border) {
    cpl_event event = {0};
    do {
        cpl_event_clear(&event);
        next_event(session, &event);
        if (event.type > CPL_EVENT_FINISHED) fail_msg("event %d: %s", event.type, event.error.message);
    } while (event.type != CPL_EVENT_PROGRESS || event.picture != picture);
    assert_true(event.step < event.steps / 2);
    cpl_event_clear(&event);
    layout->regions[0].x2 = layout->regions[1].x1 = border;
    return hand_over(session, layout, CPL_SYNC_NOW);
}

/* The settings that a batch began with outlive the state that they came from. */
static void every_picture_of_a_batch_may_take_an_edit_up(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(30);
    cpl_event event = {0};
    layout->sampling.batch = 3;
    hand_over(session, layout, CPL_SYNC_NOW);
    edit_in_picture(layout, 1, 0.25);
    edit_in_picture(layout, 2, 0.75);
    await(session, CPL_EVENT_FINISHED, &event);
    cpl_event_clear(&event);
    cpl_ticket ticket = edit_in_picture(layout, 3, 0.5);
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.splices == 1 && event.picture == 3 && event.seed == 5);
    assert_true(event.image->width == 64 && event.image->height == 64 && event.revision == ticket.revision);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

/* The first picture is of no layout, though the last one is: the clean one is owed all the same. */
static void the_clean_batch_comes_whichever_picture_took_the_edit_up(void **state) {
    (void)state;
    cpl_layout *layout = two_columns(30);
    cpl_event event = {0};
    layout->sampling.batch = 2;
    layout->sampling.seed = CPL_SEED_RANDOM;
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_ticket ticket = edit_in_picture(layout, 1, 0.25);
    int64_t seeds[4];
    for (int i = 0; i < 4; i++) {
        await(session, CPL_EVENT_FINISHED, &event);
        assert_int_equal(event.picture, 1 + i % 2);
        assert_int_equal(event.splices, i == 0);
        assert_true(event.hash == (i == 0 ? 0 : ticket.hash));
        seeds[i] = event.seed;
        cpl_event_clear(&event);
    }
    assert_true(seeds[2] == seeds[0] && seeds[3] == seeds[1]);
    assert_false(cpl_session_wait(session, 60)); /* that was all */
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_loras_of_the_run_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_picture_of_a_batch_may_take_an_edit_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_clean_batch_comes_whichever_picture_took_the_edit_up, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up_files, remove_files);
}
