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
    e->overwrite = folders_expand(path); /* as it will be written */
}

/* ---- Files ---- */

static void run_write(editor *e, call *c) {
    if (c->force && (*c->argument || e->path)) replace_without_question(e, *c->argument ? c->argument : e->path);
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

static void run_convert(editor *e, call *c) { editor_convert(e, c->argument, c->force); }

static void run_save_display(editor *e, call *c) {
    if (!*c->argument)
        editor_say(e, TONE_ERROR, "\":save-display FILE\" writes the screen as text; to which file?");
    else
        editor_save_display(e, c->argument, c->force);
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

/* "1:2:1": parts from 2 to 64, each above zero. How many; 0: it is none. */
static int read_ratios(const char *text, size_t length, double ratios[64]) {
    int count = 0;
    for (const char *end = text + length; text < end && count < 64;) {
        char one[32];
        size_t size = strcspn(text, ": ");
        if (!size || size >= sizeof one) return 0;
        snprintf(one, sizeof one, "%.*s", (int)size, text);
        if (!state_number(one, &ratios[count]) || ratios[count] <= 0 || ratios[count] > 1e6) return 0;
        count++;
        text += size;
        if (text < end && *text == ':' && ++text == end) return 0;
    }
    return count > 1 ? count : 0;
}

static void run_split(editor *e, call *c) {
    cpl_error error = {0};
    double ratios[64];
    size_t length = strcspn(c->argument, " ");
    const char *way = c->argument + length + strspn(c->argument + length, " ");
    bool rows = !strcmp(way, "rows");
    int count = read_ratios(c->argument, length, ratios);
    if (!count || (*way && !rows && strcmp(way, "columns") != 0))
        editor_say(e, TONE_ERROR, "it is \":split 1:2:1\", with \"rows\" behind it for rows");
    else
        report(e, state_split(&e->state, ratios, count, rows, &error), &error);
}

static void run_arrange(editor *e, call *c) {
    cpl_error error = {0};
    bool vertical = !strcmp(c->argument, "vertical");
    report(e,
           c->command->action == EX_MIRROR ? state_mirror(&e->state, vertical, &error)
                                           : state_distribute(&e->state, vertical, &error),
           &error);
}

static void run_align(editor *e, call *c) {
    cpl_error error = {0};
    int edge = 0;
    while (strcmp(c->command->words[edge], c->argument) != 0) edge++; /* one of them: it was checked */
    report(e, state_align(&e->state, (state_edge)edge, &error), &error);
}

static void run_duplicate(editor *e, call *c) {
    (void)c;
    cpl_error error = {0};
    report(e, state_duplicate(&e->state, &error), &error);
}

static void run_negative(editor *e, call *c) {
    cpl_error error = {0};
    char *now = state_cell_whole(&e->state, e->state.selected, CELL_NEGATIVE);
    if (!*c->argument)
        editor_say(e, TONE_INFO, "negative prompt of the region: %s", now && *now ? now : "the layout's");
    else
        report(e,
               state_set_cell(&e->state, e->state.selected, CELL_NEGATIVE,
                              strcmp(c->argument, "\"\"") ? c->argument : "", &error),
               &error);
    free(now);
}

static void run_mask(editor *e, call *c) { editor_mask_command(e, c->argument); }

static void run_preset(editor *e, call *c) { editor_preset(e, c->argument, c->force); }

static void run_fill(editor *e, call *c) {
    (void)c;
    cpl_error error = {0};
    report(e, state_fill(&e->state, &error), &error);
}

static void run_grid(editor *e, call *c) {
    e->state.latent = !strcmp(c->argument, "latent");
    if (!e->state.latent) e->state.step = atoi(c->argument);
}

static void run_backdrop(editor *e, call *c) { editor_backdrop_command(e, c->argument); }

static void run_init(editor *e, call *c) { editor_init_command(e, c->argument); }

static void run_zoom(editor *e, call *c) {
    editor_zoom(e, !strcmp(c->argument, "in") ? 1 : !strcmp(c->argument, "out") ? -1 : -100);
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
    if (action == EX_RECENT) {
        editor_open_choices(e, LIST_RECENT);
        return;
    }
    static const list_kind lists[EX_ACTIONS] = {
        [EX_STATS] = LIST_STATS, [EX_MESSAGES] = LIST_MESSAGES, [EX_HELP] = LIST_HELP, [EX_WORDS_LIST] = LIST_WORDS};
    editor_open_list(e, lists[action]);
}

static void run_theme(editor *e, call *c) {
    for (e->look = THEME_AUTO; strcmp(c->command->words[e->look], c->argument) != 0;) e->look++;
    theme_start(&e->theme, e->caps, e->look);
}

static void run_wait(editor *e, call *c) {
    if (!e->script)
        editor_say(e, TONE_INFO, "\":wait\" is for key scripts (couplet --keys FILE)");
    else
        script_wait(e->script, !strcmp(c->argument, "done") ? SCRIPT_DONE : SCRIPT_SYNCED);
}

typedef void run_fn(editor *e, call *c);
static run_fn *const run[EX_ACTIONS] = {
    [EX_WRITE] = run_write,
    [EX_WRITE_QUIT] = run_write_quit,
    [EX_QUIT] = run_quit,
    [EX_EDIT] = run_edit,
    [EX_EXPORT] = run_export,
    [EX_SAVE_DISPLAY] = run_save_display,
    [EX_RECENT] = run_list,
    [EX_CONVERT] = run_convert,
    [EX_RECOVER] = run_recover,
    [EX_SET] = run_set,
    [EX_SET_ONE] = run_set_one,
    [EX_USE_MODEL] = run_model,
    [EX_SPLIT] = run_split,
    [EX_MIRROR] = run_arrange,
    [EX_ALIGN] = run_align,
    [EX_DISTRIBUTE] = run_arrange,
    [EX_DUPLICATE] = run_duplicate,
    [EX_USE_PRESET] = run_preset,
    [EX_MASK] = run_mask,
    [EX_FILL] = run_fill,
    [EX_GRID] = run_grid,
    [EX_NEGATIVE] = run_negative,
    [EX_INIT] = run_init,
    [EX_BACKDROP] = run_backdrop,
    [EX_ZOOM] = run_zoom,
    [EX_UNDO] = run_history,
    [EX_REDO] = run_history,
    [EX_GENERATE] = run_generate,
    [EX_CANCEL] = run_cancel,
    [EX_LIVE] = run_live,
    [EX_MAP] = run_map,
    [EX_STATS] = run_list,
    [EX_MESSAGES] = run_list,
    [EX_WORDS_LIST] = run_list,
    [EX_HELP] = run_list,
    [EX_WAIT] = run_wait,
    [EX_THEME] = run_theme,
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
