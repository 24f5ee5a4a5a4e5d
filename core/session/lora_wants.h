/* lora_wants.h: from the LoRAs that a layout asks for to files. */
#ifndef CPL_SESSION_LORA_WANTS_H
#define CPL_SESSION_LORA_WANTS_H

#include "../layout/loras.h"
#include "../model/asset_index.h"
#include "../model/lora.h"

/* Each file and weight once; what weighs nothing is left out, but must be there. `directory`: of the layout, `model_path`: of
 * the checkpoint, or "". A fault names row and path. On failure there are none. */
bool cpl_lora_wants_find(cpl_lora_want **wants, int *count, const cpl_lora_uses *uses, cpl_asset_index *index,
                         const char *directory, const char *model_path, cpl_error *fault);

#endif
