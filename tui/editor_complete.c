/* editor_complete.c: Tab on a line that is being typed: which words could stand there, and taking one after the other. */
#include "editor_ui.h"

#include "folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const layout_endings[] = {".json", ".png", NULL};
static const char *const png_endings[] = {".png", NULL};
static const char *const model_endings[] = {".safetensors", ".index.json", NULL};

static void offer_value(const editor *e, completion *c, setting which, const char *typed) {
    const char *const *choices = state_setting_choices(which);
    completion_offer_all(c, typed, choices);
    if (choices || *typed) return;
    /* As in vim: what it is now, to be changed a little. */
    char *now = state_setting_typed(&e->state, which);
    if (now && *now) completion_offer(c, typed, now);
    free(now);
}

static void offer_models(const editor *e, completion *c, const char *typed) {
    completion_offer(c, typed, "builtin");
    char *folder = folders_models();
    completion models = {0};
    if (folder && !strchr(typed, '/')) completion_offer_files(&models, typed, folder, model_endings);
    for (int i = 0; i < models.count; i++) completion_offer(c, typed, models.word[i]);
    completion_clear(&models);
    free(folder);
    completion_offer_files(c, typed, e->state.layout->directory, model_endings);
}

static void offer_key(const editor *e, completion *c, const char *argument) {
    const char *blank = strpbrk(argument, " =");
    setting which;
    char key[32];
    if (!blank) {
        for (int i = 0; i < SETTINGS; i++) completion_offer(c, argument, state_setting_name((setting)i));
        return;
    }
    snprintf(key, sizeof key, "%.*s", (int)(blank - argument), argument);
    const char *value = blank + strspn(blank, " =");
    c->from += (size_t)(value - argument);
    if (!state_setting_find(key, &which)) return;
    if (which == SETTING_MODEL)
        offer_models(e, c, value);
    else
        offer_value(e, c, which, value);
}

/* What is done with it, then its name or a file. */
static void offer_preset(completion *c, const ex_command *command, const char *argument) {
    const char *blank = strchr(argument, ' ');
    if (!blank) {
        completion_offer_all(c, argument, command->words);
        return;
    }
    const char *name = blank + strspn(blank, " ");
    c->from += (size_t)(name - argument);
    if (command->action == EX_MASK)
        completion_offer_files(c, name, NULL, png_endings);
    else if (!strncmp(argument, "import", 6) || !strncmp(argument, "export", 6))
        completion_offer_files(c, name, NULL, layout_endings);
    else
        editor_offer_presets(c, name);
}

static void offer_argument(const editor *e, completion *c, const ex_command *command, const char *argument) {
    switch (command->takes) {
    case EX_FILE:
        completion_offer_files(c, argument, NULL, NULL);
        break;
    case EX_LAYOUT:
        if (command->action == EX_EDIT) editor_offer_recent(c, argument);
        completion_offer_files(c, argument, NULL, layout_endings);
        break;
    case EX_FILES: {
        const char *blank = strrchr(argument, ' '), *last = blank ? blank + 1 : argument;
        c->from += (size_t)(last - argument);
        completion_offer_files(c, last, NULL, layout_endings);
        break;
    }
    case EX_PNG:
        completion_offer_files(c, argument, NULL, png_endings);
        break;
    case EX_MODEL:
        offer_models(e, c, argument);
        break;
    case EX_KEY:
        offer_key(e, c, argument);
        break;
    case EX_SETTING:
        offer_value(e, c, command->setting, argument);
        break;
    case EX_PRESET:
        offer_preset(c, command, argument);
        break;
    case EX_WORDS:
        completion_offer_all(c, argument, command->words);
        break;
    case EX_IMAGE:
        completion_offer_all(c, argument, command->words);
        completion_offer_files(c, argument, NULL, png_endings);
        break;
    case EX_NOTHING:
    case EX_TEXT:
        break;
    }
}

static void offer_command(const editor *e, completion *c) {
    const char *line = e->line.text;
    ex_line parsed = ex_parse(line);
    if (!parsed.name[parsed.name_length]) { /* the name is still being typed */
        int count;
        const ex_command *table = ex_table(&count);
        c->from = (size_t)(parsed.name - line);
        for (int i = 0; i < count; i++) completion_offer(c, parsed.name, table[i].name);
    } else if (parsed.command) {
        c->from = (size_t)(parsed.argument - line);
        offer_argument(e, c, parsed.command, parsed.argument);
    }
}

static void gather(editor *e) {
    completion *c = &e->complete;
    completion_clear(c);
    if (e->typing == TYPING_COMMAND)
        offer_command(e, c);
    else
        completion_offer_files(c, e->line.text, NULL, e->typing == TYPING_PNG ? png_endings : layout_endings);
    completion_finish(c);
}

static void put(editor *e, const char *word, size_t length, bool final) {
    char *line = completion_apply(&e->complete, e->line.text, word, length, final);
    if (line) line_edit_start(&e->line, line);
    free(line);
}

static void try_next(editor *e, int direction) {
    completion *c = &e->complete;
    int at = c->chosen < 0 && direction < 0 ? c->count - 1 : c->chosen + direction;
    c->chosen = (at % c->count + c->count) % c->count;
    put(e, c->word[c->chosen], strlen(c->word[c->chosen]), false);
}

void editor_complete(editor *e, int direction) {
    completion *c = &e->complete;
    if (c->count > 1) {
        try_next(e, direction);
        return;
    }
    gather(e);
    size_t typed = strlen(e->line.text) - c->from, common = completion_common(c);
    if (!c->count) {
        editor_say(e, TONE_INFO, "nothing of that name");
    } else if (c->count == 1) {
        put(e, c->word[0], strlen(c->word[0]), e->typing == TYPING_COMMAND);
        completion_clear(c);
    } else if (common > typed) {
        put(e, c->word[0], common, false);
    }
}

/* ---- What stands above the line ---- */

/* Only the last part of a path: the rest is in the line. */
static const char *last_part(const char *word) {
    size_t length = strlen(word);
    while (length && word[length - 1] == '/') length--;
    while (length && word[length - 1] != '/') length--;
    return word + length;
}

static void draw_words(const editor *e, int row, int columns) {
    const completion *c = &e->complete;
    int first = 0, at = 1;
    /* The chosen one is always among those shown. */
    for (int i = 0, used = 0; i <= c->chosen; i++) {
        int width = text_columns(last_part(c->word[i])) + 2;
        used += width;
        if (used > columns - 6) first = i, used = width;
    }
    for (int i = first; i < c->count; i++) {
        const char *word = last_part(c->word[i]);
        int width = text_columns(word), room = columns - 1 - at;
        if (width + (i + 1 < c->count ? 4 : 0) > room && i > first) {
            draw_text(&e->theme, row, at, room, theme_ink(&e->theme, STYLE_DIM), theme_glyph(&e->theme, GLYPH_MORE));
            return;
        }
        at += draw_text(&e->theme, row, at, room, theme_ink(&e->theme, i == c->chosen ? STYLE_CURSOR : STYLE_TEXT),
                        word) +
              2;
    }
}

/* What the command that is being typed does. */
static void draw_synopsis(const editor *e, int row, int columns) {
    ex_line parsed = ex_parse(e->line.text);
    const ex_command *command = parsed.command;
    if (!command) return;
    int at = 1;
    at += draw_format(&e->theme, row, at, columns - 2, theme_ink(&e->theme, STYLE_KEY), "%s%s%s", command->name,
                      *command->argument ? " " : "", command->argument);
    draw_text(&e->theme, row, at + 2, columns - at - 3, theme_ink(&e->theme, STYLE_DIM), command->description);
}

void editor_draw_completion(const editor *e) {
    window w = e->windows.settings;
    bool words = e->complete.count > 1, synopsis = e->typing == TYPING_COMMAND && ex_parse(e->line.text).command;
    if (!words && !synopsis) return;
    draw_fill(w.row, 0, 1, w.columns, theme_ink(&e->theme, STYLE_TEXT));
    if (words)
        draw_words(e, w.row, w.columns);
    else
        draw_synopsis(e, w.row, w.columns);
}
