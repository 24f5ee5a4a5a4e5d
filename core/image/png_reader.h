/* png_reader.h: what png_read.c and png_text.c share: a libpng reader over bytes in memory. */
#ifndef CPL_IMAGE_PNG_READER_H
#define CPL_IMAGE_PNG_READER_H

#include <png.h>

#include "png_decode.h"

typedef struct cpl_png_reader {
    png_structp png;
    png_infop info;
    const unsigned char *bytes; /* borrowed */
    size_t size, at;
    char message[128]; /* libpng's own words about a failure */
} cpl_png_reader;

/* libpng reports failure by longjmp to the setjmp of its caller: no local variable that is needed afterwards may change
 * between the two, so all state lives in the reader. */
bool cpl_png_reader_open(cpl_png_reader *reader, const void *bytes, size_t size, cpl_error *error);
void cpl_png_reader_close(cpl_png_reader *reader);

#endif
