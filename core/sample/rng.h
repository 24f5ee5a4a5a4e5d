/* rng.h: start noise that is the same as the other programs' for a seed (golden/engine/FORMAT.md section 7, "RNG"). */
#ifndef CPL_SAMPLE_RNG_H
#define CPL_SAMPLE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* torch's CPU generator: MT19937. The state is a plain value. */
typedef struct cpl_rng {
    uint32_t state[624];
    int index;
    bool has_spare;
    double spare; /* second normal of a pair, for draws of fewer than 16 values */
} cpl_rng;
void cpl_rng_seed(cpl_rng *rng, uint64_t seed);              /* the low 32 bits count, as in torch */
void cpl_rng_normal(cpl_rng *rng, float *out, size_t count); /* like torch.randn of `count` values */

#endif
