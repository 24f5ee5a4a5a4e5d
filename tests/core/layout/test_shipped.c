/* The layouts that ship: each loads, has nothing to complain about, and stands in the file as it would be saved. */
#include "../../test.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "../../../core/couplet.h"
#include "../../../core/memory/file.h"

static void check_layout(const char *path, unsigned *modes) {
    cpl_error error = {0};
    cpl_problems problems;
    cpl_layout *layout = cpl_layout_load(path, &error);
    if (!layout) print_error("%s\n", error.message);
    assert_non_null(layout);
    if (!layout) return;
    cpl_layout_check(layout, NULL, &problems);
    if (problems.count) fail_msg("%s: %s", path, problems.list[0].error.message);
    char *text = cpl_file_read(path, 1 << 20, NULL, &error), *printed = cpl_layout_print(layout, &error);
    assert_string_equal(printed, text);
    *modes |= 1u << layout->mode;
    free(text);
    free(printed);
    cpl_problems_clear(&problems);
    cpl_layout_free(layout);
}

static void test_shipped_layouts(void **state) {
    (void)state;
    glob_t found;
    unsigned modes = 0;
    assert_int_equal(glob("layouts/*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 6);
    for (size_t i = 0; i < found.gl_pathc; i++) check_layout(found.gl_pathv[i], &modes);
    assert_int_equal(modes, 7); /* one of each mode at least */
    globfree(&found);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shipped_layouts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
