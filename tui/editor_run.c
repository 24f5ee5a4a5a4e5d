/* editor_run.c: start, the event loop and leaving. The loop sleeps in one poll over terminal, core and encoder; nothing
 * in it waits for work. */
#include "editor_ui.h"

#include <curses.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TICK_MS 100 /* the clock of a run under way */
#define STATS_MS 1000
#define REST_MS 50 /* without keys: time to write a file */
#define LATE_MS 400

int64_t editor_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void editor_say(editor *e, tone tone_of_it, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(e->message, sizeof e->message, format, list);
    va_end(list);
    e->tone = tone_of_it;
    e->changed = true;
    said_line *last = &e->said[(e->said_first + e->said_count) % SAID];
    if (e->said_count == SAID) e->said_first = (e->said_first + 1) % SAID, e->said_count--;
    e->said_count++;
    last->tone = tone_of_it;
    snprintf(last->text, sizeof last->text, "%.299s", e->message);
}

/* Rows count from 1 on the screen, and from 0 in the file's paths: "regions[0].prompt: ..." is about row 1. */
void editor_say_error(editor *e, const cpl_error *error) {
    int row, used = 0;
    size_t length = strlen(error->path);
    bool begins = length && !strncmp(error->message, error->path, length) && error->message[length] == ':';
    if (begins && sscanf(error->path, "regions[%d]%n", &row, &used) == 1 && used) {
        const char *key = error->path + used + (error->path[used] == '.');
        bool words = !*key || !strcmp(key, "prompt");
        editor_say(e, TONE_ERROR, "row %d%s%s%s", row + 1, words ? "" : ", ", words ? "" : key,
                   error->message + length);
    } else {
        editor_say(e, TONE_ERROR, "%s", error->message[0] ? error->message : "that did not work");
    }
}

/* ---- The loop ---- */

static int sooner(int a, int b) { return a < 0 ? b : b < 0 ? a : a < b ? a : b; }

/* A file takes milliseconds, for which the answer to a key would wait. */
int64_t editor_quiet_ms(const editor *e, int64_t due_ms) {
    int64_t quiet = e->last_key_ms + REST_MS;
    if (quiet < due_ms) return due_ms;
    return quiet < due_ms + LATE_MS ? quiet : due_ms + LATE_MS;
}

static int timeout_of(const editor *e, int64_t now) {
    int64_t stats = editor_quiet_ms(e, e->stats_ms + STATS_MS) - now;
    int timeout = stats > 0 ? (int)stats : 0;
    if (e->core.running || e->core.requested) timeout = sooner(timeout, TICK_MS);
    timeout = sooner(timeout, editor_journal_timeout(e, now));
    timeout = sooner(timeout, preview_timeout(&e->preview, e->term, now - e->last_key_ms));
    return timeout;
}

static void on_input(editor *e, input_event *event) {
    if (event->type == INPUT_KEY || event->type == INPUT_MOUSE) e->last_key_ms = editor_clock_ms();
    if (event->type == INPUT_KEY) editor_key(e, event->key, event->modifiers);
    if (event->type == INPUT_MOUSE) editor_mouse(e, event);
    if (event->type == INPUT_PASTE && event->text) editor_paste(e, event->text);
}

static void on_resize(editor *e) {
    /* Sixel support and the background may have been told late, and what looks on by tmux may be another terminal. */
    if (e->look == THEME_AUTO && e->caps->light != e->theme.light) theme_start(&e->theme, e->caps, e->look);
    preview_adapt(&e->preview, e->caps);
    /* ncurses clears the screen for its full repaint, and every image with it. */
    clearok(stdscr, TRUE);
    preview_lost(&e->preview);
    e->changed = true;
}

static void wait_and_handle(editor *e) {
    int64_t now = editor_clock_ms();
    term_wait wait[2] = {{cpl_session_fd(e->session), false}, {-1, false}};
    if (e->preview.encoder) wait[1].fd = picture_encoder_fd(e->preview.encoder);
    term_poll(e->term, wait, e->preview.encoder ? 2 : 1, timeout_of(e, now));
    if (term_resized(e->term)) on_resize(e);
    if (wait[0].readable) editor_events(e);
    if (wait[1].readable) preview_collect(&e->preview, e->term);
    input_event event = {0};
    while (!e->quit && term_next(e->term, &event)) {
        on_input(e, &event);
        input_event_clear(&event);
        /* The next key may belong to a pane that only this one has opened. */
        editor_arrange(e);
    }
    if (e->core.running) e->changed = true;
    if (e->list == LIST_STATS && editor_clock_ms() - e->stats_ms >= STATS_MS) e->changed = true;
}

static void write_files(editor *e) {
    int64_t now = editor_clock_ms();
    editor_journal_tick(e, now);
    if (now >= editor_quiet_ms(e, e->stats_ms + STATS_MS)) editor_write_stats(e);
}

static void loop(editor *e) {
    while (!e->quit) {
        editor_script_run(e);
        if (e->quit) break;
        if (e->changed) editor_draw(e);
        preview_paint(&e->preview, e->term, editor_clock_ms() - e->last_key_ms);
        write_files(e);
        wait_and_handle(e);
        int signal = term_quit_signal(e->term);
        if (signal) {
            editor_autosave(e);
            e->exit_status = 128 + signal;
            e->quit = true;
        }
    }
}

/* ---- Start and end ---- */

/* Work that an earlier session could not save is pointed at, never opened by itself. */
static void mention_autosave(editor *e) {
    char path[4096];
    struct stat kept, file;
    if (!e->path || snprintf(path, sizeof path, "%s.autosave", e->path) >= (int)sizeof path) return;
    if (stat(path, &kept) != 0) return;
    if (stat(e->path, &file) == 0 && kept.st_mtime < file.st_mtime) return;
    editor_say(e, TONE_INFO, "unsaved work of an earlier session is in %s: \":e\" opens it", path);
}

static bool start(editor *e, const editor_options *options) {
    cpl_error error = {0};
    char why[300] = "";
    e->options = options;
    e->results.compared = -1;
    e->brush.size = 1;
    e->path = options->path ? strdup(options->path) : NULL;
    editor_mark_file(e);
    if (!state_start(&e->state, options->layout, &error) ||
        !(e->session = cpl_session_new(&options->session, &error))) {
        fprintf(stderr, "couplet: %s\n", error.message);
        return false;
    }
    e->term = term_open(options->color, why, sizeof why);
    if (!e->term) {
        fprintf(stderr, "couplet: %s\n", why);
        return false;
    }
    e->caps = term_capabilities(e->term);
    e->look = options->theme;
    theme_start(&e->theme, e->caps, e->look);
    if (!preview_start(&e->preview, e->caps, &error)) editor_say_error(e, &error);
    e->state.cell = CELL_PROMPT;
    e->cursor_row = -1;
    e->changed = true;
    e->last_key_ms = editor_clock_ms() - 1000;
    e->script = options->script;
    editor_past_read(e);
    editor_place_restore(e);
    cpl_error no_journal = {0};
    e->journal = journal_open(&no_journal);
    if (!e->journal) editor_say(e, TONE_WARNING, "%s", no_journal.message);
    if (options->notice && *options->notice)
        editor_say(e, TONE_WARNING, "%s", options->notice);
    else if (!e->path && editor_any_recent())
        editor_say(e, TONE_INFO, "Ctrl-O lists the layouts edited last");
    mention_autosave(e);
    editor_recover_ask(e);
    editor_sync(e, CPL_SYNC_NOW);
    if (options->generate) editor_generate(e);
    return true;
}

static void end(editor *e) {
    /* The terminal first: whatever takes long or goes wrong after this does so in a sane terminal. */
    bool shown = e->term != NULL;
    preview_clear(&e->preview);
    term_close(e->term);
    if (e->farewell[0]) fputs(e->farewell, stderr);
    if (shown) editor_place_keep(e);
    if (!e->keep_journal) journal_drop(e->journal);
    journal_close(e->journal);
    journal_left_clear(&e->left);
    cpl_session_free(e->session);
    editor_results_clear(e);
    editor_backdrop_clear(e);
    state_clear(&e->state);
    line_edit_clear(&e->line);
    free(e->began);
    completion_clear(&e->complete);
    editor_past_clear(e);
    editor_choices_clear(&e->choices);
    script_free(e->script);
    cpl_layout_free(e->yanked);
    editor_forget_lines(e);
    free(e->core.ready);
    free(e->overwrite);
    free(e->path);
}

int editor_run(const editor_options *options) {
    editor *e = calloc(1, sizeof *e);
    if (!e) {
        cpl_layout_free(options->layout);
        fputs("couplet: out of memory\n", stderr);
        return 1;
    }
    int status = 1;
    if (start(e, options)) {
        loop(e);
        status = e->exit_status;
    }
    end(e);
    free(e);
    return status;
}
