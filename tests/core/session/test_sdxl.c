/* A model that takes a vector beside the context: what it is made of, what it costs and that no picture hides a change of it.
 * The tiny SDXL checkpoint gets tables for the built-in vocabulary, so that words can be typed. */
#include "tiny_model.h"

static char folder[] = "/tmp/couplet-sdxl-XXXXXX";
static char model_path[64];
static cpl_session *session;

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(model_path, sizeof model_path, "%s/xl.safetensors", folder);
    write_model(TINY_XL, model_path, 0);
    session = open_session(&(cpl_options){.tokenizer = VOCABULARY});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cpl_session_free(session);
    unlink(model_path);
    return rmdir(folder);
}

/* Two columns whose lines are parts of one text. */
static cpl_layout *columns(const char *prompt, const char *separator, const char *negative) {
    char json[1024];
    snprintf(json, sizeof json,
             "{\"couplet\": 1, \"canvas\": {\"width\": 64, \"height\": 64}, \"prompt\": \"%s\", \"separator\": \"%s\","
             "\"negative\": \"%s\", \"regions\": [{\"rect\": [0, 0.5, 0, 1]}, {\"rect\": [0.5, 1, 0, 1]}],"
             "\"sampling\": {\"model\": \"%s\", \"sampler\": \"euler\", \"seed\": 3, \"steps\": 2, \"cfg\": 4}}",
             prompt, separator, negative, model_path);
    return layout_of(json);
}

static cpl_ticket ticket_of(const cpl_layout *layout) { return hand_over(session, layout, CPL_SYNC_NOW); }

/* Takes both over. */
static void expect_other_picture(cpl_layout *a, cpl_layout *b) {
    uint64_t first = ticket_of(a).hash, second = ticket_of(b).hash;
    assert_true(first != second);
    cpl_image *one = picture_of(session, a), *two = picture_of(session, b);
    assert_false(same_picture(one, two));
    cpl_image_free(one);
    cpl_image_free(two);
    cpl_layout_free(a);
    cpl_layout_free(b);
}

/* The lines are the same, the text as it was typed is not. */
static void the_whole_prompt_is_part_of_the_picture(void **state) {
    (void)state;
    expect_other_picture(columns("a cat|a dog", "|", ""), columns("a cat;;a dog", ";;", ""));
}

static void an_empty_negative_is_not_the_text_of_nothing(void **state) {
    (void)state;
    expect_other_picture(columns("a cat|a dog", "|", ""), columns("a cat|a dog", "|", " "));
}

static void the_negative_is_part_of_the_picture(void **state) {
    (void)state;
    expect_other_picture(columns("a cat|a dog", "|", "a fox"), columns("a cat|a dog", "|", "a boat"));
}

/* Encoder calls of handing a layout over once more; it is taken over. */
static uint64_t cost_of(cpl_layout *layout) {
    cpl_event event = {0};
    uint64_t before = stats_of(session).encoder_calls;
    ticket_of(layout);
    await(session, CPL_EVENT_SYNCED, &event);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    return stats_of(session).encoder_calls - before;
}

static void a_changed_line_encodes_itself_and_the_whole(void **state) {
    (void)state;
    assert_int_equal(cost_of(columns("a sun|a crown", "|", "")), 3); /* zeros are not encoded */
    assert_int_equal(cost_of(columns("a sun|a zebra", "|", "")), 2);
    assert_int_equal(cost_of(columns("a sun|a zebra", "|", "a penguin")), 2); /* its context and its summary */
    assert_int_equal(cost_of(columns("a sun|a crown", "|", "")), 0);
}

/* Rows of their own are summed up as if they were one text of lines. */
static void rows_are_one_text_of_lines(void **state) {
    (void)state;
    cpl_layout *text = columns("a cat\\na dog", "\\n", ""), *rows = columns("a cat\\na dog", "\\n", "");
    cpl_image *one = picture_of(session, text);
    assert_true(cpl_text_set(&rows->prompt, NULL, NULL));
    assert_true(cpl_text_set(&rows->regions[0].prompt, "a cat", NULL));
    assert_true(cpl_text_set(&rows->regions[1].prompt, "a dog", NULL));
    cpl_image *two = picture_of(session, rows);
    assert_true(same_picture(one, two));
    cpl_image_free(one);
    cpl_image_free(two);
    cpl_layout_free(text);
    cpl_layout_free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_prompt_is_part_of_the_picture),
        cmocka_unit_test(an_empty_negative_is_not_the_text_of_nothing),
        cmocka_unit_test(the_negative_is_part_of_the_picture),
        cmocka_unit_test(a_changed_line_encodes_itself_and_the_whole),
        cmocka_unit_test(rows_are_one_text_of_lines),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
