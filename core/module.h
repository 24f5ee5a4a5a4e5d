/* module.h: backends that live in a module of their own, so that what they stand on (CUDA) is needed where they run only.
 * A module is a shared library with one exported function. It gets a table of what it may call in the program and gives
 * its own table in return; nothing else is shared, so the program exports no symbols. */
#ifndef CPL_MODULE_H
#define CPL_MODULE_H

#include "backend.h"
#include "memory/cache.h"

/* As the functions of the same names: see their headers. */
typedef struct cpl_host {
    uint32_t abi; /* CPL_BACKEND_ABI of the program */
    bool (*fail)(cpl_error *error, cpl_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
    void *(*alloc)(size_t count, size_t size, cpl_error *error);
    void (*stream_fail)(cpl_stream *s, cpl_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
    cpl_pool *(*pool_new)(const cpl_memory *memory, size_t budget_bytes, cpl_error *error);
    void (*pool_free)(cpl_pool *pool);
    void *(*pool_take)(cpl_pool *pool, size_t bytes, cpl_error *error);
    void (*pool_give)(cpl_pool *pool, void *block);
    void (*pool_trim)(cpl_pool *pool, size_t keep_bytes);
    void (*pool_stats_read)(const cpl_pool *pool, cpl_pool_stats *stats);
    cpl_cache *(*cache_new)(uint64_t budget_bytes, cpl_cache_drop *drop, void *context, cpl_error *error);
    void (*cache_free)(cpl_cache *cache);
    void *(*cache_find)(cpl_cache *cache, const void *key, size_t key_size);
    bool (*cache_insert)(cpl_cache *cache, const void *key, size_t key_size, void *value, uint64_t bytes,
                         cpl_error *error);
    void (*cache_release)(cpl_cache *cache, const void *value);
    void (*cache_stats_read)(const cpl_cache *cache, cpl_cache_stats *stats);
} cpl_host;

typedef struct cpl_module {
    const cpl_backend_ops *ops;
    /* As cpl_devices, for the devices of this backend; at least one entry, which says why if none can be used. */
    int (*devices)(cpl_device_info *list, int room);
} cpl_module;

/* The exported function. NULL: the module cannot work with a program of this ABI. */
#define CPL_MODULE_ENTRY "couplet_module"
typedef const cpl_module *cpl_module_entry(const cpl_host *host, uint32_t abi);

/* Loads libcouplet-NAME.so from $COUPLET_BACKEND_DIR where that is set, else from beside the program or ../lib/couplet
 * seen from there; never from anywhere else. Once loaded it stays. NULL with the reason: there is no such file (CPL_E_FILE), or it
 * is of another version. Any thread. */
const cpl_module *cpl_module_load(const char *name, cpl_error *error);

#endif
