/* LoRA tags and the list "loras": what is read, what is refused, what is left of the texts, and how it is written back. */
#include "../../test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../core/layout/hash.h"
#include "../../../core/layout/infotext.h"
#include "../../../core/layout/loras.h"

static cpl_layout *parse(const char *json) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, NULL, "test", &error);
    if (!layout) fail_msg("%s: %s", json, error.message);
    return layout;
}

/* A layout of one row whose prompt is `text`. */
static cpl_layout *with_prompt(const char *text) {
    cpl_layout *layout = parse("{\"regions\": [{}]}");
    assert_true(cpl_text_set(&layout->regions[0].prompt, text, NULL));
    return layout;
}

static void test_tags(void **state) {
    (void)state;
    static const struct {
        const char *text, *name, *rest;
        double te, unet;
    } good[] = {
        {"a cat <lora:detail>", "detail", "a cat", 1, 1},
        {"a <lora:detail:0.8> cat", "detail", "a  cat", 0.8, 0.8},
        {"<lora:detail:-1:0.5>cat", "detail", "cat", -1, 0.5},
        {"<lora: my lora : 0.5 >", "my lora", "", 0.5, 0.5},
        {"<lora:a.b-c_d/e:te=0.25:unet=2>x", "a.b-c_d/e", "x", 0.25, 2},
        {"<lora:d:0.5:te=0.25>", "d", "", 0.25, 0.25},
        {"<lyco:d:0:1>", "d", "", 0, 1},
        {"< <lora:<x:1>", "<x", "<", 1, 1},
        {"\xc3\xa9<lora:\xc3\xa9:1>", "\xc3\xa9", "\xc3\xa9", 1, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cpl_layout *layout = with_prompt(good[i].text);
        cpl_lora_uses uses;
        cpl_lines lines;
        cpl_error error = {0};
        if (!cpl_layout_loras(layout, &uses, &error)) fail_msg("%s: %s", good[i].text, error.message);
        assert_int_equal(uses.count, 1);
        assert_string_equal(uses.list[0].name, good[i].name);
        assert_true(uses.list[0].text == good[i].te && uses.list[0].unet == good[i].unet);
        assert_int_equal(uses.list[0].row, 0);
        assert_string_equal(uses.list[0].place, "regions[0].prompt");
        assert_true(cpl_layout_lines(layout, &lines, NULL));
        assert_string_equal(lines.line[0], good[i].rest);
        cpl_lines_clear(&lines);
        cpl_lora_uses_clear(&uses);
        cpl_layout_free(layout);
    }
}

static void test_what_is_no_tag(void **state) {
    (void)state;
    static const char *const plain[] = {"<lora:>",        "<lora:open", "<Lora:x:1>", "lora:x:1>",
                                        "<hypernet:x:1>", "a < b > c",  "< lora:x>"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        cpl_layout *layout = with_prompt(plain[i]);
        cpl_lora_uses uses;
        cpl_lines lines;
        assert_true(cpl_layout_loras(layout, &uses, NULL));
        if (uses.count) fail_msg("%s was taken for a tag", plain[i]);
        assert_true(cpl_layout_lines(layout, &lines, NULL));
        assert_string_equal(lines.line[0], plain[i]);
        cpl_lines_clear(&lines);
        cpl_layout_free(layout);
    }
}

static void test_bad_tags(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"<lora:x:big>", "\"big\""},      {"<lora: :1>", "name is empty"}, {"<lora:x:1:2:3>", "\"3\""},
        {"<lora:x:1e9>", "\"1e9\""},      {"<lora:x:>", "\"\""},           {"<lora:x:dyn=4>", "\"dyn=4\""},
        {"<lora:x:te=much>", "\"much\""}, {"<lora:x:0x10>", "\"0x10\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cpl_layout *layout = parse("{\"regions\": [{\"prompt\": \"a\"}, {}]}");
        cpl_lora_uses uses;
        cpl_problems problems;
        cpl_error error = {0};
        assert_true(cpl_text_set(&layout->regions[1].prompt, bad[i][0], NULL));
        assert_false(cpl_layout_loras(layout, &uses, &error));
        assert_int_equal(error.code, CPL_E_INPUT);
        assert_int_equal(error.row, 1);
        assert_string_equal(error.path, "regions[1].prompt");
        if (!strstr(error.message, bad[i][1])) fail_msg("%s: %s", bad[i][0], error.message);
        assert_false(cpl_layout_check(layout, NULL, &problems));
        assert_string_equal(problems.list[0].error.message, error.message);
        cpl_problems_clear(&problems);
        cpl_layout_free(layout);
    }
}

/* Wherever texts can stand, in the order in which they are applied. */
static void test_every_place(void **state) {
    (void)state;
    cpl_layout *rows = parse("{\"negative\": \"<lora:n>\", \"uncovered\": \"fill\", "
                             "\"background\": {\"prompt\": \"fog <lora:b>\"}, "
                             "\"regions\": [{\"prompt\": \"<lora:r0>\", \"negative\": \"x<lora:n0>\"}, "
                             "{\"prompt\": \"{k: <lora:k:0.5> v}\"}], "
                             "\"loras\": [{\"path\": \"sub/my file.safetensors\", \"weight\": 0.5}, "
                             "{\"name\": \"l\", \"text_weight\": 0.0}]}");
    static const char *const expected[][2] = {{"regions[0].prompt", "r0"},
                                              {"regions[1].prompt", "k"},
                                              {"background.prompt", "b"},
                                              {"negative", "n"},
                                              {"regions[0].negative", "n0"},
                                              {"loras[0]", "sub/my file.safetensors"},
                                              {"loras[1]", "l"}};
    cpl_lora_uses uses;
    assert_true(cpl_layout_loras(rows, &uses, NULL));
    assert_int_equal(uses.count, sizeof expected / sizeof *expected);
    for (int i = 0; i < uses.count; i++) {
        const cpl_lora_use *use = &uses.list[i];
        assert_string_equal(use->place, expected[i][0]);
        assert_string_equal(use->name ? use->name : use->path, expected[i][1]);
    }
    assert_true(uses.list[5].path && uses.list[5].unet == 0.5 && uses.list[5].text == 0.5);
    assert_true(uses.list[6].name && uses.list[6].unet == 1 && uses.list[6].text == 0);
    cpl_lora_uses_clear(&uses);
    cpl_layout_free(rows);
    cpl_layout *whole = parse("{\"prompt\": \"a <lora:x:1>\\nb\", \"common\": {\"brackets\": \"< >\"}, "
                              "\"regions\": [{}, {}]}");
    cpl_lines lines;
    assert_true(cpl_layout_lines(whole, &lines, NULL));
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.line[0], "a"); /* and not a common prompt named "lora" */
    cpl_lines_clear(&lines);
    /* When the rows get prompts of their own the tag must not be lost. */
    assert_true(cpl_layout_keep_loras(whole, NULL));
    assert_int_equal(whole->lora_count, 1);
    assert_string_equal(whole->loras[0].name, "x");
    cpl_layout_free(whole);
}

/* All tags of the prompt or none: what cannot be kept is told while the prompt is still there. */
static void test_keeping_tags(void **state) {
    (void)state;
    cpl_layout *layout = parse("{\"prompt\": \"a <lora:x:0.5><lora:y:1:0>\\nb\", \"regions\": [{}, {}]}");
    cpl_error error = {0};
    assert_true(cpl_layout_keep_loras(layout, &error));
    assert_int_equal(layout->lora_count, 2);
    assert_true(layout->loras[0].weight == 0.5 && isnan(layout->loras[0].text_weight));
    assert_true(layout->loras[1].weight == 0 && layout->loras[1].text_weight == 1);
    assert_non_null(strstr(layout->prompt, "<lora:x:0.5>"));
    while (layout->lora_count < CPL_MAX_LORAS - 1)
        assert_true(cpl_text_set(&cpl_layout_add_lora(layout, NULL)->name, "z", NULL));
    assert_false(cpl_layout_keep_loras(layout, &error)); /* there is room for one */
    assert_int_equal(layout->lora_count, CPL_MAX_LORAS - 1);
    assert_string_equal(error.path, "loras");
    assert_true(cpl_text_set(&layout->prompt, "<lora:x:1><lora:y:z>", NULL));
    assert_false(cpl_layout_keep_loras(layout, &error));
    assert_int_equal(layout->lora_count, CPL_MAX_LORAS - 1);
    cpl_layout_free(layout);
}

static void test_the_list_is_kept(void **state) {
    (void)state;
    static const char text[] =
        "{\n"
        "  \"couplet\": 1,\n"
        "  \"regions\": [\n"
        "    {}\n"
        "  ],\n"
        "  \"loras\": [\n"
        "    {\"name\": \"a\", \"weight\": 1.0},\n"
        "    {\"path\": \"b/c.safetensors\", \"weight\": -0.3, \"text_weight\": 0.0, \"mine\": [1]},\n"
        "    {\"name\": \"d\"}\n"
        "  ]\n"
        "}\n";
    cpl_layout *layout = parse(text), *copy = cpl_layout_copy(layout, NULL);
    char *printed = cpl_layout_print(copy, NULL);
    assert_string_equal(printed, text);
    free(printed);
    assert_true(cpl_layout_equal(layout, copy));
    copy->loras[1].weight = 0.3;
    assert_false(cpl_layout_equal(layout, copy));
    cpl_layout_free(copy);
    cpl_layout_free(layout);
    layout = parse("{\"loras\": []}");
    printed = cpl_layout_print(layout, NULL);
    assert_string_equal(printed, "{\n  \"couplet\": 1,\n  \"loras\": []\n}\n");
    free(printed);
    cpl_layout_free(layout);
}

static void test_bad_lists(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"{\"loras\": {}}", "loras"},
        {"{\"loras\": [\"a\"]}", "loras[0]"},
        {"{\"loras\": [{\"name\": 1}]}", "loras[0].name"},
        {"{\"loras\": [{\"name\": \"a\"}, {\"name\": \"a\", \"weight\": \"1\"}]}", "loras[1].weight"},
        {"{\"loras\": [{\"name\": \"a\", \"weight\": 1e7}]}", "loras[0].weight"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cpl_error error = {0};
        assert_null(cpl_layout_parse(bad[i][0], NULL, "test", &error));
        assert_string_equal(error.path, bad[i][1]);
    }
    static const char *const unfit[] = {"{\"regions\": [{}], \"loras\": [{}]}",
                                        "{\"regions\": [{}], \"loras\": [{\"name\": \"a\", \"path\": \"b\"}]}",
                                        "{\"regions\": [{}], \"loras\": [{\"name\": \"\"}]}"};
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        cpl_layout *layout = parse(unfit[i]);
        cpl_problems problems;
        assert_false(cpl_layout_check(layout, NULL, &problems));
        assert_string_equal(problems.list[0].error.path, "loras[0]");
        cpl_problems_clear(&problems);
        cpl_layout_free(layout);
    }
}

/* The hash of the layout is of its words; which file a tag means is added elsewhere. */
static void test_hash(void **state) {
    (void)state;
    cpl_settings settings;
    cpl_layout *one = with_prompt("a <lora:x:1>"), *other = with_prompt("a <lora:y:0.5>"), *third = with_prompt("b");
    assert_true(cpl_layout_resolve(one, NULL, &settings, NULL));
    assert_true(cpl_layout_hash(one, &settings) == cpl_layout_hash(other, &settings));
    assert_true(cpl_layout_hash(one, &settings) != cpl_layout_hash(third, &settings));
    cpl_layout_free(one);
    cpl_layout_free(other);
    cpl_layout_free(third);
}

static void test_infotext(void **state) {
    (void)state;
    cpl_settings settings;
    cpl_layout *layout = parse("{\"regions\": [{\"prompt\": \"a <lora:x:0.5>\"}], \"loras\": "
                               "[{\"path\": \"d/my.style.safetensors\", \"weight\": 0.25}, "
                               "{\"name\": \"y\", \"weight\": 2, \"text_weight\": 0}]}");
    assert_true(cpl_layout_resolve(layout, NULL, &settings, NULL));
    char *text = cpl_infotext(layout, &settings, NULL, NULL);
    assert_non_null(text);
    static const char first[] = "a <lora:x:0.5> <lora:my.style:0.25> <lora:y:0:2>\n";
    assert_memory_equal(text, first, sizeof first - 1);
    free(text);
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_what_is_no_tag),
        cmocka_unit_test(test_bad_tags),
        cmocka_unit_test(test_every_place),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_keeping_tags),
        cmocka_unit_test(test_the_list_is_kept),
        cmocka_unit_test(test_bad_lists),
        cmocka_unit_test(test_infotext),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
