/* editor_choose.c: lists that one chooses from: the layouts edited last, and the presets. What they hold is read once, when
 * they are opened or changed, and not for every frame. */
#include "editor_ui.h"

#include "folders.h"
#include "places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void editor_choices_clear(choice_list *c) {
    for (int i = 0; i < c->count; i++) {
        free(c->list[i].name);
        free(c->list[i].note);
        free(c->list[i].path);
    }
    free(c->list);
    *c = (choice_list){0};
}

void editor_choices_add(choice_list *c, const char *name, const char *note, const char *path) {
    choice *more = realloc(c->list, sizeof *more * (size_t)(c->count + 1));
    if (!more) return;
    c->list = more;
    more[c->count++] = (choice){strdup(name), strdup(note), path ? strdup(path) : NULL};
}

/* ---- The layouts edited last ---- */

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The one that is open is nothing to choose. */
static void fill_recent(const editor *e, choice_list *c) {
    places all;
    char *open = e->path ? folders_whole(e->path) : NULL;
    places_read(&all);
    for (int i = 0; i < all.count; i++) {
        if (open && !strcmp(open, all.list[i].path)) continue;
        char *shown = folders_shown(all.list[i].path), when[32] = "", note[600];
        time_t seconds = (time_t)all.list[i].when;
        struct tm local;
        if (localtime_r(&seconds, &local)) strftime(when, sizeof when, "%b %d %H:%M", &local);
        snprintf(note, sizeof note, "%s  %.500s", when, shown ? shown : "");
        if (shown) editor_choices_add(c, name_of(all.list[i].path), note, shown);
        free(shown);
    }
    free(open);
    places_clear(&all);
}

void editor_offer_recent(completion *c, const char *typed) {
    places all;
    places_read(&all);
    for (int i = 0; i < all.count; i++) {
        char *shown = folders_shown(all.list[i].path);
        if (shown) completion_offer(c, typed, shown);
        free(shown);
    }
    places_clear(&all);
}

static void take_recent(editor *e, const char *path) {
    if (e->state.dirty)
        editor_say(e, TONE_ERROR,
                   "the layout has unsaved changes: Esc, then s saves them, \":e! FILE\" throws them away");
    else if (editor_open(e, path))
        editor_close_list(e);
}

static void forget_recent(editor *e, const char *path) {
    char *expanded = folders_expand(path), *whole = expanded ? folders_whole(expanded) : NULL;
    /* A folder that is gone has no whole path; then it was whole as it is shown. */
    if (whole || expanded) places_forget(whole ? whole : expanded);
    editor_say(e, TONE_INFO, "%.200s is no longer in the list; the file stays", path);
    free(whole);
    free(expanded);
}

bool editor_any_recent(void) {
    places all;
    places_read(&all);
    bool any = all.count > 0;
    places_clear(&all);
    return any;
}

/* ---- The list ---- */

static void refill(editor *e) {
    int at = e->choices.at;
    editor_choices_clear(&e->choices);
    if (e->list == LIST_RECENT)
        fill_recent(e, &e->choices);
    else
        editor_list_presets(&e->choices);
    e->choices.at = at < e->choices.count ? at : e->choices.count - 1;
    if (e->choices.at < 0) e->choices.at = 0;
    e->changed = true;
}

void editor_open_choices(editor *e, list_kind which) {
    editor_open_list(e, which);
    e->choices.at = 0;
    refill(e);
}

static choice *chosen(editor *e) { return e->choices.count ? &e->choices.list[e->choices.at] : NULL; }

static void ask_delete(editor *e) {
    if (e->list == LIST_PRESETS) {
        e->confirming = true;
        return;
    }
    forget_recent(e, chosen(e)->path);
    refill(e);
}

static void move_choice(editor *e, int to) {
    int last = e->choices.count - 1;
    e->choices.at = to > last ? last : to;
    if (e->choices.at < 0) e->choices.at = 0;
}

void editor_choose(editor *e, key_action action, int x, int count) {
    choice *c = chosen(e);
    switch (action) {
    case ACTION_CHOICE:
        move_choice(e, e->choices.at + x * count);
        return;
    case ACTION_CHOICE_PAGE:
        move_choice(e, e->choices.at + x * count * (e->list_cells.rows > 1 ? e->list_cells.rows - 1 : 1));
        return;
    case ACTION_CHOICE_END:
        move_choice(e, x < 0 ? 0 : e->choices.count - 1);
        return;
    default:
        break;
    }
    if (!c) {
        editor_say(e, TONE_INFO, "the list is empty: Esc goes back");
    } else if (action == ACTION_CHOICE_DELETE) {
        ask_delete(e);
    } else if (action == ACTION_CHOICE_RENAME) {
        if (e->list == LIST_PRESETS)
            editor_type_line(e, TYPING_RENAME, c->name);
        else
            editor_say(e, TONE_INFO, "a file's name is not changed here; S saves the layout under another");
    } else if (e->list == LIST_RECENT) {
        char *path = strdup(c->path);
        if (path) take_recent(e, path);
        free(path);
    } else if (editor_preset_load(e, c->name)) {
        editor_close_list(e);
    }
}

void editor_confirm(editor *e, bool yes) {
    choice *c = chosen(e);
    e->confirming = false;
    if (!yes || !c) return;
    editor_preset_delete(e, c->name);
    refill(e);
}

bool editor_rename_choice(editor *e, const char *to) {
    choice *c = chosen(e);
    if (!c || !editor_preset_rename(e, c->name, to)) return false;
    refill(e);
    for (int i = 0; i < e->choices.count; i++)
        if (!strcmp(e->choices.list[i].name, to)) e->choices.at = i;
    return true;
}

/* A click chooses, the same again takes. */
void editor_press_choice(editor *e, int row, bool again) {
    int at = e->list_top + row - e->list_cells.row;
    if (row < e->list_cells.row || row >= e->list_cells.row + e->list_cells.rows || at >= e->choices.count) return;
    e->choices.at = at;
    if (again) editor_choose(e, ACTION_CHOOSE, 0, 1);
}
