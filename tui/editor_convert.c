/* editor_convert.c: `:convert IN OUT [PRESET]`: what `couplet convert` does, with the layout on the screen as one of the files. */
#include "editor_ui.h"

#include "convert.h"
#include "folders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next word of a line, without the quotes that hold blanks together; caller frees. NULL: there is none. */
static char *next_word(const char **line) {
    *line += strspn(*line, " ");
    bool quoted = **line == '"';
    const char *from = *line + quoted;
    size_t length = strcspn(from, quoted ? "\"" : " ");
    if (!*from) return NULL;
    *line = from + length + (quoted && from[length]);
    return strndup(from, length);
}

static char *expanded(char *word) {
    char *path = word ? folders_expand(word) : NULL;
    free(word);
    return path;
}

static void write_to(editor *e, const cpl_layout *layout, const char *out, const char *preset, bool force) {
    cpl_error error = {0};
    if (!force && !preset && !editor_may_replace(e, out)) return;
    if (!convert_write(layout, out, preset, &error))
        editor_say_error(e, &error);
    else if (preset)
        editor_say(e, TONE_INFO, "%.200s has the mapping \"%.80s\"", out, preset);
    else
        editor_say(e, TONE_INFO, "wrote %.200s: \":e\" opens it", out);
}

void editor_convert(editor *e, const char *argument, bool force) {
    cpl_error error = {0};
    char *in = expanded(next_word(&argument)), *out = expanded(next_word(&argument));
    const char *name = argument + strspn(argument, " "), *preset = *name ? name : NULL;
    bool from_presets = false, this_one = in && !strcmp(in, "%");
    cpl_layout *read = NULL;
    if (!in || !out)
        editor_say(e, TONE_ERROR,
                   "it is \":convert IN OUT [PRESET]\": layouts, pictures, Forge Couple's presets; %% is this layout");
    else if (!this_one && !(read = convert_read(in, preset, &from_presets, &error)))
        editor_say_error(e, &error);
    else
        write_to(e, this_one ? e->state.layout : read, out, from_presets ? NULL : preset, force);
    cpl_layout_free(read);
    free(out);
    free(in);
}
