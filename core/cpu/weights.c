/* weights.c: weights as the networks hand them over, copied. What layout a convolution's weights end in is decided when
 * it first runs (primitive.c). */
#include "../memory/alloc.h"
#include "primitive.h"

#include <stdlib.h>
#include <string.h>

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

static float *copy_of(cpu_backend *b, const float *values, size_t count, cpl_error *error) {
    float *copy = cpu_weight_take(b, count * sizeof *copy, error);
    if (copy) memcpy(copy, values, count * sizeof *copy);
    return copy;
}

void cpu_weight_free(cpl_backend *backend, cpl_weight *w) {
    if (!w) return;
    cpu_backend *b = (cpu_backend *)backend;
    size_t gamma_bytes = (size_t)w->out * (w->kind == CPU_TABLE ? (size_t)w->in : 1) * sizeof(float);
    cpu_unpack(b, w);
    cpu_weight_give(b, w->gamma, gamma_bytes);
    cpu_weight_give(b, w->beta, (size_t)w->out * sizeof(float));
    free(w);
}

cpl_weight *cpu_conv_weight(cpl_backend *backend, const float *values, const float *bias, int out, int in, int kh,
                            int kw, cpl_error *error) {
    cpu_backend *b = (cpu_backend *)backend;
    if (out < 1 || in < 1 || kh < 1 || kw < 1) {
        cpl_fail(error, CPL_E_INPUT, "A convolution of %d to %d channels with a %dx%d kernel is not possible.", in, out,
                 kh, kw);
        return NULL;
    }
    cpl_weight *w = cpl_alloc(1, sizeof *w, error);
    if (!w) return NULL;
    *w = (cpl_weight){.kind = CPU_CONV, .out = out, .in = in, .kh = kh, .kw = kw};
    size_t count = (size_t)out * (size_t)in * (size_t)kh * (size_t)kw;
    bool ok = !bias || (w->beta = copy_of(b, bias, (size_t)out, error));
    float *copy = ok ? copy_of(b, values, count, error) : NULL;
    if (copy && cpu_pack_plain(b, w, copy, count * sizeof *copy, error)) return w;
    cpu_weight_free(backend, w);
    return NULL;
}

cpl_weight *cpu_linear_weight(cpl_backend *b, const float *w, const float *bias, int out, int in, cpl_error *error) {
    return cpu_conv_weight(b, w, bias, out, in, 1, 1, error);
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
    *w = (cpl_weight){.kind = CPU_TABLE, .out = count, .in = c};
    w->gamma = copy_of((cpu_backend *)backend, rows, (size_t)count * (size_t)c, error);
    if (w->gamma) return w;
    cpu_weight_free(backend, w);
    return NULL;
}
