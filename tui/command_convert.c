/* command_convert.c: `couplet convert IN OUT`: layouts, the layouts inside pictures, and Forge Couple's presets.json. */
#include <stdio.h>
#include <sys/stat.h>

#include "command.h"
#include "convert.h"
#include "presets.h"

/* Replacing a layout by a layout is what was asked for; what holds more than that is not to be lost by a slip of the name. */
static bool may_replace(const char *out, bool as_preset) {
    struct stat found;
    if (stat(out, &found) != 0 || !S_ISREG(found.st_mode)) return true;
    if (convert_is_picture(out))
        return say("%s is a picture; name another file for the layout, such as NAME.json", out), false;
    if (convert_is_foreign(out))
        return say("%s holds something else than a layout; name another file, such as NAME.json", out), false;
    return as_preset || !presets_are_in(out) ||
           (say("%s holds no layout; --preset NAME adds to a file of presets, or name another file", out), false);
}

int command_convert(const arguments *a) {
    const char *in = a->operand[0], *out = a->operand[1];
    cpl_error error = {0};
    bool from_presets = false;
    cpl_layout *layout = convert_read(in, a->preset, &from_presets, &error);
    if (!layout && from_presets) return say("%s", error.message);
    if (!layout) return say_problem(in, &error, false);
    if (*error.message && !a->quiet) say_problem(in, &error, true);
    const char *as_preset = from_presets ? NULL : a->preset;
    if (!may_replace(out, as_preset)) {
        cpl_layout_free(layout);
        return 1;
    }
    bool done = convert_write(layout, out, as_preset, &error);
    cpl_layout_free(layout);
    if (!done) return say_problem(out, &error, false);
    if (!a->quiet) print_path(out);
    return 0;
}
