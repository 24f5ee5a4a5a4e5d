/* builtin.h: the model inside the program (builtin/README.md). Private to core/model. */
#ifndef CPL_MODEL_BUILTIN_H
#define CPL_MODEL_BUILTIN_H

#include "safetensors.h"
#include "tokenizer.h"

#define CPL_BUILTIN_NAME "builtin"

cpl_safetensors *cpl_builtin_open(cpl_error *error); /* from memory */
cpl_tokenizer *cpl_builtin_tokenizer(cpl_error *error);
uint64_t cpl_builtin_identity(void); /* hash of the weights and the vocabulary */

#endif
