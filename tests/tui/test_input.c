/* The parser of terminal bytes: keys of several terminals, mouse, paste, replies, and that neither splits nor rubbish
 * can make it tell something that was not sent. */
#include "../../tui/input.h"
#include "../../tui/term.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One event as text, so that sequences of events can be compared at a glance. */
static void describe(const input_event *event, char *out, size_t size) {
    static const char *const ACTION[] = {"press", "release", "drag", "up", "down"};
    char name[32] = "";
    int used = 0;
    switch (event->type) {
    case INPUT_KEY:
        input_key_name(event->key, event->modifiers, name, sizeof name);
        snprintf(out, size, "%s ", name);
        break;
    case INPUT_MOUSE:
        snprintf(out, size, "%s%d@%d,%d+%u ", ACTION[event->action], event->button, event->column, event->row,
                 event->modifiers);
        break;
    case INPUT_PASTE:
        snprintf(out, size, "paste<%s> ", event->text);
        break;
    case INPUT_FOCUS:
        snprintf(out, size, "focus%d ", event->focused);
        break;
    case INPUT_REPLY:
        used = snprintf(out, size, "reply%.1s%c", event->reply_prefix ? &event->reply_prefix : "", event->reply_kind);
        for (int i = 0; i < event->values && (size_t)used < size; i++)
            used += snprintf(out + used, size - (size_t)used, "%s%d", i ? "," : ":", event->value[i]);
        if ((size_t)used < size) snprintf(out + used, size - (size_t)used, " ");
        break;
    case INPUT_NONE:
        snprintf(out, size, "none ");
        break;
    }
}

static void drain(input_parser *parser, bool idle, char *out, size_t size) {
    input_event event;
    while (input_next(parser, idle, &event)) {
        size_t used = strlen(out);
        describe(&event, out + used, size - used);
        input_event_clear(&event);
    }
}

/* Bytes of a stream: no NUL goes with them. */
static size_t put(char *to, const char *piece) {
    size_t count = strlen(piece);
    for (size_t i = 0; i < count; i++) to[i] = piece[i];
    return count;
}

static void expect(const char *bytes, size_t count, bool idle, const char *events) {
    char out[4096] = "";
    input_parser *parser = input_parser_new();
    assert_non_null(parser);
    assert_true(input_feed(parser, bytes, count));
    drain(parser, idle, out, sizeof out);
    assert_string_equal(out, events);
    input_parser_free(parser);
}
#define SAYS(bytes, events) expect(bytes, sizeof(bytes) - 1, true, events)

static void plain_keys(void **state) {
    (void)state;
    SAYS("g", "g ");
    SAYS("\x12\r\t\x7f\x08 \x1a", "Ctrl-R Enter Tab Backspace Backspace Space Ctrl-Z ");
    SAYS("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 ");
    SAYS("a\xff\xc3(\xe2\x82z\xed\xa0\x80q\xc2\x9b", "a ( z q "); /* not UTF-8, surrogate, C1 */
    expect("\0", 1, true, "Ctrl-Space ");
}

static void escape_and_alt(void **state) {
    (void)state;
    SAYS("\033", "Esc ");
    SAYS("\033\033", "Esc Esc ");
    SAYS("\033x", "Alt-x ");
    SAYS("\033\033x", "Esc Alt-x ");
    SAYS("\033\r", "Alt-Enter ");
    SAYS("\033\xc3\xa4", "Alt-\xc3\xa4 ");
    SAYS("\033O", "Alt-O ");
    SAYS("\033P", "Alt-P ");
    expect("\033", 1, false, "");
    SAYS("\033\033[A", "Alt-Up ");
    SAYS("\033\033[?1;2c", "Esc reply?c:1,2 "); /* the Esc key, then a late reply */
    SAYS("\033\033[<0;5;6M", "Esc press1@4,5+0 ");
}

/* Over a slow line the Esc of a sequence may come alone and be taken for the key: the rest of it must not be keys. */
static void late_rest_of_a_sequence(void **state) {
    (void)state;
    static const char *const rest[][2] = {{"[C", "Right "},
                                          {"[H", "Home "},
                                          {"[5~", "PageUp "},
                                          {"[1;2D", "Shift-Left "},
                                          {"[<0;5;6M", "press1@4,5+0 "},
                                          {"[I", "focus1 "},
                                          {"[", "[ "},
                                          {"O", "O "},
                                          {"l", "l "}};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        char out[256] = "", wanted[256];
        input_parser *parser = input_parser_new();
        assert_non_null(parser);
        assert_true(input_feed(parser, "\033", 1));
        drain(parser, true, out, sizeof out);
        assert_true(input_feed(parser, rest[i][0], strlen(rest[i][0])));
        drain(parser, true, out, sizeof out);
        snprintf(wanted, sizeof wanted, "Esc %s", rest[i][1]);
        assert_string_equal(out, wanted);
        input_parser_free(parser);
    }
}

static void keys_of_terminals(void **state) {
    (void)state;
    SAYS("\033[A\033OB\033[C\033OD\033[H\033OF", "Up Down Right Left Home End ");
    SAYS("\033[1;5A\033[1;2D\033[1;3C\033[1;8B", "Ctrl-Up Shift-Left Alt-Right Ctrl-Alt-Shift-Down ");
    SAYS("\033OP\033OQ\033OR\033OS\033[15~\033[24~", "F1 F2 F3 F4 F5 F12 ");
    SAYS("\033[11~\033[7~\033[8~\033[a\033Od\033[5$\033[6^\033[3@",
         "F1 Home End Shift-Up Ctrl-Left Shift-PageUp Ctrl-PageDown Ctrl-Shift-Delete "); /* rxvt */
    SAYS("\033[[A\033[[E\033[1~\033[4~", "F1 F5 Home End ");                              /* linux */
    SAYS("\033[Z\033[1;2P\033[5;3~\033[3;5~", "Shift-Tab Shift-F1 Alt-PageUp Ctrl-Delete ");
    SAYS("\033[114;5u\033[27;5;13~\033[9;2u\033[97;3u", "Ctrl-R Ctrl-Enter Shift-Tab Alt-a ");
    SAYS("\033OM\033Oq", "Enter 1 ");
    SAYS("\033[1;2R\033[2;1R\033[1;1R\033[R", "Shift-F3 replyR:2,1 replyR:1,1 F3 ");
}

static void mouse_and_focus(void **state) {
    (void)state;
    SAYS("\033[<0;1;1M\033[<32;10;5M\033[<0;10;5m", "press1@0,0+0 drag1@9,4+0 release1@9,4+0 ");
    SAYS("\033[<2;300;200M\033[<20;3;4M", "press3@299,199+0 press1@2,3+5 ");
    SAYS("\033[<64;2;2M\033[<65;2;2M\033[<66;2;2M\033[<35;2;2M", "up0@1,1+0 down0@1,1+0 ");
    SAYS("\033[M !!\033[M@%&\033[M#%&", "press1@0,0+0 drag1@4,5+0 release1@4,5+0 ");
    SAYS("\033[32;3;4M\033[<0;0;4M", "press1@2,3+0 ");
    SAYS("\033[I\033[O", "focus1 focus0 ");
}

static void pastes(void **state) {
    (void)state;
    SAYS("\033[200~a red\r\napple\tx\033[31m\x07\033[201~q", "paste<a red\napple\tx[31m> q ");
    SAYS("\033[200~\033[20\xc2\x9b\xff\033[201~", "paste<[20\xef\xbf\xbd> ");
    SAYS("\033[200~\033[201~", "paste<> ");
    SAYS("\033[201~", "");

    size_t big = 3u << 20;
    char *bytes = malloc(big);
    assert_non_null(bytes);
    memset(bytes, 'x', big);
    put(bytes, "\033[200~");
    put(bytes + big - 7, "\033[201~k");
    input_parser *parser = input_parser_new();
    input_event event;
    assert_true(input_feed(parser, bytes, big));
    assert_true(input_next(parser, false, &event));
    assert_int_equal(event.type, INPUT_PASTE);
    assert_int_equal(strlen(event.text), 1 << 20);
    input_event_clear(&event);
    assert_true(input_next(parser, false, &event));
    assert_int_equal(event.key, 'k');
    input_parser_free(parser);
    free(bytes);
}

static void replies(void **state) {
    (void)state;
    SAYS("\033[?63;1;2;4;6c", "reply?c:63,1,2,4,6 ");
    SAYS("\033[6;18;9t\033[4;432;720t", "replyt:6,18,9 replyt:4,432,720 ");
    SAYS("\033[?1;0;256S\033[?2026;2$y\033[?5;6R", "reply?S:1,0,256 reply?y:2026,2 reply?R:5,6 ");
    SAYS("\033[?1;;3S", "reply?S:1,-1,3 ");
    SAYS("\033[?99999999999999999999;1c", "reply?c:9999999,1 ");
}

/* Nothing of what is not understood may come out as keys. */
static void unknown_is_swallowed(void **state) {
    (void)state;
    SAYS("\033[>41;379;0c\033[0n\033[?997;1n\033[12;3;4;5x\033[ q\033[!p\033[?1u", "");
    SAYS("\033]11;rgb:0000/0000/0000\033\\a\033]0;title\x07z", "reply]:11,0,0,0 a z ");
    SAYS("\033]11;rgb:ffff/8080/00ff\007a", "reply]:11,255,128,1 a ");
    SAYS("\033]11;rgba:ff/F/000/ffff\033\\a", "reply]:11,255,255,0 a ");
    SAYS("\033]11;rgb:ff/ff\033\\\033]11;rgb:ff/xx/ff\007\033]10;rgb:ff/ff/ff\007\033]11;?\007a", "a ");
    SAYS("\033P1$r0m\033\\\033_Gi=1;OK\033\\\033^x\033\\\033Xy\033\\k", "k ");
    SAYS("\033P>|xterm(379)\033[Ag", "Up g "); /* a string cut off by the next sequence */
    SAYS("\033]52;c;\x03", "Ctrl-C ");         /* a string that never ends: a control key gets out */
    SAYS("\033[12;\033[A", "Up ");
    SAYS("\033[12;\r", "Enter ");
    SAYS("\033[3;4", "");
    SAYS("\033[", "");
    SAYS("\033[200;1;2z\033[25~\033[<0;1M\033[;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;q", "");

    char bytes[4000] = "\033[";
    memset(bytes + 2, '7', 3000);
    put(bytes + 3002, "mk");
    expect(bytes, 3004, true, "k ");
    static char string[70000] = "\033]";
    memset(string + 2, 'x', sizeof string - 2);
    input_parser *parser = input_parser_new();
    input_event event;
    assert_true(input_feed(parser, string, sizeof string));
    int keys = 0;
    while (input_next(parser, true, &event)) keys += event.type == INPUT_KEY;
    assert_true(keys > 0 && keys < 70000 - 65536); /* given up in the end, not before */
    input_parser_free(parser);
}

static uint32_t seed = 12345;
static uint32_t next_random(void) { return seed = seed * 1664525u + 1013904223u, seed >> 8; }

static size_t random_bytes(char *bytes, size_t room) {
    static const char *const PIECE[] = {"\033[",    "\033",  "\033O", "[<0;",   "\033[200~", "\033[201~", ";",    "$",
                                        "\033[M",   "\033P", "\033]", "\033\\", "1;5",       "c",         "R",    "M",
                                        "\xe2\x82", "\xc3",  "m",     "\r",     "?2026;2$y", "\033\033[", "\x07", "t"};
    size_t count = 0;
    while (count + 16 < room) {
        uint32_t dice = next_random() % 4;
        if (dice == 0) {
            bytes[count++] = (char)next_random();
        } else {
            count += put(bytes + count, PIECE[next_random() % (sizeof PIECE / sizeof PIECE[0])]);
        }
    }
    return count;
}

static void splits_make_no_difference(void **state) {
    (void)state;
    static char whole[1 << 16], split[1 << 16];
    size_t told = 0;
    for (int round = 0; round < 2000; round++) {
        char bytes[400];
        size_t count = random_bytes(bytes, sizeof bytes);
        whole[0] = split[0] = 0;
        input_parser *a = input_parser_new(), *b = input_parser_new();
        input_feed(a, bytes, count);
        drain(a, false, whole, sizeof whole);
        for (size_t i = 0; i < count;) {
            size_t part = 1 + next_random() % 7;
            if (part > count - i) part = count - i;
            input_feed(b, bytes + i, part);
            i += part;
            drain(b, false, split, sizeof split);
        }
        assert_string_equal(whole, split);
        drain(a, true, whole, sizeof whole);
        told += strlen(whole);
        assert_false(input_pending(a));
        input_parser_free(a);
        input_parser_free(b);
    }
    assert_true(told > 100000);
}

static void safe_text(void **state) {
    (void)state;
    struct {
        const char *in, *out;
    } cases[] = {{"plain", "plain"},
                 {"a\033[31mb\n\x7f", "a?[31mb??"},
                 {"\xc2\x9b"
                  "2J\xff\xe2\x82",
                  "?2J??"},
                 {"\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac"},
                 {"x\xe2\x80\xaey", "x?y"},
                 {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *safe = term_safe(cases[i].in);
        assert_string_equal(safe, cases[i].out);
        free(safe);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_keys),
        cmocka_unit_test(escape_and_alt),
        cmocka_unit_test(keys_of_terminals),
        cmocka_unit_test(late_rest_of_a_sequence),
        cmocka_unit_test(mouse_and_focus),
        cmocka_unit_test(pastes),
        cmocka_unit_test(replies),
        cmocka_unit_test(unknown_is_swallowed),
        cmocka_unit_test(splits_make_no_difference),
        cmocka_unit_test(safe_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
