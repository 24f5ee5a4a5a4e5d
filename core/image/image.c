/* image.c: 8-bit RGB pictures in memory. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/file.h"
#include "png_decode.h"

cpl_image *cpl_image_new(int width, int height, cpl_error *error) {
    if (width < 1 || height < 1 || width > CPL_PNG_MAX_SIDE || height > CPL_PNG_MAX_SIDE) {
        cpl_fail(error, CPL_E_INPUT, "a picture of %dx%d pixels cannot be made; sides are 1 to %d", width, height,
                 CPL_PNG_MAX_SIDE);
        return NULL;
    }
    cpl_image *image = cpl_alloc(1, sizeof *image, error);
    if (!image) return NULL;
    image->width = width;
    image->height = height;
    image->rgb = cpl_alloc((size_t)width * (size_t)height, 3, error);
    if (image->rgb) return image;
    free(image);
    return NULL;
}

void cpl_image_free(cpl_image *image) {
    if (!image) return;
    free(image->rgb);
    free(image);
}

cpl_image *cpl_image_copy(const cpl_image *image, cpl_error *error) {
    cpl_image *copy = cpl_image_new(image->width, image->height, error);
    if (copy) memcpy(copy->rgb, image->rgb, (size_t)image->width * (size_t)image->height * 3);
    return copy;
}

cpl_image *cpl_image_read_png(const char *path, cpl_error *error) {
    size_t size = 0;
    cpl_pixels pixels;
    cpl_image *image = NULL;
    void *bytes = cpl_file_read(path, CPL_PNG_MAX_BYTES, &size, error);
    if (bytes && cpl_png_decode(bytes, size, path, CPL_PNG_RGB, &pixels, error)) {
        image = cpl_alloc(1, sizeof *image, error);
        if (image)
            *image = (cpl_image){pixels.width, pixels.height, pixels.data};
        else
            free(pixels.data);
    }
    free(bytes);
    return image;
}
