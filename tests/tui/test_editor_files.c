/* test_editor_files.c: what the editor writes: only over what it may, and so that it can be read again where it lies. A key
 * script runs in a pseudo terminal; then the files are looked at. */
#include "fake_terminal.h"
#include "work_folder.h"

#include "../../tui/editor.h"

#include <sys/stat.h>

static const char WORK[] = "{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":64},\"regions\":["
                           "{\"rect\":[0,0.5,0,1],\"prompt\":\"a cat\"},{\"rect\":[0.5,1,0,1],\"prompt\":\"a sun\"}],"
                           "\"sampling\":{\"steps\":1,\"seed\":5}}";
static const char *start_file; /* what the editor is started with; NULL: no name */

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int enter_folder(void **state) {
    static const char *const homes[] = {"HOME", "XDG_CONFIG_HOME"};
    if (!new_folder(state) || mkdir("other", 0700) != 0) return -1;
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) setenv(homes[i], *state, 1);
    write_file("work.json", WORK);
    start_file = "work.json";
    return 0;
}

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

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

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

/* Nor is the WebUI's text about one, which begins as any text may. */
static void a_text_about_a_picture_is_not_saved_over(void **state) {
    (void)state;
    write_file("text.json", "{a} cat\nSteps: 2, Sampler: Euler, Seed: 1, Size: 64x64, Model: builtin");
    play(":e text.json\nl\ns \"own.json\" Enter");
    assert_true(begins_with("text.json", "{a} cat"));
    cpl_layout_free(load("own.json"));
}

/* Only s and :w write over the layout's own file without a question. */
static void files_are_replaced_only_when_asked_twice(void **state) {
    (void)state;
    play("g\n:wait done\n:png work.json");
    assert_true(begins_with("work.json", "{"));
    play("l\n:convert % work.json");
    cpl_layout *layout = load("work.json");
    assert_true(layout->regions[0].x1 == 0);
    cpl_layout_free(layout);
    write_file("me.json", WORK);
    play(":mode mask\n:mask export me.json");
    assert_true(begins_with("me.json", "{"));
    play(":mode mask\n:mask export me.json\n:mask export me.json");
    assert_true(is_png("me.json"));
    play("l\n:w work.json");
    layout = load("work.json");
    assert_true(layout->regions[0].x1 > 0);
    cpl_layout_free(layout);
}

static void a_screen_is_written_over_a_file_only_by_a_script(void **state) {
    (void)state;
    fake f;
    write_file("script.keys", ":wait synced\n:save-display old.txt\n");
    write_file("old.txt", "old");
    write_file("mine.txt", "mine");
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "r1 synced");
    fake_send(&f, ":save-display mine.txt\r");
    fake_expect(&f, 0, "is there already");
    assert_true(begins_with("mine.txt", "mine"));
    assert_true(begins_with("old.txt", " couplet"));
    fake_send(&f, ":save-display mine.txt\r:q\r");
    fake_expect_exit(&f);
    assert_true(begins_with("mine.txt", " couplet"));
    fake_end(&f);
}

/* Two editors on one layout, or a checkout behind the editor's back: the first s after it says so. */
static void what_another_program_wrote_is_not_lost(void **state) {
    (void)state;
    static const char other[] = "{\"couplet\":1,\"regions\":[{\"prompt\":\"a fish\"}]}";
    static const char *const again[] = {"s:q\r", ":w\r:q\r", ":w! work.json\r:q\r", "qs"};
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++) {
        fake f;
        write_file("script.keys", ":wait synced\nl\n");
        write_file("work.json", WORK);
        fake_start(&f, XTERM, run_editor);
        fake_expect(&f, 0, "[+]");
        write_file("work.json", other);
        fake_send(&f, "s");
        fake_expect(&f, 0, "was changed by another program");
        cpl_layout *layout = load("work.json");
        assert_string_equal(layout->regions[0].prompt, "a fish");
        cpl_layout_free(layout);
        /* Said once, it is wanted. */
        fake_send(&f, again[i]);
        fake_expect_exit(&f);
        layout = load("work.json");
        assert_int_equal(layout->region_count, 2);
        cpl_layout_free(layout);
        fake_end(&f);
    }
    /* The editor's own writing is no other program's, and a file that is gone comes back. */
    play("l\ns\nl\ns\nl\n:convert % other.json\ns");
    cpl_layout *layout = load("work.json");
    assert_true(layout->regions[0].x1 > 0);
    cpl_layout_free(layout);
}

static void force_saves_over_what_another_program_wrote(void **state) {
    (void)state;
    fake f;
    write_file("script.keys", ":wait synced\nl\n");
    fake_start(&f, XTERM, run_editor);
    fake_expect(&f, 0, "[+]");
    write_file("work.json", "{\"couplet\":1,\"regions\":[{\"prompt\":\"a fish\"}]}");
    fake_send(&f, ":w!\r:q\r");
    fake_expect_exit(&f);
    fake_end(&f);
    cpl_layout *layout = load("work.json");
    assert_int_equal(layout->region_count, 2);
    cpl_layout_free(layout);
}

static void force_replaces_files_in_the_home(void **state) {
    (void)state;
    write_file("home.json", "old");
    write_file("home.png", "old");
    play(":w! ~/home.json\ng\n:wait done\n:png! ~/home.png");
    cpl_layout_free(load("home.json"));
    assert_true(is_png("home.png"));
}

/* What another program hands over may hold anything; a layout holds text. */
static void a_text_from_outside_can_be_saved(void **state) {
    (void)state;
    write_file("editor.sh", "#!/bin/sh\nprintf 'caf\\351 \\033[31mnoir\\r\\n\\tby night\\n\\n' >\"$1\"\n");
    assert_int_equal(chmod("editor.sh", 0700), 0);
    setenv("VISUAL", "./editor.sh", 1);
    play("E\ns");
    cpl_layout *layout = load("work.json");
    assert_string_equal(layout->regions[0].prompt, "caf\xef\xbf\xbd [31mnoir  by night");
    cpl_layout_free(layout);
}

/* The layout can be opened where it lies, its masks with it, and a run's first picture is there. */
static void expect_whole(const char *path, int masks) {
    cpl_error error = {0};
    cpl_layout *layout = load(path);
    for (int i = 0; i < layout->region_count; i++) masks -= layout->regions[i].mask != NULL;
    if (masks) fail_msg("%s: %d masks are missing", path, masks);
    if (!cpl_layout_check_start(layout, &error)) fail_msg("%s: %s", path, error.message);
    cpl_layout_free(layout);
}

static void what_is_written_elsewhere_works_there(void **state) {
    (void)state;
    play("g\n:wait done\n:png first.png\n:init first.png\n:mode mask\n:mask save mm.png\ns\n"
         ":preset save qq\n:convert % other/conv.json\n:w other/x.json");
    expect_whole("work.json", 2);
    expect_whole("other/conv.json", 2);
    expect_whole("other/x.json", 2);
    expect_whole("couplet/presets/qq.json", 2);
    cpl_layout *layout = load("work.json");
    assert_string_equal(layout->regions[0].mask_source, "mm.png"); /* at home all stays as it is named */
    assert_string_equal(layout->init_image, "first.png");
    cpl_layout_free(layout);
}

/* A picture holds its layout with the masks inside and whole paths; taken back at home it names its files again. */
static void a_pictures_layout_names_files_as_before(void **state) {
    (void)state;
    play("g\n:wait done\n:png first.png\n:init first.png\n:mode mask\n:mask save mm.png\ns\n:wait synced\n"
         "g\n:wait done\n:negative x\nR\ns");
    cpl_layout *layout = load("work.json");
    assert_string_equal(layout->regions[0].mask_source, "mm.png");
    assert_string_equal(layout->init_image, "first.png");
    assert_null(layout->negative);
    cpl_layout_free(layout);
    /* what was painted since is not what the picture was made of */
    play(":wait synced\ng\n:wait done\n:mask invert\nR\ns");
    layout = load("work.json");
    assert_memory_equal(layout->regions[0].mask_source, "data:", 5);
    cpl_layout_free(layout);
}

static void presets_bring_their_masks_along(void **state) {
    (void)state;
    /* such as one that was written by hand */
    play(":mode mask\n:mask save mm.png\ns\n:preset save qq");
    assert_int_equal(rename("work.json", "couplet/presets/byhand.json"), 0);
    assert_int_equal(rename("mm.png", "couplet/presets/mm.png"), 0);
    write_file("work.json", WORK);
    play(":preset load byhand\ns");
    expect_whole("work.json", 2);
    write_file("work.json", WORK);
    play(":preset load qq\ns");
    expect_whole("work.json", 2);
}

static void expect_prompts(const char *path, int count, const char *const *prompts) {
    cpl_layout *layout = load(path);
    assert_int_equal(layout->region_count, count);
    for (int i = 0; i < count; i++) assert_string_equal(layout->regions[i].prompt, prompts[i]);
    cpl_layout_free(layout);
}

/* A mapping of Forge Couple has no prompts, so that there it changes none. */
static void a_mapping_is_taken_up_for_the_prompts_that_are_there(void **state) {
    (void)state;
    write_file("presets.json", "{\"three\": [[0, 0.5, 0, 1, 1], [0.5, 0.75, 0, 1, 1], [0.75, 1, 0, 1, 1]], "
                               "\"one\": [[0, 1, 0, 1, 1]]}");
    write_file("work.json", "{\"regions\": [{\"prompt\": \"a cat\", \"negative\": \"x\"}, {\"prompt\": \"a sun\"}]}");
    play(":preset import presets.json\n:preset load three\n:w three.json\nu\n:preset load one\n:w one.json\nu\n:w "
         "same.json");
    expect_prompts("three.json", 3, (const char *const[]){"a cat", "a sun", ""});
    expect_prompts("one.json", 1, (const char *const[]){"a cat"});
    expect_prompts("same.json", 2, (const char *const[]){"a cat", "a sun"});
    cpl_layout *layout = load("three.json");
    assert_string_equal(layout->regions[0].negative, "x");
    assert_true(layout->regions[1].x1 == 0.5);
    cpl_layout_free(layout);
    write_file("work.json", "{\"prompt\": \"a\\nb\", \"regions\": [{}, {}]}");
    play(":preset load three\n:w three.json\n:w three.json");
    layout = load("three.json");
    assert_string_equal(layout->prompt, "a\nb");
    assert_true(layout->region_count == 3 && !layout->regions[0].prompt);
    cpl_layout_free(layout);
}

/* Else each line of it would be a region. */
static void parameters_that_are_pasted_are_the_layout(void **state) {
    (void)state;
    write_file("work.json",
               "{\"regions\": [{\"prompt\": \"a cat\"}], \"sampling\": {\"model\": \"builtin\", \"steps\": 2}}");
    play(
        "paste \"a sun\\na moon\\nNegative prompt: x\\nSteps: 7, Sampler: Euler a, Seed: 3, Size: 64x64, Model: other, "
        "forge_couple: True, forge_couple_mode: Basic\"\n:w new.json\nu\n:w old.json");
    cpl_layout *layout = load("new.json");
    assert_string_equal(layout->prompt, "a sun\na moon");
    assert_string_equal(layout->negative, "x");
    assert_string_equal(layout->sampling.model, "builtin");
    assert_true(layout->mode == CPL_MODE_BASIC && layout->sampling.steps == 7 && layout->region_count == 0);
    cpl_layout_free(layout);
    expect_prompts("old.json", 1, (const char *const[]){"a cat"});
}

/* Steps from before name their files from the folder that the layout lay in then. */
static void undo_goes_back_to_files_of_another_folder(void **state) {
    (void)state;
    play(":mode mask\n:mask save mm.png\ns\n:init none\n:negative x\n:w other/x.json\nu\ns");
    expect_whole("other/x.json", 2);
    expect_whole("work.json", 2);
    play(":mask save mm.png\n:mask save mm.png\n:negative x\n:w other/y.json\nu\nCtrl-R\n:w other/z.json");
    expect_whole("other/z.json", 2);
    /* what is made now lies beside the file as it is called now */
    play(":mode mask\n:mask save\n:negative x\n:w other/v.json\nu\n:mask save nn.png\ns");
    assert_true(is_there("other/nn.png"));
    cpl_layout *layout = load("other/v.json");
    assert_string_equal(layout->regions[0].mask_source, "nn.png");
    cpl_layout_free(layout);
}

static void rows_are_pasted_into_another_folder(void **state) {
    (void)state;
    write_file("other/o.json", WORK);
    play(":mode mask\n:mask save mm.png\ns\nTab yy\n:e other/o.json\n:mode mask\np\ns");
    expect_whole("other/o.json", 3);
}

int main(void) {
#define in_folder(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
    const struct CMUnitTest tests[] = {
        in_folder(a_picture_is_not_saved_over),
        in_folder(a_text_about_a_picture_is_not_saved_over),
        in_folder(files_are_replaced_only_when_asked_twice),
        in_folder(a_screen_is_written_over_a_file_only_by_a_script),
        in_folder(what_another_program_wrote_is_not_lost),
        in_folder(force_saves_over_what_another_program_wrote),
        in_folder(force_replaces_files_in_the_home),
        in_folder(a_text_from_outside_can_be_saved),
        in_folder(what_is_written_elsewhere_works_there),
        in_folder(a_pictures_layout_names_files_as_before),
        in_folder(presets_bring_their_masks_along),
        in_folder(a_mapping_is_taken_up_for_the_prompts_that_are_there),
        in_folder(parameters_that_are_pasted_are_the_layout),
        in_folder(undo_goes_back_to_files_of_another_folder),
        in_folder(rows_are_pasted_into_another_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
