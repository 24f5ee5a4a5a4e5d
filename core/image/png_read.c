/* png_read.c: PNG to 8-bit RGB or grey. Colour profiles and gamma are left alone: masks must be read as numbers, and
 * pictures of couplet carry none. */
#include "png_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

static void on_error(png_structp png, png_const_charp message) {
    cpl_png_reader *reader = png_get_error_ptr(png);
    snprintf(reader->message, sizeof reader->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t count) {
    cpl_png_reader *reader = png_get_io_ptr(png);
    if (count > reader->size - reader->at) png_error(png, "it ends too early");
    memcpy(out, reader->bytes + reader->at, count);
    reader->at += count;
}

bool cpl_png_reader_open(cpl_png_reader *reader, const void *bytes, size_t size, cpl_error *error) {
    *reader = (cpl_png_reader){.bytes = bytes, .size = size};
    reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
    reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
    if (!reader->info) {
        cpl_png_reader_close(reader);
        return cpl_fail(error, CPL_E_MEMORY, "out of memory while reading a PNG");
    }
    png_set_read_fn(reader->png, reader, on_read);
    png_set_user_limits(reader->png, CPL_PNG_MAX_SIDE, CPL_PNG_MAX_SIDE);
    png_set_chunk_malloc_max(reader->png, (png_alloc_size_t)64 << 20); /* a layout with masks inside is long */
    return true;
}

void cpl_png_reader_close(cpl_png_reader *reader) {
    if (reader->png) png_destroy_read_struct(&reader->png, &reader->info, NULL);
    reader->png = NULL;
}

static unsigned be32(const unsigned char *p) {
    return (unsigned)p[0] << 24 | (unsigned)p[1] << 16 | (unsigned)p[2] << 8 | p[3];
}

bool cpl_png_inspect(const void *png, size_t size, const char *name, int *width, int *height, cpl_error *error) {
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    const unsigned char *p = png;
    if (size < 8 || memcmp(p, signature, 8) != 0)
        return cpl_fail(error, CPL_E_FILE, "%s: is not a PNG file; convert it to PNG", name);
    if (size < 26 || memcmp(p + 12, "IHDR", 4) != 0)
        return cpl_fail(error, CPL_E_FILE, "%s: is a damaged PNG file: its header is incomplete", name);
    unsigned w = be32(p + 16), h = be32(p + 20);
    if (w == 0 || h == 0 || w > CPL_PNG_MAX_SIDE || h > CPL_PNG_MAX_SIDE)
        return cpl_fail(error, CPL_E_FILE, "%s: is %ux%u pixels; sides from 1 to %d can be read, scale it down", name,
                        w, h, CPL_PNG_MAX_SIDE);
    *width = (int)w;
    *height = (int)h;
    return true;
}

/* All but plain grey of 16 bits, which arrives with two bytes a pixel. */
static void set_rgba(png_structp png, png_infop info) {
    int color = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    if (color == PNG_COLOR_TYPE_GRAY && depth == 16) return;
    if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (png_get_valid(png, info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(png);
    if (depth == 16) png_set_strip_16(png);
    if (!(color & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
}

/* Asks libpng for the form's pixels; for grey from colour they arrive as RGB, for 16-bit grey as two bytes each. */
static void set_transforms(png_structp png, png_infop info, cpl_png_form form) {
    int color = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
    if (form == CPL_PNG_RGBA) {
        set_rgba(png, info);
        return;
    }
    if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (color == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    /* libpng turns a palette's transparency into alpha along with its colours */
    if (color & PNG_COLOR_MASK_ALPHA || png_get_valid(png, info, PNG_INFO_tRNS)) png_set_strip_alpha(png);
    if (depth == 16 && form == CPL_PNG_RGB) png_set_scale_16(png);
    /* as Pillow reads them: the high byte, except of plain grey, which it keeps and clips */
    if (depth == 16 && form == CPL_PNG_GREY && color != PNG_COLOR_TYPE_GRAY) png_set_strip_16(png);
    if (form == CPL_PNG_RGB && !(color & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
}

typedef struct decoding {
    cpl_png_reader reader;
    unsigned char *data; /* height rows of row_bytes */
    png_bytep *rows;
    size_t row_bytes;
    int pixel_bytes;
} decoding;

static bool decode_rows(decoding *d, cpl_png_form form, const char *name, cpl_error *error) {
    png_structp png = d->reader.png;
    if (setjmp(png_jmpbuf(png)))
        return cpl_fail(error, CPL_E_FILE, "%s: is a damaged PNG file: %s", name, d->reader.message);
    png_read_info(png, d->reader.info);
    set_transforms(png, d->reader.info, form);
    png_set_interlace_handling(png);
    png_read_update_info(png, d->reader.info);
    size_t height = png_get_image_height(png, d->reader.info), width = png_get_image_width(png, d->reader.info);
    d->row_bytes = png_get_rowbytes(png, d->reader.info);
    d->pixel_bytes = (int)(d->row_bytes / width);
    d->data = cpl_alloc(height, d->row_bytes, error);
    d->rows = cpl_alloc(height, sizeof *d->rows, error);
    if (!d->data || !d->rows) return false;
    for (size_t y = 0; y < height; y++) d->rows[y] = d->data + y * d->row_bytes;
    png_read_image(png, d->rows);
    png_read_end(png, NULL);
    return true;
}

/* In place: the grey rows end before the source rows that are still to be read. */
static void to_grey(decoding *d, size_t pixels) {
    const unsigned char *p = d->data;
    for (size_t i = 0; i < pixels; i++, p += d->pixel_bytes) {
        if (d->pixel_bytes == 3)
            d->data[i] = (unsigned char)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 32768u) >> 16);
        else if (d->pixel_bytes == 2)
            d->data[i] = p[0] ? 255 : p[1];
    }
}

/* 16-bit grey, clipped at 255. */
static bool spread_grey(decoding *d, size_t pixels, cpl_error *error) {
    unsigned char *rgba = cpl_alloc(pixels, 4, error);
    for (size_t i = 0; rgba && i < pixels; i++) {
        memset(rgba + i * 4, d->data[i * 2] ? 255 : d->data[i * 2 + 1], 3);
        rgba[i * 4 + 3] = 255;
    }
    free(d->data);
    d->data = rgba;
    return rgba != NULL;
}

bool cpl_png_decode(const void *png, size_t size, const char *name, cpl_png_form form, cpl_pixels *pixels,
                    cpl_error *error) {
    *pixels = (cpl_pixels){0};
    decoding d = {0};
    if (!cpl_png_inspect(png, size, name, &pixels->width, &pixels->height, error)) return false;
    if (!cpl_png_reader_open(&d.reader, png, size, error)) return false;
    bool done = decode_rows(&d, form, name, error);
    cpl_png_reader_close(&d.reader);
    free(d.rows);
    if (!done) {
        free(d.data);
        return false;
    }
    size_t count = (size_t)pixels->width * (size_t)pixels->height;
    if (form == CPL_PNG_RGBA && d.pixel_bytes == 2 && !spread_grey(&d, count, error)) return false;
    if (form == CPL_PNG_GREY && d.pixel_bytes > 1) {
        to_grey(&d, count);
        unsigned char *shrunk = realloc(d.data, count);
        if (shrunk) d.data = shrunk;
    }
    pixels->data = d.data;
    return true;
}
