/* builder.h: text that grows at its end. The first failure sticks: callers check once, at the end. */
#ifndef CPL_LAYOUT_BUILDER_H
#define CPL_LAYOUT_BUILDER_H

#include "../memory/error.h"

typedef struct cpl_builder {
    char *text; /* owned, always zero-terminated once something was added */
    int length, room;
    bool failed;
    cpl_error *error; /* borrowed, may be NULL */
} cpl_builder;

void cpl_builder_bytes(cpl_builder *b, const char *bytes, size_t size);
void cpl_builder_text(cpl_builder *b, const char *text);
void cpl_builder_format(cpl_builder *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cpl_builder_number(cpl_builder *b, double value);     /* as in JSON, exact */
void cpl_builder_quoted(cpl_builder *b, const char *utf8); /* a JSON string */
/* The text, now the caller's; NULL if anything failed. */
char *cpl_builder_take(cpl_builder *b);

#endif
