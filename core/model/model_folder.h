/* model_folder.h: models that are folders, as diffusers keeps them, and single parts of such. Private to core/model. */
#ifndef CPL_MODEL_MODEL_FOLDER_H
#define CPL_MODEL_MODEL_FOLDER_H

#include "checkpoint.h"

/* The folder that a path means: itself, or the one of a model_index.json. NULL: it is neither; the caller frees. */
char *cpl_model_folder(const char *path);
/* All its files as a checkpoint, without the VAE if that comes from elsewhere. */
cpl_checkpoint *cpl_model_folder_open(const char *folder, bool with_vae, cpl_error *error);
/* A VAE from a file or folder of its own, in place of the one that the checkpoint may have. */
bool cpl_model_add_vae(cpl_checkpoint *checkpoint, const char *path, cpl_error *error);
/* Calls `each` with the path of every file that such a folder's model depends on. */
void cpl_model_folder_files(const char *folder, void (*each)(void *user, const char *path), void *user);

#endif
