/* term_paint.c: writes a picture to the terminal, ready to give way to a key. Does not know how pictures are made. */
#include "term_private.h"
#include "term_tmux.h"

#include <poll.h>
#include <string.h>

static bool input_waits(void *user) {
    term *t = user;
    struct pollfd ready = {.fd = t->tty.fd, .events = POLLIN};
    if (poll(&ready, 1, 0) > 0) term_pump(t); /* replies are no reason to stop */
    return t->queued > 0 || term_signals_flag(FLAG_QUIT, false) || term_signals_flag(FLAG_RESIZE, false);
}

/* Someone without sixel may have come to look on since; that one would see plus signs all over. */
static bool may_paint(term *t) {
    enum { ASK_AGAIN_MS = 1000 };
    double now = term_clock_exact_ms();
    bool before = t->caps.sixel;
    if (!t->caps.by_tmux || now - t->tmux_asked_ms < ASK_AGAIN_MS) return before;
    t->caps.sixel = term_tmux_shows_sixel();
    t->tmux_asked_ms = now;
    t->resized |= t->caps.sixel != before; /* as by an answer that comes late: it is drawn in another way */
    return t->caps.sixel;
}

void term_look_again(term *t) { may_paint(t); }

bool term_paint(term *t, const char *string, size_t count, int row, int column) {
    enum { PIECE = 8192 };
    char place[64];
    if (input_waits(t) || !may_paint(t)) return false;
    t->paint_started_ms = term_clock_exact_ms();
    term_mark(t);
    t->paint_mark = t->marks;
    t->paint_began_ms = 0;
    t->paint_started_bytes = t->tty.written;
    snprintf(place, sizeof place, "%s\0337\033[%d;%dH", t->caps.sync_updates ? "\033[?2026h" : "", row + 1, column + 1);
    if (!term_write(t, place, strlen(place))) return false;
    term_crash_in_string(true);
    size_t done = 0;
    while (done < count) {
        size_t piece = count - done < PIECE ? count - done : PIECE;
        size_t wrote = tty_write(&t->tty, string + done, piece, input_waits, t);
        done += wrote;
        if (done < count && (wrote < piece || input_waits(t))) break;
    }
    /* Ended by ST wherever it was cut: the terminal shows what it got so far. */
    if (done < count) term_write(t, "\033\\", 2);
    term_crash_in_string(false);
    const char *end = t->caps.sync_updates ? "\0338\033[?2026l" : "\0338";
    return term_write(t, end, strlen(end)) && done == count;
}
