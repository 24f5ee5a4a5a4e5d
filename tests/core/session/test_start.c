/* Image to image: what begins with a picture stays near it as far as it is told to, and is never of another picture. */
#include "session_test.h"

#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/couplet-start-XXXXXX";
static char path[64];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.png", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    rmdir(folder);
    return 0;
}

/* A slope from left to right, which the network would not make of these words. */
static cpl_image *slope(int width, int height, int blue) {
    cpl_image *image = cpl_image_new(width, height, NULL);
    for (int i = 0; i < width * height; i++) {
        image->rgb[i * 3] = (unsigned char)(i % width * 255 / width);
        image->rgb[i * 3 + 1] = 90;
        image->rgb[i * 3 + 2] = (unsigned char)blue;
    }
    return image;
}

static void put(const cpl_image *image) { assert_true(cpl_image_write_png(image, path, NULL, 0, NULL)); }

static cpl_layout *beginning_with(const char *image, double denoise, const char *sampler) {
    cpl_layout *layout = two_columns(8);
    cpl_text_set(&layout->init_image, image, NULL);
    cpl_text_set(&layout->sampling.sampler, sampler, NULL);
    layout->denoise = denoise;
    return layout;
}

static double distance(const cpl_image *a, const cpl_image *b) {
    double sum = 0;
    int count = a->width * a->height * 3;
    for (int i = 0; i < count; i++) sum += abs(a->rgb[i] - b->rgb[i]);
    return sum / count;
}

static void the_less_is_denoised_the_nearer(void **state) {
    (void)state;
    static const char *const samplers[] = {"euler", "euler_a", "dpmpp_2m", "ddim", "plms"};
    cpl_session *session = open_session(&(cpl_options){.threads = 1});
    cpl_image *image = slope(64, 64, 200);
    put(image);
    for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
        double far = 0;
        static const double shares[] = {1, 0.6, 0.01};
        for (int k = 0; k < 3; k++) {
            cpl_layout *layout = beginning_with(path, shares[k], samplers[i]);
            cpl_image *got = picture_of(session, layout);
            double now = distance(got, image);
            if (k && now >= far) fail_msg("%s: %g at %g, but %g before", samplers[i], now, shares[k], far);
            far = now;
            cpl_image_free(got);
            cpl_layout_free(layout);
        }
        if (far > 50) fail_msg("%s: a single step goes %g away", samplers[i], far);
    }
    cpl_image_free(image);
    cpl_session_free(session);
}

static void an_image_of_another_size_is_resized(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.threads = 1});
    cpl_image *large = slope(150, 130, 200), *wanted = slope(64, 64, 200);
    put(large);
    cpl_layout *layout = beginning_with(path, 0.01, "euler");
    cpl_image *got = picture_of(session, layout);
    assert_true(got->width == 64 && distance(got, wanted) < 20);
    cpl_image_free(got);
    cpl_image_free(wanted);
    cpl_image_free(large);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void another_file_is_another_picture(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.threads = 1});
    cpl_image *first = slope(64, 64, 200), *second = slope(64, 64, 20);
    put(first);
    cpl_layout *layout = beginning_with(path, 0.3, "euler");
    cpl_ticket before = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_image *a = picture_of(session, layout), *again = picture_of(session, layout);
    put(second);
    cpl_ticket after = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_image *b = picture_of(session, layout);
    assert_true(same_picture(a, again));
    assert_true(before.hash != after.hash);
    assert_true(distance(b, second) < distance(b, first));
    cpl_image *const all[] = {first, second, a, again, b};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cpl_image_free(all[i]);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void progress_counts_the_steps_that_are_made(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){.threads = 1});
    cpl_image *image = slope(64, 64, 200);
    put(image);
    cpl_layout *layout = beginning_with(path, 0.5, "euler");
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await(session, CPL_EVENT_STARTED, &event);
    assert_int_equal(event.steps, 5);
    cpl_event_clear(&event);
    await(session, CPL_EVENT_FINISHED, &event);
    assert_int_equal(event.step, 5);
    bool told = false;
    for (int i = 0; i < event.text_count; i++) told |= strstr(event.texts[i].value, "Denoising strength: 0.5") != NULL;
    assert_true(told);
    cpl_event_clear(&event);
    cpl_image_free(image);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* The end of a run with such a layout; the session makes a picture afterwards all the same. */
static void refused(const char *image, double denoise, bool fix_steps, cpl_event_type type, const char *where,
                    const char *words) {
    cpl_session *session = open_session(&(cpl_options){.threads = 1});
    cpl_layout *layout = beginning_with(image, denoise, "euler"), *good = two_columns(1);
    cpl_event event = {0};
    layout->fix_steps = fix_steps;
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await_end(session, &event);
    assert_int_equal(event.type, type);
    assert_string_equal(event.error.path, where);
    if (!strstr(event.error.message, words)) fail_msg("%s", event.error.message);
    /* What is wrong may be told twice, of the hand-over and of the run; or the run has not begun yet and is withdrawn. */
    cpl_ticket ticket = hand_over(session, good, CPL_SYNC_NOW);
    cpl_session_generate(session);
    do await_end(session, &event);
    while (event.revision != ticket.revision || event.type == CPL_EVENT_CANCELLED);
    assert_int_equal(event.type, CPL_EVENT_FINISHED);
    cpl_event_clear(&event);
    cpl_layout_free(good);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void what_cannot_be_read_is_refused(void **state) {
    (void)state;
    refused("nowhere.png", 0.5, false, CPL_EVENT_INVALID, "img2img.image", "nowhere.png: No such file");
    FILE *broken = fopen(path, "w");
    fputs("this is no picture", broken);
    fclose(broken);
    refused(path, 0.5, false, CPL_EVENT_INVALID, "img2img.image", "a.png: is not a PNG file; convert it");
}

/* Nobody asks for a run, and no model is there to be loaded: the file's own fault comes first. */
static void a_damaged_file_is_told_before_a_model_is_loaded(void **state) {
    (void)state;
    cpl_image *image = slope(64, 64, 200);
    put(image);
    assert_int_equal(truncate(path, 60), 0);
    cpl_session *session = open_session(&(cpl_options){.threads = 1});
    cpl_layout *layout = beginning_with(path, 0.5, "euler");
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    bool told = false;
    while (!told && cpl_session_wait(session, -1)) {
        while (!told && cpl_session_next(session, &event)) {
            assert_true(event.type != CPL_EVENT_LOADING && event.type != CPL_EVENT_SYNCED);
            told = event.type == CPL_EVENT_INVALID;
            if (told) {
                assert_string_equal(event.error.path, "img2img.image");
                assert_non_null(strstr(event.error.message, "a.png"));
                assert_non_null(strstr(event.error.message, ";")); /* what to do about it */
            }
            cpl_event_clear(&event);
        }
    }
    assert_true(told);
    cpl_error error = {0};
    assert_false(cpl_layout_check_start(layout, &error));
    assert_string_equal(error.path, "img2img.image");
    put(image); /* mended: the same layout is looked at again */
    assert_true(cpl_layout_check_start(layout, &error));
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await_end(session, &event);
    assert_int_equal(event.type, CPL_EVENT_FINISHED);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
    cpl_image_free(image);
}

static void an_endless_schedule_is_refused(void **state) {
    (void)state;
    cpl_image *image = slope(64, 64, 200);
    put(image);
    refused(path, 0.007, false, CPL_EVENT_INVALID, "img2img.denoise", "must be from 0.01 to 1");
    refused(path, 0.01, true, CPL_EVENT_FINISHED, "", "");
    cpl_image_free(image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_less_is_denoised_the_nearer),
        cmocka_unit_test(an_image_of_another_size_is_resized),
        cmocka_unit_test(another_file_is_another_picture),
        cmocka_unit_test(progress_counts_the_steps_that_are_made),
        cmocka_unit_test(a_damaged_file_is_told_before_a_model_is_loaded),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(an_endless_schedule_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
