/* test_places.c: the file of places: what is kept comes back, the newest first and not without end; a file that is broken, of
 * another program or of a later version never does harm. */
#include "../../tui/places.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

static char folder[64], file[128];

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static int enter_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/couplet-test.XXXXXX");
    if (!mkdtemp(folder)) return -1;
    setenv("XDG_STATE_HOME", folder, 1);
    snprintf(file, sizeof file, "%s/couplet/places.json", folder);
    return 0;
}

static int leave_folder(void **state) {
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static place some_place(char *path, int row) {
    return (place){.path = path,
                   .when = 1000 + row,
                   .row = row,
                   .cell = 3,
                   .pane = 1,
                   .view = 2,
                   .step = 32,
                   .zoom = 4,
                   .zoom_x = 2500,
                   .zoom_y = 7500,
                   .brush_x = 1,
                   .brush_y = 10000,
                   .brush = 5,
                   .erase = 1};
}

static void write_file(const char *text, size_t size) {
    places none;
    places_read(&none); /* makes the folder */
    places_clear(&none);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    fclose(out);
}

static void what_is_kept_comes_back(void **state) {
    (void)state;
    places p;
    assert_int_equal(places_read(&p), PLACES_NONE);
    place mine = some_place("/a/\"odd\"\n\xc3\xa9.json", 7);
    assert_true(places_keep(&mine));
    assert_int_equal(places_read(&p), PLACES_READ);
    assert_int_equal(p.count, 1);
    const place *found = places_find(&p, mine.path);
    assert_non_null(found);
    place same = *found;
    assert_string_equal(same.path, mine.path);
    same.path = mine.path;
    assert_memory_equal(&same, &mine, sizeof mine);
    assert_null(places_find(&p, "/a"));
    assert_null(places_find(&p, NULL));
    places_clear(&p);
}

static void the_newest_is_first_and_each_path_there_once(void **state) {
    (void)state;
    char order[][4] = {"/a", "/b", "/c", "/a"};
    for (int i = 0; i < 4; i++) {
        place one = some_place(order[i], i);
        assert_true(places_keep(&one));
    }
    places p;
    places_read(&p);
    assert_int_equal(p.count, 3);
    assert_string_equal(p.list[0].path, "/a");
    assert_int_equal(p.list[0].row, 3);
    assert_string_equal(p.list[1].path, "/c");
    places_clear(&p);
    assert_true(places_forget("/a"));
    places_read(&p);
    assert_int_equal(p.count, 2);
    assert_null(places_find(&p, "/a"));
    places_clear(&p);
}

static void it_does_not_grow_without_end(void **state) {
    (void)state;
    for (int i = 0; i < PLACES_MOST + 20; i++) {
        char path[32];
        snprintf(path, sizeof path, "/layouts/%d.json", i);
        place one = some_place(path, i);
        assert_true(places_keep(&one));
    }
    places p;
    places_read(&p);
    assert_int_equal(p.count, PLACES_MOST);
    assert_string_equal(p.list[0].path, "/layouts/119.json");
    assert_null(places_find(&p, "/layouts/19.json"));
    places_clear(&p);
}

static void a_broken_file_is_begun_anew(void **state) {
    (void)state;
    static const char *const broken[] = {"",
                                         "{",
                                         "[1, 2]",
                                         "{\"places\": 1}",
                                         "{\"list\": []}",
                                         "{\"places\": \"1\", \"list\": []}",
                                         "#!/bin/sh\nexit 1\n",
                                         "{\"places\": 1, \"list\": 5}"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        places p;
        write_file(broken[i], strlen(broken[i]));
        assert_int_equal(places_read(&p), PLACES_BROKEN);
        assert_int_equal(p.count, 0);
        places_clear(&p);
        place mine = some_place("/a", 1);
        assert_true(places_keep(&mine));
        assert_int_equal(places_read(&p), PLACES_READ);
        assert_int_equal(p.count, 1);
        places_clear(&p);
    }
}

static void a_later_version_is_left_alone(void **state) {
    (void)state;
    static const char later[] = "{\"places\": 2, \"list\": {\"/a\": 5}}";
    places p;
    write_file(later, strlen(later));
    assert_int_equal(places_read(&p), PLACES_NEWER);
    places_clear(&p);
    place mine = some_place("/a", 1);
    assert_false(places_keep(&mine));
    char text[sizeof later] = "";
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    assert_int_equal(fread(text, 1, sizeof text, in), strlen(later));
    fclose(in);
    assert_string_equal(text, later);
}

static void strange_entries_are_harmless(void **state) {
    (void)state;
    static const char strange[] =
        "{\"places\": 1, \"list\": [5, null, {\"path\": 3}, {\"path\": \"relative\"}, "
        "{\"path\": \"/a\", \"when\": -5, \"row\": 1e300, \"cell\": -1, \"pane\": 99, \"view\": \"x\", \"step\": 0, "
        "\"zoom\": 1e9, \"zoom_x\": -3, \"brush\": 0, \"more\": {}}]}";
    places p;
    write_file(strange, strlen(strange));
    assert_int_equal(places_read(&p), PLACES_READ);
    assert_int_equal(p.count, 1);
    const place *a = &p.list[0];
    assert_true(a->when == 0 && a->row == 0 && a->cell == 5 && a->pane == 0 && a->view == 0);
    assert_true(a->step == 16 && a->zoom == 0 && a->zoom_x == 5000 && a->brush == 1);
    places_clear(&p);
}

static void a_huge_file_is_not_read(void **state) {
    (void)state;
    size_t size = (size_t)2 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    write_file(text, size);
    free(text);
    places p;
    assert_int_equal(places_read(&p), PLACES_BROKEN);
    places_clear(&p);
    place mine = some_place("/a", 1);
    assert_true(places_keep(&mine));
    struct stat info;
    assert_int_equal(stat(file, &info), 0);
    assert_true(info.st_size < 1000);
}

static void without_a_folder_nothing_is_kept(void **state) {
    (void)state;
    setenv("XDG_STATE_HOME", "/dev/null/nowhere", 1);
    places p;
    place mine = some_place("/a", 1);
    assert_false(places_keep(&mine));
    assert_int_equal(places_read(&p), PLACES_NONE);
    places_clear(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_is_kept_comes_back),       TEST(the_newest_is_first_and_each_path_there_once),
        TEST(it_does_not_grow_without_end),  TEST(a_broken_file_is_begun_anew),
        TEST(a_later_version_is_left_alone), TEST(strange_entries_are_harmless),
        TEST(a_huge_file_is_not_read),       TEST(without_a_folder_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
