/* test_keys.c: the key table: every text in it is a key, none hides another, and presses find their binding. */
#include "../../tui/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const key_binding *find(key_context context, uint32_t key, unsigned modifiers) {
    const key_binding *binding = NULL;
    key_press press = {key, modifiers};
    return keys_find(context, &press, 1, &binding) == KEY_MATCH ? binding : NULL;
}

/* Calls `visit` for every alternative of every row. */
static void each_key(void (*visit)(const key_binding *binding, const char *text, size_t length)) {
    int count;
    const key_binding *table = keys_table(&count);
    for (int i = 0; i < count; i++)
        for (const char *text = table[i].keys; *text;) {
            size_t length = strcspn(text, " ");
            visit(&table[i], text, length);
            text += length + strspn(text + length, " ");
        }
}

static bool is_range(const char *text, size_t length) { return length == 3 && text[1] == '-'; }

static void found_by_itself(const key_binding *binding, const char *text, size_t length) {
    key_press press[2];
    const key_binding *found = NULL;
    if (is_range(text, length)) {
        assert_ptr_equal(find(binding->context, (unsigned char)text[0], 0), binding);
        assert_ptr_equal(find(binding->context, (unsigned char)text[2], 0), binding);
        return;
    }
    int count = keys_parse(text, length, press);
    if (!count) fail_msg("\"%.*s\" is no key", (int)length, text);
    /* If another row of the same context had the same key, this would find that one. */
    assert_int_equal(keys_find(binding->context, press, count, &found), KEY_MATCH);
    if (found != binding)
        fail_msg("\"%.*s\" of \"%s\" is taken by \"%s\"", (int)length, text, binding->name, found->name);
}

static void every_key_finds_its_row(void **state) {
    (void)state;
    each_key(found_by_itself);
}

static void rows_are_whole(void **state) {
    (void)state;
    int count;
    const key_binding *table = keys_table(&count);
    assert_true(count > 50);
    for (int i = 0; i < count; i++) {
        const key_binding *b = &table[i];
        assert_true(b->keys[0] && b->name[0] && b->description[0] && b->group[0]);
        assert_true(b->action != ACTION_NONE && b->action < ACTIONS);
        assert_true(b->context < KEYS_CONTEXTS && keys_context_name(b->context)[0]);
        assert_int_not_equal(b->description[strlen(b->description) - 1], '.');
        /* Groups stand together, or the help screen would name one twice. */
        for (int j = 0; j + 1 < i; j++)
            if (!strcmp(table[j].group, b->group)) assert_string_equal(table[i - 1].group, b->group);
    }
}

static void panes_come_before_everywhere(void **state) {
    (void)state;
    assert_int_equal(find(KEYS_CANVAS, 'l', 0)->action, ACTION_MOVE);
    assert_int_equal(find(KEYS_TABLE, 'l', 0)->action, ACTION_CELL);
    assert_int_equal(find(KEYS_SETTINGS, 'k', 0)->action, ACTION_STEP_VALUE);
    for (key_context c = KEYS_CANVAS; c <= KEYS_SETTINGS; c++) {
        assert_int_equal(find(c, 'g', 0)->action, ACTION_GENERATE);
        assert_int_equal(find(c, 9, 0)->action, ACTION_PANE);
        assert_int_equal(find(c, 27, 0)->action, ACTION_BACK);
    }
    /* No command key works while text is typed. */
    assert_null(find(KEYS_TYPING, 'q', 0));
    assert_null(find(KEYS_TYPING, 'g', 0));
    assert_null(find(KEYS_QUESTION, 'g', 0));
}

static void escape_never_quits(void **state) {
    (void)state;
    for (key_context c = KEYS_ALL; c < KEYS_CONTEXTS; c++) {
        const key_binding *b = find(c, 27, 0);
        assert_non_null(b);
        assert_int_not_equal(b->action, ACTION_QUIT);
        assert_int_not_equal(b->action, ACTION_ANSWER_DISCARD);
        b = find(c, 3, 0); /* Ctrl-C neither */
        assert_true(!b || (b->action != ACTION_QUIT && b->action != ACTION_ANSWER_DISCARD));
    }
}

static void sequences(void **state) {
    (void)state;
    const key_binding *b = NULL;
    key_press d[2] = {{'d', 0}, {'d', 0}}, dx[2] = {{'d', 0}, {'x', 0}};
    assert_int_equal(keys_find(KEYS_CANVAS, d, 1, &b), KEY_PREFIX);
    assert_int_equal(keys_find(KEYS_CANVAS, d, 2, &b), KEY_MATCH);
    assert_int_equal(b->action, ACTION_DELETE);
    assert_int_equal(keys_find(KEYS_CANVAS, dx, 2, &b), KEY_NO_MATCH);
}

static void modifiers(void **state) {
    (void)state;
    assert_int_equal(find(KEYS_CANVAS, 0x12, 0)->action, ACTION_REDO);
    assert_int_equal(find(KEYS_CANVAS, K_LEFT, INPUT_SHIFT)->action, ACTION_RESIZE);
    assert_int_equal(find(KEYS_CANVAS, K_LEFT, INPUT_ALT)->x, -256);
    assert_int_equal(find(KEYS_CANVAS, 'h', INPUT_ALT)->x, -256);
    /* Some terminals report the shift of a capital letter, some do not. */
    assert_int_equal(find(KEYS_CANVAS, 'L', INPUT_SHIFT)->action, ACTION_RESIZE);
    assert_int_equal(find(KEYS_CANVAS, 'L', 0)->action, ACTION_RESIZE);
    assert_int_equal(find(KEYS_CANVAS, K_BACKTAB, 0)->x, -1);
    assert_null(find(KEYS_CANVAS, 'g', INPUT_ALT));
    assert_int_equal(find(KEYS_TYPING, K_LEFT, INPUT_CTRL)->action, ACTION_CURSOR_WORD);
    assert_int_equal(find(KEYS_TYPING, 127, INPUT_ALT)->action, ACTION_ERASE_WORD);
}

static void parsing(void **state) {
    (void)state;
    key_press press[2];
    assert_int_equal(keys_parse("Ctrl-R", 6, press), 1);
    assert_int_equal(press[0].key, 0x12);
    assert_int_equal(keys_parse("-", 1, press), 1);
    assert_int_equal(press[0].key, '-');
    assert_int_equal(keys_parse("Alt-Left", 8, press), 1);
    assert_true(press[0].key == K_LEFT && press[0].modifiers == INPUT_ALT);
    assert_int_equal(keys_parse("Nonsense", 8, press), 0);
    assert_int_equal(keys_parse("", 0, press), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_finds_its_row),
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(panes_come_before_everywhere),
        cmocka_unit_test(escape_never_quits),
        cmocka_unit_test(sequences),
        cmocka_unit_test(modifiers),
        cmocka_unit_test(parsing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
