/* editor_script.c: a key script at work, and the screen as text that it can write. */
#include "editor_ui.h"

#include "folders.h"

#include <curses.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static bool synced(const editor *e) {
    const core_status *core = &e->core;
    return core->failed || (!core->loading[0] && (core->invalid || core->synced == core->revision));
}

static bool still_waits(editor *e) {
    script_state waits = script_waits(e->script);
    const core_status *core = &e->core;
    /* In live mode nobody asks for the run that is about to begin. */
    bool due = e->live && !core->invalid && !core->failed && !core->cancelled && !editor_picture_current(e);
    bool over = waits == SCRIPT_SYNCED ? synced(e) : !core->running && !core->requested && synced(e) && !due;
    if (waits != SCRIPT_RUNNING && !over) return true;
    script_wait(e->script, SCRIPT_RUNNING);
    return false;
}

static void mouse(editor *e, mouse_action action, int button, int column, int row) {
    editor_mouse(e,
                 &(input_event){.type = INPUT_MOUSE, .action = action, .button = button, .column = column, .row = row});
}

static void click(editor *e, const script_step *step) {
    e->last_click_ms = 0; /* two clicks in a row are two clicks */
    for (int times = step->kind == SCRIPT_DOUBLE ? 2 : 1; times > 0; times--) {
        mouse(e, MOUSE_PRESS, 1, step->at[0], step->at[1]);
        mouse(e, MOUSE_RELEASE, 1, step->at[0], step->at[1]);
    }
}

static void drag(editor *e, const script_step *step) {
    e->last_click_ms = 0;
    int button = step->kind == SCRIPT_DRAG ? 1 : 3;
    mouse(e, MOUSE_PRESS, button, step->at[0], step->at[1]);
    mouse(e, MOUSE_DRAG, button, (step->at[0] + step->at[2]) / 2, (step->at[1] + step->at[3]) / 2);
    mouse(e, MOUSE_DRAG, button, step->at[2], step->at[3]);
    mouse(e, MOUSE_RELEASE, button, step->at[2], step->at[3]);
}

/* Looking and waiting leave everything as it is, also a line that is being typed. */
static void command(editor *e, const char *line) {
    const ex_command *known = ex_parse(line).command;
    bool only_looks = known && (known->action == EX_SAVE_DISPLAY || known->action == EX_WAIT);
    if (!only_looks) {
        if (e->typing) editor_stop_typing(e);
        editor_mask_settle(e);
        editor_drag_settle(e);
        e->list = LIST_NONE;
        e->tone = TONE_NONE;
    }
    editor_command(e, line);
}

static void perform(editor *e, const script_step *step) {
    switch (step->kind) {
    case SCRIPT_KEY:
        editor_key(e, step->press.key, step->press.modifiers);
        break;
    case SCRIPT_COMMAND:
        command(e, step->text);
        break;
    case SCRIPT_CLICK:
    case SCRIPT_DOUBLE:
        click(e, step);
        break;
    case SCRIPT_DRAG:
    case SCRIPT_RIGHT_DRAG:
        drag(e, step);
        break;
    case SCRIPT_WHEEL:
        mouse(e, step->at[0] < 0 ? MOUSE_WHEEL_UP : MOUSE_WHEEL_DOWN, 0, 0, 0);
        break;
    case SCRIPT_PASTE:
        editor_paste(e, step->text);
        break;
    }
    e->changed = true;
}

bool editor_script_waits(const editor *e) { return e->script && script_waits(e->script) != SCRIPT_RUNNING; }

void editor_script_run(editor *e) {
    while (e->script && !e->quit && !still_waits(e)) {
        const script_step *step = script_next(e->script);
        if (!step) {
            script_free(e->script);
            e->script = NULL;
            return;
        }
        perform(e, step);
        /* The next step may belong to a pane that only this one has opened. */
        editor_arrange(e);
    }
}

/* ---- The screen as text ---- */

static void print_row(FILE *out, int row) {
    wchar_t cells[1024] = {0};
    int count = mvinnwstr(row, 0, cells, COLS < 1023 ? COLS : 1023);
    while (count > 0 && cells[count - 1] == L' ') count--;
    for (int i = 0; i < count; i++) fprintf(out, "%lc", (wint_t)cells[i]);
    fputc('\n', out);
}

/* ---- What it looks like: a letter a cell, and what the letters mean ---- */

enum { MOST_LOOKS = 62 };
static const char LETTERS[MOST_LOOKS + 1] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

typedef struct look {
    attr_t attributes;
    int foreground, background; /* -1: the terminal's own */
} look;
typedef struct looks {
    look of[MOST_LOOKS];
    int count;
} looks;

static look look_of(const cchar_t *cell) {
    wchar_t text[CCHARW_MAX + 1];
    short narrow;
    int pair = 0;
    look l = {0, -1, -1};
    /* Pairs beyond a short are told in the last argument. */
    if (getcchar(cell, text, &l.attributes, &narrow, &pair) == ERR) return l;
    if (pair) extended_pair_content(pair, &l.foreground, &l.background);
    l.attributes &= A_BOLD | A_REVERSE | A_UNDERLINE;
    return l;
}

static char letter_of(looks *all, look l) {
    if (!l.attributes && l.foreground < 0 && l.background < 0) return '.';
    int i = 0;
    while (i < all->count && (all->of[i].attributes != l.attributes || all->of[i].foreground != l.foreground ||
                              all->of[i].background != l.background))
        i++;
    if (i == MOST_LOOKS) return '*';
    if (i == all->count) all->of[all->count++] = l;
    return LETTERS[i];
}

static void print_color(FILE *out, const char *what, int color) {
    if (color < 0) return;
    /* A terminal of 24 bits has no numbers for its colours. */
    fprintf(out, COLORS > 256 ? ", %s #%06x" : ", %s %d", what, (unsigned)color);
}

static void print_looks(FILE *out) {
    looks all = {.count = 0};
    char row[1024];
    for (int r = 0; r < LINES; r++) {
        int columns = COLS < 1023 ? COLS : 1023;
        for (int c = 0; c < columns; c++) {
            cchar_t cell;
            row[c] = mvin_wch(r, c, &cell) == ERR ? '?' : letter_of(&all, look_of(&cell));
        }
        while (columns && row[columns - 1] == '.') columns--;
        fprintf(out, "%.*s\n", columns, row);
    }
    for (int i = 0; i < all.count; i++) {
        const look *l = &all.of[i];
        fprintf(out, "%c:%s%s%s", LETTERS[i], l->attributes & A_BOLD ? " bold" : "",
                l->attributes & A_REVERSE ? " reverse" : "", l->attributes & A_UNDERLINE ? " underlined" : "");
        print_color(out, "text", l->foreground);
        print_color(out, "behind", l->background);
        fputc('\n', out);
    }
}

/* A script that runs again writes its screens again; only a person can be asked whether a file may go. */
bool editor_save_display(editor *e, const char *wanted, bool with_looks) {
    char *path = folders_expand(wanted), *text = NULL;
    size_t size = 0;
    if (path && !e->script && !editor_may_replace(e, path)) {
        free(path);
        return false;
    }
    FILE *out = path ? open_memstream(&text, &size) : NULL;
    editor_draw(e);
    for (int r = 0; out && r < LINES; r++) print_row(out, r);
    if (out && with_looks) print_looks(out);
    bool done = out && fclose(out) == 0 && folders_write(path, text);
    if (!done) editor_say(e, TONE_ERROR, "cannot write %s: %s", wanted, strerror(errno));
    free(text);
    free(path);
    return done;
}
