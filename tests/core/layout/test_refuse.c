/* Layout files that must be refused, each with one clear line: file, place, what is wrong, what to do. */
#include "../../test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../core/couplet.h"

typedef struct bad {
    const char *json, *path, *words; /* path: what error.path says; words: a part of the message */
} bad;

static const bad list[] = {
    {"", "", "the JSON ends too early"},
    {"{\"couplet\": 1, \"regions\": [{\"rect\": [0, 1", "", "the JSON ends too early"},
    {"{\n  \"couplet\": 1,\n  \"regions\": [}]\n}", "", "line 3, column 15: is not valid JSON"},
    {"{} x", "", "line 1, column 4: is not valid JSON"},
    {"{}{}", "", "is not valid JSON"},
    {"[]", "", "must be a layout, which is an object in braces, not a list"},
    {"{\"regions\": [{\"weight\": NaN}]}", "", "is not valid JSON"},
    {"{\"regions\": [{\"weight\": Infinity}]}", "", "is not valid JSON"},
    {"{\"regions\": [{\"weight\": 1e999}]}", "", "number is too large"},
    {"{\"x\": [1e999]}", "", "number is too large"},
    {"{\"mode\": \"basic\", \"mode\": \"mask\"}", "", "the key \"mode\" stands twice"},
    {"{\"regions\": [{\"y\": {\"a\": 1, \"b\": 2, \"a\": 1}}]}", "", "the key \"a\" stands twice"},
    {"{\"couplet\": 2}", "couplet", "has version 2, this program knows version 1; use a newer couplet"},
    {"{\"couplet\": 1e300}", "couplet", "has version 1"},
    {"{\"couplet\": 0}", "couplet", "must be the version"},
    {"{\"couplet\": \"1\"}", "couplet", "must be the version"},
    {"{\"mode\": \"tiles\"}", "mode", "must be \"basic\", \"advanced\" or \"mask\", not the text \"tiles\""},
    {"{\"mode\": 1}", "mode", "not 1"},
    {"{\"direction\": \"up\"}", "direction", "\"horizontal\" or \"vertical\""},
    {"{\"background\": \"first\"}", "background", "must be an object in braces, not the text \"first\""},
    {"{\"background\": {\"line\": \"middle\"}}", "background.line", "\"none\", \"first\" or \"last\""},
    {"{\"background\": {\"weight\": \"0.5\"}}", "background.weight", "must be a number, not the text \"0.5\""},
    {"{\"common\": {\"brackets\": \"[ ]\"}}", "common.brackets", "\"{ }\", \"< >\" or \"off\""},
    {"{\"common\": {\"definitions\": 1}}", "common.definitions", "must be true or false, not 1"},
    {"{\"prompt\": [\"a\"]}", "prompt", "must be a text in quotes, not a list"},
    {"{\"prompt\": \"a\\u0000b\"}", "", "\\u0000 cannot be kept"},
    {"{\"prompt\": \"a\xff\"}", "", "line 1, column 14: is not UTF-8"},
    {"{\"prompt\": \"\xc0\x80\"}", "", "is not UTF-8"},
    {"{\"canvas\": {\"width\": 100}}", "canvas.width", "must be a multiple of 8, not 100; take 104"},
    {"{\"canvas\": {\"width\": 16}}", "canvas.width", "must be a whole number from 24 to 8192, not 16"},
    {"{\"canvas\": {\"height\": 60000}}", "canvas.height", "from 24 to 8192, not 60000"},
    {"{\"canvas\": {\"height\": 1e300}}", "canvas.height", "not 1e+300"},
    {"{\"canvas\": {\"height\": 64.5}}", "canvas.height", "a whole number"},
    {"{\"canvas\": {\"height\": 0}}", "canvas.height", "not 0"},
    {"{\"regions\": {}}", "regions", "must be a list of regions, not an object"},
    {"{\"regions\": [1]}", "regions[0]", "must be an object in braces, not 1"},
    {"{\"regions\": [{}, {\"rect\": [0, 1, 0]}]}", "regions[1].rect", "must be a list of four numbers"},
    {"{\"regions\": [{\"rect\": [0, 1, 0, 1, 1]}]}", "regions[0].rect", "must be a list of four numbers"},
    {"{\"regions\": [{\"rect\": [0, \"1\", 0, 1]}]}", "regions[0].rect[1]",
     "must be a number from 0 to 1, not the text \"1\""},
    {"{\"regions\": [{\"rect\": [0, null, 0, 1]}]}", "regions[0].rect[1]", "not null"},
    {"{\"regions\": [{\"rect\": [0, true, 0, 1]}]}", "regions[0].rect[1]", "not true"},
    {"{\"regions\": [{\"rect\": [-0.1, 1, 0, 1]}]}", "regions[0].rect[0]", "must be from 0 to 1, not -0.1"},
    {"{\"regions\": [{}, {}, {\"rect\": [0.5, 0.25, 0, 1]}]}", "regions[2].rect",
     "x2 (0.25) is less than x1 (0.5); exchange the two"},
    {"{\"regions\": [{\"rect\": [0, 1, 0.5, 0.25]}]}", "regions[0].rect", "y2 (0.25) is less than y1 (0.5)"},
    {"{\"regions\": [{\"weight\": -1}]}", "regions[0].weight", "must be from 0 to 1000000, not -1"},
    {"{\"regions\": [{\"feather\": 1.5}]}", "regions[0].feather", "must be from 0 to 1, not 1.5"},
    {"{\"regions\": [{\"color\": 16}]}", "regions[0].color", "from -1 to 15, not 16"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": 3}]}", "regions[0].mask", "must be a text in quotes, not 3"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"\"}]}", "regions[0].mask", "is empty; name a PNG file"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"no/such.png\"}]}", "regions[0].mask",
     "no/such.png: cannot be opened: No such file"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"LICENSE\"}]}", "regions[0].mask", "is not a PNG file"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"core\"}]}", "regions[0].mask", "is a folder"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"data:image/gif;base64,AA\"}]}", "regions[0].mask",
     "only data: texts that begin with"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"data:image/png;base64,A*\"}]}", "regions[0].mask",
     "character 2 after"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"data:image/png;base64,AAAAA\"}]}", "regions[0].mask",
     "is cut off"},
    {"{\"mode\": \"mask\", \"regions\": [{\"mask\": \"data:image/png;base64,AAAA\"}]}", "regions[0].mask",
     "is not a PNG file"},
    {"{\"sampling\": {\"sampler\": \"dpm\"}}", "sampling.sampler", "must be \"euler\", \"euler_a\""},
    {"{\"sampling\": {\"schedule\": \"linear\"}}", "sampling.schedule", "\"normal\", \"karras\""},
    {"{\"sampling\": {\"rng\": \"gpu\"}}", "sampling.rng", "\"cpu\" or \"nv\""},
    {"{\"sampling\": {\"steps\": 0}}", "sampling.steps", "from 1 to 1000, not 0"},
    {"{\"sampling\": {\"cfg\": -1}}", "sampling.cfg", "must be from 0 to 1000, not -1"},
    {"{\"sampling\": {\"seed\": -2}}", "sampling.seed", "from -1 to 9007199254740991, not -2"},
    {"{\"sampling\": {\"seed\": 1.5}}", "sampling.seed", "a whole number"},
};

static void expect_refusal(const char *json, const char *path, const char *words) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, NULL, "bad.json", &error);
    if (layout) fail_msg("was accepted: %s", json);
    if (strncmp(error.message, "bad.json: ", 10) != 0 || !strstr(error.message, words) || strcmp(error.path, path) != 0)
        fail_msg("%s gave \"%s\" at \"%s\"", json, error.message, error.path);
    assert_int_equal(error.code, CPL_E_INPUT);
    for (const char *p = error.message; *p; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void test_list(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) expect_refusal(list[i].json, list[i].path, list[i].words);
}

static void test_too_many_regions(void **state) {
    (void)state;
    enum { MANY = 10000 };
    char *json = malloc(32 + 3 * MANY);
    char *p = json + sprintf(json, "{\"regions\": [{}");
    for (int i = 1; i < MANY; i++) p += sprintf(p, ",{}");
    strcpy(p, "]}");
    expect_refusal(json, "regions", "has 10000 regions; at most 256 are possible");
    free(json);
}

static void test_deep_nesting(void **state) {
    (void)state;
    char json[3000] = "{\"x\": ";
    memset(json + 6, '[', 2000);
    expect_refusal(json, "", "is nested deeper than 100 levels");
    /* brackets inside of a text are text */
    char text[3000] = "{\"prompt\": \"";
    memset(text + 12, '[', 2000);
    strcpy(text + 2012, "\"}");
    cpl_layout *layout = cpl_layout_parse(text, NULL, NULL, NULL);
    assert_non_null(layout);
    cpl_layout_free(layout);
}

/* Accepted as text; a message that quotes it must not carry it to a terminal. */
static void test_escape_sequences(void **state) {
    (void)state;
    cpl_layout *layout =
        cpl_layout_parse("{\"prompt\": \"\\u001b]0;owned\\u0007\\u009b31m\", \"regions\": [{}]}", NULL, "x", NULL);
    assert_non_null(layout);
    assert_int_equal(layout->prompt[0], 0x1b);
    cpl_layout_free(layout);
    expect_refusal("{\"mode\": \"\\u001b[31m\\u009b\"}", "mode", "not the text \"?[31m");
    expect_refusal("{\"\\u001b[2J\": 1, \"\\u001b[2J\": 1}", "", "the key \"?[2J\" stands twice");
}

/* A stale mask path is no obstacle where masks are not used. */
static void test_missing_mask_in_other_modes(void **state) {
    (void)state;
    cpl_layout *layout = cpl_layout_parse("{\"regions\": [{\"mask\": \"no/such.png\"}]}", NULL, "x", NULL);
    assert_non_null(layout);
    assert_null(layout->regions[0].mask);
    cpl_layout_free(layout);
}

/* Each prefix of a file is either whole or refused, and never crashes. */
static void test_every_prefix(void **state) {
    (void)state;
    const char json[] =
        "{\"couplet\": 1, \"canvas\": {\"width\": 64}, \"regions\": [{\"rect\": [0, 0.5e0, 0, 1.0], \"prompt\": "
        "\"\\u00e9\\n\xc3\xa9\"}], \"sampling\": {\"seed\": 12}, \"k\": [true, false, null]}";
    for (size_t n = 0; n < sizeof json - 1; n++) {
        char *part = strndup(json, n);
        cpl_error error = {0};
        assert_null(cpl_layout_parse(part, NULL, "x", &error));
        assert_int_equal(error.code, CPL_E_INPUT);
        free(part);
    }
}

static void test_zero_byte_in_file(void **state) {
    (void)state;
    char path[] = "/tmp/couplet-zero-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "{}\0 ", 4), 4);
    close(fd);
    cpl_error error = {0};
    assert_null(cpl_layout_load(path, &error));
    assert_non_null(strstr(error.message, "a zero byte is not text"));
    unlink(path);
    assert_null(cpl_layout_load(path, &error));
    assert_non_null(strstr(error.message, "cannot be opened"));
    assert_null(cpl_layout_load("core", &error));
    assert_non_null(strstr(error.message, "is a folder"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_too_many_regions),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_escape_sequences),
        cmocka_unit_test(test_missing_mask_in_other_modes),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_zero_byte_in_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
