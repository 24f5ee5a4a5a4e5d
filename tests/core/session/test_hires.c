/* A second pass on a larger latent: it is what image to image makes of the first pass' picture, its texts go on in time, and
 * nothing is ever said of it that is not so. */
#include "session_test.h"

#include <stdio.h>

static char folder[] = "/tmp/couplet-hires-XXXXXX";
static char path[64];
static cpl_session *session;

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/first.png", folder);
    session = open_session(&(cpl_options){.threads = 1, .debounce_ms = 60000});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cpl_session_free(session);
    unlink(path);
    return rmdir(folder);
}

static cpl_layout *twofold(const char *upscaler, int steps, int second) {
    cpl_layout *layout = two_columns(steps);
    layout->hires_scale = 2;
    layout->hires_steps = second;
    layout->hires_denoise = 0.6;
    assert_true(cpl_text_set(&layout->hires_upscaler, upscaler, NULL));
    return layout;
}

/* The second pass by hand: the first one's picture, at twice the size, with all steps of a longer schedule. */
static cpl_layout *by_hand(const cpl_image *first, int steps) {
    cpl_layout *layout = two_columns(steps);
    assert_true(cpl_image_write_png(first, path, NULL, 0, NULL));
    assert_true(cpl_text_set(&layout->init_image, path, NULL));
    layout->width = layout->height = 128;
    layout->denoise = 0.6;
    layout->fix_steps = true;
    return layout;
}

static cpl_image *made_of(cpl_layout *layout) {
    cpl_image *image = picture_of(session, layout);
    cpl_layout_free(layout);
    return image;
}

static void by_way_of_the_picture_it_is_image_to_image(void **state) {
    (void)state;
    cpl_image *first = made_of(two_columns(3)), *hires = made_of(twofold("lanczos", 3, 4));
    cpl_image *wanted = made_of(by_hand(first, 4));
    assert_true(hires->width == 128 && hires->height == 128);
    assert_true(same_picture(hires, wanted));
    cpl_image *const all[] = {first, hires, wanted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cpl_image_free(all[i]);
}

/* A number of a step counts from the first pass, so that the second one begins with what comes behind it. */
static void texts_go_on_in_time(void **state) {
    (void)state;
    cpl_layout *changing = twofold("lanczos", 3, 4), *before = two_columns(3), *after;
    changing->schedules = before->schedules = true;
    assert_true(cpl_text_set(&changing->regions[0].prompt, "a [cat:sun:3], night sky", NULL));
    cpl_image *first = made_of(before), *hires = made_of(changing);
    after = by_hand(first, 4);
    after->schedules = true;
    assert_true(cpl_text_set(&after->regions[0].prompt, "a sun, night sky", NULL));
    cpl_image *wanted = made_of(after);
    assert_true(same_picture(hires, wanted));
    cpl_image *const all[] = {first, hires, wanted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cpl_image_free(all[i]);
}

static void every_setting_is_another_picture(void **state) {
    (void)state;
    cpl_layout *all[] = {two_columns(2),
                         twofold("latent", 2, 3),
                         twofold("latent_nearest", 2, 3),
                         twofold("latent_bicubic", 2, 3),
                         twofold("latent", 2, 4),
                         twofold("latent", 2, 3),
                         twofold("latent", 2, 3)};
    enum { COUNT = sizeof all / sizeof *all };
    cpl_image *image[COUNT];
    uint64_t hash[COUNT];
    all[COUNT - 2]->hires_denoise = 0.3;
    all[COUNT - 1]->hires_scale = 1.5;
    for (int i = 0; i < COUNT; i++) {
        hash[i] = hand_over(session, all[i], CPL_SYNC_NOW).hash;
        image[i] = picture_of(session, all[i]);
        for (int k = 0; k < i; k++) {
            assert_true(hash[k] != hash[i]);
            assert_false(image[k]->width == image[i]->width && same_picture(image[k], image[i]));
        }
    }
    assert_int_equal(image[COUNT - 1]->width, 96);
    for (int i = 0; i < COUNT; i++) {
        cpl_image_free(image[i]);
        cpl_layout_free(all[i]);
    }
}

/* Scale 1 is no second pass, whatever stands beside it. */
static void a_scale_of_one_changes_nothing(void **state) {
    (void)state;
    cpl_layout *none = twofold("latent_bicubic", 2, 7);
    none->hires_scale = 1;
    cpl_layout *plain = two_columns(2);
    assert_true(hand_over(session, none, CPL_SYNC_NOW).hash == hand_over(session, plain, CPL_SYNC_NOW).hash);
    cpl_layout_free(none);
    cpl_layout_free(plain);
}

/* Steps are counted through both passes, previews grow, and the picture's texts make it again. */
static void what_is_told_of_it(void **state) {
    (void)state;
    cpl_layout *layout = twofold("latent", 3, 4);
    cpl_event event = {0};
    int last = 0, widest = 0, least = 1000;
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    do {
        cpl_event_clear(&event);
        next_event(session, &event);
        if (event.type == CPL_EVENT_STARTED) assert_int_equal(event.steps, 7);
        if (event.type == CPL_EVENT_PROGRESS) {
            assert_true(event.step >= last && event.steps == 7);
            last = event.step;
        }
        if (event.type == CPL_EVENT_PREVIEW) {
            if (event.image->width > widest) widest = event.image->width;
            if (event.image->width < least) least = event.image->width;
        }
    } while (event.type < CPL_EVENT_FINISHED);
    assert_int_equal(event.type, CPL_EVENT_FINISHED);
    assert_true(last == 7 && event.step == 7 && widest == 16 && least <= 16);
    cpl_layout *inside = NULL;
    for (int i = 0; i < event.text_count; i++) {
        if (strcmp(event.texts[i].key, "couplet") == 0)
            inside = cpl_layout_parse(event.texts[i].value, NULL, "picture", NULL);
        else if (strcmp(event.texts[i].key, "parameters") == 0)
            assert_non_null(strstr(event.texts[i].value,
                                   "Size: 64x64, Model: builtin, Denoising strength: 0.6, Hires upscale: 2, Hires "
                                   "steps: 4, Hires upscaler: Latent"));
    }
    assert_non_null(inside);
    cpl_image *again = made_of(inside);
    assert_true(same_picture(again, event.image));
    cpl_image_free(again);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

/* Each picture of a batch begins with a first pass of its own. */
static void every_picture_has_both(void **state) {
    (void)state;
    cpl_layout *layout = twofold("latent", 2, 3);
    cpl_event event = {0};
    layout->sampling.batch = 2;
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &event);
    cpl_image *first = event.image;
    event.image = NULL;
    cpl_event_clear(&event);
    await(session, CPL_EVENT_FINISHED, &event);
    for (int i = 0; i < 2; i++) {
        cpl_layout *alone = twofold("latent", 2, 3);
        alone->sampling.seed += i;
        cpl_image *image = made_of(alone);
        assert_true(same_picture(image, i ? event.image : first));
        cpl_image_free(image);
    }
    cpl_image_free(first);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

/* An edit in live mode, wherever it falls, ends in the picture of the newest layout. */
static void live_edits_are_never_stale(void **state) {
    (void)state;
    cpl_layout *layout = twofold("latent", 3, 4);
    for (int wait = 1; wait <= 7; wait += 2) {
        cpl_event event = {0};
        layout->regions[0].x2 = layout->regions[1].x1 = 0.5;
        hand_over(session, layout, CPL_SYNC_NOW);
        cpl_session_live(session, true);
        do {
            cpl_event_clear(&event);
            next_event(session, &event);
        } while (event.type != CPL_EVENT_FINISHED && !(event.type == CPL_EVENT_PROGRESS && event.step >= wait));
        layout->regions[0].x2 = layout->regions[1].x1 = 0.25 + 0.03 * wait;
        cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
        do {
            cpl_event_clear(&event);
            next_event(session, &event);
        } while (event.type != CPL_EVENT_FINISHED || event.hash != ticket.hash);
        cpl_session_live(session, false);
        cpl_image *wanted = made_of(cpl_layout_copy(layout, NULL));
        assert_true(same_picture(event.image, wanted));
        cpl_image_free(wanted);
        cpl_event_clear(&event);
    }
    cpl_layout_free(layout);
}

static void refused(cpl_layout *layout, const char *where, const char *words) {
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    await_end(session, &event);
    assert_int_equal(event.type, CPL_EVENT_INVALID);
    assert_string_equal(event.error.path, where);
    if (!strstr(event.error.message, words)) fail_msg("%s", event.error.message);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    cpl_layout *with_start = twofold("latent", 2, 2), *endless = twofold("latent", 2, 900);
    cpl_layout *huge = twofold("latent", 2, 2);
    assert_true(cpl_text_set(&with_start->init_image, path, NULL));
    endless->hires_denoise = 0.1;
    huge->width = 6000 / 8 * 8;
    refused(with_start, "hires.scale", "remove img2img.image");
    refused(endless, "hires.denoise", "at most 1000");
    refused(huge, "hires.scale", "larger than 8192 pixels");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_way_of_the_picture_it_is_image_to_image),
        cmocka_unit_test(texts_go_on_in_time),
        cmocka_unit_test(every_setting_is_another_picture),
        cmocka_unit_test(a_scale_of_one_changes_nothing),
        cmocka_unit_test(what_is_told_of_it),
        cmocka_unit_test(every_picture_has_both),
        cmocka_unit_test(live_edits_are_never_stale),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
