/* test_sweep.c: the editor drawn at sizes from 1x1 to 250x80, in every view: nothing crashes, and no pane's contents reach
 * its frame or another pane. Every eleventh size and all small ones; `test_sweep all` takes every one. And previews have the
 * size of what comes of them. */
#include "fake_terminal.h"

#include "../../tui/editor_ui.h"

#include <curses.h>
#include <wchar.h>

#include "../test.h"

enum { ROWS = 80, COLUMNS = 250 };

static const char WORK[] = "{\"couplet\":1,\"canvas\":{\"width\":192,\"height\":128},\"regions\":["
                           "{\"rect\":[0,0.3,0,0.4],\"prompt\":\"a cat, night sky\"},"
                           "{\"rect\":[0.2,0.7,0.1,0.6],\"prompt\":\"ein B\xc3\xa4r mit "
                           "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e und \xf0\x9f\x90\xbb\"},"
                           "{\"rect\":[0.5,0.98,0.4,0.99],\"weight\":1.25,\"prompt\":\"a very long prompt that does "
                           "not fit in the table of any "
                           "terminal that people really use for their work, sea, and some more of it so that it is "
                           "longer than 250 columns, which "
                           "is what the widest terminal of this test has, unless it grows, and then this text has to "
                           "grow too, which is easy\"},"
                           "{\"rect\":[0.1,0.12,0.5,1],\"prompt\":\"\"}],\"sampling\":{\"steps\":2,\"seed\":7}}";

static bool every_size;

/* What is on the screen beside the size: each is drawn at each size in turn. */
typedef struct variant {
    const char *name;
    screen_view view;
    cpl_mode mode;
    list_kind list;
    const char *command; /* being typed */
    bool asking, picture, map;
} variant;

static const variant variants[] = {
    {.name = "both"},
    {.name = "picture", .view = VIEW_PICTURE, .picture = true},
    {.name = "a picture beside the canvas", .picture = true},
    {.name = "the region map", .map = true},
    {.name = "masks", .mode = CPL_MODE_MASK},
    {.name = "tiles", .mode = CPL_MODE_BASIC},
    {.name = "help", .list = LIST_HELP},
    {.name = "messages", .list = LIST_MESSAGES},
    {.name = "statistics", .list = LIST_STATS},
    {.name = "a command",
     .command = "set model a long path that wants more room than there is in most terminals of all"},
    {.name = "a question", .asking = true},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static void start_editor(editor *e) {
    cpl_error error = {0};
    static const cpl_options quiet = {.threads = 1};
    cpl_layout *layout = cpl_layout_parse(WORK, NULL, "work", &error);
    NEED(layout && state_start(&e->state, layout, &error));
    e->results.compared = -1;
    e->brush.size = 1;
    e->path = strdup("a folder/with a long name/work.json");
    e->session = cpl_session_new(&quiet, &error);
    NEED(e->session);
    e->term = open_terminal();
    e->caps = term_capabilities(e->term);
    theme_start(&e->theme, e->caps, THEME_AUTO);
    NEED(preview_start(&e->preview, e->caps, &error));
    e->state.cell = CELL_PROMPT;
    for (int i = 0; i < 30; i++)
        editor_say(e, i % 2 ? TONE_ERROR : TONE_INFO, "message %d, with some words that want to be wrapped somewhere",
                   i);
}

static void end_editor(editor *e) {
    preview_clear(&e->preview);
    term_close(e->term);
    cpl_session_free(e->session);
    state_clear(&e->state);
    line_edit_clear(&e->line);
    free(e->began);
    completion_clear(&e->complete);
    editor_results_clear(e);
    editor_forget_lines(e);
    free(e->path);
}

static void take(editor *e, const variant *v) {
    cpl_error error = {0};
    cpl_mode mode = v->mode || !strcmp(v->name, "tiles") ? v->mode : CPL_MODE_ADVANCED;
    if (e->state.layout->mode != mode) NEED(state_set_mode(&e->state, mode, &error));
    if (e->typing) editor_stop_typing(e);
    e->view = v->view;
    e->focus = v->view == VIEW_PICTURE ? PANE_TABLE : PANE_CANVAS;
    e->list = v->list;
    e->asking = v->asking;
    e->tone = TONE_NONE;
    e->map = false;
    if (v->map) {
        editor_show_map(e, true);
    } else if (v->picture && !e->preview.image) {
        cpl_image *image = cpl_image_new(96, 64, &error);
        NEED(image);
        preview_show(&e->preview, e->term, image, false, 96, 64);
    } else if (!v->picture) {
        preview_none(&e->preview);
    }
    if (v->command) editor_type_line(e, TYPING_COMMAND, v->command);
}

/* ncurses tells what stands where; frames are of lines from above to below, at both sides, and rulers have marks there. */
static bool is_side(int row, int column, const wchar_t *lines) {
    cchar_t cell;
    wchar_t text[CCHARW_MAX + 1];
    attr_t attributes;
    short pair;
    if (mvin_wch(row, column, &cell) == ERR || getcchar(&cell, text, &attributes, &pair, NULL) == ERR) return false;
    return text[0] && wcschr(lines, text[0]);
}

static void expect_sides(const variant *v, const char *name, window w, const wchar_t *left) {
    for (int r = w.row + 1; r < w.row + w.rows - 1; r++) {
        bool whole = is_side(r, w.column, left) && is_side(r, w.column + w.columns - 1, L"│");
        if (!whole)
            dprintf(2, "\r\n%dx%d, %s: the frame of the %s is broken in row %d\r\n", COLS, LINES, v->name, name, r);
        NEED(whole);
    }
}

/* Drawn for the pane as it is now: an enlarged one would be blurred, and scaling it takes longer than to draw it. */
static void expect_map_fills(const editor *e) {
    int columns = e->preview.area.columns * e->caps->cell_width, rows = e->preview.area.rows * e->caps->cell_height;
    NEED(e->map && e->preview.image);
    NEED(e->preview.width_px == e->preview.image->width && e->preview.height_px == e->preview.image->height);
    NEED(e->preview.width_px <= columns && e->preview.height_px <= rows);
    NEED(e->preview.width_px > columns - 10 || e->preview.height_px > rows - 6 || e->preview.width_px > 990);
}

static void draw_one(editor *e, int rows, int columns, const variant *v) {
    NEED(resizeterm(rows, columns) == OK && LINES == rows && COLS == columns);
    take(e, v);
    editor_draw(e);
    if (e->windows.card || e->list) return;
    if (e->windows.canvas.rows) expect_sides(v, "canvas", e->windows.canvas, L"│┃├┣");
    if (e->windows.picture.rows) expect_sides(v, "picture", e->windows.picture, L"│");
    expect_sides(v, "table", e->windows.table, L"│");
    if (v->map && e->windows.picture.rows) expect_map_fills(e);
}

static void child_draws_all_sizes(void) {
    editor *e = calloc(1, sizeof *e);
    setlocale(LC_CTYPE, "C.UTF-8");
    NEED(e);
    start_editor(e);
    int number = 0;
    for (int columns = 1; columns <= COLUMNS; columns++)
        for (int rows = 1; rows <= ROWS; rows++, number++) {
            /* The sizes where the windows change their kind are never left out. */
            bool edge = (columns >= 59 && columns <= 78 && rows >= 14 && rows <= 20) || columns * rows < 40;
            if (!every_size && !edge && number % 11) continue;
            draw_one(e, rows, columns, &variants[number / (every_size ? 1 : 11) % VARIANTS]);
        }
    end_editor(e);
    free(e);
}

/* Those of the first pass too: what is on the screen does not change its place when the second one begins. */
static void child_sees_previews_as_large_as_the_picture(void) {
    editor *e = calloc(1, sizeof *e);
    cpl_error error = {0};
    int seen = 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    NEED(e);
    start_editor(e);
    NEED(state_set_setting(&e->state, SETTING_HIRES, "1.3", &error));
    NEED(state_set_setting(&e->state, SETTING_UNCOVERED, "fill", &error));
    editor_sync(e, CPL_SYNC_NOW);
    editor_generate(e);
    while (!e->results.count) {
        NEED(!e->core.invalid && !e->core.failed);
        NEED(cpl_session_wait(e->session, 60000));
        editor_events(e);
        bool rough = e->preview.rough && e->preview.image;
        seen += rough;
        NEED(!rough || (e->preview.image->width == 248 && e->preview.image->height == 160));
    }
    NEED(seen > 0 && e->preview.image && e->preview.image->width == 248 && e->preview.image->height == 160);
    end_editor(e);
    free(e);
}

static void ends_well(void (*child)(void)) {
    fake f;
    fake_start(&f, XTERM, child);
    while (!f.ended) {
        if (!fake_read(&f, 100)) f.ended = waitpid(f.child, &f.status, WNOHANG) == f.child;
        /* Megabytes of drawing are of no interest; queries are all at the beginning. */
        if (f.size > 1 << 20) f.size = f.answered = 0;
    }
    while (fake_read(&f, 0)) {}
    if (!WIFEXITED(f.status) || WEXITSTATUS(f.status) != 0)
        fail_msg("ended with %x: %s", (unsigned)f.status, f.output + (f.size > 300 ? f.size - 300 : 0));
    fake_end(&f);
}

static void no_size_breaks_a_frame(void **state) {
    (void)state;
    ends_well(child_draws_all_sizes);
}

static void previews_are_as_large_as_the_picture(void **state) {
    (void)state;
    ends_well(child_sees_previews_as_large_as_the_picture);
}

int main(int argc, char **argv) {
    every_size = argc > 1 && !strcmp(argv[1], "all");
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_size_breaks_a_frame),
                                       cmocka_unit_test(previews_are_as_large_as_the_picture)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
