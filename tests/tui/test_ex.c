/* test_ex.c: the table of commands, how a line is taken apart, and what completion finds. */
#include "../../tui/complete.h"
#include "../../tui/ex.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

static void names_are_unique_and_described(void **state) {
    (void)state;
    int count;
    const ex_command *table = ex_table(&count);
    for (int i = 0; i < count; i++) {
        const ex_command *c = &table[i];
        assert_ptr_equal(ex_find(c->name, strlen(c->name)), c);
        if (c->alias) assert_ptr_equal(ex_find(c->alias, strlen(c->alias)), c);
        assert_true(strlen(c->description) > 5);
        assert_true(c->description[strlen(c->description) - 1] != '.');
        assert_true((c->takes == EX_NOTHING) == !*c->argument);
        bool words = c->takes == EX_WORDS || c->takes == EX_PRESET || c->takes == EX_IMAGE;
        assert_true(words == (c->words != NULL));
        /* Groups stand together, or the help screen would name one twice. */
        for (int j = 0; j < i; j++)
            if (!strcmp(table[j].group, c->group)) assert_string_equal(table[i - 1].group, c->group);
    }
}

static void lines_are_taken_apart(void **state) {
    (void)state;
    ex_line line = ex_parse("  :w!  a file.json  ");
    assert_string_equal(line.command->name, "write");
    assert_true(line.bang);
    assert_int_equal(line.argument_length, strlen("a file.json"));
    assert_int_equal(strncmp(line.argument, "a file.json", line.argument_length), 0);
    line = ex_parse("save-display x");
    assert_string_equal(line.command->name, "save-display");
    line = ex_parse("q");
    assert_true(line.command && !line.bang && !line.argument_length);
    assert_null(ex_parse("").command);
    assert_null(ex_parse("w1 x").command);
    assert_null(ex_parse("wwrite").command);
    assert_string_equal(ex_nearest("wirte", 5), "write");
    assert_null(ex_nearest("zzzzzz", 6));
}

static void words_are_completed(void **state) {
    (void)state;
    static const char *const words[] = {"steps", "seed", "separator", "size", NULL};
    completion c = {0};
    completion_offer_all(&c, "se", words);
    completion_offer(&c, "se", "seed");
    completion_finish(&c);
    assert_int_equal(c.count, 2); /* the double is gone */
    assert_string_equal(c.word[0], "seed");
    assert_int_equal(completion_common(&c), 2);
    c.from = 4;
    char *line = completion_apply(&c, "set se", "seed", 4, true);
    assert_string_equal(line, "set seed ");
    free(line);
    completion_clear(&c);
    /* Never half a character. */
    completion_offer(&c, "", "\xc3\xa4");
    completion_offer(&c, "", "\xc3\xb6");
    completion_finish(&c);
    assert_int_equal(completion_common(&c), 0);
    completion_clear(&c);
}

static void touch(const char *path) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static void files_are_completed(void **state) {
    (void)state;
    char folder[] = "/tmp/couplet-test.XXXXXX", path[128];
    static const char *const endings[] = {".json", NULL};
    assert_non_null(mkdtemp(folder));
    static const char *const names[] = {"cat.json", "car.json", "cat.txt", ".hidden.json", "case/inside.json"};
    snprintf(path, sizeof path, "%s/case", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        touch(path);
    }
    completion c = {0};
    completion_offer_files(&c, "ca", folder, endings);
    completion_finish(&c);
    assert_int_equal(c.count, 3);
    assert_string_equal(c.word[0], "car.json");
    assert_string_equal(c.word[1], "case/");
    assert_string_equal(c.word[2], "cat.json");
    completion_clear(&c);
    completion_offer_files(&c, "case/", folder, endings);
    assert_int_equal(c.count, 1);
    assert_string_equal(c.word[0], "case/inside.json");
    completion_clear(&c);
    snprintf(path, sizeof path, "%s/.h", folder);
    completion_offer_files(&c, path, NULL, endings);
    assert_int_equal(c.count, 1);
    completion_clear(&c);
    completion_offer_files(&c, "/nowhere/at/all", NULL, NULL);
    assert_int_equal(c.count, 0);
    completion_clear(&c);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/case", folder);
    rmdir(path);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_and_described),
        cmocka_unit_test(lines_are_taken_apart),
        cmocka_unit_test(words_are_completed),
        cmocka_unit_test(files_are_completed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
