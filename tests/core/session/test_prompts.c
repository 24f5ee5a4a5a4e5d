/* Prompts that change during a run or compose several pictures, layers that are left out, and batches: that each of them reaches
 * the picture, and what it costs. */
#include "tiny_model.h"

#include <stdio.h>

static cpl_session *session;

static int set_up(void **state) {
    (void)state;
    session = open_session(&(cpl_options){.preview_every = -1});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cpl_session_free(session);
    return 0;
}

/* One region; `more` is more keys of the layout, `sampling` of its sampling. */
static cpl_layout *one_region(const char *prompt, const char *more, const char *sampling) {
    char json[1024];
    snprintf(json, sizeof json,
             "{\"couplet\": 1, \"canvas\": {\"width\": 64, \"height\": 64}, \"regions\": [{\"prompt\": \"%s\"}]%s, "
             "\"sampling\": {\"seed\": 3, \"steps\": 4%s}}",
             prompt, more, sampling);
    return layout_of(json);
}

static cpl_image *picture(const char *prompt, const char *more, const char *sampling) {
    cpl_layout *layout = one_region(prompt, more, sampling);
    cpl_image *image = picture_of(session, layout);
    cpl_layout_free(layout);
    return image;
}

typedef struct said {
    const char *prompt, *more, *sampling;
} said;

static void expect(said a, said b, bool same) {
    cpl_image *first = picture(a.prompt, a.more, a.sampling), *second = picture(b.prompt, b.more, b.sampling);
    if (same_picture(first, second) != same)
        fail_msg("'%s' %s %s\nand '%s' %s %s\n%s", a.prompt, a.more, a.sampling, b.prompt, b.more, b.sampling,
                 same ? "differ" : "are the same");
    cpl_image_free(first);
    cpl_image_free(second);
}

#define SCHEDULES ", \"schedules\": true"

static void a_schedule_counts_only_where_it_is_asked_for(void **state) {
    (void)state;
    /* "cat" from the first call on and to the last: times outside of the run */
    expect((said){"a [sun:cat:0]", SCHEDULES, ""}, (said){"a cat", "", ""}, true); /* no step is before it */
    expect((said){"a [sun:cat:-1]", SCHEDULES, ""}, (said){"a cat", "", ""}, true);
    expect((said){"a [cat:sun:9]", SCHEDULES, ""}, (said){"a cat", "", ""}, true);
    expect((said){"a [cat:sun:2]", SCHEDULES, ""}, (said){"a cat", "", ""}, false);
    expect((said){"a [cat:sun:2]", SCHEDULES, ""}, (said){"a [cat:sun:2]", "", ""}, false);
    expect((said){"a [cat|sun]", SCHEDULES, ""}, (said){"a [sun|cat]", SCHEDULES, ""}, false);
    expect((said){"a [cat:sun:0.5]", SCHEDULES, ""}, (said){"a [cat:sun:2]", SCHEDULES, ""}, true);
}

/* As in the original: the text of step n is still given to the call n, which is the one after it. */
static void the_text_changes_one_call_late(void **state) {
    (void)state;
    expect((said){"a [cat:sun:3]", SCHEDULES, ""}, (said){"a cat", "", ""}, true); /* calls 0 to 3 of 4 */
    expect((said){"a [cat:sun:3]", SCHEDULES, ", \"sampler\": \"heun\""},
           (said){"a cat", "", ", \"sampler\": \"heun\""}, false); /* calls 0 to 6 */
}

static void a_negative_text_may_always_change(void **state) {
    (void)state;
    expect((said){"a cat", ", \"negative\": \"[a sun:a tree:1]\"", ""},
           (said){"a cat", ", \"negative\": \"a sun\"", ""}, false);
    expect((said){"a cat", ", \"negative\": \"[a sun:a tree:9]\"", ""},
           (said){"a cat", ", \"negative\": \"a sun\"", ""}, true);
}

static void each_text_is_encoded_once(void **state) {
    (void)state;
    uint64_t before = stats_of(session).encoder_calls;
    cpl_image_free(picture("an [owl|apple|owl]", SCHEDULES, ""));
    uint64_t first = stats_of(session).encoder_calls;
    assert_int_equal(first - before, 2);
    assert_int_equal(stats_of(session).step_allocations, 0);
    cpl_image_free(picture("an [owl|apple|owl]", SCHEDULES, ", \"cfg\": 3"));
    assert_int_equal(stats_of(session).encoder_calls, first);
}

/* The guidance is a sum, so that parts with the same text add their weights. */
static void parts_of_a_composition_are_weighed(void **state) {
    (void)state;
    expect((said){"a cat AND a sun", SCHEDULES, ""}, (said){"a cat AND a sun", "", ""}, false);
    expect((said){"a cat AND a sun", SCHEDULES, ""}, (said){"a cat AND a sun :0.5", SCHEDULES, ""}, false);
    expect((said){"a cat AND a sun :0", SCHEDULES, ", \"cfg\": 4"}, (said){"a cat", "", ", \"cfg\": 4"}, true);
    expect((said){"a cat", SCHEDULES, ", \"cfg\": 4"}, (said){"a cat", "", ", \"cfg\": 4"}, true);
    cpl_image *twice = picture("a cat AND a cat :0.5", SCHEDULES, ", \"cfg\": 4"),
              *more = picture("a cat", "", ", \"cfg\": 6");
    for (int i = 0; i < twice->width * twice->height * 3; i++) assert_true(abs(twice->rgb[i] - more->rgb[i]) <= 1);
    cpl_image_free(twice);
    cpl_image_free(more);
}

static void a_composition_of_regions_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "{\"schedules\": true, \"regions\": [{\"prompt\": \"a sun\"}, {\"prompt\": \"a cat AND a dog\"}]}",
        "{\"schedules\": true, \"uncovered\": \"fill\", \"regions\": [{\"rect\": [0, 0.5, 0, 1], \"prompt\": \"a cat "
        "AND a dog\"}]}"};
    for (int i = 0; i < 2; i++) {
        cpl_layout *layout = layout_of(wrong[i]);
        cpl_event event = {0};
        hand_over(session, layout, CPL_SYNC_NOW);
        await(session, CPL_EVENT_INVALID, &event);
        assert_non_null(strstr(event.error.message, "AND composes whole pictures"));
        assert_int_equal(event.error.row, i == 0 ? 1 : 0);
        cpl_event_clear(&event);
        cpl_layout_free(layout);
    }
}

static void layers_of_the_encoder_are_left_out(void **state) {
    (void)state;
    expect((said){"a cat", "", ", \"clip_skip\": 1"}, (said){"a cat", "", ""}, true);
    expect((said){"a cat", "", ", \"clip_skip\": 2"}, (said){"a cat", "", ""}, false);
    cpl_layout *layout = one_region("a cat", "", ", \"clip_skip\": 3");
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    await(session, CPL_EVENT_INVALID, &event);
    assert_string_equal(event.error.path, "sampling.clip_skip");
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

/* Each picture is the one that its seed makes alone, and says so. */
static void a_batch_is_pictures_of_seeds_that_follow(void **state) {
    (void)state;
    cpl_layout *layout = one_region("a cat", "", ", \"batch\": 3, \"sampler\": \"euler_a\"");
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_image *images[3];
    cpl_session_generate(session);
    for (int i = 0; i < 3; i++) {
        cpl_event event = {0};
        await(session, CPL_EVENT_FINISHED, &event);
        assert_true(event.picture == i + 1 && event.pictures == 3 && event.seed == 3 + i);
        assert_true(event.hash == ticket.hash);
        assert_non_null(strstr(event.texts[1].value, i == 2 ? "Seed: 5" : i ? "Seed: 4" : "Seed: 3"));
        assert_null(strstr(event.texts[0].value, "batch"));
        images[i] = event.image;
        event.image = NULL;
        cpl_event_clear(&event);
    }
    for (int i = 0; i < 3; i++) {
        cpl_layout *alone = one_region("a cat", "", ", \"sampler\": \"euler_a\"");
        alone->sampling.seed = 3 + i;
        cpl_image *image = picture_of(session, alone);
        assert_true(same_picture(image, images[i]));
        cpl_image_free(image);
        cpl_image_free(images[i]);
        cpl_layout_free(alone);
    }
    cpl_layout_free(layout);
}

/* After the first picture no more of them come, and the run ends once. */
static void a_batch_is_cancelled_as_a_whole(void **state) {
    (void)state;
    cpl_layout *layout = one_region("a cat", "", ", \"batch\": 100");
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &event);
    cpl_session_cancel(session);
    do await_end(session, &event);
    while (event.type == CPL_EVENT_FINISHED);
    assert_int_equal(event.type, CPL_EVENT_CANCELLED);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_image_free(picture("a cat", "", ""));
}

static void tokens_of_all_chunks_are_counted(void **state) {
    (void)state;
    static const struct {
        const char *prompt, *more;
        int tokens, room;
    } rows[] = {{"a penguin", "", 2, 22},
                {"a cat BREAK a sun", "", 24, 44},
                {"a [cat:sun and a moon and a star:2]", SCHEDULES, 8, 22},
                {"a cat AND two suns and a moon :0.5", SCHEDULES, 5, 22}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cpl_layout *layout = one_region(rows[i].prompt, rows[i].more, "");
        cpl_event event = {0};
        hand_over(session, layout, CPL_SYNC_NOW);
        await(session, CPL_EVENT_SYNCED, &event);
        assert_int_equal(event.line_count, 1);
        if (event.lines[0].tokens != rows[i].tokens || event.lines[0].room != rows[i].room)
            fail_msg("%s: %d/%d tokens", rows[i].prompt, event.lines[0].tokens, event.lines[0].room);
        cpl_event_clear(&event);
        cpl_layout_free(layout);
    }
}

/* The vector beside an SDXL context follows the prompt's turns as well. */
static void an_sdxl_summary_takes_turns(void **state) {
    (void)state;
    char folder[] = "/tmp/couplet-turns-XXXXXX", path[64], model[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/xl.safetensors", folder);
    snprintf(model, sizeof model, ", \"model\": \"%s\"", path);
    write_model(TINY_XL, path, 0);
    cpl_session *builtin = session;
    session = open_session(&(cpl_options){.tokenizer = VOCABULARY});
    expect((said){"a [cat:sun:9]", SCHEDULES, model}, (said){"a cat", "", model}, true);
    expect((said){"a [cat:sun:1]", SCHEDULES, model}, (said){"a cat", "", model}, false);
    assert_int_equal(stats_of(session).step_allocations, 0);
    expect((said){"a cat AND a sun :0", SCHEDULES, model}, (said){"a cat", "", model}, true);
    expect((said){"a cat AND a sun", SCHEDULES, model}, (said){"a cat", "", model}, false);
    cpl_session_free(session);
    session = builtin;
    unlink(path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_counts_only_where_it_is_asked_for),
        cmocka_unit_test(the_text_changes_one_call_late),
        cmocka_unit_test(a_negative_text_may_always_change),
        cmocka_unit_test(each_text_is_encoded_once),
        cmocka_unit_test(parts_of_a_composition_are_weighed),
        cmocka_unit_test(a_composition_of_regions_is_refused),
        cmocka_unit_test(layers_of_the_encoder_are_left_out),
        cmocka_unit_test(a_batch_is_pictures_of_seeds_that_follow),
        cmocka_unit_test(a_batch_is_cancelled_as_a_whole),
        cmocka_unit_test(tokens_of_all_chunks_are_counted),
        cmocka_unit_test(an_sdxl_summary_takes_turns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
