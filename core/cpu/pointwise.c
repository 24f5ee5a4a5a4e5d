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
        kernels->activate(cpu_data(y) + i * SLICE, cpu_data(x) + i * SLICE, slice_length(count, i), (int)act);
}

void cpu_scale_add(cpl_stream *s, const cpl_tensor *y, float alpha, const cpl_tensor *a, float beta,
                   const cpl_tensor *b) {
    if (!cpu_enter(s) || !cpu_usable(s, "scale_add", "a", a) || !cpu_like(s, "scale_add", "y", y, a) ||
        (b && !cpu_like(s, "scale_add", "b", b, a)))
        return;
    const cpu_kernels *kernels = cpu_of(s)->kernels;
    size_t count = cpl_tensor_count(a), slices = slices_of(count);
#pragma omp parallel for schedule(static) if (count > SMALL_WORK)
    for (size_t i = 0; i < slices; i++)
        kernels->scale_add(cpu_data(y) + i * SLICE, alpha, cpu_data(a) + i * SLICE, beta,
                           b ? cpu_data(b) + i * SLICE : NULL, slice_length(count, i));
}

void cpu_geglu(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    if (!cpu_enter(s) || !cpu_usable(s, "geglu", "y", y) ||
        !cpu_shaped(s, "geglu", "x", x, y->n, y->h, y->w, y->c > INT32_MAX / 2 ? 0 : 2 * y->c))
        return;
    const cpu_kernels *kernels = cpu_of(s)->kernels;
    size_t rows = cpu_rows(y), c = (size_t)y->c;
#pragma omp parallel for schedule(static) if (rows * c > SMALL_WORK)
    for (size_t i = 0; i < rows; i++) kernels->geglu(cpu_data(y) + i * c, cpu_data(x) + i * 2 * c, c);
}

void cpu_upsample(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x) {
    if (!cpu_enter(s) || !cpu_usable(s, "upsample", "y", y) || !cpu_usable(s, "upsample", "x", x) ||
        !cpu_shaped(s, "upsample", "x", x, y->n, x->h, x->w, y->c))
        return;
    size_t c = (size_t)x->c;
    int rows = y->n * y->h;
#pragma omp parallel for schedule(static) if (cpl_tensor_count(y) > SMALL_WORK)
    for (int row = 0; row < rows; row++) {
        int element = row / y->h, source_row = (int)((int64_t)(row % y->h) * x->h / y->h);
        const float *from = cpu_data(x) + ((size_t)element * (size_t)x->h + (size_t)source_row) * (size_t)x->w * c;
        float *to = cpu_data(y) + (size_t)row * (size_t)y->w * c;
        for (int j = 0; j < y->w; j++)
            memcpy(to + (size_t)j * c, from + (size_t)((int64_t)j * x->w / y->w) * c, c * sizeof(float));
    }
}

void cpu_concat(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *a, const cpl_tensor *b) {
    if (!cpu_enter(s) || !cpu_usable(s, "concat", "a", a) || !cpu_usable(s, "concat", "b", b) ||
        !cpu_shaped(s, "concat", "b", b, a->n, a->h, a->w, b->c) ||
        !cpu_shaped(s, "concat", "y", y, a->n, a->h, a->w, a->c + b->c))
        return;
    size_t rows = cpu_rows(a), width_a = (size_t)a->c, width_b = (size_t)b->c;
#pragma omp parallel for schedule(static) if (cpl_tensor_count(y) > SMALL_WORK)
    for (size_t i = 0; i < rows; i++) {
        float *to = cpu_data(y) + i * (width_a + width_b);
        memcpy(to, cpu_data(a) + i * width_a, width_a * sizeof(float));
        memcpy(to + width_a, cpu_data(b) + i * width_b, width_b * sizeof(float));
    }
}
