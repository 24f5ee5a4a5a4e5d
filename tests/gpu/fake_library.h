/* fake_library.h: what a test tells the libraries of the emulated device, and what it learns of them. They lie in the module, whose
 * own file is what COUPLET_CUBLASLT and COUPLET_CUDNN are to name; the test finds these by dlsym: fake_cublaslt, fake_cudnn. */
#ifndef TESTS_GPU_FAKE_LIBRARY_H
#define TESTS_GPU_FAKE_LIBRARY_H

#include <stddef.h>

enum { FAKE_WAYS = 4 };

typedef struct fake_library {
    /* To be set: */
    int refuses_handles, refuses_shapes, refuses_runs;
    size_t workspace;     /* that every way asks for */
    double ms[FAKE_WAYS]; /* what a way takes by the device's clock */
    /* Counted: */
    int handles, parts;  /* that are held */
    int run[FAKE_WAYS];  /* ways run, in the order of the library's list */
    int bias, add, gelu; /* products with them */
} fake_library;

#ifdef __cplusplus
extern "C" __attribute__((visibility("default"))) fake_library fake_cublaslt, fake_cudnn;
#endif

#endif
