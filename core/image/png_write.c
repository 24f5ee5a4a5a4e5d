/* png_write.c: RGB pictures to PNG files. No time stamp and no program name: same picture and texts, same bytes. */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/file.h"
#include "png_decode.h"

typedef struct writer {
    png_structp png;
    png_infop info;
    unsigned char *bytes;
    size_t size, room;
    png_textp texts;
    char **latin1; /* owned copies of values that tEXt can hold */
    int count;
    char message[128];
} writer;

static void on_error(png_structp png, png_const_charp message) {
    writer *w = png_get_error_ptr(png);
    snprintf(w->message, sizeof w->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void on_write(png_structp png, png_bytep data, size_t count) {
    writer *w = png_get_io_ptr(png);
    if (count > w->room - w->size) {
        size_t room = (w->size + count) * 2;
        unsigned char *grown = realloc(w->bytes, room);
        if (!grown) png_error(png, "out of memory");
        w->bytes = grown;
        w->room = room;
    }
    memcpy(w->bytes + w->size, data, count);
    w->size += count;
}

static void on_flush(png_structp png) { (void)png; }

/* tEXt holds Latin-1 without control characters but newline. NULL without an error: the value needs iTXt. */
static bool as_latin1(const char *utf8, char **latin1, cpl_error *error) {
    char *out = cpl_strdup(utf8, error);
    size_t n = 0;
    *latin1 = NULL;
    if (!out) return false;
    for (const unsigned char *p = (const unsigned char *)utf8; *p; p++) {
        unsigned c = *p;
        if ((c == 0xC2 || c == 0xC3) && (p[1] & 0xC0) == 0x80) c = (c & 3) << 6 | (*++p & 0x3F);
        bool plain = (c >= 0x20 && c < 0x7F) || c == '\n' || (c >= 0xA0 && c <= 0xFF && *p < 0xC0);
        if (!plain) {
            free(out);
            return true;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    *latin1 = out;
    return true;
}

static bool prepare_texts(writer *w, const cpl_text *texts, int count, cpl_error *error) {
    w->texts = cpl_alloc((size_t)count, sizeof *w->texts, error);
    w->latin1 = cpl_alloc((size_t)count, sizeof *w->latin1, error);
    if (!w->texts || !w->latin1) return false;
    w->count = count;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(texts[i].key);
        if (length < 1 || length > 79)
            return cpl_fail(error, CPL_E_INPUT, "the PNG text key \"%s\" must have 1 to 79 characters", texts[i].key);
        /* readers look for the layout in iTXt, whatever its letters */
        bool international = strcmp(texts[i].key, "couplet") == 0;
        if (!international && !as_latin1(texts[i].value, &w->latin1[i], error)) return false;
        png_text *text = &w->texts[i];
        text->compression = w->latin1[i] ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        text->key = (png_charp)texts[i].key; /* libpng copies what it is given */
        text->text = w->latin1[i] ? w->latin1[i] : (png_charp)texts[i].value;
        text->text_length = w->latin1[i] ? strlen(text->text) : 0;
        text->itxt_length = w->latin1[i] ? 0 : strlen(text->text);
        text->lang = (png_charp) "";
        text->lang_key = (png_charp) "";
    }
    return true;
}

static bool encode(writer *w, const cpl_image *image, cpl_error *error) {
    if (setjmp(png_jmpbuf(w->png)))
        return cpl_fail(error, CPL_E_FILE, "the picture cannot be made a PNG: %s", w->message);
    png_set_write_fn(w->png, w, on_write, on_flush);
    png_set_IHDR(w->png, w->info, (png_uint_32)image->width, (png_uint_32)image->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (w->count) png_set_text(w->png, w->info, w->texts, w->count);
    png_write_info(w->png, w->info);
    for (int y = 0; y < image->height; y++) png_write_row(w->png, image->rgb + (size_t)y * (size_t)image->width * 3);
    png_write_end(w->png, w->info);
    return true;
}

bool cpl_image_write_png(const cpl_image *image, const char *path, const cpl_text *texts, int count, cpl_error *error) {
    writer w = {0};
    bool done = prepare_texts(&w, texts, count, error);
    if (done) {
        w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_error, on_warning);
        w.info = w.png ? png_create_info_struct(w.png) : NULL;
        done =
            w.info ? encode(&w, image, error) : cpl_fail(error, CPL_E_MEMORY, "out of memory while writing %s", path);
        if (w.png) png_destroy_write_struct(&w.png, &w.info);
    }
    done = done && cpl_file_replace(path, w.bytes, w.size, error);
    for (int i = 0; i < w.count; i++) free(w.latin1[i]);
    free(w.latin1);
    free(w.texts);
    free(w.bytes);
    return done;
}
