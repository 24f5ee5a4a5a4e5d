/* shapes.h: the unnormalised masks of a layout's lines, as formulas over canvas pixels. Nothing is rasterised: whoever
 * needs values names the pixel columns and rows it wants, and gets them row by row. */
#ifndef CPL_LAYOUT_SHAPES_H
#define CPL_LAYOUT_SHAPES_H

#include "../memory/error.h"

typedef enum cpl_shape_kind { CPL_SHAPE_NONE, CPL_SHAPE_WHOLE, CPL_SHAPE_RECT, CPL_SHAPE_PAINTED } cpl_shape_kind;

typedef struct cpl_shape {
    cpl_shape_kind kind;
    float weight;
    int x0, x1, y0, y1;   /* RECT: pixels [x0, x1) * [y0, y1); may be empty */
    int soft_x, soft_y;   /* feather: the mask is averaged over 2 * soft + 1 pixels each way, 0 = hard edge */
    const cpl_mask *mask; /* PAINTED; borrowed from the layout */
} cpl_shape;

/* One shape a line; `lines` is how many there are (in basic mode they decide the tiles). Rows out of range are cut to it,
 * so that an unfinished layout can be drawn. Caller frees. */
cpl_shape *cpl_shapes_new(const cpl_layout *layout, int width, int height, int lines, cpl_error *error);

/* Reads a shape at the canvas columns xs[w], for rows that only go down. */
typedef struct cpl_shape_reader cpl_shape_reader;
cpl_shape_reader *cpl_shape_open(const cpl_shape *shape, int width, int height, const int *xs, int w, cpl_error *error);
void cpl_shape_close(cpl_shape_reader *reader);
void cpl_shape_row(cpl_shape_reader *reader, int y, float *out); /* out[w]; y is not less than in the call before */

/* Which part of the canvas has a sum above zero. */
typedef struct cpl_cover {
    double share;       /* 0..1 */
    int x0, x1, y0, y1; /* box around all that is uncovered, in pixels */
} cpl_cover;
bool cpl_shapes_cover(const cpl_shape *shapes, int count, int width, int height, cpl_cover *cover, cpl_error *error);

/* Forge Couple's nearest sampling: the canvas pixel that cell i of n takes; single precision on purpose. */
int cpl_sample_pixel(int i, int n, int size);

#endif
