/* alloc.h: the one door to the heap. Everything in core allocates through these, so that failure is an error like any
 * other and tests can count. Free with free(). */
#ifndef CPL_MEMORY_ALLOC_H
#define CPL_MEMORY_ALLOC_H

#include "error.h"

void *cpl_alloc(size_t count, size_t size, cpl_error *error); /* zeroed; count * size is checked for overflow */
/* Grows an array to hold `need` elements, doubling; the new part is not zeroed. False: `*array` is as it was. */
bool cpl_grow(void **array, int *room, int need, size_t size, cpl_error *error);
char *cpl_strdup(const char *text, cpl_error *error);
char *cpl_strndup(const char *text, size_t length, cpl_error *error);
char *cpl_format(cpl_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
