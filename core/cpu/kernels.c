/* kernels.c: compiles kernels_body.h for each vector width and picks one. The program must run on any x86-64 (and
 * elsewhere), so wider instructions are a choice at run time, not of the build. */
#include "kernels.h"

#include "../backend.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <stdint.h>
#include <string.h>

#define WIDTH 4
#define TARGET
#define SUFFIX base
#define KERNEL_NAME "base"
#include "kernels_body.h"
#undef WIDTH
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME

#if defined(__x86_64__)

#define WIDTH 8
#define TARGET __attribute__((target("avx2,fma")))
#define SUFFIX avx2
#define KERNEL_NAME "avx2"
#include "kernels_body.h"
#undef WIDTH
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME

#define WIDTH 16
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")))
#define SUFFIX avx512
#define KERNEL_NAME "avx512"
#include "kernels_body.h"
#undef WIDTH
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME

#define WIDTH 16
#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx512bf16,avx2,fma")))
#define SUFFIX avx512_bf16
#define KERNEL_NAME "avx512_bf16"
#define NARROW(v) _mm512_cvtneps_pbh((__m512)(v))
#include "kernels_body.h"
#undef WIDTH
#undef TARGET
#undef SUFFIX
#undef KERNEL_NAME
#undef NARROW

#endif

int cpu_kernels_all(const cpu_kernels *list[], int room) {
    int count = 0;
    if (count < room) list[count++] = &kernels_base;
#if defined(__x86_64__)
    if (count < room && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) list[count++] = &kernels_avx2;
    if (count < room && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        list[count++] = &kernels_avx512;
    if (count > 0 && list[count - 1] == &kernels_avx512 && count < room && __builtin_cpu_supports("avx512bf16"))
        list[count++] = &kernels_avx512_bf16;
#endif
    return count;
}

const cpu_kernels *cpu_kernels_pick(void) {
    const cpu_kernels *list[8] = {NULL};
    return list[cpu_kernels_all(list, 8) - 1];
}
