/* editor_draw_canvas.c: the canvas pane: regions as coloured, numbered boxes with their prompts. */
#include "editor_ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AREA 95 /* the strongest of red, green and blue in a region's area */
#define AREA_SELECTED 135
#define AREA_LIGHT 60 /* the same for what a light area lacks to white */
#define AREA_LIGHT_SELECTED 85
#define PURITY 0.85
#define PURITY_24_BIT 0.25

static bool filled(const editor *e) { return e->theme.colors >= 256; }

/* The hue of a colour with its strongest part at `strongest`, without the given share of its grey. */
static void tone_down(const unsigned char rgb[3], int strongest, double purity, unsigned char out[3]) {
    int least = 255, most = 1;
    for (int c = 0; c < 3; c++) least = rgb[c] < least ? rgb[c] : least;
    least = (int)(least * purity);
    for (int c = 0; c < 3; c++) most = rgb[c] - least > most ? rgb[c] - least : most;
    for (int c = 0; c < 3; c++) out[c] = (unsigned char)((rgb[c] - least) * strongest / most);
}

/* How far the terminal's nearest colour is from the hue that was meant, whatever its brightness. */
static int hue_error(const theme *t, const unsigned char rgb[3]) {
    unsigned char shown[3];
    int most = 1, most_shown = 1, error = 0;
    for (int c = 0; c < 3; c++) shown[c] = (unsigned char)(t->light ? 255 - rgb[c] : rgb[c]);
    theme_shown(t, shown, shown);
    for (int c = 0; t->light && c < 3; c++) shown[c] = (unsigned char)(255 - shown[c]);
    for (int c = 0; c < 3; c++) most = rgb[c] > most ? rgb[c] : most;
    for (int c = 0; c < 3; c++) most_shown = shown[c] > most_shown ? shown[c] : most_shown;
    for (int c = 0; c < 3; c++) error += abs(255 * rgb[c] / most - 255 * shown[c] / most_shown);
    return error;
}

/* A region's area is a dark tone of its colour. Darkening alone ends in the greys of 256-colour terminals, whose cube has
 * nothing between 0 and 95: so the hue is purified first, and of a few tones the one is taken that the cube meets best. With 24
 * bits the grey stays, which is calmer. On a light terminal all this is done to what a colour lacks to white. */
static void area_color(const theme *t, const unsigned char rgb[3], bool selected, unsigned char out[3]) {
    unsigned char pure[3];
    double purity = t->colors > 256 ? PURITY_24_BIT : PURITY;
    int base = t->light ? selected ? AREA_LIGHT_SELECTED : AREA_LIGHT : selected ? AREA_SELECTED : AREA, best = -1;
    for (int c = 0; c < 3; c++) pure[c] = (unsigned char)(t->light ? 255 - rgb[c] : rgb[c]);
    for (int strongest = base; strongest <= base + 40; strongest += 20) {
        unsigned char tried[3];
        tone_down(pure, strongest, purity, tried);
        int error = hue_error(t, tried);
        if (best >= 0 && error >= best - 40) continue; /* brighter only for a clear gain */
        best = error;
        for (int c = 0; c < 3; c++) out[c] = (unsigned char)(t->light ? 255 - tried[c] : tried[c]);
    }
}

/* Makes the mixtures of the cells the colours of their areas. Neighbours are mostly equal: one look back saves most. */
static void color_areas(const editor *e, canvas_cell *cells, int rows) {
    canvas_cell last = {.covers = -1};
    unsigned char color[3] = {0, 0, 0};
    if (!filled(e)) return;
    for (int i = 0; i < rows * e->canvas_cells.columns; i++) {
        canvas_cell *now = &cells[i];
        bool same = last.covers >= 0 && !memcmp(now->rgb, last.rgb, 3) && now->selected == last.selected;
        if (!same) area_color(&e->theme, now->rgb, now->selected, color);
        last = *now;
        memcpy(now->rgb, color, 3);
    }
}

static void draw_hole(const editor *e, int row, int column) {
    /* With "fill" a hole is no fault any more, only something that another line will paint. */
    bool fault = e->state.layout->uncovered == CPL_UNCOVERED_ERROR;
    const char *mark = theme_glyph(&e->theme, fault ? GLYPH_HOLE : GLYPH_GRID);
    draw_glyph(&e->theme, row, column, theme_ink(&e->theme, fault ? STYLE_HOLE : STYLE_DIM), mark);
}

static void draw_border(const editor *e, const canvas_cell *cell, int row, int column, bool over_image) {
    const unsigned char *color = theme_palette[canvas_color(e->state.layout, cell->border)];
    bool selected = cell->border == e->state.selected;
    unsigned char line[3];
    theme_raise(&e->theme, color, e->theme.light ? selected ? 0.5 : 0.2 : selected ? 0.55 : 0.0, line);
    bool background = over_image || (filled(e) && (cell->covers || cell->background));
    ink with = theme_rgb(&e->theme, filled(e) ? line : color, background ? cell->rgb : NULL, selected);
    draw_glyph(&e->theme, row, column, with, theme_line(&e->theme, cell->lines, selected));
}

static void draw_area(const editor *e, const canvas_cell *cell, int row, int column) {
    unsigned char dot[3];
    const char *mark = cell->grid ? theme_glyph(&e->theme, GLYPH_GRID) : " ";
    if (filled(e)) {
        theme_raise(&e->theme, cell->rgb, 0.3, dot);
        draw_glyph(&e->theme, row, column, theme_rgb(&e->theme, cell->grid ? dot : NULL, cell->rgb, false), mark);
        return;
    }
    /* Without colours to mix, two regions over each other are shown by a pattern, and so are masks, which have no border. */
    bool masks = e->state.layout->mode == CPL_MODE_MASK && cell->covers;
    if (cell->covers > 1)
        mark = theme_glyph(&e->theme, GLYPH_OVERLAP);
    else if (masks)
        mark = theme_glyph(&e->theme, cell->selected ? GLYPH_FULL : GLYPH_PAINTED);
    ink with = !masks || !e->theme.colors ? theme_ink(&e->theme, cell->selected && masks ? STYLE_STRONG : STYLE_DIM)
                                          : theme_rgb(&e->theme, cell->rgb, NULL, cell->selected);
    draw_glyph(&e->theme, row, column, with, mark);
}

static void draw_cells(const editor *e, const canvas_cell *cells) {
    window w = e->canvas_cells;
    for (int r = 0; r < w.rows; r++)
        for (int c = 0; c < w.columns; c++) {
            const canvas_cell *cell = &cells[r * w.columns + c];
            if (cell->border >= 0)
                draw_border(e, cell, w.row + r, w.column + c, false);
            else if (cell->covers || cell->background)
                draw_area(e, cell, w.row + r, w.column + c);
            else
                draw_hole(e, w.row + r, w.column + c);
        }
}

/* Painted masks are shown as fine as they can be painted: two halves a cell, over what draw_cells made. */
static void draw_halves(const editor *e) {
    window w = e->canvas_cells;
    if (e->state.layout->mode != CPL_MODE_MASK || !filled(e) || !e->theme.utf8) return;
    canvas_view view = editor_canvas_view(e, 2);
    canvas_cell *cells = calloc((size_t)w.columns * 2 * (size_t)w.rows, sizeof *cells);
    canvas_label *labels = calloc((size_t)view.count + 1, sizeof *labels);
    if (cells && labels) {
        canvas_raster(&view, theme_palette, cells, labels);
        color_areas(e, cells, 2 * w.rows);
        for (int i = 0; i < w.rows * w.columns; i++) {
            const canvas_cell *top = &cells[i / w.columns * 2 * w.columns + i % w.columns], *bottom = top + w.columns;
            bool above = top->covers || top->background, below = bottom->covers || bottom->background;
            if ((!above && !below) || (above && below && !memcmp(top->rgb, bottom->rgb, 3))) continue;
            ink with = above ? theme_rgb(&e->theme, top->rgb, below ? bottom->rgb : NULL, false)
                             : theme_rgb(&e->theme, bottom->rgb, NULL, false);
            draw_glyph(&e->theme, w.row + i / w.columns, w.column + i % w.columns, with, above ? "▀" : "▄");
        }
    }
    free(labels);
    free(cells);
}

/* The colour of an area over the image under it: both are to be seen. With 256 colours mixtures would end in the few dark
 * ones that there are: rectangles have their borders, and a mask's colour is lighter where the image is. */
static void tint(const editor *e, const unsigned char area[3], const unsigned char image[3], unsigned char out[3]) {
    bool few = e->theme.colors == 256, mask = e->state.layout->mode == CPL_MODE_MASK;
    for (int c = 0; c < 3; c++) {
        int mixed = (area[c] * 35 + image[c] * 65) / 100;
        int lit = area[c] * (60 + image[c] * 3 / 4) / 100;
        out[c] = (unsigned char)(!few ? mixed : !mask ? image[c] : lit > 255 ? 255 : lit);
    }
}

/* Two pixels a cell, in the areas and the holes; borders and labels are drawn over it. The cells get the colour that is
 * under what is drawn next. */
static void draw_backdrop(editor *e, canvas_cell *cells) {
    static const unsigned char hatch[3] = {215, 95, 95};
    window w = e->canvas_cells;
    if (!e->backdrop.image || !filled(e)) return;
    for (int i = 0; i < w.rows * w.columns; i++) {
        canvas_cell *cell = &cells[i];
        int row = i / w.columns, column = i % w.columns;
        unsigned char image[2][3], shown[2][3];
        bool covered = cell->covers || cell->background;
        if (!editor_backdrop_at(e, column, 2 * row, image[0]) || !editor_backdrop_at(e, column, 2 * row + 1, image[1]))
            return;
        for (int h = 0; h < 2; h++) {
            memcpy(shown[h], image[h], 3);
            if (covered) tint(e, cell->rgb, image[h], shown[h]);
        }
        for (int c = 0; c < 3; c++) cell->rgb[c] = (unsigned char)((shown[0][c] + shown[1][c]) / 2);
        bool fault = !covered && e->state.layout->uncovered == CPL_UNCOVERED_ERROR && (row + column) % 2;
        if (cell->border >= 0)
            draw_border(e, cell, w.row + row, w.column + column, true);
        else if (fault)
            draw_glyph(&e->theme, w.row + row, w.column + column, theme_rgb(&e->theme, hatch, cell->rgb, false),
                       theme_glyph(&e->theme, GLYPH_HOLE));
        else if (e->theme.utf8)
            draw_glyph(&e->theme, w.row + row, w.column + column, theme_rgb(&e->theme, shown[0], shown[1], false),
                       theme_glyph(&e->theme, GLYPH_HALF));
        else
            draw_glyph(&e->theme, w.row + row, w.column + column, theme_rgb(&e->theme, NULL, cell->rgb, false), " ");
    }
}

/* Text over cells of different colours: each character keeps the area's colour under it. */
static void draw_over(const editor *e, const canvas_cell *cells, int row, int column, const char *text, size_t size,
                      bool bold) {
    static const unsigned char letters[2][3] = {{240, 240, 240}, {24, 24, 28}};
    window w = e->canvas_cells;
    int width;
    for (size_t step; size && (step = text_next(text, &width)); column += width) {
        char one[32];
        if (step > size || step >= sizeof one || column + width > w.columns) return;
        memcpy(one, text, step);
        one[step] = '\0';
        const unsigned char *area = cells[row * w.columns + column].rgb;
        ink with = filled(e) ? theme_rgb(&e->theme, letters[e->theme.light], area, bold)
                             : theme_ink(&e->theme, bold ? STYLE_STRONG : STYLE_TEXT);
        draw_text(&e->theme, w.row + row, w.column + column, width, with, one);
        text += step;
        size -= step;
    }
}

/* How much of `text` goes on a line of `columns`: whole words, unless one is longer than the line. */
static size_t line_of(const char *text, int columns) {
    size_t fits = text_fit(text, columns, NULL);
    if (!text[fits] || text[fits] == ' ') return fits;
    size_t word = fits;
    while (word > 0 && text[word] != ' ') word--;
    return word ? word : fits;
}

/* No token of some attention grid lies inside: the region has no say there. */
static bool too_thin(const editor *e, int region) {
    const cpl_line_info *line = editor_line_info(e, region);
    return line && line->vanishes;
}

/* Behind the number, or below it where the region is that thin. */
static void draw_thin_mark(const editor *e, const canvas_label *label, int used) {
    window w = e->canvas_cells;
    bool behind = used < label->columns;
    if (!behind && label->rows < 2) return;
    draw_glyph(&e->theme, w.row + label->row + !behind, w.column + label->column + (behind ? used : 0),
               theme_ink(&e->theme, STYLE_BAR_WARNING), theme_glyph(&e->theme, GLYPH_WARNING));
}

static void draw_label(const editor *e, const canvas_cell *cells, const canvas_label *label) {
    static const unsigned char black[3] = {0, 0, 0}, white[3] = {255, 255, 255};
    window w = e->canvas_cells;
    const unsigned char *color = theme_palette[canvas_color(e->state.layout, label->region)];
    bool selected = label->region == e->state.selected;
    char number[16];
    bool marked = label->region < CPL_MAX_REGIONS && e->state.marked[label->region];
    snprintf(number, sizeof number, label->columns >= 3 + (label->region >= 9) ? marked ? "*%d " : " %d " : "%d",
             label->region + 1);
    unsigned char chip[3];
    bool inverse = e->theme.light && selected;
    theme_raise(&e->theme, color, inverse ? 0.25 : selected ? 0.35 : 0, chip);
    ink with =
        filled(e) ? theme_rgb(&e->theme, inverse ? white : black, chip, true) : theme_rgb(&e->theme, color, NULL, true);
    if (!filled(e) && selected) with = theme_ink(&e->theme, STYLE_CURSOR);
    int used = draw_text(&e->theme, w.row + label->row, w.column + label->column, label->columns, with, number);
    bool thin = too_thin(e, label->region);
    if (thin) draw_thin_mark(e, label, used);
    if (thin && used < label->columns) used++;
    const char *text = state_prompt(&e->state, label->region);
    for (int r = 0; r < label->rows && *text; r++) {
        int at = r && label->columns < 16 ? 1 : used + 1, room = label->columns - at;
        bool last = r == label->rows - 1;
        size_t size = last ? text_fit(text, room, NULL) : line_of(text, room);
        bool cut = last && text[size];
        /* A wide character must not stand half under the ellipsis. */
        if (cut) size = text_fit(text, room - 1, NULL);
        if (room < 3 || !size) continue;
        if (!r) draw_over(e, cells, label->row, label->column + used, " ", 1, false);
        draw_over(e, cells, label->row + r, label->column + at, text, size, selected);
        if (cut)
            draw_over(e, cells, label->row + r, label->column + label->columns - 1, theme_glyph(&e->theme, GLYPH_MORE),
                      strlen(theme_glyph(&e->theme, GLYPH_MORE)), selected);
        text += size;
        /* The comma of a word as wide as the line would stand on the next one by itself. */
        if (*text && strchr(",.;:", *text) && (text[1] == ' ' || !text[1])) text++;
        text += strspn(text, " ");
    }
}

/* The region that the mouse is drawing, with its size. */
static void draw_rubber(const editor *e) {
    if (!e->drag.drawing || !e->drag.changed) return;
    window w = e->canvas_cells;
    canvas_rect r = e->drag.start;
    canvas_view view = editor_canvas_view(e, 1);
    canvas_span s = canvas_cells_of(&view, r);
    int c0 = s.c0, c1 = s.c1 - 1, r0 = s.r0, r1 = s.r1 - 1;
    ink with = theme_ink(&e->theme, STYLE_STRONG);
    for (int row = r0 > 0 ? r0 : 0; row <= r1 && row < w.rows; row++)
        for (int column = c0 > 0 ? c0 : 0; column <= c1 && column < w.columns; column++) {
            unsigned lines =
                (column == c0 || column == c1 ? (row > r0 ? CANVAS_UP : 0u) | (row < r1 ? CANVAS_DOWN : 0u) : 0u) |
                (row == r0 || row == r1 ? (column > c0 ? CANVAS_LEFT : 0u) | (column < c1 ? CANVAS_RIGHT : 0u) : 0u);
            if (lines) draw_glyph(&e->theme, w.row + row, w.column + column, with, theme_line(&e->theme, lines, true));
        }
    if (c1 - c0 > 14 && r1 - r0 > 1 && c0 >= 0 && r0 >= 0 && c1 < w.columns && r1 < w.rows)
        draw_format(&e->theme, w.row + r0 + 1, w.column + c0 + 1, c1 - c0 - 1, with, " %.3g x %.3g ", r.x2 - r.x1,
                    r.y2 - r.y1);
}

static void draw_title(const editor *e) {
    window w = e->windows.canvas;
    char title[160], hole[64] = "", thin[32] = "";
    char tool[32];
    editor_brush_text(e, tool, sizeof tool);
    char enlarged[16] = "", size[56];
    const cpl_settings *s = &e->state.settings;
    if (e->zoom.level) snprintf(enlarged, sizeof enlarged, " %.3gx ", editor_zoom_factor(e));
    snprintf(size, sizeof size, "%dx%d", s->width, s->height);
    if (s->hires_width)
        snprintf(size, sizeof size, "%dx%d to %dx%d", s->width, s->height, s->hires_width, s->hires_height);
    bool fill = e->state.layout->uncovered == CPL_UNCOVERED_FILL;
    int open = 100 - (int)(100 * e->state.coverage), room = w.columns - 2;
    int thin_ones = 0;
    for (int r = 0; r < e->state.count; r++) thin_ones += too_thin(e, r);
    if (thin_ones) snprintf(thin, sizeof thin, " %d too thin ", thin_ones);
    if (open > 0 && e->state.count) snprintf(hole, sizeof hole, " %s %d %% ", fill ? "filled" : "uncovered", open);
    for (int tries = 0; tries < 2; tries++) {
        const char *space = size[0] ? "  " : " ";
        if (e->state.layout->mode == CPL_MODE_MASK)
            snprintf(title, sizeof title, " canvas %s%s%s %s", size, space, tool, enlarged);
        else if (e->state.latent)
            snprintf(title, sizeof title, " canvas %s%slatent grid %s", size, space, enlarged);
        else
            snprintf(title, sizeof title, " canvas %s%sgrid 1/%d %s", size, space, e->state.step, enlarged);
        /* The settings line tells the size too. */
        if (text_columns(title) + text_columns(hole) <= room) break;
        size[0] = '\0';
    }
    bool focused = e->focus == PANE_CANVAS;
    int used = draw_text(&e->theme, w.row, w.column + 1, room,
                         theme_ink(&e->theme, focused ? STYLE_TITLE_FOCUS : STYLE_TITLE), title);
    room -= used;
    int at = w.column + w.columns - 1;
    if (hole[0] && text_columns(hole) <= room) {
        at -= text_columns(hole);
        room -= text_columns(hole);
        draw_text(&e->theme, w.row, at, text_columns(hole), theme_ink(&e->theme, fill ? STYLE_TITLE : STYLE_WARNING),
                  hole);
    }
    if (thin[0] && text_columns(thin) <= room)
        draw_text(&e->theme, w.row, at - text_columns(thin), text_columns(thin), theme_ink(&e->theme, STYLE_WARNING),
                  thin);
}

void editor_draw_canvas(editor *e) {
    window w = e->windows.canvas, in = windows_inside(w);
    if (!w.rows) return;
    draw_frame(&e->theme, w.row, w.column, w.rows, w.columns, e->focus == PANE_CANVAS);
    draw_title(e);
    window area = e->canvas_cells;
    canvas_view view = editor_canvas_view(e, 1);
    canvas_cell *cells = calloc((size_t)area.columns * (size_t)area.rows, sizeof *cells);
    canvas_label *labels = calloc((size_t)view.count + 1, sizeof *labels);
    if (cells && labels) {
        int count = canvas_raster(&view, theme_palette, cells, labels);
        color_areas(e, cells, area.rows);
        draw_cells(e, cells);
        draw_halves(e);
        draw_backdrop(e, cells);
        for (int i = count - 1; i >= 0; i--) draw_label(e, cells, &labels[i]);
        editor_draw_brush(e);
    }
    editor_draw_rulers(e);
    draw_rubber(e);
    free(cells);
    free(labels);
    if (!view.count)
        draw_text(&e->theme, in.row + in.rows / 2, in.column + 2, in.columns - 4, theme_ink(&e->theme, STYLE_STRONG),
                  " no regions: n makes one ");
}
