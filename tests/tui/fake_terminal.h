/* fake_terminal.h: a terminal for tests: a pseudo terminal whose other side answers queries from a table and keeps every
 * byte. The program under test is a forked child that has it as its controlling terminal. */
#ifndef TESTS_FAKE_TERMINAL_H
#define TESTS_FAKE_TERMINAL_H

#include "../../tui/picture.h"
#include "../../tui/term.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include <cmocka.h>

typedef struct answer {
    const char *query, *reply;
} answer;

typedef struct fake {
    int master, slave;
    pid_t child;
    int status; /* of the child, once it ended */
    bool ended;
    const answer *answers; /* ended by a NULL query */
    char *output;          /* all that the child wrote, NUL-terminated; owned */
    size_t size, answered; /* output before `answered` was searched for queries */
    struct termios before;
} fake;

/* What xterm with sixel says. */
static const answer XTERM[] = {{"\033[16t", "\033[6;18;9t"},
                               {"\033[14t", "\033[4;432;720t"},
                               {"\033[?1;1;0S", "\033[?1;0;256S"},
                               {"\033[?2;4;0S", "\033[?2;0;2000;1500S"},
                               {"\033[?2026$p", "\033[?2026;2$y"},
                               {"\033[c", "\033[?63;1;2;4;6;9;15;22c"},
                               {"\033[2;1H\033[6n", "\033[2;1R"},
                               {"\033[5n", "\033[0n"},
                               {NULL, NULL}};
static const answer WHITE[] = {
    {"\033]11;?\033\\", "\033]11;rgb:fdfd/fcfc/f8f8\033\\"}, {"\033[c", "\033[?63;1;2;4;6;9;15;22c"}, {NULL, NULL}};
static const answer SILENT[] = {{NULL, NULL}};

/* In the child: a check that fails ends it with a message that the parent shows. */
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            dprintf(2, "\r\n%s:%d: not so: %s\r\n", __FILE__, __LINE__, #condition);                                   \
            _exit(99);                                                                                                 \
        }                                                                                                              \
    } while (0)

static inline long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void fake_start(fake *f, const answer *answers, void (*child)(void)) {
    struct winsize size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 720, .ws_ypixel = 432};
    *f = (fake){.answers = answers};
    assert_int_equal(openpty(&f->master, &f->slave, NULL, NULL, &size), 0);
    assert_int_equal(tcgetattr(f->slave, &f->before), 0);
    fflush(NULL);
    f->child = fork();
    assert_true(f->child >= 0);
    if (f->child == 0) {
        close(f->master);
        if (login_tty(f->slave) != 0) _exit(98);
        setenv("TERM", "xterm-256color", 1);
        unsetenv("NO_COLOR");
        unsetenv("COLORTERM");
        /* A sanitizer would turn the signals of these tests into reports of its own. */
        static const int DEFAULT[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE,  SIGILL,
                                      SIGTERM, SIGHUP,  SIGINT, SIGTSTP, SIGPIPE};
        for (size_t i = 0; i < sizeof DEFAULT / sizeof DEFAULT[0]; i++) signal(DEFAULT[i], SIG_DFL);
        child();
        _exit(0);
    }
    f->output = calloc(1, 1);
    assert_non_null(f->output);
}

static inline void fake_send(fake *f, const char *bytes) {
    assert_int_equal(write(f->master, bytes, strlen(bytes)), strlen(bytes));
}

static inline void fake_answer(fake *f) {
    for (; f->answered < f->size; f->answered++) {
        for (const answer *a = f->answers; a->query; a++) {
            size_t length = strlen(a->query);
            if (f->size - f->answered >= length && !memcmp(f->output + f->answered, a->query, length))
                fake_send(f, a->reply);
        }
    }
}

static inline bool fake_read(fake *f, int wait_ms) {
    struct pollfd ready = {.fd = f->master, .events = POLLIN};
    char bytes[4096];
    if (poll(&ready, 1, wait_ms) <= 0) return false;
    ssize_t n = read(f->master, bytes, sizeof bytes);
    if (n <= 0) return false;
    f->output = realloc(f->output, f->size + (size_t)n + 1);
    assert_non_null(f->output);
    memcpy(f->output + f->size, bytes, (size_t)n);
    f->size += (size_t)n;
    f->output[f->size] = 0;
    fake_answer(f);
    return true;
}

/* Plays the terminal until `text` was written after `from`. Returns where it starts. */
static inline size_t fake_expect(fake *f, size_t from, const char *text) {
    long end = now_ms() + 20000;
    size_t length = strlen(text);
    for (size_t at = from;;) {
        for (; at + length <= f->size; at++)
            if (!memcmp(f->output + at, text, length)) return at;
        if (now_ms() > end || (!fake_read(f, 100) && waitpid(f->child, &f->status, WNOHANG) == f->child)) break;
    }
    fail_msg("the program did not write what was waited for; its last output: %s",
             f->output + (f->size > 600 ? f->size - 600 : 0));
    return 0;
}

static inline bool fake_holds(const fake *f, size_t from, const char *text) {
    return memmem(f->output + from, f->size - from, text, strlen(text)) != NULL;
}

/* Plays the terminal until the child ended; its wait status. */
static inline int fake_wait(fake *f) {
    long end = now_ms() + 20000;
    while (!f->ended && now_ms() < end) {
        fake_read(f, 20);
        f->ended = waitpid(f->child, &f->status, WNOHANG) == f->child;
    }
    while (fake_read(f, 0)) {}
    if (!f->ended) {
        kill(f->child, SIGKILL);
        fail_msg("the program did not end; its last output: %s", f->output + (f->size > 600 ? f->size - 600 : 0));
    }
    return f->status;
}

static inline void fake_expect_exit(fake *f) {
    int status = fake_wait(f);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the program ended with %x; its last output: %s", (unsigned)status,
                 f->output + (f->size > 600 ? f->size - 600 : 0));
}

static inline bool fake_modes_are(fake *f, const struct termios *wanted) {
    struct termios is;
    return tcgetattr(f->slave, &is) == 0 && is.c_iflag == wanted->c_iflag && is.c_oflag == wanted->c_oflag &&
           is.c_lflag == wanted->c_lflag && is.c_cflag == wanted->c_cflag &&
           !memcmp(is.c_cc, wanted->c_cc, sizeof is.c_cc);
}

/* The terminal is as it was: modes of the tty, mouse, paste and focus off, the normal screen. */
static inline void fake_expect_restored(fake *f, size_t from) {
    static const char *const OFF[] = {"\033[?1002l", "\033[?1006l", "\033[?2004l", "\033[?1004l", "\033[?1049l"};
    assert_true(fake_modes_are(f, &f->before));
    for (size_t i = 0; i < sizeof OFF / sizeof OFF[0]; i++)
        if (!fake_holds(f, from, OFF[i])) fail_msg("ESC%s was not sent", OFF[i] + 1);
}

static inline void fake_end(fake *f) {
    close(f->master);
    close(f->slave);
    free(f->output);
}

/* In the child. */
static inline term *open_terminal(void) {
    char why[200] = "";
    term *t = term_open(COLOR_AUTO, why, sizeof why);
    if (!t) dprintf(2, "%s\r\n", why);
    NEED(t);
    return t;
}

static inline input_event next_event(term *t) {
    input_event event = {0};
    long end = now_ms() + 10000;
    while (!term_next(t, &event)) {
        NEED(now_ms() < end);
        term_poll(t, NULL, 0, 100);
    }
    return event;
}

#endif
