/* weights.c: weights as the networks hand them over, copied in the type they are used in. What layout a convolution's
 * weights end in is decided when it first runs (primitive.c). */
#include "../memory/alloc.h"
#include "primitive.h"

#include <omp.h>
#include <stdlib.h>

void *cpu_weight_take(cpu_backend *b, size_t bytes, cpl_error *error) {
    void *data = cpl_host_memory.take(cpl_host_memory.context, bytes);
    if (data)
        atomic_fetch_add(&b->weight_bytes, bytes);
    else
        cpl_fail(error, CPL_E_MEMORY, "out of memory: a weight of %zu bytes", bytes);
    return data;
}

void cpu_weight_give(cpu_backend *b, void *data, size_t bytes) {
    if (!data) return;
    cpl_host_memory.give(cpl_host_memory.context, data);
    atomic_fetch_sub(&b->weight_bytes, bytes);
}

/* Large weights are bound by memory, and by the kernel that hands it out: all threads share both. */
static void *copy_as(cpu_backend *b, cpl_dtype type, cpl_values values, size_t count, cpl_error *error) {
    enum { SLICE = 1 << 16 };
    size_t from = cpl_dtype_bytes(values.dtype), to = cpl_dtype_bytes(type);
    char *copy = cpu_weight_take(b, count * to, error);
    if (!copy) return NULL;
    omp_set_num_threads(b->threads);
#pragma omp parallel for schedule(static) if (count > 4 * SLICE)
    for (size_t i = 0; i < count; i += SLICE)
        b->kernels->convert(copy + i * to, type, (const char *)values.data + i * from, values.dtype, 1.0f,
                            count - i < SLICE ? count - i : SLICE);
    return copy;
}

static float *copy_of(cpu_backend *b, const float *values, size_t count, cpl_error *error) {
    return copy_as(b, CPL_F32, (cpl_values){values, CPL_F32}, count, error);
}

void cpu_weight_free(cpl_backend *backend, cpl_weight *w) {
    if (!w) return;
    cpu_backend *b = (cpu_backend *)backend;
    cpu_unpack(b, w);
    cpu_weight_give(b, w->rows, (size_t)w->out * (size_t)w->in * cpl_dtype_bytes(w->type));
    cpu_weight_give(b, w->gamma, (size_t)w->out * sizeof(float));
    cpu_weight_give(b, w->beta, (size_t)w->out * sizeof(float));
    free(w);
}

static bool type_fits(const cpl_backend *b, cpl_dtype type, cpl_error *error) {
    return type == CPL_F32 || type == b->precision ||
           cpl_fail(error, CPL_E_DEVICE, "A %s weight on a backend of %s is not possible.", cpl_dtype_name(type),
                    cpl_dtype_name(b->precision));
}

cpl_weight *cpu_conv_weight(cpl_backend *backend, cpl_dtype type, cpl_values values, const float *bias, int out, int in,
                            int kh, int kw, cpl_error *error) {
    cpu_backend *b = (cpu_backend *)backend;
    if (!type_fits(backend, type, error)) return NULL;
    if (out < 1 || in < 1 || kh < 1 || kw < 1) {
        cpl_fail(error, CPL_E_INPUT, "A convolution of %d to %d channels with a %dx%d kernel is not possible.", in, out,
                 kh, kw);
        return NULL;
    }
    cpl_weight *w = cpl_alloc(1, sizeof *w, error);
    if (!w) return NULL;
    *w = (cpl_weight){.kind = CPU_CONV, .type = type, .out = out, .in = in, .kh = kh, .kw = kw};
    size_t count = (size_t)out * (size_t)in * (size_t)kh * (size_t)kw;
    bool ok = !bias || (w->beta = copy_of(b, bias, (size_t)out, error));
    void *copy = ok ? copy_as(b, type, values, count, error) : NULL;
    if (copy && cpu_pack_plain(b, w, copy, count * cpl_dtype_bytes(type), error)) return w;
    cpu_weight_free(backend, w);
    return NULL;
}

cpl_weight *cpu_linear_weight(cpl_backend *b, cpl_dtype type, cpl_values w, const float *bias, int out, int in,
                              cpl_error *error) {
    return cpu_conv_weight(b, type, w, bias, out, in, 1, 1, error);
}

cpl_weight *cpu_norm_weight(cpl_backend *backend, const float *gamma, const float *beta, int c, cpl_error *error) {
    cpu_backend *b = (cpu_backend *)backend;
    if (c < 1) {
        cpl_fail(error, CPL_E_INPUT, "A norm of %d channels is not possible.", c);
        return NULL;
    }
    cpl_weight *w = cpl_alloc(1, sizeof *w, error);
    if (!w) return NULL;
    *w = (cpl_weight){.kind = CPU_NORM, .out = c};
    w->gamma = copy_of(b, gamma, (size_t)c, error);
    w->beta = w->gamma ? copy_of(b, beta, (size_t)c, error) : NULL;
    if (w->beta) return w;
    cpu_weight_free(backend, w);
    return NULL;
}

cpl_weight *cpu_table_weight(cpl_backend *backend, const float *rows, int count, int c, cpl_error *error) {
    if (count < 1 || c < 1) {
        cpl_fail(error, CPL_E_INPUT, "A table of %d rows of %d values is not possible.", count, c);
        return NULL;
    }
    cpl_weight *w = cpl_alloc(1, sizeof *w, error);
    if (!w) return NULL;
    *w = (cpl_weight){.kind = CPU_TABLE, .type = backend->precision, .out = count, .in = c};
    w->rows = copy_as((cpu_backend *)backend, w->type, (cpl_values){rows, CPL_F32}, (size_t)count * (size_t)c, error);
    if (w->rows) return w;
    cpu_weight_free(backend, w);
    return NULL;
}
