/* cache.c: a hash table whose entries also stand in a list from newest to oldest use. */
#include "cache.h"

#include "alloc.h"
#include "hash.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    struct entry *chain; /* next in the bucket */
    struct entry *newer, *older;
    uint64_t hash, bytes;
    void *value;
    int pins;
    size_t key_size;
    unsigned char key[];
} entry;

enum { BUCKETS = 1024 };

struct cpl_cache {
    uint64_t budget;
    cpl_cache_drop *drop;
    void *context;
    entry *bucket[BUCKETS];
    entry *newest, *oldest;
    cpl_cache_stats stats;
};

cpl_cache *cpl_cache_new(uint64_t budget_bytes, cpl_cache_drop *drop, void *context, cpl_error *error) {
    cpl_cache *cache = cpl_alloc(1, sizeof *cache, error);
    if (!cache) return NULL;
    cache->budget = budget_bytes;
    cache->drop = drop;
    cache->context = context;
    return cache;
}

static void unlist(cpl_cache *cache, entry *e) {
    *(e->newer ? &e->newer->older : &cache->newest) = e->older;
    *(e->older ? &e->older->newer : &cache->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void list_newest(cpl_cache *cache, entry *e) {
    e->older = cache->newest;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = e;
    cache->newest = e;
}

static void remove_entry(cpl_cache *cache, entry *e) {
    entry **link = &cache->bucket[e->hash % BUCKETS];
    while (*link != e) link = &(*link)->chain;
    *link = e->chain;
    unlist(cache, e);
    cache->stats.bytes -= e->bytes;
    cache->stats.entries--;
    cache->drop(cache->context, e->value);
    free(e);
}

void cpl_cache_free(cpl_cache *cache) {
    if (!cache) return;
    while (cache->newest) remove_entry(cache, cache->newest);
    free(cache);
}

static entry *look_up(const cpl_cache *cache, uint64_t hash, const void *key, size_t key_size) {
    entry *e = cache->bucket[hash % BUCKETS];
    while (e && !(e->hash == hash && e->key_size == key_size && memcmp(e->key, key, key_size) == 0)) e = e->chain;
    return e;
}

void *cpl_cache_find(cpl_cache *cache, const void *key, size_t key_size) {
    entry *e = look_up(cache, cpl_hash_bytes(CPL_HASH_START, key, key_size), key, key_size);
    if (!e) {
        cache->stats.misses++;
        return NULL;
    }
    cache->stats.hits++;
    e->pins++;
    unlist(cache, e);
    list_newest(cache, e);
    return e->value;
}

bool cpl_cache_insert(cpl_cache *cache, const void *key, size_t key_size, void *value, uint64_t bytes,
                      cpl_error *error) {
    uint64_t hash = cpl_hash_bytes(CPL_HASH_START, key, key_size);
    entry *e = NULL;
    if (look_up(cache, hash, key, key_size))
        cpl_fail(error, CPL_E_INPUT, "a cache key was inserted twice");
    else
        e = cpl_alloc(1, sizeof *e + key_size, error);
    if (!e) {
        cache->drop(cache->context, value);
        return false;
    }
    if (cache->budget) cpl_cache_trim(cache, cache->budget > bytes ? cache->budget - bytes : 0);
    *e = (entry){.chain = cache->bucket[hash % BUCKETS],
                 .hash = hash,
                 .bytes = bytes,
                 .value = value,
                 .pins = 1,
                 .key_size = key_size};
    memcpy(e->key, key, key_size);
    cache->bucket[hash % BUCKETS] = e;
    list_newest(cache, e);
    cache->stats.bytes += bytes;
    cache->stats.entries++;
    return true;
}

/* Callers hold few values at a time and release them in about the order of use, so a walk from the newest is short. */
void cpl_cache_release(cpl_cache *cache, const void *value) {
    entry *e = cache->newest;
    while (e && e->value != value) e = e->older;
    if (e && e->pins > 0) e->pins--;
}

void cpl_cache_trim(cpl_cache *cache, uint64_t keep_bytes) {
    entry *e = cache->oldest;
    while (e && cache->stats.bytes > keep_bytes) {
        entry *newer = e->newer;
        if (e->pins == 0) {
            remove_entry(cache, e);
            cache->stats.evictions++;
        }
        e = newer;
    }
}

void cpl_cache_stats_read(const cpl_cache *cache, cpl_cache_stats *stats) { *stats = cache->stats; }
