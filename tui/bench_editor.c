/* bench_editor.c: how long after a key the screen answers, while nothing else happens, while a picture is made, while a model
 * is loaded and over a slow line; how soon an edit is on the region map; what keys and pictures cost in bytes. The other
 * side of the terminal is here: it answers queries, counts bytes and looks for words outside of pictures. */
#include "bench_editor.h"

#include "json_out.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, QUIET_MS = 400, SLOW_BYTES_PER_S = 125000, MOST = 1000 };

static const char LAYOUT[] =
    "{\"couplet\": 1, \"canvas\": {\"width\": 512, \"height\": 512}, \"uncovered\": \"fill\", \"regions\": ["
    "{\"rect\": [0, 0.5, 0, 0.5], \"prompt\": \"a cat, night sky\"},"
    "{\"rect\": [0.5, 1, 0, 0.5], \"prompt\": \"a sun, sunset\"},"
    "{\"rect\": [0, 1, 0.5, 1], \"prompt\": \"a boat, sea\"}],"
    "\"sampling\": {\"steps\": 1000, \"cfg\": 4, \"seed\": 42}}";

static const struct {
    const char *query, *reply;
} answers[] = {{"\033[16t", "\033[6;18;9t"},
               {"\033[?1;1;0S", "\033[?1;0;256S"},
               {"\033[?2;4;0S", "\033[?2;0;1000;1000S"},
               {"\033[6n", "\033[2;1R"},
               {"\033[c", "\033[?63;1;2;4;22c"}};

typedef struct screen {
    int fd;
    pid_t child;
    double bytes_per_ms, since_ms; /* of a slow line; 0: as fast as it can be read */
    size_t bytes, pictures, picture_bytes;
    int pane; /* that has the keys: canvas, table, settings */
    bool in_picture;
    char tail[32]; /* the end of what came, for queries and the marks of pictures */
    size_t tailed;
    char *text; /* owned: what came outside of pictures */
    size_t text_size, text_room;
} screen;

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static bool refuse(cpl_error *error, const char *why) {
    if (error->code) return false;
    *error = (cpl_error){.code = CPL_E_DEVICE, .row = -1};
    snprintf(error->message, sizeof error->message, "the editor cannot be measured: %s", why);
    return false;
}

/* ---- The other side of the terminal ---- */

static bool ends_with(const screen *s, const char *what) {
    size_t size = strlen(what);
    return s->tailed >= size && !memcmp(s->tail + s->tailed - size, what, size);
}

static void take_byte(screen *s, char byte) {
    if (s->tailed == sizeof s->tail) memmove(s->tail, s->tail + 1, --s->tailed);
    s->tail[s->tailed++] = byte;
    s->bytes++;
    s->picture_bytes += s->in_picture;
    if (s->in_picture) {
        s->in_picture = !ends_with(s, "\033\\");
        s->pictures += !s->in_picture;
        return;
    }
    s->in_picture = ends_with(s, "\033P");
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (ends_with(s, answers[i].query) && write(s->fd, answers[i].reply, strlen(answers[i].reply)) < 0) return;
    if (s->text_size + 1 >= s->text_room) {
        size_t room = s->text_room ? 2 * s->text_room : 1 << 16;
        char *more = realloc(s->text, room);
        if (!more) return;
        s->text = more;
        s->text_room = room;
    }
    s->text[s->text_size++] = byte;
    s->text[s->text_size] = '\0';
}

/* Reads what is there, or as much as the line carries; false: nothing came in that time. */
static bool take(screen *s, double wait_ms) {
    char bytes[4096];
    size_t most = sizeof bytes;
    if (s->bytes_per_ms > 0) {
        /* What was not used of the line's time is gone. */
        double now = now_ms(), room = (now - s->since_ms) * s->bytes_per_ms;
        if (room > 256) s->since_ms = now - 256 / s->bytes_per_ms, room = 256;
        if (room < 64) {
            nanosleep(&(struct timespec){0, 300000}, NULL);
            return true;
        }
        most = (size_t)room;
    }
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    if (poll(&ready, 1, (int)ceil(wait_ms)) <= 0) return false;
    ssize_t count = read(s->fd, bytes, most);
    for (ssize_t i = 0; i < count; i++) take_byte(s, bytes[i]);
    if (s->bytes_per_ms > 0 && count > 0) s->since_ms += (double)count / s->bytes_per_ms;
    return count > 0;
}

static void rest(screen *s, double quiet_ms) {
    for (double last = now_ms(), before; before = (double)s->bytes, now_ms() - last < quiet_ms;) {
        take(s, 10);
        if ((double)s->bytes > before) last = now_ms();
    }
}

/* How long after the keys the text stands in what the program writes; negative: never. */
static double press(screen *s, const char *keys, const char *text) {
    double start = now_ms();
    s->text_size = 0;
    if (s->text) s->text[0] = '\0';
    if (write(s->fd, keys, strlen(keys)) < 0) return -1;
    while (now_ms() - start < PATIENCE_MS) {
        take(s, 100);
        if (s->text_size && strstr(s->text, text)) return now_ms() - start;
    }
    return -1;
}

/* Until the next picture has ended. */
static double press_for_picture(screen *s, const char *keys) {
    double start = now_ms();
    size_t before = s->pictures;
    if (write(s->fd, keys, strlen(keys)) < 0) return -1;
    while (now_ms() - start < PATIENCE_MS) {
        take(s, 100);
        if (s->pictures > before) return now_ms() - start;
    }
    return -1;
}

/* ---- The program ---- */

/* Each in a home of its own: what an editor that was killed leaves behind would be offered to the next. */
static void be_the_editor(const char *folder, const char *name, int threads) {
    char number[16], own[1100];
    static const char *const homes[] = {"HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"};
    /* Vocabularies stay where the user has them. */
    const char *home = getenv("HOME");
    char data[4096];
    if (home && snprintf(data, sizeof data, "%s/.local/share", home) < (int)sizeof data)
        setenv("XDG_DATA_HOME", data, 0);
    snprintf(own, sizeof own, "%s/%s", folder, name);
    if (mkdir(own, 0700) != 0) _exit(127);
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) setenv(homes[i], own, 1);
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("NO_COLOR");
    snprintf(number, sizeof number, "%d", threads);
    if (chdir(folder) != 0) _exit(127);
    if (threads)
        execl("/proc/self/exe", "couplet", "--threads", number, "bench.json", (char *)NULL);
    else
        execl("/proc/self/exe", "couplet", "bench.json", (char *)NULL);
    _exit(127);
}

static bool begin(screen *s, const char *folder, const cpl_bench_options *options, double bytes_per_ms,
                  cpl_error *error) {
    struct winsize size = {.ws_row = 40, .ws_col = 120, .ws_xpixel = 1080, .ws_ypixel = 720};
    *s = (screen){.bytes_per_ms = bytes_per_ms, .since_ms = now_ms()};
    s->child = forkpty(&s->fd, NULL, NULL, &size);
    if (s->child < 0) return refuse(error, strerror(errno));
    if (s->child == 0) be_the_editor(folder, bytes_per_ms > 0 ? "slow" : "free", options->threads);
    if (press(s, "", "synced") < 0) return refuse(error, "it does not start");
    rest(s, QUIET_MS);
    return true;
}

static void end(screen *s) {
    /* Its work is of no value: no question. */
    kill(s->child, SIGKILL);
    waitpid(s->child, NULL, 0);
    close(s->fd);
    free(s->text);
}

/* ---- What is measured ---- */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double share(double *ms, int count, double part) {
    qsort(ms, (size_t)count, sizeof *ms, compare);
    int at = (int)ceil(part * count) - 1;
    return ms[at < 0 ? 0 : at];
}

static void put(FILE *out, const char *key, double value) {
    fprintf(out, ", \"%s\": ", key);
    json_double(out, round(value * 1e4) / 1e4);
}

static void put_times(FILE *out, const char *what, double *ms, int count) {
    char key[64];
    snprintf(key, sizeof key, "%s_p50_ms", what);
    put(out, key, share(ms, count, 0.5));
    snprintf(key, sizeof key, "%s_p99_ms", what);
    put(out, key, share(ms, count, 0.99));
}

/* From pane to pane: a key that touches neither layout nor core, and is told by a word of its own. (Esc is no such key: a
 * terminal's sequences begin with it, so the program waits for the rest of one.) The pauses keep off any beat of the program. */
static bool measure_keys(screen *s, FILE *out, const char *what, int count, cpl_error *error) {
    static const char *const badge[] = {"NORMAL", "TABLE", "SETTINGS"};
    double ms[MOST];
    unsigned state = 1;
    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        for (double until = now_ms() + (state >> 24) / 8.0; now_ms() < until;) take(s, until - now_ms());
        ms[i] = press(s, "\t", badge[(s->pane + 1) % 3]);
        if (ms[i] < 0) return refuse(error, "a key has no answer");
        s->pane = (s->pane + 1) % 3;
    }
    put_times(out, what, ms, count);
    return true;
}

static long ticks_of(pid_t child) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file) fclose(file);
    line[size] = '\0';
    const char *rest_of = strrchr(line, ')');
    long user = 0, system = 0;
    if (!rest_of || sscanf(rest_of + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) != 2)
        return 0;
    return user + system;
}

static void measure_idle(screen *s, FILE *out, double ms) {
    long before = ticks_of(s->child);
    double start = now_ms();
    while (now_ms() - start < ms) take(s, 100);
    double spent = (double)(ticks_of(s->child) - before) / (double)sysconf(_SC_CLK_TCK);
    put(out, "idle_cpu_percent", 100 * spent / ((now_ms() - start) / 1000));
}

/* An edit and all that follows on it: the new revision, "synced". */
static void measure_key_bytes(screen *s, FILE *out, int count) {
    size_t before = s->bytes;
    for (int i = 0; i < count; i++) {
        if (write(s->fd, i % 2 ? "-" : "+", 1) < 0) return;
        rest(s, QUIET_MS);
    }
    put(out, "bytes_per_edit", (double)(s->bytes - before) / count);
}

static bool measure_map(screen *s, FILE *out, int count, cpl_error *error) {
    double ms[MOST];
    if (press_for_picture(s, ":map\r\033") < 0) return refuse(error, "there is no region map");
    rest(s, QUIET_MS);
    for (int i = 0; i < count; i++) {
        ms[i] = press_for_picture(s, i % 2 ? "h" : "l");
        if (ms[i] < 0) return refuse(error, "an edit does not change the region map");
        rest(s, 150);
    }
    put_times(out, "edit_to_map", ms, count);
    return true;
}

static bool measure_pictures(screen *s, FILE *out, cpl_error *error) {
    size_t pictures = s->pictures, bytes = s->picture_bytes;
    if (press(s, ":set steps 6\r:size 256x256\rg", "done") < 0) return refuse(error, "there is no picture");
    rest(s, 2 * QUIET_MS); /* the finished one waits for keys to rest */
    put(out, "bytes_per_picture", (double)(s->picture_bytes - bytes) / (double)(s->pictures - pictures));
    return press(s, ":set steps 1000\r:size 512x512\r", "r") >= 0 || refuse(error, "the layout cannot be edited");
}

static bool run(FILE *out, const char *folder, const cpl_bench_options *options, cpl_error *error) {
    screen s;
    int many = options->quick ? 20 : 500;
    fputs("  \"editor\": {\"size\": \"120x40\"", out);
    bool done = begin(&s, folder, options, 0, error) && measure_keys(&s, out, "idle_key", many, error);
    if (done && s.pane) done = press(&s, "\033", "NORMAL") >= 0 || refuse(error, "a key has no answer");
    s.pane = 0;
    if (done) measure_key_bytes(&s, out, options->quick ? 4 : 20);
    done = done && measure_map(&s, out, options->quick ? 6 : 60, error) && measure_pictures(&s, out, error);
    if (done) measure_idle(&s, out, options->quick ? 500 : 5000);
    done = done && (press(&s, "g", "tep 1") >= 0 || refuse(error, "no run begins")) &&
           measure_keys(&s, out, "generating_key", many, error);
    if (done && options->model) {
        char line[5000], *path = realpath(options->model, NULL);
        snprintf(line, sizeof line, "c:model %s\r", path ? path : options->model);
        free(path);
        done = (press(&s, line, "loading") >= 0 || refuse(error, "the model is not loaded")) &&
               measure_keys(&s, out, "loading_key", options->quick ? 20 : 40, error);
    }
    end(&s);
    if (!done) return false;
    done = begin(&s, folder, options, SLOW_BYTES_PER_S / 1000.0, error) &&
           (press(&s, "g", "tep 1") >= 0 || refuse(error, "no run begins")) &&
           measure_keys(&s, out, "slow_line_key", options->quick ? 20 : 200, error);
    end(&s);
    fputs("},\n", out);
    return done;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

bool bench_editor(FILE *out, const cpl_bench_options *options, cpl_error *error) {
    const char *base = getenv("TMPDIR");
    char folder[1024], file[1100];
    snprintf(folder, sizeof folder, "%s/couplet-bench.XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) return refuse(error, strerror(errno));
    snprintf(file, sizeof file, "%s/bench.json", folder);
    FILE *layout = fopen(file, "we");
    bool done = layout && fputs(LAYOUT, layout) >= 0;
    if (layout && fclose(layout) != 0) done = false;
    done = done ? run(out, folder, options, error) : refuse(error, strerror(errno));
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return done;
}
