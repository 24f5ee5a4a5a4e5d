/* canvas.h: a layout's regions as cells: what covers each cell, where borders and labels stand, what the mouse hits.
 * Pure; editor_draw.c gives the cells their colours. */
#ifndef TUI_CANVAS_H
#define TUI_CANVAS_H

#include "../core/couplet.h"

typedef struct canvas_view {
    const cpl_layout *layout;
    int count;         /* rows to show; more than layout->region_count where one prompt text makes the lines */
    int selected;      /* row, or -1 */
    int step;          /* grid steps a side */
    int columns, rows; /* cells of the drawing */
    int step_down;     /* grid steps from top to bottom; 0: as `step` */
    /* Of an enlarged drawing only a part is seen: its whole size in cells (0: no more than is seen) and what lies before. */
    int whole_columns, whole_rows, left, top;
} canvas_view;

typedef struct canvas_rect {
    double x1, x2, y1, y2;
} canvas_rect;
/* Where row `row` lies in the layout's mode. False: it has no shape of its own (background line, no such row). */
bool canvas_shape(const canvas_view *view, int row, canvas_rect *rect);
int canvas_color(const cpl_layout *layout, int row); /* palette entry of a row */
/* The cells of a row's shape, ends excluded; of an enlarged drawing they may lie outside of what is seen. */
typedef struct canvas_span {
    int c0, c1, r0, r1;
} canvas_span;
canvas_span canvas_cells_of(const canvas_view *view, canvas_rect rect);
/* The canvas in cells: what a drawing of `columns` * `rows` cells shows of it, the whole if it is not enlarged. */
int canvas_whole_columns(const canvas_view *view);
int canvas_whole_rows(const canvas_view *view);

/* The largest columns * rows that keeps the canvas's proportions in a pane. */
void canvas_fit(int width_px, int height_px, int cell_width, int cell_height, int pane_columns, int pane_rows,
                int *columns, int *rows);

enum { CANVAS_UP = 1, CANVAS_DOWN = 2, CANVAS_LEFT = 4, CANVAS_RIGHT = 8 };

typedef struct canvas_cell {
    int covers;           /* regions with a weight here, the background line not counted */
    bool background;      /* the background line is here */
    bool selected;        /* the selected region is here */
    bool grid;            /* a grid point */
    unsigned char rgb[3]; /* of what covers it, mixed by weight */
    unsigned char lines;  /* the border that runs through: CANVAS_UP... */
    short border;         /* whose border: row, or -1 */
} canvas_cell;

typedef struct canvas_label {
    int region, row, column, columns, rows;
} canvas_label; /* room for its text, in cells */

/* cells: view->columns * view->rows; labels: room for view->count. Returns how many labels there are. */
int canvas_raster(const canvas_view *view, const unsigned char palette[16][3], canvas_cell *cells,
                  canvas_label *labels);

typedef struct canvas_hit {
    int region;     /* -1: nothing there */
    unsigned edges; /* CANVAS_UP... of the edges that are grabbed; 0: the body */
} canvas_hit;
canvas_hit canvas_at(const canvas_view *view, int column, int row);

/* `start` moved (edges 0) or stretched by dx, dy of the canvas; the parts that change snap to 1/step, stay inside 0..1 and
 * never turn over. */
canvas_rect canvas_drag(canvas_rect start, unsigned edges, double dx, double dy, int step);
/* The same on a grid whose steps differ: the model's latent grid of a canvas that is no square. */
canvas_rect canvas_drag_on(canvas_rect start, unsigned edges, double dx, double dy, int step, int step_down);

/* Sums of fractions without the dust in their last digits. */
double canvas_tidy(double value);

/* The bounding box of what no region covers, on a grid of `step`. False: everything is covered. */
bool canvas_hole(const canvas_view *view, canvas_rect *hole);

#endif
