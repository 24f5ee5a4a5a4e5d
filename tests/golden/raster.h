/* raster.h: a plain pixel rasteriser of layouts, written from the rules and sharing no code with core/layout. It is
 * compared with recorded masks, and the closed form that the engine uses is compared with it. */
#ifndef TESTS_GOLDEN_RASTER_H
#define TESTS_GOLDEN_RASTER_H

#include "../../core/couplet.h"

typedef struct raster {
    int width, height, lines;
    float *raw, *norm; /* [lines (+ 1 in norm where a hole is filled)][height][width]; owned */
    int norm_lines;
    bool full; /* no pixel without weight */
} raster;

raster raster_make(const cpl_layout *layout, int width, int height, int lines, bool fill);
void raster_free(raster *r);
/* The value that token (x, y) of a w * h grid takes from line `line`. */
float raster_token(const raster *r, int line, int x, int y, int w, int h);

#endif
