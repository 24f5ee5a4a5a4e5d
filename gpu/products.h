/* products.h: who computes a linear layer or a convolution: gemm.cu, which can do all of them, or a library of NVIDIA's that has
 * been found when the program runs (blas.c: cuBLASLt, dnn.c: cuDNN) and has a way for that shape. Nothing of the libraries is
 * linked, and only their own files name them. */
#ifndef GPU_PRODUCTS_H
#define GPU_PRODUCTS_H

#include "../core/backend.h"
#include "kernels.h"

/* All that a library has to know before it is given any data. A linear layer is [1, rows, 1, in] to [1, rows, 1, out]. Only
 * ints: shapes are compared as bytes. */
typedef struct gpu_shape {
    int type, y_type; /* gpu_type; add has y's */
    int n, h, w, in, out_h, out_w, out;
    int kh, kw, stride, pad_top, pad_left, pad_bottom, pad_right;
    int act; /* gpu_act, before add */
    int bias, add;
} gpu_shape;

static inline bool gpu_shape_is_linear(const gpu_shape *s) {
    return s->kh == 1 && s->kw == 1 && s->stride == 1 && s->pad_top == 0 && s->pad_left == 0 && s->out_h == s->h &&
           s->out_w == s->w;
}

enum {
    GPU_MOST_WAYS = 8,
    GPU_WORKSPACE = 32 << 20, /* bytes that a way may ask for: what NVIDIA recommends on compute capability 9.0 */
    GPU_ALIGNED = 16          /* bytes: where the arrays of a product begin at least */
};

/* What is multiplied. bias: in y's type. y is add only where that is allowed. */
typedef struct gpu_operands {
    const void *x, *weight, *bias, *add;
    void *y, *workspace;
    cudaStream_t queue;
} gpu_operands;

/* A library. A way is an algorithm of its, ready for one shape; the library lists the one first that it thinks best. */
typedef struct gpu_library {
    const char *name, *variable; /* COUPLET_...: a file to load, or `no` */
    const char *const *files;    /* to be tried, NULL at the end */
    bool adds_in_place;
    bool (*load)(const char *file,
                 cpl_error *error);           /* once loaded it stays; NULL: not in this build, nor is what follows */
    void (*version)(char *text, size_t size); /* of the loaded library: "13.1.0" */
    void *(*open)(cudaStream_t queue);        /* a handle for one stream; NULL: refused */
    void (*close)(void *handle);
    /* Ways for a shape, at most `most`, in the order of the library; their workspaces in bytes, none above GPU_WORKSPACE. NULL:
     * it has none. May take seconds. */
    void *(*prepare)(void *handle, const gpu_shape *shape, int most, int *count, size_t *workspace);
    bool (*run)(void *handle, void *ways, int way,
                const gpu_operands *o); /* false: refused, nothing was put into the stream */
    void (*drop)(void *handle, void *ways);
} gpu_library;

extern const gpu_library gpu_cublaslt; /* blas.c: linear layers */
extern const gpu_library gpu_cudnn;    /* dnn.c: convolutions of 16-bit values */

/* library.c */
/* Loads the library where that has not been tried yet. False: it is not there, not complete, or not wanted. */
bool gpu_library_load(const gpu_library *library);
/* A file that COUPLET_... names must be there, and the choice of COUPLET_CUDA_PRODUCTS must be one. */
bool gpu_libraries_check(cpl_error *error);
/* ", cuBLASLt 13.1.0, cuDNN 9.19.0", or ", own kernels" where there is none. */
void gpu_libraries_describe(char *text, size_t size);
typedef struct gpu_symbol {
    const char *name;
    void *function; /* where the address goes: a pointer to a pointer to the function */
} gpu_symbol;
/* Opens `file` and finds all of them. */
bool gpu_library_open(const char *file, const gpu_symbol *symbols, int count, cpl_error *error);

typedef enum gpu_choice { GPU_CHOOSE_LIBRARY, GPU_CHOOSE_OWN, GPU_CHOOSE_MEASURED } gpu_choice;
/* COUPLET_CUDA_PRODUCTS: `library` (or unset), `own`, or `measured`. */
gpu_choice gpu_products_choice(void);

/* products.c, see cuda.h */
typedef struct gpu_products gpu_products;

#endif
