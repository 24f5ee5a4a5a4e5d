/* st_convert.c: widens the types of a safetensors file to f32 and to 64-bit whole numbers. Exact wherever the value fits. */
#include "st_convert.h"

#include <stdbool.h>
#include <string.h>

#define PLAIN(name, from, to)                                                                                          \
    static void name(void *out, const void *in, size_t count) {                                                        \
        const from *x = in;                                                                                            \
        to *y = out;                                                                                                   \
        for (size_t i = 0; i < count; i++) y[i] = (to)x[i];                                                            \
    }
PLAIN(f64_f32, double, float)
PLAIN(i64_f32, int64_t, float)
PLAIN(u64_f32, uint64_t, float)
PLAIN(i32_f32, int32_t, float)
PLAIN(u32_f32, uint32_t, float)
PLAIN(i16_f32, int16_t, float)
PLAIN(u16_f32, uint16_t, float)
PLAIN(i8_f32, int8_t, float)
PLAIN(u8_f32, uint8_t, float)
PLAIN(u64_i64, uint64_t, int64_t)
PLAIN(i32_i64, int32_t, int64_t)
PLAIN(u32_i64, uint32_t, int64_t)
PLAIN(i16_i64, int16_t, int64_t)
PLAIN(u16_i64, uint16_t, int64_t)
PLAIN(i8_i64, int8_t, int64_t)
PLAIN(u8_i64, uint8_t, int64_t)

static void f32_f32(void *out, const void *in, size_t count) { memcpy(out, in, count * sizeof(float)); }
static void i64_i64(void *out, const void *in, size_t count) { memcpy(out, in, count * sizeof(int64_t)); }

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The exponent is re-biased by a multiplication, which also normalises subnormal halves; only infinities and NaN need
 * their exponent set by hand. */
static float half(uint16_t h) {
    float value = from_bits((uint32_t)(h & 0x7FFF) << 13) * 0x1p112F;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((h & 0x7C00) == 0x7C00) bits = 0x7F800000U | (uint32_t)(h & 0x3FF) << 13;
    return from_bits(bits | (uint32_t)(h & 0x8000) << 16);
}

static void f16_f32(void *out, const void *in, size_t count) {
    const uint16_t *x = in;
    float *y = out;
    for (size_t i = 0; i < count; i++) y[i] = half(x[i]);
}

static void bf16_f32(void *out, const void *in, size_t count) {
    const uint16_t *x = in;
    float *y = out;
    for (size_t i = 0; i < count; i++) y[i] = from_bits((uint32_t)x[i] << 16);
}

/* E5M2 is the upper half of a half. */
static void f8_e5m2_f32(void *out, const void *in, size_t count) {
    const uint8_t *x = in;
    float *y = out;
    for (size_t i = 0; i < count; i++) y[i] = half((uint16_t)(x[i] << 8));
}

/* E4M3 (the "fn" kind): bias 7, no infinities, only S.1111.111 is NaN. */
static void f8_e4m3_f32(void *out, const void *in, size_t count) {
    const uint8_t *x = in;
    float *y = out;
    for (size_t i = 0; i < count; i++) {
        float value = from_bits((uint32_t)(x[i] & 0x7F) << 20) * 0x1p120F;
        if ((x[i] & 0x7F) == 0x7F) value = from_bits(0x7FC00000U);
        y[i] = x[i] & 0x80 ? -value : value;
    }
}

static const struct {
    const char *dtype;
    st_convert *f32, *i64;
} table[] = {
    {"F64", f64_f32, NULL},    {"F32", f32_f32, NULL},         {"F16", f16_f32, NULL},
    {"BF16", bf16_f32, NULL},  {"F8_E5M2", f8_e5m2_f32, NULL}, {"F8_E4M3", f8_e4m3_f32, NULL},
    {"I64", i64_f32, i64_i64}, {"U64", u64_f32, u64_i64},      {"I32", i32_f32, i32_i64},
    {"U32", u32_f32, u32_i64}, {"I16", i16_f32, i16_i64},      {"U16", u16_f32, u16_i64},
    {"I8", i8_f32, i8_i64},    {"U8", u8_f32, u8_i64},         {"BOOL", u8_f32, u8_i64},
};

st_convert *cpl_st_to_f32(const char *dtype) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].dtype, dtype)) return table[i].f32;
    return NULL;
}

st_convert *cpl_st_to_i64(const char *dtype) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].dtype, dtype)) return table[i].i64;
    return NULL;
}
