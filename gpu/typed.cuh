/* typed.cuh: values of a type that is known at run time only, one or eight at a time. What reads and writes memory once
 * is bound by it: a branch that all threads take alike costs nothing, and saves a kernel for each mix of types. */
#ifndef GPU_TYPED_CUH
#define GPU_TYPED_CUH

#include <cuda_port.h>

#include "kernels.h"

template <class T> union sixteen_bytes {
    uint4 whole;
    T value[16 / sizeof(T)];
    __device__ sixteen_bytes() {}
};

template <class T, int W> static __device__ __forceinline__ void load_as(const void *data, size_t at, float x[W]) {
    const T *from = (const T *)data + at;
    if constexpr (W == 1) {
        x[0] = to_float(from[0]);
    } else {
        enum { EACH = 16 / sizeof(T) };
        for (int i = 0; i < W; i += EACH) {
            sixteen_bytes<T> part;
            part.whole = *(const uint4 *)(from + i);
            for (int j = 0; j < EACH; j++) x[i + j] = to_float(part.value[j]);
        }
    }
}
template <class T, int W> static __device__ __forceinline__ void store_as(void *data, size_t at, const float x[W]) {
    T *to = (T *)data + at;
    if constexpr (W == 1) {
        to[0] = from_float<T>(x[0]);
    } else {
        enum { EACH = 16 / sizeof(T) };
        for (int i = 0; i < W; i += EACH) {
            sixteen_bytes<T> part;
            for (int j = 0; j < EACH; j++) part.value[j] = from_float<T>(x[i + j]);
            *(uint4 *)(to + i) = part.whole;
        }
    }
}

template <int W> static __device__ __forceinline__ void load(const gpu_array &a, size_t at, float x[W]) {
    if (a.type == GPU_F32)
        load_as<float, W>(a.data, at, x);
    else if (a.type == GPU_F16)
        load_as<half_t, W>(a.data, at, x);
    else
        load_as<bfloat_t, W>(a.data, at, x);
}
template <int W> static __device__ __forceinline__ void store(const gpu_array &a, size_t at, const float x[W]) {
    if (a.type == GPU_F32)
        store_as<float, W>(a.data, at, x);
    else if (a.type == GPU_F16)
        store_as<half_t, W>(a.data, at, x);
    else
        store_as<bfloat_t, W>(a.data, at, x);
}

static __device__ __forceinline__ float activation(float x, int act) {
    switch (act) {
    case GPU_ACT_SILU:
        return x / (1.0f + expf(-x));
    case GPU_ACT_GELU:
        return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case GPU_ACT_QUICK_GELU:
        return x / (1.0f + expf(-1.702f * x));
    default:
        return x;
    }
}

/* Sum over a warp; every lane gets it. */
static __device__ __forceinline__ float warp_sum(float x) {
    for (int mask = 16; mask; mask >>= 1) x += __shfl_xor_sync(0xffffffffu, x, mask);
    return x;
}

static inline bool fits_vectors(const void *data) { return (uintptr_t)data % 16 == 0; }
static inline unsigned blocks_of(size_t count, size_t each) { return (unsigned)((count + each - 1) / each); }

#endif
