/* model_file.h: which files a model's name means, and what their headers tell. Private to core/model. */
#ifndef CPL_MODEL_MODEL_FILE_H
#define CPL_MODEL_MODEL_FILE_H

#include "load.h"
#include "spec.h"

bool cpl_model_is_builtin(const char *model);
/* All files of a model, opened. */
cpl_checkpoint *cpl_model_open_files(const cpl_model_source *source, cpl_error *error);
/* What the model is, as a number: of the content for builtin, else of its files' sizes, times and headers. */
uint64_t cpl_model_identity(const cpl_model_source *source, const cpl_checkpoint *checkpoint);
/* Where its tokenizer lies, NULL: nowhere. The caller frees. */
char *cpl_model_tokenizer(const cpl_model_source *source, const cpl_checkpoint *checkpoint, const cpl_model_spec *spec);
/* Fails if a tensor that the model needs is not there, or has another shape. Reads none. */
bool cpl_model_survey(const cpl_checkpoint *checkpoint, const cpl_model_spec *spec, cpl_load_survey *survey,
                      cpl_error *error);
void cpl_model_describe(const cpl_checkpoint *checkpoint, const cpl_model_spec *spec, const cpl_load_survey *survey,
                        cpl_model_info *info);

#endif
