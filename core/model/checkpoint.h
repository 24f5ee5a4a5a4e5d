/* checkpoint.h: the tensors of a model under the names of a single-file checkpoint (LDM/SGM), wherever they lie: in one
 * file, in the files and shards of a diffusers folder, with a VAE from a file of its own. Who reads a model asks here and
 * knows nothing of files. */
#ifndef CPL_MODEL_CHECKPOINT_H
#define CPL_MODEL_CHECKPOINT_H

#include "safetensors.h"

typedef struct cpl_checkpoint cpl_checkpoint;

typedef struct cpl_ck_tensor {
    const char *name;            /* borrowed from the checkpoint: what is asked for */
    const cpl_safetensors *file; /* where it lies */
    const cpl_st_entry *entry;   /* type, shape, and its name there */
} cpl_ck_tensor;

cpl_checkpoint *cpl_checkpoint_new(const char *path, cpl_error *error); /* empty; `path` names it in messages */
void cpl_checkpoint_close(cpl_checkpoint *checkpoint);
/* A file of LDM names as the whole. Takes the file over, also on failure; NULL in, NULL out. */
cpl_checkpoint *cpl_checkpoint_of(cpl_safetensors *file, cpl_error *error);

/* Writes the LDM name of a file's tensor to `name`; false: the tensor is none of the model's. */
typedef bool cpl_rename(const void *user, const char *in_file, char *name, size_t size);
/* Adds a file (taken over, also on failure) under new names; `rename` NULL: as they are. */
bool cpl_checkpoint_add(cpl_checkpoint *checkpoint, cpl_safetensors *file, cpl_rename *rename, const void *user,
                        cpl_error *error);
/* Forgets the tensors whose names begin so. */
void cpl_checkpoint_drop(cpl_checkpoint *checkpoint, const char *prefix);
/* To be called once all files are in; false: two tensors have one name. */
bool cpl_checkpoint_seal(cpl_checkpoint *checkpoint, cpl_error *error);

const char *cpl_checkpoint_path(const cpl_checkpoint *checkpoint);
int cpl_checkpoint_count(const cpl_checkpoint *checkpoint);
const cpl_ck_tensor *cpl_checkpoint_at(const cpl_checkpoint *checkpoint, int index);          /* in order of name */
const cpl_ck_tensor *cpl_checkpoint_find(const cpl_checkpoint *checkpoint, const char *name); /* NULL: not there */
/* The metadata of its files, the first that has the key; NULL: none. */
const char *cpl_checkpoint_metadata(const cpl_checkpoint *checkpoint, const char *key);
/* Hash of what its files are. */
uint64_t cpl_checkpoint_identity(const cpl_checkpoint *checkpoint);

#endif
