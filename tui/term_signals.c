/* term_signals.c: the process' signals while a terminal is borrowed. What asks the program to end, resize, stop or go on
 * becomes a flag and a byte in a pipe; what kills it restores the terminal first and then kills it all the same. State
 * is static because handlers have no other: one terminal at a time. */
#include "../core/couplet.h"
#include "term_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    int number;
    term_flag flag;
} WATCHED[] = {
    {SIGTERM, FLAG_QUIT},    {SIGHUP, FLAG_QUIT},  {SIGINT, FLAG_QUIT},
    {SIGWINCH, FLAG_RESIZE}, {SIGTSTP, FLAG_STOP}, {SIGCONT, FLAG_CONTINUE},
};
/* With a reason: a crash, which is reported. Without: a signal whose default is just to end the process. */
static const struct {
    int number;
    const char *reason;
} DEADLY[] = {
    {SIGSEGV, "SIGSEGV, a memory fault"},
    {SIGBUS, "SIGBUS, a memory fault"},
    {SIGFPE, "SIGFPE, an arithmetic fault"},
    {SIGILL, "SIGILL, an instruction this CPU does not have"},
    {SIGABRT, "SIGABRT, a failed self-check"},
    {SIGSYS, "SIGSYS, a forbidden system call"},
    {SIGXCPU, "SIGXCPU, the CPU time limit"},
    {SIGXFSZ, "SIGXFSZ, the file size limit"},
    {SIGQUIT, NULL},
    {SIGPIPE, NULL},
    {SIGALRM, NULL},
    {SIGUSR1, NULL},
    {SIGUSR2, NULL},
};
enum { WATCHED_COUNT = sizeof WATCHED / sizeof WATCHED[0], DEADLY_COUNT = sizeof DEADLY / sizeof DEADLY[0] };

static struct {
    bool taken;
    int pipe[2];
    volatile sig_atomic_t flag[FLAGS];
    volatile sig_atomic_t ignored_quits;
    struct sigaction before_watched[WATCHED_COUNT], before_deadly[DEADLY_COUNT];
    stack_t before_stack;
    bool own_stack;
} signals;

static struct {
    volatile sig_atomic_t armed, in_string, answers;
    int fd;
    struct termios saved;
    char restore[512];
} crash;

static void crash_write(int fd, const char *bytes, size_t count) {
    for (int tries = 0; count && tries < 200;) {
        ssize_t n = write(fd, bytes, count);
        if (n > 0) {
            bytes += n;
            count -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, 10);
            tries++;
        } else if (n < 0 && errno != EINTR) {
            return;
        }
    }
}

/* Replies to our last questions may still be on their way, and a shell would take them for typing. A terminal answers in
 * order: after the answer to one more question, "CSI 0 n", none is left. */
static void await_replies(void) {
    char bytes[256], before = 0;
    struct pollfd in = {.fd = crash.fd, .events = POLLIN};
    int limit_ms = crash.answers ? TERM_LATE_MS : TERM_QUERY_MS;
    crash_write(crash.fd, "\033[5n", 4);
    for (int rounds = 0; rounds < 20 && poll(&in, 1, limit_ms) > 0; rounds++) {
        ssize_t count = read(crash.fd, bytes, sizeof bytes);
        if (count <= 0) return;
        for (ssize_t i = 0; i < count; before = bytes[i++])
            if (before == '0' && bytes[i] == 'n') return;
    }
}

/* Only calls that POSIX allows in a handler. */
static void give_terminal_back(void) {
    if (!crash.armed) return;
    crash.armed = 0;
    if (crash.in_string) crash_write(crash.fd, "\033\\", 2);
    crash_write(crash.fd, crash.restore, strlen(crash.restore));
    await_replies();
    tcsetattr(crash.fd, TCSANOW, &crash.saved);
}

static void report(const char *reason) {
    static const char END[] = "). The terminal is restored; your layout's last save is untouched.\n";
    static const char START[] = "couplet " CPL_VERSION " crashed (";
    crash_write(STDERR_FILENO, START, sizeof START - 1);
    crash_write(STDERR_FILENO, reason, strlen(reason));
    crash_write(STDERR_FILENO, END, sizeof END - 1);
}

static void on_deadly(int number, siginfo_t *info, void *context) {
    static volatile int entered;
    (void)context;
    /* Several threads may fall over the same thing: one speaks, the others wait to be ended with it. */
    if (__atomic_exchange_n(&entered, 1, __ATOMIC_SEQ_CST))
        for (;;) pause();
    bool was_ours = crash.armed;
    give_terminal_back();
    for (int i = 0; i < DEADLY_COUNT; i++) {
        if (DEADLY[i].number != number) continue;
        if (DEADLY[i].reason && was_ours) report(DEADLY[i].reason);
        struct sigaction next = signals.before_deadly[i];
        if (!(next.sa_flags & SA_SIGINFO) && next.sa_handler == SIG_IGN) next.sa_handler = SIG_DFL;
        sigaction(number, &next, NULL);
    }
    __atomic_store_n(&entered, 0, __ATOMIC_SEQ_CST);
    /* A fault is met again when the instruction is run again, with its true address for a core file or a sanitizer. What
     * somebody sent has to be sent again. */
    if (info->si_code <= 0) raise(number);
}

static void on_watched(int number) {
    int before = errno;
    for (int i = 0; i < WATCHED_COUNT; i++)
        if (WATCHED[i].number == number) signals.flag[WATCHED[i].flag] = number;
    bool quit = signals.flag[FLAG_QUIT] == number;
    /* The screen may hang in a write to a dead line: whoever asks a third time in vain is obeyed at once. */
    if (quit && ++signals.ignored_quits >= 3) {
        give_terminal_back();
        signal(number, SIG_DFL);
        raise(number);
    }
    ssize_t n = write(signals.pipe[1], "", 1);
    (void)n;
    errno = before;
}

/* A stack overflow leaves no stack to handle it on. A stack that is there already (a sanitizer's) stays. */
static void take_stack(void) {
    static char room[1 << 16]; /* frames with AMX state are large */
    signals.own_stack = sigaltstack(NULL, &signals.before_stack) == 0 && (signals.before_stack.ss_flags & SS_DISABLE);
    if (signals.own_stack) sigaltstack(&(stack_t){.ss_sp = room, .ss_size = sizeof room}, NULL);
}

bool term_signals_take(int *wake_fd) {
    static bool net;
    if (signals.taken || pipe2(signals.pipe, O_CLOEXEC | O_NONBLOCK) != 0) return false;
    if (!net) net = atexit(give_terminal_back) == 0;
    for (int i = 0; i < FLAGS; i++) signals.flag[i] = 0;
    signals.ignored_quits = 0;
    struct sigaction watch = {.sa_handler = on_watched, .sa_flags = SA_RESTART}, deadly = {.sa_sigaction = on_deadly};
    sigfillset(&watch.sa_mask);
    sigemptyset(&deadly.sa_mask);
    deadly.sa_flags = SA_SIGINFO | SA_ONSTACK;
    take_stack();
    for (int i = 0; i < WATCHED_COUNT; i++) {
        struct sigaction *before = &signals.before_watched[i];
        sigaction(WATCHED[i].number, NULL, before);
        /* nohup, or a shell without job control, wants these ignored */
        bool keep = WATCHED[i].flag != FLAG_RESIZE && WATCHED[i].flag != FLAG_CONTINUE && before->sa_handler == SIG_IGN;
        if (!keep) sigaction(WATCHED[i].number, &watch, NULL);
    }
    for (int i = 0; i < DEADLY_COUNT; i++) {
        sigaction(DEADLY[i].number, NULL, &signals.before_deadly[i]);
        if (DEADLY[i].reason || signals.before_deadly[i].sa_handler == SIG_DFL)
            sigaction(DEADLY[i].number, &deadly, NULL);
    }
    *wake_fd = signals.pipe[0];
    return signals.taken = true;
}

void term_signals_give_back(void) {
    if (!signals.taken) return;
    for (int i = 0; i < WATCHED_COUNT; i++) sigaction(WATCHED[i].number, &signals.before_watched[i], NULL);
    for (int i = 0; i < DEADLY_COUNT; i++) sigaction(DEADLY[i].number, &signals.before_deadly[i], NULL);
    if (signals.own_stack) sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    close(signals.pipe[0]);
    close(signals.pipe[1]);
    signals.taken = false;
}

int term_signals_flag(term_flag flag, bool clear) {
    int number = signals.flag[flag];
    if (number && clear) signals.flag[flag] = 0;
    if (number && clear && flag == FLAG_QUIT) signals.ignored_quits = 0;
    return number;
}

void term_signals_drain(void) {
    char bytes[64];
    while (read(signals.pipe[0], bytes, sizeof bytes) > 0) {}
}

/* The whole process group is stopped, as the terminal driver would: under `make run` the shell watches make. Where nobody
 * could wake it again the kernel does not stop it, and the wait for SIGCONT ends by itself. */
void term_signals_stop(void) {
    struct sigaction ours, stop = {.sa_handler = SIG_DFL};
    sigaction(SIGTSTP, NULL, &ours);
    if (ours.sa_handler == SIG_IGN) return;
    signals.flag[FLAG_CONTINUE] = 0;
    sigaction(SIGTSTP, &stop, NULL);
    kill(0, SIGTSTP);
    int64_t end = term_clock_ms() + 100;
    while (!signals.flag[FLAG_CONTINUE] && term_clock_ms() < end) poll(NULL, 0, 5);
    sigaction(SIGTSTP, &ours, NULL);
    signals.flag[FLAG_CONTINUE] = signals.flag[FLAG_STOP] = 0;
}

void term_crash_arm(int fd, const struct termios *saved, const char *restore) {
    crash.armed = 0;
    crash.fd = fd;
    crash.saved = *saved;
    crash.in_string = crash.answers = 0;
    snprintf(crash.restore, sizeof crash.restore, "%s", restore);
    crash.armed = 1;
}

void term_crash_disarm(void) { crash.armed = 0; }
void term_crash_answers(bool does) { crash.answers = does; }
void term_crash_in_string(bool inside) { crash.in_string = inside; }
