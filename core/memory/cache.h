/* cache.h: least-recently-used cache with a byte budget. Keys are byte strings: found by hash, then compared in full. */
#ifndef CPL_MEMORY_CACHE_H
#define CPL_MEMORY_CACHE_H

#include "error.h"

typedef struct cpl_cache cpl_cache;
typedef void cpl_cache_drop(void *context, void *value); /* frees a value that leaves the cache */

cpl_cache *cpl_cache_new(uint64_t budget_bytes, cpl_cache_drop *drop, void *context, cpl_error *error);
void cpl_cache_free(cpl_cache *cache); /* drops everything; nothing may be pinned any more */
/* The value, now most recently used and pinned until cpl_cache_release; NULL: a miss. */
void *cpl_cache_find(cpl_cache *cache, const void *key, size_t key_size);
/* Takes the value over, pinned as after a find. On failure the value is dropped. A key that is there is an error. */
bool cpl_cache_insert(cpl_cache *cache, const void *key, size_t key_size, void *value, uint64_t bytes,
                      cpl_error *error);
void cpl_cache_release(cpl_cache *cache, const void *value); /* pins are counted */
void cpl_cache_trim(cpl_cache *cache, uint64_t keep_bytes);  /* drops unpinned values, oldest first */
void cpl_cache_stats_read(const cpl_cache *cache, cpl_cache_stats *stats);

#endif
