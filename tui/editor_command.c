/* editor_command.c: what the commands behind ":" do. Their names and arguments stand in ex.c. */
#include "editor_ui.h"

#include "folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct call {
    const ex_command *command;
    char *argument; /* borrowed, may be changed */
    bool force;
} call;

static void report(editor *e, bool changed, const cpl_error *error) {
    if (changed)
        editor_edited(e);
    else
        editor_say_error(e, error);
}

static void replace_without_question(editor *e, const char *path) {
    free(e->overwrite);
    e->overwrite = strdup(path);
}

/* ---- Files ---- */

static void run_write(editor *e, call *c) {
    if (c->force && *c->argument) replace_without_question(e, c->argument);
    if (!*c->argument && !e->path)
        editor_say(e, TONE_ERROR, "this layout has no name yet: \":w FILE\" gives it one");
    else
        editor_save(e, *c->argument ? c->argument : NULL);
}

static void run_quit(editor *e, call *c) {
    if (e->state.dirty && !c->force)
        editor_say(e, TONE_ERROR, "the layout has unsaved changes: \":wq\" saves them, \":q!\" throws them away");
    else
        e->quit = true;
}

static void run_write_quit(editor *e, call *c) {
    run_write(e, c);
    if (!e->state.dirty && e->tone != TONE_ERROR) e->quit = true;
}

static void run_edit(editor *e, call *c) {
    if (!*c->argument)
        editor_say(e, TONE_ERROR, "\":e FILE\" opens a layout; which one?");
    else if (e->state.dirty && !c->force)
        editor_say(e, TONE_ERROR, "the layout has unsaved changes: \":w\" saves them, \":e! FILE\" throws them away");
    else
        editor_open(e, c->argument);
}

static void run_export(editor *e, call *c) {
    char *path = *c->argument ? strdup(c->argument) : editor_picture_path(e);
    if (c->force && path) replace_without_question(e, path);
    if (path) editor_write_picture(e, path);
    free(path);
}

static void run_save_display(editor *e, call *c) {
    if (!*c->argument)
        editor_say(e, TONE_ERROR, "\":save-display FILE\" writes the screen as text; to which file?");
    else
        editor_save_display(e, c->argument);
}

static void run_recover(editor *e, call *c) {
    (void)c;
    editor_recover_ask(e);
    if (!e->recovering) editor_say(e, TONE_INFO, "no earlier session left anything for this layout");
}

/* ---- Settings ---- */

static void tell_or_set(editor *e, setting which, const char *value) {
    cpl_error error = {0};
    if (!value) {
        char text[STATE_TEXT];
        state_setting_text(&e->state, which, text);
        editor_say(e, TONE_INFO, "%s is %s", state_setting_name(which), *text ? text : "empty");
        return;
    }
    report(e, state_set_setting(&e->state, which, !strcmp(value, "\"\"") ? "" : value, &error), &error);
}

/* A name alone is one in the model folder, if it is there. */
static char *model_path(const char *name) {
    char *folder = strchr(name, '/') ? NULL : folders_models(), *path = NULL;
    static const char *const endings[] = {"", ".safetensors"};
    struct stat info;
    for (size_t i = 0; folder && i < sizeof endings / sizeof endings[0]; i++) {
        if (asprintf(&path, "%s/%s%s", folder, name, endings[i]) < 0) path = NULL;
        if (path && stat(path, &info) == 0) break;
        free(path);
        path = NULL;
    }
    free(folder);
    return path ? path : folders_expand(name);
}

static void run_model(editor *e, call *c) {
    bool named = *c->argument && strcmp(c->argument, "builtin") != 0 && strcmp(c->argument, "\"\"") != 0;
    char *path = named ? model_path(c->argument) : NULL;
    tell_or_set(e, SETTING_MODEL, path ? path : *c->argument ? c->argument : NULL);
    free(path);
}

static void run_set(editor *e, call *c) {
    setting which;
    size_t length = strcspn(c->argument, " =");
    char *value = c->argument + length;
    bool alone = !*value;
    if (!alone) *value++ = '\0';
    value += strspn(value, " ");
    if (!*c->argument)
        editor_say(e, TONE_ERROR, "\":set KEY VALUE\", such as \":set steps 30\"; Tab completes the key");
    else if (!state_setting_find(c->argument, &which))
        editor_say(e, TONE_ERROR, "there is no setting \"%s\"; Tab after \":set \" shows what there is", c->argument);
    else if (which == SETTING_MODEL && !alone)
        run_model(e, &(call){c->command, value, false});
    else
        tell_or_set(e, which, alone ? NULL : value);
}

static void run_set_one(editor *e, call *c) { tell_or_set(e, c->command->setting, *c->argument ? c->argument : NULL); }

/* ---- Edits, picture, program ---- */

static void run_history(editor *e, call *c) {
    cpl_error error = {0};
    bool undo = c->command->action == EX_UNDO;
    report(e, undo ? state_undo(&e->state, &error) : state_redo(&e->state, &error), &error);
}

static void run_generate(editor *e, call *c) {
    (void)c;
    editor_generate(e);
}

static void run_cancel(editor *e, call *c) {
    (void)c;
    editor_cancel(e);
}

static void run_live(editor *e, call *c) { editor_set_live(e, *c->argument ? !strcmp(c->argument, "on") : !e->live); }

static void run_map(editor *e, call *c) {
    (void)c;
    editor_show_map(e, !e->map);
}

static void run_list(editor *e, call *c) {
    ex_action action = c->command->action;
    editor_open_list(e, action == EX_STATS ? LIST_STATS : action == EX_MESSAGES ? LIST_MESSAGES : LIST_HELP);
}

static void run_wait(editor *e, call *c) {
    if (!e->script)
        editor_say(e, TONE_INFO, "\":wait\" is for key scripts (couplet --keys FILE)");
    else
        script_wait(e->script, !strcmp(c->argument, "done") ? SCRIPT_DONE : SCRIPT_SYNCED);
}

typedef void run_fn(editor *e, call *c);
static run_fn *const run[EX_ACTIONS] = {
    [EX_WRITE] = run_write,       [EX_WRITE_QUIT] = run_write_quit,
    [EX_QUIT] = run_quit,         [EX_EDIT] = run_edit,
    [EX_EXPORT] = run_export,     [EX_SAVE_DISPLAY] = run_save_display,
    [EX_RECOVER] = run_recover,   [EX_SET] = run_set,
    [EX_SET_ONE] = run_set_one,   [EX_USE_MODEL] = run_model,
    [EX_UNDO] = run_history,      [EX_REDO] = run_history,
    [EX_GENERATE] = run_generate, [EX_CANCEL] = run_cancel,
    [EX_LIVE] = run_live,         [EX_MAP] = run_map,
    [EX_STATS] = run_list,        [EX_MESSAGES] = run_list,
    [EX_HELP] = run_list,         [EX_WAIT] = run_wait,
};

static bool is_choice(const char *const *words, const char *text) {
    for (; *words; words++)
        if (!strcmp(*words, text)) return true;
    return false;
}

static void refuse_unknown(editor *e, const ex_line *parsed) {
    const char *nearest = ex_nearest(parsed->name, parsed->name_length);
    if (nearest)
        editor_say(e, TONE_ERROR, "there is no command \":%.60s\"; did you mean \":%s\"?", parsed->name, nearest);
    else
        editor_say(e, TONE_ERROR, "there is no command \":%.60s\"; Tab after \":\" shows what there is", parsed->name);
}

void editor_command(editor *e, const char *line) {
    ex_line parsed = ex_parse(line);
    if (!parsed.command) {
        if (*parsed.name) refuse_unknown(e, &parsed);
        return;
    }
    const ex_command *command = parsed.command;
    char *argument = strndup(parsed.argument, parsed.argument_length);
    if (!argument) return;
    if (parsed.bang && !command->bang)
        editor_say(e, TONE_ERROR, "\":%s\" knows no \"!\"", command->name);
    else if (command->takes == EX_NOTHING && *argument)
        editor_say(e, TONE_ERROR, "\":%s\" takes nothing behind it", command->name);
    else if (command->takes == EX_WORDS &&
             (*argument ? !is_choice(command->words, argument) : *command->argument != '['))
        editor_say(e, TONE_ERROR, "it is \":%s %s\"", command->name, command->argument);
    else
        run[command->action](e, &(call){command, argument, parsed.bang});
    free(argument);
}
