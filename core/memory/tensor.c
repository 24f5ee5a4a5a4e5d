/* tensor.c: shapes over pool blocks. */
#include "tensor.h"

#include <limits.h>

size_t cpl_dtype_bytes(cpl_dtype dtype) { return dtype == CPL_F32 ? 4 : 2; }

const char *cpl_dtype_name(cpl_dtype dtype) { return dtype == CPL_F32 ? "f32" : dtype == CPL_BF16 ? "bf16" : "f16"; }

bool cpl_tensor_new(cpl_tensor *t, cpl_pool *pool, cpl_dtype dtype, int n, int h, int w, int c, cpl_error *error) {
    *t = (cpl_tensor){0};
    if (n < 1 || h < 1 || w < 1 || c < 1)
        return cpl_fail(error, CPL_E_INPUT, "a tensor cannot have the shape [%d, %d, %d, %d]", n, h, w, c);
    size_t count = 1;
    const int sides[] = {n, h, w, c};
    for (int i = 0; i < 4; i++) {
        if (count > (size_t)LLONG_MAX / 8 / (size_t)sides[i])
            return cpl_fail(error, CPL_E_MEMORY, "a tensor of shape [%d, %d, %d, %d] is larger than any memory", n, h,
                            w, c);
        count *= (size_t)sides[i];
    }
    void *data = cpl_pool_take(pool, count * cpl_dtype_bytes(dtype), error);
    if (!data) return false;
    *t = (cpl_tensor){.dtype = dtype, .n = n, .h = h, .w = w, .c = c, .data = data, .pool = pool};
    return true;
}

void cpl_tensor_keep(const cpl_tensor *t) {
    if (t->pool) cpl_pool_keep(t->pool, t->data);
}

void cpl_tensor_free(cpl_tensor *t) {
    if (t->pool) cpl_pool_give(t->pool, t->data);
    *t = (cpl_tensor){0};
}

cpl_tensor cpl_tensor_slice(const cpl_tensor *t, int first, int count) {
    cpl_tensor view = *t;
    size_t element = (size_t)t->h * (size_t)t->w * (size_t)t->c * cpl_dtype_bytes(t->dtype);
    view.pool = NULL;
    if (first < 0 || count < 1 || first + count > t->n || !t->data) return (cpl_tensor){0};
    view.n = count;
    view.data = (char *)t->data + (size_t)first * element;
    return view;
}

cpl_tensor cpl_tensor_rows(const cpl_tensor *t, int first, int count) {
    cpl_tensor view = *t;
    view.pool = NULL;
    if (t->n != 1 || first < 0 || count < 1 || first + count > t->h || !t->data) return (cpl_tensor){0};
    view.h = count;
    view.data = (char *)t->data + (size_t)first * (size_t)t->w * (size_t)t->c * cpl_dtype_bytes(t->dtype);
    return view;
}
