/* Prompt schedules and compositions beyond the reference's cases: depth, length, damage, and which text a call gets. */
#include "../../test.h"

#include <stdlib.h>
#include <string.h>

#include "../../../core/layout/compose.h"
#include "../../../core/layout/turns.h"

static void expect(const char *text, int steps, const char *const *wanted, int count) {
    cpl_turns turns;
    assert_true(cpl_turns_read(text, steps, 0, &turns, NULL));
    assert_int_equal(turns.count, count);
    for (int i = 0; i < count; i++)
        if (strcmp(turns.list[i].text, wanted[i]) != 0)
            fail_msg("%s: text %d is '%s', not '%s'", text, i, turns.list[i].text, wanted[i]);
    assert_int_equal(turns.list[count - 1].last, steps);
    cpl_turns_clear(&turns);
}

#define EXPECT(text, steps, ...)                                                                                       \
    expect(text, steps, (const char *const[]){__VA_ARGS__},                                                            \
           (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)))

static void brackets_in_brackets(void **state) {
    (void)state;
    EXPECT("[a:[b:[c:d:3]:2]:1]", 4, "a", "b", "c", "d");
    EXPECT("x [a|[b|c]] y", 4, "x a y", "x c y", "x a y", "x c y");
    EXPECT("([a:b:1]:1.2)", 2, "(a:1.2)", "(b:1.2)");
    EXPECT("[(a:1.1)|b]", 2, "(a:1.1)", "b");
    EXPECT("[a:b:1] [c:d:1]", 2, "a c", "b d");
    EXPECT("é[ü:日本:1]", 2, "éü", "é日本");
}

/* What is no schedule is text, to the letter. */
static void other_text_stays(void **state) {
    (void)state;
    static const char *const plain[] = {
        "",          "a:b:1",        "[a]",        "[a:b:c:3]", "[a:b:]", "[a:b:x]",     "[a:b:1x]",
        "[a:b:inf]", "[a:b:1 2]",    "[a (b:c:3]", "[a:b:3)",   "a | b",  "[a:b:3] | c", "(a|b) [c:d:2]",
        "[a\\|b]",   "\\[a|b\\]x\\", "]][[",       "))((:"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) EXPECT(plain[i], 5, plain[i]);
    EXPECT("a [[b:c:1]", 2, "a [b", "a [c");
    EXPECT("[a:b:1:[c:d:1]", 2, "[a:b:1:c", "[a:b:1:d");
}

static void times_outside_of_the_run(void **state) {
    (void)state;
    EXPECT("[a:b:0]", 5, "b");
    EXPECT("[a:b:-4]", 5, "b");
    EXPECT("[a:b:5]", 5, "a");
    EXPECT("[a:b:99999999999999999999]", 5, "a");
    EXPECT("[a:b:1e300]", 5, "a");
    EXPECT("[a:b:0.0001]", 5, "b");
    EXPECT("[a:b:.5]", 1, "b"); /* half of one step is none */
}

/* As in the original, counting calls from 0 and steps from 1. */
static void a_call_gets_its_text(void **state) {
    (void)state;
    static const int scheduled[] = {0, 0, 0, 1, 1, 1}, alternate[] = {0, 0, 1, 2, 3, 3};
    cpl_turns a, b, c;
    assert_true(cpl_turns_read("[a:b:2]", 4, 0, &a, NULL) && cpl_turns_read("[a|b]", 4, 0, &b, NULL));
    assert_true(cpl_turns_keep("a", 4, &c, NULL));
    for (int call = 0; call < 5; call++) {
        assert_int_equal(cpl_turns_at(&a, call), scheduled[call]);
        assert_int_equal(cpl_turns_at(&b, call), alternate[call]);
        assert_int_equal(cpl_turns_at(&c, call), 0);
    }
    cpl_turns_clear(&a);
    cpl_turns_clear(&b);
    cpl_turns_clear(&c);
}

/* As deep as a prompt may be long: nothing here may be a call deep for each bracket. */
static void depth_is_no_danger(void **state) {
    (void)state;
    enum { DEPTH = 13000 };
    char *text = malloc(DEPTH * 5 + 2), *end = text;
    for (int i = 0; i < DEPTH; i++) *end++ = '[';
    *end++ = 'a';
    for (int i = 0; i < DEPTH; i++) end = stpcpy(end, i % 2 ? "|]" : ":1]");
    *end = '\0';
    cpl_turns turns;
    assert_true(cpl_turns_read(text, 3, 0, &turns, NULL));
    assert_int_equal(turns.count, 3);
    assert_string_equal(turns.list[0].text, ""); /* before its time */
    cpl_turns_clear(&turns);
    memset(text, '[', DEPTH);
    text[DEPTH] = '\0';
    EXPECT(text, 3, text);
    memset(text, '|', DEPTH);
    text[0] = '[';
    text[DEPTH - 1] = ']';
    assert_true(cpl_turns_read(text, 3, 0, &turns, NULL));
    assert_string_equal(turns.list[2].text, "");
    cpl_turns_clear(&turns);
    free(text);
}

/* Any text at all: it is read, the last text is for the last step, and none is longer than what was typed. */
static void noise_is_read(void **state) {
    (void)state;
    static const char letters[] = "[[[]]]::||()\\ab1.5 -\n";
    uint32_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char text[40];
        int length = 0;
        do {
            random = random * 1664525u + 1013904223u;
            text[length] = letters[(random >> 16) % (sizeof letters - 1)];
        } while (++length < 39 && (random >> 8) % 30 != 0);
        text[length] = '\0';
        cpl_turns turns;
        cpl_parts parts;
        assert_true(cpl_turns_read(text, 6, round % 2 ? 6 : 0, &turns, NULL));
        assert_int_equal(turns.list[turns.count - 1].last, 6);
        for (int i = 0; i < turns.count; i++) assert_true(strlen(turns.list[i].text) <= (size_t)length);
        cpl_turns_clear(&turns);
        assert_true(cpl_parts_read(text, &parts, NULL) && parts.count == 1);
        cpl_parts_clear(&parts);
    }
}

static void parts_and_their_weights(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int count;
        const char *last;
        double weight;
    } rows[] = {{"a AND b : 0.5  ", 2, " b", 0.5},
                {"AND", 2, "", 1},
                {"a AND", 2, "", 1},
                {"ANDROID AND SAND", 2, " SAND", 1},
                {"a_AND b", 1, "a_AND b", 1},
                {"éAND b", 1, "éAND b", 1},
                {"a,AND,b:-2", 2, ",b", -2},
                {"a:1.", 1, "a", 1},
                {"a:.", 1, "a:.", 1},
                {"a:1.2.3", 1, "a:1.2.3", 1},
                {"1.5", 1, "1.5", 1},
                {"a: 2: 3", 1, "a: 2", 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cpl_parts parts;
        assert_true(cpl_parts_read(rows[i].text, &parts, NULL));
        const cpl_part *last = &parts.list[parts.count - 1];
        if (parts.count != rows[i].count || strcmp(last->text, rows[i].last) != 0 || last->weight != rows[i].weight)
            fail_msg("%s: %d parts, the last is '%s' %g", rows[i].text, parts.count, last->text, last->weight);
        assert_true(cpl_parts_any(rows[i].text) == (parts.count > 1));
        cpl_parts_clear(&parts);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brackets_in_brackets),     cmocka_unit_test(other_text_stays),
        cmocka_unit_test(times_outside_of_the_run), cmocka_unit_test(a_call_gets_its_text),
        cmocka_unit_test(depth_is_no_danger),       cmocka_unit_test(noise_is_read),
        cmocka_unit_test(parts_and_their_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
