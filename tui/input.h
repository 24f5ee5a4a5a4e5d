/* input.h: bytes from the terminal to events. The parser is pure (bytes in, events out) so that it can be tested and
 * fuzzed; ncurses never reads. Replies to queries are recognised for the whole session and never become keys. */
#ifndef TUI_INPUT_H
#define TUI_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum input_type { INPUT_NONE, INPUT_KEY, INPUT_MOUSE, INPUT_PASTE, INPUT_FOCUS, INPUT_REPLY } input_type;

/* Keys are Unicode code points; what has none stands above them. Ctrl-R is 0x12, Enter 13, Tab 9, Esc 27, Backspace 127. */
enum {
    KEY_BASE_ = 0x110000,
    K_UP,
    K_DOWN,
    K_LEFT,
    K_RIGHT,
    K_HOME,
    K_END,
    K_PAGE_UP,
    K_PAGE_DOWN,
    K_INSERT,
    K_DELETE,
    K_BACKTAB,
    K_F1,
    K_F2,
    K_F3,
    K_F4,
    K_F5,
    K_F6,
    K_F7,
    K_F8,
    K_F9,
    K_F10,
    K_F11,
    K_F12
};
enum { INPUT_SHIFT = 1, INPUT_ALT = 2, INPUT_CTRL = 4 };

typedef enum mouse_action { MOUSE_PRESS, MOUSE_RELEASE, MOUSE_DRAG, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN } mouse_action;

typedef struct input_event {
    input_type type;
    uint32_t key;
    unsigned modifiers;
    mouse_action action;
    int button;      /* 1 left, 2 middle, 3 right */
    int column, row; /* cells from 0 */
    bool focused;
    char *text;            /* PASTE: UTF-8, owned; control characters other than newline and tab are gone */
    char reply_kind;       /* REPLY: final byte: 'c' DA1, 't' window, 'S' graphics, 'y' mode, 'R' cursor;
                            ']' a colour: its number and red, green, blue of 255 */
    char reply_prefix;     /* '?' or 0 */
    int value[16], values; /* REPLY: its numbers, missing ones -1 */
} input_event;

typedef struct input_parser input_parser;
input_parser *input_parser_new(void);
void input_parser_free(input_parser *parser);
bool input_feed(input_parser *parser, const char *bytes, size_t count);
/* The next whole event. `idle`: no byte came for the Esc time-out (25 ms), so a lone Esc is the Esc key. */
bool input_next(input_parser *parser, bool idle, input_event *event);
bool input_pending(const input_parser *parser); /* part of an event waits: poll with the Esc time-out */
void input_event_clear(input_event *event);
/* "g", "Ctrl-R", "Enter", "Left": for the help screen. */
void input_key_name(uint32_t key, unsigned modifiers, char *name, size_t size);

/* Decodes one UTF-8 code point. > 0: its bytes; 0: cut short, more are needed; < 0: that many bytes are not UTF-8
 * (overlong forms, surrogates and what lies above U+10FFFF included). */
int input_utf8_decode(const char *bytes, size_t count, uint32_t *code);

/* Bytes from outside, such as pasted ones, as text that may be kept: CR and CRLF become a newline, other controls but tabs
 * go, what is not UTF-8 becomes U+FFFD. NULL: no memory. */
char *input_paste_text(const char *bytes, size_t count);

#endif
