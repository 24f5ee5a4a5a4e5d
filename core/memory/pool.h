/* pool.h: memory blocks that are given back and taken again. One pool serves one stream; it is not thread-safe, and its
 * counters are read by the thread that owns it. */
#ifndef CPL_MEMORY_POOL_H
#define CPL_MEMORY_POOL_H

#include "error.h"

/* Where blocks really come from: the host's heap (cpl_host_memory) or a device's. */
typedef struct cpl_memory {
    void *(*take)(void *context, size_t bytes); /* aligned to 64 bytes; NULL when there is none */
    void (*give)(void *context, void *block);
    void *context;
    /* Above 0: memory that costs nothing until it is touched, so that the pool may take so much at once and place blocks in
     * it as it likes; `forget` then gives the system what stands in a range. 0: each block is taken by itself. */
    size_t segment_bytes;
    void (*forget)(void *context, void *data, size_t bytes);
    /* Blocks are of just the size asked for and go back at once: for those who watch their ends. segment_bytes is 0 then. */
    bool exact;
    const char *remedy; /* what to do where there is no more of it; NULL: "choose a smaller canvas" */
} cpl_memory;

/* Sanitizers watch each block by itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CPL_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define CPL_SANITIZED true
#endif
#endif
#ifndef CPL_SANITIZED
#define CPL_SANITIZED false
#endif
extern const cpl_memory cpl_host_memory;

typedef struct cpl_pool cpl_pool;

typedef struct cpl_pool_stats {
    uint64_t allocations; /* blocks taken from `memory` */
    uint64_t reuses;      /* requests served by a block that lay idle */
    uint64_t held_bytes;  /* in use and idle */
    uint64_t used_bytes, used_blocks;
    uint64_t kept_bytes, kept_blocks; /* of those, what lies in caches */
    uint64_t peak_bytes;              /* the largest used_bytes */
    uint64_t held_peak_bytes;         /* the largest held_bytes: what activations really took */
    uint64_t live_peak_bytes;         /* the most that was asked for at a time: no pool can do with less */
    uint64_t rescues;                 /* requests that were served only after the caches gave way */
} cpl_pool_stats;

/* Asked when there is no memory for a block: gives back to the pool what can be made again, such as cached values. It may
 * call cpl_pool_give of the same pool, and nothing else of it. */
typedef void cpl_pool_relief(void *user);

cpl_pool *cpl_pool_new(const cpl_memory *memory, size_t budget_bytes, cpl_error *error); /* budget 0: none */
void cpl_pool_free(cpl_pool *pool); /* every block must have come back */
void *cpl_pool_take(cpl_pool *pool, size_t bytes, cpl_error *error);
void cpl_pool_give(cpl_pool *pool, void *block);                               /* NULL is allowed */
void cpl_pool_relieve_by(cpl_pool *pool, cpl_pool_relief *relief, void *user); /* NULL: nobody */
void cpl_pool_keep(cpl_pool *pool, void *block);       /* counts it as kept until it is given back */
void cpl_pool_trim(cpl_pool *pool, size_t keep_bytes); /* frees idle blocks until at most keep_bytes are held */
void cpl_pool_stats_read(const cpl_pool *pool, cpl_pool_stats *stats);

#endif
