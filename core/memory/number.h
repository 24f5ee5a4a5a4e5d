/* number.h: numbers as text, whatever the user's locale. */
#ifndef CPL_MEMORY_NUMBER_H
#define CPL_MEMORY_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* The shortest of %.15g ... %.17g that reads back bit-equal, with a point; "null" for NaN and infinities, which JSON lacks. */
#define CPL_NUMBER_SIZE 32
void cpl_number_print(double value, char text[CPL_NUMBER_SIZE]);
/* The whole of `text` as a finite decimal number with a point (no hex, no blanks, no "inf"). */
bool cpl_number_parse(const char *text, double *value);

#endif
