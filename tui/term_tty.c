/* term_tty.c: the tty as a descriptor: opening it, raw mode, reading and writing. Knows nothing of ncurses, of what the
 * bytes mean or of signals. */
#include "term_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double term_clock_exact_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

int64_t term_clock_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Opening /dev/tty makes an open file description of our own: O_NONBLOCK on it does not touch the shell's or ncurses'. */
bool tty_open(tty *y, char *why, size_t why_size) {
    *y = (tty){.fd = -1};
    y->fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (y->fd < 0 || tcgetattr(y->fd, &y->saved) != 0) {
        snprintf(why, why_size, "there is no terminal to draw on (/dev/tty: %s)", strerror(errno));
        tty_close(y);
        return false;
    }
    y->parser = input_parser_new();
    if (y->parser) return true;
    snprintf(why, why_size, "out of memory");
    tty_close(y);
    return false;
}

void tty_close(tty *y) {
    tty_restore(y);
    if (y->fd >= 0) close(y->fd);
    input_parser_free(y->parser);
    *y = (tty){.fd = -1};
}

bool tty_raw(tty *y) {
    struct termios raw = y->saved;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    int done;
    while ((done = tcsetattr(y->fd, TCSADRAIN, &raw)) != 0 && errno == EINTR) {}
    y->raw = done == 0;
    return y->raw;
}

void tty_restore(tty *y) {
    if (!y->raw) return;
    while (tcsetattr(y->fd, TCSADRAIN, &y->saved) != 0 && errno == EINTR) {}
    y->raw = false;
}

size_t tty_write(tty *y, const char *bytes, size_t count, bool (*stop)(void *user), void *user) {
    size_t done = 0;
    while (done < count && !y->gone) {
        ssize_t n = write(y->fd, bytes + done, count - done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = y->fd, .events = (short)(POLLOUT | (stop ? POLLIN : 0))};
            if (poll(&ready, 1, stop ? 50 : -1) > 0 && (ready.revents & (POLLERR | POLLHUP | POLLNVAL))) y->gone = true;
        } else if (n < 0 && errno != EINTR) {
            y->gone = true;
        }
        if (stop && stop(user)) break;
    }
    y->written += done;
    return done;
}

bool tty_read(tty *y) {
    char bytes[4096];
    bool any = false;
    /* Bounded, so that a paste without end cannot keep the program from drawing. */
    for (int i = 0; i < 64 && !y->gone; i++) {
        ssize_t n = read(y->fd, bytes, sizeof bytes);
        if (n > 0) {
            any = true;
            y->last_byte_ms = term_clock_ms();
            if (!input_feed(y->parser, bytes, (size_t)n)) break;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            y->gone = true;
        } else if (errno == EAGAIN) {
            break;
        }
    }
    return any;
}
