/* editor_init.c: `:init`: the picture that a run begins with (image to image): a PNG, or one of the pictures made here, which
 * is written beside the layout, or into the state folder while the layout has no file. */
#include "editor_ui.h"

#include "folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* FNV-1a: the name tells pictures apart, so that an undo still finds the one before. */
static unsigned long long name_of_pixels(const cpl_image *image) {
    unsigned long long hash = 14695981039346656037ull;
    size_t size = (size_t)image->width * (size_t)image->height * 3;
    for (size_t i = 0; i < size; i++) hash = (hash ^ image->rgb[i]) * 1099511628211ull;
    return hash;
}

/* Where such a picture is kept; `*named`: as the layout calls it. False: there is no place. */
static bool place_for(const editor *e, const cpl_image *image, char **path, char **named) {
    char name[64];
    snprintf(name, sizeof name, "init-%016llx.png", name_of_pixels(image));
    *path = *named = NULL;
    if (!e->path) {
        *path = folders_state(name);
        *named = *path ? strdup(*path) : NULL;
        return *named != NULL;
    }
    size_t length = strlen(e->path);
    if (length > 5 && !strcmp(e->path + length - 5, ".json")) length -= 5;
    if (asprintf(path, "%.*s.%s", (int)length, e->path, name) < 0) *path = NULL;
    const char *slash = *path ? strrchr(*path, '/') : NULL;
    *named = *path ? strdup(slash ? slash + 1 : *path) : NULL;
    return *named != NULL;
}

/* Refused at once where it cannot be read, before a run finds out. */
static void begin_with(editor *e, const char *named) {
    cpl_error error = {0};
    cpl_layout *trial = cpl_layout_copy(e->state.layout, &error);
    bool good = trial && cpl_text_set(&trial->init_image, named, &error) && cpl_layout_check_start(trial, &error);
    cpl_layout_free(trial);
    if (!good || !state_set_setting(&e->state, SETTING_INIT, named, &error)) {
        editor_say_error(e, &error);
        return;
    }
    editor_edited(e);
    editor_say(e, TONE_INFO, "runs begin with %.200s (denoise %g)", named, e->state.settings.denoise);
}

static void begin_with_result(editor *e, const cpl_event *made) {
    cpl_error error = {0};
    char *path = NULL, *named = NULL;
    if (!made) {
        editor_say(e, TONE_ERROR, "there is no picture yet: g makes one, \":init FILE\" takes a PNG");
        return;
    }
    if (!place_for(e, made->image, &path, &named))
        editor_say(e, TONE_ERROR, "there is no folder for the picture: \":w FILE\" gives the layout one");
    else if (!cpl_image_write_png(made->image, path, made->texts, made->text_count, &error))
        editor_say_error(e, &error);
    else
        begin_with(e, named);
    free(named);
    free(path);
}

void editor_init_command(editor *e, const char *argument) {
    cpl_error error = {0};
    const char *now = e->state.layout->init_image;
    if (!*argument) {
        editor_say(e, TONE_INFO, "a run begins with %s",
                   now && *now ? now : "noise alone; \":init FILE\" or \":init picture\"");
    } else if (!strcmp(argument, "none")) {
        if (!state_set_setting(&e->state, SETTING_INIT, "", &error)) {
            editor_say_error(e, &error);
            return;
        }
        editor_edited(e);
        editor_say(e, TONE_INFO, "a run begins with noise alone");
    } else if (!strcmp(argument, "picture")) {
        begin_with_result(e, editor_result(e));
    } else if (!strcmp(argument, "last")) {
        begin_with_result(e, e->results.count ? &e->results.list[e->results.count - 1] : NULL);
    } else {
        char *named = editor_as_layout_finds(e, argument);
        if (named) begin_with(e, named);
        free(named);
    }
}
