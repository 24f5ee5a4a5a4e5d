/* editor_command.c: the commands behind ":", one table of them. */
#include "editor_ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct command {
    const char *name;
    void (*run)(editor *e, char *argument, bool force);
} command;

static void run_write(editor *e, char *argument, bool force) {
    if (force && *argument) {
        free(e->overwrite);
        e->overwrite = strdup(argument);
    }
    if (!*argument && !e->path)
        editor_say(e, TONE_ERROR, "this layout has no name yet: \":w FILE\" gives it one");
    else
        editor_save(e, *argument ? argument : NULL);
}

static void run_quit(editor *e, char *argument, bool force) {
    (void)argument;
    if (e->state.dirty && !force)
        editor_say(e, TONE_ERROR, "the layout has unsaved changes: \":wq\" saves them, \":q!\" throws them away");
    else
        e->quit = true;
}

static void run_write_quit(editor *e, char *argument, bool force) {
    run_write(e, argument, force);
    if (!e->state.dirty && e->tone != TONE_ERROR) e->quit = true;
}

static void run_edit(editor *e, char *argument, bool force) {
    if (!*argument)
        editor_say(e, TONE_ERROR, "\":e FILE\" opens a layout; which one?");
    else if (e->state.dirty && !force)
        editor_say(e, TONE_ERROR, "the layout has unsaved changes: \":w\" saves them, \":e! FILE\" throws them away");
    else
        editor_open(e, argument);
}

static void run_set(editor *e, char *argument, bool force) {
    (void)force;
    setting which;
    size_t length = strcspn(argument, " =");
    char *value = argument + length;
    bool alone = !*value;
    if (!alone) *value++ = '\0';
    if (!*argument) {
        editor_say(e, TONE_ERROR, "\":set KEY VALUE\", such as \":set steps 30\"; Tab completes the key");
    } else if (!state_setting_find(argument, &which)) {
        editor_say(e, TONE_ERROR, "there is no setting \"%s\"; Tab after \":set \" shows what there is", argument);
    } else if (alone) {
        char text[STATE_TEXT];
        state_setting_text(&e->state, which, text);
        editor_say(e, TONE_INFO, "%s is %s", argument, *text ? text : "empty");
    } else {
        cpl_error error = {0};
        value += strspn(value, " ");
        if (!strcmp(value, "\"\"")) value[0] = '\0';
        if (state_set_setting(&e->state, which, value, &error))
            editor_edited(e);
        else
            editor_say_error(e, &error);
    }
}

static void run_png(editor *e, char *argument, bool force) {
    char *path = *argument ? strdup(argument) : editor_picture_path(e);
    if (force && path) {
        free(e->overwrite);
        e->overwrite = strdup(path);
    }
    if (path) editor_write_picture(e, path);
    free(path);
}

static void run_generate(editor *e, char *argument, bool force) {
    (void)argument, (void)force;
    editor_generate(e);
}

static void run_cancel(editor *e, char *argument, bool force) {
    (void)argument, (void)force;
    editor_cancel(e);
}

static void run_live(editor *e, char *argument, bool force) {
    (void)force;
    editor_set_live(e, *argument ? !strcmp(argument, "on") : !e->live);
}

static void run_help(editor *e, char *argument, bool force) {
    (void)argument, (void)force;
    e->help = true;
    e->help_scroll = 0;
}

static void run_history(editor *e, bool undo) {
    cpl_error error = {0};
    if (undo ? state_undo(&e->state, &error) : state_redo(&e->state, &error))
        editor_edited(e);
    else
        editor_say_error(e, &error);
}

static void run_undo(editor *e, char *argument, bool force) {
    (void)argument, (void)force;
    run_history(e, true);
}

static void run_redo(editor *e, char *argument, bool force) {
    (void)argument, (void)force;
    run_history(e, false);
}

static const command commands[] = {
    {"w", run_write},           {"write", run_write},   {"q", run_quit},    {"quit", run_quit}, {"wq", run_write_quit},
    {"x", run_write_quit},      {"e", run_edit},        {"edit", run_edit}, {"set", run_set},   {"png", run_png},
    {"generate", run_generate}, {"cancel", run_cancel}, {"live", run_live}, {"help", run_help}, {"undo", run_undo},
    {"redo", run_redo},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

void editor_command(editor *e, const char *line) {
    char *copy = strdup(line);
    if (!copy) return;
    char *name = copy + strspn(copy, " :"),
         *argument = name + strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    size_t length = (size_t)(argument - name);
    bool force = *argument == '!';
    argument += force;
    bool known = !*argument || *argument == ' ';
    argument += strspn(argument, " ");
    for (size_t end = strlen(argument); end && argument[end - 1] == ' ';) argument[--end] = '\0';
    const command *found = NULL;
    for (int i = 0; known && i < COMMANDS; i++)
        if (strlen(commands[i].name) == length && !memcmp(commands[i].name, name, length)) found = &commands[i];
    if (found)
        found->run(e, argument, force);
    else if (*name)
        editor_say(
            e, TONE_ERROR,
            "there is no command \":%.60s\"; there are w, q, wq, e, set, png, generate, cancel, live, undo, redo, help",
            name);
    free(copy);
}

/* ---- Completion ---- */

static const char *candidate(int index, bool settings) {
    if (settings) return index < SETTINGS ? state_setting_name((setting)index) : NULL;
    return index < COMMANDS ? commands[index].name : NULL;
}

bool editor_complete(editor *e) {
    const char *line = e->line.text;
    bool settings = !strncmp(line, "set ", 4);
    const char *word = settings ? line + 4 : line;
    if (strpbrk(word, " =")) return false;
    size_t length = strlen(word), common = 0;
    const char *first = NULL, *name;
    char list[300] = "";
    int matches = 0;
    for (int i = 0; (name = candidate(i, settings)); i++) {
        if (strncmp(name, word, length) != 0) continue;
        size_t same = 0;
        while (first && first[same] && first[same] == name[same]) same++;
        common = first ? (same < common ? same : common) : strlen(name);
        if (!first) first = name;
        matches++;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? "  " : "", name);
    }
    if (!matches) return false;
    if (matches > 1 && common <= length) {
        editor_say(e, TONE_INFO, "%s", list);
        return false;
    }
    char added[64];
    snprintf(added, sizeof added, "%.*s%s", (int)(common - length), first + length, matches == 1 ? " " : "");
    line_edit_move_end(&e->line, 1);
    return line_edit_insert(&e->line, added);
}
