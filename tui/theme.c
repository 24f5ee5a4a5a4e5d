/* theme.c: what "warning" or "selected" looks like, by the terminal's colours and whether it is dark or light. Never changes the terminal's palette: it
 * is the user's. Knows no layout. */
#include "theme.h"
#include "line_edit.h"
#include "picture.h"

#include <curses.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const unsigned char theme_palette[16][3] = {
    {230, 88, 76},   {63, 142, 252}, {242, 177, 52}, {71, 176, 75},   {176, 91, 214}, {34, 184, 176},
    {240, 127, 176}, {154, 123, 79}, {139, 195, 74}, {92, 107, 192},  {255, 138, 61}, {96, 125, 139},
    {212, 225, 87},  {0, 172, 193},  {171, 71, 188}, {161, 136, 127},
};
/* The six chromatic colours that every colour terminal has, for the sixteen above: yellow cannot be read on white. */
static const short palette8[2][16] = {{1, 4, 3, 2, 5, 6, 5, 3, 2, 4, 3, 7, 3, 6, 5, 7},
                                      {1, 4, 5, 2, 5, 6, 5, 1, 2, 4, 1, 0, 2, 6, 5, 0}};

enum { OWN = -1, BOLD = A_BOLD, BACK = A_REVERSE, BACK_BOLD = A_REVERSE | A_BOLD };

/* Foreground, background (OWN: the terminal's) and attributes, for 256 colours and more, for 16 and for 8. */
typedef struct look {
    short fg256, bg256;
    attr_t with256;
    short fg16, bg16;
    attr_t with16;
    short fg8, bg8;
    attr_t with8;
} look;

/* Bars, cursors and fields being typed bring their own background. With few colours a bar is the terminal's reversed, and
 * only what is wrong in it has a colour. */
static const look dark[STYLES] = {
    [STYLE_TEXT] = {OWN, OWN, 0, OWN, OWN, 0, OWN, OWN, 0},
    [STYLE_DIM] = {244, OWN, 0, 8, OWN, 0, OWN, OWN, 0},
    [STYLE_STRONG] = {OWN, OWN, BOLD, OWN, OWN, BOLD, OWN, OWN, BOLD},
    [STYLE_FRAME] = {241, OWN, 0, 8, OWN, 0, OWN, OWN, 0},
    [STYLE_FRAME_FOCUS] = {74, OWN, 0, 14, OWN, 0, 6, OWN, BOLD},
    [STYLE_TITLE] = {246, OWN, 0, 7, OWN, 0, OWN, OWN, 0},
    [STYLE_TITLE_FOCUS] = {74, OWN, BOLD, 14, OWN, BOLD, 6, OWN, BOLD},
    [STYLE_BAR] = {250, 236, 0, OWN, OWN, BACK, OWN, OWN, BACK},
    [STYLE_BAR_STRONG] = {231, 236, BOLD, OWN, OWN, BACK_BOLD, OWN, OWN, BACK},
    [STYLE_BAR_GOOD] = {114, 236, 0, OWN, OWN, BACK, OWN, OWN, BACK},
    [STYLE_BAR_WARNING] = {215, 236, BOLD, 0, 11, 0, 0, 3, 0},
    [STYLE_BAR_BAD] = {210, 236, BOLD, 15, 1, BOLD, 7, 1, BOLD},
    [STYLE_GOOD] = {71, OWN, 0, 10, OWN, 0, 2, OWN, 0},
    [STYLE_WARNING] = {172, OWN, 0, 11, OWN, 0, 3, OWN, BOLD},
    [STYLE_ERROR] = {231, 160, BOLD, 15, 1, BOLD, 7, 1, BOLD},
    [STYLE_KEY] = {74, OWN, BOLD, 14, OWN, BOLD, 6, OWN, BOLD},
    [STYLE_ROW] = {OWN, OWN, BOLD, OWN, OWN, BOLD, OWN, OWN, BOLD},
    [STYLE_CURSOR] = {16, 74, 0, 0, 14, 0, OWN, OWN, BACK},
    [STYLE_TYPING] = {231, 24, 0, 15, 4, 0, 7, 4, BOLD},
    [STYLE_BADGE] = {16, 74, BOLD, 0, 14, 0, OWN, OWN, BACK},
    [STYLE_PROGRESS] = {74, OWN, 0, 14, OWN, 0, 6, OWN, BOLD},
    [STYLE_PROGRESS_REST] = {240, OWN, 0, 8, OWN, 0, OWN, OWN, 0},
    [STYLE_HOLE] = {167, OWN, 0, 9, OWN, 0, 1, OWN, 0},
};

/* Bold is brighter in many terminals of few colours, which on a light background is fainter: it goes with none here. */
static const look light[STYLES] = {
    [STYLE_TEXT] = {OWN, OWN, 0, OWN, OWN, 0, OWN, OWN, 0},
    [STYLE_DIM] = {242, OWN, 0, 8, OWN, 0, OWN, OWN, 0},
    [STYLE_STRONG] = {OWN, OWN, BOLD, OWN, OWN, BOLD, OWN, OWN, BOLD},
    [STYLE_FRAME] = {250, OWN, 0, 8, OWN, 0, OWN, OWN, 0},
    [STYLE_FRAME_FOCUS] = {25, OWN, 0, 4, OWN, 0, 4, OWN, 0},
    [STYLE_TITLE] = {240, OWN, 0, OWN, OWN, 0, OWN, OWN, 0},
    [STYLE_TITLE_FOCUS] = {25, OWN, BOLD, 4, OWN, 0, 4, OWN, 0},
    [STYLE_BAR] = {238, 254, 0, OWN, OWN, BACK, OWN, OWN, BACK},
    [STYLE_BAR_STRONG] = {16, 254, BOLD, OWN, OWN, BACK, OWN, OWN, BACK},
    [STYLE_BAR_GOOD] = {28, 254, 0, OWN, OWN, BACK, OWN, OWN, BACK},
    [STYLE_BAR_WARNING] = {130, 254, BOLD, 0, 11, 0, 0, 3, 0},
    [STYLE_BAR_BAD] = {160, 254, BOLD, 15, 1, 0, 7, 1, BOLD},
    [STYLE_GOOD] = {28, OWN, 0, 2, OWN, 0, 2, OWN, 0},
    [STYLE_WARNING] = {130, OWN, BOLD, 5, OWN, 0, 5, OWN, 0},
    [STYLE_ERROR] = {231, 160, BOLD, 15, 1, 0, 7, 1, BOLD},
    [STYLE_KEY] = {25, OWN, BOLD, 4, OWN, 0, 4, OWN, 0},
    [STYLE_ROW] = {OWN, OWN, BOLD, OWN, OWN, BOLD, OWN, OWN, BOLD},
    [STYLE_CURSOR] = {231, 25, 0, 15, 4, 0, OWN, OWN, BACK},
    [STYLE_TYPING] = {16, 153, 0, 0, 14, 0, 0, 6, 0},
    [STYLE_BADGE] = {231, 25, BOLD, 15, 4, 0, OWN, OWN, BACK},
    [STYLE_PROGRESS] = {25, OWN, 0, 4, OWN, 0, 4, OWN, 0},
    [STYLE_PROGRESS_REST] = {251, OWN, 0, 7, OWN, 0, OWN, OWN, 0},
    [STYLE_HOLE] = {167, OWN, 0, 1, OWN, 0, 1, OWN, 0},
};

static const attr_t mono[STYLES] = {
    [STYLE_STRONG] = A_BOLD,
    [STYLE_FRAME_FOCUS] = A_BOLD,
    [STYLE_TITLE_FOCUS] = A_BOLD,
    [STYLE_BAR] = A_REVERSE,
    [STYLE_BAR_STRONG] = A_REVERSE | A_BOLD,
    [STYLE_BAR_GOOD] = A_REVERSE,
    [STYLE_BAR_WARNING] = A_REVERSE | A_BOLD,
    [STYLE_BAR_BAD] = A_REVERSE | A_BOLD,
    [STYLE_WARNING] = A_BOLD,
    [STYLE_ERROR] = A_REVERSE | A_BOLD,
    [STYLE_KEY] = A_BOLD,
    [STYLE_ROW] = A_BOLD,
    [STYLE_CURSOR] = A_REVERSE,
    [STYLE_TYPING] = A_UNDERLINE | A_BOLD,
    [STYLE_BADGE] = A_REVERSE | A_BOLD,
    [STYLE_PROGRESS] = A_BOLD,
};

static const char *const glyphs[GLYPHS][2] = {
    [GLYPH_HORIZONTAL] = {"-", "─"}, [GLYPH_VERTICAL] = {"|", "│"},    [GLYPH_TOP_LEFT] = {"+", "┌"},
    [GLYPH_TOP_RIGHT] = {"+", "┐"},  [GLYPH_BOTTOM_LEFT] = {"+", "└"}, [GLYPH_BOTTOM_RIGHT] = {"+", "┘"},
    [GLYPH_GRID] = {".", "·"},       [GLYPH_HOLE] = {"/", "╱"},        [GLYPH_OVERLAP] = {":", "∶"},
    [GLYPH_PAINTED] = {"-", "░"},    [GLYPH_FULL] = {"#", "█"},        [GLYPH_EMPTY] = {".", "░"},
    [GLYPH_POINTER] = {">", "▸"},    [GLYPH_MORE] = {"~", "…"},        [GLYPH_WARNING] = {"!", "!"},
    [GLYPH_HALF] = {"^", "▀"},       [GLYPH_UP] = {"^", "▲"},          [GLYPH_DOWN] = {"v", "▼"},
};

static ink pair_of(int foreground, int background, attr_t attributes) {
    /* ncurses hands out pairs and takes the oldest back when there are no more. */
    int pair = foreground < 0 && background < 0 ? 0 : alloc_pair(foreground, background);
    return (ink){attributes, pair > 0 ? pair : 0};
}

/* The first eight numbers are the palette's colours in terminfo's descriptions of such terminals. */
static int direct(const unsigned char rgb[3]) {
    int number = rgb[0] << 16 | rgb[1] << 8 | rgb[2];
    return number < 8 ? 0x010101 : number;
}

/* An entry of the 6x6x6 cube or the greys of 256-colour terminals. */
static void xterm_rgb(int index, unsigned char rgb[3]) {
    static const unsigned char level[6] = {0, 95, 135, 175, 215, 255};
    if (index >= 232) {
        rgb[0] = rgb[1] = rgb[2] = (unsigned char)(8 + 10 * (index - 232));
        return;
    }
    index -= 16;
    rgb[0] = level[index / 36];
    rgb[1] = level[index / 6 % 6];
    rgb[2] = level[index % 6];
}

static int nearest_ansi(const theme *t, const unsigned char rgb[3]) {
    for (int i = 0; i < 16; i++)
        if (!memcmp(rgb, theme_palette[i], 3)) return palette8[t->light][i];
    return picture_ansi(rgb, t->colors);
}

void theme_shown(const theme *t, const unsigned char rgb[3], unsigned char shown[3]) {
    if (t->colors == 256)
        xterm_rgb(picture_xterm256(rgb), shown);
    else
        memcpy(shown, rgb, 3);
}

static int number_of(const theme *t, const unsigned char *rgb) {
    if (!rgb) return -1;
    if (t->colors > 256) return direct(rgb);
    return t->colors == 256 ? picture_xterm256(rgb) : nearest_ansi(t, rgb);
}

static int from256(const theme *t, short index) {
    if (index < 0 || t->colors <= 256) return index;
    unsigned char rgb[3];
    xterm_rgb(index, rgb);
    return direct(rgb);
}

void theme_start(theme *t, const term_caps *caps, theme_choice choice) {
    *t = (theme){.utf8 = caps->utf8};
    if (caps->colors > 0 && has_colors()) {
        start_color();
        use_default_colors();
        /* A terminal may promise 24 bits while its terminfo entry has 256: ncurses can only send what the entry has. */
        t->colors = COLORS > 256 ? 1 << 24 : COLORS >= 256 ? 256 : COLORS >= 16 ? 16 : COLORS >= 8 ? 8 : 0;
        if (t->colors > caps->colors)
            t->colors = caps->colors >= 256 ? 256 : caps->colors >= 16 ? 16 : caps->colors >= 8 ? 8 : 0;
    }
    t->light = choice == THEME_LIGHT || (choice == THEME_AUTO && caps->light);
    for (int s = 0; s < STYLES; s++) {
        const look *l = t->light ? &light[s] : &dark[s];
        if (!t->colors)
            t->style[s] = (ink){mono[s], 0};
        else if (t->colors >= 256)
            t->style[s] = pair_of(from256(t, l->fg256), from256(t, l->bg256), l->with256);
        else
            t->style[s] = t->colors >= 16 ? pair_of(l->fg16, l->bg16, l->with16) : pair_of(l->fg8, l->bg8, l->with8);
    }
}

void theme_raise(const theme *t, const unsigned char rgb[3], double by, unsigned char out[3]) {
    double to = t->light ? 0 : 255;
    for (int c = 0; c < 3; c++) out[c] = (unsigned char)(rgb[c] + (to - rgb[c]) * by + 0.5);
}

void theme_readable(const theme *t, const unsigned char rgb[3], unsigned char out[3]) {
    memcpy(out, rgb, 3);
    if (t->light && t->colors >= 256) theme_raise(t, rgb, 0.35, out);
}

ink theme_ink(const theme *t, style s) { return t->style[s]; }
const char *theme_glyph(const theme *t, glyph g) { return glyphs[g][t->utf8]; }

ink theme_rgb(const theme *t, const unsigned char *foreground, const unsigned char *background, bool bold) {
    attr_t attributes = bold ? A_BOLD : A_NORMAL;
    if (!t->colors) return (ink){attributes, 0};
    return pair_of(number_of(t, foreground), number_of(t, background), attributes);
}

const char *theme_line(const theme *t, unsigned lines, bool heavy) {
    /* Index: up 1, down 2, left 4, right 8. */
    static const char *const thin[16] = {" ", "│", "│", "│", "─", "┘", "┐", "┤",
                                         "─", "└", "┌", "├", "─", "┴", "┬", "┼"};
    static const char *const thick[16] = {" ", "┃", "┃", "┃", "━", "┛", "┓", "┫",
                                          "━", "┗", "┏", "┣", "━", "┻", "┳", "╋"};
    static const char *const plain[16] = {" ", "|", "|", "|", "-", "+", "+", "+",
                                          "-", "+", "+", "+", "-", "+", "+", "+"};
    static const char *const stars[16] = {" ", "#", "#", "#", "=", "#", "#", "#",
                                          "=", "#", "#", "#", "=", "#", "#", "#"};
    if (!t->utf8) return heavy ? stars[lines & 15] : plain[lines & 15];
    return heavy ? thick[lines & 15] : thin[lines & 15];
}

/* ---- Drawing ---- */

static void use(ink with) {
    int pair = with.pair;
    attr_set(with.attributes, (short)(pair < 32767 ? pair : 0), &pair);
}

static int put(const theme *t, int row, int column, const char *text, size_t size) {
    char safe[4 * 256];
    size_t used = 0;
    int total = 0, width;
    move(row, column);
    while (size) {
        size_t step = text_next(text, &width), drawn = text_drawn(text);
        unsigned char first = (unsigned char)*text;
        bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[1] < 0xa0) ||
                       (first >= 0x80 && step == 1);
        if (used + drawn + 1 >= sizeof safe) {
            addnstr(safe, (int)used);
            used = 0;
        }
        if (control || (first >= 0x80 && !t->utf8) || drawn + 1 >= sizeof safe) {
            for (int i = 0; i < (control ? 1 : width); i++) safe[used++] = '?';
        } else {
            memcpy(safe + used, text, drawn);
            used += drawn;
        }
        total += width;
        text += step;
        size -= step < size ? step : size;
    }
    addnstr(safe, (int)used);
    return total;
}

int draw_text(const theme *t, int row, int column, int columns, ink with, const char *text) {
    if (columns <= 0 || !text) return 0;
    int used;
    size_t fits = text_fit(text, columns, &used);
    use(with);
    if (!text[fits]) return put(t, row, column, text, fits);
    fits = text_fit(text, columns - 1, &used);
    put(t, row, column, text, fits);
    /* Where a wide character was cut there may be a column between text and ellipsis. */
    for (int c = used; c < columns - 1; c++) mvaddstr(row, column + c, " ");
    mvaddstr(row, column + columns - 1, theme_glyph(t, GLYPH_MORE));
    return columns;
}

int draw_format(const theme *t, int row, int column, int columns, ink with, const char *format, ...) {
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return draw_text(t, row, column, columns, with, text);
}

void draw_fill(int row, int column, int rows, int columns, ink with) {
    use(with);
    for (int r = 0; r < rows; r++) mvhline(row + r, column, ' ', columns);
}

void draw_glyph(const theme *t, int row, int column, ink with, const char *glyph_text) {
    (void)t;
    use(with);
    mvaddstr(row, column, glyph_text);
}

void draw_frame(const theme *t, int row, int column, int rows, int columns, bool focused) {
    if (rows < 2 || columns < 2) return;
    ink with = theme_ink(t, focused ? STYLE_FRAME_FOCUS : STYLE_FRAME);
    int bottom = row + rows - 1, right = column + columns - 1;
    for (int c = column + 1; c < right; c++) {
        draw_glyph(t, row, c, with, theme_glyph(t, GLYPH_HORIZONTAL));
        draw_glyph(t, bottom, c, with, theme_glyph(t, GLYPH_HORIZONTAL));
    }
    for (int r = row + 1; r < bottom; r++) {
        draw_glyph(t, r, column, with, theme_glyph(t, GLYPH_VERTICAL));
        draw_glyph(t, r, right, with, theme_glyph(t, GLYPH_VERTICAL));
    }
    draw_glyph(t, row, column, with, theme_glyph(t, GLYPH_TOP_LEFT));
    draw_glyph(t, row, right, with, theme_glyph(t, GLYPH_TOP_RIGHT));
    draw_glyph(t, bottom, column, with, theme_glyph(t, GLYPH_BOTTOM_LEFT));
    draw_glyph(t, bottom, right, with, theme_glyph(t, GLYPH_BOTTOM_RIGHT));
}
