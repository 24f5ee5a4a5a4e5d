/* Models that are files: another one by name, the same one rewritten, one that cannot be read. */
#include "session_test.h"

#include <fcntl.h>
#include <sys/stat.h>

static char folder[] = "/tmp/couplet-test-XXXXXX";
static char model_path[64];

static void copy_file(const char *from, const char *to) {
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    static char block[1 << 16];
    size_t got;
    if (!in || !out) fail_msg("%s cannot be copied to %s", from, to);
    while ((got = fread(block, 1, sizeof block, in)) > 0) assert_int_equal(fwrite(block, 1, got, out), got);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void copy_model(const char *name) {
    char from[128], to[128];
    snprintf(from, sizeof from, "core/model/builtin/%s", name);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    copy_file(from, to);
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    copy_model("builtin.safetensors");
    copy_model("vocab.json");
    copy_model("merges.txt");
    snprintf(model_path, sizeof model_path, "%s/builtin.safetensors", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    static const char *const names[] = {"builtin.safetensors", "vocab.json", "merges.txt"};
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static void set_time(time_t seconds) {
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, model_path, times, 0), 0);
}

static void await_ready(cpl_session *session, const char *name) {
    cpl_event event = {0};
    await(session, CPL_EVENT_READY, &event);
    assert_string_equal(event.model.name, name);
    cpl_event_clear(&event);
}

/* The weights inside the program and the same ones in a file make the same picture under different names. */
static void a_file_is_loaded_when_a_layout_names_it(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(2);
    cpl_ticket inside = hand_over(session, layout, CPL_SYNC_NOW), named;
    cpl_image *a = picture_of(session, layout);
    assert_true(cpl_text_set(&layout->sampling.model, model_path, NULL));
    named = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(named.hash != inside.hash);
    cpl_image *b = picture_of(session, layout);
    assert_true(same_picture(a, b));
    assert_string_equal(stats_of(session).model, "builtin");
    assert_true(cpl_text_set(&layout->sampling.model, NULL, NULL));
    cpl_image *c = picture_of(session, layout);
    assert_true(same_picture(a, c));
    cpl_image_free(a);
    cpl_image_free(b);
    cpl_image_free(c);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* A name is looked for beside the layout. */
static void a_relative_name_is_looked_for_beside_the_layout(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    assert_true(cpl_text_set(&layout->sampling.model, "builtin.safetensors", NULL));
    assert_true(cpl_text_set(&layout->directory, folder, NULL));
    cpl_image_free(picture_of(session, layout));
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void a_file_that_was_written_again_is_loaded_again(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    assert_true(cpl_text_set(&layout->sampling.model, model_path, NULL));
    set_time(1000000000);
    cpl_ticket before = hand_over(session, layout, CPL_SYNC_NOW);
    await_ready(session, "builtin");
    assert_true(hand_over(session, layout, CPL_SYNC_NOW).revision == before.revision);
    set_time(1000000007);
    cpl_ticket after = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(after.revision == before.revision + 1 && after.hash != before.hash);
    await_ready(session, "builtin");
    cpl_image_free(picture_of(session, layout));
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* Fine-tunes of one model have equal headers and sizes, and what unpacks them may give them one time. */
static void another_file_is_another_model_though_all_of_its_header_is_equal(void **state) {
    (void)state;
    char path[128], backup[128];
    snprintf(path, sizeof path, "%s/other.safetensors", folder);
    snprintf(backup, sizeof backup, "%s/first.safetensors", folder);
    copy_file(model_path, path);
    FILE *file = fopen(path, "r+b");
    assert_true(file && fseek(file, -20000, SEEK_END) == 0);
    for (int i = 0; i < 10000; i++) putc(0, file);
    assert_int_equal(fclose(file), 0);
    const struct timespec times[2] = {{.tv_sec = 1000000011}, {.tv_sec = 1000000011}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    set_time(1000000011);
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    assert_true(cpl_text_set(&layout->sampling.model, model_path, NULL));
    cpl_ticket first = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_image *a = picture_of(session, layout);
    assert_true(cpl_text_set(&layout->sampling.model, path, NULL));
    cpl_ticket second = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(second.revision == first.revision + 1 && second.hash != first.hash);
    cpl_image *b = picture_of(session, layout);
    assert_false(same_picture(a, b));
    /* Also as the VAE alone, and under the name that the first one had. */
    assert_true(cpl_text_set(&layout->sampling.model, NULL, NULL));
    assert_true(cpl_text_set(&layout->sampling.vae, path, NULL));
    second = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(cpl_text_set(&layout->sampling.vae, model_path, NULL));
    first = hand_over(session, layout, CPL_SYNC_NOW);
    assert_true(second.hash != first.hash);
    assert_int_equal(rename(model_path, backup), 0);
    assert_int_equal(rename(path, model_path), 0);
    assert_true(hand_over(session, layout, CPL_SYNC_NOW).hash == second.hash);
    assert_int_equal(rename(backup, model_path), 0);
    cpl_image_free(a);
    cpl_image_free(b);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

static void a_broken_file_fails_and_the_next_model_works(void **state) {
    (void)state;
    cpl_session *session = open_session(&(cpl_options){0});
    cpl_layout *layout = two_columns(1);
    cpl_event event = {0};
    cpl_image *before = picture_of(session, layout);
    assert_int_equal(truncate(model_path, 1000000), 0); /* the header is whole, the weights are not */
    assert_true(cpl_text_set(&layout->sampling.model, model_path, NULL));
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await_end(session, &event);
    assert_true(event.type == CPL_EVENT_FAILED || event.type == CPL_EVENT_INVALID);
    assert_non_null(strstr(event.error.message, "builtin.safetensors"));
    cpl_event_clear(&event);
    while (cpl_session_wait(session, 100) && cpl_session_next(session, &event)) cpl_event_clear(&event);
    assert_true(cpl_text_set(&layout->sampling.model, NULL, NULL));
    cpl_image *after = picture_of(session, layout);
    assert_true(same_picture(before, after));
    /* Mended, it is read again although nothing else changed. */
    copy_model("builtin.safetensors");
    assert_true(cpl_text_set(&layout->sampling.model, model_path, NULL));
    cpl_image *mended = picture_of(session, layout);
    assert_true(same_picture(before, mended));
    cpl_image_free(before);
    cpl_image_free(after);
    cpl_image_free(mended);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_loaded_when_a_layout_names_it),
        cmocka_unit_test(a_relative_name_is_looked_for_beside_the_layout),
        cmocka_unit_test(a_file_that_was_written_again_is_loaded_again),
        cmocka_unit_test(another_file_is_another_model_though_all_of_its_header_is_equal),
        cmocka_unit_test(a_broken_file_fails_and_the_next_model_works),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
