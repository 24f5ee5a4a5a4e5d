/* error.c: fills cpl_error. It never prints. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Messages quote file names and prompts; whoever prints one must not be made to send escape sequences. C1 controls
 * (U+0080..U+009F) are C2 80..9F in UTF-8 and some terminals obey them too. */
static void defang(char *text) {
    unsigned char *p = (unsigned char *)text;
    for (; *p; p++) {
        bool c1 = p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F;
        if (c1) p[1] = '?';
        if (*p < 0x20 || *p == 0x7F || c1) *p = '?';
    }
}

/* A message that was cut off may end inside a UTF-8 sequence. */
static void drop_partial_utf8(char *text, size_t size) {
    size_t length = strlen(text);
    if (length + 1 < size) return;
    size_t lead = length;
    while (lead > 0 && ((unsigned char)text[lead - 1] & 0xC0) == 0x80) lead--;
    if (lead > 0 && (unsigned char)text[lead - 1] >= 0xC0) text[lead - 1] = '\0';
}

__attribute__((format(printf, 5, 0))) static void fill(cpl_error *error, cpl_code code, int row, const char *path,
                                                       const char *format, va_list args) {
    error->code = code;
    error->row = row;
    snprintf(error->path, sizeof error->path, "%s", path);
    vsnprintf(error->message, sizeof error->message, format, args);
    drop_partial_utf8(error->message, sizeof error->message);
    defang(error->message);
    defang(error->path);
}

bool cpl_fail(cpl_error *error, cpl_code code, const char *format, ...) {
    if (!error) return false;
    va_list args;
    va_start(args, format);
    fill(error, code, -1, "", format, args);
    va_end(args);
    return false;
}

bool cpl_fail_at(cpl_error *error, int row, const char *path, const char *format, ...) {
    if (!error) return false;
    va_list args;
    va_start(args, format);
    fill(error, CPL_E_INPUT, row, path ? path : "", format, args);
    va_end(args);
    return false;
}

void cpl_error_while(cpl_error *error, const char *doing) {
    char message[sizeof error->message];
    if (!error || error->code != CPL_E_MEMORY) return;
    memcpy(message, error->message, sizeof message);
    message[sizeof message - 1] = '\0';
    snprintf(error->message, sizeof error->message, "%s: %.*s", doing, (int)(sizeof error->message - strlen(doing) - 3),
             message);
}
