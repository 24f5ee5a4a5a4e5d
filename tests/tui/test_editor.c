/* test_editor.c: the whole editor in a pseudo terminal: what it leaves behind when it is ended in every way, and where it
 * paints. Keys and screens as a user sees them are tested in tests/e2e. */
#include "fake_terminal.h"
#include "work_folder.h"

#include "../../tui/editor.h"
#include "../../tui/journal.h"

#include <sys/stat.h>

static const char WORK[] = "{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":64},\"regions\":["
                           "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"},{\"rect\":[0.5,1,0,1],\"prompt\":\"a sun\"}],"
                           "\"sampling\":{\"steps\":3,\"seed\":5}}";
static const char *file_name; /* what the editor is started with; NULL: no name */

static int enter_folder(void **state) {
    if (!new_folder(state)) return -1;
    FILE *file = fopen("work.json", "w");
    if (!file) return -1;
    fputs(WORK, file);
    fclose(file);
    file_name = "work.json";
    return 0;
}

static void run_editor(void) {
    cpl_error error = {0};
    setlocale(LC_CTYPE, "C.UTF-8");
    cpl_layout *layout = cpl_layout_parse(WORK, NULL, "work", &error);
    NEED(layout);
    editor_options options = {.path = file_name, .layout = layout, .session = {.threads = 1}};
    _exit(editor_run(&options));
}

static void begin(fake *f) {
    fake_start(f, XTERM, run_editor);
    fake_expect(f, 0, "r1 synced");
}

/* A key and the text that it makes appear; ncurses writes only what changes, so `text` must be new on the screen. */
static size_t press(fake *f, const char *keys, const char *text) {
    size_t from = f->size;
    fake_send(f, keys);
    return fake_expect(f, from, text);
}

static int exit_status(fake *f) {
    int status = fake_wait(f);
    if (!WIFEXITED(status)) fail_msg("the editor ended with %x", (unsigned)status);
    return WEXITSTATUS(status);
}

static double first_x1(const char *path) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_load(path, &error);
    if (!layout) fail_msg("%s: %s", path, error.message);
    double x1 = layout && layout->region_count ? layout->regions[0].x1 : -1;
    cpl_layout_free(layout);
    return x1;
}

/* Where the first region stands in what an editor that is gone left for a file; it is removed. */
static double left_x1(const char *path) {
    journal_left left;
    assert_true(journal_find(path, &left));
    double x1 = left.layout->region_count ? left.layout->regions[0].x1 : -1;
    journal_left_remove(&left);
    return x1;
}

static bool nothing_left(const char *path) {
    journal_left left;
    bool none = !journal_find(path, &left);
    journal_left_clear(&left);
    return none;
}

static bool is_there(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

static void quitting_clean_leaves_nothing(void **state) {
    (void)state;
    fake f;
    begin(&f);
    size_t from = f.size;
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_expect_restored(&f, from);
    assert_true(nothing_left("work.json"));
    fake_end(&f);
}

static void signals_keep_the_work(void **state) {
    (void)state;
    static const int signals[] = {SIGTERM, SIGHUP, SIGINT};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        fake f;
        begin(&f);
        press(&f, "l", "[+]");
        size_t from = f.size;
        kill(f.child, signals[i]);
        assert_int_equal(exit_status(&f), 128 + signals[i]);
        fake_expect_restored(&f, from);
        /* Said after the terminal was given back, or nobody could read it. */
        size_t end = fake_expect(&f, from, "\033[?1049l");
        assert_true(fake_holds(&f, end, "unsaved changes are kept"));
        assert_true(first_x1("work.json") == 0);
        assert_true(left_x1("work.json") == 0.0625);
        fake_end(&f);
    }
}

static void a_layout_without_a_name_is_kept_too(void **state) {
    (void)state;
    fake f;
    file_name = NULL;
    begin(&f);
    press(&f, "l", "[+]");
    kill(f.child, SIGTERM);
    assert_int_equal(exit_status(&f), 128 + SIGTERM);
    assert_true(left_x1(NULL) == 0.0625);
    fake_end(&f);
}

static void without_a_state_folder_work_is_kept_beside_the_file(void **state) {
    (void)state;
    fake f;
    setenv("XDG_STATE_HOME", "/dev/null/nowhere", 1);
    begin(&f);
    press(&f, "l", "[+]");
    kill(f.child, SIGTERM);
    assert_int_equal(exit_status(&f), 128 + SIGTERM);
    assert_true(first_x1("work.json.autosave") == 0.0625);
    fake_end(&f);
}

static void lost_work_is_offered(void **state) {
    (void)state;
    fake f;
    begin(&f);
    press(&f, "l", "[+]");
    while (fake_read(&f, 1000)) {} /* the statistics, once a second, write nothing */
    kill(f.child, SIGKILL);
    assert_true(WIFSIGNALED(fake_wait(&f)));
    fake_end(&f);
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "were not saved");
    press(&f, "\033", "asks again");
    press(&f, ":recover\r", "were not saved");
    press(&f, "r", "the edits are back");
    press(&f, "s", "saved work.json");
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    assert_true(first_x1("work.json") == 0.0625);
    assert_true(nothing_left("work.json"));
    fake_end(&f);
}

static void earlier_work_is_pointed_at(void **state) {
    (void)state;
    fake f;
    FILE *file = fopen("work.json.autosave", "w");
    assert_non_null(file);
    fputs(WORK, file);
    fclose(file);
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "work.json.autosave");
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    assert_true(is_there("work.json.autosave"));
    fake_end(&f);
}

static void the_question_saves_discards_or_stays(void **state) {
    (void)state;
    fake f;
    begin(&f);
    press(&f, "l", "[+]");
    press(&f, "q", "unsaved changes");
    press(&f, "\033", "NORMAL");
    press(&f, "q", "unsaved changes");
    fake_send(&f, "d");
    assert_int_equal(exit_status(&f), 0);
    assert_true(first_x1("work.json") == 0);
    fake_end(&f);
    begin(&f);
    press(&f, "l", "[+]");
    press(&f, "q", "unsaved changes");
    fake_send(&f, "s");
    assert_int_equal(exit_status(&f), 0);
    assert_true(first_x1("work.json") == 0.0625);
    fake_end(&f);
}

static void a_failed_save_says_why_and_stays(void **state) {
    (void)state;
    fake f;
    file_name = "nowhere/work.json";
    begin(&f);
    press(&f, "l", "[+]");
    press(&f, "s", "nowhere/work.json");
    press(&f, "q", "unsaved changes");
    size_t from = f.size;
    fake_send(&f, "s");
    fake_expect(&f, from, "nowhere/work.json"); /* still here, with the reason */
    fake_send(&f, ":q!\r");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
}

static void statistics_are_written_while_it_runs(void **state) {
    (void)state;
    fake f;
    begin(&f);
    press(&f, "g", "done");
    long end = now_ms() + 10000;
    char text[4096] = "";
    while (now_ms() < end && !strstr(text, "\"runs\": 1") && !strstr(text, "\"runs\":1")) {
        fake_read(&f, 100);
        FILE *file = fopen("couplet/stats.json", "r");
        if (!file) continue;
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        /* Replaced by renaming, so it is whole whenever it is read. */
        assert_int_equal(text[0], '{');
        assert_non_null(strrchr(text, '}'));
    }
    assert_non_null(strstr(text, "\"runs\""));
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
}

/* Every image: where it begins (from 0) and its size, from the cursor address before it and its raster attributes. */
static int check_images(const fake *f, int rows, int columns) {
    int count = 0;
    const char *at = f->output, *end = f->output + f->size;
    while ((at = memmem(at, (size_t)(end - at), "\033P", 2))) {
        const char *address = at, *size = memchr(at, '"', (size_t)(end - at));
        int row, column, one, two, width, height;
        while (address > f->output && address[0] != '\033') address--;
        do address--;
        while (address > f->output && *address != '\033');
        assert_int_equal(sscanf(address, "\033[%d;%dH", &row, &column), 2);
        assert_non_null(size);
        assert_int_equal(sscanf(size, "\"%d;%d;%d;%d", &one, &two, &width, &height), 4);
        /* On the last row the terminal would scroll. */
        assert_true(row - 1 + (height + 17) / 18 <= rows - 1);
        assert_true(column - 1 + (width + 8) / 9 <= columns);
        count++;
        at += 2;
    }
    return count;
}

static void pictures_stay_above_the_last_row(void **state) {
    (void)state;
    fake f;
    begin(&f);
    press(&f, "g", "done");
    long end = now_ms() + 10000;
    while (now_ms() < end && check_images(&f, 24, 80) < 1) fake_read(&f, 50);
    int before = check_images(&f, 24, 80);
    assert_true(before >= 1);
    fake_send(&f, "p"); /* large */
    while (now_ms() < end && check_images(&f, 24, 80) == before) fake_read(&f, 50);
    assert_true(check_images(&f, 24, 80) > before);
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
}

/* A program tmux that says this of who looks on. */
static void install_tmux(const char *features) {
    FILE *file = fopen("tmux.new", "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho %s\n", features);
    assert_int_equal(fclose(file), 0);
    assert_true(chmod("tmux.new", 0755) == 0 && rename("tmux.new", "tmux") == 0);
}

static void run_in_tmux(void) {
    char folder[256], path[300];
    NEED(getcwd(folder, sizeof folder));
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", folder);
    setenv("PATH", path, 1);
    setenv("TMUX", "/tmp/tmux-0/default,1,0", 1);
    run_editor();
}

/* Where somebody without sixel comes to look on, pictures are half blocks until that one goes. */
static void pictures_are_what_those_who_look_on_can_see(void **state) {
    (void)state;
    static const answer TMUX[] = {{"\033[c", "\033[?1;2;4c"}, {"\033[2;1H\033[6n", "\033[2;1R"}, {NULL, NULL}};
    fake f;
    install_tmux("256,sixel");
    fake_start(&f, TMUX, run_in_tmux);
    fake_expect(&f, 0, "r1 synced");
    fake_expect(&f, press(&f, "g", "done"), "\033P");
    while (fake_read(&f, 1500)) {} /* it is not asked for every picture */
    install_tmux("256,title");
    size_t from = f.size;
    fake_send(&f, "Lg");
    fake_expect(&f, from, "\xe2\x96\x80");
    while (fake_read(&f, 700)) {}
    assert_false(fake_holds(&f, from, "\033P"));
    from = f.size;
    while (fake_read(&f, 1500)) {} /* and that is all: the screen is not drawn over and over */
    assert_false(fake_holds(&f, from, "NORMAL"));
    install_tmux("256,sixel");
    fake_send(&f, "Lg");
    fake_expect(&f, from, "\033P");
    fake_send(&f, "qd");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
}

static void help_hides_the_picture_and_brings_it_back(void **state) {
    (void)state;
    fake f;
    begin(&f);
    press(&f, "g", "done");
    long end = now_ms() + 10000;
    while (now_ms() < end && !memmem(f.output, f.size, "\033P", 2)) fake_read(&f, 50);
    while (fake_read(&f, 700)) {} /* the final picture waits for keys to rest */
    size_t from = press(&f, "?", "Keys of couplet");
    while (fake_read(&f, 700)) {}
    assert_false(fake_holds(&f, from, "\033P")); /* nothing painted over the help */
    from = f.size;
    fake_send(&f, "\033");
    fake_expect(&f, from, "\033P");
    while (fake_read(&f, 300)) {}
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
}

static void a_tiny_terminal_shows_a_card(void **state) {
    (void)state;
    fake f;
    begin(&f);
    struct winsize size = {.ws_row = 15, .ws_col = 60, .ws_xpixel = 540, .ws_ypixel = 270};
    size_t from = f.size;
    ioctl(f.master, TIOCSWINSZ, &size);
    fake_expect(&f, from, "61 x 16");
    fake_send(&f, "xnjg"); /* edits make no sense here */
    while (fake_read(&f, 500)) {}
    size.ws_row = 24;
    size.ws_col = 80;
    from = f.size;
    ioctl(f.master, TIOCSWINSZ, &size);
    fake_expect(&f, from, "2 regions");
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
}

static void it_opens_where_one_was(void **state) {
    (void)state;
    fake f;
    begin(&f);
    press(&f, "]Z", "1.5x");
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
    begin(&f);
    fake_expect(&f, 0, "1.5x");
    press(&f, "x", "[+]"); /* the second row is the selected one */
    press(&f, "s", "saved work.json");
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    assert_true(first_x1("work.json") == 0);
    fake_end(&f);
}

static void a_broken_place_is_told_and_ignored(void **state) {
    (void)state;
    fake f;
    assert_true(mkdir("couplet", 0700) == 0);
    FILE *file = fopen("couplet/places.json", "w");
    assert_non_null(file);
    fputs("{\"places\": 1, \"list\": {}}", file);
    fclose(file);
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "is broken: ignored");
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
    begin(&f); /* it was begun anew */
    assert_false(fake_holds(&f, 0, "is broken"));
    fake_send(&f, "q");
    assert_int_equal(exit_status(&f), 0);
    fake_end(&f);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        in_folder(quitting_clean_leaves_nothing),
        in_folder(signals_keep_the_work),
        in_folder(a_layout_without_a_name_is_kept_too),
        in_folder(without_a_state_folder_work_is_kept_beside_the_file),
        in_folder(lost_work_is_offered),
        in_folder(earlier_work_is_pointed_at),
        in_folder(the_question_saves_discards_or_stays),
        in_folder(a_failed_save_says_why_and_stays),
        in_folder(statistics_are_written_while_it_runs),
        in_folder(pictures_stay_above_the_last_row),
        in_folder(pictures_are_what_those_who_look_on_can_see),
        in_folder(help_hides_the_picture_and_brings_it_back),
        in_folder(a_tiny_terminal_shows_a_card),
        in_folder(it_opens_where_one_was),
        in_folder(a_broken_place_is_told_and_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
