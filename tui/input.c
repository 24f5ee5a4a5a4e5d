/* input.c: the state machine that cuts terminal bytes into events. It works byte by byte, so that how the bytes were
 * split into reads can make no difference. It owns the queue of bytes and the paste; it reads no descriptor and knows
 * no clock: who calls it says when the line is idle. What a control sequence means stands in input_csi.c. */
#include "input_private.h"

#include <stdlib.h>
#include <string.h>

enum { ESC = 0x1b, BEL = 0x07, CAN = 0x18, SUB = 0x1a, DEL = 0x7f };

typedef enum state {
    GROUND,
    UTF8,
    ESCAPE,
    ESCAPE_TWICE,
    CSI,
    CSI_LINUX,
    SS3,
    X10_MOUSE,
    STRING,
    STRING_ESCAPE,
    PASTE,
    STATES
} state;

struct input_parser {
    state state;
    bool alt;    /* an Esc stood before the sequence */
    bool lone;   /* Esc was told as a key just now, as the line was idle */
    char *queue; /* owned: bytes not looked at yet, [start, end) */
    size_t start, end, room;
    char sequence[INPUT_SEQUENCE_MAX];
    int length; /* of `sequence`; INPUT_SEQUENCE_MAX + 1: it was longer */
    char string_kind;
    size_t string_bytes;
    char *paste; /* owned */
    size_t paste_size, paste_room;
    int paste_matched;   /* bytes of PASTE_END seen */
    int pressed;         /* X10 reports do not say which button was released */
    input_event waiting; /* the second of two events that one byte completed */
    bool event_is_waiting;
};

/* What a step says about its byte. */
enum { TAKEN = 0, EMIT = 1, AGAIN = 2 };

static const char PASTE_END[] = "\033[201~";

input_parser *input_parser_new(void) { return calloc(1, sizeof(input_parser)); }

void input_parser_free(input_parser *parser) {
    if (!parser) return;
    input_event_clear(&parser->waiting);
    free(parser->queue);
    free(parser->paste);
    free(parser);
}

void input_event_clear(input_event *event) {
    free(event->text);
    *event = (input_event){0};
}

bool input_feed(input_parser *parser, const char *bytes, size_t count) {
    if (parser->start == parser->end) parser->start = parser->end = 0;
    if (parser->end + count > parser->room) {
        size_t room = (parser->end + count) * 2;
        char *grown = realloc(parser->queue, room);
        if (!grown) return false;
        parser->queue = grown;
        parser->room = room;
    }
    if (count) memcpy(parser->queue + parser->end, bytes, count);
    parser->end += count;
    return true;
}

static int emit_key(input_parser *p, input_event *event, uint32_t key) {
    input_key_set(event, key, p->alt ? INPUT_ALT : 0);
    p->state = GROUND;
    p->alt = false;
    return EMIT;
}

/* What follows ESC ESC is Alt with a key in rxvt, but it may also be the Esc key and then a report of the terminal:
 * only once the sequence is known to be a key is it clear which. */
static int emit_after_escape(input_parser *p, input_event *event) {
    bool alt = p->alt;
    p->state = GROUND;
    p->alt = false;
    if (!alt) return EMIT;
    if (event->type == INPUT_KEY) {
        event->modifiers |= INPUT_ALT;
        return EMIT;
    }
    p->waiting = *event;
    p->event_is_waiting = true;
    input_key_set(event, ESC, 0);
    return EMIT;
}

static int leave(input_parser *p, state next) {
    p->state = next;
    p->alt = false;
    return TAKEN;
}

static int step_ground(input_parser *p, unsigned char byte, input_event *event) {
    /* The rest of a sequence whose Esc came alone over a slow line: it comes in one piece, which no fingers do. */
    bool late = p->lone && byte == '[' && p->start + 1 < p->end;
    p->lone = false;
    if (late) {
        p->length = 0;
        p->state = CSI;
        return TAKEN;
    }
    if (byte == ESC) {
        p->state = ESCAPE;
        return TAKEN;
    }
    if (byte < 0x80) return emit_key(p, event, byte);
    p->state = UTF8;
    p->length = 0;
    return AGAIN;
}

static int step_utf8(input_parser *p, unsigned char byte, input_event *event) {
    uint32_t code = 0;
    p->sequence[p->length++] = (char)byte;
    int bytes = input_utf8_decode(p->sequence, (size_t)p->length, &code);
    if (bytes == 0) return TAKEN;
    if (bytes > 0 && code >= 0xa0) return emit_key(p, event, code);
    /* Not UTF-8, or a C1 control: dropped. A byte that broke a sequence begins something of its own. */
    bool broke = bytes < 0 && p->length > 1;
    leave(p, GROUND);
    return broke ? AGAIN : TAKEN;
}

static int step_escape(input_parser *p, unsigned char byte, input_event *event) {
    p->length = 0;
    switch (byte) {
    case ESC:
        p->state = ESCAPE_TWICE;
        return TAKEN;
    case '[':
        p->state = CSI;
        return TAKEN;
    case 'O':
        p->state = SS3;
        return TAKEN;
    case ']':
    case 'P':
    case '_':
    case '^':
    case 'X':
        p->state = STRING;
        p->string_kind = (char)byte;
        p->string_bytes = 0;
        return TAKEN;
    default:
        break;
    }
    p->alt = true;
    (void)event;
    p->state = GROUND;
    return AGAIN;
}

static int step_escape_twice(input_parser *p, unsigned char byte, input_event *event) {
    p->length = 0;
    if (byte == '[' || byte == 'O') {
        p->alt = true;
        p->state = byte == '[' ? CSI : SS3;
        return TAKEN;
    }
    input_key_set(event, ESC, 0);
    if (byte == ESC) return EMIT; /* one Esc is out, and again two are held */
    p->state = ESCAPE;
    return EMIT | AGAIN;
}

static bool only_digits(const input_parser *p) {
    for (int i = 0; i < p->length; i++)
        if (p->sequence[i] < '0' || p->sequence[i] > '9') return false;
    return p->length > 0 && p->length <= INPUT_SEQUENCE_MAX;
}

static int finish_csi(input_parser *p, char final, input_event *event) {
    csi_result result = CSI_NOTHING;
    if (p->length <= INPUT_SEQUENCE_MAX) result = input_csi_decode(p->sequence, p->length, final, event);
    if (result == CSI_EVENT) return emit_after_escape(p, event);
    if (result == CSI_NOTHING) return leave(p, GROUND);
    p->paste_size = 0;
    p->paste_matched = 0;
    bool alt = p->alt;
    leave(p, PASTE);
    if (alt) input_key_set(event, ESC, 0);
    return alt ? EMIT : TAKEN;
}

static int step_csi(input_parser *p, unsigned char byte, input_event *event) {
    if (byte == ESC) return leave(p, ESCAPE);
    if (byte < 0x20 || byte >= 0x80) { /* the sequence was cut; a control key stays a key */
        leave(p, GROUND);
        return AGAIN;
    }
    if (byte == DEL) return leave(p, GROUND);
    if (byte == '[' && p->length == 0) {
        p->state = CSI_LINUX;
        return TAKEN;
    }
    if (byte == 'M' && p->length == 0) {
        bool alt = p->alt;
        leave(p, X10_MOUSE);
        if (alt) input_key_set(event, ESC, 0);
        return alt ? EMIT : TAKEN;
    }
    /* rxvt ends shifted keys with '$', which everywhere else stands before a final byte. */
    if (byte >= 0x40 || (byte == '$' && only_digits(p))) return finish_csi(p, (char)byte, event);
    if (p->length < INPUT_SEQUENCE_MAX) {
        p->sequence[p->length++] = (char)byte;
    } else {
        p->length = INPUT_SEQUENCE_MAX + 1;
    }
    return TAKEN;
}

static int step_linux(input_parser *p, unsigned char byte, input_event *event) {
    if (byte == ESC) return leave(p, ESCAPE);
    if (input_linux_decode((char)byte, event)) return emit_after_escape(p, event);
    return leave(p, GROUND);
}

static int step_ss3(input_parser *p, unsigned char byte, input_event *event) {
    if (byte == ESC) return leave(p, ESCAPE);
    if (byte < 0x20 || byte >= 0x80) {
        leave(p, GROUND);
        return AGAIN;
    }
    if (byte >= '0' && byte <= '9' && p->length < 2) { /* old xterm: SS3 modifier final */
        p->sequence[p->length++] = (char)byte;
        return TAKEN;
    }
    if (!input_ss3_decode((char)byte, event)) return leave(p, GROUND);
    if (p->length == 1 && p->sequence[0] >= '2') {
        unsigned bits = (unsigned)(p->sequence[0] - '1');
        event->modifiers |= (bits & 7);
    }
    return emit_after_escape(p, event);
}

static int step_x10(input_parser *p, unsigned char byte, input_event *event) {
    p->sequence[p->length++] = (char)byte;
    if (p->length < 3) return TAKEN;
    int code = (unsigned char)p->sequence[0] - 32;
    int column = (unsigned char)p->sequence[1] - 33, row = (unsigned char)p->sequence[2] - 33;
    leave(p, GROUND);
    if (code < 0 || !input_mouse_decode(code, column, row, false, event)) return TAKEN;
    if (event->action == MOUSE_RELEASE) event->button = p->pressed ? p->pressed : 1;
    if (event->action == MOUSE_PRESS) p->pressed = event->button;
    return EMIT;
}

/* Of the strings only replies about colours mean anything; all others are swallowed. */
static int end_string(input_parser *p, input_event *event) {
    bool whole = p->string_kind == ']' && p->length <= INPUT_SEQUENCE_MAX;
    if (whole && input_osc_decode(p->sequence, p->length, event)) return emit_after_escape(p, event);
    return leave(p, GROUND);
}

static int step_string(input_parser *p, unsigned char byte, input_event *event) {
    if (byte == BEL) return end_string(p, event);
    if (byte == ESC) {
        p->state = STRING_ESCAPE;
        return TAKEN;
    }
    if (byte == CAN || byte == SUB || ++p->string_bytes > INPUT_STRING_MAX) return leave(p, GROUND);
    if (byte < 0x08 || (byte > 0x0d && byte < 0x20)) { /* no terminal sends these in a string: a key of a stuck user */
        leave(p, GROUND);
        return AGAIN;
    }
    if (p->length < INPUT_SEQUENCE_MAX)
        p->sequence[p->length++] = (char)byte;
    else
        p->length = INPUT_SEQUENCE_MAX + 1;
    return TAKEN;
}

static int step_string_escape(input_parser *p, unsigned char byte, input_event *event) {
    if (byte == '\\') return end_string(p, event);
    leave(p, ESCAPE);
    return AGAIN;
}

static void paste_append(input_parser *p, const char *bytes, size_t count) {
    if (p->paste_size + count > INPUT_PASTE_MAX) count = INPUT_PASTE_MAX - p->paste_size;
    if (p->paste_size + count > p->paste_room) {
        size_t room = p->paste_room ? p->paste_room * 2 : 4096;
        char *grown = realloc(p->paste, room);
        if (!grown) return;
        p->paste = grown;
        p->paste_room = room;
    }
    if (count) memcpy(p->paste + p->paste_size, bytes, count);
    p->paste_size += count;
}

static int step_paste(input_parser *p, unsigned char byte, input_event *event) {
    if (byte == (unsigned char)PASTE_END[p->paste_matched]) {
        if (PASTE_END[++p->paste_matched]) return TAKEN;
        leave(p, GROUND);
        *event = (input_event){.type = INPUT_PASTE, .text = input_paste_text(p->paste, p->paste_size)};
        free(p->paste);
        p->paste = NULL;
        p->paste_size = p->paste_room = 0;
        return event->text ? EMIT : TAKEN;
    }
    paste_append(p, PASTE_END, (size_t)p->paste_matched);
    p->paste_matched = byte == ESC; /* Esc stands only at the marker's start */
    if (byte != ESC) paste_append(p, (const char *)&byte, 1);
    return TAKEN;
}

typedef int step_fn(input_parser *parser, unsigned char byte, input_event *event);
static step_fn *const STEP[STATES] = {
    [GROUND] = step_ground,
    [UTF8] = step_utf8,
    [ESCAPE] = step_escape,
    [CSI] = step_csi,
    [CSI_LINUX] = step_linux,
    [ESCAPE_TWICE] = step_escape_twice,
    [SS3] = step_ss3,
    [X10_MOUSE] = step_x10,
    [STRING] = step_string,
    [PASTE] = step_paste,
    [STRING_ESCAPE] = step_string_escape,
};

/* The line is idle: what could be the start of a sequence was a key. A CSI is held on: its rest may be late on a slow
 * line, and letting that rest through as keys would do what nobody asked for. */
static bool flush(input_parser *p, input_event *event) {
    if (!input_pending(p)) return false;
    state was = p->state;
    leave(p, was == ESCAPE_TWICE ? ESCAPE : GROUND);
    if (was == ESCAPE || was == ESCAPE_TWICE) {
        p->lone = was == ESCAPE;
        input_key_set(event, ESC, 0);
    } else {
        input_key_set(event, was == SS3 ? 'O' : (unsigned char)p->string_kind, INPUT_ALT);
    }
    return true;
}

bool input_pending(const input_parser *p) {
    switch (p->state) {
    case ESCAPE:
    case ESCAPE_TWICE:
        return true;
    case SS3:
        return p->length == 0;
    case STRING:
        return p->string_bytes == 0;
    default:
        return false;
    }
}

bool input_next(input_parser *parser, bool idle, input_event *event) {
    *event = (input_event){0};
    if (parser->event_is_waiting) {
        *event = parser->waiting;
        parser->waiting = (input_event){0};
        parser->event_is_waiting = false;
        return true;
    }
    while (parser->start < parser->end) {
        int told = STEP[parser->state](parser, (unsigned char)parser->queue[parser->start], event);
        if (!(told & AGAIN)) parser->start++;
        if (told & EMIT) return true;
        *event = (input_event){0};
    }
    return idle && flush(parser, event);
}
