/* json_out.h: the few pieces of JSON that the commands print. Numbers are the shortest that read back exactly, texts are
 * escaped so that no control character reaches a terminal. (The library's own printing of numbers keeps 15 digits.) */
#ifndef TUI_JSON_OUT_H
#define TUI_JSON_OUT_H

#include <stdbool.h>
#include <stdio.h>

void json_text(FILE *out, const char *text); /* quoted; NULL is null; invalid UTF-8 becomes U+FFFD */
void json_double(FILE *out, double value);   /* null for NaN and infinities, which JSON lacks */
void json_float(FILE *out, float value);     /* the shortest that reads back as the same 32-bit number */
static inline const char *json_bool(bool value) { return value ? "true" : "false"; }

#endif
