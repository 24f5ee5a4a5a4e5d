/* input_text.c: text that comes from outside: UTF-8 decoding, pasted text and term_safe. Decides which code points may
 * be stored or shown; nothing here depends on the locale. */
#include "input_private.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

int input_utf8_decode(const char *bytes, size_t count, uint32_t *code) {
    const unsigned char *b = (const unsigned char *)bytes;
    if (!count) return 0;
    *code = b[0];
    if (b[0] < 0x80) return 1;
    if (b[0] < 0xc2 || b[0] > 0xf4) return -1;
    int need = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    /* The first byte may narrow the second: overlong forms, surrogates, beyond U+10FFFF. */
    unsigned char low = b[0] == 0xe0 ? 0xa0 : b[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = b[0] == 0xed ? 0x9f : b[0] == 0xf4 ? 0x8f : 0xbf;
    *code = b[0] & (0x7fu >> need);
    for (int i = 1; i < need; i++) {
        if ((size_t)i >= count) return 0;
        if (b[i] < low || b[i] > high) return -i;
        *code = *code << 6 | (b[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    return need;
}

/* Lengths are known before the first copy; U+FFFD takes three bytes for at least one. */
char *input_paste_text(const char *bytes, size_t count) {
    char *text = malloc(count * 3 + 1);
    if (!text) return NULL;
    size_t used = 0;
    for (size_t i = 0; i < count;) {
        uint32_t code = 0;
        int taken = input_utf8_decode(bytes + i, count - i, &code);
        if (taken <= 0) {
            memcpy(text + used, "\xef\xbf\xbd", 3);
            used += 3;
            i += taken ? (size_t)-taken : count - i;
            continue;
        }
        if (code == '\r') {
            text[used++] = '\n';
            if (i + 1 < count && bytes[i + 1] == '\n') taken = 2;
        } else if (code == '\n' || code == '\t' || (code >= 0x20 && code < 0x7f) || code >= 0xa0) {
            memcpy(text + used, bytes + i, (size_t)taken);
            used += (size_t)taken;
        }
        i += (size_t)taken;
    }
    text[used] = 0;
    char *trimmed = realloc(text, used + 1);
    return trimmed ? trimmed : text;
}

/* Bidirectional overrides can make a line read as another one: they are shown as what they are. */
static bool reorders_text(uint32_t code) {
    return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

char *term_safe(const char *text) {
    size_t count = strlen(text), used = 0;
    char *safe = malloc(count + 1);
    if (!safe) return NULL;
    for (size_t i = 0; i < count;) {
        uint32_t code = 0;
        int taken = input_utf8_decode(text + i, count - i, &code);
        size_t step = taken > 0 ? (size_t)taken : taken < 0 ? (size_t)-taken : count - i;
        if (taken <= 0 || code < 0x20 || (code >= 0x7f && code < 0xa0) || reorders_text(code)) {
            safe[used++] = '?';
        } else {
            memcpy(safe + used, text + i, step);
            used += step;
        }
        i += step;
    }
    safe[used] = 0;
    return safe;
}
