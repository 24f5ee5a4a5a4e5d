/* tensor.h: an activation on some device. Channels last: [n, h, w, c], row-major; the [h*w, c] token view of an image
 * is the same memory, so a sequence of S tokens is [n, 1, S, c]. */
#ifndef CPL_MEMORY_TENSOR_H
#define CPL_MEMORY_TENSOR_H

#include "pool.h"

typedef enum cpl_dtype { CPL_F32, CPL_BF16, CPL_F16 } cpl_dtype;
size_t cpl_dtype_bytes(cpl_dtype dtype);
const char *cpl_dtype_name(cpl_dtype dtype); /* "f32", "bf16", "f16" */

typedef struct cpl_tensor {
    cpl_dtype dtype;
    int n, h, w, c;
    void *data;     /* device memory: only the backend looks inside */
    cpl_pool *pool; /* borrowed: where data goes back to; NULL for a view */
} cpl_tensor;

static inline size_t cpl_tensor_count(const cpl_tensor *t) {
    return (size_t)t->n * (size_t)t->h * (size_t)t->w * (size_t)t->c;
}
static inline size_t cpl_tensor_bytes(const cpl_tensor *t) { return cpl_tensor_count(t) * cpl_dtype_bytes(t->dtype); }

/* Contents are undefined. A zero-initialised tensor is empty; freeing it does nothing. */
bool cpl_tensor_new(cpl_tensor *t, cpl_pool *pool, cpl_dtype dtype, int n, int h, int w, int c, cpl_error *error);
void cpl_tensor_keep(const cpl_tensor *t); /* it goes into a cache: no longer counted as active */
void cpl_tensor_free(cpl_tensor *t);       /* gives the memory back and empties *t; a view is only emptied */
cpl_tensor cpl_tensor_slice(const cpl_tensor *t, int first, int count); /* a view of batch elements */
/* A view of rows of a single image (n is 1): also contiguous. */
cpl_tensor cpl_tensor_rows(const cpl_tensor *t, int first, int count);

#endif
