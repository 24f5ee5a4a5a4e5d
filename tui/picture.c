/* picture.c: sizes and scaling of pictures for the terminal, painting one, and printing one to a stream. Encoding is
 * picture_sixel.c's, text cells picture_cells.c's. */
#include "picture.h"
#include "picture_private.h"
#include "term_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool picture_fail(cpl_error *error, const char *what) {
    if (!error) return false;
    *error = (cpl_error){.code = CPL_E_MEMORY, .row = -1};
    snprintf(error->message, sizeof error->message, "%s", what);
    return false;
}

/* A picture enlarged by a whole factor stays exact: its height is filled up to the next multiple of 6. */
static bool fit_whole(const cpl_image *image, int room_w, int room_h, int *width, int *height) {
    int factor = room_w / image->width < room_h / image->height ? room_w / image->width : room_h / image->height;
    for (; factor >= 1; factor--) {
        int padded = (image->height * factor + 5) / 6 * 6;
        if (padded > room_h) continue;
        *width = image->width * factor;
        *height = padded;
        return true;
    }
    return false;
}

/* tmux takes pictures in whole cells, and fills the rest of one with whatever colour it finds. The proportions give way to that
 * by half a cell at most. */
static void fit_cells(const cpl_image *image, const term_caps *caps, int room_w, int room_h, int *width, int *height) {
    for (int rows = room_h / caps->cell_height; rows > 0 && !*width; rows--) {
        int high = rows * caps->cell_height;
        int columns = (int)((2 * (int64_t)high * image->width + (int64_t)image->height * caps->cell_width) /
                            (2 * (int64_t)image->height * caps->cell_width));
        if (high % 6 || columns < 1 || columns * caps->cell_width > room_w) continue;
        *width = columns * caps->cell_width;
        *height = high;
    }
}

void picture_fit(const cpl_image *image, const term_caps *caps, int columns, int rows, int *width_px, int *height_px) {
    int limit_w = caps->sixel_max_width > 0 ? caps->sixel_max_width : 1000;
    int limit_h = caps->sixel_max_height > 0 ? caps->sixel_max_height : 1000;
    int room_w = columns * caps->cell_width < limit_w ? columns * caps->cell_width : limit_w;
    int room_h = rows * caps->cell_height < limit_h ? rows * caps->cell_height : limit_h;
    room_h -= room_h % 6;
    *width_px = *height_px = 0;
    if (caps->by_tmux) fit_cells(image, caps, room_w, room_h, width_px, height_px);
    if (*width_px) return;
    if (room_w < 1 || room_h < 6 || fit_whole(image, room_w, room_h, width_px, height_px)) return;
    int64_t by_width = (int64_t)room_w * image->height / image->width;
    int height = by_width < room_h ? (int)by_width : room_h;
    height = height < 6 ? 6 : height - height % 6;
    int64_t width = ((int64_t)height * image->width + image->height / 2) / image->height;
    *width_px = width < 1 ? 1 : width > room_w ? room_w : (int)width;
    *height_px = height;
}

/* The source pixels under one destination pixel, along one axis, with weights in units of 1/count of a pixel. */
typedef struct span {
    int first, last;
    int64_t first_weight, last_weight, weight, total;
} span;

static span span_at(int at, int count, int source) {
    if (count >= source) { /* enlarging: the nearest one */
        int nearest = (int)(((int64_t)2 * at + 1) * source / ((int64_t)2 * count));
        return (span){nearest, nearest, 1, 1, 1, 1};
    }
    int64_t from = (int64_t)at * source, to = from + source;
    span s = {.first = (int)(from / count), .last = (int)((to - 1) / count), .weight = count, .total = source};
    s.first_weight = (int64_t)(s.first + 1) * count - from;
    s.last_weight = to - (int64_t)s.last * count;
    return s;
}

static int64_t weight_at(const span *s, int i) {
    return i == s->first ? s->first_weight : i == s->last ? s->last_weight : s->weight;
}

static void average(const cpl_image *image, const span *x, const span *y, unsigned char *out) {
    int64_t sum[3] = {0}, total = x->total * y->total;
    for (int row = y->first; row <= y->last; row++) {
        const unsigned char *in = image->rgb + ((size_t)row * (size_t)image->width + (size_t)x->first) * 3;
        int64_t row_weight = weight_at(y, row);
        for (int column = x->first; column <= x->last; column++, in += 3) {
            int64_t weight = row_weight * weight_at(x, column);
            for (int c = 0; c < 3; c++) sum[c] += weight * in[c];
        }
    }
    for (int c = 0; c < 3; c++) out[c] = (unsigned char)((sum[c] + total / 2) / total);
}

static void repeat_row(const cpl_image *image, const span *across, int y, unsigned char *to, int width) {
    const unsigned char *row = image->rgb + (size_t)y * (size_t)image->width * 3;
    for (int x = 0; x < width; x++, to += 3) memcpy(to, row + (size_t)across[x].first * 3, 3);
}

cpl_image *picture_scale(const cpl_image *image, int width, int height) {
    cpl_image *out = cpl_image_new(width, height, NULL);
    span *across = out ? malloc((size_t)width * sizeof *across) : NULL;
    if (!across) {
        cpl_image_free(out);
        return NULL;
    }
    for (int x = 0; x < width; x++) across[x] = span_at(x, width, image->width);
    bool enlarging = width >= image->width && height >= image->height;
    size_t row = (size_t)width * 3;
    unsigned char *to = out->rgb;
    for (int y = 0, above = -1; y < height; y++, to += row) {
        span down = span_at(y, height, image->height);
        if (enlarging && down.first == above)
            memcpy(to, to - row, row);
        else if (enlarging)
            repeat_row(image, across, down.first, to, width);
        else
            for (int x = 0; x < width; x++) average(image, &across[x], &down, to + (size_t)x * 3);
        above = down.first;
    }
    free(across);
    return out;
}

bool picture_paint(term *t, const picture_sixel *sixel, int row, int column) {
    return term_paint(t, sixel->bytes, sixel->size, row, column);
}

/* ---- Printing ---- */

bool text_add(text_buffer *text, const char *format, ...) {
    va_list list;
    char piece[96];
    va_start(list, format);
    int length = vsnprintf(piece, sizeof piece, format, list);
    va_end(list);
    return length >= 0 && text_add_bytes(text, piece, (size_t)length);
}

bool text_add_bytes(text_buffer *text, const char *bytes, size_t count) {
    if (text->failed) return false;
    if (!text->bytes || text->size + count + 1 > text->room) {
        size_t room = (text->size + count + 1) * 2;
        char *grown = realloc(text->bytes, room);
        text->failed = !grown;
        if (!grown) return false;
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->size, bytes, count);
    text->size += count;
    text->bytes[text->size] = 0;
    return true;
}

static bool print_sixel(const cpl_image *image, const term_caps *caps, int columns, int rows, text_buffer *text,
                        cpl_error *error) {
    int width, height;
    picture_sixel sixel;
    picture_fit(image, caps, columns, rows, &width, &height);
    if (!picture_encode(image, width, height, caps->sixel_registers, true, &sixel, error)) return false;
    text_add_bytes(text, sixel.bytes, sixel.size);
    text_add(text, "\n");
    picture_sixel_clear(&sixel);
    return true;
}

static void print_color(text_buffer *text, const unsigned char rgb[3], int colors, bool ground) {
    if (colors > 256) {
        text_add(text, "\033[%d;2;%d;%d;%dm", ground ? 48 : 38, rgb[0], rgb[1], rgb[2]);
    } else if (colors == 256) {
        text_add(text, "\033[%d;5;%dm", ground ? 48 : 38, picture_xterm256(rgb));
    } else {
        int index = picture_ansi(rgb, colors);
        text_add(text, "\033[%dm", (index < 8 ? 30 + index : 90 + index - 8) + (ground ? 10 : 0));
    }
}

static bool print_cells(const cpl_image *image, const term_caps *caps, int columns, int rows, text_buffer *text) {
    int used_columns, used_rows;
    if (columns < 1 || rows < 1) return true;
    picture_cell *cells = calloc((size_t)columns * (size_t)rows, sizeof *cells);
    if (!cells || !picture_cells(image, caps, columns, rows, cells, &used_columns, &used_rows)) {
        free(cells);
        return false;
    }
    for (int y = 0; y < used_rows; y++) {
        const picture_cell *last = NULL;
        for (int x = 0; x < used_columns; x++) {
            const picture_cell *cell = &cells[y * columns + x];
            if (caps->colors) {
                if (!last || memcmp(last->top, cell->top, 3)) print_color(text, cell->top, caps->colors, false);
                if (!last || memcmp(last->bottom, cell->bottom, 3)) print_color(text, cell->bottom, caps->colors, true);
                text_add(text, "%s", caps->utf8 ? "\xe2\x96\x80" : " ");
            } else {
                text_add(text, "%c", cell->shade);
            }
            last = cell;
        }
        text_add(text, "%s\n", caps->colors ? "\033[0m" : "");
    }
    free(cells);
    return true;
}

bool picture_print(const cpl_image *image, const term_caps *caps, int columns, int rows, char **out, size_t *size,
                   cpl_error *error) {
    text_buffer text = {0};
    int width, height;
    picture_fit(image, caps, columns, rows, &width, &height);
    bool done = caps->sixel && width
                    ? print_sixel(image, caps, columns, rows, &text, error)
                    : print_cells(image, caps, columns, rows, &text) || picture_fail(error, "out of memory");
    if (done && text.failed) done = picture_fail(error, "out of memory");
    if (!done) {
        free(text.bytes);
        return false;
    }
    *out = text.bytes ? text.bytes : calloc(1, 1);
    *size = text.size;
    return *out != NULL;
}
