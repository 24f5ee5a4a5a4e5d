/* kernels_body.h: the loops of kernels.h, included once per vector width with WIDTH (floats), TARGET (a function
 * attribute) and SUFFIX defined. Vectors are the compiler's own types, so one text serves every width; a tail that is
 * shorter than a vector goes through a padded copy. Arithmetic is in f32; an array's type only decides how a vector is
 * fetched and stored, and is a constant wherever a loop is compiled. No include guard: it is meant to be read several
 * times. */

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define F(name) JOIN(name, SUFFIX) /* a name of this width */
#define INLINE TARGET static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float F(floats) __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t F(ints) __attribute__((vector_size(WIDTH * sizeof(float))));
typedef uint32_t F(words) __attribute__((vector_size(WIDTH * sizeof(float))));
typedef uint16_t F(shorts) __attribute__((vector_size(WIDTH * sizeof(uint16_t))));
typedef float F(half) __attribute__((vector_size(WIDTH / 2 * sizeof(float))));
typedef double F(doubles) __attribute__((vector_size(WIDTH / 2 * sizeof(double))));

INLINE F(floats) F(load)(const float *p) {
    F(floats) v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void F(store)(float *p, F(floats) v) { memcpy(p, &v, sizeof v); }
INLINE F(floats) F(all)(float x) { return x - (F(floats)){0}; } /* not +: -0 + 0 is 0, which costs an addition */
INLINE F(floats) F(choose)(F(ints) mask, F(floats) yes, F(floats) no) {
    return (F(floats))(((F(ints))yes & mask) | ((F(ints))no & ~mask));
}
INLINE F(floats) F(larger)(F(floats) a, F(floats) b) { return F(choose)(a > b, a, b); }

/* e^x to about one unit in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, Taylor to r^7 (the rest is below
 * 6e-9), and n added to the exponent. Below -87 the result is 0 (so that e^-inf is), above 88 it stays at e^88. */
INLINE F(floats) F(exponential)(F(floats) x) {
    const float round_to_integer = 12582912.0f; /* 1.5 * 2^23: adding it leaves the integer in the low bits */
    F(ints) vanishes = x < -87.0f;
    x = F(choose)(vanishes, F(all)(-87.0f), x);
    x = F(choose)(x > 88.0f, F(all)(88.0f), x);
    F(floats) shifted = x * 1.44269504f + round_to_integer;
    F(floats) n = shifted - round_to_integer;
    F(floats) r = x - n * 0.693359375f + n * 2.12194440e-4f; /* ln 2 in two parts: the first product is exact */
    F(floats) p = r * (1.0f / 5040) + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    F(ints) exponent = ((F(ints))shifted - (F(ints))F(all)(round_to_integer)) << 23;
    return (F(floats))(((F(ints))p + exponent) & ~vanishes);
}

INLINE F(floats) F(sigmoid)(F(floats) x) { return 1.0f / (1.0f + F(exponential)(-x)); }

/* x Phi(x) with the error function of Abramowitz and Stegun 7.1.26: off by at most 1.5e-7. */
INLINE F(floats) F(gelu)(F(floats) x) {
    F(floats) z = x * 0.70710678f;
    F(ints) negative = z < 0.0f;
    F(floats) size = F(choose)(negative, -z, z);
    F(floats) t = 1.0f / (1.0f + 0.3275911f * size);
    F(floats) p = t * 1.061405429f - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    F(floats) tail = 0.5f * p * t * F(exponential)(-size * size); /* 1 - Phi(|x|) */
    return x * F(choose)(negative, tail, 1.0f - tail);
}

INLINE F(floats) F(act)(F(floats) x, int activation) {
    switch (activation) {
    case CPL_ACT_SILU:
        return x * F(sigmoid)(x);
    case CPL_ACT_GELU:
        return F(gelu)(x);
    case CPL_ACT_QUICK_GELU:
        return x * F(sigmoid)(1.702f * x);
    default:
        return x;
    }
}

/* ---- Arrays of any type ---- */

/* bf16 is the upper half of an f32. */
INLINE F(floats) F(of_bf16)(F(shorts) h) { return (F(floats))(__builtin_convertvector(h, F(words)) << 16); }

/* To the nearest, ties to even. A NaN stays one: its low bits must not carry it over to infinity. */
INLINE F(shorts) F(to_bf16)(F(floats) v) {
#ifdef NARROW
    return (F(shorts))NARROW(v);
#else
    F(words) bits = (F(words))v, nan = (F(words))(v != v); /* NOLINT(misc-redundant-expression): only a NaN is */
    F(words) rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
    return __builtin_convertvector((rounded & ~nan) | (nan & 0x7FC0u), F(shorts));
#endif
}

/* The exponent is re-biased by a multiplication, which also normalises subnormal halves. */
INLINE F(floats) F(of_f16)(F(shorts) h) {
    F(words) wide = __builtin_convertvector(h, F(words)), endless = (F(words))((wide & 0x7C00u) == 0x7C00u);
    F(words) finite = (F(words))((F(floats))((wide & 0x7FFFu) << 13) * 0x1p112f);
    F(words) infinite = 0x7F800000u | (wide & 0x3FFu) << 13;
    return (F(floats))((finite & ~endless) | (infinite & endless) | (wide & 0x8000u) << 16);
}

/* Values i ... i + WIDTH - 1 of an array. f16 is only ever read: it is a type of files. */
INLINE F(floats) F(get)(const void *p, size_t i, cpl_dtype type) {
    F(shorts) narrow;
    if (type == CPL_F32) return F(load)((const float *)p + i);
    memcpy(&narrow, (const uint16_t *)p + i, sizeof narrow);
    return type == CPL_BF16 ? F(of_bf16)(narrow) : F(of_f16)(narrow);
}
INLINE void F(put)(void *p, size_t i, F(floats) v, cpl_dtype type) {
    if (type == CPL_F32) {
        F(store)((float *)p + i, v);
        return;
    }
    F(shorts) narrow = F(to_bf16)(v);
    memcpy((uint16_t *)p + i, &narrow, sizeof narrow);
}
INLINE F(floats) F(get_part)(const void *p, size_t i, size_t count, cpl_dtype type) {
    float padded[WIDTH] = {0};
    size_t width = type == CPL_F32 ? 4 : 2;
    memcpy(padded, (const char *)p + i * width, count * width);
    return F(get)(padded, 0, type);
}
INLINE void F(put_part)(void *p, size_t i, F(floats) v, size_t count, cpl_dtype type) {
    float padded[WIDTH];
    size_t width = type == CPL_F32 ? 4 : 2;
    F(put)(padded, 0, v, type);
    memcpy((char *)p + i * width, padded, count * width);
}

/* Runs `call` with `constant` for the type, so that each type has a loop of its own. */
#define EACH_TYPE(type, constant, call)                                                                                \
    do {                                                                                                               \
        if ((type) == CPL_F32) {                                                                                       \
            const cpl_dtype constant = CPL_F32;                                                                        \
            call;                                                                                                      \
        } else {                                                                                                       \
            const cpl_dtype constant = CPL_BF16;                                                                       \
            call;                                                                                                      \
        }                                                                                                              \
    } while (0)

INLINE void F(convert_with)(void *y, cpl_dtype y_type, const void *x, cpl_dtype x_type, float scale, size_t count) {
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) F(put)(y, i, scale * F(get)(x, i, x_type), y_type);
    if (i < count) F(put_part)(y, i, scale * F(get_part)(x, i, count - i, x_type), count - i, y_type);
}

TARGET static void F(convert)(void *y, cpl_dtype y_type, const void *x, cpl_dtype x_type, float scale, size_t count) {
    if (x_type == CPL_F16)
        EACH_TYPE(y_type, to, F(convert_with)(y, to, x, CPL_F16, scale, count));
    else
        EACH_TYPE(y_type, to, EACH_TYPE(x_type, from, F(convert_with)(y, to, x, from, scale, count)));
}

/* ---- Values that stand for themselves ---- */

INLINE void F(activate_with)(void *y, const void *x, size_t count, int activation, cpl_dtype type) {
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) F(put)(y, i, F(act)(F(get)(x, i, type), activation), type);
    if (i < count) F(put_part)(y, i, F(act)(F(get_part)(x, i, count - i, type), activation), count - i, type);
}

/* One loop per activation: the choice stays out of the loop. */
TARGET static void F(activate)(void *y, const void *x, size_t count, int activation, cpl_dtype type) {
    switch (activation) {
    case CPL_ACT_SILU:
        EACH_TYPE(type, t, F(activate_with)(y, x, count, CPL_ACT_SILU, t));
        break;
    case CPL_ACT_GELU:
        EACH_TYPE(type, t, F(activate_with)(y, x, count, CPL_ACT_GELU, t));
        break;
    case CPL_ACT_QUICK_GELU:
        EACH_TYPE(type, t, F(activate_with)(y, x, count, CPL_ACT_QUICK_GELU, t));
        break;
    default:
        EACH_TYPE(type, t, F(activate_with)(y, x, count, CPL_ACT_NONE, t));
    }
}

INLINE void F(geglu_with)(void *y, const void *x, size_t c, cpl_dtype type) {
    size_t i = 0;
    for (; i + WIDTH <= c; i += WIDTH) F(put)(y, i, F(get)(x, i, type) * F(gelu)(F(get)(x, c + i, type)), type);
    if (i == c) return;
    F(floats) gate = F(gelu)(F(get_part)(x, c + i, c - i, type));
    F(put_part)(y, i, F(get_part)(x, i, c - i, type) * gate, c - i, type);
}
TARGET static void F(geglu)(void *y, const void *x, size_t c, cpl_dtype type) {
    EACH_TYPE(type, t, F(geglu_with)(y, x, c, t));
}

INLINE void F(scale_add_with)(void *y, cpl_dtype y_type, float alpha, const void *a, cpl_dtype a_type, float beta,
                              const void *b, cpl_dtype b_type, size_t count) {
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        F(put)(y, i, alpha * F(get)(a, i, a_type) + beta * F(get)(b, i, b_type), y_type);
    if (i == count) return;
    F(floats) last = alpha * F(get_part)(a, i, count - i, a_type);
    last += beta * F(get_part)(b, i, count - i, b_type);
    F(put_part)(y, i, last, count - i, y_type);
}
TARGET static void F(scale_add)(void *y, cpl_dtype y_type, float alpha, const void *a, cpl_dtype a_type, float beta,
                                const void *b, cpl_dtype b_type, size_t count) {
    EACH_TYPE(y_type, ty,
              EACH_TYPE(a_type, ta, EACH_TYPE(b_type, tb, F(scale_add_with)(y, ty, alpha, a, ta, beta, b, tb, count))));
}

/* ---- Norms ---- */

typedef struct F(wide) { /* one vector of floats as doubles */
    F(doubles) low, high;
} F(wide);

INLINE F(wide) F(widen)(F(floats) v) {
    F(half) part[2];
    memcpy(part, &v, sizeof part);
    return (F(wide)){__builtin_convertvector(part[0], F(doubles)), __builtin_convertvector(part[1], F(doubles))};
}
INLINE double F(total)(F(wide) v) {
    double sum = 0;
    for (int j = 0; j < WIDTH / 2; j++) sum += v.low[j] + v.high[j];
    return sum;
}
INLINE void F(add_to)(double *p, F(wide) v, size_t count) {
    for (size_t j = 0; j < count; j++) p[j] += j < WIDTH / 2 ? v.low[j] : v.high[j - WIDTH / 2];
}

INLINE void F(column_sums)(const void *x, const float *shift, size_t rows, size_t c, size_t at, size_t count,
                           double *sum, double *square, cpl_dtype type) {
    F(floats) moved = {0};
    F(wide) sums = {{0}, {0}}, squares = {{0}, {0}};
    bool whole = count == WIDTH;
    if (shift) moved = whole ? F(load)(shift + at) : F(get_part)(shift, at, count, CPL_F32);
    for (size_t i = at, end = at + rows * c; i != end; i += c) {
        F(floats) v = (whole ? F(get)(x, i, type) : F(get_part)(x, i, count, type)) + moved;
        F(wide) w = F(widen)(v);
        sums.low += w.low;
        sums.high += w.high;
        squares.low += w.low * w.low;
        squares.high += w.high * w.high;
    }
    F(add_to)(sum + at, sums, count);
    F(add_to)(square + at, squares, count);
}

/* Sums in f64: with a mean far above the deviation, or values near 1e-4, f32 sums of squares lose the variance. A
 * column of channels stays in registers while the rows go by. */
INLINE void F(channel_sums_with)(const void *x, const float *shift, size_t rows, size_t c, double *sum, double *square,
                                 cpl_dtype type) {
    size_t i = 0;
    for (; i + WIDTH <= c; i += WIDTH) F(column_sums)(x, shift, rows, c, i, WIDTH, sum, square, type);
    if (i < c) F(column_sums)(x, shift, rows, c, i, c - i, sum, square, type);
}
TARGET static void F(channel_sums)(const void *x, const float *shift, size_t rows, size_t c, double *sum,
                                   double *square, cpl_dtype type) {
    EACH_TYPE(type, t, F(channel_sums_with)(x, shift, rows, c, sum, square, t));
}

INLINE void F(normalize_with)(void *y, const void *x, size_t rows, size_t c, const float *mean, const float *scale,
                              const float *offset, int activation, cpl_dtype type) {
    for (size_t row = 0, first = 0; row < rows; row++, first += c) {
        size_t i = 0;
        for (; i + WIDTH <= c; i += WIDTH) {
            F(floats) v = F(get)(x, first + i, type) - F(load)(mean + i);
            v = v * F(load)(scale + i) + F(load)(offset + i);
            F(put)(y, first + i, F(act)(v, activation), type);
        }
        if (i == c) continue;
        size_t n = c - i;
        F(floats) v = F(get_part)(x, first + i, n, type) - F(get_part)(mean, i, n, CPL_F32);
        v = v * F(get_part)(scale, i, n, CPL_F32) + F(get_part)(offset, i, n, CPL_F32);
        F(put_part)(y, first + i, F(act)(v, activation), n, type);
    }
}
TARGET static void F(normalize)(void *y, const void *x, size_t rows, size_t c, const float *mean, const float *scale,
                                const float *offset, bool silu, cpl_dtype type) {
    if (silu)
        EACH_TYPE(type, t, F(normalize_with)(y, x, rows, c, mean, scale, offset, CPL_ACT_SILU, t));
    else
        EACH_TYPE(type, t, F(normalize_with)(y, x, rows, c, mean, scale, offset, CPL_ACT_NONE, t));
}

/* Two passes, the second over what the first has brought into the cache: exact for rows far from zero, too. */
INLINE void F(layer_norm_with)(void *y, const void *x, size_t c, const float *gamma, const float *beta, float eps,
                               cpl_dtype type) {
    F(wide) sums = {{0}, {0}}, squares = {{0}, {0}};
    size_t whole = c / WIDTH * WIDTH, rest = c - whole;
    for (size_t i = 0; i < whole; i += WIDTH) {
        F(wide) v = F(widen)(F(get)(x, i, type));
        sums.low += v.low;
        sums.high += v.high;
    }
    F(floats) last = {0};
    if (rest) last = F(get_part)(x, whole, rest, type);
    double mean = F(total)(sums), variance = 0;
    for (size_t j = 0; j < rest; j++) mean += (double)last[j];
    mean /= (double)c;

    for (size_t i = 0; i < whole; i += WIDTH) {
        F(wide) v = F(widen)(F(get)(x, i, type));
        F(doubles) low = v.low - mean, high = v.high - mean;
        squares.low += low * low;
        squares.high += high * high;
    }
    variance = F(total)(squares);
    for (size_t j = 0; j < rest; j++) variance += ((double)last[j] - mean) * ((double)last[j] - mean);
    double factor = 1.0 / sqrt(variance / (double)c + (double)eps);
    float scale = (float)factor, middle = (float)mean, lost = (float)(((double)middle - mean) * factor);

    for (size_t i = 0; i < whole; i += WIDTH) {
        F(floats) v = (F(get)(x, i, type) - middle) * scale + lost;
        F(put)(y, i, v * F(load)(gamma + i) + F(load)(beta + i), type);
    }
    if (!rest) return;
    last = (last - middle) * scale + lost;
    last = last * F(get_part)(gamma, whole, rest, CPL_F32) + F(get_part)(beta, whole, rest, CPL_F32);
    F(put_part)(y, whole, last, rest, type);
}
TARGET static void F(layer_norm)(void *y, const void *x, size_t c, const float *gamma, const float *beta, float eps,
                                 cpl_dtype type) {
    EACH_TYPE(type, t, F(layer_norm_with)(y, x, c, gamma, beta, eps, t));
}

static const cpu_kernels F(kernels) = {
    .name = KERNEL_NAME,
    .convert = F(convert),
    .activate = F(activate),
    .geglu = F(geglu),
    .scale_add = F(scale_add),
    .channel_sums = F(channel_sums),
    .normalize = F(normalize),
    .layer_norm = F(layer_norm),
};

#undef JOIN2
#undef JOIN
#undef F
#undef INLINE
#undef UNROLL
#undef EACH_TYPE
