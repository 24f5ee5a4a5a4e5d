/* png_text.c: the text entries of a PNG. Values come back as UTF-8, whichever of the three chunk kinds held them. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/file.h"
#include "png_reader.h"

static char *latin1_to_utf8(const char *text, size_t length, cpl_error *error) {
    unsigned char *out = cpl_alloc(2 * length + 1, 1, error);
    for (size_t i = 0, n = 0; out && i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x80) {
            out[n++] = c;
        } else {
            out[n++] = (unsigned char)(0xC0 | c >> 6);
            out[n++] = (unsigned char)(0x80 | (c & 0x3F));
        }
    }
    return (char *)out;
}

typedef struct search {
    cpl_png_reader reader;
    const char *key;
    png_textp text; /* found: borrowed from reader.info */
    png_bytep row;  /* one row of pixels that nobody looks at */
} search;

static bool found(search *s) {
    int count = 0;
    png_textp texts = NULL;
    png_get_text(s->reader.png, s->reader.info, &texts, &count);
    for (int i = 0; i < count && !s->text; i++)
        if (strcmp(texts[i].key, s->key) == 0) s->text = texts + i;
    return s->text != NULL;
}

/* Entries may stand before or after the pixels; libpng reaches the latter only by decoding. */
static bool look(search *s, const char *name, cpl_error *error) {
    png_structp png = s->reader.png;
    if (setjmp(png_jmpbuf(png)))
        return cpl_fail(error, CPL_E_FILE, "%s: is a damaged PNG file: %s", name, s->reader.message);
    png_read_info(png, s->reader.info);
    if (found(s)) return true;
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, s->reader.info);
    s->row = cpl_alloc(png_get_rowbytes(png, s->reader.info), 1, error);
    if (!s->row) return false;
    png_uint_32 height = png_get_image_height(png, s->reader.info);
    for (int pass = 0; pass < passes; pass++)
        for (png_uint_32 y = 0; y < height; y++) png_read_row(png, s->row, NULL);
    png_read_end(png, s->reader.info);
    found(s);
    return true;
}

char *cpl_png_text(const char *path, const char *key, cpl_error *error) {
    size_t size = 0;
    int width, height;
    char *value = NULL;
    search s = {.key = key};
    if (error) *error = (cpl_error){0};
    void *bytes = cpl_file_read(path, CPL_PNG_MAX_BYTES, &size, error);
    if (bytes && cpl_png_inspect(bytes, size, path, &width, &height, error) &&
        cpl_png_reader_open(&s.reader, bytes, size, error)) {
        if (look(&s, path, error) && s.text) {
            bool utf8 = s.text->compression >= PNG_ITXT_COMPRESSION_NONE;
            size_t length = utf8 ? s.text->itxt_length : s.text->text_length;
            value = utf8 ? cpl_strndup(s.text->text, length, error) : latin1_to_utf8(s.text->text, length, error);
        }
        cpl_png_reader_close(&s.reader);
    }
    free(s.row);
    free(bytes);
    return value;
}
