/* attend.c: compiles attend_body.h for each vector width and type and picks one, as kernels.c does; and turns tiles of
 * queries and results around. */
#include "attend.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define WIDTH 4
#define COLUMNS 2
#define TARGET
#define SUFFIX base
#define KERNEL_NAME "base"
#if defined(__x86_64__)
#define LARGER(a, b) ((floats_base)_mm_max_ps((__m128)(a), (__m128)(b)))
#else
#define LARGER(a, b) ((floats_base)(((ints_base)(a) & ((a) > (b))) | ((ints_base)(b) & ~((a) > (b)))))
#endif
#include "attend_body.h"
#undef WIDTH
#undef COLUMNS
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME
#undef LARGER

#if defined(__x86_64__)

#define WIDTH 8
#define COLUMNS 2
#define TARGET __attribute__((target("avx2,fma")))
#define SUFFIX avx2
#define KERNEL_NAME "avx2"
#define LARGER(a, b) ((floats_avx2)_mm256_max_ps((__m256)(a), (__m256)(b)))
#include "attend_body.h"
#undef WIDTH
#undef COLUMNS
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME
#undef LARGER

#define WIDTH 16
#define COLUMNS 4
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")))
#define SUFFIX avx512
#define KERNEL_NAME "avx512"
#define LARGER(a, b) ((floats_avx512)_mm512_max_ps((__m512)(a), (__m512)(b)))
#include "attend_body.h"
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME
#undef LARGER

#define TARGET __attribute__((target("avx512bf16,avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")))
#define SUFFIX bf16
#define KERNEL_NAME "avx512 bf16"
#define LARGER(a, b) ((floats_bf16)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define DOT(sum, a, b) ((floats_bf16)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(a), (__m512bh)(b)))
#define WIDE                                                                                                           \
    static inline __attribute__((target("avx512bf16,avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"), always_inline))

/* How two rows of halves are zipped: first, first + second, first + 1, first + 1 + second ... */
WIDE __m512i zip_order(int first, int second) {
    const __m512i ones = _mm512_set1_epi32(0x10001);
    const __m512i count = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_add_epi32(_mm512_mullo_epi32(count, ones), _mm512_set1_epi32((first + second) << 16 | first));
}

/* Rounded to the nearest, the value of the lower key in the lower half of each word. */
WIDE __m512i pair_of(__m512 low, __m512 high) {
    return _mm512_permutexvar_epi16(zip_order(0, 16), (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* 2^x for x <= 0. It is rounded to 8 bits: a polynomial of degree 3, which is off by 8e-5 of it, is as good as any. */
WIDE __m512 power_of_weight(__m512 x) {
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), r = _mm512_sub_ps(x, whole);
    __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(0.0551716276f), _mm512_set1_ps(0.24261114f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693260968f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.999928057f));
    return _mm512_scalef_ps(p, whole);
}

/* Of up to 32 channels of two rows, from the first on. */
WIDE void zip_rows(uint32_t *to, const uint16_t *low, const uint16_t *high, int count) {
    __mmask32 there = count < 32 ? (1u << count) - 1 : ~0u;
    __m512i a = _mm512_maskz_loadu_epi16(there, low), b = _mm512_maskz_loadu_epi16(there, high);
    _mm512_mask_storeu_epi32(to, (__mmask16)there, _mm512_permutex2var_epi16(a, zip_order(0, 32), b));
    _mm512_mask_storeu_epi32(to + 16, (__mmask16)(there >> 16), _mm512_permutex2var_epi16(a, zip_order(16, 32), b));
}

#define PAIR(low, high) ((words_bf16)pair_of((__m512)(low), (__m512)(high)))
#define POWER(x) ((floats_bf16)power_of_weight((__m512)(x)))
#define ZIP_ROWS(to, low, high, count) zip_rows(to, low, high, count)
#include "attend_body.h"
#undef WIDTH
#undef COLUMNS
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME
#undef LARGER
#undef DOT
#undef PAIR
#undef POWER
#undef ZIP_ROWS

#endif

int cpu_attend_all(const cpu_attend_kernels *list[], int room) {
    int count = 0;
    if (count < room) list[count++] = &attend_kernels_base;
#if defined(__x86_64__)
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    if (count < room && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        list[count++] = &attend_kernels_avx2;
    if (count < room && wide) list[count++] = &attend_kernels_avx512;
    if (count < room && wide && __builtin_cpu_supports("avx512bf16")) list[count++] = &attend_kernels_bf16;
#endif
    return count;
}

const cpu_attend_kernels *cpu_attend_pick(bool bf16) {
    const cpu_attend_kernels *list[4] = {NULL}, *best = NULL;
    int count = cpu_attend_all(list, 4);
    for (int i = 0; i < count; i++)
        if (list[i]->bf16 == bf16) best = list[i];
    return best;
}

/* ---- Turning ---- */

/* Four by four words: any x86-64 has the shuffles, and memory is the limit. */
typedef uint32_t four __attribute__((vector_size(16)));

static inline four load(const void *p) {
    four v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void store(void *p, four v) { memcpy(p, &v, sizeof v); }

static inline void turn_four(four *a, four *b, four *c, four *d) {
    four low_ab = __builtin_shufflevector(*a, *b, 0, 4, 1, 5), high_ab = __builtin_shufflevector(*a, *b, 2, 6, 3, 7);
    four low_cd = __builtin_shufflevector(*c, *d, 0, 4, 1, 5), high_cd = __builtin_shufflevector(*c, *d, 2, 6, 3, 7);
    *a = __builtin_shufflevector(low_ab, low_cd, 0, 1, 4, 5);
    *b = __builtin_shufflevector(low_ab, low_cd, 2, 3, 6, 7);
    *c = __builtin_shufflevector(high_ab, high_cd, 0, 1, 4, 5);
    *d = __builtin_shufflevector(high_ab, high_cd, 2, 3, 6, 7);
}

void cpu_attend_turn(cpu_word *to, const cpu_word *const row[CPU_ATTEND_QUERIES], int queries, int words) {
    for (int i = 0; i < queries; i += 4) {
        int w = 0;
        for (; w + 4 <= words; w += 4) {
            four a = load(row[i] + w), b = load(row[i + 1] + w), c = load(row[i + 2] + w), d = load(row[i + 3] + w);
            cpu_word *at = to + w * CPU_ATTEND_QUERIES + i;
            turn_four(&a, &b, &c, &d);
            store(at, a);
            store(at + CPU_ATTEND_QUERIES, b);
            store(at + 2 * CPU_ATTEND_QUERIES, c);
            store(at + 3 * CPU_ATTEND_QUERIES, d);
        }
        for (; w < words; w++)
            for (int j = 0; j < 4; j++) to[w * CPU_ATTEND_QUERIES + i + j] = row[i + j][w];
    }
}

void cpu_attend_turn_back(cpu_word *const row[CPU_ATTEND_QUERIES], const cpu_word *from, int queries, int words) {
    int i = 0;
    for (; i + 4 <= queries; i += 4) {
        int w = 0;
        for (; w + 4 <= words; w += 4) {
            const cpu_word *at = from + w * CPU_ATTEND_QUERIES + i;
            four a = load(at), b = load(at + CPU_ATTEND_QUERIES), c = load(at + 2 * CPU_ATTEND_QUERIES),
                 d = load(at + 3 * CPU_ATTEND_QUERIES);
            turn_four(&a, &b, &c, &d);
            store(row[i] + w, a);
            store(row[i + 1] + w, b);
            store(row[i + 2] + w, c);
            store(row[i + 3] + w, d);
        }
        for (; w < words; w++)
            for (int j = 0; j < 4; j++) row[i + j][w] = from[w * CPU_ATTEND_QUERIES + i + j];
    }
    for (; i < queries; i++)
        for (int w = 0; w < words; w++) row[i][w] = from[w * CPU_ATTEND_QUERIES + i];
}
