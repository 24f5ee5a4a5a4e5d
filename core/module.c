/* module.c: finding and loading backend modules. */
#include "module.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory/alloc.h"

static const cpl_host host = {
    .abi = CPL_BACKEND_ABI,
    .fail = cpl_fail,
    .alloc = cpl_alloc,
    .stream_fail = cpl_stream_fail,
    .pool_new = cpl_pool_new,
    .pool_free = cpl_pool_free,
    .pool_take = cpl_pool_take,
    .pool_give = cpl_pool_give,
    .pool_trim = cpl_pool_trim,
    .pool_stats_read = cpl_pool_stats_read,
    .cache_new = cpl_cache_new,
    .cache_free = cpl_cache_free,
    .cache_find = cpl_cache_find,
    .cache_insert = cpl_cache_insert,
    .cache_release = cpl_cache_release,
    .cache_stats_read = cpl_cache_stats_read,
};

/* Folders to look into, relative to the one that the program lies in: a build, then an installation. */
static const char *const places[] = {"", "/../lib/couplet"};

static bool program_folder(char folder[PATH_MAX]) {
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (length <= 0) return false;
    folder[length] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash) *slash = '\0';
    return slash != NULL;
}

static bool find_file(const char *name, char *path, size_t size) {
    const char *named = getenv("COUPLET_BACKEND_DIR");
    char folder[PATH_MAX];
    if (named && *named) {
        snprintf(path, size, "%s/libcouplet-%s.so", named, name);
        return access(path, R_OK) == 0;
    }
    if (!program_folder(folder)) return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int length = snprintf(path, size, "%s%s/libcouplet-%s.so", folder, places[i], name);
        if (length > 0 && (size_t)length < size && access(path, R_OK) == 0) return true;
    }
    return false;
}

static const cpl_module *load(const char *path, cpl_error *error) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *reason = dlerror();
        cpl_fail(error, CPL_E_UNSUPPORTED, "%s cannot be loaded: %s", path, reason ? reason : "no reason given");
        return NULL;
    }
    /* ISO C knows no conversion from an object pointer; POSIX promises that this one works. */
    cpl_module_entry *entry;
    *(void **)&entry = dlsym(library, CPL_MODULE_ENTRY);
    const cpl_module *module = entry ? entry(&host, CPL_BACKEND_ABI) : NULL;
    /* cppcheck-suppress resourceLeak; a module stays for as long as the process */
    if (module && module->ops->abi == CPL_BACKEND_ABI) return module;
    cpl_fail(error, CPL_E_UNSUPPORTED, "%s is of another version of couplet", path);
    dlclose(library);
    return NULL;
}

/* There is one module so far; a second would get a row of its own. */
static struct {
    pthread_mutex_t lock;
    const cpl_module *cuda;
} loaded = {.lock = PTHREAD_MUTEX_INITIALIZER};

const cpl_module *cpl_module_load(const char *name, cpl_error *error) {
    char path[PATH_MAX + 64];
    pthread_mutex_lock(&loaded.lock);
    if (!loaded.cuda) {
        if (find_file(name, path, sizeof path))
            loaded.cuda = load(path, error);
        else
            cpl_fail(error, CPL_E_FILE, "this build has no %s backend (no libcouplet-%s.so)", name, name);
    }
    const cpl_module *module = loaded.cuda;
    pthread_mutex_unlock(&loaded.lock);
    return module;
}
