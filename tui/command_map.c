/* command_map.c: `couplet map`: which region rules which part of the canvas, as a picture or as letters. Both come from
 * core's own masks, so that the map shows what the engine does and not what the rectangles say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "canvas.h"
#include "command.h"
#include "folders.h"
#include "picture.h"
#include "theme.h"

enum { MOST_COLUMNS = 64, HOLE = -1 };

typedef struct map {
    cpl_layout *layout; /* owned; holes are filled in it, so that a map with a hole can be drawn */
    cpl_settings settings;
    cpl_lines lines; /* owned */
    int columns, rows;
    float *mask; /* owned: [lines + 1][rows * columns] */
    int count;   /* lines, or lines + 1 with a hole */
} map;

static bool map_fill(map *m, const cpl_defaults *defaults, cpl_error *error) {
    m->layout->uncovered = CPL_UNCOVERED_FILL;
    if (!cpl_layout_lines(m->layout, &m->lines, error)) return false;
    m->mask = calloc(((size_t)m->lines.count + 1) * (size_t)m->rows * (size_t)m->columns, sizeof *m->mask);
    if (m->mask) return cpl_layout_masks(m->layout, defaults, m->columns, m->rows, m->mask, &m->count, error);
    *error = (cpl_error){.code = CPL_E_MEMORY, .message = "out of memory for the map"};
    return false;
}

/* The line with the largest mask at a cell; of equals the later one, which lies on top. */
static int ruler(const map *m, int cell) {
    int best = 0;
    size_t size = (size_t)m->rows * (size_t)m->columns;
    for (int i = 1; i < m->count; i++)
        if (m->mask[(size_t)i * size + (size_t)cell] >= m->mask[(size_t)best * size + (size_t)cell]) best = i;
    return best < m->lines.count ? best : HOLE;
}

static char letter(int line) {
    static const char letters[] = "123456789abcdefghijklmnopqrstuvwxyz";
    if (line == HOLE) return '.';
    return line < (int)sizeof letters - 1 ? letters[line] : '*';
}

static void ink_start(const map *m, const term_caps *caps, int line) {
    if (caps->colors < 256 || line == HOLE) return;
    const unsigned char *rgb = theme_palette[canvas_color(m->layout, line)];
    if (caps->colors > 256)
        printf("\033[30;48;2;%d;%d;%dm", rgb[0], rgb[1], rgb[2]);
    else
        printf("\033[30;48;5;%dm", picture_xterm256(rgb));
}

static void ink_end(const term_caps *caps, int line) {
    if (caps->colors >= 256 && line != HOLE) fputs("\033[0m", stdout);
}

static void print_letters(const map *m, const term_caps *caps) {
    for (int y = 0; y < m->rows; y++) {
        int open = HOLE;
        for (int x = 0; x < m->columns; x++) {
            int line = ruler(m, y * m->columns + x);
            if (line != open) {
                ink_end(caps, open);
                ink_start(m, caps, line);
                open = line;
            }
            putchar(letter(line));
        }
        ink_end(caps, open);
        putchar('\n');
    }
}

/* Share of the canvas, as the masks divide it, and the words. */
static void print_legend(const map *m, const term_caps *caps) {
    size_t size = (size_t)m->rows * (size_t)m->columns;
    for (int i = 0; i < m->count; i++) {
        double sum = 0;
        int line = i < m->lines.count ? i : HOLE;
        for (size_t t = 0; t < size; t++) sum += (double)m->mask[(size_t)i * size + t];
        ink_start(m, caps, line);
        printf(" %c ", letter(line));
        ink_end(caps, line);
        printf(" %5.1f %%  ", 100 * sum / (double)size);
        print_safe(line == HOLE ? "not covered by any region" : m->lines.line[i]);
        putchar('\n');
    }
}

static void window_size(int *columns, int *rows) {
    struct winsize window;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col && window.ws_row;
    *columns = known ? window.ws_col : 80;
    *rows = known ? window.ws_row : 24;
}

/* The drawing's cells: the canvas's proportions, small enough for the window and never finer than the canvas. */
static void choose_cells(map *m, const term_caps *caps) {
    int columns, rows;
    window_size(&columns, &rows);
    if (columns > MOST_COLUMNS) columns = MOST_COLUMNS;
    canvas_fit(m->settings.width, m->settings.height, caps->cell_width, caps->cell_height, columns,
               rows > 8 ? rows - 4 : rows, &m->columns, &m->rows);
    if (m->columns > m->settings.width) m->columns = m->settings.width;
    if (m->rows > m->settings.height) m->rows = m->settings.height;
}

/* The canvas as a picture, at most `side` pixels wide and high. */
static cpl_image *draw(const map *m, const cpl_layout *as_written, const cpl_defaults *defaults, int side,
                       cpl_error *error) {
    double scale = 1;
    int longest = m->settings.width > m->settings.height ? m->settings.width : m->settings.height;
    if (side && longest > side) scale = (double)side / longest;
    int width = (int)(m->settings.width * scale), height = (int)(m->settings.height * scale);
    return cpl_layout_map(as_written, defaults, width ? width : 1, height ? height : 1, theme_palette, error);
}

static bool write_png(const map *m, const cpl_layout *as_written, const cpl_defaults *defaults, const arguments *a,
                      cpl_error *error) {
    cpl_image *image = draw(m, as_written, defaults, 0, error);
    bool done = image && cpl_image_write_png(image, a->png, NULL, 0, error);
    cpl_image_free(image);
    if (done && !a->quiet) print_path(a->png);
    return done;
}

static bool print_picture(const map *m, const cpl_layout *as_written, const cpl_defaults *defaults,
                          const term_caps *caps, cpl_error *error) {
    int columns, rows;
    char *bytes = NULL;
    size_t size = 0;
    window_size(&columns, &rows);
    cpl_image *image = draw(m, as_written, defaults, 512, error);
    bool done = image && picture_print(image, caps, columns, rows > 8 ? rows - 6 : rows, &bytes, &size, error);
    if (done) fwrite(bytes, 1, size, stdout);
    free(bytes);
    cpl_image_free(image);
    return done;
}

static bool show_map(map *m, const cpl_layout *as_written, const cpl_defaults *defaults, const arguments *a,
                     cpl_error *error) {
    term_caps caps;
    if (a->png) return write_png(m, as_written, defaults, a, error);
    /* Elsewhere than on a terminal letters are of more use than the bytes of a sixel. */
    output_capabilities(a, &caps);
    choose_cells(m, &caps);
    if (!map_fill(m, defaults, error)) return false;
    if (caps.sixel && !print_picture(m, as_written, defaults, &caps, error)) return false;
    if (!caps.sixel) print_letters(m, &caps);
    print_legend(m, &caps);
    return true;
}

int command_map(const arguments *a) {
    cpl_error error = {0};
    cpl_model_info info;
    map m = {0};
    if (a->png && folders_same_file(a->png, a->operand[0]))
        return say("%s is the layout itself; name another file for the map", a->png);
    cpl_layout *layout = open_layout(a);
    if (!layout) return 1;
    int status = 1;
    if (open_defaults(a, layout, &info)) {
        m.layout = cpl_layout_copy(layout, &error);
        bool done = m.layout && cpl_layout_resolve(layout, &info.defaults, &m.settings, &error) &&
                    show_map(&m, layout, &info.defaults, a, &error);
        status = done ? 0 : say_problem(a->operand[0], &error, false);
    }
    free(m.mask);
    cpl_lines_clear(&m.lines);
    cpl_layout_free(m.layout);
    cpl_layout_free(layout);
    return status;
}
