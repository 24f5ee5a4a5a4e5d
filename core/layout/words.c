/* words.c: strip and replace. */
#include "words.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

/* Bytes of the white space character at p, 0 if it is none. Not white: U+200B, U+FEFF, U+180E. */
static size_t white_length(const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    if ((p[0] >= 0x09 && p[0] <= 0x0D) || (p[0] >= 0x1C && p[0] <= 0x20)) return 1;
    if (p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0)) return 2;
    if (p[0] < 0xE1 || p[0] > 0xE3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return 0;
    unsigned c = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    bool white = c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
                 c == 0x205F || c == 0x3000;
    return white ? 3 : 0;
}

char *cpl_strip(char *text) {
    char *start = text, *end = text;
    for (size_t n; (n = white_length(start)) > 0;) start += n;
    for (char *p = start; *p;) {
        size_t n = white_length(p);
        p += n ? n : 1;
        if (!n) end = p;
    }
    size_t length = end > start ? (size_t)(end - start) : 0;
    memmove(text, start, length);
    text[length] = '\0';
    return text;
}

unsigned cpl_control_in(const char *text) {
    for (const unsigned char *s = (const unsigned char *)text; s && *s; s++) {
        bool blank = (*s >= 0x09 && *s <= 0x0D) || (*s >= 0x1C && *s <= 0x1F);
        if ((*s < 0x20 && !blank) || *s == 0x7F) return *s;
        if (*s == 0xC2 && s[1] >= 0x80 && s[1] < 0xA0 && s[1] != 0x85) return s[1];
    }
    return 0;
}

bool cpl_is_blank(const char *text) {
    for (size_t n; (n = white_length(text)) > 0;) text += n;
    return !*text;
}

bool cpl_replace_all(char **text, const char *what, const char *with, cpl_error *error) {
    size_t old_length = strlen(what), new_length = strlen(with), count = 0;
    for (const char *p = *text; (p = strstr(p, what)); p += old_length) count++;
    if (!count) return true;
    size_t length = strlen(*text) - count * old_length + count * new_length;
    if (length > CPL_MAX_RESOLVED_BYTES)
        return cpl_fail(error, CPL_E_INPUT, "the common prompts grow the text beyond %d bytes; shorten a definition",
                        CPL_MAX_RESOLVED_BYTES);
    char *made = cpl_alloc(length + 1, 1, error), *to = made;
    if (!made) return false;
    const char *from = *text;
    for (const char *p; (p = strstr(from, what)); from = p + old_length) {
        memcpy(to, from, (size_t)(p - from));
        to = stpcpy(to + (p - from), with);
    }
    strcpy(to, from);
    free(*text);
    *text = made;
    return true;
}
