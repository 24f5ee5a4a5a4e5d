/* tokenizer_find.h: where a checkpoint's tokenizer lies. Private to core/model. */
#ifndef CPL_MODEL_TOKENIZER_FIND_H
#define CPL_MODEL_TOKENIZER_FIND_H

#include "tokenizer.h"

/* Beside the model, in a folder `tokenizer` there, then in the user's data folder ($XDG_DATA_HOME/couplet/clip), which holds
 * CLIP's own and counts only for a model with as many entries. True with NULL: there is none. */
bool cpl_tokenizer_find(const char *model_path, int entries, cpl_tokenizer **tokenizer, cpl_error *error);

#endif
