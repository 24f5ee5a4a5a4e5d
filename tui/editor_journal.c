/* editor_journal.c: when the journal is written, and what becomes of one that an earlier session left. */
#include "editor_ui.h"

#include "convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_MS 400 /* what a crash may take is less than a second of work, also where keys put it off */

void editor_journal_touch(editor *e) {
    if (!e->journal_due_ms) e->journal_due_ms = e->journal_last_ms + EVERY_MS;
}

/* Minutes of work may be in a text that is being typed. Half a number would be another number. */
static cpl_layout *with_typed(const editor *e) {
    const editor_state *s = &e->state;
    if (!editor_typed_anew(e)) return NULL;
    if (e->typing == TYPING_CELL && s->cell >= CELL_PROMPT)
        return state_with_cell(s, e->typing_row, s->cell, e->line.text, NULL);
    if (e->typing == TYPING_SETTING && s->setting == SETTING_NEGATIVE)
        return state_with_setting(s, s->setting, e->line.text, NULL);
    return NULL;
}

cpl_layout *editor_unsaved(const editor *e, bool *unsaved, cpl_error *error) {
    cpl_layout *now = with_typed(e);
    if (!now) now = cpl_layout_copy(e->state.layout, error);
    if (now && !editor_mask_write(e, now, error)) {
        cpl_layout_free(now);
        now = NULL;
    }
    *unsaved = now && (e->state.dirty || (e->state.saved && !cpl_layout_equal(now, e->state.saved)));
    return now;
}

bool editor_journal_flush(editor *e) {
    cpl_error error = {0};
    e->journal_due_ms = 0;
    e->journal_last_ms = editor_clock_ms();
    if (!e->journal) return false;
    bool unsaved;
    cpl_layout *now = editor_unsaved(e, &unsaved, &error);
    bool done = now != NULL;
    if (unsaved)
        done = journal_write(e->journal, now, e->path, &error);
    else if (done)
        journal_drop(e->journal);
    /* Said once: what cannot be kept must not be kept a secret, but nobody can do more about it than save. */
    if (!done && !e->journal_failed) editor_say(e, TONE_WARNING, "%s", error.message);
    e->journal_failed = !done;
    cpl_layout_free(now);
    return done;
}

void editor_journal_tick(editor *e, int64_t now_ms) {
    if (!e->journal_due_ms || now_ms < editor_quiet_ms(e, e->journal_due_ms)) return;
    editor_place_keep(e); /* first: whoever finds the journal finds the place too */
    editor_journal_flush(e);
}

int editor_journal_timeout(const editor *e, int64_t now_ms) {
    if (!e->journal_due_ms) return -1;
    int64_t when = editor_quiet_ms(e, e->journal_due_ms);
    return when > now_ms ? (int)(when - now_ms) : 0;
}

/* ---- After a session that did not end well ---- */

void editor_recover_ask(editor *e) {
    journal_left_clear(&e->left);
    while (journal_find(e->path, &e->left)) {
        if (!cpl_layout_equal(e->left.layout, e->state.layout)) {
            e->recovering = true;
            return;
        }
        journal_left_remove(&e->left); /* it was saved after all */
    }
}

void editor_recover_question(const editor *e, bool briefly, char *text, size_t size) {
    char when[32] = "";
    struct tm local;
    if (localtime_r(&e->left.when, &local)) strftime(when, sizeof when, "%b %d %H:%M", &local);
    if (briefly)
        snprintf(text, size, "Unsaved edits.  ");
    else
        snprintf(text, size, "Edits of %s were not saved.  ", when);
}

void editor_recover(editor *e, key_action answer) {
    cpl_error error = {0};
    e->recovering = false;
    if (answer == ACTION_RECOVER_LATER) {
        journal_left_clear(&e->left);
        editor_say(e, TONE_INFO, "they are kept: \":recover\" asks again");
        return;
    }
    if (answer == ACTION_RECOVER) {
        /* An edit like any other: u shows what the file holds. */
        cpl_layout *copy = convert_move(e->left.layout, e->state.layout->directory, &error);
        if (!copy || !state_commit(&e->state, copy, true, &error)) {
            editor_say_error(e, &error);
            return;
        }
        editor_edited(e);
        editor_say(e, TONE_INFO, "the edits are back: s saves them, u shows what the file holds");
        /* Ours is written before theirs is removed. */
        if (e->state.dirty && !editor_journal_flush(e)) return;
    }
    journal_left_remove(&e->left);
}
