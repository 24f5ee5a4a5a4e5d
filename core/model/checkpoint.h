/* checkpoint.h: the tensors of a model under the names of a single-file checkpoint (LDM/SGM), wherever they lie: in one
 * file, in the files and shards of a diffusers folder, with a VAE from a file of its own. Who reads a model asks for LDM
 * names and knows nothing of files; nothing is renamed but what is asked for. */
#ifndef CPL_MODEL_CHECKPOINT_H
#define CPL_MODEL_CHECKPOINT_H

#include "naming.h"
#include "safetensors.h"

typedef struct cpl_checkpoint cpl_checkpoint;

/* The key under which a file's checkpoint keeps the configuration that lies beside it, if there is one. */
#define CPL_CHECKPOINT_CONFIG "config.yaml"

typedef struct cpl_ck_tensor {
    const char *name;            /* in its file */
    const char *part;            /* prefix of the LDM names that its part answers to, "" for all */
    const cpl_safetensors *file; /* where it lies */
    const cpl_st_entry *entry;   /* type and shape */
} cpl_ck_tensor;

/* Empty; `path` names it in messages. */
cpl_checkpoint *cpl_checkpoint_new(const char *path, cpl_error *error);
void cpl_checkpoint_close(cpl_checkpoint *checkpoint);
/* One file that has LDM names, as the whole. Takes the file over, also on failure; NULL in, NULL out. */
cpl_checkpoint *cpl_checkpoint_of(cpl_safetensors *file, cpl_error *error);

/* A part answers to all LDM names that begin with `prefix` (a constant; "" is all): where two do, the one with the longer
 * prefix. `lent`: it comes from another model, so that its metadata says nothing of this one. -1: out of memory. */
int cpl_checkpoint_add_part(cpl_checkpoint *checkpoint, const char *prefix, bool lent, cpl_error *error);
/* Adds a file (taken over, also on failure) to a part; NULL fails. */
bool cpl_checkpoint_add_file(cpl_checkpoint *checkpoint, int part, cpl_safetensors *file, cpl_error *error);
/* The files of another part are this part's as well. */
void cpl_checkpoint_share(cpl_checkpoint *checkpoint, int part, int files_of);
/* Is what is called so taken from another model? */
bool cpl_checkpoint_is_lent(const cpl_checkpoint *checkpoint, const char *name);
/* Does the file that it lies in call it so, too? */
bool cpl_checkpoint_has_ldm_names(const cpl_checkpoint *checkpoint, const char *name);
/* How the part's files name things, once they are all there. */
void cpl_checkpoint_set_naming(cpl_checkpoint *checkpoint, int part, cpl_naming naming);
/* Looks into the files of a part by their own names, for finding out what these are. NULL: not there. */
const cpl_st_entry *cpl_checkpoint_in_files(const cpl_checkpoint *checkpoint, int part, const char *name);
/* Keeps a copy of a text that came with the model, such as "unet/config.json"; it counts as metadata, and as identity. */
bool cpl_checkpoint_keep(cpl_checkpoint *checkpoint, const char *key, const char *text, cpl_error *error);

/* Bytes of a tensor as they lie in its file (from + bytes is at most entry->bytes): aligned, and valid until the next call. NULL:
 * failed. */
const void *cpl_checkpoint_bytes(const cpl_checkpoint *checkpoint, const cpl_ck_tensor *tensor, uint64_t from,
                                 size_t bytes, cpl_error *error);

const char *cpl_checkpoint_path(const cpl_checkpoint *checkpoint);
/* All tensors of all files, whether the model asks for them or not. */
int cpl_checkpoint_count(const cpl_checkpoint *checkpoint);
const cpl_ck_tensor *cpl_checkpoint_at(const cpl_checkpoint *checkpoint, int index);
const cpl_ck_tensor *cpl_checkpoint_find(const cpl_checkpoint *checkpoint, const char *name); /* NULL: not there */
/* Of the kept texts or, if it is not there, of the files' metadata. NULL: none. */
const char *cpl_checkpoint_metadata(const cpl_checkpoint *checkpoint, const char *key);
/* Hash of what its files and texts are. */
uint64_t cpl_checkpoint_identity(const cpl_checkpoint *checkpoint);

#endif
