/* What an edit costs: a moved rectangle no text, a changed line one text, a typed word no mask. Counted by the session. */
#include "session_test.h"

static cpl_session *session;
static cpl_layout *layout;

/* Eight columns, each with a prompt of its own. */
static int set_up(void **state) {
    (void)state;
    static const char *const objects[] = {"cat", "dog", "fox", "sun", "boat", "crown", "penguin", "zebra"};
    cpl_event event = {0};
    session = open_session(&(cpl_options){0});
    layout = cpl_layout_new(NULL);
    layout->width = layout->height = 64;
    layout->sampling.steps = 1;
    for (int i = 0; i < 8; i++) {
        char prompt[64];
        cpl_region *region = cpl_layout_insert(layout, i, NULL);
        snprintf(prompt, sizeof prompt, "a %s, night sky", objects[i]);
        assert_true(cpl_text_set(&region->prompt, prompt, NULL));
        region->x1 = i / 8.0;
        region->x2 = (i + 1) / 8.0;
    }
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_SYNCED, &event);
    cpl_event_clear(&event);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cpl_layout_free(layout);
    cpl_session_free(session);
    return 0;
}

typedef struct cost {
    uint64_t encoded, keys, plans;
} cost;

/* Of handing the layout over once more. */
static cost cost_of_sync(void) {
    cpl_event event = {0};
    cpl_stats before = stats_of(session);
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_SYNCED, &event);
    cpl_event_clear(&event);
    cpl_stats after = stats_of(session);
    return (cost){after.encoder_calls - before.encoder_calls, after.text_kv.misses - before.text_kv.misses,
                  after.plans.misses - before.plans.misses};
}

static void expect_cost(cost got, uint64_t encoded, uint64_t plans) {
    assert_int_equal(got.encoded, encoded);
    assert_int_equal(got.keys, encoded);
    assert_int_equal(got.plans, plans);
}

static void the_first_sync_encodes_each_line_once(void **state) {
    (void)state;
    cpl_stats stats = stats_of(session);
    assert_int_equal(stats.encoder_calls, 9); /* eight lines and the negative */
    assert_int_equal(stats.plans.misses, 1);
}

static void moving_a_rectangle_encodes_nothing(void **state) {
    (void)state;
    layout->regions[3].x2 = 0.55;
    expect_cost(cost_of_sync(), 0, 1);
    layout->regions[3].weight = 0.5;
    expect_cost(cost_of_sync(), 0, 1);
}

static void a_changed_line_encodes_one_line(void **state) {
    (void)state;
    assert_true(cpl_text_set(&layout->regions[5].prompt, "a red heart, sea", NULL));
    expect_cost(cost_of_sync(), 1, 0);
}

static void what_was_there_before_costs_nothing(void **state) {
    (void)state;
    assert_true(
        cpl_text_set(&layout->regions[5].prompt, layout->regions[0].prompt, NULL)); /* a text twice is one text */
    expect_cost(cost_of_sync(), 0, 0);
    assert_true(cpl_text_set(&layout->regions[5].prompt, "a crown, night sky", NULL));
    expect_cost(cost_of_sync(), 0, 0);
    layout->regions[3].x2 = 0.55;
    expect_cost(cost_of_sync(), 0, 1);
    layout->regions[3].x2 = 0.5;
    expect_cost(cost_of_sync(), 0, 0);
}

static void settings_cost_neither_text_nor_plan(void **state) {
    (void)state;
    layout->sampling.seed = 99;
    expect_cost(cost_of_sync(), 0, 0);
    layout->sampling.cfg = 2;
    expect_cost(cost_of_sync(), 0, 0);
}

static void a_new_canvas_makes_new_plans_only(void **state) {
    (void)state;
    layout->width = 128;
    expect_cost(cost_of_sync(), 0, 1);
}

static void moving_a_line_to_another_row_encodes_nothing(void **state) {
    (void)state;
    cpl_layout_move(layout, 0, 7);
    expect_cost(cost_of_sync(), 0, 1);
}

static void a_rejected_state_throws_nothing_away(void **state) {
    (void)state;
    cpl_event event = {0};
    layout->regions[3].x2 = 0.4; /* a hole */
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_INVALID, &event);
    cpl_event_clear(&event);
    layout->regions[3].x2 = 0.5;
    expect_cost(cost_of_sync(), 0, 0);
}

static void a_second_run_repeats_no_text_and_no_plan(void **state) {
    (void)state;
    cpl_image_free(picture_of(session, layout));
    cpl_stats before = stats_of(session);
    layout->sampling.seed = 1;
    cpl_image_free(picture_of(session, layout));
    cpl_stats after = stats_of(session);
    assert_int_equal(after.encoder_calls, before.encoder_calls);
    assert_int_equal(after.pool_allocations, before.pool_allocations); /* all blocks come from the first run */
    assert_int_equal(after.active_tensors, before.active_tensors);
    assert_int_equal(after.runs, before.runs + 1);
    assert_int_equal(after.steps, before.steps + 1);
}

/* A painted mask is known by its pixels' object, not by its place in memory after it is gone. */
static void masks_are_told_apart(void **state) {
    (void)state;
    static const unsigned char left[4] = {255, 0, 255, 0}, right[4] = {0, 255, 0, 255};
    cpl_layout *painted = two_columns(1);
    cpl_image *pictures[3];
    painted->mode = CPL_MODE_MASK;
    for (int k = 0; k < 3; k++) {
        const unsigned char *pixels[2] = {k == 1 ? right : left, k == 1 ? left : right};
        for (int i = 0; i < 2; i++) {
            cpl_mask_unref(painted->regions[i].mask);
            painted->regions[i].mask = cpl_mask_new(2, 2, pixels[i], NULL);
            assert_non_null(painted->regions[i].mask);
        }
        pictures[k] = picture_of(session, painted);
    }
    assert_false(same_picture(pictures[0], pictures[1]));
    assert_true(same_picture(pictures[0], pictures[2]));
    for (int k = 0; k < 3; k++) cpl_image_free(pictures[k]);
    cpl_layout_free(painted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_sync_encodes_each_line_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moving_a_rectangle_encodes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_line_encodes_one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_there_before_costs_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings_cost_neither_text_nor_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_new_canvas_makes_new_plans_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moving_a_line_to_another_row_encodes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rejected_state_throws_nothing_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_run_repeats_no_text_and_no_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(masks_are_told_apart, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
