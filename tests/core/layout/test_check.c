/* What cpl_layout_check finds in whole layouts, and prompt lines of rows. */
#include "../../test.h"

#include <stdlib.h>
#include <string.h>

#include "../../../core/layout/lines.h"

typedef struct found {
    const char *json, *path, *words;
    bool warning;
} found;

#define ROWS "\"regions\": [{\"prompt\": \"a\"}, {\"prompt\": \"b\"}]"

static const found list[] = {
    {"{}", "regions", "there are none; add one", false},
    {"{\"mode\": \"basic\", \"regions\": [{\"prompt\": \"a\"}]}", "regions",
     "needs at least 2 lines, there is 1; add one", false},
    {"{\"mode\": \"basic\", \"background\": {\"line\": \"last\"}, " ROWS "}", "regions", "needs at least 3 lines",
     false},
    {"{\"mode\": \"basic\", \"prompt\": \"a\"}", "prompt", "there is 1", false},
    {"{\"prompt\": \"a\\nb\\nc\", \"regions\": [{}, {}]}", "prompt", "gives 3 lines for 2 regions", false},
    {"{\"prompt\": \"a\\nb\", " ROWS "}", "regions[0].prompt", "has one \"prompt\" for all lines", false},
    {"{\"mode\": \"mask\", " ROWS "}", "regions[0].mask", "is missing; in mask mode each row names a PNG", false},
    {"{\"mode\": \"basic\", \"background\": {\"line\": \"first\"}, \"regions\": [{\"weight\": 0.3}, {}, {}]}",
     "regions[0].weight", "set background.weight instead", false},
    {"{\"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}, {\"prompt\": \"b\", \"rect\": [0.75, 1, 0, 1]}]}",
     "regions", "25 % of the canvas has no region, within x 0.500 to 0.750, y 0.000 to 1.000", false},
    {"{\"regions\": [{\"prompt\": \"a\", \"weight\": 0}]}", "regions", "100 % of the canvas", false},
    {"{\"background\": {\"line\": \"first\"}, " ROWS "}", "background.line", "does nothing in advanced mode", true},
    {"{\"background\": {\"prompt\": \"x\"}, " ROWS "}", "background.prompt", "does nothing without", true},
    {"{\"mode\": \"basic\", \"background\": {\"line\": \"last\", \"weight\": 0.01}, \"prompt\": \"a\\nb\\nc\"}",
     "background.weight", "0.01 acts as 0.1", true},
    {"{\"colour\": 1, " ROWS "}", "colour", "this key is not known; it is kept", true},
    {"{\"canvas\": {\"depth\": 1}, " ROWS "}", "canvas.depth", "not known", true},
    {"{\"sampling\": {\"eta\": 1}, " ROWS "}", "sampling.eta", "not known", true},
    {"{\"regions\": [{\"prompt\": \"a\", \"wieght\": 1}]}", "regions[0].wieght", "not known", true},
    {"{\"regions\": [{}]}", "regions[0].prompt", "is empty", true},
    {"{\"regions\": [{\"prompt\": \"{hair} cat\"}]}", "regions[0].prompt", "\"{hair} cat\" has no definition", true},
    {"{\"regions\": [{\"prompt\": \"a\"}, {\"prompt\": \"b\", \"rect\": [0.5, 0.5, 0, 1]}]}", "regions[1].rect",
     "narrower than a pixel", true},
    {"{\"regions\": [{\"prompt\": \"a\"}, {\"prompt\": \"b\", \"weight\": 0}]}", "regions[1].rect", "has weight 0",
     true},
    {"{\"mode\": \"basic\", \"regions\": [{\"prompt\": \"a\", \"weight\": 2}, {\"prompt\": \"b\"}]}",
     "regions[0].weight", "does nothing in basic mode", true},
    {"{\"mode\": \"basic\", \"prompt\": \"a\\nb\\nc\", \"regions\": [{}, {}]}", "prompt",
     "gives 3 lines, but there are 2 regions", true},
    {"{\"mode\": \"basic\", \"canvas\": {\"width\": 24, \"height\": 24},"
     " \"prompt\": \"a\\nb\\nc\\nd\\ne\\nf\\ng\\nh\\ni\\nj\\nk\\nl\\nm\"}",
     "prompt, line 13", "narrower than a pixel", true},
};

static cpl_layout *parse(const char *json) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, NULL, NULL, &error);
    if (!layout) fail_msg("%s: %s", json, error.message);
    return layout;
}

static void test_each_problem_is_found(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        cpl_layout *layout = parse(list[i].json);
        cpl_problems problems;
        bool valid = cpl_layout_check(layout, NULL, &problems);
        int at = -1;
        for (int k = 0; k < problems.count; k++)
            if (strcmp(problems.list[k].error.path, list[i].path) == 0 &&
                strstr(problems.list[k].error.message, list[i].words))
                at = k;
        if (at < 0)
            fail_msg("%s: not found; %d problems, first: %s", list[i].json, problems.count,
                     problems.count ? problems.list[0].error.message : "");
        assert_int_equal(problems.list[at].warning, list[i].warning);
        assert_int_equal(valid, list[i].warning);
        assert_true(strncmp(problems.list[at].error.message, list[i].path, strlen(list[i].path)) == 0);
        cpl_problems_clear(&problems);
        cpl_layout_free(layout);
    }
}

static void test_errors_stand_before_warnings(void **state) {
    (void)state;
    cpl_layout *layout = parse(
        "{\"x\": 1, \"background\": {\"line\": \"first\"}, \"mode\": \"basic\", \"regions\": [{\"weight\": 3}, {}]}");
    cpl_problems problems;
    assert_false(cpl_layout_check(layout, NULL, &problems));
    assert_true(problems.count >= 3);
    bool warnings = false;
    for (int i = 0; i < problems.count; i++) {
        assert_false(warnings && !problems.list[i].warning);
        warnings |= problems.list[i].warning;
    }
    assert_true(warnings);
    cpl_problems_clear(&problems);
    cpl_layout_free(layout);
}

static void test_clean_layouts(void **state) {
    (void)state;
    static const char kept_for_later[] =
        "{\"loras\": [], \"sampling\": {\"vae\": \"x\", \"prediction\": \"v\"}, \"img2img\": {}, \"hires\": {}, " ROWS
        "}";
    static const char filled[] = "{\"uncovered\": \"fill\", \"background\": {\"prompt\": \"fog\"}, "
                                 "\"regions\": [{\"prompt\": \"a\", \"rect\": [0, 0.5, 0, 1]}]}";
    static const char *const clean[] = {
        "{" ROWS "}",
        kept_for_later,
        "{\"prompt\": \"a\\nb\", \"regions\": [{}, {}]}",
        "{\"mode\": \"basic\", \"prompt\": \"a\\nb\"}",
        filled,
        "{\"regions\": [{\"prompt\": \"{hair: red} cat\"}, {\"prompt\": \"{hair} <lora:x:1>\"}]}",
    };
    for (size_t i = 0; i < sizeof clean / sizeof *clean; i++) {
        cpl_layout *layout = parse(clean[i]);
        cpl_problems problems;
        bool valid = cpl_layout_check(layout, NULL, &problems);
        if (problems.count) fail_msg("%s: %s", clean[i], problems.list[0].error.message);
        assert_true(valid);
        cpl_problems_clear(&problems);
        cpl_layout_free(layout);
    }
}

/* Values that an editor may put into the struct are checked as those of a file. */
static void test_ranges_of_the_struct(void **state) {
    (void)state;
    cpl_layout *layout = parse("{" ROWS "}");
    cpl_problems problems;
    layout->regions[1].x1 = 0.75;
    layout->regions[1].x2 = 0.25;
    layout->regions[0].weight = -1;
    layout->width = 100;
    layout->sampling.steps = 5000;
    assert_false(cpl_layout_check(layout, NULL, &problems));
    assert_int_equal(problems.count, 4);
    assert_int_equal(problems.list[0].error.row, 0);
    assert_int_equal(problems.list[1].error.row, 1);
    assert_string_equal(problems.list[1].error.path, "regions[1].rect");
    cpl_problems_clear(&problems);
    cpl_settings settings;
    cpl_error error = {0};
    assert_false(cpl_layout_resolve(layout, NULL, &settings, &error));
    assert_string_equal(error.message, "canvas.width: must be a multiple of 8, not 100; take 104");
    cpl_layout_free(layout);
}

static void check_line(const cpl_lines *lines, int i, const char *expected) {
    assert_true(i < lines->count);
    assert_string_equal(lines->line[i], expected);
}

/* Definitions count for all rows, brackets end with their row, a newline in a row is a blank. */
static void test_lines_of_rows(void **state) {
    (void)state;
    cpl_layout *layout =
        parse("{\"regions\": [{\"prompt\": \" {who} at sea \"}, {\"prompt\": \"{who: a cat}\\nsleeps {open\"}, "
              "{\"prompt\": \"close} \\u3000\"}, {}], \"background\": {\"prompt\": \"only {who}\\n\"}}");
    cpl_lines lines;
    assert_true(cpl_layout_lines(layout, &lines, NULL));
    assert_int_equal(lines.count, 4);
    check_line(&lines, 0, "a cat at sea");
    check_line(&lines, 1, "a cat sleeps {open");
    check_line(&lines, 2, "close}");
    check_line(&lines, 3, "");
    cpl_lines_clear(&lines);
    char *fill = cpl_layout_fill_line(layout, NULL);
    assert_string_equal(fill, "only a cat");
    free(fill);
    cpl_text_set(&layout->background_prompt, NULL, NULL);
    fill = cpl_layout_fill_line(layout, NULL);
    assert_string_equal(fill, "a cat at sea");
    free(fill);
    layout->definitions = false;
    layout->brackets = CPL_BRACKETS_CURLY;
    assert_true(cpl_layout_lines(layout, &lines, NULL));
    check_line(&lines, 1, "sleeps {open");
    cpl_lines_clear(&lines);
    cpl_layout_free(layout);
}

/* Definitions that multiply must end in an error, not in all of the memory. */
static void test_prompts_that_grow(void **state) {
    (void)state;
    enum { USES = 15000 };
    cpl_layout *layout = parse("{\"regions\": [{}]}");
    char *text = malloc(65537);
    char *p = text + sprintf(text, "{a:%01000d}", 0);
    for (int i = 0; i < USES; i++) p += sprintf(p, "{a}");
    cpl_text_set(&layout->regions[0].prompt, text, NULL);
    cpl_lines lines;
    cpl_error error = {0};
    assert_false(cpl_layout_lines(layout, &lines, &error));
    assert_non_null(strstr(error.message, "grow the text beyond"));
    assert_int_equal(lines.count, 0);
    memset(text, 'x', 65536);
    strcpy(text + 65536, "");
    cpl_text_set(&layout->regions[0].prompt, text, NULL);
    assert_true(cpl_layout_lines(layout, &lines, &error));
    cpl_lines_clear(&lines);
    cpl_layout_insert(layout, 1, NULL);
    cpl_text_set(&layout->regions[1].prompt, "y", NULL);
    assert_false(cpl_layout_lines(layout, &lines, &error));
    assert_non_null(strstr(error.message, "65537 bytes together"));
    free(text);
    cpl_layout_free(layout);
}

static void test_resolve(void **state) {
    (void)state;
    const cpl_defaults defaults = {128, 64, 12, 4.5, "euler", "karras"};
    cpl_layout *layout = parse("{" ROWS "}");
    cpl_settings s;
    assert_true(cpl_layout_resolve(layout, &defaults, &s, NULL));
    assert_true(s.width == 128 && s.height == 64 && s.steps == 12 && s.cfg == 4.5 && s.seed == 0);
    assert_string_equal(s.schedule, "karras");
    assert_string_equal(s.rng, "cpu");
    cpl_layout_free(layout);
    layout = parse("{\"canvas\": {\"height\": 256}, \"sampling\": {\"seed\": -1, \"cfg\": 0, \"sampler\": \"heun\", "
                   "\"rng\": \"nv\"}}");
    assert_true(cpl_layout_resolve(layout, &defaults, &s, NULL));
    assert_true(s.width == 128 && s.height == 256 && s.steps == 12 && s.cfg == 0 && s.seed == CPL_SEED_RANDOM);
    assert_string_equal(s.sampler, "heun");
    cpl_layout_free(layout);
}

static void test_control_characters(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {{"a cat,\tnight\nsky", true},
                 {"K\xc3\xa4se \xc2\xa0 \xe2\x82\xac", true},
                 {"\033[31mred", false},
                 {"bell\a", false},
                 {"a\x1c b\x0b c", true}, /* white space to Forge */
                 {"\x7f", false},
                 {"\xc2\x9b"
                  "31m",
                  false}};
    cpl_defaults defaults = {128, 128, 20, 4, "euler", "karras"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cpl_problems problems = {0};
        cpl_layout *layout = cpl_layout_new(NULL);
        cpl_region *region = cpl_layout_insert(layout, 0, NULL);
        assert_true(cpl_text_set(&region->prompt, cases[i].text, NULL));
        assert_int_equal(cpl_layout_check(layout, &defaults, &problems), cases[i].valid);
        if (!cases[i].valid) {
            assert_false(problems.list[0].warning);
            assert_string_equal(problems.list[0].error.path, "regions[0].prompt");
            assert_non_null(strstr(problems.list[0].error.message, "U+00"));
        }
        cpl_problems_clear(&problems);
        cpl_layout_free(layout);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_problem_is_found),
        cmocka_unit_test(test_errors_stand_before_warnings),
        cmocka_unit_test(test_clean_layouts),
        cmocka_unit_test(test_ranges_of_the_struct),
        cmocka_unit_test(test_lines_of_rows),
        cmocka_unit_test(test_prompts_that_grow),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
