/* on_module.h: turns a test of the CPU backend into one of the CUDA module in this build, which runs on the emulated
 * device; -DTEST_PRECISION says in which precision. Included before everything else, by the compiler's command line. */
#ifndef TESTS_GPU_ON_MODULE_H
#define TESTS_GPU_ON_MODULE_H

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../core/module.h"

/* The module lies in the folder above the test program's. */
static inline const cpl_backend_ops *module_ops(void) {
    char path[PATH_MAX], folder[PATH_MAX + 8];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    cpl_error error = {0};
    path[length > 0 ? length : 0] = '\0';
    snprintf(folder, sizeof folder, "%s/..", dirname(path));
    if (!getenv("COUPLET_BACKEND_DIR")) setenv("COUPLET_BACKEND_DIR", folder, 1);
    const cpl_module *module = cpl_module_load("cuda", &error);
    if (module) return module->ops;
    fprintf(stderr, "%s\n", error.message);
    exit(1);
}
#define TEST_OPS module_ops()

#endif
