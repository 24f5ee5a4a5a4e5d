/* term_private.h: what the files of the terminal share. */
#ifndef TUI_TERM_PRIVATE_H
#define TUI_TERM_PRIVATE_H

#include "term.h"
#include "term_info.h"

#include <stdio.h>
#include <termios.h>

#define TERM_ESCAPE_MS 25 /* a lone Esc is the key after this long */
#define TERM_QUERY_MS 500
#define TERM_LATE_MS 3000 /* for a terminal that does answer: it works through a picture first, or its line is slow */
#define TERM_QUEUE 256    /* events that wait for term_next */

/* The tty without ncurses: modes, queries, bytes. */
typedef struct tty {
    int fd; /* own open file description with O_NONBLOCK; -1: none */
    struct termios saved;
    bool raw, gone;       /* gone: the other side hung up */
    input_parser *parser; /* owned */
    int64_t last_byte_ms;
    uint64_t written;
} tty;

bool tty_open(tty *y, char *why, size_t why_size);
void tty_close(tty *y);
bool tty_raw(tty *y);
void tty_restore(tty *y);
/* Bytes to the terminal; `stop` (may be NULL) is asked while the terminal is not ready, true ends the write. Returns how
 * many were taken. */
size_t tty_write(tty *y, const char *bytes, size_t count, bool (*stop)(void *user), void *user);
bool tty_read(tty *y); /* what is there, into the parser; false: nothing or gone */
int64_t term_clock_ms(void);
double term_clock_exact_ms(void);

/* Capabilities: safe values, then what the environment, the kernel and the terminal say. */
typedef struct term_answers {
    bool fence, pixels_by_16t;
    int text_width, text_height;
} term_answers;
void term_caps_start(term_caps *caps, color_choice color, const char *name, const term_info *info);
void term_caps_cell(term_caps *caps, const tty *y, const term_answers *answers);
/* True if the reply was one to our queries. */
bool term_caps_reply(term_caps *caps, term_answers *answers, const input_event *event);
extern const char TERM_QUERIES[], TERM_QUERY_CELL[], TERM_FENCE[];
/* Asked before them; "" where the terminal could not even swallow it. */
const char *term_query_background(const char *name);
extern const char TERM_MODES_ON[], TERM_MODES_OFF[];

/* Where a frame of ncurses is put together. */
typedef struct frame {
    int screen;      /* borrowed: what ncurses writes to */
    int memory, tty; /* owned: what that is meanwhile, and what it is else; -1: there is none */
    bool begun;
} frame;
void frame_open(frame *f, FILE *file);
void frame_close(frame *f);

struct term {
    tty tty;
    frame frame;
    term_caps caps;
    term_answers answers;
    term_info info;
    void *screen; /* SCREEN of ncurses */
    FILE *file;   /* owned: the tty as ncurses has it, blocking */
    int wake_fd, quit_signal;
    bool started, resized;
    input_event queue[TERM_QUEUE]; /* ring of events that wait for term_next */
    int first, queued;
    int marks, marks_answered;
    int64_t marked_ms;
    unsigned reads; /* of the tty */
    unsigned paint_began_read;
    double paint_started_ms;
    int paint_mark;        /* the mark before the last picture; the one behind it follows */
    double paint_began_ms; /* when it was answered; 0: not yet, or used */
    double delay_ms;       /* from the first questions to their answer */
    uint64_t paint_started_bytes, marked_bytes;
    double tmux_asked_ms;       /* when tmux was asked last who looks on */
    double link_bytes, link_ms; /* of the last pictures, older ones less; 0: none was measured */
};
void term_pump(term *t); /* reads what is there and sorts it: replies are handled, the rest is queued */
/* A sixel string at a cell (from 0). False: a key, a signal or the end of the line cut it short. */
bool term_paint(term *t, const char *string, size_t count, int row, int column);

/* Signals: flags and a pipe that wakes poll. One terminal at a time may hold them. */
typedef enum term_flag { FLAG_QUIT, FLAG_RESIZE, FLAG_STOP, FLAG_CONTINUE, FLAGS } term_flag;
bool term_signals_take(int *wake_fd);
void term_signals_give_back(void);
int term_signals_flag(term_flag flag, bool clear); /* the signal's number, 0: not raised */
void term_signals_drain(void);                     /* empties the pipe */
void term_signals_stop(void);                      /* stops the process group as Ctrl-Z does */
/* What a crash writes and sets. Between `arm` and `disarm` the terminal is ours. */
void term_crash_arm(int fd, const struct termios *saved, const char *restore);
void term_crash_disarm(void);
void term_crash_answers(bool does);     /* this terminal answers questions, if late: worth waiting for */
void term_crash_in_string(bool inside); /* a sixel is half written: it has to be ended first */

#endif
