/* png_decode.h: PNG bytes to pixels, for the two readers (pictures, masks). Only core/image names libpng. */
#ifndef CPL_IMAGE_PNG_DECODE_H
#define CPL_IMAGE_PNG_DECODE_H

#include "../memory/error.h"

#define CPL_PNG_MAX_SIDE 16384
#define CPL_PNG_MAX_BYTES ((size_t)1 << 30)

typedef enum cpl_png_form {
    CPL_PNG_RGB,  /* 3 bytes a pixel, alpha dropped, 16 bits rounded to 8 */
    CPL_PNG_RGBA, /* 4 bytes a pixel, alpha 255 where there is none; 16 bits as for masks */
    CPL_PNG_GREY  /* 1 byte a pixel by the rules for masks: alpha dropped, colour to luma, 16-bit grey clipped at 255 */
} cpl_png_form;

typedef struct cpl_pixels {
    int width, height;
    unsigned char *data; /* owned by the caller */
} cpl_pixels;

/* `name` stands in messages. */
bool cpl_png_decode(const void *png, size_t size, const char *name, cpl_png_form form, cpl_pixels *pixels,
                    cpl_error *error);
/* Refuses what is no PNG or too large, from its first bytes. */
bool cpl_png_inspect(const void *png, size_t size, const char *name, int *width, int *height, cpl_error *error);

#endif
