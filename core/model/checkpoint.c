/* checkpoint.c: several files under one set of names. Which files belong to a model, and how they name things, is found
 * out by who opens it (model_file.c, model_folder.c). */
#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/hash.h"

#define NAME_SIZE 256

typedef struct ck_part {
    const char *prefix;
    cpl_naming naming;
    int files_of; /* itself, or the part whose files it looks into */
    bool lent;    /* from another model: its metadata says nothing of this one */
} ck_part;

typedef struct member {
    cpl_safetensors *file; /* owned */
    int part, first;       /* its first tensor in the checkpoint's list */
} member;

/* One block for whatever is read: fresh memory for each tensor costs more than reading it. */
typedef struct scratch {
    void *data; /* owned */
    size_t room;
} scratch;

typedef struct note {
    char *key, *text; /* owned */
} note;

struct cpl_checkpoint {
    char *path;     /* owned */
    ck_part *parts; /* owned, as all arrays here */
    member *members;
    cpl_ck_tensor *tensors; /* of one file after the other, each in file order */
    note *notes;
    scratch *scratch;
    int part_count, part_room, member_count, member_room, tensor_count, tensor_room, note_count, note_room;
};

cpl_checkpoint *cpl_checkpoint_new(const char *path, cpl_error *error) {
    cpl_checkpoint *c = cpl_alloc(1, sizeof *c, error);
    if (!c) return NULL;
    c->path = cpl_strdup(path, error);
    c->scratch = c->path ? cpl_alloc(1, sizeof *c->scratch, error) : NULL;
    if (c->scratch) return c;
    free(c->path);
    free(c);
    return NULL;
}

void cpl_checkpoint_close(cpl_checkpoint *c) {
    if (!c) return;
    for (int i = 0; i < c->member_count; i++) cpl_safetensors_close(c->members[i].file);
    for (int i = 0; i < c->note_count; i++) {
        free(c->notes[i].key);
        free(c->notes[i].text);
    }
    free(c->scratch->data);
    free(c->scratch);
    free(c->notes);
    free(c->tensors);
    free(c->members);
    free(c->parts);
    free(c->path);
    free(c);
}

cpl_checkpoint *cpl_checkpoint_of(cpl_safetensors *file, cpl_error *error) {
    if (!file) return NULL;
    cpl_checkpoint *c = cpl_checkpoint_new(cpl_safetensors_path(file), error);
    int all = c ? cpl_checkpoint_add_part(c, "", false, error) : -1;
    if (all < 0)
        cpl_safetensors_close(file);
    else if (cpl_checkpoint_add_file(c, all, file, error))
        return c;
    cpl_checkpoint_close(c);
    return NULL;
}

int cpl_checkpoint_add_part(cpl_checkpoint *c, const char *prefix, bool lent, cpl_error *error) {
    if (!cpl_grow((void **)&c->parts, &c->part_room, c->part_count + 1, sizeof *c->parts, error)) return -1;
    c->parts[c->part_count] = (ck_part){.prefix = prefix, .files_of = c->part_count, .lent = lent};
    return c->part_count++;
}

bool cpl_checkpoint_add_file(cpl_checkpoint *c, int part, cpl_safetensors *file, cpl_error *error) {
    if (!file) return false;
    int count = cpl_safetensors_count(file);
    if (!cpl_grow((void **)&c->members, &c->member_room, c->member_count + 1, sizeof *c->members, error) ||
        !cpl_grow((void **)&c->tensors, &c->tensor_room, c->tensor_count + count, sizeof *c->tensors, error)) {
        cpl_safetensors_close(file);
        return false;
    }
    c->members[c->member_count++] = (member){file, part, c->tensor_count};
    for (int i = 0; i < count; i++) {
        const cpl_st_entry *e = cpl_safetensors_at(file, i);
        c->tensors[c->tensor_count++] = (cpl_ck_tensor){e->name, c->parts[part].prefix, file, e};
    }
    return true;
}

void cpl_checkpoint_set_naming(cpl_checkpoint *c, int part, cpl_naming naming) { c->parts[part].naming = naming; }

bool cpl_checkpoint_keep(cpl_checkpoint *c, const char *key, const char *text, cpl_error *error) {
    if (!cpl_grow((void **)&c->notes, &c->note_room, c->note_count + 1, sizeof *c->notes, error)) return false;
    note *n = &c->notes[c->note_count];
    *n = (note){cpl_strdup(key, error), cpl_strdup(text, error)};
    c->note_count++;
    return n->key && n->text;
}

void cpl_checkpoint_share(cpl_checkpoint *c, int part, int files_of) { c->parts[part].files_of = files_of; }

static const cpl_ck_tensor *in_files(const cpl_checkpoint *c, int part, const char *name) {
    for (int i = 0; i < c->member_count; i++) {
        const member *m = &c->members[i];
        const cpl_st_entry *e = m->part == c->parts[part].files_of ? cpl_safetensors_find(m->file, name) : NULL;
        if (e) return &c->tensors[m->first + (e - cpl_safetensors_at(m->file, 0))];
    }
    return NULL;
}

const cpl_st_entry *cpl_checkpoint_in_files(const cpl_checkpoint *c, int part, const char *name) {
    const cpl_ck_tensor *found = in_files(c, part, name);
    return found ? found->entry : NULL;
}

/* The part that answers to a name, -1: none. */
static int part_of(const cpl_checkpoint *c, const char *name) {
    size_t longest = 0;
    int best = -1;
    for (int i = 0; i < c->part_count; i++) {
        size_t length = strlen(c->parts[i].prefix);
        if (strncmp(name, c->parts[i].prefix, length) != 0 || (best >= 0 && length <= longest)) continue;
        best = i, longest = length;
    }
    return best;
}

bool cpl_checkpoint_is_lent(const cpl_checkpoint *c, const char *name) {
    int part = part_of(c, name);
    return part >= 0 && c->parts[part].lent;
}

bool cpl_checkpoint_has_ldm_names(const cpl_checkpoint *c, const char *name) {
    int part = part_of(c, name);
    return part >= 0 && c->parts[part].naming.kind == CPL_NAMED_LDM;
}

const cpl_ck_tensor *cpl_checkpoint_find(const cpl_checkpoint *c, const char *name) {
    char there[NAME_SIZE];
    int part = part_of(c, name);
    if (part < 0) return NULL;
    /* A tensor that this part lacks is not taken from another one: half of two models is none. */
    const cpl_naming *naming = &c->parts[part].naming;
    size_t prefix = strlen(c->parts[part].prefix);
    return cpl_naming_apply(naming, name, prefix, there, sizeof there) ? in_files(c, part, there) : NULL;
}

const void *cpl_checkpoint_bytes(const cpl_checkpoint *c, const cpl_ck_tensor *tensor, uint64_t from, size_t bytes,
                                 cpl_error *error) {
    scratch *s = c->scratch;
    if (bytes > s->room) {
        free(s->data);
        s->room = 0;
        s->data = cpl_alloc(bytes, 1, error);
        if (!s->data) return NULL;
        s->room = bytes;
    }
    return cpl_safetensors_raw(tensor->file, tensor->entry, from, bytes, s->data, error) ? s->data : NULL;
}

const char *cpl_checkpoint_path(const cpl_checkpoint *c) { return c->path; }

int cpl_checkpoint_count(const cpl_checkpoint *c) { return c->tensor_count; }

const cpl_ck_tensor *cpl_checkpoint_at(const cpl_checkpoint *c, int index) {
    return index >= 0 && index < c->tensor_count ? &c->tensors[index] : NULL;
}

const char *cpl_checkpoint_metadata(const cpl_checkpoint *c, const char *key) {
    for (int i = 0; i < c->note_count; i++)
        if (!strcmp(c->notes[i].key, key)) return c->notes[i].text;
    const char *value = NULL;
    for (int i = 0; !value && i < c->member_count; i++)
        if (!c->parts[c->members[i].part].lent) value = cpl_safetensors_metadata(c->members[i].file, key);
    return value;
}

uint64_t cpl_checkpoint_identity(const cpl_checkpoint *c) {
    uint64_t hash = CPL_HASH_START;
    for (int i = 0; i < c->member_count; i++) {
        const member *m = &c->members[i];
        hash = cpl_hash_text(hash, c->parts[m->part].prefix);
        hash = cpl_hash_u64(hash, cpl_safetensors_identity(m->file));
    }
    for (int i = 0; i < c->note_count; i++)
        hash = cpl_hash_text(cpl_hash_text(hash, c->notes[i].key), c->notes[i].text);
    return hash;
}
