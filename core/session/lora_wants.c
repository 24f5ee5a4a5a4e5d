/* lora_wants.c: names are looked up, paths taken from the layout's folder. Reads headers, and those only when a file is new. */
#include "lora_wants.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../memory/alloc.h"
#include "../memory/file.h"

/* A name and a path, or a link, spell one file in several ways. */
static bool are_one_file(const cpl_lora_want *a, const cpl_lora_want *b) {
    struct stat one, other;
    if (strcmp(a->path, b->path) == 0) return true;
    return a->identity == b->identity && stat(a->path, &one) == 0 && stat(b->path, &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* The same file with the same weights counts once, as in Forge; with others the weights add up. */
static bool is_listed(const cpl_lora_want *wants, int count, const cpl_lora_want *want) {
    for (int i = 0; i < count; i++)
        if (wants[i].unet == want->unet && wants[i].text == want->text && are_one_file(&wants[i], want)) return true;
    return false;
}

static bool find_one(cpl_lora_want *want, const cpl_lora_use *use, cpl_asset_index *index, const char *directory,
                     const char *model_path, cpl_error *error) {
    *want = (cpl_lora_want){.unet = use->unet, .text = use->text, .row = use->row};
    memcpy(want->place, use->place, sizeof want->place);
    const char *found = use->name ? cpl_asset_index_find(index, use->name, model_path, error) : NULL;
    if (use->name)
        want->path = found ? cpl_strdup(found, error) : NULL;
    else
        want->path = cpl_path_join(directory, use->path, error);
    if (want->path && cpl_asset_index_identity(index, want->path, &want->identity, error)) return true;
    free(want->path);
    return false;
}

bool cpl_lora_wants_find(cpl_lora_want **wants, int *count, const cpl_lora_uses *uses, cpl_asset_index *index,
                         const char *directory, const char *model_path, cpl_error *fault) {
    *count = 0;
    *wants = cpl_alloc((size_t)uses->count, sizeof **wants, fault);
    for (int i = 0; *wants && i < uses->count; i++) {
        const cpl_lora_use *use = &uses->list[i];
        cpl_lora_want want;
        cpl_error inner = {0};
        if (!find_one(&want, use, index, directory, model_path, &inner)) {
            cpl_fail_at(fault, use->row, use->place, "%s: %s", use->place, inner.message);
            if (inner.code == CPL_E_MEMORY) fault->code = inner.code;
            cpl_lora_wants_free(*wants, *count);
            *wants = NULL;
            *count = 0;
        } else if ((want.unet == 0 && want.text == 0) || is_listed(*wants, *count, &want)) {
            free(want.path);
        } else {
            (*wants)[(*count)++] = want;
        }
    }
    return *wants;
}

/* What the header of a file says against it. */
static bool fits(const cpl_lora_want *want, const cpl_model_info *model, cpl_error *error) {
    cpl_lora_info info;
    cpl_error inner = {0};
    bool done = cpl_lora_peek(want->path, NULL, &info, &inner) && cpl_lora_fits(&info, model, &inner);
    if (!done) cpl_fail_at(error, want->row, want->place, "%s: %s", want->place, inner.message);
    return done;
}

bool cpl_layout_check_loras(const cpl_layout *layout, const char *lora_dir, const cpl_model_info *model,
                            cpl_error *error) {
    cpl_lora_uses uses;
    cpl_lora_want *wants = NULL;
    int count = 0;
    cpl_error local = {0};
    if (!error) error = &local;
    if (!cpl_layout_loras(layout, &uses, error)) return false;
    cpl_asset_index *index = uses.count > 0 ? cpl_asset_index_new(&cpl_lora_assets, lora_dir, error) : NULL;
    bool done = uses.count == 0 ||
                (index && cpl_lora_wants_find(&wants, &count, &uses, index, layout->directory, model->path, error));
    for (int i = 0; done && i < count; i++) done = fits(&wants[i], model, error);
    cpl_lora_wants_free(wants, count);
    cpl_asset_index_free(index);
    cpl_lora_uses_clear(&uses);
    return done;
}
