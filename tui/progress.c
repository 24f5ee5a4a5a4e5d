/* progress.c: draws the bar of `couplet render`. Knows nothing of sessions. */
#include "progress.h"

#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "term.h"

enum { WIDEST_BAR = 40, NARROWEST_BAR = 4 };

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

int progress_line(char *line, size_t size, int columns, bool utf8, int step, int steps, double ms) {
    char left[48], right[48];
    int digits = snprintf(NULL, 0, "%d", steps);
    int left_width = snprintf(left, sizeof left, "step %*d/%d ", digits, step, steps);
    int right_width = snprintf(right, sizeof right, " %.3g s/step", step > 0 ? ms / step / 1000 : 0.0);
    int bar = columns - left_width - right_width;
    if (bar > WIDEST_BAR) bar = WIDEST_BAR;
    if (bar < NARROWEST_BAR) bar = 0;
    size_t used = (size_t)snprintf(line, size, "%s", left);
    for (int i = 0; i < bar && used + 4 < size; i++) {
        const char *cell = i * steps < step * bar ? (utf8 ? "▓" : "#") : (utf8 ? "░" : ".");
        used += (size_t)snprintf(line + used, size - used, "%s", cell);
    }
    bool fits = left_width + bar + right_width <= columns;
    if (fits) snprintf(line + used, size - used, "%s", right);
    return left_width + bar + (fits ? right_width : 0);
}

void progress_step(progress *p, int step, int steps, double ms) {
    pthread_mutex_lock(&p->lock);
    if (p->shown) {
        struct winsize window;
        int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
        char line[4 * WIDEST_BAR + 128];
        int width = progress_line(line, sizeof line, columns - 1, p->utf8, step, steps, ms);
        fprintf(stderr, "\r%s%*s", line, p->drawn > width ? p->drawn - width : 0, "");
        p->drawn = width;
        fflush(stderr);
    }
    pthread_mutex_unlock(&p->lock);
}

void progress_note(progress *p, const char *label, const char *text) {
    char *safe = term_safe(text);
    pthread_mutex_lock(&p->lock);
    take_away(p);
    fprintf(stderr, "%s: %s\n", label, safe ? safe : "");
    pthread_mutex_unlock(&p->lock);
    free(safe);
}
