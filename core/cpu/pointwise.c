/* pointwise.c: operations in which every output value comes from few inputs: activations, GEGLU, sums, and moving
 * pixels and channels about. They are bound by memory, so a thread takes long runs. */
#include "cpu.h"

#include <string.h>

enum { SLICE = 4096, SMALL_WORK = 4 * SLICE }; /* floats; below SMALL_WORK waking a thread costs more than it saves */

static size_t slices_of(size_t count) { return (count + SLICE - 1) / SLICE; }
static size_t slice_length(size_t count, size_t slice) {
    return count - slice * SLICE < SLICE ? count - slice * SLICE : SLICE;
}

void cpu_activate(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, cpl_activation act) {
    if (!cpu_enter(s) || !cpu_usable(s, "activate", "x", x) || !cpu_like(s, "activate", "y", y, x)) return;
    const cpu_kernels *kernels = cpu_of(s)->kernels;
    size_t count = cpl_tensor_count(x), slices = slices_of(count);
#pragma omp parallel for schedule(static) if (count > SMALL_WORK)
    for (size_t i = 0; i < slices; i++)
        kernels->activate(cpu_at(y, i * SLICE), cpu_at(x, i * SLICE), slice_length(count, i), (int)act, x->dtype);
}

void cpu_scale_add(cpl_stream *s, const cpl_tensor *y, float alpha, const cpl_tensor *a, float beta,
                   const cpl_tensor *b) {
    if (!cpu_enter(s) || !cpu_usable(s, "scale_add", "a", a) ||
        !cpu_shaped(s, "scale_add", "y", y, a->n, a->h, a->w, a->c) ||
        (b && !cpu_shaped(s, "scale_add", "b", b, a->n, a->h, a->w, a->c)))
        return;
    const cpu_kernels *kernels = cpu_of(s)->kernels;
    size_t count = cpl_tensor_count(a), slices = slices_of(count);
#pragma omp parallel for schedule(static) if (count > SMALL_WORK)
    for (size_t i = 0; i < slices; i++) {
        void *to = cpu_at(y, i * SLICE), *from = cpu_at(a, i * SLICE);
        size_t length = slice_length(count, i);
        if (b)
            kernels->scale_add(to, y->dtype, alpha, from, a->dtype, beta, cpu_at(b, i * SLICE), b->dtype, length);
        else
            kernels->convert(to, y->dtype, from, a->dtype, alpha, length);
    }
}

void cpu_geglu(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    if (!cpu_enter(s) || !cpu_usable(s, "geglu", "y", y) ||
        !cpu_shaped(s, "geglu", "x", x, y->n, y->h, y->w, y->c > INT32_MAX / 2 ? 0 : 2 * y->c) ||
        !cpu_typed(s, "geglu", "x", x, y->dtype))
        return;
    const cpu_kernels *kernels = cpu_of(s)->kernels;
    size_t rows = cpu_rows(y), c = (size_t)y->c;
#pragma omp parallel for schedule(static) if (rows * c > SMALL_WORK)
    for (size_t i = 0; i < rows; i++) kernels->geglu(cpu_at(y, i * c), cpu_at(x, i * 2 * c), c, y->dtype);
}

void cpu_upsample(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    if (!cpu_enter(s) || !cpu_usable(s, "upsample", "y", y) || !cpu_usable(s, "upsample", "x", x) ||
        !cpu_shaped(s, "upsample", "x", x, y->n, x->h, x->w, y->c) || !cpu_typed(s, "upsample", "x", x, y->dtype))
        return;
    size_t c = (size_t)x->c, pixel = c * cpl_dtype_bytes(x->dtype);
    int rows = y->n * y->h;
#pragma omp parallel for schedule(static) if (cpl_tensor_count(y) > SMALL_WORK)
    for (int row = 0; row < rows; row++) {
        int element = row / y->h, source_row = (int)((int64_t)(row % y->h) * x->h / y->h);
        const char *from = cpu_at(x, ((size_t)element * (size_t)x->h + (size_t)source_row) * (size_t)x->w * c);
        char *to = cpu_at(y, (size_t)row * (size_t)y->w * c);
        for (int j = 0; j < y->w; j++)
            memcpy(to + (size_t)j * pixel, from + (size_t)((int64_t)j * x->w / y->w) * pixel, pixel);
    }
}

void cpu_concat(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *a, const cpl_tensor *b) {
    if (!cpu_enter(s) || !cpu_usable(s, "concat", "a", a) || !cpu_usable(s, "concat", "b", b) ||
        !cpu_shaped(s, "concat", "b", b, a->n, a->h, a->w, b->c) ||
        !cpu_shaped(s, "concat", "y", y, a->n, a->h, a->w, a->c + b->c) || !cpu_typed(s, "concat", "a", a, y->dtype) ||
        !cpu_typed(s, "concat", "b", b, y->dtype))
        return;
    size_t rows = cpu_rows(a), value = cpl_dtype_bytes(y->dtype);
    size_t bytes_a = (size_t)a->c * value, bytes_b = (size_t)b->c * value;
#pragma omp parallel for schedule(static) if (cpl_tensor_count(y) > SMALL_WORK)
    for (size_t i = 0; i < rows; i++) {
        char *to = (char *)y->data + i * (bytes_a + bytes_b);
        memcpy(to, (const char *)a->data + i * bytes_a, bytes_a);
        memcpy(to + bytes_a, (const char *)b->data + i * bytes_b, bytes_b);
    }
}
