/* keys.h: every key of the editor, as data. Dispatch, the hint line, the help screen and the manual are made from (or
 * compared with) this one table. Pure: knows neither ncurses nor the editor's state. */
#ifndef TUI_KEYS_H
#define TUI_KEYS_H

#include "input.h"

/* Where a key holds. Keys of a pane come before those of KEYS_ALL; those from KEYS_TYPING on stand alone. */
typedef enum key_context {
    KEYS_ALL, /* every pane */
    KEYS_CANVAS,
    KEYS_MASK, /* the canvas in mask mode */
    KEYS_TABLE,
    KEYS_SETTINGS,
    KEYS_TYPING,   /* a cell, a setting, the command line or a file name is being typed */
    KEYS_QUESTION, /* quit with unsaved work */
    KEYS_RECOVER,  /* what an earlier session left */
    KEYS_HELP,
    KEYS_CHOOSE,  /* a list that one chooses from */
    KEYS_CONFIRM, /* delete what was chosen? */
    KEYS_CONTEXTS
} key_context;

typedef enum key_action {
    ACTION_NONE,
    /* the selected region */
    ACTION_MOVE,
    ACTION_RESIZE,
    ACTION_WEIGHT,
    ACTION_EDIT_PROMPT,
    ACTION_EDIT_OUTSIDE,
    ACTION_SPLIT,
    ACTION_BRUSH_MOVE,
    ACTION_BRUSH_DAB,
    ACTION_BRUSH_DOWN,
    ACTION_BRUSH_ERASE,
    ACTION_BRUSH_SIZE,
    ACTION_BRUSH_RECTANGLE,
    ACTION_BRUSH_FILL,
    ACTION_MASK_INVERT,
    ACTION_MASK_CLEAR,
    /* rows */
    ACTION_SELECT,
    ACTION_SELECT_NUMBER,
    ACTION_SELECT_END,
    ACTION_NEW,
    ACTION_INSERT,
    ACTION_DUPLICATE,
    ACTION_DELETE,
    ACTION_REORDER,
    ACTION_MARK,
    ACTION_MARK_ALL,
    ACTION_YANK,
    ACTION_PASTE,
    /* the layout */
    ACTION_GRID,
    ACTION_ZOOM,
    ACTION_PAN,
    ACTION_BACKDROP,
    ACTION_MODE,
    ACTION_DIRECTION,
    ACTION_BACKGROUND,
    ACTION_FILL,
    ACTION_UNDO,
    ACTION_REDO,
    /* pictures */
    ACTION_GENERATE,
    ACTION_LIVE,
    ACTION_CANCEL,
    ACTION_SEED,
    ACTION_PICTURE,
    ACTION_WRITE_PICTURE,
    ACTION_RESULT,
    ACTION_TAKE_RESULT,
    ACTION_COMPARE,
    ACTION_OVERLAY,
    /* cells and settings */
    ACTION_CELL,
    ACTION_EDIT,
    ACTION_STEP_VALUE,
    ACTION_STEP_CELL,
    /* files and program */
    ACTION_SAVE,
    ACTION_SAVE_AS,
    ACTION_COMMAND,
    ACTION_PANE,
    ACTION_HELP,
    ACTION_REDRAW,
    ACTION_SUSPEND,
    ACTION_BACK,
    ACTION_QUIT,
    ACTION_COUNT,
    /* typing */
    ACTION_ACCEPT,
    ACTION_ACCEPT_NEXT,
    ACTION_ACCEPT_ROW,
    ACTION_ABANDON,
    ACTION_CURSOR,
    ACTION_CURSOR_WORD,
    ACTION_CURSOR_END,
    ACTION_ERASE,
    ACTION_ERASE_WORD,
    ACTION_ERASE_LINE,
    /* the question */
    ACTION_ANSWER_SAVE,
    ACTION_ANSWER_DISCARD,
    ACTION_ANSWER_CANCEL,
    ACTION_RECOVER,
    ACTION_RECOVER_DROP,
    ACTION_RECOVER_LATER,
    /* help */
    ACTION_SCROLL,
    ACTION_SCROLL_PAGE,
    ACTION_SCROLL_END,
    ACTION_CLOSE,
    /* lists to choose from */
    ACTION_RECENT,
    ACTION_PRESETS,
    ACTION_WORDS,
    ACTION_CHOOSE,
    ACTION_CHOICE,
    ACTION_CHOICE_PAGE,
    ACTION_CHOICE_END,
    ACTION_CHOICE_DELETE,
    ACTION_CHOICE_RENAME,
    ACTION_CONFIRM,
    ACTIONS
} key_action;

typedef struct key_binding {
    const char *keys;        /* alternatives separated by blanks: "h Left", "x dd Delete"; "1-9" is a range */
    const char *name;        /* "move left" */
    const char *hint;        /* "hjkl move" for the hint line, or NULL */
    const char *description; /* one line for the help screen and the manual, no full stop */
    const char *group;       /* heading of the help screen */
    key_context context;
    key_action action;
    int x, y; /* direction or amount, for actions that have one */
} key_binding;

const key_binding *keys_table(int *count);
const char *keys_context_name(key_context context); /* "canvas" */

/* A key press as the table sees it. */
typedef struct key_press {
    uint32_t key;
    unsigned modifiers;
} key_press;
/* One alternative, such as "Ctrl-R", "Shift-Left" or "dd", as presses. How many (1 or 2), 0 if it is no key. */
int keys_parse(const char *text, size_t length, key_press press[2]);

typedef enum key_match { KEY_NO_MATCH, KEY_PREFIX, KEY_MATCH } key_match;
/* Looks up one or two presses; PREFIX: the first half of a two-key sequence. */
key_match keys_find(key_context context, const key_press *press, int count, const key_binding **binding);

#endif
