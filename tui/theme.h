/* theme.h: colours and attributes by meaning, for terminals from 24-bit colour down to monochrome, and the drawing of text
 * and lines with them. All drawing of the editor goes through here; nothing else calls ncurses' attributes. */
#ifndef TUI_THEME_H
#define TUI_THEME_H

#include "term.h"

#include <stdbool.h>

extern const unsigned char theme_palette[16][3]; /* the regions' colours; also what `couplet map` draws with */

typedef enum style {
    STYLE_TEXT,
    STYLE_DIM,
    STYLE_STRONG,
    STYLE_FRAME,
    STYLE_FRAME_FOCUS,
    STYLE_TITLE,
    STYLE_TITLE_FOCUS,
    STYLE_BAR,
    STYLE_BAR_STRONG,
    STYLE_BAR_GOOD,
    STYLE_BAR_WARNING,
    STYLE_BAR_BAD,
    STYLE_GOOD,
    STYLE_WARNING,
    STYLE_ERROR,
    STYLE_KEY,
    STYLE_ROW,    /* the selected row */
    STYLE_CURSOR, /* the selected cell of the focused pane */
    STYLE_TYPING, /* a field being typed */
    STYLE_BADGE,  /* the word at the left of the status line */
    STYLE_PROGRESS,
    STYLE_PROGRESS_REST,
    STYLE_HOLE,
    STYLES
} style;

typedef enum glyph {
    GLYPH_HORIZONTAL,
    GLYPH_VERTICAL,
    GLYPH_TOP_LEFT,
    GLYPH_TOP_RIGHT,
    GLYPH_BOTTOM_LEFT,
    GLYPH_BOTTOM_RIGHT,
    GLYPH_GRID,
    GLYPH_HOLE,
    GLYPH_OVERLAP,
    GLYPH_PAINTED,
    GLYPH_FULL,
    GLYPH_EMPTY,
    GLYPH_POINTER,
    GLYPH_MORE,
    GLYPH_WARNING,
    GLYPH_HALF, /* upper half block */
    GLYPH_UP,
    GLYPH_DOWN,
    GLYPHS
} glyph;

typedef enum theme_choice { THEME_AUTO, THEME_DARK, THEME_LIGHT } theme_choice;

typedef struct ink {
    unsigned attributes;
    int pair;
} ink; /* an ncurses attribute set and a colour pair */

typedef struct theme {
    int colors; /* 0, 8, 16, 256 or 1 << 24: what is used */
    bool utf8, light;
    ink style[STYLES];
} theme;

/* After the screen is up, and again when what is meant by THEME_AUTO, or the choice, has changed. */
void theme_start(theme *t, const term_caps *caps, theme_choice choice);
/* Away from the terminal's background, by 0..1: towards white on a dark one, towards black on a light one. */
void theme_raise(const theme *t, const unsigned char rgb[3], double by, unsigned char out[3]);
/* A region's colour for lines and numbers on the terminal's own background. */
void theme_readable(const theme *t, const unsigned char rgb[3], unsigned char out[3]);
ink theme_ink(const theme *t, style s);
const char *theme_glyph(const theme *t, glyph g);
/* Any colours; NULL is the terminal's own. On 8 and 16 colours the nearest, in mono none. */
ink theme_rgb(const theme *t, const unsigned char *foreground, const unsigned char *background, bool bold);
void theme_shown(const theme *t, const unsigned char rgb[3], unsigned char shown[3]); /* what 256 colours make of it */
/* The border glyph for CANVAS_UP... bits; heavy: of the selected region. */
const char *theme_line(const theme *t, unsigned lines, bool heavy);

/* Text cut to `columns` (with an ellipsis where it did not fit); returns the columns it took. Control characters never
 * pass: they are drawn as '?'. */
int draw_text(const theme *t, int row, int column, int columns, ink with, const char *text);
int draw_format(const theme *t, int row, int column, int columns, ink with, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
void draw_fill(int row, int column, int rows, int columns, ink with);
void draw_glyph(const theme *t, int row, int column, ink with, const char *glyph_text);
/* A frame with a title in its upper edge. */
void draw_frame(const theme *t, int row, int column, int rows, int columns, bool focused);

#endif
