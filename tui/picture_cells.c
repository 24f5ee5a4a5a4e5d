/* picture_cells.c: a picture as character cells, for terminals without sixel: two pixels a cell in the colours there are,
 * or shades of ASCII. Decides on pixels only; who draws them chooses the escape sequences. */
#include "picture_private.h"

#include <stdlib.h>
#include <string.h>

/* xterm's colours: other terminals differ a little, which dithering forgives. */
static const unsigned char ANSI[16][3] = {
    {0, 0, 0},     {205, 0, 0},     {0, 205, 0},     {205, 205, 0},   {0, 0, 238}, {205, 0, 205},
    {0, 205, 205}, {229, 229, 229}, {127, 127, 127}, {255, 0, 0},     {0, 255, 0}, {255, 255, 0},
    {92, 92, 255}, {255, 0, 255},   {0, 255, 255},   {255, 255, 255},
};
static const unsigned char CUBE[6] = {0, 95, 135, 175, 215, 255};
static const char SHADES[] = " .:-=+*#%@";
static const int BAYER[4][4] = {{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};

/* By plain distance the nearest of few colours is nearly always a grey, and a picture loses what it shows: hue counts for
 * more than lightness here. */
static int distance(const unsigned char a[3], const unsigned char b[3]) {
    int dr = a[0] - b[0], dg = a[1] - b[1], db = a[2] - b[2];
    int light = (2 * dr + 5 * dg + db) / 8, red = dr - light, blue = db - light;
    return light * light + 2 * red * red + blue * blue;
}

static int cube_step(int value) {
    int best = 0;
    for (int i = 1; i < 6; i++)
        if (abs(value - CUBE[i]) < abs(value - CUBE[best])) best = i;
    return best;
}

int picture_xterm256(const unsigned char rgb[3]) {
    int r = cube_step(rgb[0]), g = cube_step(rgb[1]), b = cube_step(rgb[2]);
    int mean = (rgb[0] + rgb[1] + rgb[2]) / 3, grey = mean < 8 ? 0 : mean > 238 ? 23 : (mean - 3) / 10;
    unsigned char level = (unsigned char)(8 + 10 * grey), greys[3] = {level, level, level};
    unsigned char cube[3] = {CUBE[r], CUBE[g], CUBE[b]};
    bool use_grey = distance(rgb, greys) < distance(rgb, cube);
    return use_grey ? 232 + grey : 16 + 36 * r + 6 * g + b;
}

int picture_ansi(const unsigned char rgb[3], int colors) {
    int best = 0, best_distance = distance(rgb, ANSI[0]);
    for (int i = 1; i < (colors >= 16 ? 16 : 8); i++) {
        int d = distance(rgb, ANSI[i]);
        if (d >= best_distance) continue;
        best = i;
        best_distance = d;
    }
    return best;
}

/* Ordered dithering: stable from frame to frame, where error diffusion would crawl. */
static void dither(unsigned char *rgb, int x, int y, int colors) {
    int offset = (BAYER[y & 3][x & 3] * 2 - 15) * (colors >= 16 ? 2 : 4);
    unsigned char moved[3];
    for (int c = 0; c < 3; c++) {
        int value = rgb[c] + offset;
        moved[c] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
    memcpy(rgb, ANSI[picture_ansi(moved, colors)], 3);
}

static void fit_cells(const cpl_image *image, const term_caps *caps, int columns, int rows, int *used_columns,
                      int *used_rows) {
    int64_t cell_w = caps->cell_width > 0 ? caps->cell_width : 10,
            cell_h = caps->cell_height > 0 ? caps->cell_height : 20;
    int64_t room_w = columns * cell_w, room_h = rows * cell_h, w = image->width, h = image->height;
    if (room_w * h <= room_h * w) { /* as wide as there is room */
        *used_columns = columns;
        *used_rows = (int)((2 * room_w * h + w * cell_h) / (2 * w * cell_h));
    } else {
        *used_rows = rows;
        *used_columns = (int)((2 * room_h * w + h * cell_w) / (2 * h * cell_w));
    }
    if (*used_columns < 1) *used_columns = 1;
    if (*used_rows < 1) *used_rows = 1;
    if (*used_columns > columns) *used_columns = columns;
    if (*used_rows > rows) *used_rows = rows;
}

static void set_cell(picture_cell *cell, unsigned char *top, unsigned char *bottom, int x, int y,
                     const term_caps *caps) {
    int luma = 0;
    for (int c = 0; c < 3; c++) {
        static const int WEIGHT[3] = {54, 183, 19};
        luma += (top[c] + bottom[c]) * WEIGHT[c];
    }
    cell->shade = SHADES[(luma / 512 * ((int)sizeof SHADES - 2) + 127) / 255];
    if (caps->colors && !caps->utf8)
        for (int c = 0; c < 3; c++) top[c] = bottom[c] = (unsigned char)((top[c] + bottom[c]) / 2);
    if (caps->colors && caps->colors <= 16) {
        dither(top, x, caps->utf8 ? 2 * y : y, caps->colors);
        dither(bottom, x, caps->utf8 ? 2 * y + 1 : y, caps->colors);
    }
    memcpy(cell->top, top, 3);
    memcpy(cell->bottom, bottom, 3);
}

bool picture_cells(const cpl_image *image, const term_caps *caps, int columns, int rows, picture_cell *cells,
                   int *used_columns, int *used_rows) {
    *used_columns = *used_rows = 0;
    if (columns < 1 || rows < 1) return true;
    fit_cells(image, caps, columns, rows, used_columns, used_rows);
    cpl_image *small = picture_scale(image, *used_columns, *used_rows * 2);
    if (!small) return false;
    size_t stride = (size_t)*used_columns * 3;
    for (int y = 0; y < *used_rows; y++) {
        for (int x = 0; x < *used_columns; x++) {
            unsigned char *top = small->rgb + (size_t)(2 * y) * stride + (size_t)x * 3;
            set_cell(&cells[y * columns + x], top, top + stride, x, y, caps);
        }
    }
    cpl_image_free(small);
    return true;
}
