/* editor_state.h: what is being edited: layout, undo steps, selection, and all that is derived from them. Every edit is
 * a function here: it checks, changes a copy, records an undo step and swaps the copy in, or changes nothing and says
 * why in words. No terminal, no session. */
#ifndef TUI_EDITOR_STATE_H
#define TUI_EDITOR_STATE_H

#include "canvas.h"

typedef enum table_cell {
    CELL_X1,
    CELL_X2,
    CELL_Y1,
    CELL_Y2,
    CELL_WEIGHT,
    CELL_PROMPT,
    CELL_NEGATIVE,
    CELLS
} table_cell;

typedef enum setting {
    SETTING_SIZE,
    SETTING_STEPS,
    SETTING_CFG,
    SETTING_SEED,
    SETTING_SAMPLER,
    SETTING_SCHEDULE,
    SETTING_NEGATIVE,
    SETTINGS_SHOWN, /* the settings line ends here; the rest is reached by :set */
    SETTING_RNG = SETTINGS_SHOWN,
    SETTING_MODEL,
    SETTING_MODE,
    SETTING_DIRECTION,
    SETTING_BACKGROUND,
    SETTING_BACKGROUND_WEIGHT,
    SETTING_BACKGROUND_PROMPT,
    SETTING_UNCOVERED,
    SETTING_SEPARATOR,
    SETTING_BRACKETS,
    SETTING_DEFINITIONS,
    SETTING_PROMPT,
    SETTING_CLIP_SKIP,
    SETTING_BATCH,
    SETTING_SCHEDULES,
    SETTING_VAE,
    SETTING_PREDICTION,
    SETTING_INIT,
    SETTING_DENOISE,
    SETTING_FIX_STEPS,
    SETTING_HIRES,
    SETTING_HIRES_STEPS,
    SETTING_HIRES_DENOISE,
    SETTING_HIRES_UPSCALER,
    SETTINGS
} setting;

typedef struct editor_state {
    cpl_layout *layout;           /* owned: what is on screen */
    cpl_layout *saved;            /* owned: what the file holds; NULL: no file yet */
    cpl_history *history;         /* owned */
    int selected;                 /* row, -1 where there is none */
    table_cell cell;              /* the table's selected column */
    setting setting;              /* the settings line's selected field */
    int step;                     /* grid steps a side, */
    bool latent;                  /* or the model's latent grid: eight pixels a step */
    bool marked[CPL_MAX_REGIONS]; /* rows that edits of rectangles, weights and rows take together */
    int marks;
    /* Derived after every edit. */
    cpl_defaults defaults;
    bool closed_vocabulary;
    cpl_settings settings; /* resolved */
    cpl_lines lines;       /* owned: resolved prompt lines, none where the layout does not allow them */
    cpl_problems problems; /* owned */
    double coverage;       /* 0..1 */
    int count;             /* rows shown */
    bool dirty;
} editor_state;

bool state_start(editor_state *s, cpl_layout *layout /* taken over */, cpl_error *error);
void state_clear(editor_state *s);
void state_saved(editor_state *s); /* the layout was written */
canvas_view state_view(const editor_state *s, int columns, int rows);
/* The prompt of a row as it will be used; "" where there is none. Borrowed. */
const char *state_prompt(const editor_state *s, int row);
/* The first problem of a row, or of the whole layout for row -1; NULL: none. Errors come before warnings. */
const cpl_problem *state_problem(const editor_state *s, int row);

/* Selection (never fails; stays inside). */
void state_select(editor_state *s, int row);
void state_grid(editor_state *s, int direction);
void state_steps(const editor_state *s, int *across, int *down); /* grid steps from edge to edge */
void state_mark(editor_state *s, int row);                       /* or not any more */
void state_mark_all(editor_state *s, bool on);
bool state_chosen(const editor_state *s, int row); /* marked; where nothing is marked: selected */

/* Edits. False: nothing changed and `error` says why. dx, dy: -1, 0, 1 grid steps (+-256: by 1/256), times `count`. */
bool state_move(editor_state *s, int dx, int dy, int count, cpl_error *error);
bool state_resize(editor_state *s, int dx, int dy, int count, cpl_error *error);
bool state_weight(editor_state *s, int direction, int count, cpl_error *error);
bool state_insert(editor_state *s, int at, const canvas_rect *rect, cpl_error *error); /* rect NULL: a default place */
bool state_duplicate(editor_state *s, cpl_error *error);
bool state_delete(editor_state *s, int count, cpl_error *error);
bool state_reorder(editor_state *s, int direction, int count, cpl_error *error);
bool state_mode(editor_state *s, cpl_error *error); /* the next one */
/* Regions keep their place: rectangles become masks where there are none yet, tiles become rectangles. */
bool state_set_mode(editor_state *s, cpl_mode mode, cpl_error *error);
bool state_direction(editor_state *s, cpl_error *error);
bool state_background(editor_state *s, cpl_error *error);
bool state_fill(editor_state *s, cpl_error *error);
bool state_step_cell(editor_state *s, table_cell c, int direction, int count, cpl_error *error);
/* Puts `count` equal or weighted parts in the place of the selected region: the first keeps its prompt. */
bool state_split(editor_state *s, const double *ratios, int count, bool rows, cpl_error *error);
/* Marked regions, or all: turned over at the middle of the canvas. */
bool state_mirror(editor_state *s, bool vertical, cpl_error *error);
typedef enum state_edge {
    EDGE_LEFT,
    EDGE_RIGHT,
    EDGE_TOP,
    EDGE_BOTTOM,
    EDGE_CENTER, /* between left and right */
    EDGE_MIDDLE  /* between top and bottom */
} state_edge;
/* Marked regions to the selected one's edge; the selected one alone to the canvas's. */
bool state_align(editor_state *s, state_edge edge, cpl_error *error);
bool state_distribute(editor_state *s, bool vertical, cpl_error *error); /* marked, or all: with equal gaps */
/* Rows as they were copied, kept outside of the layout. */
cpl_layout *state_yank(const editor_state *s, int count,
                       cpl_error *error); /* marked rows, or `count` from the selected */
bool state_paste(editor_state *s, const cpl_layout *rows, bool below, cpl_error *error);
bool state_insert_lines(editor_state *s, const char *text, int *count, cpl_error *error); /* a region a line of text */
bool state_undo(editor_state *s, cpl_error *error);
bool state_redo(editor_state *s, cpl_error *error);

/* A drag with the mouse: shown at once, one undo step when it ends. */
bool state_drag(editor_state *s, int row, canvas_rect rect, cpl_error *error);
bool state_drag_end(editor_state *s, cpl_error *error);

/* Cells and settings as text. `size` of the buffers: STATE_TEXT; prompts are cut there, so read them by state_prompt. */
#define STATE_TEXT 96
char *state_cell_whole(const editor_state *s, int row, table_cell c); /* of any length; caller frees */
void state_cell_text(const editor_state *s, int row, table_cell c, char text[STATE_TEXT]);
bool state_cell_editable(const editor_state *s, int row, table_cell c, cpl_error *error);
bool state_set_cell(editor_state *s, int row, table_cell c, const char *text, cpl_error *error);
/* The layout as it would be with the text taken; NULL: it would not be. Caller frees. Settings: any but the mode. */
cpl_layout *state_with_cell(const editor_state *s, int row, table_cell c, const char *text, cpl_error *error);
cpl_layout *state_with_setting(const editor_state *s, setting which, const char *text, cpl_error *error);
/* Whether the text would be taken, for the one who is typing it. */
bool state_cell_takes(const editor_state *s, int row, table_cell c, const char *text, cpl_error *error);
bool state_setting_takes(const editor_state *s, setting which, const char *text, cpl_error *error);
const char *state_setting_name(setting which);
void state_setting_text(const editor_state *s, setting which, char text[STATE_TEXT]); /* resolved, as shown */
char *state_setting_typed(const editor_state *s, setting which); /* as shown, texts whole; caller frees */
bool state_set_setting(editor_state *s, setting which, const char *text, cpl_error *error);
bool state_step_setting(editor_state *s, setting which, int direction, int count, cpl_error *error);
bool state_setting_find(const char *name, setting *which);
const char *const *state_setting_choices(setting which); /* the names it can have, NULL-terminated; NULL: not names */
bool state_new_seed(editor_state *s, cpl_error *error);

/* For the files of the state only. */
bool state_refuse(cpl_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
cpl_layout *state_change(const editor_state *s, cpl_error *error); /* a copy to change */
bool state_commit(editor_state *s, cpl_layout *next, bool record,
                  cpl_error *error);                /* takes it over, also on failure */
bool state_number(const char *text, double *value); /* a decimal number or a fraction a/b; nothing else */
cpl_layout *state_change_rows(const editor_state *s,
                              cpl_error *error); /* a copy whose rows have prompts of their own */
bool state_has_rectangle(const editor_state *s, int row, cpl_error *error);
canvas_rect state_rect(const cpl_region *region);
void state_set_rect(cpl_region *region, canvas_rect rect);
bool state_copy_region(cpl_region *to, const cpl_region *from, cpl_error *error); /* `to` is a fresh one */

#endif
