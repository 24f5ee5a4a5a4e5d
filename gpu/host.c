/* host.c: the module's door. Keeps the program's table and gives its entries their usual names, so that the rest of the
 * module reads as any code of couplet does. */
#include "cuda.h"

#include <stdarg.h>
#include <stdio.h>

#include "../core/memory/alloc.h"
#include "backend.h"

static const cpl_host *host;

__attribute__((visibility("default"))) const cpl_module *couplet_module(const cpl_host *program, uint32_t abi);

const cpl_module *couplet_module(const cpl_host *program, uint32_t abi) {
    if (abi != CPL_BACKEND_ABI || program->abi != CPL_BACKEND_ABI) return NULL;
    host = program;
    return &gpu_module;
}

bool cpl_fail(cpl_error *error, cpl_code code, const char *format, ...) {
    char message[sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return host->fail(error, code, "%s", message);
}

void cpl_stream_fail(cpl_stream *s, cpl_code code, const char *format, ...) {
    char message[sizeof s->error.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    host->stream_fail(s, code, "%s", message);
}

size_t cpl_dtype_bytes(cpl_dtype dtype) { return dtype == CPL_F32 ? 4 : 2; }

void *cpl_alloc(size_t count, size_t size, cpl_error *error) { return host->alloc(count, size, error); }

cpl_pool *cpl_pool_new(const cpl_memory *memory, size_t budget_bytes, cpl_error *error) {
    return host->pool_new(memory, budget_bytes, error);
}
void cpl_pool_free(cpl_pool *pool) { host->pool_free(pool); }
void *cpl_pool_take(cpl_pool *pool, size_t bytes, cpl_error *error) { return host->pool_take(pool, bytes, error); }
void cpl_pool_give(cpl_pool *pool, void *block) { host->pool_give(pool, block); }
void cpl_pool_trim(cpl_pool *pool, size_t keep_bytes) { host->pool_trim(pool, keep_bytes); }
void cpl_pool_stats_read(const cpl_pool *pool, cpl_pool_stats *stats) { host->pool_stats_read(pool, stats); }

cpl_cache *cpl_cache_new(uint64_t budget_bytes, cpl_cache_drop *drop, void *context, cpl_error *error) {
    return host->cache_new(budget_bytes, drop, context, error);
}
void cpl_cache_free(cpl_cache *cache) { host->cache_free(cache); }
void *cpl_cache_find(cpl_cache *cache, const void *key, size_t key_size) {
    return host->cache_find(cache, key, key_size);
}
bool cpl_cache_insert(cpl_cache *cache, const void *key, size_t key_size, void *value, uint64_t bytes,
                      cpl_error *error) {
    return host->cache_insert(cache, key, key_size, value, bytes, error);
}
void cpl_cache_release(cpl_cache *cache, const void *value) { host->cache_release(cache, value); }
void cpl_cache_stats_read(const cpl_cache *cache, cpl_cache_stats *stats) { host->cache_stats_read(cache, stats); }
