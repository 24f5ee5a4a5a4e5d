/* command_convert.c: `couplet convert IN OUT`: layouts, the layouts inside pictures, and Forge Couple's presets.json. */
#include <stdio.h>

#include "command.h"
#include "convert.h"

int command_convert(const arguments *a) {
    const char *in = a->operand[0], *out = a->operand[1];
    cpl_error error = {0};
    bool from_presets = false;
    cpl_layout *layout = convert_read(in, a->preset, &from_presets, &error);
    if (!layout && from_presets) return say("%s", error.message);
    if (!layout) return say_problem(in, &error, false);
    bool done = convert_write(layout, out, from_presets ? NULL : a->preset, &error);
    cpl_layout_free(layout);
    if (!done) return say_problem(out, &error, false);
    if (!a->quiet) print_path(out);
    return 0;
}
