/* complete.h: what could be typed next: the words that a beginning has, from tables or from a folder. Pure but for reading
 * folders. */
#ifndef TUI_COMPLETE_H
#define TUI_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct completion {
    char **word; /* owned: whole words that replace what was typed from `from` on */
    int count, room;
    size_t from; /* byte of the line where the words begin */
    int chosen;  /* while one is tried after the other; -1: none yet */
} completion;

void completion_clear(completion *c);
/* Takes a word up if it begins with `typed`. */
void completion_offer(completion *c, const char *typed, const char *word);
void completion_offer_all(completion *c, const char *typed, const char *const *words); /* NULL: none */
/* Files and folders (with a "/" behind) whose path begins with `typed`; of files only those with one of `endings`
 * (NULL-terminated; NULL: all). Hidden ones only if asked for. `folder`: where relative names are, NULL: here. */
void completion_offer_files(completion *c, const char *typed, const char *folder, const char *const *endings);
/* Sorts and drops doubles. */
void completion_finish(completion *c);
size_t completion_common(const completion *c); /* how many bytes all words share */

/* The line completed by `word`; caller frees. A word that is no folder and the only one gets a blank behind it. */
char *completion_apply(const completion *c, const char *line, const char *word, size_t length, bool final);

#endif
