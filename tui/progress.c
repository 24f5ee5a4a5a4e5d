/* progress.c: draws the bar of `couplet render`. Knows nothing of sessions. */
#include "progress.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "term.h"

enum { WIDEST_BAR = 40, NARROWEST_BAR = 4, LINE_SIZE = 4 * WIDEST_BAR + 128 };

void progress_start(progress *p, bool quiet) {
    pthread_mutex_init(&p->lock, NULL);
    p->shown = !quiet && isatty(STDERR_FILENO);
    p->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    p->drawn = 0;
}

/* Blanks instead of an erase sequence, which a TERM=dumb would print. */
static void take_away(progress *p) {
    if (p->drawn) fprintf(stderr, "\r%*s\r", p->drawn, "");
    p->drawn = 0;
}

void progress_stop(progress *p) {
    pthread_mutex_lock(&p->lock);
    take_away(p);
    p->shown = false;
    fflush(stderr);
    pthread_mutex_unlock(&p->lock);
}

void progress_clear(progress *p) {
    pthread_mutex_lock(&p->lock);
    take_away(p);
    fflush(stderr);
    pthread_mutex_unlock(&p->lock);
}

/* Two ASCII texts with a bar between them, which may be left out, as may the right text. */
static int draw_line(char *line, size_t size, int columns, bool utf8, const char *left, int left_width,
                     const char *right, int right_width, double fraction) {
    int bar = columns - left_width - right_width;
    if (bar > WIDEST_BAR) bar = WIDEST_BAR;
    if (bar < NARROWEST_BAR) bar = 0;
    size_t used = (size_t)snprintf(line, size, "%s", left);
    for (int i = 0; i < bar && used + 4 < size; i++) {
        const char *cell = i < fraction * bar ? (utf8 ? "▓" : "#") : (utf8 ? "░" : ".");
        used += (size_t)snprintf(line + used, size - used, "%s", cell);
    }
    bool fits = left_width + bar + right_width <= columns;
    if (fits) snprintf(line + used, size - used, "%s", right);
    return left_width + bar + (fits ? right_width : 0);
}

int progress_line(char *line, size_t size, int columns, bool utf8, int step, int steps, double ms) {
    char left[48], right[48];
    int digits = snprintf(NULL, 0, "%d", steps);
    int left_width = snprintf(left, sizeof left, "step %*d/%d ", digits, step, steps);
    int right_width = snprintf(right, sizeof right, " %.3g s/step", step > 0 ? ms / step / 1000 : 0.0);
    return draw_line(line, size, columns, utf8, left, left_width, right, right_width,
                     steps > 0 ? (double)step / steps : 0);
}

static int percent_line(char *line, size_t size, int columns, bool utf8, const char *what, double fraction) {
    char right[16];
    int right_width = snprintf(right, sizeof right, " %3d %%", (int)(100 * fraction));
    return draw_line(line, size, columns, utf8, what, (int)strlen(what), right, right_width, fraction);
}

int progress_loading_line(char *line, size_t size, int columns, bool utf8, double fraction) {
    return percent_line(line, size, columns, utf8, "loading ", fraction);
}

int progress_decoding_line(char *line, size_t size, int columns, bool utf8, double fraction) {
    return percent_line(line, size, columns, utf8, "decoding ", fraction);
}

static int columns_of_stderr(void) {
    struct winsize window;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
}

/* Puts a line of `width` columns in the place of the last one. */
static void show(progress *p, const char *line, int width) {
    pthread_mutex_lock(&p->lock);
    if (p->shown) {
        fprintf(stderr, "\r%s%*s", line, p->drawn > width ? p->drawn - width : 0, "");
        p->drawn = width;
        fflush(stderr);
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_step(progress *p, int step, int steps, double ms) {
    char line[LINE_SIZE];
    if (!p->shown) return;
    show(p, line, progress_line(line, sizeof line, columns_of_stderr() - 1, p->utf8, step, steps, ms));
}

void progress_loading(progress *p, double fraction) {
    char line[LINE_SIZE];
    if (!p->shown) return;
    show(p, line, progress_loading_line(line, sizeof line, columns_of_stderr() - 1, p->utf8, fraction));
}

void progress_decoding(progress *p, double fraction) {
    char line[LINE_SIZE];
    if (!p->shown) return;
    show(p, line, progress_decoding_line(line, sizeof line, columns_of_stderr() - 1, p->utf8, fraction));
}

void progress_note(progress *p, const char *label, const char *text) {
    char *safe = term_safe(text);
    pthread_mutex_lock(&p->lock);
    take_away(p);
    fprintf(stderr, "%s: %s\n", label, safe ? safe : "");
    pthread_mutex_unlock(&p->lock);
    free(safe);
}
