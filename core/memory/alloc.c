/* alloc.c: heap allocation whose failure is an error like any other. */
#include "alloc.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool out_of_memory(cpl_error *error, size_t bytes) {
    return cpl_fail(error, CPL_E_MEMORY,
                    "out of memory (%zu bytes asked for); close other programs or choose a smaller canvas", bytes);
}

void *cpl_alloc(size_t count, size_t size, cpl_error *error) {
    /* calloc(0) may give NULL, which would read as a failure */
    void *block = calloc(count ? count : 1, size ? size : 1);
    if (!block) out_of_memory(error, count && size > SIZE_MAX / count ? SIZE_MAX : count * size);
    return block;
}

bool cpl_grow(void **array, int *room, int need, size_t size, cpl_error *error) {
    if (need <= *room) return true;
    int grown = *room < 8 ? 8 : *room;
    while (grown < need) grown = grown > INT_MAX / 2 ? need : grown * 2;
    void *block = (size_t)grown > SIZE_MAX / size ? NULL : realloc(*array, (size_t)grown * size);
    if (!block) return out_of_memory(error, (size_t)need * size);
    *array = block;
    *room = grown;
    return true;
}

char *cpl_strndup(const char *text, size_t length, cpl_error *error) {
    char *copy = cpl_alloc(length + 1, 1, error);
    if (copy) memcpy(copy, text, length);
    return copy;
}

char *cpl_strdup(const char *text, cpl_error *error) { return cpl_strndup(text, strlen(text), error); }

char *cpl_format(cpl_error *error, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = length < 0 ? NULL : cpl_alloc((size_t)length + 1, 1, error);
    if (text) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}
