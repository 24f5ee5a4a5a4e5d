/* checkpoint.c: one list of names over several files. Which files belong to a model, and which rule renames them, is
 * decided by who opens it (model_file.c). */
#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/hash.h"

#define NAME_SIZE 256

struct cpl_checkpoint {
    char *path;             /* owned */
    cpl_safetensors **file; /* owned, as are they */
    int files, file_room;
    cpl_ck_tensor *tensor; /* owned; sorted once sealed */
    int count, room;
    char **renamed; /* owned: names that no file holds */
    int renames, rename_room;
};

cpl_checkpoint *cpl_checkpoint_new(const char *path, cpl_error *error) {
    cpl_checkpoint *c = cpl_alloc(1, sizeof *c, error);
    if (!c) return NULL;
    c->path = cpl_strdup(path, error);
    if (c->path) return c;
    free(c);
    return NULL;
}

void cpl_checkpoint_close(cpl_checkpoint *c) {
    if (!c) return;
    for (int i = 0; i < c->files; i++) cpl_safetensors_close(c->file[i]);
    for (int i = 0; i < c->renames; i++) free(c->renamed[i]);
    free(c->file);
    free(c->renamed);
    free(c->tensor);
    free(c->path);
    free(c);
}

cpl_checkpoint *cpl_checkpoint_of(cpl_safetensors *file, cpl_error *error) {
    if (!file) return NULL;
    cpl_checkpoint *c = cpl_checkpoint_new(cpl_safetensors_path(file), error);
    if (!c) {
        cpl_safetensors_close(file);
        return NULL;
    }
    if (cpl_checkpoint_add(c, file, NULL, NULL, error) && cpl_checkpoint_seal(c, error)) return c;
    cpl_checkpoint_close(c);
    return NULL;
}

/* Keeps a copy of a name; NULL: out of memory. */
static const char *keep(cpl_checkpoint *c, const char *name, cpl_error *error) {
    if (!cpl_grow((void **)&c->renamed, &c->rename_room, c->renames + 1, sizeof *c->renamed, error)) return NULL;
    char *copy = cpl_strdup(name, error);
    if (copy) c->renamed[c->renames++] = copy;
    return copy;
}

bool cpl_checkpoint_add(cpl_checkpoint *c, cpl_safetensors *file, cpl_rename *rename, const void *user,
                        cpl_error *error) {
    if (!file) return false;
    if (!cpl_grow((void **)&c->file, &c->file_room, c->files + 1, sizeof(cpl_safetensors *), error)) {
        cpl_safetensors_close(file);
        return false;
    }
    c->file[c->files++] = file;
    for (int i = 0; i < cpl_safetensors_count(file); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(file, i);
        char name[NAME_SIZE];
        const char *known = e->name;
        if (rename && !rename(user, e->name, name, sizeof name)) continue;
        if (rename && strcmp(name, e->name) != 0) known = keep(c, name, error);
        if (!known || !cpl_grow((void **)&c->tensor, &c->room, c->count + 1, sizeof *c->tensor, error)) return false;
        c->tensor[c->count++] = (cpl_ck_tensor){known, file, e};
    }
    return true;
}

void cpl_checkpoint_drop(cpl_checkpoint *c, const char *prefix) {
    size_t length = strlen(prefix);
    int kept = 0;
    for (int i = 0; i < c->count; i++)
        if (strncmp(c->tensor[i].name, prefix, length) != 0) c->tensor[kept++] = c->tensor[i];
    c->count = kept;
}

static int name_order(const void *a, const void *b) {
    return strcmp(((const cpl_ck_tensor *)a)->name, ((const cpl_ck_tensor *)b)->name);
}

bool cpl_checkpoint_seal(cpl_checkpoint *c, cpl_error *error) {
    if (c->count) qsort(c->tensor, (size_t)c->count, sizeof *c->tensor, name_order);
    for (int i = 1; i < c->count; i++) {
        const cpl_ck_tensor *a = &c->tensor[i - 1], *b = &c->tensor[i];
        if (!strcmp(a->name, b->name))
            return cpl_fail(error, CPL_E_FILE, "%s: tensor %s is there twice, also as %s in %s; remove one of them",
                            cpl_safetensors_path(a->file), a->entry->name, b->entry->name,
                            cpl_safetensors_path(b->file));
    }
    return true;
}

const char *cpl_checkpoint_path(const cpl_checkpoint *c) { return c->path; }

int cpl_checkpoint_count(const cpl_checkpoint *c) { return c->count; }

const cpl_ck_tensor *cpl_checkpoint_at(const cpl_checkpoint *c, int index) {
    return index >= 0 && index < c->count ? &c->tensor[index] : NULL;
}

const cpl_ck_tensor *cpl_checkpoint_find(const cpl_checkpoint *c, const char *name) {
    const cpl_ck_tensor key = {.name = name};
    return c->count ? bsearch(&key, c->tensor, (size_t)c->count, sizeof *c->tensor, name_order) : NULL;
}

const char *cpl_checkpoint_metadata(const cpl_checkpoint *c, const char *key) {
    const char *value = NULL;
    for (int i = 0; !value && i < c->files; i++) value = cpl_safetensors_metadata(c->file[i], key);
    return value;
}

uint64_t cpl_checkpoint_identity(const cpl_checkpoint *c) {
    /* One file is just itself, so that its identity is known without its names. */
    if (c->files == 1) return cpl_safetensors_identity(c->file[0]);
    uint64_t hash = CPL_HASH_START;
    for (int i = 0; i < c->files; i++) hash = cpl_hash_u64(hash, cpl_safetensors_identity(c->file[i]));
    return hash;
}
