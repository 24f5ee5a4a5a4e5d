/* ex.h: the commands behind ":" as data. The command line, its completion, the help screen and the manual are made from
 * (or compared with) this one table. Pure; what a command does stands in editor_command.c and editor_ex.c. */
#ifndef TUI_EX_H
#define TUI_EX_H

#include "editor_state.h"

/* What stands behind the command's name, for completion. */
typedef enum ex_argument {
    EX_NOTHING,
    EX_TEXT,
    EX_FILE,    /* any file */
    EX_FILES,   /* .json and .png, several */
    EX_LAYOUT,  /* .json and .png */
    EX_PNG,     /* .png */
    EX_MODEL,   /* "builtin", the model folder, .safetensors */
    EX_KEY,     /* a setting's name, then its value */
    EX_SETTING, /* the value of one setting: `setting` */
    EX_WORDS,   /* one of `words` */
    EX_IMAGE,   /* one of `words`, or a PNG */
    EX_PRESET   /* one of `words`, then the name of a preset */
} ex_argument;

typedef enum ex_action {
    EX_WRITE,
    EX_WRITE_QUIT,
    EX_QUIT,
    EX_EDIT,
    EX_RECENT,
    EX_CONVERT,
    EX_EXPORT,
    EX_SAVE_DISPLAY,
    EX_RECOVER,
    EX_SET,
    EX_SET_ONE,
    EX_USE_MODEL,
    EX_SPLIT,
    EX_MIRROR,
    EX_ALIGN,
    EX_DISTRIBUTE,
    EX_DUPLICATE,
    EX_FILL,
    EX_GRID,
    EX_BACKDROP,
    EX_INIT,
    EX_ZOOM,
    EX_THEME,
    EX_NEGATIVE,
    EX_MASK,
    EX_USE_PRESET,
    EX_UNDO,
    EX_REDO,
    EX_GENERATE,
    EX_CANCEL,
    EX_LIVE,
    EX_MAP,
    EX_STATS,
    EX_MESSAGES,
    EX_WORDS_LIST,
    EX_HELP,
    EX_WAIT,
    EX_ACTIONS
} ex_action;

typedef struct ex_command {
    const char *name, *alias; /* alias: NULL or the short form */
    const char *argument;     /* as help shows it: "[FILE]"; "" for none */
    const char *description;  /* one line for help and manual, no full stop */
    const char *group;        /* heading of the help screen */
    ex_action action;
    ex_argument takes;
    setting setting;          /* of EX_SETTING and EX_MODEL */
    const char *const *words; /* of EX_WORDS, EX_IMAGE and EX_PRESET: NULL-terminated */
    bool bang;                /* "!" may follow the name */
} ex_command;

const ex_command *ex_table(int *count);
const ex_command *ex_find(const char *name, size_t length); /* NULL: there is none */
/* A line taken apart: blanks and colons before the name are skipped. The argument is without blanks around it. */
typedef struct ex_line {
    const ex_command *command; /* NULL: unknown, or an empty line */
    const char *name;          /* borrowed from the line */
    size_t name_length;
    bool bang;
    const char *argument; /* borrowed */
    size_t argument_length;
} ex_line;
ex_line ex_parse(const char *line);
/* The command that a wrong name is probably meant to be, or NULL. */
const char *ex_nearest(const char *name, size_t length);

#endif
