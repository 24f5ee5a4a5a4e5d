/* pty: runs a program in a pseudo terminal of a given size, and answers it as a terminal would:
 * `pty WxH [--sixel] [--light] [--kill PATTERN] PROGRAM...`; with --kill it is killed (SIGKILL) once there is a file of such a name.
 * What the program writes is thrown away, so it must say in files what it shows (`:save-display`). Its exit status is
 * that of the program; 124 after a minute. Far quicker than a real terminal, and there may be many at once. */
#include <errno.h>
#include <glob.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

enum { PATIENCE_MS = 60000, CELL_WIDTH = 9, CELL_HEIGHT = 18 };

typedef struct answer {
    const char *query, *reply;
} answer;

static const answer plain[] = {{"\033[16t", "\033[6;18;9t"}, {"\033[c", "\033[?62;22c"}, {NULL, NULL}};
static const answer sixel[] = {
    {"\033[16t", "\033[6;18;9t"},     {"\033[?1;1;0S", "\033[?1;0;256S"}, {"\033[?2;4;0S", "\033[?2;0;1000;1000S"},
    {"\033[c", "\033[?63;1;2;4;22c"}, {"\033[6n", "\033[2;1R"},           {NULL, NULL}};

static const answer light[] = {{"\033]11;?\033\\", "\033]11;rgb:ffff/ffff/ffff\033\\"},
                               {"\033[16t", "\033[6;18;9t"},
                               {"\033[c", "\033[?62;22c"},
                               {NULL, NULL}};

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Queries are short: the end of what came before is kept, so that one cut in two is found. */
static void answer_all(int master, const answer *answers, char *seen, size_t *kept, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (*kept == 31) memmove(seen, seen + 1, (*kept)--);
        seen[(*kept)++] = bytes[i];
        seen[*kept] = '\0';
        for (const answer *a = answers; a->query; a++) {
            size_t length = strlen(a->query);
            if (*kept < length || memcmp(seen + *kept - length, a->query, length) != 0) continue;
            if (write(master, a->reply, strlen(a->reply)) < 0) return;
        }
    }
}

static int wait_for(pid_t child) {
    int status;
    if (waitpid(child, &status, 0) < 0) return 125;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_there(const char *pattern) {
    glob_t found;
    bool any = glob(pattern, 0, NULL, &found) == 0;
    if (any) globfree(&found);
    return any;
}

static int play(int master, pid_t child, const answer *answers, const char *fatal) {
    char bytes[8192], seen[32];
    size_t kept = 0;
    for (long end = now_ms() + PATIENCE_MS; now_ms() < end;) {
        struct pollfd ready = {.fd = master, .events = POLLIN};
        if (fatal && is_there(fatal)) kill(child, SIGKILL);
        if (poll(&ready, 1, fatal ? 10 : 1000) <= 0) continue;
        ssize_t count = read(master, bytes, sizeof bytes);
        if (count <= 0 && errno != EINTR) return wait_for(child);
        if (count > 0) answer_all(master, answers, seen, &kept, bytes, (size_t)count);
    }
    kill(child, SIGKILL);
    wait_for(child);
    fprintf(stderr, "pty: no end after %d s\n", PATIENCE_MS / 1000);
    return 124;
}

int main(int argc, char **argv) {
    int columns, rows, at = 2;
    if (argc < 3 || sscanf(argv[1], "%dx%d", &columns, &rows) != 2) {
        fputs("usage: pty WxH [--sixel] [--light] [--kill PATTERN] PROGRAM...\n", stderr);
        return 2;
    }
    bool pictures = !strcmp(argv[at], "--sixel");
    at += pictures;
    bool bright = !strcmp(argv[at], "--light");
    at += bright;
    bool killed = argc > at + 2 && !strcmp(argv[at], "--kill");
    const char *fatal = killed ? argv[at + 1] : NULL;
    at += killed ? 2 : 0;
    struct winsize size = {.ws_row = (unsigned short)rows,
                           .ws_col = (unsigned short)columns,
                           .ws_xpixel = (unsigned short)(columns * CELL_WIDTH),
                           .ws_ypixel = (unsigned short)(rows * CELL_HEIGHT)};
    int master;
    pid_t child = forkpty(&master, NULL, NULL, &size);
    if (child < 0) {
        perror("pty");
        return 125;
    }
    if (child == 0) {
        setenv("TERM", "xterm-256color", 0);
        execvp(argv[at], argv + at);
        perror(argv[at]);
        _exit(127);
    }
    return play(master, child, bright ? light : pictures ? sixel : plain, fatal);
}
