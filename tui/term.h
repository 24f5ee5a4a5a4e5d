/* term.h: the terminal as a thing that is borrowed and given back. Owns the tty's modes, the ncurses screen, the signals
 * and the promise that whatever ends the program leaves the terminal as it was found. Only the UI thread calls it. */
#ifndef TUI_TERM_H
#define TUI_TERM_H

#include "input.h"

typedef struct term_caps {
    bool sixel;                  /* DA1 says so, and in tmux every terminal that shows it has it too */
    bool by_tmux;                /* so that it may change with whoever comes to look on */
    bool sync_updates;           /* mode 2026 */
    int cell_width, cell_height; /* pixels; 10x20 where nothing told */
    bool cell_known;
    int sixel_registers;                   /* 256 unless told otherwise, at most 256 */
    int sixel_max_width, sixel_max_height; /* 1000 x 1000 unless told otherwise */
    int colors; /* of text: 0 (NO_COLOR, --color never, monochrome), 8, 16, 256, or 1 << 24 */
    bool utf8;
    bool light;    /* dark text on a light background: the terminal says so, or COLORFGBG */
    char name[64]; /* TERM */
} term_caps;

typedef enum color_choice { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } color_choice;

typedef struct term term;
/* Opens /dev/tty, asks it what it can do (one batch of queries fenced by DA1, at most ~0.5 s), starts ncurses on it,
 * switches mouse drag reports, bracketed paste and focus on. NULL: `why` says in words what is missing (TERM=dumb, no tty). */
term *term_open(color_choice color, char *why, size_t why_size);
void term_close(term *t);
const term_caps *term_capabilities(const term *t);
/* The same questions without ncurses, for `couplet show|map|info`; false: no tty, caps hold safe values. */
bool term_query(color_choice color, term_caps *caps);

typedef struct term_wait {
    int fd;
    bool readable;
} term_wait; /* other descriptors to wait for */
/* Waits for input, signals or the descriptors, at most timeout_ms (-1: for ever). */
void term_poll(term *t, term_wait *others, int count, int timeout_ms);
bool term_next(term *t, input_event *event); /* the next input event, if one is there; REPLYs are handled inside */
bool term_resized(term *t);                  /* once after each SIGWINCH: ncurses knows the new size, caps are fresh */
int term_quit_signal(const term *t);         /* SIGTERM, SIGHUP, SIGINT from outside; 0: none */
void term_suspend(term *t);                  /* Ctrl-Z: gives the terminal back, stops, takes it again */
/* Gives the terminal to a program, waits for its end and takes the terminal again. `program` may have arguments, as $EDITOR
 * may: a shell takes it apart; `argument` is passed whole. False: `why` says what went wrong. */
bool term_run(term *t, const char *program, const char *argument, char *why, size_t why_size);
/* All output outside ncurses goes through here (after refresh()); short writes and EINTR are dealt with. */
bool term_write(term *t, const char *bytes, size_t count);
/* Between these two ncurses draws into memory; the end sends it all at once. */
void term_frame_begin(term *t);
void term_frame_end(term *t);
uint64_t term_bytes_written(const term *t);
/* True when the terminal has answered the CSI 6 n sent after the last picture: it keeps up. */
bool term_drained(const term *t);
void term_mark(term *t); /* sends that CSI 6 n */
/* Asks again, at most once a second, whether those who look on by tmux have sixel; a change is told as one of size. */
void term_look_again(term *t);
/* How many bytes the link carries in that time, by the pictures so far; SIZE_MAX before the first was measured. */
size_t term_link_bytes(const term *t, int ms);
double term_answer_ms(const term *t); /* from the first questions to their answer; 0: there was none */

/* Text from a file or user made safe to print: control characters (C0, DEL, C1) and invalid UTF-8 become '?'. Caller frees. */
char *term_safe(const char *text);

#endif
