/* editor_keys.c: what each key does. Which key it is stands in keys.c; keys while typing go to editor_typing.c. */
#include "editor_ui.h"

#include <curses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

key_context editor_context(const editor *e) {
    if (e->asking) return KEYS_QUESTION;
    if (e->recovering) return KEYS_RECOVER;
    if (e->typing) return KEYS_TYPING;
    if (e->confirming) return KEYS_CONFIRM;
    if (e->list) return e->list == LIST_RECENT || e->list == LIST_PRESETS ? KEYS_CHOOSE : KEYS_HELP;
    static const key_context of[PANES] = {KEYS_CANVAS, KEYS_TABLE, KEYS_SETTINGS};
    if (e->focus == PANE_CANVAS && e->state.layout->mode == CPL_MODE_MASK) return KEYS_MASK;
    return of[e->focus];
}

/* ---- Edits ---- */

static void after(editor *e, bool changed, const cpl_error *error) {
    if (changed)
        editor_edited(e);
    else
        editor_say_error(e, error);
}

static void do_move(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    after(e, state_move(&e->state, b->x, b->y, count, &error), &error);
}

static void do_resize(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    after(e, state_resize(&e->state, b->x, b->y, count, &error), &error);
}

static void do_weight(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    after(e, state_weight(&e->state, b->x, count, &error), &error);
}

static void do_new(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    cpl_error error = {0};
    bool done = state_insert(&e->state, e->state.count, NULL, &error);
    after(e, done, &error);
    if (done) editor_say(e, TONE_INFO, "region %d is new: Enter types its prompt", e->state.selected + 1);
}

static void do_insert(editor *e, const key_binding *b, int count) {
    (void)count;
    cpl_error error = {0};
    bool done = state_insert(&e->state, e->state.selected + b->x, NULL, &error);
    after(e, done, &error);
    if (done) editor_say(e, TONE_INFO, "region %d is new: Enter types its prompt", e->state.selected + 1);
}

static void do_duplicate(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    cpl_error error = {0};
    after(e, state_duplicate(&e->state, &error), &error);
}

static void do_delete(editor *e, const key_binding *b, int count) {
    (void)b;
    cpl_error error = {0};
    cpl_layout *rows = state_yank(&e->state, count, NULL);
    bool done = state_delete(&e->state, count, &error);
    after(e, done, &error);
    if (done) {
        editor_say(e, TONE_INFO, "deleted: u brings it back");
        cpl_layout *old = e->yanked;
        e->yanked = rows ? rows : old;
        rows = rows ? old : NULL;
    }
    cpl_layout_free(rows);
}

static void do_split(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    double equal[64];
    int parts = count < 2 ? 2 : count > 64 ? 64 : count;
    for (int i = 0; i < parts; i++) equal[i] = 1;
    after(e, state_split(&e->state, equal, parts, b->y != 0, &error), &error);
}

static void do_mask(editor *e, const key_binding *b, int count) { editor_mask_key(e, b->action, b->x, b->y, count); }

static void do_mark(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    state_mark(&e->state, e->state.selected);
    if (e->state.marks) editor_say(e, TONE_INFO, "%d marked: edits take them together, Esc lets go", e->state.marks);
}

static void do_mark_all(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    state_mark_all(&e->state, e->state.marks < e->state.count);
    if (e->state.marks) editor_say(e, TONE_INFO, "%d marked: edits take them together, Esc lets go", e->state.marks);
}

static void do_yank(editor *e, const key_binding *b, int count) {
    (void)b;
    cpl_error error = {0};
    cpl_layout *rows = state_yank(&e->state, count, &error);
    if (!rows) {
        editor_say_error(e, &error);
        return;
    }
    cpl_layout_free(e->yanked);
    e->yanked = rows;
    editor_to_clipboard(e, rows);
    editor_say(e, TONE_INFO, rows->region_count == 1 ? "1 row copied" : "%d rows copied", rows->region_count);
}

static void do_picture(editor *e, const key_binding *b, int count);
static void do_write_picture(editor *e, const key_binding *b, int count);

static void do_paste(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    /* While the picture is large its keys are meant, although the table has the keys meanwhile. */
    if (e->view == VIEW_PICTURE) {
        if (b->x)
            do_picture(e, b, count);
        else
            do_write_picture(e, b, count);
        return;
    }
    after(e, state_paste(&e->state, e->yanked, b->x != 0, &error), &error);
}

static void do_step_cell(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    after(e, state_step_cell(&e->state, e->state.cell, b->x, count, &error), &error);
}

static void do_edit_outside(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_edit_outside(e);
}

static void do_reorder(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    after(e, state_reorder(&e->state, b->x, count, &error), &error);
}

static void do_mode(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    cpl_error error = {0};
    after(e, state_mode(&e->state, &error), &error);
}

static void do_direction(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    cpl_error error = {0};
    after(e, state_direction(&e->state, &error), &error);
}

static void do_background(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    static const char *const what[] = {"there is no background line", "the first row is the background line",
                                       "the last row is the background line"};
    cpl_error error = {0};
    bool done = state_background(&e->state, &error);
    after(e, done, &error);
    if (done) editor_say(e, TONE_INFO, "%s", what[e->state.layout->background]);
}

static void do_fill(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    cpl_error error = {0};
    bool done = state_fill(&e->state, &error);
    after(e, done, &error);
    if (done)
        editor_say(e, TONE_INFO,
                   e->state.layout->uncovered == CPL_UNCOVERED_FILL
                       ? "holes are filled: by the background prompt, else the first line"
                       : "holes are an error again, as in Forge Couple");
}

static void do_undo(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    bool done = false;
    for (int i = 0; i < count; i++)
        if (b->action == ACTION_UNDO ? state_undo(&e->state, &error) : state_redo(&e->state, &error)) done = true;
    after(e, done, &error);
}

static void do_seed(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    cpl_error error = {0};
    after(e, state_new_seed(&e->state, &error), &error);
}

/* ---- Going about ---- */

static void do_select(editor *e, const key_binding *b, int count) {
    state_select(&e->state, e->state.selected + b->x * count);
}

static void do_select_number(editor *e, const key_binding *b, int count) {
    (void)b;
    state_select(&e->state, count - 1);
}

static void do_select_end(editor *e, const key_binding *b, int count) {
    (void)count;
    state_select(&e->state, b->x < 0 ? 0 : e->state.count - 1);
}

static void do_grid(editor *e, const key_binding *b, int count) {
    for (int i = 0; i < count; i++) state_grid(&e->state, b->x);
}

static void do_zoom(editor *e, const key_binding *b, int count) { editor_zoom(e, b->x * count); }

static void do_pan(editor *e, const key_binding *b, int count) { editor_pan(e, b->x * count, b->y * count); }

static void do_backdrop(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_backdrop_toggle(e);
}

static int wrap(int value, int count) { return (value % count + count) % count; }

static void do_pane(editor *e, const key_binding *b, int count) {
    (void)count;
    e->focus = (pane)wrap((int)e->focus + b->x, PANES);
    /* The canvas may be behind the large picture. */
    if (e->focus == PANE_CANVAS && !e->windows.canvas.rows) e->focus = (pane)wrap((int)e->focus + b->x, PANES);
}

static void do_cell(editor *e, const key_binding *b, int count) {
    if (e->focus == PANE_TABLE) {
        int to = (int)e->state.cell + b->x * count;
        e->state.cell = (table_cell)(to < 0 ? 0 : to >= CELLS ? CELLS - 1 : to);
    } else {
        int to = (int)e->state.setting + b->x * count;
        e->state.setting = (setting)(to < 0 ? 0 : to >= SETTINGS_SHOWN ? SETTINGS_SHOWN - 1 : to);
    }
}

static void do_edit(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    if (e->focus == PANE_SETTINGS)
        editor_type_setting(e, e->state.setting);
    else
        editor_type_cell(e, e->state.selected, e->state.cell);
}

static void do_edit_prompt(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_type_cell(e, e->state.selected, CELL_PROMPT);
}

static void do_step_value(editor *e, const key_binding *b, int count) {
    cpl_error error = {0};
    after(e, state_step_setting(&e->state, e->state.setting, b->x, count, &error), &error);
}

/* ---- Pictures ---- */

static void do_generate(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_generate(e);
}

static void do_live(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_set_live(e, !e->live);
    editor_say(e, TONE_INFO, e->live ? "live: every edit makes a new picture" : "live mode is off");
}

static void do_cancel(editor *e, const key_binding *b, int count) {
    (void)count, (void)b;
    editor_cancel(e);
}

static void do_picture(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    e->view = e->view == VIEW_PICTURE ? VIEW_BOTH : VIEW_PICTURE;
    if (e->view == VIEW_PICTURE && e->focus == PANE_CANVAS) e->focus = PANE_TABLE;
    if (e->view == VIEW_BOTH) e->focus = PANE_CANVAS;
}

static void do_write_picture(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    if (!editor_result(e)) {
        editor_say(e, TONE_ERROR, "there is no picture to write yet: g makes one");
        return;
    }
    char *path = editor_picture_path(e);
    if (path) editor_type_line(e, TYPING_PNG, path);
    free(path);
}

static void do_result(editor *e, const key_binding *b, int count) { editor_go_result(e, b->x * count); }

static void do_take_result(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_take_result(e);
}

static void do_compare(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_compare(e);
}

static void do_overlay(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_toggle_overlay(e);
}

/* ---- Files and program ---- */

static void do_save(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    if (e->path)
        editor_save(e, NULL);
    else
        editor_type_line(e, TYPING_SAVE_AS, "");
}

static void do_save_as(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_type_line(e, TYPING_SAVE_AS, e->path ? e->path : "");
}

static void do_command(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_type_line(e, TYPING_COMMAND, "");
}

static void do_help(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_open_list(e, LIST_HELP);
}

static void do_redraw(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    clearok(curscr, TRUE);
    preview_lost(&e->preview);
}

static void do_suspend(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    term_suspend(e->term);
}

static void do_back(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    if (e->brush.down || e->brush.anchored)
        e->brush.down = e->brush.anchored = false;
    else if (e->state.marks)
        state_mark_all(&e->state, false);
    else if (e->core.running || e->core.requested)
        editor_cancel(e);
    else if (e->view == VIEW_PICTURE)
        e->view = VIEW_BOTH, e->focus = PANE_CANVAS;
    else
        e->focus = PANE_CANVAS;
}

static void do_quit(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    if (e->state.dirty && !e->windows.card)
        e->asking = true;
    else if (e->state.dirty)
        editor_autosave(e), e->quit = true; /* there is no room for a question on the card */
    else
        e->quit = true;
}

static void do_answer(editor *e, const key_binding *b, int count) {
    (void)count;
    e->asking = false;
    if (b->action == ACTION_ANSWER_DISCARD) {
        e->quit = true;
    } else if (b->action == ACTION_ANSWER_SAVE) {
        e->quit_after_save = !e->path;
        if (e->path)
            e->quit = editor_save(e, NULL);
        else
            editor_type_line(e, TYPING_SAVE_AS, "");
    }
}

static void do_recover(editor *e, const key_binding *b, int count) {
    (void)count;
    editor_recover(e, b->action);
}

static void do_scroll(editor *e, const key_binding *b, int count) {
    editor_scroll_list(e, b->x * count, b->action == ACTION_SCROLL_PAGE);
}

static void do_scroll_end(editor *e, const key_binding *b, int count) {
    (void)count;
    e->list_top = b->x < 0 ? 0 : 1 << 20; /* drawing keeps it inside */
}

static void do_close(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_close_list(e);
}

static void do_recent(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_open_choices(e, LIST_RECENT);
}

static void do_presets(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_open_choices(e, LIST_PRESETS);
}

static void do_words(editor *e, const key_binding *b, int count) {
    (void)b, (void)count;
    editor_open_list(e, LIST_WORDS);
}

static void do_choose(editor *e, const key_binding *b, int count) { editor_choose(e, b->action, b->x, count); }

static void do_confirm(editor *e, const key_binding *b, int count) {
    (void)count;
    editor_confirm(e, b->x != 0);
}

/* ---- Dispatch ---- */

typedef void action_fn(editor *e, const key_binding *binding, int count);
static action_fn *const actions[ACTIONS] = {
    [ACTION_MOVE] = do_move,
    [ACTION_RESIZE] = do_resize,
    [ACTION_WEIGHT] = do_weight,
    [ACTION_EDIT_PROMPT] = do_edit_prompt,
    [ACTION_EDIT_OUTSIDE] = do_edit_outside,
    [ACTION_SPLIT] = do_split,
    [ACTION_BRUSH_MOVE] = do_mask,
    [ACTION_BRUSH_DAB] = do_mask,
    [ACTION_BRUSH_DOWN] = do_mask,
    [ACTION_BRUSH_ERASE] = do_mask,
    [ACTION_BRUSH_SIZE] = do_mask,
    [ACTION_BRUSH_RECTANGLE] = do_mask,
    [ACTION_BRUSH_FILL] = do_mask,
    [ACTION_MASK_INVERT] = do_mask,
    [ACTION_MASK_CLEAR] = do_mask,
    [ACTION_MARK] = do_mark,
    [ACTION_MARK_ALL] = do_mark_all,
    [ACTION_YANK] = do_yank,
    [ACTION_PASTE] = do_paste,
    [ACTION_STEP_CELL] = do_step_cell,
    [ACTION_SELECT] = do_select,
    [ACTION_SELECT_NUMBER] = do_select_number,
    [ACTION_SELECT_END] = do_select_end,
    [ACTION_NEW] = do_new,
    [ACTION_INSERT] = do_insert,
    [ACTION_DUPLICATE] = do_duplicate,
    [ACTION_DELETE] = do_delete,
    [ACTION_REORDER] = do_reorder,
    [ACTION_GRID] = do_grid,
    [ACTION_ZOOM] = do_zoom,
    [ACTION_PAN] = do_pan,
    [ACTION_BACKDROP] = do_backdrop,
    [ACTION_MODE] = do_mode,
    [ACTION_DIRECTION] = do_direction,
    [ACTION_BACKGROUND] = do_background,
    [ACTION_FILL] = do_fill,
    [ACTION_UNDO] = do_undo,
    [ACTION_REDO] = do_undo,
    [ACTION_GENERATE] = do_generate,
    [ACTION_LIVE] = do_live,
    [ACTION_CANCEL] = do_cancel,
    [ACTION_SEED] = do_seed,
    [ACTION_PICTURE] = do_picture,
    [ACTION_WRITE_PICTURE] = do_write_picture,
    [ACTION_RESULT] = do_result,
    [ACTION_TAKE_RESULT] = do_take_result,
    [ACTION_COMPARE] = do_compare,
    [ACTION_OVERLAY] = do_overlay,
    [ACTION_CELL] = do_cell,
    [ACTION_EDIT] = do_edit,
    [ACTION_STEP_VALUE] = do_step_value,
    [ACTION_SAVE] = do_save,
    [ACTION_SAVE_AS] = do_save_as,
    [ACTION_COMMAND] = do_command,
    [ACTION_PANE] = do_pane,
    [ACTION_HELP] = do_help,
    [ACTION_REDRAW] = do_redraw,
    [ACTION_SUSPEND] = do_suspend,
    [ACTION_BACK] = do_back,
    [ACTION_QUIT] = do_quit,
    [ACTION_ANSWER_SAVE] = do_answer,
    [ACTION_ANSWER_DISCARD] = do_answer,
    [ACTION_ANSWER_CANCEL] = do_answer,
    [ACTION_RECOVER] = do_recover,
    [ACTION_RECOVER_DROP] = do_recover,
    [ACTION_RECOVER_LATER] = do_recover,
    [ACTION_SCROLL] = do_scroll,
    [ACTION_SCROLL_PAGE] = do_scroll,
    [ACTION_SCROLL_END] = do_scroll_end,
    [ACTION_CLOSE] = do_close,
    [ACTION_RECENT] = do_recent,
    [ACTION_PRESETS] = do_presets,
    [ACTION_WORDS] = do_words,
    [ACTION_CHOOSE] = do_choose,
    [ACTION_CHOICE] = do_choose,
    [ACTION_CHOICE_PAGE] = do_choose,
    [ACTION_CHOICE_END] = do_choose,
    [ACTION_CHOICE_DELETE] = do_choose,
    [ACTION_CHOICE_RENAME] = do_choose,
    [ACTION_CONFIRM] = do_confirm,
};

/* Digits before a key, as in vi. Never so many that a repeat could hang the editor. */
static bool take_digit(editor *e, key_press press, key_context context) {
    bool digit =
        press.key >= '0' && press.key <= '9' && !press.modifiers && (context < KEYS_TYPING || context == KEYS_CHOOSE);
    if (!digit || (press.key == '0' && !e->count)) return false;
    e->count = e->count * 10 + (int)(press.key - '0');
    if (e->count > 999) e->count = 999;
    return true;
}

/* Actions after which the selected region should be in sight. */
static bool is_about_selected(key_action action) {
    return action == ACTION_MOVE || action == ACTION_RESIZE || (action >= ACTION_SELECT && action <= ACTION_DUPLICATE);
}

static void perform(editor *e, const key_binding *binding) {
    int count = e->count ? e->count : 1;
    e->count = 0;
    /* Whatever else is done finds stroke and drag in the layout, and may change which row is which. */
    if (binding->action != ACTION_BRUSH_MOVE) editor_mask_settle(e);
    editor_drag_settle(e);
    if (actions[binding->action]) actions[binding->action](e, binding, count);
    if (e->zoom.level && is_about_selected(binding->action)) editor_follow(e);
}

/* On the card of a small terminal only leaving and redrawing make sense. */
static bool allowed_on_card(key_action action) {
    return action == ACTION_QUIT || action == ACTION_SUSPEND || action == ACTION_REDRAW || action == ACTION_SAVE;
}

/* Esc and a key that comes right behind it look like Alt with that key. Where no key of that name is known it was Esc;
 * while typing only for keys that are no text, or a slip on the keyboard would end in commands. */
static bool was_escape(const editor *e, key_press press) {
    const key_binding *binding;
    key_context context = editor_context(e);
    if (!(press.modifiers & INPUT_ALT) || (context == KEYS_TYPING && press.key >= ' ' && press.key < KEY_BASE_))
        return false;
    return keys_find(context, &press, 1, &binding) == KEY_NO_MATCH;
}

void editor_key(editor *e, uint32_t key, unsigned modifiers) {
    if (was_escape(e, (key_press){key, modifiers})) {
        editor_key(e, 27, 0);
        modifiers &= ~(unsigned)INPUT_ALT;
    }
    key_press press[2] = {{key, modifiers}, {0, 0}};
    key_context context = editor_context(e);
    e->changed = true;
    e->tone = TONE_NONE;
    if (e->windows.card) e->asking = e->confirming = false, editor_close_list(e), context = KEYS_CANVAS;
    if (context == KEYS_TYPING) {
        editor_typing_key(e, press[0]);
        return;
    }
    if (take_digit(e, press[0], context)) return;
    bool counted = e->count > 0 || e->has_pending;
    const key_binding *binding = NULL;
    int length = 1;
    if (e->has_pending) {
        press[1] = press[0];
        press[0] = e->pending;
        length = 2;
    }
    e->has_pending = false;
    key_match found = keys_find(context, press, length, &binding);
    if (found == KEY_PREFIX) {
        e->pending = press[0];
        e->has_pending = true;
        return;
    }
    if (found == KEY_NO_MATCH || (e->windows.card && !allowed_on_card(binding->action))) {
        e->count = 0;
        return;
    }
    /* Esc first drops what was begun. */
    if (binding->action == ACTION_BACK && counted) {
        e->count = 0;
        return;
    }
    perform(e, binding);
}
