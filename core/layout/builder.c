/* builder.c: growing text, and JSON's spelling of strings and numbers. */
#include "builder.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"

void cpl_builder_bytes(cpl_builder *b, const char *bytes, size_t size) {
    if (b->failed) return;
    if (size > (size_t)(INT_MAX - 1 - b->length)) {
        b->failed = !cpl_fail(b->error, CPL_E_MEMORY, "a text became larger than 2 GiB");
        return;
    }
    b->failed = !cpl_grow((void **)&b->text, &b->room, b->length + (int)size + 1, 1, b->error);
    if (b->failed) return;
    memcpy(b->text + b->length, bytes, size);
    b->length += (int)size;
    b->text[b->length] = '\0';
}

void cpl_builder_text(cpl_builder *b, const char *text) { cpl_builder_bytes(b, text, strlen(text)); }

void cpl_builder_format(cpl_builder *b, const char *format, ...) {
    char small[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (length < 0 || length >= (int)sizeof small) { /* callers add long texts by cpl_builder_text */
        b->failed = !cpl_fail(b->error, CPL_E_MEMORY, "a formatted text is too long");
        return;
    }
    cpl_builder_bytes(b, small, (size_t)length);
}

void cpl_builder_number(cpl_builder *b, double value) {
    char text[CPL_NUMBER_SIZE];
    cpl_number_print(value, text);
    cpl_builder_text(b, text);
}

/* Control characters are escaped, the C1 ones (C2 80..9F) too: some terminals obey them when a file is shown. */
void cpl_builder_quoted(cpl_builder *b, const char *utf8) {
    static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const unsigned char *p = (const unsigned char *)utf8;
    cpl_builder_text(b, "\"");
    for (; *p; p++) {
        const unsigned char *start = p;
        while (*p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7F && !(p[0] == 0xC2 && p[1] < 0xA0)) p++;
        cpl_builder_bytes(b, (const char *)start, (size_t)(p - start));
        if (!*p) break;
        const char *at = strchr(special, *p);
        if (at)
            cpl_builder_format(b, "\\%c", letter[at - special]);
        else if (*p == 0xC2 && (p[1] & 0xC0) == 0x80)
            cpl_builder_format(b, "\\u%04x", *++p);
        else if (*p == 0xC2)
            cpl_builder_bytes(b, (const char *)p, 1);
        else
            cpl_builder_format(b, "\\u%04x", *p);
    }
    cpl_builder_text(b, "\"");
}

char *cpl_builder_take(cpl_builder *b) {
    char *text = b->text;
    if (b->failed) {
        free(text);
        text = NULL;
    }
    *b = (cpl_builder){.error = b->error};
    return text;
}
