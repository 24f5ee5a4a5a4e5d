/* zeros.h: passing over zeros, of which masks mostly are. */
#ifndef CPL_MEMORY_ZEROS_H
#define CPL_MEMORY_ZEROS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* From `at` on, to the next value below `count` that may not be +0: four are looked at at once, so it may be one. */
static inline size_t cpl_skip_zeros(const float *values, size_t at, size_t count) {
    for (; at + 4 <= count; at += 4) {
        uint64_t bits[2];
        memcpy(bits, values + at, sizeof bits);
        if (bits[0] | bits[1]) break;
    }
    return at;
}

#endif
