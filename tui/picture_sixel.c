/* picture_sixel.c: a picture as a sixel string; the only file that names libsixel. Uses no state of its own: any thread
 * may encode. The palette is made for each picture: the high-colour mode redefines registers that xterm has painted with. */
#include "picture_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sixel.h>

#define FEW_COLORS 16

static int write_bytes(char *data, int size, void *user) {
    text_add_bytes(user, data, (size_t)size);
    return size;
}

/* Scaled to `width`, and to `height` but for up to 5 rows that picture_fit added to a whole enlargement: those repeat
 * the last row. A new image in any case, because libsixel writes into the pixels it is given. */
static cpl_image *scaled(const cpl_image *image, int width, int height) {
    if (width == image->width && height == image->height) return cpl_image_copy(image, NULL);
    int exact = width % image->width == 0 ? width / image->width * image->height : height;
    if (exact >= height || exact < height - 5) return picture_scale(image, width, height);
    cpl_image *content = picture_scale(image, width, exact), *out = content ? cpl_image_new(width, height, NULL) : NULL;
    if (out) {
        size_t row = (size_t)width * 3;
        memcpy(out->rgb, content->rgb, row * (size_t)exact);
        for (int y = exact; y < height; y++)
            memcpy(out->rgb + row * (size_t)y, out->rgb + row * (size_t)(exact - 1), row);
    }
    cpl_image_free(content);
    return out;
}

/* libsixel's histogram keeps 5 bits of a channel, and the palette their lower ends: white came out as 247. */
static void widen_palette(sixel_dither_t *dither) {
    unsigned char *palette = sixel_dither_get_palette(dither);
    for (int i = 0; i < sixel_dither_get_num_of_palette_colors(dither) * 3; i++) {
        int value = palette[i] + palette[i] / 32;
        palette[i] = (unsigned char)(value > 255 ? 255 : value);
    }
}

/* The colours of a drawing such as a region map, and for each pixel which one it has: how many, 0 if they are more than
 * `most`. */
static int distinct_colors(const cpl_image *image, int most, unsigned char *palette, unsigned char *index) {
    int count = 0, last = 0;
    size_t width = (size_t)image->width, pixels = width * (size_t)image->height;
    for (size_t i = 0; i < pixels; i++) {
        const unsigned char *rgb = image->rgb + i * 3;
        /* Most rows of a drawing are as the row above. */
        if (i >= width && i % width == 0 && !memcmp(rgb, rgb - width * 3, width * 3)) {
            memcpy(index + i, index + i - width, width);
            i += width - 1;
            continue;
        }
        if (!count || memcmp(palette + last * 3, rgb, 3) != 0) {
            for (last = 0; last < count && memcmp(palette + last * 3, rgb, 3) != 0;) last++;
            if (last == count) {
                if (count == most) return 0;
                memcpy(palette + count++ * 3, rgb, 3);
            }
        }
        index[i] = (unsigned char)last;
    }
    return count;
}

static SIXELSTATUS choose_palette(sixel_dither_t *dither, const cpl_image *pixels, bool diffuse) {
    SIXELSTATUS status =
        sixel_dither_initialize(dither, pixels->rgb, pixels->width, pixels->height, SIXEL_PIXELFORMAT_RGB888,
                                SIXEL_LARGE_AUTO, SIXEL_REP_AUTO, diffuse ? SIXEL_QUALITY_HIGH : SIXEL_QUALITY_LOW);
    if (SIXEL_FAILED(status)) return status;
    widen_palette(dither);
    sixel_dither_set_diffusion_type(dither, diffuse ? SIXEL_DIFFUSE_FS : SIXEL_DIFFUSE_NONE);
    return status;
}

static SIXELSTATUS write_sixel(unsigned char *pixels, const cpl_image *image, sixel_dither_t *dither,
                               text_buffer *text) {
    sixel_output_t *output = NULL;
    SIXELSTATUS status = sixel_output_new(&output, write_bytes, text, NULL);
    if (SIXEL_FAILED(status)) return status;
    sixel_output_set_encode_policy(output, SIXEL_ENCODEPOLICY_FAST);
    status = sixel_encode(pixels, image->width, image->height, 3, dither, output);
    sixel_output_unref(output);
    return status;
}

/* Few colours are taken as they are: rounded ones would be wrong, and diffusion would speckle their flat areas. */
static SIXELSTATUS encode_few(const cpl_image *image, int count, unsigned char *palette, unsigned char *index,
                              text_buffer *text) {
    sixel_dither_t *dither = NULL;
    SIXELSTATUS status = sixel_dither_new(&dither, count, NULL);
    if (SIXEL_FAILED(status)) return status;
    sixel_dither_set_palette(dither, palette);
    sixel_dither_set_pixelformat(dither, SIXEL_PIXELFORMAT_PAL8);
    status = write_sixel(index, image, dither, text);
    sixel_dither_unref(dither);
    return status;
}

static SIXELSTATUS encode_many(cpl_image *image, int colors, bool diffuse, text_buffer *text) {
    sixel_dither_t *dither = NULL;
    SIXELSTATUS status = sixel_dither_new(&dither, colors, NULL);
    if (SIXEL_FAILED(status)) return status;
    status = choose_palette(dither, image, diffuse);
    if (!SIXEL_FAILED(status)) status = write_sixel(image->rgb, image, dither, text);
    sixel_dither_unref(dither);
    return status;
}

static SIXELSTATUS encode(cpl_image *image, int colors, bool diffuse, text_buffer *text) {
    unsigned char palette[FEW_COLORS * 3], *index = malloc((size_t)image->width * (size_t)image->height);
    if (!index) return SIXEL_BAD_ALLOCATION;
    int few = distinct_colors(image, colors < FEW_COLORS ? colors : FEW_COLORS, palette, index);
    SIXELSTATUS status = few ? encode_few(image, few, palette, index, text) : encode_many(image, colors, diffuse, text);
    free(index);
    return status;
}

bool picture_encode(const cpl_image *image, int width_px, int height_px, int colors, bool diffuse, picture_sixel *out,
                    cpl_error *error) {
    *out = (picture_sixel){0};
    if (width_px < 1 || height_px < 1) return picture_fail(error, "there is no room for a picture here");
    colors = colors < 2 ? 2 : colors > 256 ? 256 : colors;
    cpl_image *pixels = scaled(image, width_px, height_px);
    if (!pixels) return picture_fail(error, "out of memory for the picture in the terminal");
    text_buffer text = {0};
    SIXELSTATUS status = encode(pixels, colors, diffuse, &text);
    cpl_image_free(pixels);
    if (SIXEL_FAILED(status) || text.failed) {
        free(text.bytes);
        char what[160];
        snprintf(what, sizeof what, "the picture cannot be encoded for the terminal: %s",
                 text.failed ? "out of memory" : sixel_helper_format_error(status));
        return picture_fail(error, what);
    }
    *out = (picture_sixel){.bytes = text.bytes, .size = text.size, .width = width_px, .height = height_px};
    return true;
}

void picture_sixel_clear(picture_sixel *sixel) {
    free(sixel->bytes);
    *sixel = (picture_sixel){0};
}
