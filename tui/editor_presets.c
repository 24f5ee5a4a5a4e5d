/* editor_presets.c: `:preset`: named sets of regions are kept, taken up, thrown away, and exchanged with Forge Couple. */
#include "editor_ui.h"

#include "convert.h"
#include "folders.h"
#include "presets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Forge Couple's mappings have none, and its prompts stay what they are when one is applied. */
static bool has_words(const cpl_layout *preset) {
    bool any = preset->prompt && *preset->prompt;
    for (int i = 0; i < preset->region_count; i++) any |= preset->regions[i].prompt && *preset->regions[i].prompt;
    return any;
}

static bool keep_words(cpl_region *to, const cpl_layout *before, int row, cpl_error *error) {
    const cpl_region *from = row < before->region_count ? &before->regions[row] : NULL;
    const char *prompt = before->prompt ? NULL : from && from->prompt ? from->prompt : "";
    return cpl_text_set(&to->prompt, prompt, error) && cpl_text_set(&to->negative, from ? from->negative : NULL, error);
}

/* Regions, mode and what belongs to them; model, canvas and sampler stay those of the layout. */
static bool take_regions(editor *e, cpl_layout *preset, cpl_error *error) {
    cpl_layout *next = state_change(&e->state, error);
    bool words = has_words(preset);
    if (!next || (words && !cpl_text_set(&next->prompt, preset->prompt, error)) ||
        !cpl_text_set(&next->background_prompt, preset->background_prompt, error)) {
        cpl_layout_free(next);
        return false;
    }
    next->mode = preset->mode;
    next->direction = preset->direction;
    next->background = preset->background;
    next->background_weight = preset->background_weight;
    next->uncovered = preset->uncovered;
    while (next->region_count) cpl_layout_remove(next, next->region_count - 1);
    bool done = true;
    for (int i = 0; done && i < preset->region_count; i++) {
        cpl_region *to = cpl_layout_insert(next, i, error);
        done = to && state_copy_region(to, &preset->regions[i], error) &&
               (words || keep_words(to, e->state.layout, i, error));
        if (to) to->color = preset->regions[i].color;
    }
    if (!done) {
        cpl_layout_free(next);
        return false;
    }
    return state_commit(&e->state, next, true, error);
}

bool editor_preset_load(editor *e, const char *name) {
    cpl_error error = {0};
    char *path = presets_path(name, &error);
    cpl_layout *preset = path ? cpl_layout_load(path, &error) : NULL;
    bool done = false, words = preset && has_words(preset);
    int rows = e->state.layout->region_count, lost = preset && !words ? rows - preset->region_count : 0;
    if (path && !preset && access(path, F_OK) != 0)
        editor_say(e, TONE_ERROR, "there is no preset \"%s\"; Tab after \":preset load \" shows what there is", name);
    else if (!preset || !cpl_layout_settle_files(preset, &error) || !take_regions(e, preset, &error))
        editor_say_error(e, &error);
    else {
        done = true;
        editor_edited(e);
        if (lost > 0 && !e->state.layout->prompt)
            editor_say(e, TONE_WARNING, "%d regions of preset \"%s\" for %d prompts: the last %d went; u undoes that",
                       preset->region_count, name, rows, lost);
        else
            editor_say(e, TONE_INFO, "%d regions of preset \"%s\"%s; u undoes that", preset->region_count, name,
                       words ? "" : ", for the prompts that were there");
    }
    cpl_layout_free(preset);
    free(path);
    return done;
}

static void save(editor *e, const char *name, bool force) {
    cpl_error error = {0};
    char *path = presets_path(name, &error);
    if (path && !force && access(path, F_OK) == 0)
        editor_say(e, TONE_ERROR, "preset \"%s\" is there already: \":preset! save %s\" replaces it", name, name);
    else if (!path || !convert_write(e->state.layout, path, NULL, &error))
        editor_say_error(e, &error);
    else
        editor_say(e, TONE_INFO, "the regions are preset \"%s\"", name);
    free(path);
}

bool editor_preset_delete(editor *e, const char *name) {
    cpl_error error = {0};
    char *path = presets_path(name, &error);
    bool done = path && unlink(path) == 0;
    if (!path)
        editor_say_error(e, &error);
    else if (!done)
        editor_say(e, TONE_ERROR, "preset \"%s\": %s", name, strerror(errno));
    else
        editor_say(e, TONE_INFO, "preset \"%s\" is deleted", name);
    free(path);
    return done;
}

/* A link before the old name goes: what is there under the new one is never replaced, also not by two at once. */
bool editor_preset_rename(editor *e, const char *from, const char *to) {
    cpl_error error = {0};
    char *old = presets_path(from, &error), *new = old ? presets_path(to, &error) : NULL;
    bool done = false;
    if (!new)
        editor_say_error(e, &error);
    else if (!strcmp(from, to))
        done = true;
    else if (link(old, new) == 0)
        done = unlink(old) == 0;
    else if (errno == EEXIST)
        editor_say(e, TONE_ERROR, "preset \"%s\" is there already: delete it first, or take another name", to);
    else if (errno != ENOENT && access(new, F_OK) != 0)
        done = rename(old, new) == 0; /* a file system without links */
    if (done)
        editor_say(e, TONE_INFO, "preset \"%s\" is now called \"%s\"", from, to);
    else if (new &&errno != EEXIST)
        editor_say(e, TONE_ERROR, "preset \"%s\": %s", from, strerror(errno));
    free(new);
    free(old);
    return done;
}

static bool is_preset(const char *name) {
    char *path = presets_path(name, NULL);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

/* Names may hold blanks: the first part that is a preset is the old one. */
static void rename_by_command(editor *e, const char *names) {
    for (const char *blank = strchr(names, ' '); blank; blank = strchr(blank + 1, ' ')) {
        char *from = strndup(names, (size_t)(blank - names));
        bool there = from && is_preset(from);
        if (there) editor_preset_rename(e, from, blank + strspn(blank, " "));
        free(from);
        if (there) return;
    }
    editor_say(e, TONE_ERROR, "\":preset rename NAME NEW\" gives a preset another name: Tab shows what there is");
}

static void import(editor *e, const char *file) {
    cpl_error error = {0};
    presets all;
    char *from = folders_expand(file);
    int taken = 0, lost = -1;
    if (!from || !presets_read(from, &all, &error)) {
        editor_say_error(e, &error);
        free(from);
        return;
    }
    for (int i = 0; i < all.count; i++) {
        cpl_error fault = {0};
        char *path = all.layout[i] ? presets_path(all.name[i], &fault) : NULL;
        /* What is there under the same name stays. */
        bool fresh = path && access(path, F_OK) != 0, saved = fresh && cpl_layout_save(all.layout[i], path, &fault);
        taken += saved;
        if (lost < 0 && (!path || (fresh && !saved))) {
            lost = i;
            error = all.layout[i] ? fault : all.why[i];
        }
        free(path);
    }
    if (lost < 0)
        editor_say(e, TONE_INFO, "%d of %d presets are new here: \":preset load NAME\" takes one up", taken, all.count);
    else
        editor_say(e, TONE_ERROR, "%d of %d presets are new here, but \"%.60s\" was not taken: %.200s", taken,
                   all.count, all.name[lost], error.message);
    presets_clear(&all);
    free(from);
}

static void export(editor *e, const char *argument) {
    /* FILE NAME: the mapping of this layout under that name. */
    const char *blank = strrchr(argument, ' ');
    cpl_error error = {0};
    char *file = blank ? strndup(argument, (size_t)(blank - argument)) : NULL;
    char *path = file ? folders_expand(file) : NULL;
    if (!blank)
        editor_say(e, TONE_ERROR, "\":preset export FILE NAME\" adds the mapping to Forge Couple's presets.json");
    else if (!path || !presets_write(path, blank + 1, e->state.layout, &error))
        editor_say_error(e, &error);
    else
        editor_say(e, TONE_INFO, "%s has the mapping \"%s\"", path, blank + 1);
    free(path);
    free(file);
}

static void load_by_command(editor *e, const char *name) { editor_preset_load(e, name); }

static void delete_by_command(editor *e, const char *name) { editor_preset_delete(e, name); }

void editor_preset(editor *e, const char *argument, bool force) {
    static void (*const run[])(editor *, const char *) = {NULL,   load_by_command, delete_by_command, rename_by_command,
                                                          import, export};
    static const char *const verbs[] = {"save", "load", "delete", "rename", "import", "export"};
    enum { VERBS = sizeof verbs / sizeof verbs[0] };
    size_t length = strcspn(argument, " ");
    const char *name = argument + length + strspn(argument + length, " ");
    int verb = 0;
    while (verb < VERBS && (strlen(verbs[verb]) != length || strncmp(argument, verbs[verb], length) != 0)) verb++;
    if (!*argument)
        editor_open_choices(e, LIST_PRESETS);
    else if (verb == VERBS || !*name)
        editor_say(
            e, TONE_ERROR,
            "it is \":preset save|load|delete NAME\", \"rename NAME NEW\", \"import FILE\" or \"export FILE NAME\"");
    else if (run[verb])
        run[verb](e, name);
    else
        save(e, name, force);
}

/* ---- The list ---- */

enum { MOST_LOOKED_INTO = 1 << 18 }; /* bytes: a larger one has painted masks, and is only named */

static void describe(const char *name, char *note, size_t size) {
    static const char *const modes[] = {"basic", "advanced", "mask"};
    char *path = presets_path(name, NULL);
    struct stat info;
    bool there = path && stat(path, &info) == 0, small = there && info.st_size <= MOST_LOOKED_INTO;
    cpl_layout *preset = small ? cpl_layout_load(path, NULL) : NULL;
    if (preset) {
        int used = snprintf(note, size, "%s, %d region%s", modes[preset->mode], preset->region_count,
                            preset->region_count == 1 ? "" : "s");
        for (int i = 0; i < preset->region_count && used < (int)size - 1; i++) {
            const char *prompt = preset->regions[i].prompt;
            if (prompt && *prompt) used += snprintf(note + used, size - (size_t)used, "%s%s", i ? " | " : ": ", prompt);
        }
    } else {
        snprintf(note, size, "%s", small ? "cannot be read" : there ? "with painted masks" : "");
    }
    cpl_layout_free(preset);
    free(path);
}

void editor_list_presets(choice_list *c) {
    completion names = {0};
    editor_offer_presets(&names, "");
    completion_finish(&names);
    for (int i = 0; i < names.count; i++) {
        char note[200] = "";
        describe(names.word[i], note, sizeof note);
        editor_choices_add(c, names.word[i], note, NULL);
    }
    completion_clear(&names);
}

/* Names for completion: the files without their ending. */
void editor_offer_presets(completion *c, const char *typed) {
    static const char *const endings[] = {".json", NULL};
    char *folder = presets_folder();
    completion files = {0};
    if (folder && !strchr(typed, '/')) completion_offer_files(&files, typed, folder, endings);
    for (int i = 0; i < files.count; i++) {
        files.word[i][strlen(files.word[i]) - 5] = '\0';
        completion_offer(c, typed, files.word[i]);
    }
    completion_clear(&files);
    free(folder);
}
