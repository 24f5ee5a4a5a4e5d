/* lora_find.h: which file the name of a LoRA means. */
#ifndef CPL_MODEL_LORA_FIND_H
#define CPL_MODEL_LORA_FIND_H

#include "../memory/error.h"

/* What lies in the LoRA folders, remembered until a folder changes: looking a name up is done with every edit. */
typedef struct cpl_lora_index cpl_lora_index;
cpl_lora_index *cpl_lora_index_new(const char *folder /* NULL: $COUPLET_LORA_DIR */, cpl_error *error);
void cpl_lora_index_free(cpl_lora_index *index);

/* The path, borrowed until the next call. `model_path` is the checkpoint's file, beside whose folder is looked too ("" for
 * none). An unknown name fails with CPL_E_INPUT and tells the folders and the names that are near. */
const char *cpl_lora_index_find(cpl_lora_index *index, const char *name, const char *model_path, cpl_error *error);
/* Size, time and header of a file as a hash, remembered until the file changes. */
bool cpl_lora_index_identity(cpl_lora_index *index, const char *path, uint64_t *identity, cpl_error *error);

#endif
