/* editor_mask_files.c: `:mask`: masks from and to PNG files: taken up as Forge Couple does, or with their greys, written, and
 * kept in a file beside the layout or inside of it. */
#include "editor_ui.h"

#include "folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void import_as(editor *e, const char *file, bool greys) {
    cpl_error error = {0};
    const cpl_settings *canvas = &e->state.settings;
    char *path = folders_expand(file);
    cpl_mask *mask = NULL;
    if (!editor_mask_can_paint(e, &error) || !path) {
        editor_say_error(e, &error);
    } else if (mask = greys ? cpl_mask_read_png(path, &error)
                            : cpl_mask_import_png(path, canvas->width, canvas->height, &error),
               !mask || !editor_mask_put(e, mask, NULL, &error)) {
        editor_say_error(e, &error);
    } else {
        editor_edited(e);
        editor_say(e, TONE_INFO, "%s is the mask of region %d now: %s", path, e->state.selected + 1,
                   greys ? "greys are weights" : "what is white in it");
    }
    free(path);
}

static void import(editor *e, const char *file) { import_as(e, file, false); }

static void import_grey(editor *e, const char *file) { import_as(e, file, true); }

static const cpl_mask *selected_mask(editor *e) {
    cpl_error error = {0};
    const cpl_mask *mask = editor_mask_can_paint(e, &error) ? e->state.layout->regions[e->state.selected].mask : NULL;
    if (!mask && !error.code) state_refuse(&error, "this region has no mask yet");
    if (!mask) editor_say_error(e, &error);
    return mask;
}

static bool write_mask(editor *e, const cpl_mask *mask, const char *path) {
    cpl_error error = {0};
    cpl_image *image = cpl_image_new(cpl_mask_width(mask), cpl_mask_height(mask), &error);
    size_t count = image ? (size_t)image->width * (size_t)image->height : 0;
    for (size_t i = 0; i < count; i++) memset(image->rgb + 3 * i, cpl_mask_pixels(mask)[i], 3);
    bool done = image && cpl_image_write_png(image, path, NULL, 0, &error);
    if (!done) editor_say_error(e, &error);
    cpl_image_free(image);
    return done;
}

static void export(editor *e, const char *file) {
    const cpl_mask *mask = selected_mask(e);
    char *path = mask ? folders_expand(file) : NULL;
    if (path && editor_may_replace(e, path) && write_mask(e, mask, path))
        editor_say(e, TONE_INFO, "wrote the mask to %s, %dx%d pixels", path, cpl_mask_width(mask),
                   cpl_mask_height(mask));
    free(path);
}

/* A name alone is one beside the layout; without any it is made of the layout's and the row's. */
static char *beside_layout(editor *e, const char *file) {
    const char *directory = e->state.layout->directory;
    char *path = NULL;
    if (strchr(file, '/')) return folders_expand(file);
    if (*file)
        return asprintf(&path, "%s%s%s", directory ? directory : "", directory ? "/" : "", file) < 0 ? NULL : path;
    if (!e->path) {
        editor_say(e, TONE_ERROR, "this layout has no file to put the mask beside: \":w FILE\" gives it one");
        return NULL;
    }
    size_t length = strlen(e->path);
    if (length > 5 && !strcmp(e->path + length - 5, ".json")) length -= 5;
    return asprintf(&path, "%.*s.mask-%d.png", (int)length, e->path, e->state.selected + 1) < 0 ? NULL : path;
}

static void save(editor *e, const char *file) {
    cpl_error error = {0};
    const cpl_mask *mask = selected_mask(e);
    char *path = mask ? beside_layout(e, file) : NULL, *named = NULL;
    if (path && editor_may_replace(e, path) && write_mask(e, mask, path) && (named = editor_as_layout_finds(e, path))) {
        if (editor_mask_put(e, cpl_mask_ref(e->state.layout->regions[e->state.selected].mask), named, &error)) {
            editor_edited(e);
            editor_say(e, TONE_INFO, "the mask is in %s until it is painted again", named);
        } else {
            editor_say_error(e, &error);
        }
    }
    free(named);
    free(path);
}

static void embed(editor *e, const char *nothing) {
    (void)nothing;
    cpl_error error = {0};
    if (!selected_mask(e)) return;
    if (!editor_mask_put(e, cpl_mask_ref(e->state.layout->regions[e->state.selected].mask), NULL, &error)) {
        editor_say_error(e, &error);
        return;
    }
    editor_edited(e);
    editor_say(e, TONE_INFO, "the mask is inside the layout now");
}

static void invert(editor *e, const char *nothing) {
    (void)nothing;
    editor_mask_key(e, ACTION_MASK_INVERT, 0, 0, 1);
}

static void clear(editor *e, const char *nothing) {
    (void)nothing;
    editor_mask_key(e, ACTION_MASK_CLEAR, 0, 0, 1);
}

void editor_mask_command(editor *e, const char *argument) {
    static const struct {
        const char *name;
        bool takes_file, needs_file;
        void (*run)(editor *, const char *);
    } verbs[] = {{"import", true, true, import}, {"import-grey", true, true, import_grey},
                 {"export", true, true, export}, {"save", true, false, save},
                 {"embed", false, false, embed}, {"invert", false, false, invert},
                 {"clear", false, false, clear}};
    size_t length = strcspn(argument, " ");
    const char *file = argument + length + strspn(argument + length, " ");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strlen(verbs[i].name) != length || strncmp(verbs[i].name, argument, length) != 0) continue;
        if ((verbs[i].needs_file && !*file) || (!verbs[i].takes_file && *file)) break;
        verbs[i].run(e, file);
        return;
    }
    editor_say(e, TONE_ERROR,
               "it is \":mask import|import-grey|export FILE\", \":mask save [FILE]\", \":mask embed\", \"invert\" or "
               "\"clear\"");
}
