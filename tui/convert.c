/* convert.c: one file to another; what the forms are stands in presets.c and in the core. */
#include "convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folders.h"
#include "presets.h"

static void say_names(const char *file, const presets *all, const char *wanted, cpl_error *error) {
    char *text = error->message;
    size_t size = sizeof error->message;
    *error = (cpl_error){.code = CPL_E_INPUT, .row = -1};
    int used = wanted ? snprintf(text, size, "%.150s holds no preset \"%.60s\"; it has", file, wanted)
                      : snprintf(text, size, "%.150s holds %d presets, so one must be named:", file, all->count);
    for (int i = 0; i < all->count && used < (int)size - 1; i++)
        used += snprintf(text + used, size - (size_t)used, "%s %.60s", i ? "," : "", all->name[i]);
}

static cpl_layout *take_preset(const char *file, const char *name, cpl_error *error) {
    presets all;
    cpl_layout *layout = NULL;
    int found = -1;
    if (!presets_read(file, &all, error)) return NULL;
    for (int i = 0; i < all.count; i++)
        if (name ? !strcmp(all.name[i], name) : all.count == 1) found = i;
    if (found >= 0 && !all.layout[found])
        *error = all.why[found];
    else if (found >= 0)
        layout = cpl_layout_copy(all.layout[found], error);
    else
        say_names(file, &all, name, error);
    presets_clear(&all);
    return layout;
}

cpl_layout *convert_read(const char *in, const char *preset, bool *from_presets, cpl_error *error) {
    *from_presets = presets_are_in(in);
    return *from_presets ? take_preset(in, preset, error) : cpl_layout_load(in, error);
}

/* A layout is an object in braces. */
bool convert_is_foreign(const char *path) {
    FILE *file = fopen(path, "rbe");
    int c, first = EOF, last = EOF;
    while (file && (c = fgetc(file)) != EOF) {
        if (strchr(" \t\r\n", c)) continue;
        if (first == EOF) first = c;
        last = c;
    }
    if (file) fclose(file);
    return first != EOF && (first != '{' || last != '}');
}

bool convert_is_picture(const char *path) {
    static const char signature[] = "\x89PNG";
    char first[sizeof signature - 1] = "";
    FILE *file = fopen(path, "rbe");
    size_t size = file ? fread(first, 1, sizeof first, file) : 0;
    if (file) fclose(file);
    return size == sizeof first && memcmp(first, signature, size) == 0;
}

cpl_layout *convert_move(const cpl_layout *layout, const char *folder, cpl_error *error) {
    cpl_layout *copy = cpl_layout_copy(layout, error);
    if (copy && (folders_same(folder, layout->directory) || cpl_layout_settle_files(copy, error)) &&
        cpl_text_set(&copy->directory, folder, error))
        return copy;
    cpl_layout_free(copy);
    return NULL;
}

static bool name_as(char **name, const char *settled, const char *named, cpl_error *error) {
    return !*name || !settled || strcmp(*name, settled) != 0 || cpl_text_set(name, named, error);
}

bool convert_name_as(cpl_layout *layout, const cpl_layout *home, cpl_error *error) {
    cpl_layout *settled = cpl_layout_copy(home, error);
    const cpl_sampling *there = settled ? &settled->sampling : NULL;
    bool done = settled && cpl_layout_settle_files(settled, error) &&
                name_as(&layout->sampling.model, there->model, home->sampling.model, error) &&
                name_as(&layout->sampling.vae, there->vae, home->sampling.vae, error) &&
                name_as(&layout->init_image, settled->init_image, home->init_image, error);
    for (int i = 0; i < layout->lora_count; i++)
        for (int j = 0; done && j < home->lora_count; j++)
            done = name_as(&layout->loras[i].path, settled->loras[j].path, home->loras[j].path, error);
    /* Of two files with the same pixels that of the same row. */
    for (int i = 0, count = home->region_count; i < layout->region_count; i++)
        for (int k = 0, j = i; done && k < count; k++, j++)
            done = name_as(&layout->regions[i].mask_source, settled->regions[j % count].mask_source,
                           home->regions[j % count].mask_source, error);
    cpl_layout_free(settled);
    return done;
}

bool convert_write(const cpl_layout *layout, const char *out, const char *preset, cpl_error *error) {
    if (preset) return presets_write(out, preset, layout, error);
    char *folder = folders_of(out);
    cpl_layout *moved = convert_move(layout, folder, error);
    bool done = moved && cpl_layout_save(moved, out, error);
    cpl_layout_free(moved);
    free(folder);
    return done;
}
