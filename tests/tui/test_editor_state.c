/* test_editor_state.c: edits as functions: what they change, what they refuse, what undo brings back. */
#include "../../tui/editor_state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char HARBOUR[] = "{\"couplet\":1,\"canvas\":{\"width\":128,\"height\":128},\"regions\":["
                              "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"},"
                              "{\"rect\":[0.5,1,0,1],\"prompt\":\"a sun\",\"weight\":0.7}]}";

static editor_state state_of(const char *json) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, NULL, "test", &error);
    if (!layout) fail_msg("%s", error.message);
    editor_state s;
    assert_true(state_start(&s, layout, &error));
    return s;
}

static void start_is_clean(void **state) {
    (void)state;
    editor_state s = state_of(HARBOUR);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.selected, 0);
    assert_false(s.dirty);
    assert_true(s.coverage == 1.0);
    assert_int_equal(s.settings.width, 128);
    assert_int_equal(s.problems.count, 0);
    assert_false(state_undo(&s, NULL));
    state_clear(&s);
}

static void moving_snaps_stops_at_the_edge_and_can_be_undone(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    assert_true(state_move(&s, 1, 0, 1, &error));
    assert_true(s.layout->regions[0].x1 == 0.0625 && s.layout->regions[0].x2 == 0.5625);
    assert_true(s.dirty && s.coverage < 1);
    assert_true(state_move(&s, 1, 0, 99, &error));
    assert_true(s.layout->regions[0].x1 == 0.5 && s.layout->regions[0].x2 == 1);
    assert_true(state_move(&s, -256, 0, 1, &error));
    assert_true(s.layout->regions[0].x1 == 0.5 - 1 / 256.0);
    assert_true(state_undo(&s, &error) && state_undo(&s, &error) && state_undo(&s, &error));
    assert_true(s.layout->regions[0].x1 == 0 && s.layout->regions[0].x2 == 0.5);
    assert_false(s.dirty); /* back at what the file holds */
    assert_true(state_redo(&s, &error));
    assert_true(s.layout->regions[0].x1 == 0.0625);
    state_clear(&s);
}

static void resizing_never_turns_over(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    assert_true(state_resize(&s, -1, 0, 99, &error));
    assert_true(s.layout->regions[0].x2 == 1 / 16.0);
    assert_true(state_resize(&s, 0, 1, 5, &error)); /* at the lower edge already */
    assert_true(s.layout->regions[0].y2 == 1);
    state_clear(&s);
}

static void cells_refuse_in_words(void **state) {
    (void)state;
    static const struct {
        table_cell cell;
        const char *typed, *says;
    } bad[] = {
        {CELL_X1, "0.5", "less than x2"}, {CELL_X1, "-0.1", "between 0 and 1"}, {CELL_X2, "1.5", "between 0 and 1"},
        {CELL_Y2, "0", "more than y1"},   {CELL_X1, "abc", "number"},           {CELL_X1, "", "number"},
        {CELL_X1, "0,25", "comma"},       {CELL_X1, "nan", "number"},           {CELL_X1, "0x1p-2", "number"},
        {CELL_X1, "1/0", "number"},       {CELL_WEIGHT, "-1", "negative"},      {CELL_WEIGHT, "inf", "number"},
        {CELL_WEIGHT, "1e999", "number"},
    };
    editor_state s = state_of(HARBOUR);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cpl_error error = {0};
        if (state_set_cell(&s, 0, bad[i].cell, bad[i].typed, &error)) fail_msg("\"%s\" was taken", bad[i].typed);
        if (!strstr(error.message, bad[i].says)) fail_msg("\"%s\": %s", bad[i].typed, error.message);
        assert_false(s.dirty);
    }
    state_clear(&s);
}

static void cells_take_numbers_and_fractions(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    assert_true(state_set_cell(&s, 0, CELL_X2, "1/3", &error));
    assert_true(s.layout->regions[0].x2 == 1 / 3.0);
    char shown[STATE_TEXT];
    state_cell_text(&s, 0, CELL_X2, shown);
    assert_string_equal(shown, "0.333");
    /* Looking at a number and pressing Enter does not cut its digits off. */
    assert_true(state_set_cell(&s, 0, CELL_X2, shown, &error));
    assert_true(s.layout->regions[0].x2 == 1 / 3.0);
    assert_true(state_set_cell(&s, 1, CELL_X1, " .25 ", &error));
    assert_true(s.layout->regions[1].x1 == 0.25);
    assert_true(state_set_cell(&s, 1, CELL_WEIGHT, "0", &error));
    assert_true(state_set_cell(&s, 1, CELL_PROMPT, "a boat, sea", &error));
    assert_string_equal(state_prompt(&s, 1), "a boat, sea");
    state_clear(&s);
}

static void weights(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    state_select(&s, 1);
    assert_true(state_weight(&s, 1, 2, &error));
    assert_true(s.layout->regions[1].weight == 0.8);
    assert_true(state_weight(&s, -1, 99, &error));
    assert_true(s.layout->regions[1].weight == 0);
    state_clear(&s);
}

static void rows_come_and_go(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    assert_true(state_insert(&s, s.count, NULL, &error));
    assert_true(s.count == 3 && s.selected == 2);
    assert_true(s.layout->regions[2].x1 == 0.25); /* no hole: the middle */
    assert_true(state_delete(&s, 1, &error));
    assert_true(s.count == 2 && s.selected == 1);
    assert_true(state_delete(&s, 1, &error));
    assert_true(state_insert(&s, 0, NULL, &error)); /* now half of the canvas is open */
    assert_true(s.layout->regions[0].x1 == 0.5 && s.layout->regions[0].x2 == 1 && s.selected == 0);
    assert_true(state_reorder(&s, 1, 1, &error));
    assert_int_equal(s.selected, 1);
    assert_string_equal(state_prompt(&s, 0), "a cat");
    assert_true(state_duplicate(&s, &error));
    assert_int_equal(s.count, 3);
    assert_true(state_delete(&s, 99, &error));
    state_select(&s, 0);
    assert_true(state_delete(&s, 99, &error));
    assert_true(s.count == 0 && s.selected == -1);
    assert_false(state_delete(&s, 1, &error));
    assert_false(state_move(&s, 1, 0, 1, &error));
    assert_false(state_weight(&s, 1, 1, &error));
    assert_false(state_set_cell(&s, 0, CELL_PROMPT, "x", &error));
    for (int i = 0; i < 20; i++) state_undo(&s, NULL);
    assert_false(s.dirty);
    assert_int_equal(s.count, 2);
    state_clear(&s);
}

static void too_many_rows(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    while (s.count < CPL_MAX_REGIONS) assert_true(state_insert(&s, s.count, &(canvas_rect){0, 1, 0, 1}, &error));
    assert_false(state_insert(&s, 0, NULL, &error));
    assert_false(state_duplicate(&s, &error));
    assert_non_null(strstr(error.message, "256"));
    state_clear(&s);
}

static void modes(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s =
        state_of("{\"mode\":\"basic\",\"regions\":[{\"prompt\":\"a\"},{\"prompt\":\"b\"},{\"prompt\":\"c\"}]}");
    assert_false(state_move(&s, 1, 0, 1, &error));
    assert_non_null(strstr(error.message, "basic mode"));
    assert_false(state_weight(&s, 1, 1, &error));
    assert_true(state_direction(&s, &error));
    assert_int_equal(s.layout->direction, CPL_VERTICAL);
    assert_true(state_background(&s, &error));
    assert_int_equal(s.layout->background, CPL_BACKGROUND_FIRST);
    assert_true(state_background(&s, &error) && state_background(&s, &error));
    assert_int_equal(s.layout->background, CPL_BACKGROUND_NONE);
    /* To advanced: the tiles stay where they were, so that the picture does. */
    assert_true(state_mode(&s, &error));
    assert_int_equal(s.layout->mode, CPL_MODE_ADVANCED);
    assert_true(s.layout->regions[1].y1 == 1 / 3.0 && s.layout->regions[1].y2 == 2 / 3.0);
    assert_false(state_direction(&s, &error));
    assert_false(state_background(&s, &error));
    /* Mask mode begins with the rectangles. */
    assert_true(state_mode(&s, &error));
    assert_int_equal(s.layout->mode, CPL_MODE_MASK);
    assert_non_null(s.layout->regions[2].mask);
    assert_true(state_mode(&s, &error));
    assert_int_equal(s.layout->mode, CPL_MODE_BASIC);
    state_clear(&s);
}

static void filling_holes(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of("{\"regions\":[{\"rect\":[0,0.5,0,1],\"prompt\":\"a\"}]}");
    const cpl_problem *problem = state_problem(&s, -1);
    assert_true(problem && !problem->warning);
    assert_true(state_fill(&s, &error));
    problem = state_problem(&s, -1);
    assert_true(!problem || problem->warning);
    state_clear(&s);
}

static void one_prompt_text_becomes_rows(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of("{\"mode\":\"basic\",\"prompt\":\"a cat\\na dog\\na fox\"}");
    assert_int_equal(s.count, 3);
    assert_string_equal(state_prompt(&s, 1), "a dog");
    assert_true(state_set_cell(&s, 1, CELL_PROMPT, "a pig", &error));
    assert_null(s.layout->prompt);
    assert_int_equal(s.layout->region_count, 3);
    assert_string_equal(state_prompt(&s, 0), "a cat");
    assert_string_equal(state_prompt(&s, 1), "a pig");
    assert_string_equal(state_prompt(&s, 2), "a fox");
    assert_true(state_undo(&s, &error));
    assert_non_null(s.layout->prompt);
    state_clear(&s);
}

static void settings(void **state) {
    (void)state;
    static const struct {
        const char *name, *typed, *shown;
    } good[] = {
        {"size", "256x128", "256x128"},
        {"size", "64", "64x64"},
        {"steps", "7", "7"},
        {"cfg", "3.5", "3.5"},
        {"cfg", "4", "4.0"},
        {"seed", "0", "0"},
        {"seed", "random", "random"},
        {"sampler", "euler", "euler"},
        {"schedule", "karras", "karras"},
        {"negative", "blurry", "blurry"},
        {"mode", "basic", "basic"},
        {"direction", "vertical", "vertical"},
        {"background", "last", "last"},
        {"background-weight", "0.3", "0.3"},
        {"uncovered", "fill", "fill"},
        {"brackets", "off", "off"},
        {"definitions", "off", "off"},
        {"separator", "|", "|"},
        {"seed", "9007199254740991", "9007199254740991"},
    };
    static const struct {
        const char *name, *typed;
    } bad[] = {
        {"size", "100x100"},
        {"size", "128x"},
        {"size", "8x8"},
        {"size", "16384x64"},
        {"size", "128x128x"},
        {"steps", "0"},
        {"steps", "1001"},
        {"steps", "2.5"},
        {"steps", "-"},
        {"cfg", "-1"},
        {"cfg", "7,5"},
        {"seed", "-2"},
        {"seed", "9007199254740992"},
        {"seed", "99999999999999999999"},
        {"seed", "1.5"},
        {"sampler", "eulr"},
        {"schedule", "linear"},
        {"mode", "Basic"},
        {"background-weight", "x"},
        {"rng", "gpu"},
    };
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    setting which;
    char shown[STATE_TEXT];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(state_setting_find(good[i].name, &which));
        if (!state_set_setting(&s, which, good[i].typed, &error))
            fail_msg("%s %s: %s", good[i].name, good[i].typed, error.message);
        state_setting_text(&s, which, shown);
        assert_string_equal(shown, good[i].shown);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char before[STATE_TEXT];
        assert_true(state_setting_find(bad[i].name, &which));
        state_setting_text(&s, which, before);
        error = (cpl_error){0};
        if (state_set_setting(&s, which, bad[i].typed, &error)) fail_msg("%s %s was taken", bad[i].name, bad[i].typed);
        assert_true(error.message[0] != '\0');
        state_setting_text(&s, which, shown);
        assert_string_equal(shown, before);
    }
    assert_false(state_setting_find("colour", &which));
    state_clear(&s);
}

/* Whether what is on screen could be opened again. */
static bool readable(const editor_state *s) {
    char *json = cpl_layout_print(s->layout, NULL);
    cpl_layout *again = json ? cpl_layout_parse(json, NULL, "again", NULL) : NULL;
    free(json);
    cpl_layout_free(again);
    return again != NULL;
}

static void numbers_keep_the_limits_of_the_file(void **state) {
    (void)state;
    static const char *const typed[] = {"-2000000", "-1e-300", "0",    "1e-300", "0.001", "0.01",    "0.999", "1",
                                        "16",       "1000",    "1001", "8200",   "1e6",   "1000001", "1e300"};
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    for (size_t i = 0; i < sizeof typed / sizeof typed[0]; i++) {
        for (int c = 0; c < CELL_PROMPT; c++) {
            state_set_cell(&s, 1, (table_cell)c, typed[i], &error);
            if (!readable(&s)) fail_msg("cell %d took %s", c, typed[i]);
        }
        for (int which = 0; which < SETTINGS; which++) {
            if (which == SETTING_MODEL || which == SETTING_MODE) continue;
            state_set_setting(&s, (setting)which, typed[i], &error);
            if (!readable(&s)) fail_msg("%s took %s", state_setting_name((setting)which), typed[i]);
        }
        assert_true(state_set_setting(&s, SETTING_PROMPT, "", &error));
    }
    assert_false(state_set_cell(&s, 1, CELL_WEIGHT, "2000000", &error));
    assert_non_null(strstr(error.message, "1000000"));
    assert_false(state_set_setting(&s, SETTING_BACKGROUND_WEIGHT, "2000000", &error));
    assert_non_null(strstr(error.message, "1000000"));
    assert_true(state_set_cell(&s, 1, CELL_WEIGHT, "1000000", &error));
    state_select(&s, 1);
    assert_true(state_weight(&s, 1, 9, &error));
    assert_true(s.layout->regions[1].weight == 1e6);
    state_clear(&s);
}

static void an_empty_setting_is_the_models_default(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    int steps = s.settings.steps;
    assert_true(state_set_setting(&s, SETTING_STEPS, "3", &error));
    assert_int_equal(s.settings.steps, 3);
    assert_true(state_set_setting(&s, SETTING_STEPS, "", &error));
    assert_int_equal(s.layout->sampling.steps, 0);
    assert_int_equal(s.settings.steps, steps);
    state_clear(&s);
}

static void raising_and_lowering(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    int steps = s.settings.steps;
    assert_true(state_step_setting(&s, SETTING_STEPS, 1, 3, &error));
    assert_int_equal(s.settings.steps, steps + 3);
    assert_true(state_step_setting(&s, SETTING_STEPS, -1, 900, &error));
    assert_int_equal(s.settings.steps, 1);
    assert_true(state_step_setting(&s, SETTING_SIZE, 1, 2, &error));
    assert_int_equal(s.settings.width, 144);
    char first[STATE_TEXT], now[STATE_TEXT];
    state_setting_text(&s, SETTING_SAMPLER, first);
    int names = 0;
    while (cpl_sampler_names()[names]) names++;
    for (int i = 0; i < names; i++) assert_true(state_step_setting(&s, SETTING_SAMPLER, 1, 1, &error));
    state_setting_text(&s, SETTING_SAMPLER, now);
    assert_string_equal(now, first);
    int64_t seed = s.settings.seed;
    assert_true(state_new_seed(&s, &error));
    assert_true(s.settings.seed != seed && s.settings.seed >= 0);
    state_clear(&s);
}

static void a_drag_is_one_undo_step(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    for (int i = 1; i <= 8; i++) assert_true(state_drag(&s, 0, (canvas_rect){i / 16.0, 0.5 + i / 16.0, 0, 1}, &error));
    assert_true(state_drag_end(&s, &error));
    assert_true(s.layout->regions[0].x1 == 0.5);
    assert_true(state_undo(&s, &error));
    assert_true(s.layout->regions[0].x1 == 0);
    assert_false(state_undo(&s, &error));
    state_clear(&s);
}

static void saving_makes_clean(void **state) {
    (void)state;
    cpl_error error = {0};
    editor_state s = state_of(HARBOUR);
    assert_true(state_move(&s, 1, 0, 1, &error));
    state_saved(&s);
    assert_false(s.dirty);
    assert_true(state_undo(&s, &error));
    assert_true(s.dirty); /* the file holds the moved one */
    assert_true(state_redo(&s, &error));
    assert_false(s.dirty);
    state_clear(&s);
}

static void grid_steps(void **state) {
    (void)state;
    editor_state s = state_of(HARBOUR);
    int across, down;
    cpl_error error;
    for (int i = 0; i < 9; i++) state_grid(&s, 1);
    assert_int_equal(s.step, 64);
    /* Beyond the finest is the model's own: eight pixels a step, whatever the canvas. */
    assert_true(s.latent && state_set_setting(&s, SETTING_SIZE, "384x1024", &error));
    state_steps(&s, &across, &down);
    assert_true(across == 48 && down == 128);
    assert_true(state_resize(&s, -1, 1, 1, &error));
    double x2 = s.layout->regions[0].x2 * 48, y2 = s.layout->regions[0].y2 * 128;
    assert_true(fabs(x2 - round(x2)) < 1e-9 && fabs(y2 - round(y2)) < 1e-9);
    for (int i = 0; i < 9; i++) state_grid(&s, -1);
    assert_true(s.step == 8 && !s.latent);
    state_clear(&s);
}

/* Whatever keys are pressed, the layout stays one that can be saved, and undo finds its way back. */
static void random_edits_undo_to_the_start(void **state) {
    (void)state;
    cpl_error error;
    editor_state s = state_of(HARBOUR);
    cpl_layout *first = cpl_layout_copy(s.layout, NULL);
    srand(11);
    for (int i = 0; i < 600; i++) {
        int a = rand() % 3 - 1, b = rand() % 3 - 1, count = 1 + rand() % 4;
        state_select(&s, rand() % (s.count + 1));
        switch (rand() % 9) {
        case 0:
            state_move(&s, a, b, count, &error);
            break;
        case 1:
            state_resize(&s, a, b, count, &error);
            break;
        case 2:
            state_weight(&s, a, count, &error);
            break;
        case 3:
            state_insert(&s, rand() % (s.count + 1), NULL, &error);
            break;
        case 4:
            state_delete(&s, 1, &error);
            break;
        case 5:
            state_reorder(&s, a, count, &error);
            break;
        case 6:
            state_mode(&s, &error);
            break;
        case 7:
            state_duplicate(&s, &error);
            break;
        default:
            state_set_cell(&s, s.selected, (table_cell)(rand() % CELLS), "0.4", &error);
            break;
        }
        char *text = cpl_layout_print(s.layout, &error);
        cpl_layout *read = text ? cpl_layout_parse(text, NULL, "test", &error) : NULL;
        if (!read || !cpl_layout_equal(read, s.layout)) fail_msg("step %d: %s", i, error.message);
        cpl_layout_free(read);
        free(text);
    }
    while (state_undo(&s, NULL)) {}
    /* The history may have dropped the oldest steps; if not, it ends where it began. */
    if (cpl_layout_equal(s.layout, first)) assert_false(s.dirty);
    while (state_redo(&s, NULL)) {}
    cpl_layout_free(first);
    state_clear(&s);
}

static void every_key_of_the_layout_can_be_set(void **state) {
    (void)state;
    static const struct {
        setting which;
        const char *good, *bad;
    } all[] = {{SETTING_CLIP_SKIP, "2", "13"},       {SETTING_BATCH, "4", "0"},       {SETTING_SCHEDULES, "on", "yes"},
               {SETTING_PREDICTION, "v", "x"},       {SETTING_DENOISE, "0.5", "1.5"}, {SETTING_FIX_STEPS, "on", "2"},
               {SETTING_VAE, "a.safetensors", NULL}, {SETTING_INIT, "a.png", NULL}};
    editor_state s = state_of(HARBOUR);
    cpl_error error;
    char text[STATE_TEXT];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        setting found;
        assert_true(state_setting_find(state_setting_name(all[i].which), &found) && found == all[i].which);
        assert_true(state_set_setting(&s, all[i].which, all[i].good, &error));
        state_setting_text(&s, all[i].which, text);
        assert_string_equal(text, all[i].good);
        if (!all[i].bad) continue;
        assert_true(state_setting_takes(&s, all[i].which, all[i].good, &error));
        assert_false(state_setting_takes(&s, all[i].which, all[i].bad, &error));
        assert_false(state_set_setting(&s, all[i].which, all[i].bad, &error));
    }
    assert_true(s.layout->sampling.clip_skip == 2 && s.layout->sampling.batch == 4 && s.layout->schedules);
    state_clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_is_clean),
        cmocka_unit_test(moving_snaps_stops_at_the_edge_and_can_be_undone),
        cmocka_unit_test(resizing_never_turns_over),
        cmocka_unit_test(cells_refuse_in_words),
        cmocka_unit_test(cells_take_numbers_and_fractions),
        cmocka_unit_test(weights),
        cmocka_unit_test(rows_come_and_go),
        cmocka_unit_test(too_many_rows),
        cmocka_unit_test(modes),
        cmocka_unit_test(filling_holes),
        cmocka_unit_test(one_prompt_text_becomes_rows),
        cmocka_unit_test(settings),
        cmocka_unit_test(numbers_keep_the_limits_of_the_file),
        cmocka_unit_test(an_empty_setting_is_the_models_default),
        cmocka_unit_test(raising_and_lowering),
        cmocka_unit_test(a_drag_is_one_undo_step),
        cmocka_unit_test(saving_makes_clean),
        cmocka_unit_test(grid_steps),
        cmocka_unit_test(random_edits_undo_to_the_start),
        cmocka_unit_test(every_key_of_the_layout_can_be_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
