/* inputs.h: what benchmarks measure on, the same for the processor and for a GPU. */
#ifndef CPL_BENCH_INPUTS_H
#define CPL_BENCH_INPUTS_H

#include <stddef.h>

#include "../memory/error.h"

/* The weights of `regions` (a power of two) tiles on a grid, [regions][h * w], freed by the caller. */
float *cpl_bench_tiles(int regions, int w, int h, cpl_error *error);
/* Values like those of a normed activation, always the same for the same seed. */
void cpl_bench_fill(float *values, size_t count, unsigned seed);

#endif
