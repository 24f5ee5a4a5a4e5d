/* editor_typing.c: cells, settings, commands and file names while they are typed. A value that is not good stays in its
 * field with the reason in words; the layout never sees it. */
#include "editor_ui.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void begin(editor *e, typing what, const char *text) {
    if (!line_edit_start(&e->line, text)) return;
    completion_clear(&e->complete);
    free(e->began);
    e->began = strdup(e->line.text);
    e->typing = what;
    e->untouched = false;
    e->past_at = e->past_count;
}

void editor_type_cell(editor *e, int row, table_cell c) {
    cpl_error error = {0};
    if (!state_cell_editable(&e->state, row, c, &error)) {
        editor_say_error(e, &error);
        return;
    }
    state_select(&e->state, row);
    e->state.cell = c;
    e->focus = PANE_TABLE;
    e->typing_row = row;
    char *whole = state_cell_whole(&e->state, row, c);
    begin(e, TYPING_CELL, whole ? whole : "");
    free(whole);
    e->untouched = c < CELL_PROMPT;
}

void editor_type_setting(editor *e, setting which) {
    char *text = state_setting_typed(&e->state, which);
    e->focus = PANE_SETTINGS;
    e->state.setting = which;
    begin(e, TYPING_SETTING, text ? text : "");
    e->untouched = which != SETTING_NEGATIVE;
    free(text);
}

void editor_type_line(editor *e, typing what, const char *text) { begin(e, what, text); }

bool editor_typed_anew(const editor *e) {
    bool value = e->typing == TYPING_CELL || e->typing == TYPING_SETTING;
    return value && !(e->began && !strcmp(e->began, e->line.text));
}

void editor_stop_typing(editor *e) {
    e->typing = TYPING_NONE;
    e->quit_after_save = false;
    free(e->began);
    e->began = NULL;
    completion_clear(&e->complete);
    line_edit_clear(&e->line);
}

/* ---- Taking what was typed ---- */

static bool take_command(editor *e) {
    char *line = strdup(e->line.text);
    editor_stop_typing(e);
    if (!line) return true;
    editor_past_add(e, line);
    editor_command(e, line);
    free(line);
    return true;
}

static bool take_save_as(editor *e) {
    bool quit = e->quit_after_save;
    char *path = strdup(e->line.text);
    bool done = path && editor_save(e, path);
    free(path);
    if (!done) return false;
    editor_stop_typing(e);
    e->quit = quit;
    return true;
}

static bool take_picture(editor *e) {
    if (!editor_write_picture(e, e->line.text)) return false;
    editor_stop_typing(e);
    return true;
}

static bool take_rename(editor *e) {
    if (!editor_rename_choice(e, e->line.text)) return false;
    editor_stop_typing(e);
    return true;
}

/* What was only looked at is left as it is: a setting shows the model's default where the layout has none, and a line of one
 * prompt text is no prompt of its own. */
static bool take_value(editor *e) {
    cpl_error error = {0};
    if (!editor_typed_anew(e)) {
        editor_stop_typing(e);
        return true;
    }
    bool done = e->typing == TYPING_CELL ? state_set_cell(&e->state, e->typing_row, e->state.cell, e->line.text, &error)
                                         : state_set_setting(&e->state, e->state.setting, e->line.text, &error);
    if (!done) {
        editor_say_error(e, &error);
        return false;
    }
    editor_stop_typing(e);
    editor_edited(e);
    return true;
}

bool editor_take(editor *e) {
    switch (e->typing) {
    case TYPING_COMMAND:
        return take_command(e);
    case TYPING_SAVE_AS:
        return take_save_as(e);
    case TYPING_PNG:
        return take_picture(e);
    case TYPING_RENAME:
        return take_rename(e);
    case TYPING_CELL:
    case TYPING_SETTING:
        return take_value(e);
    case TYPING_NONE:
        break;
    }
    return true;
}

/* ---- Keys ---- */

/* Tab goes on through the cells that can be edited, and around at the end. */
static void next_cell(editor *e, int direction) {
    int row = e->typing_row, at = (int)e->state.cell;
    table_columns shown = editor_table_columns(e);
    for (int tries = 0; tries < CELLS; tries++) {
        at += direction;
        if (at >= CELLS) at = 0, row = row + 1 < e->state.count ? row + 1 : 0;
        if (at < 0) at = CELLS - 1, row = row > 0 ? row - 1 : e->state.count - 1;
        if (!shown.cell[at].width || !state_cell_editable(&e->state, row, (table_cell)at, NULL)) continue;
        editor_type_cell(e, row, (table_cell)at);
        return;
    }
}

static void go_on(editor *e, int direction) {
    typing was = e->typing;
    if (was == TYPING_RENAME) return;
    if (was != TYPING_CELL && was != TYPING_SETTING) {
        editor_complete(e, direction);
        return;
    }
    if (!editor_take(e)) return;
    if (was == TYPING_CELL)
        next_cell(e, direction);
    else
        editor_type_setting(e, (setting)(((int)e->state.setting + direction + SETTINGS_SHOWN) % SETTINGS_SHOWN));
}

static void other_row(editor *e, int direction) {
    if (e->typing == TYPING_COMMAND) {
        editor_past_recall(e, direction);
        return;
    }
    /* In a long prompt the cursor goes from row to row; only from its first and last one on to other regions. */
    if (e->typing != TYPING_CELL || editor_prompt_row(e, direction)) return;
    int row = e->typing_row + direction;
    table_cell c = e->state.cell;
    if (row < 0 || row >= e->state.count) return;
    if (editor_take(e)) editor_type_cell(e, row, c);
}

static void perform(editor *e, const key_binding *b) {
    line_edit *line = &e->line;
    switch (b->action) {
    case ACTION_ACCEPT:
        editor_take(e);
        break;
    case ACTION_ACCEPT_NEXT:
        go_on(e, b->x);
        break;
    case ACTION_ACCEPT_ROW:
        other_row(e, b->x);
        break;
    case ACTION_ABANDON:
        editor_stop_typing(e);
        break;
    case ACTION_CURSOR:
        line_edit_move(line, b->x);
        break;
    case ACTION_CURSOR_WORD:
        line_edit_move_word(line, b->x);
        break;
    case ACTION_CURSOR_END:
        line_edit_move_end(line, b->x);
        break;
    case ACTION_ERASE:
        /* As in vi: erasing before an empty command leaves the command line. */
        if (b->x < 0 && !line->length && e->typing == TYPING_COMMAND)
            editor_stop_typing(e);
        else
            line_edit_erase(line, b->x);
        break;
    case ACTION_ERASE_WORD:
        line_edit_erase_word(line);
        break;
    case ACTION_ERASE_LINE:
        line_edit_erase_line(line, b->x);
        break;
    default:
        break;
    }
}

static bool is_printable(key_press press) {
    return press.key >= ' ' && press.key != 127 && press.key < KEY_BASE_ &&
           !(press.modifiers & (INPUT_ALT | INPUT_CTRL));
}

/* As in a spreadsheet: typing over a number replaces it, moving the cursor first changes it. */
static void start_over(editor *e) {
    if (!e->untouched) return;
    line_edit_move_end(&e->line, 1);
    line_edit_erase_line(&e->line, -1);
    e->untouched = false;
}

void editor_typing_key(editor *e, key_press press) {
    editor_journal_touch(e);
    const key_binding *binding = NULL;
    if (keys_find(KEYS_TYPING, &press, 1, &binding) == KEY_MATCH) {
        bool erases = binding->action == ACTION_ERASE && binding->x < 0;
        if (erases && e->untouched) start_over(e);
        e->untouched = false;
        if (binding->action != ACTION_ACCEPT_NEXT) completion_clear(&e->complete);
        perform(e, binding);
    } else if (is_printable(press)) {
        start_over(e);
        completion_clear(&e->complete);
        line_edit_insert_key(&e->line, press.key);
    }
}

/* As in the WebUI, where what stands below a picture is pasted for all of its settings. The model stays: its file is called by
 * another name on each machine. */
static void paste_parameters(editor *e, const char *text) {
    const cpl_layout *before = e->state.layout;
    cpl_error error = {0};
    cpl_layout *next = cpl_layout_parse(text, before->directory, "the pasted text", &error);
    if (!next || !cpl_text_set(&next->sampling.model, before->sampling.model, &error) ||
        !cpl_text_set(&next->sampling.vae, before->sampling.vae, &error)) {
        cpl_layout_free(next);
        editor_say_error(e, &error);
        return;
    }
    const cpl_error lost = error;
    if (!state_commit(&e->state, next, true, &error)) {
        editor_say_error(e, &error);
        return;
    }
    editor_edited(e);
    if (*lost.message)
        editor_say(e, TONE_WARNING, "%s", lost.message);
    else
        editor_say(e, TONE_INFO, "the pasted parameters are the layout, but for the model; u undoes that");
}

/* Where nothing is being typed each pasted line becomes a region. */
static void paste_rows(editor *e, const char *text) {
    cpl_error error = {0};
    int count;
    if (e->list || e->asking || e->recovering || e->windows.card) return;
    if (cpl_infotext_is(text)) {
        paste_parameters(e, text);
        return;
    }
    if (!state_insert_lines(&e->state, text, &count, &error)) {
        editor_say_error(e, &error);
        return;
    }
    editor_edited(e);
    editor_say(e, TONE_INFO, count == 1 ? "the pasted line is region %d" : "the pasted lines are regions from %d on",
               e->state.selected + 1);
}

void editor_paste(editor *e, const char *text) {
    e->changed = true;
    if (!e->typing) {
        paste_rows(e, text);
        return;
    }
    start_over(e);
    completion_clear(&e->complete);
    editor_journal_touch(e);
    line_edit_insert(&e->line, text);
}
