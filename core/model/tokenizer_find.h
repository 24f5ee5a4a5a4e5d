/* tokenizer_find.h: where a checkpoint's tokenizer lies. Private to core/model. */
#ifndef CPL_MODEL_TOKENIZER_FIND_H
#define CPL_MODEL_TOKENIZER_FIND_H

#include "tokenizer.h"

/* Beside the model, in a folder `tokenizer` there, then in the user's data folder ($XDG_DATA_HOME/couplet/clip), which holds
 * CLIP's own and counts only for a model that was trained with as many entries. NULL: there is none. Caller frees. */
char *cpl_tokenizer_folder(const char *model_path, int entries);

#endif
