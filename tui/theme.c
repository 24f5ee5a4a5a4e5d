/* theme.c: what "warning" or "selected" looks like, by the terminal's colours. Never changes the terminal's palette: it
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
/* The six chromatic colours that every colour terminal has, for the sixteen above. */
static const short palette8[16] = {1, 4, 3, 2, 5, 6, 5, 3, 2, 4, 3, 7, 3, 6, 5, 7};

typedef struct look {
    short fg256, bg256; /* -1: the terminal's own */
    short fg8, bg8;
    unsigned bold : 1, bold8 : 1, reverse8 : 1;
    attr_t mono;
} look;

/* Greys and hues are chosen to be readable on black and on white: only bars and cursors bring their own background. */
static const look looks[STYLES] = {
    [STYLE_TEXT] = {-1, -1, -1, -1, 0, 0, 0, A_NORMAL},
    [STYLE_DIM] = {244, -1, -1, -1, 0, 0, 0, A_NORMAL},
    [STYLE_STRONG] = {-1, -1, -1, -1, 1, 1, 0, A_BOLD},
    [STYLE_FRAME] = {241, -1, -1, -1, 0, 0, 0, A_NORMAL},
    [STYLE_FRAME_FOCUS] = {74, -1, 6, -1, 1, 1, 0, A_BOLD},
    [STYLE_TITLE] = {246, -1, -1, -1, 0, 0, 0, A_NORMAL},
    [STYLE_TITLE_FOCUS] = {74, -1, 6, -1, 1, 1, 0, A_BOLD},
    [STYLE_BAR] = {250, 236, -1, -1, 0, 0, 1, A_REVERSE},
    [STYLE_BAR_STRONG] = {231, 236, -1, -1, 1, 0, 1, A_REVERSE | A_BOLD},
    [STYLE_BAR_GOOD] = {114, 236, -1, -1, 0, 0, 1, A_REVERSE},
    [STYLE_BAR_WARNING] = {215, 236, -1, -1, 1, 0, 1, A_REVERSE | A_BOLD},
    [STYLE_BAR_BAD] = {210, 236, -1, -1, 1, 0, 1, A_REVERSE | A_BOLD},
    [STYLE_GOOD] = {71, -1, 2, -1, 0, 0, 0, A_NORMAL},
    [STYLE_WARNING] = {172, -1, 3, -1, 0, 1, 0, A_BOLD},
    [STYLE_ERROR] = {231, 160, 7, 1, 1, 1, 0, A_REVERSE | A_BOLD},
    [STYLE_KEY] = {74, -1, 6, -1, 1, 1, 0, A_BOLD},
    [STYLE_ROW] = {-1, -1, -1, -1, 1, 1, 0, A_BOLD},
    [STYLE_CURSOR] = {16, 74, -1, -1, 0, 0, 1, A_REVERSE},
    [STYLE_TYPING] = {231, 24, 7, 4, 0, 1, 0, A_UNDERLINE | A_BOLD},
    [STYLE_BADGE] = {16, 74, -1, -1, 1, 0, 1, A_REVERSE | A_BOLD},
    [STYLE_PROGRESS] = {74, -1, 6, -1, 0, 1, 0, A_BOLD},
    [STYLE_PROGRESS_REST] = {240, -1, -1, -1, 0, 0, 0, A_NORMAL},
    [STYLE_HOLE] = {167, -1, 1, -1, 0, 0, 0, A_NORMAL},
};

static const char *const glyphs[GLYPHS][2] = {
    [GLYPH_HORIZONTAL] = {"-", "─"}, [GLYPH_VERTICAL] = {"|", "│"},    [GLYPH_TOP_LEFT] = {"+", "┌"},
    [GLYPH_TOP_RIGHT] = {"+", "┐"},  [GLYPH_BOTTOM_LEFT] = {"+", "└"}, [GLYPH_BOTTOM_RIGHT] = {"+", "┘"},
    [GLYPH_GRID] = {".", "·"},       [GLYPH_HOLE] = {"/", "╱"},        [GLYPH_OVERLAP] = {":", "∶"},
    [GLYPH_FULL] = {"#", "█"},       [GLYPH_EMPTY] = {".", "░"},       [GLYPH_POINTER] = {">", "▸"},
    [GLYPH_MORE] = {"~", "…"},       [GLYPH_WARNING] = {"!", "!"},     [GLYPH_HALF] = {"^", "▀"},
    [GLYPH_UP] = {"^", "▲"},         [GLYPH_DOWN] = {"v", "▼"},
};

static ink pair_of(int foreground, int background, attr_t attributes) {
    /* ncurses hands out pairs and takes the oldest back when there are no more. */
    int pair = foreground < 0 && background < 0 ? 0 : alloc_pair(foreground, background);
    return (ink){attributes, pair > 0 ? pair : 0};
}

static int direct(const unsigned char rgb[3]) { return rgb[0] << 16 | rgb[1] << 8 | rgb[2]; }

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

static int nearest_ansi(const unsigned char rgb[3], int colors) {
    for (int i = 0; i < 16; i++)
        if (!memcmp(rgb, theme_palette[i], 3)) return palette8[i];
    return picture_ansi(rgb, colors);
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
    return t->colors == 256 ? picture_xterm256(rgb) : nearest_ansi(rgb, t->colors);
}

static int from256(const theme *t, short index) {
    if (index < 0 || t->colors <= 256) return index;
    unsigned char rgb[3];
    xterm_rgb(index, rgb);
    return direct(rgb);
}

void theme_start(theme *t, const term_caps *caps) {
    *t = (theme){.utf8 = caps->utf8};
    if (caps->colors > 0 && has_colors()) {
        start_color();
        use_default_colors();
        /* A terminal may promise 24 bits while its terminfo entry has 256: ncurses can only send what the entry has. */
        t->colors = COLORS > 256 ? 1 << 24 : COLORS >= 256 ? 256 : COLORS >= 16 ? 16 : COLORS >= 8 ? 8 : 0;
        if (t->colors > caps->colors)
            t->colors = caps->colors >= 256 ? 256 : caps->colors >= 16 ? 16 : caps->colors >= 8 ? 8 : 0;
    }
    for (int s = 0; s < STYLES; s++) {
        const look *l = &looks[s];
        attr_t bold = l->bold ? A_BOLD : A_NORMAL,
               bold8 = (l->bold8 ? A_BOLD : A_NORMAL) | (l->reverse8 ? A_REVERSE : A_NORMAL);
        if (!t->colors)
            t->style[s] = (ink){l->mono, 0};
        else if (t->colors >= 256)
            t->style[s] = pair_of(from256(t, l->fg256), from256(t, l->bg256), bold);
        else
            t->style[s] = pair_of(l->fg8, l->bg8, bold8);
    }
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
        size_t step = text_next(text, &width);
        unsigned char first = (unsigned char)*text;
        bool control = first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[1] < 0xa0) ||
                       (first >= 0x80 && step == 1);
        if (used + step + 1 >= sizeof safe) {
            addnstr(safe, (int)used);
            used = 0;
        }
        if (control || (first >= 0x80 && !t->utf8) || step + 1 >= sizeof safe) {
            for (int i = 0; i < (control ? 1 : width); i++) safe[used++] = '?';
        } else {
            memcpy(safe + used, text, step);
            used += step;
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
