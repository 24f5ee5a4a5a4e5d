/* arena.h: places for blocks of any size in a few large segments of memory, so that what one block leaves serves others of
 * other sizes. Used by the pool, which knows the size of each block; not thread-safe. */
#ifndef CPL_MEMORY_ARENA_H
#define CPL_MEMORY_ARENA_H

#include "pool.h"

typedef struct cpl_arena cpl_arena;

/* For a memory with segment_bytes. */
cpl_arena *cpl_arena_new(const cpl_memory *memory, cpl_error *error);
void cpl_arena_free(cpl_arena *arena);
/* NULL: there is no memory, or more than limit_bytes would be held (0: no limit). *grew: memory is used that was not
 * before. Aligned to 64 bytes. */
void *cpl_arena_take(cpl_arena *arena, size_t bytes, size_t limit_bytes, bool *grew);
void cpl_arena_give(cpl_arena *arena, void *data, size_t bytes); /* bytes: as they were taken */
void cpl_arena_trim(cpl_arena *arena);                           /* gives the system what lies idle at the ends */
size_t cpl_arena_held(const cpl_arena *arena);                   /* what was used since it was last given back */

#endif
