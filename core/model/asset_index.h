/* asset_index.h: which file the name of a LoRA or of an embedding means. */
#ifndef CPL_MODEL_ASSET_INDEX_H
#define CPL_MODEL_ASSET_INDEX_H

#include "../memory/error.h"

/* A kind of files that are named in texts and lists, and where they lie. */
typedef struct cpl_asset_kind {
    const char *noun;              /* in messages */
    const char *option, *variable; /* that name a folder */
    const char *data_folder;       /* in the user's data folder */
    const char *title;             /* metadata key that holds another name */
    const char *const *beside;     /* folders as they are reached from a checkpoint's; NULL ends them */
    const char *const *endings;    /* of file names; NULL ends them */
} cpl_asset_kind;
extern const cpl_asset_kind cpl_lora_assets, cpl_embedding_assets;

/* What lies in a kind's folders, remembered until a folder changes: looking a name up is done with every edit. */
typedef struct cpl_asset_index cpl_asset_index;
cpl_asset_index *cpl_asset_index_new(const cpl_asset_kind *kind, const char *folder /* NULL: that of the variable */,
                                     cpl_error *error);
void cpl_asset_index_free(cpl_asset_index *index);

/* The path, borrowed until the next call. `model_path` is the checkpoint's file, beside whose folder is looked too ("" for
 * none). An unknown name fails with CPL_E_INPUT and tells the folders and the names that are near. */
const char *cpl_asset_index_find(cpl_asset_index *index, const char *name, const char *model_path, cpl_error *error);
/* All files, for a caller that looks for their names in texts: as found by the last search, a new one being made where a
 * folder has changed. Searches are counted; what was read of the list is true until the number changes. */
bool cpl_asset_index_refresh(cpl_asset_index *index, const char *model_path, cpl_error *error);
unsigned cpl_asset_index_searches(const cpl_asset_index *index);
int cpl_asset_index_count(const cpl_asset_index *index);
const char *cpl_asset_index_path(const cpl_asset_index *index, int file);             /* borrowed */
char *cpl_asset_index_name(const cpl_asset_index *index, int file, cpl_error *error); /* freed by the caller */
/* Size, time and header of a file as a hash, remembered until the file changes. */
bool cpl_asset_index_identity(cpl_asset_index *index, const char *path, uint64_t *identity, cpl_error *error);

#endif
