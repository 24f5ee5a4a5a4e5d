/* philox.c: normal numbers of the counter-based generator Philox 4x32-10, as Forge draws them for its "NV" source. There is no
 * state: a value is found from the seed, the number of the call and its own place. */
#include <math.h>

#include "rng.h"

enum { ROUNDS = 10 };

/* The cipher: a 128-bit counter stirred under a 64-bit key that is advanced between the rounds. */
static void philox_4x32(uint32_t counter[4], uint32_t low, uint32_t high) {
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t a = (uint64_t)counter[0] * 0xd2511f53u, b = (uint64_t)counter[2] * 0xcd9e8d57u;
        counter[0] = (uint32_t)(b >> 32) ^ counter[1] ^ low;
        counter[1] = (uint32_t)b;
        counter[2] = (uint32_t)(a >> 32) ^ counter[3] ^ high;
        counter[3] = (uint32_t)a;
        low += 0x9e3779b9u;
        high += 0xbb67ae85u;
    }
}

void cpl_philox_normal(uint64_t seed, uint32_t call, float *out, size_t count) {
    /* 2^-32 and 2 pi 2^-32, cut to float as the reference has them; the half steps keep the logarithm off 0. */
    const float unit = 2.3283064e-10f, turn = 2.3283064e-10f * 6.2831855f;
    for (size_t i = 0; i < count; i++) {
        uint32_t g[4] = {call, 0, (uint32_t)i, 0};
        philox_4x32(g, (uint32_t)seed, (uint32_t)(seed >> 32));
        double u = g[0] * (double)unit + (double)(unit / 2), angle = g[1] * (double)turn + (double)(turn / 2);
        out[i] = (float)(sqrt(-2 * log(u)) * sin(angle)); /* of each pair only the sine is used */
    }
}
