/* rng.h: start noise that is the same as the other programs' for a seed (golden/engine/FORMAT.md section 7, "RNG"). */
#ifndef CPL_SAMPLE_RNG_H
#define CPL_SAMPLE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../couplet.h"

/* torch's CPU generator (MT19937), or the GPU's (Philox, "nv"). The state is a plain value. */
typedef struct cpl_rng {
    bool is_philox;
    uint64_t philox_seed; /* these two of "nv", the rest of "cpu" */
    uint32_t philox_call;
    uint32_t state[624];
    int index;
    bool has_spare;
    double spare; /* second normal of a pair, for draws of fewer than 16 values */
} cpl_rng;
/* name: one of cpl_rng_names. "cpu" takes the low 32 bits of the seed, as torch does; "nv" all 64. */
bool cpl_rng_open(cpl_rng *rng, const char *name, uint64_t seed, cpl_error *error);
void cpl_rng_seed(cpl_rng *rng, uint64_t seed);              /* "cpu" */
void cpl_rng_normal(cpl_rng *rng, float *out, size_t count); /* like torch.randn of `count` values */

/* philox.c: value i is a function of seed, number of the call and i alone, as Forge's "NV" source has it. */
void cpl_philox_normal(uint64_t seed, uint32_t call, float *out, size_t count);

#endif
