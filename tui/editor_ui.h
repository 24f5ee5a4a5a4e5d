/* editor_ui.h: the running editor as one struct, and what its files do for each other:
 *   editor_run.c      start, the loop, leaving             editor_keys.c     what each key does
 *   editor_session.c  sync, events from the core           editor_typing.c   cells, settings, command line being typed
 *   editor_draw.c     the screen; _canvas, _table, _bars   editor_command.c  the commands behind ":"
 *   editor_mouse.c    clicks and drags                     editor_files.c    saving, opening, autosave, statistics
 *   editor_complete.c Tab while typing                     editor_past.c     commands typed before
 *   editor_lists.c    help, messages                       editor_script.c   key scripts, the screen as text
 *   editor_journal.c  unsaved edits after a crash          editor_results.c  the last pictures
 *   editor_masks.c    painting masks                       editor_presets.c  sets of regions
 *   editor_outside.c  clipboard, $EDITOR                   editor_zoom.c      the part of the canvas that is seen
 *   editor_backdrop.c an image under the regions           editor_prompt.c    a long prompt while it is typed
 *   editor_stats.c    the statistics panel                 editor_place.c    where one was in each file
 *   editor_choose.c   lists to choose from                 editor_init.c     the picture that a run begins with
 *   editor_convert.c  other forms of files                 editor_mask_files.c  masks in PNG files
 *   editor_words.c    what the text encoder gets */
#ifndef TUI_EDITOR_UI_H
#define TUI_EDITOR_UI_H

#include "complete.h"
#include "editor.h"
#include "editor_state.h"
#include "ex.h"
#include "journal.h"
#include "keys.h"
#include "line_edit.h"
#include "mask_paint.h"
#include "preview.h"
#include "script.h"
#include "table.h"
#include "theme.h"
#include "windows.h"

typedef enum pane { PANE_CANVAS, PANE_TABLE, PANE_SETTINGS, PANES } pane;
typedef enum typing {
    TYPING_NONE,
    TYPING_CELL,
    TYPING_SETTING,
    TYPING_COMMAND,
    TYPING_SAVE_AS,
    TYPING_PNG,
    TYPING_RENAME
} typing;
/* Tells a file from what another program makes of it; all zero: there is none. */
typedef struct file_mark {
    uint64_t device, inode;
    int64_t bytes, changed_s, changed_ns;
} file_mark;
typedef enum list_kind {
    LIST_NONE,
    LIST_HELP,
    LIST_MESSAGES,
    LIST_STATS,
    LIST_RECENT,
    LIST_PRESETS,
    LIST_WORDS
} list_kind; /* what is open over the panes */
typedef enum tone { TONE_NONE, TONE_INFO, TONE_WARNING, TONE_ERROR } tone;

#define SAID 64 /* messages that are remembered */
typedef struct said_line {
    tone tone;
    char text[300];
} said_line;

/* What the core is doing, by its events. */
typedef struct core_status {
    char model[64];   /* ready, "" until then */
    char loading[64]; /* being loaded, "" when not */
    double fraction;  /* how much of it is there, 0..1 */
    char *ready;      /* owned: the layout's `model` when one was last ready; NULL: builtin, or none yet */
    bool was_ready;
    char backend[40];        /* "cpu f32" */
    uint64_t revision, hash; /* of the layout on screen */
    uint64_t synced;         /* newest revision that the core holds */
    bool invalid;            /* it cannot use the newest one, because of */
    cpl_error fault;         /* this, which is of the revision */
    uint64_t fault_revision;
    bool running, requested;      /* requested: g was pressed, the run has not begun */
    bool done, cancelled, failed; /* how the last run ended */
    uint64_t run_revision;        /* that a run under way began with */
    bool spliced;                 /* it has taken up newer ones since */
    int step, steps;
    double ms;
    int64_t started_ms;   /* by our clock, for a run under way */
    cpl_line_info *lines; /* owned */
    char **line_prompts;  /* owned: the rows' prompts that they are about */
    int line_count;
    cpl_line_text *line_texts; /* owned with their texts */
    int line_text_count;
    char note[CPL_NOTE_SIZE]; /* what of the LoRAs is left out, as it was said */
} core_status;

/* The last steps that were timed, for the statistics: a ring. */
#define STEP_TIMES 256
typedef struct step_times {
    float ms[STEP_TIMES];
    int first, count;
    int last_step; /* of the run under way, 0: none yet */
    double last_ms;
} step_times;

/* The pictures of the last finished runs, the newest last. */
#define RESULTS 16
typedef struct results {
    cpl_event list[RESULTS]; /* owned: texts, seed, ms, hash; the image is the full picture */
    int count, shown;
    int compared; /* stands beside the shown one; -1: none */
    bool overlay; /* the regions are drawn over it */
} results;

typedef struct drag_status {
    bool active, changed;
    bool drawing; /* a new region: `start` is what it is by now */
    int region;
    unsigned edges;
    canvas_rect start;
    double x, y; /* where it began, 0..1 of the canvas */
} drag_status;

/* The brush of mask mode: its place in half cells of the drawing. */
typedef struct brush {
    int x, y, size;
    bool erase;
    bool down;    /* moving paints */
    bool stroke;  /* pixels were painted that are no undo step yet, */
    int painted;  /* in this row: another one may be selected by now */
    bool drawing; /* the mouse's button is down */
    bool anchored;
    int anchor_x, anchor_y; /* a rectangle's first corner */
} brush;

/* How much of the canvas is seen: cells of the enlarged drawing, and those left of and above the pane. */
typedef struct zoom {
    int level; /* 0: all of it */
    int columns, rows, left, top;
} zoom;

/* What a list holds that one chooses from. */
typedef struct choice {
    char *name, *note, *path; /* owned; path: of a file, as it is shown, or NULL */
} choice;
typedef struct choice_list {
    choice *list; /* owned */
    int count, at;
} choice_list;

/* An image that lies dimmed under the regions. */
typedef struct backdrop {
    cpl_image *image;  /* owned; NULL: none */
    char *path;        /* owned: a file; NULL: the picture that is shown */
    cpl_image *scaled; /* owned: to two pixels a cell of the whole drawing */
} backdrop;

typedef struct editor {
    const editor_options *options; /* borrowed */
    char *path;                    /* owned; NULL: no name yet */
    term *term;                    /* owned */
    const term_caps *caps;
    theme theme;
    theme_choice look;
    cpl_session *session; /* owned */
    editor_state state;
    core_status core;
    step_times steps;
    results results;
    preview preview;
    bool live;
    bool map; /* the region map stands in the picture's place */

    pane focus;
    screen_view view;
    windows windows;
    window canvas_cells; /* where the drawing, or the part of it that is seen, stands inside the canvas pane */
    zoom zoom;
    backdrop backdrop;
    int table_top;

    typing typing;
    line_edit line;
    char *began;    /* owned: what the cell or the setting held when typing began */
    bool untouched; /* a number as it was: the first character replaces it */
    int typing_row; /* of TYPING_CELL */
    completion complete;
    char *past[200]; /* owned: earlier commands, the newest last */
    int past_count, past_at;
    char *past_begun; /* owned: what was typed before Up was pressed */
    bool asking;      /* quit with unsaved work? */
    bool recovering;  /* take what an earlier session left? */
    bool quit_after_save;
    list_kind list;
    int list_top;
    bool list_seeks;     /* the selected row's heading comes to the top */
    window list_cells;   /* where its lines stand */
    choice_list choices; /* of LIST_RECENT and LIST_PRESETS */
    bool confirming;     /* delete the chosen one? */
    key_press pending;   /* the first half of a two-key sequence */
    bool has_pending;
    int count; /* typed before a key, 0: none */
    drag_status drag;
    brush brush;
    int64_t last_click_ms;
    int last_click_row, last_click_column;

    cpl_layout *yanked; /* owned: rows that were copied or deleted; NULL: none yet */

    char message[600];
    tone tone;
    said_line said[SAID]; /* a ring */
    int said_first, said_count;
    journal *journal;                        /* owned; NULL: there is no place for it */
    int64_t journal_due_ms, journal_last_ms; /* due: 0, nothing to write */
    bool journal_failed, keep_journal;
    journal_left left; /* owned: what an earlier session left, while it is asked about */
    script *script;    /* owned: the key script that is at work, NULL: none */
    int64_t last_key_ms, stats_ms;
    bool changed;                  /* something to draw */
    int cursor_row, cursor_column; /* of the text cursor while typing; row -1: hidden */
    char *overwrite;               /* owned: a file that was there already; the same name again writes it */
    file_mark on_disk;             /* the layout's file as it was last read or written here */
    bool quit;
    int exit_status;
    char farewell[700]; /* printed when the terminal has been given back */
} editor;

int64_t editor_clock_ms(void);
int64_t editor_quiet_ms(const editor *e, int64_t due_ms); /* when a file that is due then is written: between keys */
void editor_say(editor *e, tone tone, const char *format, ...) __attribute__((format(printf, 3, 4)));
void editor_say_error(editor *e, const cpl_error *error);

/* editor_session.c */
void editor_sync(editor *e, cpl_sync when);
void editor_generate(editor *e);
void editor_cancel(editor *e);
void editor_set_live(editor *e, bool on);
void editor_events(editor *e); /* all that wait */
bool editor_picture_current(const editor *e);
void editor_show_map(editor *e, bool on);

/* editor_keys.c, editor_mouse.c */
void editor_key(editor *e, uint32_t key, unsigned modifiers);
void editor_mouse(editor *e, const input_event *event);
void editor_drag_settle(editor *e); /* a region that the mouse moves stays where it is: an undo step */
key_context editor_context(const editor *e);

/* editor_typing.c */
void editor_type_cell(editor *e, int row, table_cell c);
void editor_type_setting(editor *e, setting which);
void editor_type_line(editor *e, typing what, const char *text); /* command, file names */
void editor_typing_key(editor *e, key_press press);
void editor_paste(editor *e, const char *text);
bool editor_take(editor *e);             /* takes what is typed; false: refused, still typing */
bool editor_typed_anew(const editor *e); /* a cell or a setting, and it is not what it was */
void editor_stop_typing(editor *e);

/* editor_command.c */
void editor_command(editor *e, const char *line);

/* editor_complete.c */
void editor_complete(editor *e, int direction); /* the next or the previous way to go on */
void editor_draw_completion(const editor *e);   /* candidates, or what the command does that is being typed */

/* editor_past.c */
void editor_past_read(editor *e);
void editor_past_add(editor *e, const char *line);
void editor_past_recall(editor *e, int direction);
void editor_past_clear(editor *e);

/* editor_lists.c */
void editor_open_list(editor *e, list_kind which);
void editor_scroll_list(editor *e, int count, bool pages);
void editor_close_list(editor *e);
void editor_draw_list(editor *e);
void editor_draw_scroll(const editor *e, window w, int first, int shown, int count); /* in the frame: how far it is */

/* editor_stats.c */
void editor_draw_stats(editor *e);
void editor_time_step(editor *e, const cpl_event *progress);     /* from each PROGRESS event */
bool editor_link_text(const editor *e, char *text, size_t size); /* "118 kB/s"; false: not measured yet */

/* editor_mask_files.c */
void editor_mask_command(editor *e, const char *argument);

/* editor_convert.c */
void editor_convert(editor *e, const char *argument, bool force); /* IN OUT [PRESET]; force: OUT is replaced */

/* editor_words.c */
/* A heading, or what stands beside a text and the text; NULL: nothing. */
typedef void editor_words_fn(void *to, const char *heading, const char *left, const char *text);
void editor_list_words(const editor *e, void *to, editor_words_fn *add);

/* editor_init.c */
void editor_init_command(editor *e, const char *argument); /* FILE, "picture", "last", "none"; "": tells what it is */

/* editor_choose.c */
void editor_open_choices(editor *e, list_kind which);
void editor_choose(editor *e, key_action action, int x, int count);
void editor_confirm(editor *e, bool yes);
bool editor_rename_choice(editor *e, const char *to);
void editor_press_choice(editor *e, int row, bool again); /* a click on a row of the screen */
void editor_choices_add(choice_list *c, const char *name, const char *note, const char *path);
void editor_choices_clear(choice_list *c);
void editor_offer_recent(completion *c, const char *typed);
bool editor_any_recent(void);

/* editor_script.c */
void editor_script_run(editor *e); /* all steps until one has to wait */
bool editor_script_waits(const editor *e);
bool editor_save_display(editor *e, const char *path, bool with_looks); /* colours and attributes below the text */

/* editor_outside.c */
void editor_to_clipboard(editor *e, const cpl_layout *rows); /* their prompts, a line each */
void editor_edit_outside(editor *e);                         /* the selected prompt in $EDITOR */

/* editor_files.c */
bool editor_save(editor *e, const char *path); /* NULL: under its name */
bool editor_open(editor *e, const char *path);
bool editor_write_picture(editor *e, const char *path);
bool editor_may_replace(editor *e, const char *path); /* false: it is there, which was said */
void editor_mark_file(editor *e);                     /* the layout's file is now as it was read or written here */
char *editor_as_layout_finds(const editor *e,
                             const char *path); /* from the layout's folder, else whole; caller frees */
char *editor_picture_path(const editor *e);     /* the layout's name with .png; caller frees */
void editor_autosave(editor *e);                /* fills the farewell */
void editor_write_stats(editor *e);
void editor_edited(editor *e); /* after every change of the layout: sync and redraw */

/* editor_presets.c */
void editor_preset(editor *e, const char *argument, bool force);
void editor_list_presets(choice_list *c);
bool editor_preset_load(editor *e, const char *name); /* each says what became of it */
bool editor_preset_delete(editor *e, const char *name);
bool editor_preset_rename(editor *e, const char *from, const char *to);
void editor_offer_presets(completion *c, const char *typed);

/* editor_masks.c */
void editor_mask_key(editor *e, key_action action, int x, int y, int count);
bool editor_mask_mouse(editor *e, const input_event *event);
bool editor_mask_can_paint(const editor *e, cpl_error *error); /* the selected region */
/* Its mask, taken over: inside the layout, or in the file `source` that holds it already. An undo step. */
bool editor_mask_put(editor *e, cpl_mask *mask, const char *source, cpl_error *error);
void editor_mask_settle(editor *e); /* a stroke that is under way becomes an undo step */
bool editor_mask_write(const editor *e, cpl_layout *copy, cpl_error *error); /* a copy of the layout holds it already */
void editor_draw_brush(const editor *e);
void editor_brush_text(const editor *e, char *text, size_t size);

/* editor_prompt.c */
bool editor_prompt_pane(const editor *e); /* what is typed is too long for its cell */
bool editor_prompt_covers_picture(const editor *e);
void editor_draw_prompt(editor *e);
bool editor_prompt_row(editor *e, int direction); /* the cursor goes a row up or down; false: there is none */

/* editor_place.c */
void editor_place_keep(editor *e);    /* where one is in the file */
void editor_place_restore(editor *e); /* after the file was opened, once the terminal is */

/* editor_zoom.c */
void editor_zoom_arrange(editor *e);                            /* after the windows: what is seen, and the brush */
void editor_zoom(editor *e, int by);                            /* around the selected region, or the brush */
void editor_zoom_to(editor *e, int level, double x, double y);  /* around a point, 0..1 of the canvas; brought inside */
void editor_zoom_middle(const editor *e, double *x, double *y); /* of what is seen */
double editor_zoom_factor(const editor *e);
void editor_pan(editor *e, int dx, int dy);                /* by quarters of what is seen */
void editor_follow(editor *e);                             /* the selected region, or the brush, comes into sight */
canvas_view editor_canvas_view(const editor *e, int each); /* rows of the drawing a cell: 1, or 2 for halves */
void editor_canvas_point(const editor *e, int row, int column, double *x, double *y); /* a cell's middle, 0..1 */
void editor_draw_rulers(const editor *e);

/* editor_backdrop.c */
void editor_backdrop_command(editor *e, const char *argument); /* FILE, "picture", "off"; "": tells what it is */
void editor_backdrop_toggle(editor *e);                        /* the shown picture, or none */
void editor_backdrop_picture(editor *e);                       /* another picture is shown */
bool editor_backdrop_at(editor *e, int column, int half, unsigned char rgb[3]); /* dimmed; of the part that is seen */
void editor_backdrop_clear(editor *e);

/* editor_results.c */
const cpl_event *editor_result(const editor *e);         /* the one that is shown; NULL: none yet */
void editor_results_add(editor *e, cpl_event *finished); /* takes over what the event owns */
void editor_results_clear(editor *e);
void editor_show_result(editor *e); /* again, after a preview or the map */
void editor_go_result(editor *e, int by);
void editor_compare(editor *e);
void editor_toggle_overlay(editor *e);
void editor_take_result(editor *e); /* its layout becomes the one that is edited */
bool editor_strip_shown(const editor *e);
void editor_draw_strip(const editor *e);
void editor_press_strip(editor *e, int row, int column);

/* editor_journal.c */
void editor_journal_touch(editor *e); /* something changed: to be written soon */
bool editor_journal_flush(editor *e); /* now; false: it could not be */
/* The layout with the prompt that is being typed and the stroke that is being painted; *unsaved: the file does not hold all
 * of it. NULL: out of memory. Caller frees. */
cpl_layout *editor_unsaved(const editor *e, bool *unsaved, cpl_error *error);
void editor_journal_tick(editor *e, int64_t now_ms);
int editor_journal_timeout(const editor *e, int64_t now_ms); /* -1: nothing to write */
void editor_recover_ask(editor *e);                          /* if an earlier session left something */
void editor_recover_question(const editor *e, bool briefly, char *text, size_t size);
void editor_recover(editor *e, key_action answer);

/* editor_draw.c and its parts */
void editor_arrange(editor *e);
void editor_draw(editor *e);
void editor_draw_canvas(editor *e);
void editor_draw_table(editor *e);
void editor_draw_top(editor *e);
void editor_draw_settings(editor *e);
void editor_draw_status(editor *e);
/* Draws the field that is being typed and notes the cursor's place. */
void editor_draw_typing(editor *e, int row, int column, int columns);
/* Where the fields of the settings line stand; width 0: not shown. */
typedef struct field {
    int at, width, value_at;
} field;
void editor_settings_fields(const editor *e, field fields[SETTINGS_SHOWN]);
table_columns editor_table_columns(const editor *e);
const cpl_line_info *editor_line_info(const editor *e, int row); /* of the prompt on screen; NULL: not told yet */
void editor_forget_lines(editor *e);
const cpl_error *
editor_fault(const editor *e); /* why the core cannot use the layout on screen; NULL: it can, or is at it */
const char *editor_row_warning(const editor *e, int row, bool *bad, char *text, size_t size); /* NULL: none */

#endif
