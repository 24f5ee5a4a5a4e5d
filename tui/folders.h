/* folders.h: where the program keeps what is not the user's work: state, presets, models. The XDG rules: a variable counts
 * only if it is an absolute path. */
#ifndef TUI_FOLDERS_H
#define TUI_FOLDERS_H

#include <stdbool.h>

/* `name` in $XDG_STATE_HOME/couplet (default ~/.local/state/couplet); the folders on the way are made. NULL: there is no
 * such place. Callers free. */
char *folders_state(const char *name);
char *folders_config(const char *name);      /* $XDG_CONFIG_HOME/couplet, ~/.config/couplet: made too */
char *folders_config_path(const char *name); /* the same, nothing is made */
char *folders_models(void); /* $XDG_DATA_HOME/couplet/models, ~/.local/share/couplet/models: not made */

bool folders_make(char *path); /* with all parents, for this user only */
/* "~/" as in a shell, for names typed by hand; blanks before are dropped. Caller frees. */
char *folders_expand(const char *path);
/* A whole path as a user would type it: relative inside the working directory, with "~/" inside the home. Caller frees. */
char *folders_shown(const char *whole);
/* The same file by whatever name: its folder without links and "..", and its own name. NULL: there is no such folder.
 * Caller frees. */
char *folders_whole(const char *path);
/* The same file, by whatever names or links; false where one is not there, or is a device or a pipe. */
bool folders_same_file(const char *a, const char *b);
/* The folder of a file's name, NULL for the working folder, and whether two such folders are the same one. Caller frees. */
char *folders_of(const char *path);
bool folders_same(const char *a, const char *b);
/* Replaces a file by renaming, so that it is whole whenever it is read; a link stays one, and the permissions stay. Not flushed
 * to the disk: no user's work. On failure errno says why. */
bool folders_write(const char *path, const char *text);

#endif
