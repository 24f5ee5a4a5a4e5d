/* work_folder.h: a folder of its own for each test, in which it runs and which goes when it ends. */
#ifndef TESTS_TUI_WORK_FOLDER_H
#define TESTS_TUI_WORK_FOLDER_H

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

/* The name is left in *state, and is where the editor's own files go, too. */
static inline bool new_folder(void **state) {
    static char folder[sizeof "/tmp/couplet-test.XXXXXX"];
    strcpy(folder, "/tmp/couplet-test.XXXXXX");
    *state = folder;
    return mkdtemp(folder) && chdir(folder) == 0 && setenv("XDG_STATE_HOME", folder, 1) == 0;
}

static inline int leave_folder(void **state) { return chdir("/") || nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS); }

#endif
