/* test_line_edit.c: typing with wide, combining and broken characters. */
#include "../../tui/line_edit.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static line_edit typed(const char *text) {
    line_edit edit = {0};
    assert_true(line_edit_start(&edit, text));
    return edit;
}

static void inserting_and_erasing(void **state) {
    (void)state;
    line_edit edit = typed("a cat");
    line_edit_move_end(&edit, -1);
    line_edit_move(&edit, 1);
    assert_true(line_edit_insert(&edit, " red"));
    assert_string_equal(edit.text, "a red cat");
    line_edit_erase(&edit, -1);
    assert_string_equal(edit.text, "a re cat");
    line_edit_erase(&edit, 1);
    assert_string_equal(edit.text, "a recat");
    line_edit_erase_line(&edit, 1);
    assert_string_equal(edit.text, "a re");
    line_edit_move_end(&edit, -1);
    line_edit_erase(&edit, -1); /* nothing before */
    line_edit_move(&edit, -1);
    assert_string_equal(edit.text, "a re");
    line_edit_move_end(&edit, 1);
    line_edit_erase(&edit, 1); /* nothing after */
    line_edit_erase_line(&edit, -1);
    assert_string_equal(edit.text, "");
    line_edit_clear(&edit);
}

static void words(void **state) {
    (void)state;
    line_edit edit = typed("a night  sky ");
    line_edit_move_word(&edit, -1);
    assert_int_equal(edit.cursor, 9);
    line_edit_move_word(&edit, -1);
    assert_int_equal(edit.cursor, 2);
    line_edit_move_word(&edit, 1);
    assert_int_equal(edit.cursor, 7);
    line_edit_erase_word(&edit);
    assert_string_equal(edit.text, "a   sky ");
    line_edit_clear(&edit);
}

static void characters_are_whole(void **state) {
    (void)state;
    /* u umlaut (2 bytes), kanji (3 bytes, 2 columns), e + combining acute, emoji (4 bytes, 2 columns) */
    line_edit edit = typed("\xc3\xbc\xe7\x8c\xab"
                           "e\xcc\x81\xf0\x9f\x90\xb1");
    assert_int_equal(text_columns(edit.text), 1 + 2 + 1 + 2);
    line_edit_erase(&edit, -1);
    assert_string_equal(edit.text, "\xc3\xbc\xe7\x8c\xab"
                                   "e\xcc\x81");
    line_edit_erase(&edit, -1); /* the mark goes with its letter */
    assert_string_equal(edit.text, "\xc3\xbc\xe7\x8c\xab");
    line_edit_move(&edit, -1);
    assert_int_equal(edit.cursor, 2);
    line_edit_clear(&edit);
}

#define WOMAN "\xf0\x9f\x91\xa9"
#define GIRL "\xf0\x9f\x91\xa7"
#define THUMB "\xf0\x9f\x91\x8d"
#define HEART "\xe2\x9d\xa4"
#define JOINER "\xe2\x80\x8d"
#define EMOJI_STYLE "\xef\xb8\x8f"

/* A family is as wide as one of it in some terminals, as all of them in others; all agree about the first. */
static void joined_emoji_are_one_character(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int columns;
        size_t drawn;
    } list[] = {
        {WOMAN JOINER WOMAN JOINER GIRL, 2, 4},
        {THUMB "\xf0\x9f\x8f\xbd", 2, 4}, /* of a skin tone */
        {HEART EMOJI_STYLE, 1, 3},        /* narrow where the style is not known */
        {HEART EMOJI_STYLE JOINER "\xf0\x9f\x94\xa5", 1, 3},
        {"1" EMOJI_STYLE "\xe2\x83\xa3", 1, 1},    /* a keycap */
        {"e\xcc\x81", 1, 3},                       /* a mark that every terminal combines */
        {"\xe0\xa4\x95\xe0\xa5\x8d" JOINER, 1, 9}, /* the joiner of a script is no emoji's */
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        int columns;
        assert_int_equal(text_next(list[i].text, &columns), strlen(list[i].text));
        assert_int_equal(columns, list[i].columns);
        assert_int_equal(text_drawn(list[i].text), list[i].drawn);
    }
    line_edit edit = typed("a" WOMAN JOINER GIRL "b" WOMAN JOINER "c");
    assert_int_equal(text_columns(edit.text), 1 + 2 + 1 + 2 + 1);
    line_edit_erase(&edit, -1);
    line_edit_erase(&edit, -1);
    line_edit_erase(&edit, -1);
    line_edit_erase(&edit, -1); /* the family goes as one */
    assert_string_equal(edit.text, "a");
    line_edit_clear(&edit);
}

static void what_never_gets_in(void **state) {
    (void)state;
    line_edit edit = typed("a\x1b[31m\nb\tc\x7f\xc2\x9b"
                           "d\xff\xc3");
    assert_string_equal(edit.text, "a[31m b cd");
    assert_true(line_edit_insert_key(&edit, 0x732b) && line_edit_insert_key(&edit, 0x1f431) &&
                line_edit_insert_key(&edit, 0xe9));
    assert_string_equal(edit.text, "a[31m b cd\xe7\x8c\xab\xf0\x9f\x90\xb1\xc3\xa9");
    line_edit_clear(&edit);
    edit = typed("\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80"); /* overlong, surrogate, beyond Unicode */
    assert_string_equal(edit.text, "");
    line_edit_clear(&edit);
}

static void fitting(void **state) {
    (void)state;
    int used;
    assert_int_equal(text_fit("cat", 2, &used), 2);
    assert_int_equal(used, 2);
    assert_int_equal(text_fit("\xe7\x8c\xab\xe7\x8c\xab", 3, &used), 3); /* half of a wide character never */
    assert_int_equal(used, 2);
    assert_int_equal(text_fit("e\xcc\x81x", 1, &used), 3);
    assert_int_equal(text_fit("abc", 0, &used), 0);
    assert_int_equal(text_fit("ab", 9, NULL), 2);
}

static void view_follows_the_cursor(void **state) {
    (void)state;
    line_edit edit = typed("0123456789");
    const char *visible;
    int lead;
    for (int columns = 1; columns < 14; columns++) {
        line_edit_move_end(&edit, 1);
        for (int i = 0; i < 30; i++) {
            int cursor = line_edit_view(&edit, columns, &visible, &lead);
            assert_true(cursor >= 0 && cursor < columns);
            assert_int_equal(visible - edit.text, edit.scroll);
            line_edit_move(&edit, i < 15 ? -1 : 1);
        }
    }
    line_edit_move_end(&edit, 1);
    assert_int_equal(line_edit_view(&edit, 5, &visible, &lead), 4);
    assert_string_equal(visible, "6789");
    line_edit_erase_word(&edit);
    assert_int_equal(line_edit_view(&edit, 5, &visible, &lead), 0);
    line_edit_clear(&edit);
    edit = typed("\xe7\x8c\xab"
                 "abcd"); /* the field begins in the middle of the wide character */
    assert_int_equal(line_edit_view(&edit, 6, &visible, &lead), 5);
    assert_string_equal(visible, "abcd");
    assert_int_equal(lead, 1);
    line_edit_clear(&edit);
}

static void long_text_is_wrapped_at_words(void **state) {
    (void)state;
    size_t starts[8];
    const char *text = "a cat and a dog under a blue sky";
    int column;
    assert_int_equal(text_wrap(text, 12, starts, 8), 3);
    assert_true(starts[1] == strlen("a cat and a ") && starts[2] == strlen("a cat and a dog under a "));
    assert_int_equal(text_row_of(text, starts, 3, starts[2] + 3, &column), 2);
    assert_int_equal(column, 3);
    /* Wide characters fill two columns, and a word longer than a row is cut. */
    assert_int_equal(text_wrap("日本語日本語", 7, starts, 8), 2);
    assert_int_equal(starts[1], 9);
    assert_int_equal(text_wrap("", 7, starts, 8), 1);
    assert_int_equal(text_wrap("🐻", 1, starts, 8), 1);
    /* The cursor goes straight up and down, and stays in the row where that is shorter. */
    line_edit edit = {0};
    line_edit_start(&edit, text);
    assert_false(line_edit_move_row(&edit, 12, 1));
    assert_true(line_edit_move_row(&edit, 12, -1));
    assert_int_equal(edit.cursor, strlen("a cat and a dog unde"));
    assert_true(line_edit_move_row(&edit, 12, -1));
    assert_int_equal(edit.cursor, strlen("a cat an"));
    assert_false(line_edit_move_row(&edit, 12, -1));
    line_edit_clear(&edit);
}

int main(void) {
    if (!setlocale(LC_CTYPE, "C.UTF-8")) return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserting_and_erasing),   cmocka_unit_test(words),
        cmocka_unit_test(characters_are_whole),    cmocka_unit_test(joined_emoji_are_one_character),
        cmocka_unit_test(what_never_gets_in),      cmocka_unit_test(fitting),
        cmocka_unit_test(view_follows_the_cursor), cmocka_unit_test(long_text_is_wrapped_at_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
