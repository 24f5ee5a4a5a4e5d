/* editor_backdrop.c: an image that lies dimmed under the regions, to lay them out by: a PNG, or the picture that is shown. */
#include "editor_ui.h"

#include "folders.h"

#include <stdlib.h>
#include <string.h>

void editor_backdrop_clear(editor *e) {
    cpl_image_free(e->backdrop.image);
    cpl_image_free(e->backdrop.scaled);
    free(e->backdrop.path);
    e->backdrop = (backdrop){0};
}

static bool enough_colors(editor *e) {
    if (e->theme.colors < 256)
        editor_say(e, TONE_INFO, "an image under the regions needs a terminal with 256 colours or more");
    return e->theme.colors >= 256;
}

static bool take_picture(editor *e) {
    const cpl_event *shown = editor_result(e);
    cpl_image *copy = shown ? cpl_image_copy(shown->image, NULL) : NULL;
    if (!copy) return false;
    editor_backdrop_clear(e);
    e->backdrop.image = copy;
    e->changed = true;
    return true;
}

void editor_backdrop_picture(editor *e) {
    if (e->backdrop.image && !e->backdrop.path) take_picture(e);
}

void editor_backdrop_toggle(editor *e) {
    if (e->backdrop.image)
        editor_backdrop_clear(e);
    else if (enough_colors(e) && !take_picture(e))
        editor_say(e, TONE_ERROR, "there is no picture yet: g makes one, \":image FILE\" takes a PNG");
    e->changed = true;
}

static void read_file(editor *e, const char *file) {
    cpl_error error = {0};
    char *path = folders_expand(file);
    cpl_image *image = path ? cpl_image_read_png(path, &error) : NULL;
    if (!image) {
        editor_say_error(e, &error);
        free(path);
        return;
    }
    editor_backdrop_clear(e);
    e->backdrop.image = image;
    e->backdrop.path = path;
    editor_say(e, TONE_INFO, "%s, %dx%d pixels, lies under the regions", path, image->width, image->height);
}

void editor_backdrop_command(editor *e, const char *argument) {
    if (!*argument)
        editor_say(e, TONE_INFO, "under the regions: %s",
                   !e->backdrop.image ? "nothing; \":image FILE\" or \":image picture\""
                   : e->backdrop.path ? e->backdrop.path
                                      : "the picture that is shown");
    else if (!strcmp(argument, "off"))
        editor_backdrop_clear(e);
    else if (!enough_colors(e))
        return;
    else if (strcmp(argument, "picture") != 0)
        read_file(e, argument);
    else if (!take_picture(e))
        editor_say(e, TONE_ERROR, "there is no picture yet: g makes one");
}

#define DIMMED 11 / 20 /* of its brightness, or of what it lacks to white, so that lines and text stand out */

bool editor_backdrop_at(editor *e, int column, int half, unsigned char rgb[3]) {
    backdrop *b = &e->backdrop;
    int width = e->zoom.columns, height = 2 * e->zoom.rows;
    if (!b->image || width < 1 || height < 1) return false;
    if (!b->scaled || b->scaled->width != width || b->scaled->height != height) {
        cpl_image_free(b->scaled);
        b->scaled = picture_scale(b->image, width, height);
        if (!b->scaled) return false;
    }
    const unsigned char *from =
        b->scaled->rgb + ((size_t)(half + 2 * e->zoom.top) * (size_t)width + (size_t)(column + e->zoom.left)) * 3;
    /* The cube of 256 colours has nothing between 0 and 95, so that dark hues would flicker from cell to cell: its greys do. */
    int grey = (from[0] * 30 + from[1] * 59 + from[2] * 11) / 100;
    for (int c = 0; c < 3; c++) {
        int value = e->theme.colors == 256 ? grey : from[c];
        rgb[c] = (unsigned char)(e->theme.light ? 255 - (255 - value) * DIMMED : value * DIMMED);
    }
    return true;
}
