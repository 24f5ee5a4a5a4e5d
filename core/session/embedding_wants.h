/* embedding_wants.h: from the names in a layout's texts to embedding files. */
#ifndef CPL_SESSION_EMBEDDING_WANTS_H
#define CPL_SESSION_EMBEDDING_WANTS_H

#include "../couplet.h"
#include "../model/embedding.h"

/* The embedding folders with their files' names, remembered until a folder changes. */
typedef struct cpl_embedding_index cpl_embedding_index;
cpl_embedding_index *cpl_embedding_index_new(const char *folder /* NULL: see cpl_options */, cpl_error *error);
void cpl_embedding_index_free(cpl_embedding_index *index);

/* Each file once whose name some text of the layout has, in the order of the folders; LoRA tags are no text. `model_path`: of the
 * checkpoint, or "". A name behind "embedding:" that no file has is a fault, as is a file that cannot be read; it tells row
 * and path. On failure there are none. */
bool cpl_embedding_wants_find(cpl_embedding_want **wants, int *count, const cpl_layout *layout,
                              cpl_embedding_index *index, const char *model_path, cpl_error *fault);

#endif
