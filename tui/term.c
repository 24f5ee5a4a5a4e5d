/* term.c: the terminal as a whole: taking it, giving it back, suspending, waiting, and the queue of input events. The
 * descriptor is term_tty.c's, the questions term_query.c's, the signals term_signals.c's. */
#include <ncurses.h>

#include "term_private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Drag reports in SGR encoding, bracketed paste, focus reports: ncurses does not know or does not ask for these. */
const char TERM_MODES_ON[] = "\033[?1002h\033[?1006h\033[?2004h\033[?1004h";
const char TERM_MODES_OFF[] = "\033[?2026l\033[?1004l\033[?2004l\033[?1006l\033[?1002l";

static bool stop_for_quit(void *user) {
    (void)user;
    return term_signals_flag(FLAG_QUIT, false) != 0;
}

bool term_write(term *t, const char *bytes, size_t count) {
    return tty_write(&t->tty, bytes, count, stop_for_quit, NULL) == count;
}

static void put(term *t, const char *text) { tty_write(&t->tty, text, strlen(text), stop_for_quit, NULL); }

static void arm(term *t) {
    char restore[512];
    snprintf(restore, sizeof restore, "%s%s", TERM_MODES_OFF, t->info.leave);
    term_crash_arm(t->tty.fd, &t->tty.saved, restore);
}

/* Waits for the reply to a fence; what else arrives is sorted as always. */
static bool await_fence(term *t, int limit_ms) {
    int64_t end = term_clock_ms() + limit_ms;
    while (!t->answers.fence && !t->tty.gone && !term_signals_flag(FLAG_QUIT, false)) {
        int left = (int)(end - term_clock_ms());
        struct pollfd ready = {.fd = t->tty.fd, .events = POLLIN};
        if (left <= 0) break;
        if (poll(&ready, 1, left) > 0) term_pump(t);
    }
    return t->answers.fence;
}

static bool start_screen(term *t, char *why, size_t why_size) {
    t->file = fopen("/dev/tty", "r+e");
    if (t->file) t->screen = newterm(NULL, t->file, t->file);
    if (!t->screen) {
        snprintf(why, why_size, "cannot draw on this terminal (TERM=%s)", t->caps.name);
        return false;
    }
    frame_open(&t->frame, t->file);
    raw();
    noecho();
    nonl();
    typeahead(-1); /* a refresh is not cut short because a key waits */
    if (t->caps.colors && start_color() == OK) use_default_colors();
    struct winsize size; /* not $LINES and $COLUMNS, which may be those of another window */
    if (ioctl(t->tty.fd, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) resizeterm(size.ws_row, size.ws_col);
    return true;
}

static bool usable(const char *name, const term_info *info, char *why, size_t why_size) {
    if (!name || !name[0]) {
        snprintf(why, why_size, "TERM is not set, so how to draw on this terminal is unknown");
    } else if (!strcmp(name, "dumb")) {
        snprintf(why, why_size, "TERM=dumb is a terminal that cannot be drawn on");
    } else if (!info->known) {
        char *safe = term_safe(name);
        snprintf(why, why_size, "terminfo does not know how to draw on TERM=%.64s", safe ? safe : "");
        free(safe);
    } else {
        return true;
    }
    return false;
}

term *term_open(color_choice color, char *why, size_t why_size) {
    const char *name = getenv("TERM");
    term *t = calloc(1, sizeof *t);
    if (!t) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    t->tty.fd = t->frame.memory = t->frame.tty = -1;
    term_info_read(name, &t->info);
    term_caps_start(&t->caps, color, name, &t->info);
    if (!usable(name, &t->info, why, why_size) || !tty_open(&t->tty, why, why_size)) {
        free(t);
        return NULL;
    }
    if (!term_signals_take(&t->wake_fd)) {
        snprintf(why, why_size, "the terminal is in use by this program already, or no descriptor is left");
        tty_close(&t->tty);
        free(t);
        return NULL;
    }
    arm(t);
    bool fine = tty_raw(&t->tty);
    if (fine) {
        put(t, term_query_background(name));
        put(t, TERM_QUERIES);
        double asked = term_clock_exact_ms();
        if (await_fence(t, TERM_QUERY_MS)) t->delay_ms = term_clock_exact_ms() - asked;
        term_crash_answers(t->answers.fence);
        term_caps_cell(&t->caps, &t->tty, &t->answers);
        fine = start_screen(t, why, why_size);
    } else {
        snprintf(why, why_size, "cannot switch the terminal to raw mode: %s", strerror(errno));
    }
    if (!fine) {
        term_close(t);
        return NULL;
    }
    put(t, TERM_MODES_ON);
    t->started = true;
    return t;
}

/* Reports that are still on their way would be typed into the shell: a last fence brings them in. */
static void silence(term *t) {
    put(t, TERM_MODES_OFF);
    if (!t->answers.fence || t->tty.gone) return;
    t->answers.fence = false;
    put(t, TERM_FENCE);
    if (!await_fence(t, TERM_LATE_MS)) tcflush(t->tty.fd, TCIFLUSH);
    t->answers.fence = true; /* it does answer, if late */
}

void term_close(term *t) {
    if (!t) return;
    if (t->started) silence(t);
    if (t->screen) {
        endwin();
        delscreen(t->screen);
    }
    frame_close(&t->frame);
    if (t->file) fclose(t->file);
    tty_restore(&t->tty);
    term_crash_disarm();
    term_signals_give_back();
    tty_close(&t->tty);
    for (int i = 0; i < t->queued; i++) input_event_clear(&t->queue[(t->first + i) % TERM_QUEUE]);
    free(t);
}

/* ---- Input ---- */

static void enqueue(term *t, input_event *event) {
    if (t->queued && event->type == INPUT_MOUSE && event->action == MOUSE_DRAG) {
        /* Only where the mouse is now matters, not each cell on the way. */
        input_event *last = &t->queue[(t->first + t->queued - 1) % TERM_QUEUE];
        if (last->type == INPUT_MOUSE && last->action == MOUSE_DRAG && last->button == event->button) {
            *last = *event;
            return;
        }
    }
    t->queue[(t->first + t->queued++) % TERM_QUEUE] = *event;
}

static void mark_answered(term *t) {
    if (t->marks_answered >= t->marks) return;
    /* An answer that was not waited for any more says nothing of the picture that is on its way now. */
    bool began = ++t->marks_answered == t->paint_mark, ended = t->marks_answered == t->paint_mark + 1;
    if (began) t->paint_began_ms = term_clock_exact_ms(), t->paint_began_read = t->reads;
    if (!ended || t->paint_began_ms <= 0) return;
    /* Both answers come the same way: between them lies the picture alone, unless we were late and read both at once. */
    double since = t->paint_began_read == t->reads ? t->paint_started_ms + t->delay_ms : t->paint_began_ms;
    double ms = term_clock_exact_ms() - since;
    double bytes = (double)(t->marked_bytes - t->paint_started_bytes);
    t->paint_began_ms = 0;
    /* Large pictures tell more than small ones. */
    if (bytes < 2048) return;
    t->link_bytes = t->link_bytes / 2 + bytes;
    t->link_ms = t->link_ms / 2 + (ms < 0.1 ? 0.1 : ms);
}

static void handle_reply(term *t, const input_event *event) {
    if (event->reply_kind == 'R') {
        mark_answered(t);
        return;
    }
    term_caps before = t->caps;
    if (!term_caps_reply(&t->caps, &t->answers, event)) return;
    if (event->reply_kind == 't') term_caps_cell(&t->caps, &t->tty, &t->answers);
    /* An answer that comes late, or after a change of font, changes how pictures are shown. */
    if (t->started && (before.light != t->caps.light || before.sixel != t->caps.sixel ||
                       before.cell_width != t->caps.cell_width || before.cell_height != t->caps.cell_height))
        t->resized = true;
}

static void sort_events(term *t, bool idle) {
    input_event event;
    while (t->queued < TERM_QUEUE && input_next(t->tty.parser, idle, &event)) {
        if (event.type == INPUT_REPLY) {
            handle_reply(t, &event);
        } else {
            enqueue(t, &event);
        }
    }
}

void term_pump(term *t) {
    if (t->queued < TERM_QUEUE) tty_read(&t->tty);
    t->reads++;
    sort_events(t, false);
    if (t->tty.gone && !t->quit_signal) t->quit_signal = SIGHUP;
}

bool term_next(term *t, input_event *event) {
    sort_events(t, false);
    *event = (input_event){0};
    if (!t->queued) return false;
    *event = t->queue[t->first];
    t->first = (t->first + 1) % TERM_QUEUE;
    t->queued--;
    return true;
}

/* ---- Signals, size, suspension ---- */

static void take_new_size(term *t) {
    struct winsize size;
    if (ioctl(t->tty.fd, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) resizeterm(size.ws_row, size.ws_col);
    term_caps_cell(&t->caps, &t->tty, &t->answers);
    if (t->answers.fence) put(t, TERM_QUERY_CELL); /* the font may be another; answers come through term_pump */
    if (t->answers.fence && t->caps.by_tmux) put(t, TERM_FENCE); /* another terminal may show the session now */
    t->resized = true;
}

/* In the background (`bg`) the shell still reads from the terminal: wait until it is ours. */
static void await_foreground(const term *t) {
    for (int tries = 0; tries < 100; tries++) {
        pid_t front = tcgetpgrp(t->tty.fd);
        if (front < 0 || front == getpgrp()) return;
        kill(0, SIGTTOU);
        poll(NULL, 0, 10);
    }
}

static void take_again(term *t) {
    await_foreground(t);
    arm(t);
    tty_raw(&t->tty);
    put(t, TERM_MODES_ON);
    clearok(curscr, TRUE);
    wrefresh(curscr);
    take_new_size(t);
}

static void give(term *t) {
    silence(t);
    endwin();
    tty_restore(&t->tty);
    term_crash_disarm();
}

void term_suspend(term *t) {
    give(t);
    term_signals_stop();
    await_foreground(t);
    tcgetattr(t->tty.fd, &t->tty.saved); /* the user may have run stty meanwhile */
    take_again(t);
}

/* Keys that raise signals are meant for the program that has the terminal, as in system(3). One that stops it stops us too:
 * we are the job that the shell watches, and until that stops it does not take the terminal. */
static int run_and_wait(char *const *arguments, int *failed) {
    struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    pid_t child;
    int status = -1;
    sigemptyset(&defaults);
    static const int of_child[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD};
    for (size_t i = 0; i < sizeof of_child / sizeof of_child[0]; i++) sigaddset(&defaults, of_child[i]);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    sigaction(SIGINT, &ignore, &interrupt);
    sigaction(SIGQUIT, &ignore, &quit);
    *failed = posix_spawn(&child, arguments[0], NULL, &attributes, arguments, environ);
    while (!*failed) {
        pid_t told = waitpid(child, &status, WUNTRACED);
        if (told < 0 && errno == EINTR) continue;
        if (told < 0 || !WIFSTOPPED(status)) break;
        term_signals_stop();
        kill(0, SIGCONT); /* where nobody stopped us, nobody will wake the program either */
    }
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGQUIT, &quit, NULL);
    posix_spawnattr_destroy(&attributes);
    return status;
}

bool term_run(term *t, const char *program, const char *argument, char *why, size_t why_size) {
    char *line = NULL;
    int failed = 0;
    if (asprintf(&line, "%s \"$1\"", program) < 0) return snprintf(why, why_size, "out of memory"), false;
    char *const arguments[] = {"/bin/sh", "-c", line, "sh", (char *)argument, NULL};
    give(t);
    int status = run_and_wait(arguments, &failed);
    free(line);
    /* Those that came meanwhile were the program's. */
    term_signals_flag(FLAG_STOP, true);
    term_signals_flag(FLAG_CONTINUE, true);
    take_again(t);
    if (failed)
        snprintf(why, why_size, "cannot be started: %s", strerror(failed));
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        snprintf(why, why_size, "there is no such program");
    else if (status != 0)
        snprintf(why, why_size, "it ended with an error, so its text was not taken");
    return !failed && status == 0;
}

static void take_signals(term *t) {
    int quit = term_signals_flag(FLAG_QUIT, true);
    if (quit) t->quit_signal = quit;
    if (term_signals_flag(FLAG_STOP, true)) term_suspend(t);
    if (term_signals_flag(FLAG_CONTINUE, true)) {
        endwin(); /* the shell may have left the alternate screen: enter it anew */
        take_again(t);
    }
    if (term_signals_flag(FLAG_RESIZE, true)) take_new_size(t);
}

void term_poll(term *t, term_wait *others, int count, int timeout_ms) {
    enum { ROOM = 16, OWN = 2 };
    struct pollfd fds[ROOM] = {{.fd = t->tty.gone ? -1 : t->tty.fd, .events = POLLIN},
                               {.fd = t->wake_fd, .events = POLLIN}};
    if (count > ROOM - OWN) count = ROOM - OWN;
    for (int i = 0; i < count; i++) fds[OWN + i] = (struct pollfd){.fd = others[i].fd, .events = POLLIN};
    sort_events(t, false);
    if (t->queued || t->resized || t->quit_signal) timeout_ms = 0;
    if (input_pending(t->tty.parser)) {
        int64_t left = t->tty.last_byte_ms + TERM_ESCAPE_MS - term_clock_ms();
        if (timeout_ms < 0 || left < timeout_ms) timeout_ms = left > 0 ? (int)left : 0;
    }
    nfds_t watched = OWN + (nfds_t)count;
    int ready = poll(fds, watched, timeout_ms);
    for (int i = 0; i < count; i++) others[i].readable = ready > 0 && fds[OWN + i].revents != 0;
    if (ready > 0 && fds[1].revents) term_signals_drain();
    take_signals(t);
    if (ready > 0 && fds[0].revents) term_pump(t);
    if (input_pending(t->tty.parser) && term_clock_ms() - t->tty.last_byte_ms >= TERM_ESCAPE_MS) sort_events(t, true);
}

bool term_resized(term *t) {
    bool resized = t->resized;
    t->resized = false;
    return resized;
}

int term_quit_signal(const term *t) { return t->quit_signal; }
const term_caps *term_capabilities(const term *t) { return &t->caps; }
uint64_t term_bytes_written(const term *t) { return t->tty.written; }

/* ---- Marks: has the terminal worked through what it was sent? ---- */

void term_mark(term *t) {
    /* In row 2, because the answer for row 1 reads as Shift-F3. */
    static const char MARK[] = "\0337\033[2;1H\033[6n\0338";
    t->marked_bytes = t->tty.written;
    if (!t->answers.fence || !term_write(t, MARK, sizeof MARK - 1)) return;
    t->marks++;
    t->marked_ms = term_clock_ms();
}

/* A terminal that never answers must not stop pictures for good. */
bool term_drained(const term *t) { return t->marks_answered >= t->marks || term_clock_ms() - t->marked_ms > 2000; }

double term_answer_ms(const term *t) { return t->delay_ms; }

size_t term_link_bytes(const term *t, int ms) {
    if (t->link_ms <= 0) return SIZE_MAX;
    return (size_t)(t->link_bytes / t->link_ms * ms);
}
