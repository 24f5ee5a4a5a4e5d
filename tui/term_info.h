/* term_info.h: what terminfo knows about TERM, and the strings that a restore needs. Stands alone: the <term.h> of ncurses
 * has a `struct term` of its own. */
#ifndef TUI_TERM_INFO_H
#define TUI_TERM_INFO_H

#include <stdbool.h>

typedef struct term_info {
    bool known; /* an entry exists and can address the cursor */
    int colors;
    char leave[256]; /* attributes, cursor and screen back to normal */
} term_info;
void term_info_read(const char *name, term_info *info);

#endif
