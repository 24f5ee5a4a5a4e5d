/* fuzz_png.c: bytes as a PNG: pixels in both forms. */
#include "../../core/image/png_decode.h"
#include "fuzz.h"

FUZZ_TARGET(fuzz_png) {
    cpl_error error = {0};
    cpl_pixels pixels;
    int width, height;
    if (!cpl_png_inspect(data, size, "fuzz", &width, &height, &error)) return 0;
    /* A few bytes may stand for a gigabyte of pixels, which is allowed and only slow. */
    if ((int64_t)width * height > 1 << 16) return 0;
    for (int form = CPL_PNG_RGB; form <= CPL_PNG_GREY; form++) {
        if (!cpl_png_decode(data, size, "fuzz", (cpl_png_form)form, &pixels, &error)) continue;
        FUZZ_HOLDS(pixels.width == width && pixels.height == height && pixels.data);
        free(pixels.data);
    }
    return 0;
}
