/* The layout inside a picture: it makes the picture again wherever the file goes, and tells no more of the user's folders than
 * that takes. */
#include "session_test.h"

#include <sys/stat.h>

#include "../../../core/session/record.h"

static char root[] = "/tmp/couplet-record-XXXXXX";

static const char *under(const char *name) {
    static char paths[4][300];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void write_picture(const char *name, int from, int to) {
    cpl_image *image = cpl_image_new(64, 64, NULL);
    for (int i = 0; i < 64 * 64; i++) memset(image->rgb + (size_t)i * 3, i % 64 >= from && i % 64 < to ? 255 : 0, 3);
    assert_true(cpl_image_write_png(image, under(name), NULL, 0, NULL));
    cpl_image_free(image);
}

static void write_nothing(const char *name) {
    FILE *file = fopen(under(name), "wb");
    assert_true(file && fclose(file) == 0);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(root)) return -1;
    mkdir(under("here"), 0777);
    mkdir(under("here/sub"), 0777);
    mkdir(under("there"), 0777);
    write_picture("here/left.png", 0, 32);
    write_picture("here/right.png", 32, 64);
    write_picture("here/start.png", 10, 50);
    /* Of the same names, and other pictures. */
    write_picture("there/left.png", 0, 8);
    write_picture("there/right.png", 8, 64);
    write_picture("there/start.png", 0, 1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static void the_layout_in_a_picture_makes_it_again_in_another_folder(void **state) {
    (void)state;
    cpl_error error = {0};
    cpl_event event = {0};
    cpl_layout *layout =
        cpl_layout_parse("{\"canvas\": {\"width\": 64, \"height\": 64}, \"mode\": \"mask\", \"regions\": ["
                         "{\"mask\": \"left.png\", \"prompt\": \"a cat\"},"
                         "{\"mask\": \"./right.png\", \"prompt\": \"a boat, sea\"}],"
                         "\"img2img\": {\"image\": \"start.png\", \"denoise\": 0.75}, \"sampling\": {\"steps\": 2}}",
                         under("here"), "test", &error);
    if (!layout) fail_msg("%s", error.message);
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &event);
    const char *png = under("there/out.png");
    assert_true(cpl_image_write_png(event.image, png, event.texts, event.text_count, &error));
    cpl_layout *again = cpl_layout_load(png, &error);
    if (!again) {
        fail_msg("%s", error.message);
        abort();
    }
    for (int i = 0; i < 2; i++) assert_int_equal(strncmp(again->regions[i].mask_source, "data:", 5), 0);
    assert_int_equal(again->init_image[0], '/');
    assert_true(hand_over(session, again, CPL_SYNC_NOW).hash == ticket.hash);
    cpl_image *image = picture_of(session, again);
    assert_true(same_picture(image, event.image));
    cpl_image_free(image);
    cpl_event_clear(&event);
    cpl_layout_free(again);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* A plain name is one that the reader of the picture may have too; where the user's models lie is nobody's business. */
static void names_of_models_stay_as_they_are_unless_they_lead_somewhere(void **state) {
    (void)state;
    cpl_error error = {0};
    static const char json[] =
        "{\"regions\": [{\"prompt\": \"a cat\"}], \"loras\": [{\"path\": \"plain.safetensors\"},"
        "{\"path\": \"sub/style.safetensors\"}, {\"name\": \"sub/style\"}, {\"path\": \"/x/y\"}],"
        "\"sampling\": {\"model\": \"plain.safetensors\", \"vae\": \"sub/vae.safetensors\"}}";
    write_nothing("here/plain.safetensors");
    write_nothing("here/sub/vae.safetensors");
    write_nothing("here/sub/style.safetensors");
    cpl_snapshot snapshot = {
        .settings = {
            .width = 64, .height = 64, .steps = 2, .cfg = 4, .sampler = "euler", .schedule = "normal", .rng = "cpu"}};
    snapshot.layout = cpl_layout_parse(json, under("here"), "test", &error);
    cpl_event event = {.type = CPL_EVENT_FINISHED};
    assert_true(snapshot.layout && cpl_record_texts(&event, &snapshot, 7, NULL, &error));
    if (!event.texts) abort();
    cpl_layout *told = layout_of(event.texts[0].value);
    assert_string_equal(told->sampling.model, "plain.safetensors");
    assert_string_equal(told->sampling.vae, under("here/sub/vae.safetensors"));
    assert_string_equal(told->loras[0].path, "plain.safetensors");
    assert_string_equal(told->loras[1].path, under("here/sub/style.safetensors"));
    assert_string_equal(told->loras[2].name, "sub/style");
    assert_string_equal(told->loras[3].path, "/x/y");
    assert_string_equal(snapshot.layout->sampling.vae,
                        "sub/vae.safetensors"); /* what the user edits is another matter */
    cpl_layout_free(told);
    cpl_event_clear(&event);
    cpl_snapshot_clear(&snapshot);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_in_a_picture_makes_it_again_in_another_folder),
        cmocka_unit_test(names_of_models_stay_as_they_are_unless_they_lead_somewhere),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
