/* input_csi.c: what control sequences from a terminal mean: keys with modifiers (xterm, rxvt, linux console, tmux,
 * modifyOtherKeys and CSI u), mouse and focus reports, and replies to queries. Holds no state. */
#include "input_private.h"

#include <string.h>

typedef struct csi {
    char prefix, intermediate, final;
    int value[16], values;
} csi;

typedef struct key_code {
    int code;
    uint32_t key;
} key_code;

static const key_code BY_LETTER[] = {
    {'A', K_UP}, {'B', K_DOWN}, {'C', K_RIGHT}, {'D', K_LEFT}, {'H', K_HOME},    {'F', K_END},
    {'P', K_F1}, {'Q', K_F2},   {'R', K_F3},    {'S', K_F4},   {'Z', K_BACKTAB},
};
static const key_code BY_NUMBER[] = {
    {1, K_HOME}, {2, K_INSERT}, {3, K_DELETE}, {4, K_END},  {5, K_PAGE_UP}, {6, K_PAGE_DOWN}, {7, K_HOME},
    {8, K_END},  {11, K_F1},    {12, K_F2},    {13, K_F3},  {14, K_F4},     {15, K_F5},       {17, K_F6},
    {18, K_F7},  {19, K_F8},    {20, K_F9},    {21, K_F10}, {23, K_F11},    {24, K_F12},
};
static const key_code BY_SS3[] = {
    /* the keypad in application mode sends the second half */
    {'A', K_UP}, {'B', K_DOWN}, {'C', K_RIGHT}, {'D', K_LEFT}, {'H', K_HOME}, {'F', K_END}, {'P', K_F1}, {'Q', K_F2},
    {'R', K_F3}, {'S', K_F4},   {'M', 13},      {'I', 9},      {'X', '='},    {'j', '*'},   {'k', '+'},  {'l', ','},
    {'m', '-'},  {'n', '.'},    {'o', '/'},     {'p', '0'},    {'q', '1'},    {'r', '2'},   {'s', '3'},  {'t', '4'},
    {'u', '5'},  {'v', '6'},    {'w', '7'},     {'x', '8'},    {'y', '9'},
};
static const key_code RXVT_ARROWS[] = {{'a', K_UP}, {'b', K_DOWN}, {'c', K_RIGHT}, {'d', K_LEFT}};

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

static uint32_t find(const key_code *table, int count, int code) {
    for (int i = 0; i < count; i++)
        if (table[i].code == code) return table[i].key;
    return 0;
}

void input_key_set(input_event *event, uint32_t key, unsigned modifiers) {
    if (key == 8) key = 127; /* terminals disagree about which of the two Backspace is */
    *event = (input_event){.type = INPUT_KEY, .key = key, .modifiers = modifiers};
}

/* xterm: 1 + a bit mask of shift, alt, control, meta. */
static unsigned modifiers_of(int value) {
    if (value < 2 || value > 16) return 0;
    unsigned bits = (unsigned)(value - 1), modifiers = bits & (INPUT_SHIFT | INPUT_ALT | INPUT_CTRL);
    return bits & 8 ? modifiers | INPUT_ALT : modifiers;
}

static bool parse(const char *sequence, int length, char final, csi *out) {
    *out = (csi){.final = final};
    int i = 0;
    if (length && strchr("<=>?", sequence[0])) out->prefix = sequence[i++];
    int value = -1;
    bool sub = false, any = i < length;
    for (; i < length && (unsigned char)sequence[i] >= '0'; i++) {
        char c = sequence[i];
        if (c > ';') return false; /* a prefix character in the middle */
        if (c == ';') {
            if (out->values < 16) out->value[out->values++] = value;
            value = -1;
            sub = false;
        } else if (c == ':') {
            sub = true; /* sub-parameters refine what we do not use */
        } else if (!sub && value < 1000000) {
            value = (value < 0 ? 0 : value) * 10 + (c - '0');
        }
    }
    bool only_intermediates = any && (unsigned char)sequence[out->prefix ? 1 : 0] < '0';
    if (any && !only_intermediates && out->values < 16) out->value[out->values++] = value;
    if (i < length) out->intermediate = sequence[i++];
    return i == length;
}

static csi_result key(input_event *event, uint32_t code, unsigned modifiers) {
    if (!code) return CSI_NOTHING;
    input_key_set(event, code, modifiers);
    return CSI_EVENT;
}

/* CSI u and modifyOtherKeys tell the key and its modifiers apart; here Ctrl-R is one code, as in plain input. */
static csi_result key_with_code(input_event *event, int code, unsigned modifiers) {
    if (code < 0 || code > 0x10ffff || (code >= 0x7f && code < 0xa0 && code != 127)) return CSI_NOTHING;
    bool letter = (code >= '@' && code <= '_') || (code >= 'a' && code <= 'z');
    if (letter && (modifiers & INPUT_CTRL)) {
        code &= 0x1f;
        modifiers &= ~(unsigned)INPUT_CTRL;
        if (code == 8 || code == 9 || code == 13 || code == 27) modifiers |= INPUT_CTRL;
    }
    if (code == 9 && (modifiers & INPUT_SHIFT)) return key(event, K_BACKTAB, modifiers & ~(unsigned)INPUT_SHIFT);
    if (code > 32 && code < 127) modifiers &= ~(unsigned)INPUT_SHIFT; /* the character says it */
    input_key_set(event, (uint32_t)code, modifiers);
    return CSI_EVENT;
}

bool input_mouse_decode(int code, int column, int row, bool released, input_event *event) {
    enum { MOTION = 32, WHEEL = 64, EXTRA = 128 };
    int button = code & 3;
    if (column < 0 || row < 0 || (code & EXTRA)) return false;
    *event = (input_event){.type = INPUT_MOUSE, .column = column, .row = row};
    event->modifiers = (code & 4 ? INPUT_SHIFT : 0u) | (code & 8 ? INPUT_ALT : 0u) | (code & 16 ? INPUT_CTRL : 0u);
    if (code & WHEEL) {
        if (button > 1 || released) return false;
        event->action = button ? MOUSE_WHEEL_DOWN : MOUSE_WHEEL_UP;
        return true;
    }
    if (code & MOTION) {
        if (button == 3) return false;
        event->action = MOUSE_DRAG;
    } else {
        event->action = released || button == 3 ? MOUSE_RELEASE : MOUSE_PRESS;
    }
    event->button = button == 3 ? 0 : button + 1;
    return true;
}

static csi_result mouse(const csi *c, input_event *event) {
    if (c->values < 3 || c->value[0] < 0) return CSI_NOTHING;
    /* 1006 has a prefix and an 'm' for release; 1015 (rxvt) has neither and adds 32 as X10 does. */
    int code = c->prefix ? c->value[0] : c->value[0] - 32;
    if (code < 0 || !input_mouse_decode(code, c->value[1] - 1, c->value[2] - 1, c->final == 'm', event))
        return CSI_NOTHING;
    if (event->action == MOUSE_RELEASE && !event->button) event->button = 1;
    return CSI_EVENT;
}

static csi_result reply(const csi *c, input_event *event) {
    *event = (input_event){.type = INPUT_REPLY, .reply_kind = c->final, .reply_prefix = c->prefix, .values = c->values};
    for (int i = 0; i < 16; i++) event->value[i] = i < c->values ? c->value[i] : -1;
    return CSI_EVENT;
}

static bool is_reply(const csi *c) {
    if (c->intermediate == '$') return c->final == 'y' && (c->prefix == '?' || !c->prefix);
    if (c->intermediate) return false;
    if (c->prefix == '?') return strchr("cSR", c->final) != NULL;
    if (c->prefix) return false;
    if (c->final == 't') return c->values > 0;
    /* CSI 1;2 R may be Shift-F3 or the cursor in row 1: queries are sent with the cursor in another row. */
    return c->final == 'R' && c->values == 2 && c->value[1] > 0 && (c->value[0] > 1 || modifiers_of(c->value[1]) == 0);
}

static csi_result tilde_key(const csi *c, input_event *event) {
    if (c->values < 1) return CSI_NOTHING;
    if (c->value[0] == 200) return CSI_PASTE;
    if (c->value[0] == 27 && c->values >= 3) return key_with_code(event, c->value[2], modifiers_of(c->value[1]));
    unsigned modifiers = modifiers_of(c->values > 1 ? c->value[1] : -1);
    if (c->final == '^' || c->final == '@') modifiers |= INPUT_CTRL;
    if (c->final == '$' || c->final == '@') modifiers |= INPUT_SHIFT;
    return key(event, find(BY_NUMBER, COUNT(BY_NUMBER), c->value[0]), modifiers);
}

csi_result input_csi_decode(const char *sequence, int length, char final, input_event *event) {
    csi c;
    if (!parse(sequence, length, final, &c)) return CSI_NOTHING;
    if (is_reply(&c)) return reply(&c, event);
    if (c.intermediate) return CSI_NOTHING;
    if ((final == 'M' || final == 'm') && (c.prefix == '<' || (!c.prefix && final == 'M'))) return mouse(&c, event);
    if (c.prefix) return CSI_NOTHING;
    if (length == 0 && (final == 'I' || final == 'O')) {
        *event = (input_event){.type = INPUT_FOCUS, .focused = final == 'I'};
        return CSI_EVENT;
    }
    unsigned modifiers = modifiers_of(c.values > 1 ? c.value[1] : -1);
    if (strchr("~^$@", final)) return tilde_key(&c, event);
    if (final == 'u' && c.values > 0) return key_with_code(event, c.value[0], modifiers);
    uint32_t arrow = find(RXVT_ARROWS, COUNT(RXVT_ARROWS), final);
    if (arrow && !c.values) return key(event, arrow, INPUT_SHIFT);
    return key(event, find(BY_LETTER, COUNT(BY_LETTER), final), modifiers);
}

/* One to four hexadecimal digits are a part of all that there is: "f" and "ffff" are the same. */
static bool color_part(const char **at, const char *end, int *value) {
    static const int most[] = {1, 15, 255, 4095, 65535};
    int number = 0, digits = 0;
    for (; *at < end && digits < 4 && **at > ' '; (*at)++, digits++) {
        char c = **at;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) break;
        number = 16 * number + digit;
    }
    *value = (number * 255 + most[digits] / 2) / most[digits];
    return digits > 0;
}

/* "11;rgb:ffff/ffff/ffff", or with "rgba:" and a fourth part: the terminal's background. */
bool input_osc_decode(const char *string, int length, input_event *event) {
    const char *at = string, *end = string + length;
    int value[3];
    if (length < 12 || strncmp(at, "11;rgb", 6) != 0) return false;
    at += 6;
    if (*at == 'a') at++;
    for (int i = 0; i < 3; i++) {
        if (at >= end || *at++ != (i ? '/' : ':') || !color_part(&at, end, &value[i])) return false;
    }
    *event =
        (input_event){.type = INPUT_REPLY, .reply_kind = ']', .values = 4, .value = {11, value[0], value[1], value[2]}};
    for (int i = 4; i < 16; i++) event->value[i] = -1;
    return true;
}

bool input_ss3_decode(char final, input_event *event) {
    uint32_t arrow = find(RXVT_ARROWS, COUNT(RXVT_ARROWS), final);
    if (arrow) return key(event, arrow, INPUT_CTRL) == CSI_EVENT;
    return key(event, find(BY_SS3, COUNT(BY_SS3), final), 0) == CSI_EVENT;
}

bool input_linux_decode(char final, input_event *event) {
    if (final < 'A' || final > 'E') return false;
    input_key_set(event, (uint32_t)(K_F1 + (final - 'A')), 0);
    return true;
}
