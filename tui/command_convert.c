/* command_convert.c: `couplet convert IN OUT`: layouts, the layouts inside pictures, and Forge Couple's presets.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "presets.h"

static int say_names(const char *file, const presets *all) {
    fprintf(stderr, "couplet: %s holds %d presets; --preset NAME takes one:\n", file, all->count);
    for (int i = 0; i < all->count; i++) {
        char name[256];
        snprintf(name, sizeof name, "  %.200s", all->name[i]);
        say("%s", name);
    }
    return 1;
}

/* The layout of one preset; the others are told of. */
static cpl_layout *take_preset(const char *file, const char *name) {
    cpl_error error = {0};
    presets all;
    cpl_layout *layout = NULL;
    if (!presets_read(file, &all, &error)) {
        say_problem(file, &error, false);
        return NULL;
    }
    for (int i = 0; i < all.count; i++)
        if (name ? !strcmp(all.name[i], name) : all.count == 1) layout = cpl_layout_copy(all.layout[i], &error);
    if (!layout && name)
        say("%s holds no preset \"%s\"", file, name);
    else if (!layout)
        say_names(file, &all);
    presets_clear(&all);
    return layout;
}

int command_convert(const arguments *a) {
    const char *in = a->operand[0], *out = a->operand[1];
    cpl_error error = {0};
    bool from_presets = presets_are_in(in);
    cpl_layout *layout = from_presets ? take_preset(in, a->preset) : cpl_layout_load(in, &error);
    if (!layout) return from_presets ? 1 : say_problem(in, &error, false);
    bool to_presets = !from_presets && a->preset;
    bool done = to_presets ? presets_write(out, a->preset, layout, &error) : cpl_layout_save(layout, out, &error);
    cpl_layout_free(layout);
    if (!done) return say_problem(out, &error, false);
    if (!a->quiet) print_safe(out), putchar('\n');
    return 0;
}
