/* test_editor_files.c: what the editor writes: only over what it may, and so that it can be read again where it lies. A key
 * script runs in a pseudo terminal; then the files are looked at. */
#include "fake_terminal.h"

#include "../../tui/editor.h"

#include <ftw.h>
#include <sys/stat.h>

static const char WORK[] = "{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":64},\"regions\":["
                           "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"},{\"rect\":[0.5,1,0,1],\"prompt\":\"a sun\"}],"
                           "\"sampling\":{\"steps\":1,\"seed\":5}}";
static const char *start_file; /* what the editor is started with; NULL: no name */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int enter_folder(void **state) {
    static char folder[sizeof "/tmp/couplet-test.XXXXXX"];
    static const char *const homes[] = {"HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"};
    strcpy(folder, "/tmp/couplet-test.XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0 || mkdir("other", 0700) != 0) return -1;
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) setenv(homes[i], folder, 1);
    write_file("work.json", WORK);
    *state = folder;
    start_file = "work.json";
    return 0;
}

static int leave_folder(void **state) { return chdir("/") || nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS); }

static void run_editor(void) {
    cpl_error error = {0};
    setlocale(LC_CTYPE, "C.UTF-8");
    cpl_layout *layout =
        start_file ? cpl_layout_load(start_file, &error) : cpl_layout_parse(WORK, NULL, "work", &error);
    script *keys = script_open("script.keys", &error);
    if (!layout || !keys) dprintf(2, "%s\r\n", error.message);
    NEED(layout && keys);
    editor_options options = {.path = start_file, .layout = layout, .session = {.threads = 1}, .script = keys};
    _exit(editor_run(&options));
}

/* Runs the script and leaves, whatever is unsaved then. */
static void play(const char *keys) {
    fake f;
    char *text = NULL;
    assert_true(asprintf(&text, ":wait synced\n%s\n:q!\n", keys) > 0);
    write_file("script.keys", text);
    free(text);
    fake_start(&f, XTERM, run_editor);
    fake_expect_exit(&f);
    fake_end(&f);
}

static bool begins_with(const char *path, const char *what) {
    char start[16] = "";
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("there is no %s", path);
    size_t size = file ? fread(start, 1, sizeof start - 1, file) : 0;
    if (file) fclose(file);
    return size >= strlen(what) && !memcmp(start, what, strlen(what));
}

static bool is_png(const char *path) { return begins_with(path, "\x89PNG"); }

static cpl_layout *load(const char *path) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_load(path, &error);
    if (!layout) fail_msg("%s: %s", path, error.message);
    return layout;
}

static void a_picture_is_not_saved_over(void **state) {
    (void)state;
    play("g\n:wait done\n:png picture.png");
    assert_true(is_png("picture.png"));
    play(":e picture.png\nl\ns \"own.json\" Enter");
    assert_true(is_png("picture.png"));
    cpl_layout_free(load("own.json"));
}

int main(void) {
#define in_folder(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
    const struct CMUnitTest tests[] = {
        in_folder(a_picture_is_not_saved_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
