/* model_file.h: which file a model's name means, and what its header tells. Private to core/model. */
#ifndef CPL_MODEL_MODEL_FILE_H
#define CPL_MODEL_MODEL_FILE_H

#include "spec.h"

bool cpl_model_is_builtin(const char *model);
/* The path of a model that is not built in, freed by the caller. */
char *cpl_model_path(const char *model, const char *directory, cpl_error *error);
cpl_checkpoint *cpl_model_file_open(const char *model, const char *directory, cpl_error *error);
/* Bytes of the tensors that are read when the model is loaded. */
uint64_t cpl_model_bytes(const cpl_checkpoint *checkpoint, const cpl_model_spec *spec);
void cpl_model_describe(const cpl_checkpoint *checkpoint, const cpl_model_spec *spec, cpl_model_info *info);

#endif
