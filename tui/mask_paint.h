/* mask_paint.h: painting into a mask: brush, rectangle, flood fill. Places are fractions of the canvas, so that a mask may
 * have any size. Pure: knows neither layouts nor the screen. */
#ifndef TUI_MASK_PAINT_H
#define TUI_MASK_PAINT_H

#include "canvas.h"

typedef struct mask_paint {
    int width, height;
    unsigned char *grey; /* owned: width * height, 0 outside, 255 inside */
} mask_paint;

/* A copy of `mask`, or where it is NULL an empty one that suits a canvas of that many pixels. */
bool mask_paint_start(mask_paint *p, const cpl_mask *mask, int canvas_width, int canvas_height, cpl_error *error);
void mask_paint_clear(mask_paint *p);
/* Each returns whether a pixel changed. The rectangle covers at least one pixel. */
bool mask_paint_rect(mask_paint *p, canvas_rect where, unsigned char value);
bool mask_paint_disc(mask_paint *p, canvas_rect around, unsigned char value); /* the ellipse inside the rectangle */
/* The area of equal pixels (below 128 or not) that holds the point. */
bool mask_paint_fill(mask_paint *p, double x, double y, unsigned char value);
bool mask_paint_invert(mask_paint *p);

#endif
