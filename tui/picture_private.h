/* picture_private.h: what the files of pictures share. */
#ifndef TUI_PICTURE_PRIVATE_H
#define TUI_PICTURE_PRIVATE_H

#include "picture.h"

bool picture_fail(cpl_error *error, const char *what); /* out of memory and its like; returns false */

/* Text that grows; `failed` once memory ran out, so that a caller may look only at the end. */
typedef struct text_buffer {
    char *bytes;
    size_t size, room;
    bool failed;
} text_buffer;
bool text_add(text_buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool text_add_bytes(text_buffer *text, const char *bytes, size_t count);

#endif
