/* files.c: the files that a layout names, made independent of the folder that it lies in. Reads none of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/file.h"

static bool is_relative(const char *name) { return name && *name && *name != '/'; }

/* `*whole` is NULL for a folder that is not there: then no file is there either, and names may stay as they are. */
static bool whole_folder(const char *folder, char **whole, cpl_error *error) {
    *whole = realpath(folder && *folder ? folder : ".", NULL);
    return *whole || errno != ENOMEM || cpl_fail(error, CPL_E_MEMORY, "out of memory while naming a layout's files");
}

static bool settle_path(char **name, const char *folder, cpl_error *error) {
    if (!folder || !is_relative(*name)) return true;
    char *path = cpl_path_join(folder, *name, error);
    if (!path) return false;
    free(*name);
    *name = path;
    return true;
}

/* As a model is found: beside the layout, else as seen from the working folder. */
static bool settle_model(char **name, const char *folder, const char *working, cpl_error *error) {
    const char *const folders[] = {folder, working};
    for (int i = 0; i < 2 && is_relative(*name) && strcmp(*name, "builtin") != 0; i++) {
        if (!folders[i]) continue;
        char *path = cpl_path_join(folders[i], *name, error);
        if (!path) return false;
        bool there = access(path, F_OK) == 0;
        free(path);
        if (there) return settle_path(name, folders[i], error);
    }
    return true;
}

/* Its pixels go with the layout: what another program, or a copy, needs is then one file. */
static bool settle_mask(cpl_region *region, const char *folder, cpl_error *error) {
    if (!is_relative(region->mask_source) || strncmp(region->mask_source, "data:", 5) == 0) return true;
    if (!region->mask) return settle_path(&region->mask_source, folder, error);
    char *data = cpl_mask_data(region->mask, error);
    if (!data) return false;
    free(region->mask_source);
    region->mask_source = data;
    return true;
}

bool cpl_layout_settle_files(cpl_layout *layout, cpl_error *error) {
    char *folder = NULL, *working = NULL;
    cpl_sampling *sampling = &layout->sampling;
    bool done = whole_folder(layout->directory, &folder, error) && whole_folder(NULL, &working, error) &&
                settle_model(&sampling->model, folder, working, error) &&
                settle_model(&sampling->vae, folder, working, error) && settle_path(&layout->init_image, folder, error);
    for (int i = 0; done && i < layout->region_count; i++) done = settle_mask(&layout->regions[i], folder, error);
    for (int i = 0; done && i < layout->lora_count; i++) done = settle_path(&layout->loras[i].path, folder, error);
    free(working);
    free(folder);
    return done;
}
