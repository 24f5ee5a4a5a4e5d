/* kernels.h: the inner loops that oneDNN has no fused form of, compiled once per vector width and picked at run time.
 * They run on one thread, on plain arrays of any length and alignment. `type` is f32 or bf16, of y and x alike; the
 * arithmetic is in f32, sums of norms in f64. */
#ifndef CPL_CPU_KERNELS_H
#define CPL_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "../memory/tensor.h"

typedef struct cpu_kernels {
    const char *name;
    /* y = scale * x; x may also be f16. */
    void (*convert)(void *y, cpl_dtype y_type, const void *x, cpl_dtype x_type, float scale, size_t count);
    void (*activate)(void *y, const void *x, size_t count, int activation, cpl_dtype type);
    void (*geglu)(void *y, const void *x, size_t c, cpl_dtype type); /* one row: y[c] from x[2c] */
    void (*scale_add)(void *y, cpl_dtype y_type, float alpha, const void *a, cpl_dtype a_type, float beta,
                      const void *b, cpl_dtype b_type, size_t count);
    /* Adds x + shift and its square over the rows to sum[c] and square[c]; shift may be NULL. */
    void (*channel_sums)(const void *x, const float *shift, size_t rows, size_t c, double *sum, double *square,
                         cpl_dtype type);
    /* y = (x - mean) * scale + offset by channel, then SiLU if asked. */
    void (*normalize)(void *y, const void *x, size_t rows, size_t c, const float *mean, const float *scale,
                      const float *offset, bool silu, cpl_dtype type);
    void (*layer_norm)(void *y, const void *x, size_t c, const float *gamma, const float *beta, float eps,
                       cpl_dtype type); /* a row */
} cpu_kernels;

const cpu_kernels *cpu_kernels_pick(void);
/* All sets that this processor runs, the plainest first; for tests. */
int cpu_kernels_all(const cpu_kernels *list[], int room);

#endif
