/* rng.c: the generators by name, and torch's CPU normal generator. Its draws are MT19937's, the transforms follow ATen's two
 * ways to make normals: blocks of 16 for 16 values or more, pairs of doubles below. The numbers of "nv" are philox.c's. */
#include "rng.h"

#include <math.h>
#include <string.h>

#include "../memory/error.h"

enum { STATE = 624, SHIFT = 397, BLOCK = 16 };

#define TWO_PI 6.283185307179586

static const char *const names[] = {"cpu", "nv", NULL};

const char *const *cpl_rng_names(void) { return names; }

bool cpl_rng_open(cpl_rng *rng, const char *name, uint64_t seed, cpl_error *error) {
    if (strcmp(name, "cpu") == 0)
        cpl_rng_seed(rng, seed);
    else if (strcmp(name, "nv") == 0)
        *rng = (cpl_rng){.is_philox = true, .philox_seed = seed};
    else
        return cpl_fail(error, CPL_E_UNSUPPORTED, "random numbers \"%s\" are not built in; use \"cpu\" or \"nv\"",
                        name);
    return true;
}

void cpl_rng_seed(cpl_rng *rng, uint64_t seed) {
    rng->is_philox = false;
    rng->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < STATE; i++)
        rng->state[i] = 1812433253u * (rng->state[i - 1] ^ (rng->state[i - 1] >> 30)) + i;
    rng->index = STATE;
    rng->has_spare = false;
    rng->spare = 0;
}

static void refill(cpl_rng *rng) {
    uint32_t *s = rng->state;
    for (int i = 0; i < STATE; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % STATE] & 0x7fffffffu);
        s[i] = s[(i + SHIFT) % STATE] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
    }
    rng->index = 0;
}

static uint32_t draw_32(cpl_rng *rng) {
    if (rng->index >= STATE) refill(rng);
    uint32_t y = rng->state[rng->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* 24 bits: what a float holds exactly. */
static float draw_uniform(cpl_rng *rng) { return (float)(draw_32(rng) & 0xffffffu) * 0x1p-24f; }

/* 53 bits of two draws, the first one high. */
static double draw_uniform_53(cpl_rng *rng) {
    uint64_t high = draw_32(rng), low = draw_32(rng);
    return (double)(((high << 32) | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* Box-Muller on a block: the first eight uniforms give the radii, the last eight the angles. Each intermediate is rounded
 * to float where torch rounds it (an exact angle would move the result by up to 1e-6), but the functions themselves are
 * evaluated in double, so that the numbers do not depend on a maths library's float versions. */
static void transform_block(float *a) {
    for (int j = 0; j < BLOCK / 2; j++) {
        float logarithm = (float)log((double)(1.0f - a[j]));
        float radius = (float)sqrt((double)(-2.0f * logarithm)), angle = (float)TWO_PI * a[j + BLOCK / 2];
        a[j] = (float)(radius * cos((double)angle));
        a[j + BLOCK / 2] = (float)(radius * sin((double)angle));
    }
}

static void normal_blocks(cpl_rng *rng, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = draw_uniform(rng);
    size_t whole = count - count % BLOCK;
    for (size_t i = 0; i < whole; i += BLOCK) transform_block(out + i);
    if (whole == count) return;
    /* A rest shorter than a block: the last 16 values are drawn anew, over those already made. */
    float *last = out + count - BLOCK;
    for (int i = 0; i < BLOCK; i++) last[i] = draw_uniform(rng);
    transform_block(last);
}

static double normal_single(cpl_rng *rng) {
    if (rng->has_spare) {
        rng->has_spare = false;
        return rng->spare;
    }
    double u1 = draw_uniform_53(rng), u2 = draw_uniform_53(rng);
    double radius = sqrt(-2.0 * log1p(-u2));
    rng->spare = radius * sin(TWO_PI * u1);
    rng->has_spare = true;
    return radius * cos(TWO_PI * u1);
}

void cpl_rng_normal(cpl_rng *rng, float *out, size_t count) {
    if (rng->is_philox) {
        cpl_philox_normal(rng->philox_seed, rng->philox_call++, out, count);
        return;
    }
    if (count >= BLOCK) {
        normal_blocks(rng, out, count);
        return;
    }
    for (size_t i = 0; i < count; i++) out[i] = (float)normal_single(rng);
}
