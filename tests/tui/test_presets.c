/* test_presets.c: Forge Couple's presets.json is read, written, and refused in words; names are no paths. */
#include "../../tui/presets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

static char folder[] = "/tmp/couplet-test.XXXXXX";

static const char *file_of(const char *text) {
    static char path[64];
    snprintf(path, sizeof path, "%s/presets.json", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static void mappings_are_read(void **state) {
    (void)state;
    cpl_error error = {0};
    presets p;
    const char *path = file_of("{\"halves\": [[0.0, 0.5, 0.0, 1.0, 1.0], [0.5, 1.0, 0.0, 1.0, 0.7]],"
                               " \"table\": {\"headers\": [\"x1\"], \"data\": [[\"0.25\", \"1\", 0, 1, \"1.5\"]]}}");
    assert_true(presets_are_in(path));
    if (!presets_read(path, &p, &error)) fail_msg("%s", error.message);
    assert_int_equal(p.count, 2);
    assert_string_equal(p.name[0], "halves");
    assert_int_equal(p.layout[0]->region_count, 2);
    assert_true(p.layout[0]->regions[1].x1 == 0.5 && p.layout[0]->regions[1].weight == 0.7);
    assert_true(p.layout[1]->regions[0].x1 == 0.25 && p.layout[1]->regions[0].weight == 1.5);
    presets_clear(&p);
}

static void writing_keeps_the_others(void **state) {
    (void)state;
    cpl_error error = {0};
    presets p;
    const char *path = file_of("{\"a\": [[0, 1, 0, 1, 1]], \"b\": [[0, 0.1, 0, 1, 1]]}");
    cpl_layout *layout = cpl_layout_parse(
        "{\"couplet\":1,\"regions\":[{\"rect\":[0,0.123456789012345678,0,1],\"prompt\":\"x\"}]}", NULL, "test", &error);
    assert_non_null(layout);
    assert_true(presets_write(path, "b", layout, &error));
    assert_true(presets_write(path, "new \"one\"", layout, &error));
    assert_true(presets_read(path, &p, &error));
    assert_int_equal(p.count, 3);
    assert_true(p.layout[0]->regions[0].x2 == 1);
    assert_true(p.layout[1]->regions[0].x2 == 0.123456789012345678); /* all digits */
    assert_string_equal(p.name[2], "new \"one\"");
    presets_clear(&p);
    layout->mode = CPL_MODE_BASIC;
    assert_false(presets_write(path, "c", layout, &error));
    cpl_layout_free(layout);
}

static cpl_layout *a_layout(void) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse("{\"couplet\":1,\"regions\":[{\"prompt\":\"x\"}]}", NULL, "test", &error);
    if (!layout) {
        fail_msg("%s", error.message);
        abort();
    }
    return layout;
}

static void a_link_stays_one(void **state) {
    (void)state;
    cpl_error error = {0};
    presets p;
    struct stat info;
    char link[64];
    const char *path = file_of("{\"a\": [[0, 1, 0, 1, 1]]}");
    snprintf(link, sizeof link, "%s/link.json", folder);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("presets.json", link), 0);
    cpl_layout *layout = a_layout();
    if (!presets_write(link, "b", layout, &error)) fail_msg("%s", error.message);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    assert_true(presets_read(path, &p, &error));
    assert_int_equal(p.count, 2);
    presets_clear(&p);
    unlink(link);
    cpl_layout_free(layout);
}

/* A ring of links stands for whatever cannot be opened, also by the superuser. */
static void what_cannot_be_read_is_not_replaced(void **state) {
    (void)state;
    cpl_error error = {0};
    struct stat info;
    char ring[64];
    snprintf(ring, sizeof ring, "%s/ring.json", folder);
    assert_int_equal(symlink("ring.json", ring), 0);
    cpl_layout *layout = a_layout();
    assert_false(presets_write(ring, "b", layout, &error));
    assert_non_null(strstr(error.message, "ring.json: cannot be read"));
    assert_int_equal(lstat(ring, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    unlink(ring);
    cpl_layout_free(layout);
}

/* What is written must be readable: else nothing could be added to the file any more. */
static void rows_of_no_width_come_back(void **state) {
    (void)state;
    cpl_error error = {0};
    presets p;
    const char *path = file_of("{}");
    cpl_layout *layout =
        cpl_layout_parse("{\"regions\":[{\"rect\":[0,1,0,1]},{\"rect\":[0.5,0.5,0.25,0.25]}]}", NULL, "test", &error);
    assert_non_null(layout);
    assert_true(presets_write(path, "a", layout, &error));
    if (!presets_write(path, "b", layout, &error)) fail_msg("%s", error.message);
    assert_true(presets_read(path, &p, &error));
    assert_int_equal(p.count, 2);
    assert_true(p.layout[0]->regions[1].x2 == 0.5 && p.layout[0]->regions[1].y1 == 0.25);
    presets_clear(&p);
    cpl_layout_free(layout);
}

/* Forge Couple looks at a mapping when it is used: among many there may be one that is wrong. */
static void one_wrong_mapping_harms_no_other(void **state) {
    (void)state;
    cpl_error error = {0};
    presets p;
    const char *path = file_of("{\"wrong\": [[0.5, 0.2, 0, 1, 1]], \"text\": \"x\", \"good\": [[0, 1, 0, 1, 0.7]]}");
    if (!presets_read(path, &p, &error)) fail_msg("%s", error.message);
    assert_int_equal(p.count, 3);
    assert_null(p.layout[0]);
    assert_non_null(strstr(p.why[0].message, "\"wrong\": row 1 is not [x1, x2, y1, y2, weight]"));
    assert_non_null(p.layout[2]);
    assert_true(presets_write(path, "more", p.layout[2], &error));
    presets_clear(&p);
    assert_true(presets_read(path, &p, &error));
    assert_int_equal(p.count, 4);
    assert_string_equal(p.text[0], "[[0.5,0.2,0,1,1]]");
    assert_string_equal(p.text[1], "\"x\"");
    assert_true(p.layout[2]->regions[0].weight == 0.7 && p.layout[3]->regions[0].weight == 0.7);
    presets_clear(&p);
}

static void what_is_none_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "[",
                                        "[]",
                                        "{\"a\": 3}",
                                        "{\"a\": [[0, 1, 0]]}",
                                        "{\"a\": [[0.5, 0.2, 0, 1, 1]]}",
                                        "{\"a\": [[0, 1, 0, 1, -1]]}",
                                        "{\"a\": [[0, 1, 0, 1, 2000000]]}",
                                        "{\"a\": [[0, \"x\", 0, 1, 1]]}",
                                        "{\"couplet\": 1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cpl_error error = {0};
        presets p;
        if (presets_read(file_of(wrong[i]), &p, &error)) fail_msg("%s was taken", wrong[i]);
        assert_non_null(strstr(error.message, "presets.json"));
    }
}

static void names_are_no_paths(void **state) {
    (void)state;
    static const char *const wrong[] = {"", "../x", "a/b", ".hidden"};
    cpl_error error = {0};
    setenv("XDG_CONFIG_HOME", folder, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_null(presets_path(wrong[i], &error));
    char *path = presets_path("two cats", &error);
    assert_non_null(path);
    assert_non_null(strstr(path, "/couplet/presets/two cats.json"));
    free(path);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char path[128];
    static const char *const parts[] = {"presets.json", "couplet/presets", "couplet", ""};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        remove(path);
    }
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_are_read),          cmocka_unit_test(writing_keeps_the_others),
        cmocka_unit_test(a_link_stays_one),           cmocka_unit_test(what_cannot_be_read_is_not_replaced),
        cmocka_unit_test(rows_of_no_width_come_back), cmocka_unit_test(one_wrong_mapping_harms_no_other),
        cmocka_unit_test(what_is_none_is_refused),    cmocka_unit_test(names_are_no_paths),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
