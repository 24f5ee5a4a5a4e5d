/* cuda_port.h for the emulator: what gpu/port/cuda_port.h and CUDA's own headers mean, on a CPU. Blocks run one after the
 * other, the threads of a block as fibers that run until they meet (emulator.cc): a forgotten barrier shows, since the
 * first thread is then far ahead of the others. Shared memory is a heap block of just the launch's size, full of NaN at
 * the start of a block; asynchronous copies are made at the last moment that the wait allows. */
#ifndef CUDA_PORT_H
#define CUDA_PORT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct uint4 {
    unsigned x, y, z, w;
} __align__(16);

struct emulated_thread { /* what a kernel may read of itself */
    uint3 thread, block;
    dim3 block_size, grid_size;
};
extern emulated_thread *emulated_here;
#define threadIdx (emulated_here->thread)
#define blockIdx (emulated_here->block)
#define blockDim (emulated_here->block_size)
#define gridDim (emulated_here->grid_size)

/* emulator.cc */
void emulated_barrier(void);
void emulated_warp_barrier(void);
float emulated_shuffle(float value, int source_lane);
int emulated_lane(void);
bool emulated_any(bool mine);
void *emulated_shared(void);
void emulated_copy16(void *to, const void *from, bool there);
void emulated_copy_commit(void);
void emulated_copy_wait(int newest);
void emulated_load_tiles(uint32_t r[4], const void *row, bool transposed);
void emulated_multiply_add(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1, float (*widen)(uint16_t));
float emulated_half_to_float(uint16_t bits);
uint16_t emulated_float_to_half(float value);
float emulated_bfloat_to_float(uint16_t bits);
uint16_t emulated_float_to_bfloat(float value);
/* Puts a grid into the stream: `body` runs once for each of its threads when the stream gets there. */
cudaError_t emulated_launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                            std::function<void()> body);

#define __syncthreads emulated_barrier
#define __syncwarp emulated_warp_barrier
static inline float __shfl_xor_sync(unsigned, float value, int mask) {
    return emulated_shuffle(value, emulated_lane() ^ mask);
}
static inline float __shfl_sync(unsigned, float value, int lane) { return emulated_shuffle(value, lane); }
static inline int __any_sync(unsigned, bool mine) { return emulated_any(mine); }

struct half_t {
    uint16_t bits;
};
struct bfloat_t {
    uint16_t bits;
};

static inline float to_float(float x) { return x; }
static inline float to_float(half_t x) { return emulated_half_to_float(x.bits); }
static inline float to_float(bfloat_t x) { return emulated_bfloat_to_float(x.bits); }
template <class T> static inline T from_float(float x);
template <> inline float from_float<float>(float x) { return x; }
template <> inline half_t from_float<half_t>(float x) { return half_t{emulated_float_to_half(x)}; }
template <> inline bfloat_t from_float<bfloat_t>(float x) { return bfloat_t{emulated_float_to_bfloat(x)}; }
template <class T> static inline uint32_t pack_two(float low, float high) {
    return (uint32_t)from_float<T>(low).bits | (uint32_t)from_float<T>(high).bits << 16;
}

static inline char *block_shared(void) { return (char *)emulated_shared(); }
static inline void copy16_async(void *to, const void *from, bool there) { emulated_copy16(to, from, there); }
static inline void copy_commit(void) { emulated_copy_commit(); }
template <int newest> static inline void copy_wait(void) { emulated_copy_wait(newest); }
static inline void load_tiles(uint32_t r[4], const void *row) { emulated_load_tiles(r, row, false); }
static inline void load_tiles_transposed(uint32_t r[4], const void *row) { emulated_load_tiles(r, row, true); }
template <class T> static inline void multiply_add(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1);
template <> inline void multiply_add<half_t>(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    emulated_multiply_add(c, a, b0, b1, emulated_half_to_float);
}
template <> inline void multiply_add<bfloat_t>(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    emulated_multiply_add(c, a, b0, b1, emulated_bfloat_to_float);
}
static inline float fast_exp2(float x) { return exp2f(x); }

template <class... P, class... A>
static inline cudaError_t launch_kernel(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                        cudaStream_t stream, A... arguments) {
    return emulated_launch(name, grid, block, shared, stream, [=] { kernel(static_cast<P>(arguments)...); });
}

#endif
