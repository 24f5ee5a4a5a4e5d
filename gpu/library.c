/* library.c: NVIDIA's libraries as files: which are wanted, where they lie, what they hold. Their use is blas.c's and dnn.c's. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"
#include "products.h"

static const gpu_library *const libraries[] = {&gpu_cublaslt, &gpu_cudnn};
enum { LIBRARIES = sizeof libraries / sizeof *libraries };

static const char *const choices[] = {
    [GPU_CHOOSE_LIBRARY] = "library", [GPU_CHOOSE_OWN] = "own", [GPU_CHOOSE_MEASURED] = "measured"};
enum { CHOICES = sizeof choices / sizeof *choices };

/* -1: there is no such choice. */
static int read_choice(void) {
    const char *wish = getenv("COUPLET_CUDA_PRODUCTS");
    if (!wish || !*wish) return GPU_CHOOSE_LIBRARY;
    for (int i = 0; i < CHOICES; i++)
        if (strcmp(wish, choices[i]) == 0) return i;
    return -1;
}

gpu_choice gpu_products_choice(void) {
    int choice = read_choice();
    return choice < 0 ? GPU_CHOOSE_LIBRARY : (gpu_choice)choice;
}

/* ---- Files ---- */

bool gpu_library_open(const char *file, const gpu_symbol *symbols, int count, cpl_error *error) {
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return cpl_fail(error, CPL_E_UNSUPPORTED, "%s", why ? why : file);
    }
    for (int i = 0; i < count; i++) {
        void *found = dlsym(library, symbols[i].name);
        if (!found) {
            dlclose(library);
            return cpl_fail(error, CPL_E_UNSUPPORTED, "%s has no %s", file, symbols[i].name);
        }
        memcpy(symbols[i].function, &found, sizeof found); /* ISO C converts no object pointers; POSIX has them alike */
    }
    return true;
}

/* A file that was asked for by name; NULL: none was. */
static const char *named_file(const gpu_library *library) {
    const char *named = getenv(library->variable);
    return named && *named ? named : NULL;
}

/* Where the linker looks, and where CUDA lies by custom. */
static bool load_from_usual_places(const gpu_library *library) {
    const char *home = getenv("CUDA_HOME");
    const char *const roots[] = {home && *home ? home : "/usr/local/cuda", "/usr/local/cuda"};
    static const char *const folders[] = {"lib64", "lib"};
    char path[1024];
    for (int i = 0; library->files[i]; i++) {
        if (library->load(library->files[i], NULL)) return true;
        for (int place = 0; place < 4; place++) {
            snprintf(path, sizeof path, "%s/%s/%s", roots[place / 2], folders[place % 2], library->files[i]);
            if (library->load(path, NULL)) return true;
        }
    }
    return false;
}

static bool load(const gpu_library *library, cpl_error *error) {
    const char *named = named_file(library);
    if (!library->load) return cpl_fail(error, CPL_E_UNSUPPORTED, "this build was made without %s", library->name);
    return named ? library->load(named, error) : load_from_usual_places(library);
}

static bool is_wanted(const gpu_library *library) {
    const char *named = named_file(library);
    return gpu_products_choice() != GPU_CHOOSE_OWN && !(named && strcmp(named, "no") == 0);
}

/* What could not be loaded is tried again the next time: it may have been named meanwhile. */
static bool load_once(const gpu_library *library, cpl_error *error) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool loaded[LIBRARIES];
    bool *mine = &loaded[library == libraries[0] ? 0 : 1];
    pthread_mutex_lock(&lock);
    if (!*mine) *mine = load(library, error);
    bool there = *mine;
    pthread_mutex_unlock(&lock);
    return there;
}

bool gpu_library_load(const gpu_library *library) { return is_wanted(library) && load_once(library, NULL); }

bool gpu_libraries_check(cpl_error *error) {
    if (read_choice() < 0)
        return cpl_fail(error, CPL_E_INPUT, "COUPLET_CUDA_PRODUCTS is '%s'; library, own and measured are possible",
                        getenv("COUPLET_CUDA_PRODUCTS"));
    for (int i = 0; i < LIBRARIES; i++) {
        cpl_error why = {0};
        if (named_file(libraries[i]) && is_wanted(libraries[i]) && !load_once(libraries[i], &why))
            return cpl_fail(error, CPL_E_INPUT, "%s: %s; name another file, or `no`", libraries[i]->variable,
                            why.message);
    }
    return true;
}

void gpu_libraries_describe(char *text, size_t size) {
    char version[32];
    size_t at = 0;
    for (int i = 0; i < LIBRARIES; i++) {
        if (!gpu_library_load(libraries[i])) continue;
        libraries[i]->version(version, sizeof version);
        int more = snprintf(text + at, size - at, ", %s %s", libraries[i]->name, version);
        if (more > 0 && (size_t)more < size - at) at += (size_t)more;
    }
    if (at == 0) snprintf(text, size, ", own kernels");
}
