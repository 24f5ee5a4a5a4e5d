/* error.h: how core functions report failure. */
#ifndef CPL_MEMORY_ERROR_H
#define CPL_MEMORY_ERROR_H

#include "../couplet.h"

/* Fills `error` (NULL is allowed) and returns false, so that `return cpl_fail(...)` reads as one thing. Control
 * characters in the result are replaced by '?': texts from files may stand in a message and reach a terminal. */
bool cpl_fail(cpl_error *error, cpl_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for a place in a layout: `row` is -1 where there is none, `path` a JSON path. */
bool cpl_fail_at(cpl_error *error, int row, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts "doing: " before the message of an error that is for want of memory; others speak for themselves. */
void cpl_error_while(cpl_error *error, const char *doing);

#endif
