/* no_png.c: in the place of core/image's readers and writers of PNG files, on GPU machines that have no libpng. */
#include "../../../core/image/png_decode.h"

static bool missing(cpl_error *error) { return cpl_fail(error, CPL_E_UNSUPPORTED, "this build has no libpng"); }

bool cpl_png_decode(const void *png, size_t size, const char *name, cpl_png_form form, cpl_pixels *pixels,
                    cpl_error *error) {
    (void)png, (void)size, (void)name, (void)form, (void)pixels;
    return missing(error);
}

bool cpl_png_inspect(const void *png, size_t size, const char *name, int *width, int *height, cpl_error *error) {
    (void)png, (void)size, (void)name, (void)width, (void)height;
    return missing(error);
}

char *cpl_png_text(const char *path, const char *key, cpl_error *error) {
    (void)path, (void)key;
    missing(error);
    return NULL;
}

bool cpl_image_write_png(const cpl_image *image, const char *path, const cpl_text *texts, int count, cpl_error *error) {
    (void)image, (void)path, (void)texts, (void)count;
    return missing(error);
}

char *cpl_mask_data(const cpl_mask *mask, cpl_error *error) {
    (void)mask;
    missing(error);
    return NULL;
}
