/* test_script.c: key scripts: every kind of step, and faults told with their line. */
#include "../../tui/script.h"

#include <string.h>

#include "../test.h"

static script *parsed(const char *text) {
    cpl_error error = {0};
    script *s = script_parse(text, "keys", &error);
    if (!s) fail_msg("%s", error.message);
    return s;
}

static void expect_key(script *s, uint32_t key, unsigned modifiers) {
    const script_step *step = script_next(s);
    assert_non_null(step);
    assert_int_equal(step->kind, SCRIPT_KEY);
    assert_int_equal(step->press.key, key);
    assert_int_equal(step->press.modifiers, modifiers);
}

static void keys_and_text_become_presses(void **state) {
    (void)state;
    script *s = parsed("# a comment\n\n5 l Ctrl-R dd Enter\n  \"\xc3\xa4 \\\"b\\n\" Shift-Left : #\n");
    expect_key(s, '5', 0);
    expect_key(s, 'l', 0);
    expect_key(s, 0x12, 0);
    expect_key(s, 'd', 0);
    expect_key(s, 'd', 0);
    expect_key(s, 13, 0);
    expect_key(s, 0xe4, 0);
    expect_key(s, ' ', 0);
    expect_key(s, '"', 0);
    expect_key(s, 'b', 0);
    expect_key(s, 13, 0);
    expect_key(s, K_LEFT, INPUT_SHIFT);
    expect_key(s, ':', 0);
    expect_key(s, '#', 0);
    assert_null(script_next(s));
    assert_true(script_ended(s));
    script_free(s);
}

static void commands_mouse_and_paste(void **state) {
    (void)state;
    script *s = parsed(":set steps 3  \r\ndrag 1 2 3 4 right-drag 4 3 2 1 click 5 6\nwheel up\npaste \"a\\nb\"");
    const script_step *step = script_next(s);
    assert_int_equal(step->kind, SCRIPT_COMMAND);
    assert_string_equal(step->text, "set steps 3");
    step = script_next(s);
    assert_int_equal(step->kind, SCRIPT_DRAG);
    assert_int_equal(step->at[3], 4);
    step = script_next(s);
    assert_int_equal(step->kind, SCRIPT_RIGHT_DRAG);
    assert_int_equal(step->at[0], 4);
    step = script_next(s);
    assert_int_equal(step->kind, SCRIPT_CLICK);
    assert_int_equal(step->at[1], 6);
    assert_int_equal(script_next(s)->at[0], -1);
    assert_string_equal(script_next(s)->text, "a\nb");
    script_wait(s, SCRIPT_DONE);
    assert_false(script_ended(s));
    script_free(s);
}

static void faults_name_their_line(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "l\nnonsense",          "l\n\"open",       "l\nclick 3",       "l\nwheel left",
        "l\npaste x",           "l\n\"\xff\xff\"", "l\ndrag 1 2 3 -4", "l\n:set negative caf\xe9",
        "l\npaste \"caf\xe9\"", "l\n\"\xc0\xaf\""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cpl_error error = {0};
        assert_null(script_parse(wrong[i], "keys", &error));
        if (!strstr(error.message, "keys: line 2: ")) fail_msg("%s: %s", wrong[i], error.message);
    }
    cpl_error error = {0};
    assert_null(script_open("/nowhere/keys", &error));
    assert_non_null(strstr(error.message, "/nowhere/keys"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_text_become_presses),
        cmocka_unit_test(commands_mouse_and_paste),
        cmocka_unit_test(faults_name_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
