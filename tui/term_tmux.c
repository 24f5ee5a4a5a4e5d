/* term_tmux.c: one run of `tmux list-clients`, a line of features for each terminal. */
#include "term_tmux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "term_private.h"

extern char **environ;

/* What it prints, cut to the buffer; false: it did not end well, or not in time. */
static bool read_all(int fd, int64_t end_ms, char *text, size_t size) {
    size_t used = 0;
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left = end_ms - term_clock_ms();
        if (left <= 0) return false;
        if (poll(&ready, 1, (int)left) <= 0) continue; /* a signal, or the time is over */
        ssize_t got = read(fd, text + used, size - 1 - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || used + (size_t)got + 1 >= size) return false;
        used += (size_t)got;
        text[used] = '\0';
        if (got == 0) return true;
    }
}

static pid_t start(int output, char *const *arguments) {
    posix_spawn_file_actions_t files;
    pid_t child = -1;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&child, arguments[0], &files, NULL, arguments, environ) != 0) child = -1;
    posix_spawn_file_actions_destroy(&files);
    return child;
}

static bool run(char *const *arguments, char *text, size_t size) {
    int ends[2], status = -1;
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    pid_t child = start(ends[1], arguments);
    close(ends[1]);
    bool whole = child > 0 && read_all(ends[0], term_clock_ms() + TERM_TMUX_MS, text, size);
    close(ends[0]);
    if (child > 0 && !whole) kill(child, SIGKILL);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    return whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* "256,sixel,title": one of the names between commas. */
static bool names_sixel(const char *line, size_t length) {
    static const char name[] = "sixel";
    for (const char *at = line, *end = line + length; at < end;) {
        size_t word = strcspn(at, ",\n");
        if (at + word > end) word = (size_t)(end - at);
        if (word == sizeof name - 1 && memcmp(at, name, word) == 0) return true;
        at += word + 1;
    }
    return false;
}

bool term_tmux_shows_sixel(void) {
    char text[4096] = "", *pane = getenv("TMUX_PANE");
    char *const arguments[] = {"tmux", "list-clients", "-F", "#{client_termfeatures}", pane ? "-t" : NULL, pane, NULL};
    if (!run(arguments, text, sizeof text) || !*text) return false;
    for (const char *line = text; *line; line += line[strcspn(line, "\n")] ? strcspn(line, "\n") + 1 : strlen(line))
        if (!names_sixel(line, strcspn(line, "\n"))) return false;
    return true;
}
