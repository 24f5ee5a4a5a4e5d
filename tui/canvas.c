/* canvas.c: regions to cells and back. No terminal here, and no change to the layout. */
#include "canvas.h"

#include <math.h>
#include <string.h>

#define LABEL_ROWS 3
#define NARROW_LABEL 16 /* columns: with less, words need more rows */
#define NARROW_ROWS 5
#define FINEST_HOLE 64 /* steps a side that holes are looked for with */
#define MASK_LABEL_COLUMNS 16
#define LABEL_COLUMNS 10 /* with less than this free beside other labels, a label moves down */

typedef canvas_span span;

static int clamp(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

/* ---- Shapes ---- */

static int background_row(const canvas_view *view) {
    if (view->layout->mode == CPL_MODE_ADVANCED || !view->count) return -1;
    if (view->layout->background == CPL_BACKGROUND_FIRST) return 0;
    return view->layout->background == CPL_BACKGROUND_LAST ? view->count - 1 : -1;
}

bool canvas_shape(const canvas_view *view, int row, canvas_rect *rect) {
    const cpl_layout *layout = view->layout;
    int background = background_row(view);
    if (row < 0 || row >= view->count || row == background) return false;
    *rect = (canvas_rect){0, 1, 0, 1};
    if (layout->mode == CPL_MODE_BASIC) {
        int tiles = view->count - (background >= 0);
        double at = row - (background == 0);
        if (layout->direction == CPL_HORIZONTAL)
            rect->x1 = at / tiles, rect->x2 = (at + 1) / tiles;
        else
            rect->y1 = at / tiles, rect->y2 = (at + 1) / tiles;
        return true;
    }
    if (row >= layout->region_count) return false;
    const cpl_region *region = &layout->regions[row];
    if (layout->mode == CPL_MODE_MASK) return region->mask != NULL;
    *rect = (canvas_rect){region->x1, region->x2, region->y1, region->y2};
    return true;
}

int canvas_color(const cpl_layout *layout, int row) {
    if (row < layout->region_count && layout->regions[row].color >= 0) return layout->regions[row].color & 15;
    return row & 15;
}

static double weight_of(const canvas_view *view, int row) {
    if (row == background_row(view)) return fmax(view->layout->background_weight, 0.1);
    return row < view->layout->region_count ? view->layout->regions[row].weight : 1;
}

int canvas_whole_columns(const canvas_view *view) {
    return view->whole_columns > view->columns ? view->whole_columns : view->columns;
}

int canvas_whole_rows(const canvas_view *view) { return view->whole_rows > view->rows ? view->whole_rows : view->rows; }

span canvas_cells_of(const canvas_view *view, canvas_rect rect) {
    int columns = canvas_whole_columns(view), rows = canvas_whole_rows(view);
    span s = {(int)lround(rect.x1 * columns), (int)lround(rect.x2 * columns), (int)lround(rect.y1 * rows),
              (int)lround(rect.y2 * rows)};
    /* However thin a region is, one cell of it stays visible and can be grabbed. */
    s.c0 = clamp(s.c0, 0, columns - 1);
    s.r0 = clamp(s.r0, 0, rows - 1);
    s.c1 = clamp(s.c1, s.c0 + 1, columns);
    s.r1 = clamp(s.r1, s.r0 + 1, rows);
    return (span){s.c0 - view->left, s.c1 - view->left, s.r0 - view->top, s.r1 - view->top};
}

/* What of it is seen. */
static span seen(const canvas_view *view, span s) {
    return (span){clamp(s.c0, 0, view->columns), clamp(s.c1, 0, view->columns), clamp(s.r0, 0, view->rows),
                  clamp(s.r1, 0, view->rows)};
}

static bool inside(span s, int column, int row) { return column >= s.c0 && column < s.c1 && row >= s.r0 && row < s.r1; }

/* A painted region at a cell: its mask's grey there, 0..1; rectangles and tiles are there wholly or not. */
static double presence(const canvas_view *view, int row, span s, int column, int line) {
    if (!inside(s, column, line)) return 0;
    if (view->layout->mode != CPL_MODE_MASK) return 1;
    const cpl_mask *mask = view->layout->regions[row].mask;
    int width = cpl_mask_width(mask), height = cpl_mask_height(mask);
    int x = (int)((column + view->left + 0.5) / canvas_whole_columns(view) * width);
    int y = (int)((line + view->top + 0.5) / canvas_whole_rows(view) * height);
    return cpl_mask_pixels(mask)[(size_t)clamp(y, 0, height - 1) * (size_t)width + (size_t)clamp(x, 0, width - 1)] /
           255.0;
}

void canvas_fit(int width_px, int height_px, int cell_width, int cell_height, int pane_columns, int pane_rows,
                int *columns, int *rows) {
    if (width_px < 1 || height_px < 1) width_px = height_px = 1;
    double across = (double)width_px / cell_width, down = (double)height_px / cell_height;
    double scale = fmin(pane_columns / across, pane_rows / down);
    *columns = clamp((int)lround(across * scale), 1, pane_columns > 0 ? pane_columns : 1);
    *rows = clamp((int)lround(down * scale), 1, pane_rows > 0 ? pane_rows : 1);
}

/* ---- Raster ---- */

typedef struct sums {
    double weight, rgb[3];
} sums;

static void add_cover(canvas_cell *cell, sums *sum, const unsigned char rgb[3], double weight, bool background,
                      bool selected) {
    if (weight <= 0) return;
    if (background)
        cell->background = true;
    else
        cell->covers++;
    cell->selected |= selected;
    sum->weight += weight;
    for (int c = 0; c < 3; c++) sum->rgb[c] += weight * rgb[c];
}

static void cover_cell(const canvas_view *view, const unsigned char palette[16][3], canvas_cell *cell, int column,
                       int row) {
    sums sum = {0};
    int background = background_row(view);
    for (int r = 0; r < view->count; r++) {
        canvas_rect rect = {0, 1, 0, 1};
        if (r != background && !canvas_shape(view, r, &rect)) continue;
        double there = r == background ? 1 : presence(view, r, canvas_cells_of(view, rect), column, row);
        if (there <= 0) continue;
        add_cover(cell, &sum, palette[canvas_color(view->layout, r)], there * weight_of(view, r), r == background,
                  r == view->selected && r != background);
    }
    for (int c = 0; c < 3 && sum.weight > 0; c++) cell->rgb[c] = (unsigned char)(sum.rgb[c] / sum.weight);
}

/* Grid lines that would stand too close are thinned out: the dots are for orientation. */
static int shown_step(int step, int cells, int spacing) {
    while (step > 2 && cells < step * spacing) step /= 2;
    return step;
}

/* A point where a grid column and a grid row meet, in the first cell that lies on them. */
static bool grid_line(int cell, int cells, int step) {
    return cell > 0 && (long)cell * step / cells != (long)(cell - 1) * step / cells;
}

static void put_line(const canvas_view *view, canvas_cell *cells, int column, int row, unsigned lines, int region) {
    if (column < 0 || row < 0 || column >= view->columns || row >= view->rows) return;
    canvas_cell *cell = &cells[row * view->columns + column];
    cell->lines = (unsigned char)lines;
    cell->border = (short)region;
}

static void draw_border(const canvas_view *view, canvas_cell *cells, int region) {
    canvas_rect rect;
    if (view->layout->mode == CPL_MODE_MASK || !canvas_shape(view, region, &rect)) return;
    span s = canvas_cells_of(view, rect);
    if (s.c1 - s.c0 < 2 || s.r1 - s.r0 < 2) { /* no room for a frame: a stroke */
        unsigned stroke = s.c1 - s.c0 < s.r1 - s.r0 ? CANVAS_UP | CANVAS_DOWN : CANVAS_LEFT | CANVAS_RIGHT;
        for (int r = s.r0; r < s.r1; r++)
            for (int c = s.c0; c < s.c1; c++) put_line(view, cells, c, r, stroke, region);
        return;
    }
    for (int c = s.c0 + 1; c < s.c1 - 1; c++) {
        put_line(view, cells, c, s.r0, CANVAS_LEFT | CANVAS_RIGHT, region);
        put_line(view, cells, c, s.r1 - 1, CANVAS_LEFT | CANVAS_RIGHT, region);
    }
    for (int r = s.r0 + 1; r < s.r1 - 1; r++) {
        put_line(view, cells, s.c0, r, CANVAS_UP | CANVAS_DOWN, region);
        put_line(view, cells, s.c1 - 1, r, CANVAS_UP | CANVAS_DOWN, region);
    }
    put_line(view, cells, s.c0, s.r0, CANVAS_DOWN | CANVAS_RIGHT, region);
    put_line(view, cells, s.c1 - 1, s.r0, CANVAS_DOWN | CANVAS_LEFT, region);
    put_line(view, cells, s.c0, s.r1 - 1, CANVAS_UP | CANVAS_RIGHT, region);
    put_line(view, cells, s.c1 - 1, s.r1 - 1, CANVAS_UP | CANVAS_LEFT, region);
}

/* Where a mask's label can stand: the first row with room for some words, else the widest part. No columns: the mask is
 * empty. */
static span painted_span(const canvas_view *view, int region) {
    span whole = {0, view->columns, 0, view->rows}, best = {0, 0, 0, 0};
    for (int r = 0; r < view->rows && best.c1 - best.c0 < MASK_LABEL_COLUMNS; r++)
        for (int c = 0, end; c < view->columns; c = end + 1) {
            for (end = c; end < view->columns && presence(view, region, whole, end, r) > 0.5;) end++;
            if (end - c > best.c1 - best.c0) best = (span){c, end, r, r + 1};
        }
    return best.c1 - best.c0 > 2 || best.c1 == best.c0 ? best : whole;
}

/* How many of `columns` are free of other labels, from the left. */
static int free_columns(const canvas_label *labels, int count, int row, int column, int columns) {
    for (int i = 0; i < count; i++) {
        const canvas_label *l = &labels[i];
        if (row < l->row || row >= l->row + l->rows || l->column + l->columns <= column) continue;
        if (l->column - column < columns) columns = l->column > column ? l->column - column : 0;
    }
    return columns;
}

/* What a label may take: narrow ones as much as their words want, since more would push others away. */
static int rows_wanted(const canvas_view *view, int region, int room) {
    const char *prompt = region < view->layout->region_count ? view->layout->regions[region].prompt : NULL;
    if (room >= NARROW_LABEL || !prompt) return LABEL_ROWS;
    int rows = (int)strnlen(prompt, 1000) / (room > 1 ? room - 1 : 1) + 2;
    return clamp(rows, LABEL_ROWS, NARROW_ROWS);
}

/* A label stands at the top left inside its region, lower where another label stands already. */
static bool place_label(const canvas_view *view, int region, const canvas_label *labels, int count,
                        canvas_label *label) {
    canvas_rect rect;
    if (!canvas_shape(view, region, &rect)) return false;
    bool painted = view->layout->mode == CPL_MODE_MASK;
    span s = painted ? painted_span(view, region) : canvas_cells_of(view, rect);
    span part = seen(view, s);
    if (part.c0 >= part.c1 || part.r0 >= part.r1) return false;
    int margin = !painted && s.c1 - s.c0 >= 4, above = !painted && s.r1 - s.r0 >= 3;
    int column = part.c0 + (margin && part.c0 == s.c0), columns = part.c1 - (margin && part.c1 == s.c1) - column;
    int last = part.r1 - (above && part.r1 == s.r1), least = columns < LABEL_COLUMNS ? columns : LABEL_COLUMNS;
    for (int row = part.r0 + (above && part.r0 == s.r0); row < last && columns > 0; row++) {
        int room = free_columns(labels, count, row, column, columns);
        if (room < least) continue;
        int rows = 1, most = rows_wanted(view, region, room);
        while (row + rows < last && rows < most && free_columns(labels, count, row + rows, column, columns) >= room)
            rows++;
        *label = (canvas_label){region, row, column, room, rows};
        return true;
    }
    return false;
}

int canvas_raster(const canvas_view *view, const unsigned char palette[16][3], canvas_cell *cells,
                  canvas_label *labels) {
    memset(cells, 0, sizeof *cells * (size_t)view->columns * (size_t)view->rows);
    int columns = canvas_whole_columns(view), rows = canvas_whole_rows(view);
    int across = shown_step(view->step, columns, 3);
    int down = shown_step(view->step_down ? view->step_down : view->step, rows, 2);
    for (int row = 0; row < view->rows; row++)
        for (int column = 0; column < view->columns; column++) {
            canvas_cell *cell = &cells[row * view->columns + column];
            cell->border = -1;
            cell->grid = grid_line(column + view->left, columns, across) && grid_line(row + view->top, rows, down);
            cover_cell(view, palette, cell, column, row);
        }
    for (int r = 0; r < view->count; r++)
        if (r != view->selected) draw_border(view, cells, r);
    draw_border(view, cells, view->selected);
    /* The selected region's label finds its place first, small regions before those that lie around them. */
    int count = 0;
    if (view->selected >= 0 && place_label(view, view->selected, labels, count, &labels[count])) count++;
    for (int r = view->count - 1; r >= 0; r--)
        if (r != view->selected && place_label(view, r, labels, count, &labels[count])) count++;
    return count;
}

/* ---- Mouse ---- */

static unsigned edges_at(span s, int column, int row) {
    unsigned edges = 0;
    /* A region of one or two cells is all border: there the body wins, or it could not be moved. */
    if (s.c1 - s.c0 > 2) edges |= column == s.c0 ? CANVAS_LEFT : column == s.c1 - 1 ? CANVAS_RIGHT : 0u;
    if (s.r1 - s.r0 > 2) edges |= row == s.r0 ? CANVAS_UP : row == s.r1 - 1 ? CANVAS_DOWN : 0u;
    return edges;
}

canvas_hit canvas_at(const canvas_view *view, int column, int row) {
    canvas_hit hit = {-1, 0};
    double smallest = 2;
    for (int r = 0; r < view->count; r++) {
        canvas_rect rect;
        if (!canvas_shape(view, r, &rect)) continue;
        span s = canvas_cells_of(view, rect);
        if (presence(view, r, s, column, row) <= 0) continue;
        unsigned edges = view->layout->mode == CPL_MODE_ADVANCED ? edges_at(s, column, row) : 0;
        double area = (rect.x2 - rect.x1) * (rect.y2 - rect.y1);
        /* An edge of the selected region can always be grabbed; else what lies inside of others comes first. */
        if (r == view->selected && edges) return (canvas_hit){r, edges};
        if (area < smallest || (area <= smallest && r == view->selected)) {
            smallest = area;
            hit = (canvas_hit){r, edges};
        }
    }
    return hit;
}

static double snap(double value, int step) { return round(value * step) / step; }

/* Sums of fractions leave dust (0.1 + 0.2) that would stand in the file for ever: binary, third and percent values are
 * given back their nearest double. */
double canvas_tidy(double value) {
    double near = round(value * 76800) / 76800;
    return fabs(value - near) < 1e-9 ? near : value;
}

canvas_rect canvas_drag_on(canvas_rect start, unsigned edges, double dx, double dy, int step, int step_down) {
    canvas_rect r = start;
    if (!edges) {
        double width = start.x2 - start.x1, height = start.y2 - start.y1;
        double x1 = fmin(fmax(snap(start.x1 + dx, step), 0), canvas_tidy(1 - width));
        double y1 = fmin(fmax(snap(start.y1 + dy, step_down), 0), canvas_tidy(1 - height));
        /* Against an edge nothing moves, not even the last digit. */
        if (dx != 0 && fabs(x1 - start.x1) > 1e-9) r.x1 = x1, r.x2 = canvas_tidy(x1 + width);
        if (dy != 0 && fabs(y1 - start.y1) > 1e-9) r.y1 = y1, r.y2 = canvas_tidy(y1 + height);
        return r;
    }
    double least = 1.0 / step, least_down = 1.0 / step_down;
    if (edges & CANVAS_LEFT) r.x1 = fmin(fmax(snap(start.x1 + dx, step), 0), fmax(start.x2 - least, 0));
    if (edges & CANVAS_RIGHT) r.x2 = fmax(fmin(snap(start.x2 + dx, step), 1), fmin(start.x1 + least, 1));
    if (edges & CANVAS_UP) r.y1 = fmin(fmax(snap(start.y1 + dy, step_down), 0), fmax(start.y2 - least_down, 0));
    if (edges & CANVAS_DOWN) r.y2 = fmax(fmin(snap(start.y2 + dy, step_down), 1), fmin(start.y1 + least_down, 1));
    return r;
}

canvas_rect canvas_drag(canvas_rect start, unsigned edges, double dx, double dy, int step) {
    return canvas_drag_on(start, edges, dx, dy, step, step);
}

bool canvas_hole(const canvas_view *view, canvas_rect *hole) {
    int step = view->step > 0 ? view->step < FINEST_HOLE ? view->step : FINEST_HOLE : 16;
    bool found = false;
    for (int row = 0; row < step; row++)
        for (int column = 0; column < step; column++) {
            bool covered = false;
            double x = (column + 0.5) / step, y = (row + 0.5) / step;
            for (int r = 0; r < view->count && !covered; r++) {
                canvas_rect rect;
                covered = canvas_shape(view, r, &rect) && weight_of(view, r) > 0 && x >= rect.x1 && x < rect.x2 &&
                          y >= rect.y1 && y < rect.y2;
            }
            if (covered) continue;
            double x1 = (double)column / step, x2 = (column + 1.0) / step, y1 = (double)row / step,
                   y2 = (row + 1.0) / step;
            if (!found) *hole = (canvas_rect){x1, x2, y1, y2};
            found = true;
            *hole = (canvas_rect){fmin(hole->x1, x1), fmax(hole->x2, x2), fmin(hole->y1, y1), fmax(hole->y2, y2)};
        }
    return found;
}
