/* journal.h: unsaved edits, kept where a crash, kill -9 or a lost connection cannot take them. An editor that runs holds a
 * lock on its journal, so what is found without a lock belongs to one that did not end well. Knows no screen. */
#ifndef TUI_JOURNAL_H
#define TUI_JOURNAL_H

#include "../core/couplet.h"

#include <time.h>

typedef struct journal journal;
/* In $XDG_STATE_HOME/couplet/journal. NULL: there is no place for one. */
journal *journal_open(cpl_error *error);
/* The layout as it is now, and the file it belongs to (NULL: none yet). Whole or not at all; not flushed to the disk, which
 * only a loss of power would need. */
bool journal_write(journal *j, const cpl_layout *layout, const char *path, cpl_error *error);
void journal_drop(journal *j);  /* there is nothing unsaved */
void journal_close(journal *j); /* leaves what was written; to be dropped before on a clean end */

/* What an editor that is gone left for a file. */
typedef struct journal_left {
    char *file, *lock;  /* owned */
    cpl_layout *layout; /* owned */
    time_t when;
} journal_left;
bool journal_find(const char *path, journal_left *left); /* the newest; false: nothing is left */
void journal_left_remove(journal_left *left);            /* from the disk */
void journal_left_clear(journal_left *left);

#endif
