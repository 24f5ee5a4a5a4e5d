/* test_commands.c: the pieces that the commands are made of: JSON, the progress bar, problems in words, options over a
 * layout. The commands themselves are run in tests/cli. */
#include "../../tui/command.h"
#include "../../tui/json_out.h"
#include "../../tui/problems.h"
#include "../../tui/progress.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"

static char printed[4096];

static void catch_text(const char *text) {
    memset(printed, 0, sizeof printed);
    FILE *out = fmemopen(printed, sizeof printed, "w");
    json_text(out, text);
    fclose(out);
}

static void texts_are_escaped(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"a cat", "\"a cat\""},
        {"", "\"\""},
        {"q\"b\\", "\"q\\\"b\\\\\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\033]0;evil\a", "\"\\u001b]0;evil\\u0007\""},
        {"\x7f", "\"\\u007f\""},
        {"\xc2\x9b"
         "31m",
         "\"\\u009b31m\""},
        {"K\xc3\xa4se \xf0\x9f\xa7\x80", "\"K\xc3\xa4se \xf0\x9f\xa7\x80\""},
        {"\xff|\xc0\xaf|\xed\xa0\x80|\xe2\x82", "\"\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        catch_text(pairs[i][0]);
        assert_string_equal(printed, pairs[i][1]);
    }
    catch_text(NULL);
    assert_string_equal(printed, "null");
}

static void print_double(double value) {
    memset(printed, 0, sizeof printed);
    FILE *out = fmemopen(printed, sizeof printed, "w");
    json_double(out, value);
    fclose(out);
}

static void numbers_read_back(void **state) {
    (void)state;
    static const double exact[] = {
        0, 1, -1, 0.1, 1.0 / 3, 1e300, 5e-324, DBL_MAX, 9007199254740991.0, 0.30000000000000004};
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        print_double(exact[i]);
        assert_true(strtod(printed, NULL) == exact[i]);
    }
    for (int i = 0; i < 10000; i++) {
        double value = (test_uniform(&seed) - 0.5) * exp(600 * (test_uniform(&seed) - 0.5));
        print_double(value);
        assert_true(strtod(printed, NULL) == value);
    }
    print_double(0.1);
    assert_string_equal(printed, "0.1");
    print_double(NAN);
    assert_string_equal(printed, "null");
    print_double(-INFINITY);
    assert_string_equal(printed, "null");
}

static void floats_read_back(void **state) {
    (void)state;
    uint32_t seed = 9;
    for (int i = 0; i < 10000; i++) {
        float value = (float)test_uniform(&seed);
        memset(printed, 0, sizeof printed);
        FILE *out = fmemopen(printed, sizeof printed, "w");
        json_float(out, value);
        fclose(out);
        assert_true(strtof(printed, NULL) == value);
        assert_true(strlen(printed) <= 15);
    }
}

/* Columns that a UTF-8 text takes; the bar has no wide characters. */
static int columns_of(const char *text) {
    int count = 0;
    for (; *text; text++) count += (*text & 0xc0) != 0x80;
    return count;
}

static void bar_fits_every_width(void **state) {
    (void)state;
    char line[512];
    for (int columns = 20; columns <= 300; columns++)
        for (int step = 0; step <= 20; step++)
            for (int utf8 = 0; utf8 < 2; utf8++) {
                int width = progress_line(line, sizeof line, columns, utf8, step, 20, step * 1234.5);
                assert_int_equal(width, columns_of(line));
                assert_true(width <= columns);
                assert_non_null(strstr(line, "/20 "));
            }
    progress_line(line, sizeof line, 80, false, 5, 20, 5000);
    assert_non_null(strstr(line, "step  5/20 ##########.............................. 1 s/step"));
    progress_line(line, sizeof line, 80, false, 20, 20, 5000);
    assert_non_null(strstr(line, "step 20/20 ######################################## 0.25 s/step"));
    for (int columns = 15; columns <= 100; columns++) {
        assert_in_range(progress_decoding_line(line, sizeof line, columns, true, columns / 100.0), 1, columns);
        assert_in_range(progress_loading_line(line, sizeof line, columns, true, columns / 100.0), 1, columns);
        assert_non_null(strstr(line, "loading"));
    }
    progress_decoding_line(line, sizeof line, 80, false, 0.5);
    assert_non_null(strstr(line, "decoding ####################....................  50 %"));
    progress_loading_line(line, sizeof line, 80, false, 0.25);
    assert_non_null(strstr(line, "loading ##########..............................  25 %"));
}

static void messages_lose_what_is_said_before(void **state) {
    (void)state;
    cpl_error error = {.path = "regions[2].weight", .message = "a.json: regions[2].weight: must be 0 or more"};
    assert_string_equal(bare_message("a.json", &error), "must be 0 or more");
    assert_string_equal(bare_message("b.json", &error), "a.json: regions[2].weight: must be 0 or more");
    cpl_error plain = {.message = "a.json: cannot be read"};
    assert_string_equal(bare_message("a.json", &plain), "cannot be read");
    cpl_error safe = {.message = "b?[1m: cannot be read"};
    assert_string_equal(bare_message("b\033[1m", &safe), "cannot be read");
    assert_string_equal(bare_message("b", &safe), "b?[1m: cannot be read");
}

static void lines_become_warnings(void **state) {
    (void)state;
    cpl_layout *layout = cpl_layout_new(NULL);
    assert_non_null(cpl_layout_insert(layout, 0, NULL));
    assert_non_null(cpl_layout_insert(layout, 1, NULL));
    cpl_line_info lines[] = {{.tokens = 4, .room = 22},
                             {.tokens = 30, .room = 44, .unknown = "zeppelin", .vanishes = true},
                             {.unknown = "airship"}};
    cpl_event event = {.type = CPL_EVENT_SYNCED, .lines = lines, .line_count = 3};
    cpl_problems problems = {0};
    assert_true(add_line_warnings(layout, &event, &problems));
    assert_int_equal(problems.count, 3);
    for (int i = 0; i < 3; i++) assert_true(problems.list[i].warning);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(problems.list[i].error.row, 1);
        assert_string_equal(problems.list[i].error.path, "regions[1]");
    }
    assert_non_null(strstr(problems.list[0].error.message, "zeppelin"));
    assert_non_null(strstr(problems.list[1].error.message, "too thin"));
    assert_string_equal(problems.list[2].error.path, "uncovered");
    cpl_problems_clear(&problems);
    assert_true(cpl_text_set(&layout->background_prompt, "airship", NULL));
    assert_true(add_line_warnings(layout, &event, &problems));
    assert_string_equal(problems.list[2].error.path, "background.prompt");
    cpl_problems_clear(&problems);
    cpl_layout_free(layout);
    layout =
        cpl_layout_parse("{\"mode\": \"basic\", \"prompt\": \"a\\nb\\nc\", \"regions\": [{}]}", NULL, "test", NULL);
    if (!layout) {
        fail_msg("the layout is none");
        abort();
    }
    assert_true(add_line_warnings(layout, &event, &problems));
    assert_string_equal(problems.list[0].error.path, "prompt, line 2");
    assert_string_equal(problems.list[2].error.path, "prompt, line 3");
    cpl_problems_clear(&problems);
    cpl_layout_free(layout);
}

static void options_override(void **state) {
    (void)state;
    const arguments none = {.cfg = NAN, .denoise = NAN, .hires = NAN, .hires_denoise = NAN, .seed = CPL_SEED_UNSET};
    arguments a = none;
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse("{\"couplet\":1,\"canvas\":{\"width\":64,\"height\":128},\"regions\":[{}],"
                                          "\"sampling\":{\"steps\":9,\"cfg\":3,\"seed\":5}}",
                                          NULL, "test", &error);
    assert_non_null(layout);
    assert_true(override_layout(layout, &a, &error));
    assert_int_equal(layout->width, 64);
    assert_int_equal(layout->sampling.steps, 9);
    assert_true(layout->sampling.cfg == 3);
    assert_int_equal(layout->sampling.seed, 5);
    assert_null(layout->sampling.model);
    a.cfg = 0;
    a.seed = -1;
    a.steps = 3;
    a.size[0] = 256;
    a.size[1] = 192;
    a.sampler = "euler";
    a.model = "man/../man/couplet.1";
    assert_true(override_layout(layout, &a, &error));
    assert_int_equal(layout->width, 256);
    assert_int_equal(layout->height, 192);
    assert_int_equal(layout->sampling.steps, 3);
    assert_true(layout->sampling.cfg == 0);
    assert_int_equal(layout->sampling.seed, -1);
    assert_string_equal(layout->sampling.sampler, "euler");
    /* From here, not from the layout's folder. */
    assert_int_equal(layout->sampling.model[0], '/');
    assert_null(strstr(layout->sampling.model, ".."));
    a.model = "builtin";
    assert_true(override_layout(layout, &a, &error));
    assert_string_equal(layout->sampling.model, "builtin");
    a = none;
    a.denoise = 0.5; /* of nothing to begin with */
    assert_false(override_layout(layout, &a, &error));
    a = none;
    a.hires_steps = 4; /* of no second pass */
    assert_false(override_layout(layout, &a, &error));
    assert_non_null(strstr(error.message, "--hires 2"));
    a.hires = 1.5;
    assert_true(override_layout(layout, &a, &error));
    assert_true(layout->hires_scale == 1.5 && layout->hires_steps == 4);
    cpl_layout_free(layout);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(floats_read_back),
        cmocka_unit_test(bar_fits_every_width),
        cmocka_unit_test(messages_lose_what_is_said_before),
        cmocka_unit_test(lines_become_warnings),
        cmocka_unit_test(options_override),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
