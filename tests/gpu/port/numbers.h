/* numbers.h: 16-bit floating-point numbers in integer arithmetic, rounded to the nearest even one as a device rounds. */
#ifndef EMULATED_NUMBERS_H
#define EMULATED_NUMBERS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float emulated_float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint32_t emulated_bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float emulated_bfloat_to_float(uint16_t bits) { return emulated_float_of((uint32_t)bits << 16); }
static inline uint16_t emulated_float_to_bfloat(float value) {
    uint32_t bits = emulated_bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Exponent and fraction in a float's place are 2^112 too small, subnormal numbers too. */
static inline float emulated_half_to_float(uint16_t bits) {
    uint32_t size = (uint32_t)(bits & 0x7fff) << 13, sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t wide = size >= 0x0f800000 ? size | 0x7f800000 : emulated_bits_of(emulated_float_of(size) * 0x1p112f);
    return emulated_float_of(wide | sign);
}
static inline uint16_t emulated_float_to_half(float value) {
    uint32_t bits = emulated_bits_of(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    float size = fabsf(value);
    if (isnan(value)) return 0x7fff;
    if (size >= 65520.0f) return (uint16_t)(sign | 0x7c00);
    if (size < 0x1p-14f) return (uint16_t)(sign | (uint16_t)lrintf(size * 0x1p24f));
    uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000) >> 13));
}

#endif
