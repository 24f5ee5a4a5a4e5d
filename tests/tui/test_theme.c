/* test_theme.c: in every number of colours, on dark and on light terminals, what means something else looks otherwise, and
 * text can be read. */
#include "fake_terminal.h"

#include "../../tui/theme.h"

#include <curses.h>
#include <math.h>

#include "../test.h"

/* What stands beside each other, in the same places, and means something else. */
static const style pairs[][2] = {
    {STYLE_TEXT, STYLE_ROW},          {STYLE_TEXT, STYLE_CURSOR},
    {STYLE_ROW, STYLE_CURSOR},        {STYLE_CURSOR, STYLE_TYPING},
    {STYLE_TEXT, STYLE_TYPING},       {STYLE_TEXT, STYLE_WARNING},
    {STYLE_TEXT, STYLE_ERROR},        {STYLE_WARNING, STYLE_ERROR},
    {STYLE_BAR, STYLE_BAR_WARNING},   {STYLE_BAR, STYLE_BAR_BAD},
    {STYLE_FRAME, STYLE_FRAME_FOCUS}, {STYLE_TITLE, STYLE_TITLE_FOCUS},
    {STYLE_TEXT, STYLE_KEY},          {STYLE_TEXT, STYLE_STRONG},
    {STYLE_TEXT, STYLE_BADGE},        {STYLE_PROGRESS, STYLE_PROGRESS_REST},
};

static bool same(ink a, ink b) { return a.attributes == b.attributes && a.pair == b.pair; }

static void differ(const theme *t) {
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        bool alike = same(theme_ink(t, pairs[i][0]), theme_ink(t, pairs[i][1]));
        if (alike)
            dprintf(2, "\r\nof %d colours, %s: %d and %d look alike\r\n", t->colors, t->light ? "light" : "dark",
                    (int)pairs[i][0], (int)pairs[i][1]);
        NEED(!alike);
    }
    NEED(strcmp(theme_glyph(t, GLYPH_HOLE), theme_glyph(t, GLYPH_GRID)) != 0);
    NEED(strcmp(theme_glyph(t, GLYPH_OVERLAP), theme_glyph(t, GLYPH_GRID)) != 0);
    NEED(strcmp(theme_glyph(t, GLYPH_OVERLAP), theme_glyph(t, GLYPH_HOLE)) != 0);
}

/* WCAG's relative luminance. */
static double luminance(int rgb) {
    static const double weight[3] = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (int c = 0; c < 3; c++) {
        double v = (rgb >> (16 - 8 * c) & 255) / 255.0;
        sum += weight[c] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static double contrast(int a, int b) {
    double x = luminance(a) + 0.05, y = luminance(b) + 0.05;
    return x > y ? x / y : y / x;
}

static void readable(const theme *t) {
    const int own_background = t->light ? 0xfdfcf8 : 0x14161a, own_text = t->light ? 0x24262a : 0xd8dade;
    for (int s = 0; s < STYLES; s++) {
        if (s == STYLE_FRAME || s == STYLE_PROGRESS_REST) continue; /* lines, no text */
        int text = -1, background = -1, pair = theme_ink(t, (style)s).pair;
        if (pair) NEED(extended_pair_content(pair, &text, &background) == OK);
        double found = contrast(text < 0 ? own_text : text, background < 0 ? own_background : background);
        if (found < 3.5)
            dprintf(2, "\r\n%s: style %d has a contrast of %.1f\r\n", t->light ? "light" : "dark", s, found);
        NEED(found >= 3.5);
    }
    for (int i = 0; i < 16; i++) {
        unsigned char rgb[3];
        theme_readable(t, theme_palette[i], rgb);
        NEED(contrast(rgb[0] << 16 | rgb[1] << 8 | rgb[2], own_background) >= 2);
    }
}

static const char *term_name;
static int expected_colors;

static void child_looks(void) {
    setlocale(LC_CTYPE, "C.UTF-8");
    setenv("TERM", term_name, 1);
    if (expected_colors > 256) setenv("COLORTERM", "truecolor", 1);
    if (!expected_colors) setenv("NO_COLOR", "1", 1);
    term *t = open_terminal();
    for (theme_choice choice = THEME_DARK; choice <= THEME_LIGHT; choice++) {
        theme th;
        theme_start(&th, term_capabilities(t), choice);
        NEED(th.colors == expected_colors && th.light == (choice == THEME_LIGHT));
        differ(&th);
        if (th.colors > 256) readable(&th);
    }
    term_close(t);
}

static void looks_differ_and_can_be_read(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int colors;
    } cases[] = {{"xterm-direct", 1 << 24}, {"xterm-256color", 256}, {"xterm-16color", 16}, {"linux", 8}, {"vt220", 0},
                 {"xterm-256color", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake f;
        term_name = cases[i].name;
        expected_colors = cases[i].colors;
        fake_start(&f, XTERM, child_looks);
        fake_expect_exit(&f);
        fake_end(&f);
    }
}

static void child_follows(void) {
    theme th;
    term *t = open_terminal();
    theme_start(&th, term_capabilities(t), THEME_AUTO);
    NEED(th.light);
    theme_start(&th, term_capabilities(t), THEME_DARK);
    NEED(!th.light);
    term_close(t);
}

static void follows_the_terminal_unless_told(void **state) {
    (void)state;
    fake f;
    fake_start(&f, WHITE, child_follows);
    fake_expect_exit(&f);
    fake_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_differ_and_can_be_read),
        cmocka_unit_test(follows_the_terminal_unless_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
