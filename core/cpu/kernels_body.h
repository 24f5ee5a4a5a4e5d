/* kernels_body.h: the loops of kernels.h, included once per vector width with WIDTH (floats), TARGET (a function
 * attribute) and SUFFIX defined. Vectors are the compiler's own types, so one text serves every width; a tail that is
 * shorter than a vector goes through a padded copy. No include guard: it is meant to be read several times. */

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

INLINE F(floats) F(load_part)(const float *p, size_t count) {
    float padded[WIDTH] = {0};
    memcpy(padded, p, count * sizeof(float));
    return F(load)(padded);
}
INLINE void F(store_part)(float *p, F(floats) v, size_t count) {
    float padded[WIDTH];
    F(store)(padded, v);
    memcpy(p, padded, count * sizeof(float));
}

INLINE void F(activate_with)(float *y, const float *x, size_t count, int activation) {
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) F(store)(y + i, F(act)(F(load)(x + i), activation));
    if (i < count) F(store_part)(y + i, F(act)(F(load_part)(x + i, count - i), activation), count - i);
}

/* One loop per activation: the choice stays out of the loop. */
TARGET static void F(activate)(float *y, const float *x, size_t count, int activation) {
    switch (activation) {
    case CPL_ACT_SILU:
        F(activate_with)(y, x, count, CPL_ACT_SILU);
        break;
    case CPL_ACT_GELU:
        F(activate_with)(y, x, count, CPL_ACT_GELU);
        break;
    case CPL_ACT_QUICK_GELU:
        F(activate_with)(y, x, count, CPL_ACT_QUICK_GELU);
        break;
    default:
        memmove(y, x, count * sizeof(float));
    }
}

TARGET static void F(geglu)(float *y, const float *x, size_t c) {
    const float *gate = x + c;
    size_t i = 0;
    for (; i + WIDTH <= c; i += WIDTH) F(store)(y + i, F(load)(x + i) * F(gelu)(F(load)(gate + i)));
    if (i < c) F(store_part)(y + i, F(load_part)(x + i, c - i) * F(gelu)(F(load_part)(gate + i, c - i)), c - i);
}

TARGET static void F(scale_add)(float *y, float alpha, const float *a, float beta, const float *b, size_t count) {
    size_t i = 0;
    if (b)
        for (; i + WIDTH <= count; i += WIDTH) F(store)(y + i, alpha * F(load)(a + i) + beta * F(load)(b + i));
    else
        for (; i + WIDTH <= count; i += WIDTH) F(store)(y + i, alpha * F(load)(a + i));
    if (i == count) return;
    F(floats) last = alpha * F(load_part)(a + i, count - i);
    if (b) last += beta * F(load_part)(b + i, count - i);
    F(store_part)(y + i, last, count - i);
}

/* ---- Norms ---- */

INLINE F(doubles) F(widen)(const float *p) {
    F(half) v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, F(doubles));
}
INLINE F(half) F(load_half)(const float *p) {
    F(half) v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Sums in f64: with a mean far above the deviation, or values near 1e-4, f32 sums of squares lose the variance. A
 * column of channels stays in registers while the rows go by. */
TARGET static void F(channel_sums)(const float *x, const float *shift, size_t rows, size_t c, double *sum,
                                   double *square) {
    enum { COLUMN = WIDTH / 2 };
    size_t i = 0;
    for (; i + 2 * COLUMN <= c; i += 2 * COLUMN) {
        F(half) shift0 = {0}, shift1 = {0};
        if (shift) {
            shift0 = F(load_half)(shift + i);
            shift1 = F(load_half)(shift + i + COLUMN);
        }
        F(doubles) sum0 = {0}, sum1 = {0}, square0 = {0}, square1 = {0};
        for (const float *row = x + i, *end = row + rows * c; row != end; row += c) {
            F(doubles) v0 = __builtin_convertvector(F(load_half)(row) + shift0, F(doubles));
            F(doubles) v1 = __builtin_convertvector(F(load_half)(row + COLUMN) + shift1, F(doubles));
            sum0 += v0;
            sum1 += v1;
            square0 += v0 * v0;
            square1 += v1 * v1;
        }
        for (size_t j = 0; j < COLUMN; j++) {
            sum[i + j] += sum0[j];
            sum[i + COLUMN + j] += sum1[j];
            square[i + j] += square0[j];
            square[i + COLUMN + j] += square1[j];
        }
    }
    for (; i < c; i++)
        for (size_t row = 0; row < rows; row++) {
            double v = (double)(x[row * c + i] + (shift ? shift[i] : 0.0f));
            sum[i] += v;
            square[i] += v * v;
        }
}

INLINE void F(normalize_row)(float *y, const float *x, size_t c, const float *mean, const float *scale,
                             const float *offset, int activation) {
    size_t i = 0;
    for (; i + WIDTH <= c; i += WIDTH) {
        F(floats) v = (F(load)(x + i) - F(load)(mean + i)) * F(load)(scale + i) + F(load)(offset + i);
        F(store)(y + i, F(act)(v, activation));
    }
    if (i == c) return;
    size_t n = c - i;
    F(floats)
    v = (F(load_part)(x + i, n) - F(load_part)(mean + i, n)) * F(load_part)(scale + i, n) + F(load_part)(offset + i, n);
    F(store_part)(y + i, F(act)(v, activation), n);
}

TARGET static void F(normalize)(float *y, const float *x, size_t rows, size_t c, const float *mean, const float *scale,
                                const float *offset, bool silu) {
    if (silu)
        for (size_t row = 0; row < rows; row++)
            F(normalize_row)(y + row * c, x + row * c, c, mean, scale, offset, CPL_ACT_SILU);
    else
        for (size_t row = 0; row < rows; row++)
            F(normalize_row)(y + row * c, x + row * c, c, mean, scale, offset, CPL_ACT_NONE);
}

/* Two passes, the second over what the first has brought into the cache: exact for rows far from zero, too. */
TARGET static void F(layer_norm)(float *y, const float *x, size_t c, const float *gamma, const float *beta, float eps) {
    enum { COLUMN = WIDTH / 2 };
    F(doubles) sum0 = {0}, sum1 = {0}, square0 = {0}, square1 = {0};
    size_t i = 0;
    for (; i + WIDTH <= c; i += WIDTH) {
        sum0 += F(widen)(x + i);
        sum1 += F(widen)(x + i + COLUMN);
    }
    double mean = 0, variance = 0;
    for (int j = 0; j < COLUMN; j++) mean += sum0[j] + sum1[j];
    for (; i < c; i++) mean += (double)x[i];
    mean /= (double)c;

    for (i = 0; i + WIDTH <= c; i += WIDTH) {
        F(doubles) distance0 = F(widen)(x + i) - mean, distance1 = F(widen)(x + i + COLUMN) - mean;
        square0 += distance0 * distance0;
        square1 += distance1 * distance1;
    }
    for (int j = 0; j < COLUMN; j++) variance += square0[j] + square1[j];
    for (; i < c; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean);
    double factor = 1.0 / sqrt(variance / (double)c + (double)eps);
    float scale = (float)factor, middle = (float)mean, rest = (float)(((double)middle - mean) * factor);

    for (i = 0; i + WIDTH <= c; i += WIDTH)
        F(store)(y + i, ((F(load)(x + i) - middle) * scale + rest) * F(load)(gamma + i) + F(load)(beta + i));
    for (; i < c; i++) y[i] = ((x[i] - middle) * scale + rest) * gamma[i] + beta[i];
}

/* ---- Attention ---- */

/* 6 rows by one or two vectors of c (+)= a b: as many sums as sixteen registers hold beside their operands. */
INLINE void F(product_block)(int depth, const float *a, int a_row, const float *b, int b_row, float *c, int c_row,
                             int columns, bool accumulate) {
    F(floats) sum[6][2];
    UNROLL for (int i = 0; i < 6; i++) {
        UNROLL for (int j = 0; j < columns; j++) sum[i][j] =
            accumulate ? F(load)(c + i * c_row + j * WIDTH) : (F(floats)){0};
    }
    for (int k = 0; k < depth; k++) {
        F(floats) b0 = F(load)(b), b1 = columns > 1 ? F(load)(b + WIDTH) : (F(floats)){0};
        UNROLL for (int i = 0; i < 6; i++) {
            F(floats) left = F(all)(a[i * a_row + k]);
            sum[i][0] += left * b0;
            if (columns > 1) sum[i][1] += left * b1;
        }
        b += b_row;
    }
    UNROLL for (int i = 0; i < 6; i++) {
        UNROLL for (int j = 0; j < columns; j++) F(store)(c + i * c_row + j * WIDTH, sum[i][j]);
    }
}

/* rows are rounded up to 6 and columns to the vector: the arrays have room for that. */
TARGET static void F(product)(int rows, int columns, int depth, const float *a, int a_row, const float *b, int b_row,
                              float *c, int c_row, bool accumulate) {
    for (int j = 0; j < columns; j += 2 * WIDTH)
        for (int i = 0; i < rows; i += 6)
            if (columns - j > WIDTH)
                F(product_block)(depth, a + i * a_row, a_row, b + j, b_row, c + i * c_row + j, c_row, 2, accumulate);
            else
                F(product_block)(depth, a + i * a_row, a_row, b + j, b_row, c + i * c_row + j, c_row, 1, accumulate);
}

/* Turns the scores of a row into e^(score - top) and returns their sum; `top` rises to the largest score so far. */
INLINE float F(soften)(float *score, int count, float *top) {
    int padded = (count + WIDTH - 1) / WIDTH * WIDTH;
    for (int i = count; i < padded; i++) score[i] = -INFINITY;
    F(floats) best = F(all)(*top), sums = {0};
    for (int i = 0; i < padded; i += WIDTH) best = F(larger)(F(load)(score + i), best);
    for (int i = 0; i < WIDTH; i++)
        if (best[i] > *top) *top = best[i];
    for (int i = 0; i < padded; i += WIDTH) {
        F(floats) weight = F(exponential)(F(load)(score + i) - *top);
        F(store)(score + i, weight);
        sums += weight;
    }
    float sum = 0;
    for (int i = 0; i < WIDTH; i++) sum += sums[i];
    return sum;
}

INLINE void F(scale_row)(float *row, int count, float factor) {
    for (int i = 0; i < count; i += WIDTH) F(store)(row + i, F(load)(row + i) * factor);
}

/* Keys go by in blocks; when a block has a larger score than all before, what has been summed is scaled down. So no
 * row of scores is ever held whole, however long the text or the picture. */
TARGET static void F(attend)(const cpu_tile *t) {
    int padded = (t->depth + CPU_DEPTH_STEP - 1) / CPU_DEPTH_STEP * CPU_DEPTH_STEP;
    float top[CPU_TILE_ROWS], sum[CPU_TILE_ROWS];
    for (int i = 0; i < t->rows; i++) {
        top[i] = -1e30f; /* finite, so that a row whose scores are all masked gives e^-inf and not NaN */
        sum[i] = 0;
    }
    int last_key = t->first_query < 0 ? t->keys : t->first_query + t->rows;
    if (last_key > t->keys) last_key = t->keys;
    for (int first = 0; first < last_key; first += CPU_TILE_KEYS) {
        int count = last_key - first < CPU_TILE_KEYS ? last_key - first : CPU_TILE_KEYS;
        F(product)
        (t->rows, count, t->depth, t->q, t->depth, t->k + (size_t)first * (size_t)t->depth, CPU_TILE_KEYS, t->score,
         CPU_TILE_KEYS, false);
        for (int i = 0; i < t->rows; i++) {
            float *score = t->score + i * CPU_TILE_KEYS, before = top[i];
            int visible = t->first_query < 0 ? count : t->first_query + i + 1 - first;
            for (int j = visible < 0 ? 0 : visible; j < count; j++) score[j] = -INFINITY;
            float added = F(soften)(score, count, &top[i]);
            if (first > 0 && top[i] > before) {
                float factor = expf(before - top[i]);
                sum[i] *= factor;
                F(scale_row)(t->out + i * padded, padded, factor);
            }
            sum[i] += added;
        }
        F(product)
        (t->rows, padded, count, t->score, CPU_TILE_KEYS, t->v + (size_t)first * (size_t)padded, padded, t->out, padded,
         first > 0);
    }
    for (int i = 0; i < t->rows; i++) F(scale_row)(t->out + i * padded, padded, 1.0f / sum[i]);
}

static const cpu_kernels F(kernels) = {
    .name = KERNEL_NAME,
    .activate = F(activate),
    .geglu = F(geglu),
    .scale_add = F(scale_add),
    .channel_sums = F(channel_sums),
    .normalize = F(normalize),
    .layer_norm = F(layer_norm),
    .attend = F(attend),
};

#undef JOIN2
#undef JOIN
#undef F
#undef INLINE
#undef UNROLL
