/* Layout files: what is written reads back as it was, whatever the locale, and a failed save leaves the old file. */
#include "../../test.h"

#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../core/memory/file.h"
#include "random_layout.h"

static char folder[] = "/tmp/couplet-layout-XXXXXX";

static const char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int files_in_folder(void) {
    DIR *d = opendir(folder);
    int count = 0;
    for (const struct dirent *e; (e = readdir(d));) count += e->d_name[0] != '.' || strstr(e->d_name, ".tmp");
    closedir(d);
    return count;
}

/* Parsed with masks that need not exist: the mode that reads them is put back afterwards. */
static cpl_layout *reparse(const char *json) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, NULL, "test", &error);
    if (!layout) fail_msg("%s in %s", error.message, json);
    return layout;
}

static void check_same_geometry(const cpl_layout *a, const cpl_layout *b) {
    assert_int_equal(a->region_count, b->region_count);
    for (int i = 0; i < a->region_count; i++) {
        const cpl_region *p = &a->regions[i], *q = &b->regions[i];
        assert_true(p->x1 == q->x1 && p->x2 == q->x2 && p->y1 == q->y1 && p->y2 == q->y2);
        assert_true(p->weight == q->weight && p->feather == q->feather && p->color == q->color);
        assert_string_equal(p->prompt, q->prompt);
    }
    assert_true(a->background_weight == b->background_weight);
    assert_true(isnan(a->sampling.cfg) ? isnan(b->sampling.cfg) : a->sampling.cfg == b->sampling.cfg);
    assert_true(a->sampling.seed == b->sampling.seed && a->sampling.steps == b->sampling.steps);
}

static void round_trip(uint64_t seed, int rounds) {
    static const char *const odd[] = {"\"quoted\" \\ back", "line\nbreak\ttab", "\x1b[31mred\x7f \xc2\x9b",
                                      "Gr\303\274\303\237e \xf0\x9f\x90\xb1", ""};
    for (int n = 0; n < rounds; n++) {
        cpl_layout *layout = draw_layout(&seed, 512);
        if (layout->mode == CPL_MODE_MASK) layout->mode = CPL_MODE_ADVANCED; /* no mask files here */
        for (int i = 0; i < layout->region_count; i++) {
            layout->regions[i].x1 = layout->regions[i].x2 * draw_unit(&seed);
            layout->regions[i].weight = draw_unit(&seed) * 1e-7;
            layout->regions[i].color = draw_below(&seed, 17) - 1;
            cpl_text_set(&layout->regions[i].prompt, odd[draw_below(&seed, 5)], NULL);
            if (layout->mode != CPL_MODE_ADVANCED) layout->regions[i].weight = 1;
        }
        layout->sampling.cfg = draw_below(&seed, 3) ? draw_unit(&seed) * 30 : NAN;
        layout->sampling.seed = draw_below(&seed, 3) ? (int64_t)draw(&seed) << 20 : CPL_SEED_UNSET;
        layout->sampling.steps = draw_below(&seed, 100);
        char *json = cpl_layout_print(layout, NULL);
        cpl_layout *back = reparse(json);
        char *again = cpl_layout_print(back, NULL);
        assert_string_equal(json, again);
        check_same_geometry(layout, back);
        for (const char *p = json; *p; p++) assert_true((unsigned char)*p >= 0x20 || *p == '\n');
        free(json);
        free(again);
        cpl_layout_free(layout);
        cpl_layout_free(back);
    }
}

static void test_random_round_trip(void **state) {
    (void)state;
    round_trip(11, 300);
}

static const char rich[] =
    "{\n"
    "  \"couplet\": 1,\n"
    "  \"canvas\": {\"width\": 512, \"height\": 768, \"dpi\": 72.5},\n"
    "  \"mode\": \"basic\",\n"
    "  \"direction\": \"vertical\",\n"
    "  \"background\": {\"line\": \"first\", \"weight\": 0.25, \"prompt\": \"fog\", \"x\": null},\n"
    "  \"uncovered\": \"fill\",\n"
    "  \"separator\": \"\\\\n\",\n"
    "  \"common\": {\"brackets\": \"< >\", \"definitions\": false, \"y\": [1, 2.5, {\"z\": true}]},\n"
    "  \"negative\": \"blurry\",\n"
    "  \"hires\": {\"scale\": 1.0, \"steps\": 8, \"denoise\": 0.5, \"upscaler\": \"lanczos\", \"x\": [1]},\n"
    "  \"regions\": [\n"
    "    {\"rect\": [0.0, 0.1, 0.2, 1.0], \"weight\": 1.0, \"feather\": 0.05, \"prompt\": \"a\", \"negative\": \"b\", "
    "\"color\": 3,\n"
    "     \"name\": \"left\"},\n"
    "    {\"prompt\": \"\"},\n"
    "    {}\n"
    "  ],\n"
    "  \"sampling\": {\"model\": \"builtin\", \"sampler\": \"euler\", \"schedule\": \"karras\", \"steps\": 20, "
    "\"cfg\": 7.0,\n"
    "               \"seed\": 9007199254740991, \"rng\": \"cpu\", \"eta\": 1},\n"
    "  \"later\": [\"a\", \"b\"],\n"
    "  \"my key\": {\"deep\": {\"er\": -1e-300}}\n"
    "}\n";

/* Known keys that were there at their default, unknown ones, reserved ones: the same text comes back. */
static void test_stable_text(void **state) {
    (void)state;
    cpl_layout *layout = reparse(rich), *copy = cpl_layout_copy(layout, NULL);
    char *text = cpl_layout_print(copy, NULL);
    assert_string_equal(text, rich);
    assert_true(cpl_layout_equal(layout, copy));
    free(text);
    cpl_layout_free(layout);
    cpl_layout_free(copy);
}

static void test_absent_keys_stay_absent(void **state) {
    (void)state;
    cpl_layout *layout = reparse("{\"regions\": [{}]}");
    char *text = cpl_layout_print(layout, NULL);
    assert_string_equal(text, "{\n  \"couplet\": 1,\n  \"regions\": [\n    {}\n  ]\n}\n");
    assert_true(layout->mode == CPL_MODE_ADVANCED && layout->regions[0].x2 == 1 && layout->regions[0].weight == 1);
    free(text);
    cpl_layout_free(layout);
    layout = reparse("{}");
    text = cpl_layout_print(layout, NULL);
    assert_string_equal(text, "{\n  \"couplet\": 1\n}\n");
    free(text);
    cpl_layout_free(layout);
}

/* Numbers keep their point where the user's locale has a comma. */
static void test_locale_with_comma(void **state) {
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", folder);
    int made = system(command);
    setenv("LOCPATH", folder, 1);
    if (made != 0 || !setlocale(LC_ALL, "de_DE.UTF-8")) {
        unsetenv("LOCPATH");
        skip();
    }
    char comma[16];
    snprintf(comma, sizeof comma, "%.1f", 0.5);
    assert_string_equal(comma, "0,5");
    round_trip(12, 50);
    test_stable_text(NULL);
    cpl_error error = {0};
    assert_null(cpl_layout_parse("{\"regions\": [{\"rect\": [0, 1.5, 0, 1]}]}", NULL, "f", &error));
    assert_string_equal(error.message, "f: regions[0].rect[1]: must be from 0 to 1, not 1.5");
    setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
}

static void test_save_and_load(void **state) {
    (void)state;
    cpl_error error = {0};
    cpl_layout *layout = reparse(rich);
    char path[128];
    snprintf(path, sizeof path, "%s", in_folder("a.json"));
    assert_true(cpl_layout_save(layout, path, &error));
    cpl_layout *back = cpl_layout_load(path, &error);
    assert_non_null(back);
    assert_string_equal(back->directory, folder);
    assert_true(cpl_layout_equal(layout, back));
    cpl_layout_free(back);
    cpl_layout_free(layout);
    assert_int_equal(unlink(path), 0);
}

static void test_save_keeps_permissions_and_links(void **state) {
    (void)state;
    struct stat st;
    cpl_layout *layout = reparse(rich);
    char path[128], link[128];
    snprintf(path, sizeof path, "%s", in_folder("real.json"));
    snprintf(link, sizeof link, "%s", in_folder("link.json"));
    write_file(path, "old");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("real.json", link), 0);
    assert_true(cpl_layout_save(layout, link, NULL));
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(st.st_size > 100);
    assert_int_equal(files_in_folder(), 2 + (access(in_folder("de_DE.UTF-8"), F_OK) == 0));
    unlink(path);
    unlink(link);
    cpl_layout_free(layout);
}

static void test_failed_save_says_why(void **state) {
    (void)state;
    cpl_error error = {0};
    cpl_layout *layout = reparse("{}");
    assert_false(cpl_layout_save(layout, in_folder("no/such/a.json"), &error));
    assert_non_null(strstr(error.message, "no/such/a.json: cannot be written: No such file or directory"));
    assert_int_equal(error.code, CPL_E_FILE);
    assert_false(cpl_layout_save(layout, folder, &error));
    assert_non_null(strstr(error.message, "is a folder"));
    char long_name[400];
    memset(long_name, 'x', sizeof long_name);
    memcpy(long_name, "/tmp/", 5);
    long_name[399] = '\0';
    assert_false(cpl_layout_save(layout, long_name, &error));
    assert_int_equal(mkdir(in_folder("locked"), 0500), 0);
    if (geteuid() != 0) { /* root writes anywhere */
        assert_false(cpl_layout_save(layout, in_folder("locked/a.json"), &error));
        assert_non_null(strstr(error.message, "Permission denied"));
    }
    rmdir(in_folder("locked"));
    cpl_layout_free(layout);
}

/* A full disk: nothing of the old file is lost, nothing is left beside it. */
static void test_full_disk(void **state) {
    (void)state;
    cpl_error error = {0};
    if (access("/dev/full", W_OK) != 0) skip();
    assert_false(cpl_file_replace("/dev/full", "text", 4, &error));
    assert_string_equal(error.message, "/dev/full: cannot be written: No space left on device");
}

static void test_layout_inside_png(void **state) {
    (void)state;
    cpl_error error = {0};
    char path[128];
    snprintf(path, sizeof path, "%s", in_folder("a.png"));
    cpl_image *image = cpl_image_new(8, 8, &error);
    const cpl_text text = {"couplet", rich}, other = {"parameters", "Steps: 20"};
    assert_true(cpl_image_write_png(image, path, &text, 1, &error));
    cpl_layout *layout = cpl_layout_load(path, &error), *same = reparse(rich);
    assert_non_null(layout);
    assert_true(cpl_layout_equal(layout, same));
    cpl_layout_free(layout);
    cpl_layout_free(same);
    assert_true(cpl_image_write_png(image, path, &other, 1, &error));
    assert_null(cpl_layout_load(path, &error));
    assert_non_null(strstr(error.message, "holds no layout"));
    cpl_image_free(image);
    unlink(path);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_round_trip),       cmocka_unit_test(test_stable_text),
        cmocka_unit_test(test_absent_keys_stay_absent), cmocka_unit_test(test_locale_with_comma),
        cmocka_unit_test(test_save_and_load),           cmocka_unit_test(test_save_keeps_permissions_and_links),
        cmocka_unit_test(test_failed_save_says_why),    cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_layout_inside_png),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
