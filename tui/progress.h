/* progress.h: a progress bar on stderr, where that is a terminal, and notes that do not run into it. Writes no escape
 * sequence: it works on any terminal that knows the carriage return. */
#ifndef TUI_PROGRESS_H
#define TUI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct progress {
    pthread_mutex_t lock; /* notes come from the worker thread too */
    bool shown;           /* stderr is a terminal and nobody asked for quiet */
    bool utf8;
    int drawn; /* columns that the bar takes now */
} progress;

void progress_start(progress *p, bool quiet);
void progress_stop(progress *p);  /* takes the bar away, for good */
void progress_clear(progress *p); /* ... until the next step */
void progress_step(progress *p, int step, int steps, double ms);
void progress_loading(progress *p, double fraction);  /* of a model, 0..1 */
void progress_decoding(progress *p, double fraction); /* of the picture, after the last step */
/* "label: text" on a line of its own, safe for a terminal; the bar is taken away first. */
void progress_note(progress *p, const char *label, const char *text);
/* The bar in at most `columns` columns, no newline. Returns the columns it takes. */
int progress_loading_line(char *line, size_t size, int columns, bool utf8, double fraction);
int progress_decoding_line(char *line, size_t size, int columns, bool utf8, double fraction);
int progress_line(char *line, size_t size, int columns, bool utf8, int step, int steps, double ms);

#endif
