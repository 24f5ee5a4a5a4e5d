/* loras.c: the cache of LoRA sets. Its key is all that a set is made of: files as they are, and weights. */
#include "loras.h"

#include <stdlib.h>

/* One set of a large model, or several of small ones; the one in use is kept whatever it takes. */
#define LORAS_BUDGET ((uint64_t)256 << 20)

static void drop_set(void *context, void *value) {
    (void)context;
    cpl_lora_set_free(value);
}

cpl_cache *cpl_loras_new(cpl_error *error) { return cpl_cache_new(LORAS_BUDGET, drop_set, NULL, error); }

const cpl_lora_set *cpl_loras_find(cpl_cache *cache, const cpl_model *model, const cpl_lora_want *wants, int count,
                                   cpl_error *error) {
    size_t size;
    void *key = cpl_lora_key(wants, count, &size, error);
    if (!key) return NULL;
    cpl_lora_set *set = cpl_cache_find(cache, key, size);
    if (!set) {
        set = cpl_lora_set_new(model, wants, count, error);
        if (set && !cpl_cache_insert(cache, key, size, set, set->bytes, error)) set = NULL;
    }
    free(key);
    return set;
}
