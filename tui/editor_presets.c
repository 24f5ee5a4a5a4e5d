/* editor_presets.c: `:preset`: named sets of regions are kept, taken up, thrown away, and exchanged with Forge Couple. */
#include "editor_ui.h"

#include "folders.h"
#include "presets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Regions, mode and what belongs to them; model, canvas and sampler stay those of the layout. */
static bool take_regions(editor *e, cpl_layout *preset, cpl_error *error) {
    cpl_layout *next = state_change(&e->state, error);
    if (!next || !cpl_text_set(&next->prompt, preset->prompt, error) ||
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
        done = to && state_copy_region(to, &preset->regions[i], error);
        if (to) to->color = preset->regions[i].color;
    }
    if (!done) {
        cpl_layout_free(next);
        return false;
    }
    return state_commit(&e->state, next, true, error);
}

static void load(editor *e, const char *name) {
    cpl_error error = {0};
    char *path = presets_path(name, &error);
    cpl_layout *preset = path ? cpl_layout_load(path, &error) : NULL;
    if (path && !preset && access(path, F_OK) != 0)
        editor_say(e, TONE_ERROR, "there is no preset \"%s\"; Tab after \":preset load \" shows what there is", name);
    else if (!preset || !take_regions(e, preset, &error))
        editor_say_error(e, &error);
    else {
        editor_edited(e);
        editor_say(e, TONE_INFO, "%d regions of preset \"%s\"; u undoes that", preset->region_count, name);
    }
    cpl_layout_free(preset);
    free(path);
}

static void save(editor *e, const char *name, bool force) {
    cpl_error error = {0};
    char *path = presets_path(name, &error);
    if (path && !force && access(path, F_OK) == 0)
        editor_say(e, TONE_ERROR, "preset \"%s\" is there already: \":preset! save %s\" replaces it", name, name);
    else if (!path || !cpl_layout_save(e->state.layout, path, &error))
        editor_say_error(e, &error);
    else
        editor_say(e, TONE_INFO, "the regions are preset \"%s\"", name);
    free(path);
}

static void delete (editor *e, const char *name) {
    cpl_error error = {0};
    char *path = presets_path(name, &error);
    if (!path)
        editor_say_error(e, &error);
    else if (unlink(path) != 0)
        editor_say(e, TONE_ERROR, "preset \"%s\": %s", name, strerror(errno));
    else
        editor_say(e, TONE_INFO, "preset \"%s\" is deleted", name);
    free(path);
}

static void import(editor *e, const char *file) {
    cpl_error error = {0};
    presets all;
    char *from = folders_expand(file);
    int taken = 0;
    if (!from || !presets_read(from, &all, &error)) {
        editor_say_error(e, &error);
        free(from);
        return;
    }
    for (int i = 0; i < all.count; i++) {
        char *path = presets_path(all.name[i], &error);
        /* What is there under the same name stays. */
        if (path && access(path, F_OK) != 0 && cpl_layout_save(all.layout[i], path, &error)) taken++;
        free(path);
    }
    editor_say(e, TONE_INFO, "%d of %d presets are new here: \":preset load NAME\" takes one up", taken, all.count);
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

void editor_preset(editor *e, const char *argument, bool force) {
    size_t length = strcspn(argument, " ");
    const char *name = argument + length + strspn(argument + length, " ");
    static const char *const verbs[] = {"save", "load", "delete", "import", "export"};
    int verb = 0;
    while (verb < 5 && (strlen(verbs[verb]) != length || strncmp(argument, verbs[verb], length) != 0)) verb++;
    if (verb == 5 || !*name)
        editor_say(e, TONE_ERROR, "it is \":preset save|load|delete NAME\", or \"import FILE\", \"export FILE NAME\"");
    else if (verb == 0)
        save(e, name, force);
    else if (verb == 1)
        load(e, name);
    else if (verb == 2)
        delete (e, name);
    else if (verb == 3)
        import(e, name);
    else
        export(e, name);
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
