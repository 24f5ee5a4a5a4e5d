/* test_journal.c: unsaved edits survive whatever ends the editor: the journal alone, and editors that are killed at random
 * moments while they edit and save. */
#include "fake_terminal.h"
#include "work_folder.h"

#include "../../tui/editor.h"
#include "../../tui/journal.h"

#include <sys/stat.h>

#include "../test.h"

enum { KILLS = 50, STEPS = 16 };

static const char WORK[] = "{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":64},\"uncovered\":\"fill\",\"regions\":["
                           "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"},{\"rect\":[0.5,1,0,1],\"prompt\":\"a sun\"}],"
                           "\"sampling\":{\"steps\":3,\"seed\":5}}";

static int enter_folder(void **state) {
    if (!new_folder(state)) return -1;
    FILE *file = fopen("work.json", "w");
    if (!file) return -1;
    fputs(WORK, file);
    fclose(file);
    return 0;
}

static cpl_layout *work(double x2) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(WORK, NULL, "work", &error);
    if (layout)
        layout->regions[0].x2 = x2;
    else
        fail_msg("%s", error.message);
    return layout;
}

/* ---- The journal alone ---- */

static void a_living_editor_is_left_alone(void **state) {
    (void)state;
    cpl_error error = {0};
    journal_left left;
    journal *mine = journal_open(&error);
    assert_non_null(mine);
    cpl_layout *layout = work(0.123456789012345678);
    assert_true(journal_write(mine, layout, "work.json", &error));
    assert_false(journal_find("work.json", &left)); /* its lock is held */
    journal_close(mine);
    assert_false(journal_find("other.json", &left));
    assert_false(journal_find(NULL, &left));
    /* The same file by another name. */
    assert_true(journal_find("./work.json", &left));
    assert_true(cpl_layout_equal(left.layout, layout));
    assert_true(left.layout->regions[0].x2 == 0.123456789012345678);
    journal_left_remove(&left);
    assert_false(journal_find("work.json", &left));
    cpl_layout_free(layout);
}

/* The next session may begin in another folder; what the layout names lies where it lay. */
static void the_folder_is_kept_whole(void **state) {
    char path[64];
    journal_left left;
    journal *mine = journal_open(NULL);
    cpl_layout *layout = work(0.5);
    assert_true(journal_write(mine, layout, "work.json", NULL));
    journal_close(mine);
    snprintf(path, sizeof path, "%s/work.json", (const char *)*state);
    assert_int_equal(chdir("/"), 0);
    assert_true(journal_find(path, &left));
    assert_string_equal(left.layout->directory, *state);
    journal_left_remove(&left);
    assert_int_equal(chdir(*state), 0);
    cpl_layout_free(layout);
}

static void the_newest_is_found_first(void **state) {
    (void)state;
    cpl_error error = {0};
    journal_left left;
    for (int i = 0; i < 3; i++) {
        pid_t child = fork(); /* a process each: the names have its number */
        if (child == 0) {
            journal *j = journal_open(NULL);
            cpl_layout *layout = cpl_layout_parse(WORK, NULL, "work", NULL);
            if (layout) layout->regions[0].x2 = 0.25 * (i + 1);
            bool done = j && layout && journal_write(j, layout, "work.json", NULL);
            if (done && i < 2) { /* the older ones; times in a file system may be coarse */
                char command[200];
                snprintf(command, sizeof command, "touch -d @%d couplet/journal/%ld-*.json", 1000 + i, (long)getpid());
                done = system(command) == 0;
            }
            _exit(done ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (int i = 2; i >= 0; i--) {
        assert_true(journal_find("work.json", &left));
        assert_true(left.layout->regions[0].x2 == 0.25 * (i + 1));
        journal_left_remove(&left);
    }
    assert_false(journal_find("work.json", &left));
    (void)error;
}

static void rubbish_is_passed_over(void **state) {
    (void)state;
    static const char *const rubbish[] = {
        "", "{", "{\"journal\": 1, \"path\": \"\", \"layout\":\n", "[1,2,3]",
        "{\"journal\": 1, \"path\": \"\", \"directory\": \"\", \"layout\":\n{\"couplet\":99}}"};
    cpl_error error = {0};
    journal_close(journal_open(&error)); /* makes the folder */
    for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++) {
        journal_left left;
        FILE *file = fopen("couplet/journal/1-1.json", "w");
        assert_non_null(file);
        fputs(rubbish[i], file);
        fclose(file);
        file = fopen("couplet/journal/1-1.json.lock", "w");
        assert_non_null(file);
        fclose(file);
        assert_false(journal_find(NULL, &left));
    }
}

/* ---- Editors that are killed ---- */

static void run_editor(void) {
    cpl_error error = {0};
    setlocale(LC_CTYPE, "C.UTF-8");
    cpl_layout *layout = cpl_layout_load("work.json", &error);
    NEED(layout);
    editor_options options = {.path = "work.json", .layout = layout, .session = {.threads = 1}};
    _exit(editor_run(&options));
}

/* What the keys of these tests can make: the right edge on a grid line, everything else untouched. */
static bool is_a_state(const cpl_layout *layout) {
    if (!layout) return false;
    double x2 = layout->regions[0].x2 * STEPS;
    cpl_layout *same = work(layout->regions[0].x2);
    bool equal = layout->region_count == 2 && x2 >= 1 && x2 <= STEPS && x2 == (int)x2 &&
                 !strcmp(layout->regions[1].prompt, same->regions[1].prompt) && layout->sampling.seed == 5;
    cpl_layout_free(same);
    return equal;
}

static void expect_whole(const char *path) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_load(path, &error);
    if (!layout) fail_msg("%s: %s", path, error.message);
    assert_true(is_a_state(layout));
    cpl_layout_free(layout);
}

static void wait_ms(fake *f, int ms) {
    for (long end = now_ms() + ms, left; (left = end - now_ms()) > 0;) fake_read(f, (int)left);
}

static void killed_at_any_moment_everything_is_whole(void **state) {
    (void)state;
    static const char *const keys[] = {"L", "H", "s", "LLL", "HHs", "u", "sLs", "\022"};
    uint32_t seed = 20261125;
    for (int i = 0; i < KILLS; i++) {
        fake f;
        journal_left left;
        fake_start(&f, XTERM, run_editor);
        fake_expect(&f, 0, "regions");
        for (int k = 0; k < 6; k++) {
            fake_send(&f, keys[test_random(&seed) % (sizeof keys / sizeof keys[0])]);
            wait_ms(&f, (int)(test_random(&seed) % 4));
        }
        wait_ms(&f, (int)(test_random(&seed) % 12));
        kill(f.child, SIGKILL);
        fake_wait(&f);
        expect_whole("work.json");
        if (journal_find("work.json", &left)) {
            assert_true(is_a_state(left.layout));
            journal_left_remove(&left);
        }
        fake_end(&f);
    }
}

static void after_a_second_nothing_is_lost(void **state) {
    (void)state;
    fake f;
    journal_left left;
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "synced");
    fake_send(&f, "LL");
    wait_ms(&f, 1000);
    /* A prompt that is still being typed is work, too. */
    fake_send(&f, "e on a mat");
    wait_ms(&f, 1000);
    kill(f.child, SIGKILL);
    fake_wait(&f);
    assert_true(journal_find("work.json", &left));
    assert_true(left.layout->regions[0].x2 == 0.625);
    assert_string_equal(left.layout->regions[0].prompt, "a cat on a mat");
    journal_left_clear(&left);
    fake_end(&f);
}

/* ---- What is not finished when a signal ends the editor ---- */

static void write_file(const char *json) {
    FILE *file = fopen("work.json", "w");
    assert_non_null(file);
    fputs(json, file);
    fclose(file);
}

/* The keys, each group half a second after the one before, and then the signal: what it left; NULL: nothing. */
static cpl_layout *left_after(const char *json, const char *const *keys, int number) {
    fake f;
    journal_left left;
    write_file(json);
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "synced");
    for (; *keys; keys++) {
        fake_send(&f, *keys);
        wait_ms(&f, 500);
    }
    kill(f.child, number);
    int status = fake_wait(&f);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 128 + number);
    bool found = journal_find("work.json", &left);
    assert_int_equal(fake_holds(&f, 0, "unsaved changes are kept"), found);
    cpl_layout *layout = left.layout;
    left.layout = NULL;
    journal_left_remove(&left);
    fake_end(&f);
    return layout;
}
#define left_after(json, number, ...) left_after(json, (const char *const[]){__VA_ARGS__, NULL}, number)

static void a_stroke_under_way_is_kept(void **state) {
    (void)state;
    cpl_layout *left = left_after(WORK, SIGTERM, "mX", "s", ")))14jd20l");
    assert_non_null(left);
    const cpl_mask *mask = left->regions[0].mask;
    long white = 0, count = (long)cpl_mask_width(mask) * cpl_mask_height(mask);
    for (long i = 0; i < count; i++) white += cpl_mask_pixels(mask)[i] >= 128;
    assert_true(white > 0);
    cpl_layout_free(left);
}

static void a_line_of_one_prompt_text_is_kept(void **state) {
    (void)state;
    static const char ONE[] = "{\"couplet\":1,\"mode\":\"basic\",\"prompt\":\"a cat\\na boat\"}";
    cpl_layout *left = left_after(ONE, SIGHUP, "e on a mat");
    assert_non_null(left);
    assert_int_equal(left->region_count, 2);
    assert_string_equal(left->regions[0].prompt, "a cat on a mat");
    assert_string_equal(left->regions[1].prompt, "a boat");
    cpl_layout_free(left);
    assert_null(left_after(ONE, SIGHUP, "e"));
}

static void negative_prompts_are_kept(void **state) {
    (void)state;
    cpl_layout *left = left_after(WORK, SIGTERM, "\033", "\t9l\r", "rain"); /* in the table, right of the prompt */
    assert_non_null(left);
    assert_string_equal(left->regions[0].negative, "rain");
    cpl_layout_free(left);
    left = left_after(WORK, SIGTERM, "\033", "\t\t9l\r", "rain"); /* in the settings line: the whole layout's */
    assert_non_null(left);
    assert_string_equal(left->negative, "rain");
    cpl_layout_free(left);
}

static void looking_at_a_cell_keeps_nothing(void **state) {
    (void)state;
    assert_null(left_after(WORK, SIGTERM, "e"));
    assert_null(left_after(WORK, SIGTERM, "\033", "\t9l\r"));
    assert_null(left_after(WORK, SIGTERM, "e!", "\177"));
}

/* Without a state folder it stands beside the file. */
static void what_is_typed_is_kept_beside_the_file(void **state) {
    (void)state;
    setenv("XDG_STATE_HOME", "/dev/null/nowhere", 1);
    fake f;
    cpl_error error = {0};
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "synced");
    fake_send(&f, "e on a mat");
    wait_ms(&f, 500);
    kill(f.child, SIGTERM);
    fake_wait(&f);
    fake_end(&f);
    cpl_layout *left = cpl_layout_load("work.json.autosave", &error);
    if (!left) {
        fail_msg("%s", error.message);
        abort();
    }
    assert_string_equal(left->regions[0].prompt, "a cat on a mat");
    cpl_layout_free(left);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        in_folder(a_living_editor_is_left_alone),
        in_folder(the_folder_is_kept_whole),
        in_folder(the_newest_is_found_first),
        in_folder(rubbish_is_passed_over),
        in_folder(killed_at_any_moment_everything_is_whole),
        in_folder(after_a_second_nothing_is_lost),
        in_folder(a_stroke_under_way_is_kept),
        in_folder(a_line_of_one_prompt_text_is_kept),
        in_folder(negative_prompts_are_kept),
        in_folder(looking_at_a_cell_keeps_nothing),
        in_folder(what_is_typed_is_kept_beside_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
