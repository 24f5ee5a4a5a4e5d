/* picture.h: a cpl_image as something a terminal can show: sixel, half blocks in the colours there are, or ASCII shades.
 * Knows nothing of ncurses or of when to paint; sixel encoding may run on any thread. */
#ifndef TUI_PICTURE_H
#define TUI_PICTURE_H

#include "../core/couplet.h"
#include "term.h"

/* The largest size that keeps the aspect ratio, fits cells * cell size, the terminal's sixel limits, and is a multiple of
 * 6 rows. Small pictures are enlarged by whole factors when they fit, else scaled; the up to 5 rows that are missing
 * below repeat the last one. 0 x 0: no room. The screen's last row must not be among `rows`: it would scroll. */
void picture_fit(const cpl_image *image, const term_caps *caps, int columns, int rows, int *width_px, int *height_px);
cpl_image *picture_scale(const cpl_image *image, int width, int height); /* area average down, nearest up */

typedef struct picture_sixel {
    char *bytes;
    size_t size;
    int width, height;
} picture_sixel; /* ESC P ... ESC \ */
/* Scales and encodes. colors: 16..256; diffuse: Floyd-Steinberg. */
bool picture_encode(const cpl_image *image, int width_px, int height_px, int colors, bool diffuse, picture_sixel *out,
                    cpl_error *error);
void picture_sixel_clear(picture_sixel *sixel);
/* ESC 7, cursor to (row, column) from 0, the sixel, ESC 8. False: a key came (or waits), the picture is cut off and to be
 * painted again later. Take all events before, or nothing is painted. */
bool picture_paint(term *t, const picture_sixel *sixel, int row, int column);

/* One cell of the fallback: two pixels a cell (upper half block), or a shade of gray as a character. With colours but
 * without UTF-8 both halves are equal: a blank on that background. */
typedef struct picture_cell {
    unsigned char top[3], bottom[3];
    char shade;
} picture_cell;
/* cells: rows * columns, owned by the caller; *used_columns, *used_rows: the part that the picture takes. */
bool picture_cells(const cpl_image *image, const term_caps *caps, int columns, int rows, picture_cell *cells,
                   int *used_columns, int *used_rows);
int picture_xterm256(const unsigned char rgb[3]); /* nearest of the 6x6x6 cube and the greys */
/* Nearest of the first 8 or 16 colours. With no more than 16, picture_cells gives just these colours, dithered. */
int picture_ansi(const unsigned char rgb[3], int colors);
/* Prints to a stream outside ncurses (couplet show, map): sixel or coloured half blocks or ASCII by caps. */
bool picture_print(const cpl_image *image, const term_caps *caps, int columns, int rows, char **out, size_t *size,
                   cpl_error *error);

/* Encodes off the UI thread: hand a picture in, poll `fd`, take the sixel out. A newer picture replaces a waiting one. */
typedef struct picture_encoder picture_encoder;
picture_encoder *picture_encoder_new(cpl_error *error);
void picture_encoder_free(picture_encoder *encoder);
int picture_encoder_fd(const picture_encoder *encoder);
bool picture_encoder_put(picture_encoder *encoder, const cpl_image *image, int width_px, int height_px, int colors,
                         bool diffuse, uint64_t tag);
bool picture_encoder_take(picture_encoder *encoder, picture_sixel *sixel, uint64_t *tag);

#endif
