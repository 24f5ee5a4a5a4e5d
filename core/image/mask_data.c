/* mask_data.c: a painted mask as the text that a layout keeps it in. */
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "mask.h"

static char *as_data(const unsigned char *png, size_t size, cpl_error *error) {
    static const char prefix[] = "data:image/png;base64,";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = cpl_alloc(sizeof prefix + (size + 2) / 3 * 4, 1, error);
    if (!text) return NULL;
    memcpy(text, prefix, sizeof prefix - 1);
    char *to = text + sizeof prefix - 1;
    for (size_t i = 0; i < size; i += 3) {
        unsigned char b[3] = {0, 0, 0};
        size_t count = size - i < 3 ? size - i : 3;
        memcpy(b, png + i, count);
        *to++ = digits[b[0] >> 2];
        *to++ = digits[(b[0] & 3) << 4 | b[1] >> 4];
        *to++ = count > 1 ? digits[(b[1] & 15) << 2 | b[2] >> 6] : '=';
        *to++ = count > 2 ? digits[b[2] & 63] : '=';
    }
    *to = '\0';
    return text;
}

char *cpl_mask_data(const cpl_mask *mask, cpl_error *error) {
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)cpl_mask_width(mask),
                       .height = (png_uint_32)cpl_mask_height(mask),
                       .format = PNG_FORMAT_GRAY};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    unsigned char *png = cpl_alloc(size, 1, error);
    char *text = NULL;
    if (png && png_image_write_to_memory(&image, png, &size, 0, cpl_mask_pixels(mask), 0, NULL))
        text = as_data(png, size, error);
    else if (png)
        cpl_fail(error, CPL_E_FILE, "the mask cannot be written as PNG: %s", image.message);
    png_image_free(&image);
    free(png);
    return text;
}
