/* loras.h: sets of LoRAs made ready on an engine, so that going back to one that was in use a moment ago reads no file. */
#ifndef CPL_SESSION_LORAS_H
#define CPL_SESSION_LORAS_H

#include "../memory/cache.h"
#include "../model/lora.h"

cpl_cache *cpl_loras_new(cpl_error *error); /* lives as long as the engine */
/* The set for what is wanted, held until cpl_cache_release(cache, set). */
const cpl_lora_set *cpl_loras_find(cpl_cache *cache, const cpl_model *model, const cpl_lora_want *wants, int count,
                                   cpl_error *error);

#endif
