/* json_out.c: texts and numbers as JSON. Commas and braces are the callers'. LC_NUMERIC is "C" in the whole program
 * (main sets LC_CTYPE only), so printf and strtod speak with a point. */
#include "json_out.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at `s`, its code point in *code; 0: none (overlong, surrogate, cut short). */
static int utf8_at(const unsigned char *s, uint32_t *code) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    int length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (!length) return 0;
    *code = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if (s[i] >> 6 != 2) return 0;
        *code = *code << 6 | (s[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

static void escaped(FILE *out, uint32_t code) {
    static const char letters[] = "\b\f\n\r\t\"\\", names[] = "bfnrt\"\\";
    const char *at = code < 0x80 && code ? strchr(letters, (int)code) : NULL;
    if (at)
        fprintf(out, "\\%c", names[at - letters]);
    else
        fprintf(out, "\\u%04x", (unsigned)code);
}

void json_text(FILE *out, const char *text) {
    if (!text) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        uint32_t code;
        int length = utf8_at(s, &code);
        bool control = length && (code < 0x20 || (code >= 0x7f && code < 0xa0));
        if (!length)
            fputs("\\ufffd", out);
        else if (control || code == '"' || code == '\\')
            escaped(out, code);
        else
            fwrite(s, 1, (size_t)length, out);
        s += length ? length : 1;
    }
    fputc('"', out);
}

void json_double(FILE *out, double value) {
    char text[40] = "null";
    for (int digits = 15; isfinite(value) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    fputs(text, out);
}

void json_float(FILE *out, float value) {
    char text[40] = "null";
    for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    fputs(text, out);
}
