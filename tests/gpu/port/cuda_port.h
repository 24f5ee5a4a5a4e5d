/* cuda_port.h for the emulator: what gpu/port/cuda_port.h and CUDA's own headers mean, on a CPU. Blocks run one after the
 * other, the threads of a block as fibers that run until they meet (emulator.cc): a forgotten barrier shows, since the
 * first thread is then far ahead of the others. Shared memory is a heap block of just the launch's size, full of NaN at
 * the start of a block; asynchronous copies are made at once or at the last moment that the wait allows; vectors must be
 * aligned. */
#ifndef CUDA_PORT_H
#define CUDA_PORT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#include "cuda_runtime_api.h"
#include "numbers.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

void emulated_check_aligned(uintptr_t at);
/* Vectors are read and written whole, and must lie where a device can do so. The addresses are hidden from the compiler,
 * which would take their alignment for granted. */
struct uint4 {
    unsigned x, y, z, w;
    uint4() = default;
    uint4(const uint4 &) = default;
    uint4 &operator=(const uint4 &other) {
        uintptr_t to = (uintptr_t)this, from = (uintptr_t)&other;
        asm volatile("" : "+r"(to), "+r"(from));
        emulated_check_aligned(to);
        emulated_check_aligned(from);
        memcpy((void *)to, (const void *)from, sizeof *this);
        return *this;
    }
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

/* emulator.cc, exchange.cc */
void emulated_barrier(const char *file, int line);
void emulated_warp_barrier(const char *file, int line);
float emulated_shuffle(unsigned mask, float value, int source_lane, const char *file, int line);
int emulated_lane(void);
bool emulated_any(unsigned mask, bool mine, const char *file, int line);
void *emulated_shared(void);
void emulated_copy16(void *to, const void *from, bool there);
void emulated_copy_commit(void);
void emulated_copy_wait(int newest);
void emulated_load_tiles(uint32_t r[4], const void *row, bool transposed);
void emulated_multiply_add_half(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1);
void emulated_multiply_add_bfloat(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1);
/* Puts a grid into the stream: `body` runs once for each of its threads when the stream gets there. */
struct shared_size {
    size_t bytes, most;
    shared_size(size_t always) : bytes(always), most(always) {}
    shared_size(size_t bytes_, size_t most_) : bytes(bytes_), most(most_) {}
};
cudaError_t emulated_launch(const char *name, const void *kernel, dim3 grid, dim3 block, shared_size shared,
                            cudaStream_t stream, std::function<void()> body);

/* The place in the source tells whether threads that meet are in the same barrier or exchange. */
#define __syncthreads() emulated_barrier(__FILE__, __LINE__)
#define __syncwarp() emulated_warp_barrier(__FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, lane_mask)                                                                        \
    emulated_shuffle(mask, value, emulated_lane() ^ (lane_mask), __FILE__, __LINE__)
#define __shfl_sync(mask, value, lane) emulated_shuffle(mask, value, lane, __FILE__, __LINE__)
#define __any_sync(mask, predicate) emulated_any(mask, predicate, __FILE__, __LINE__)

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
    emulated_multiply_add_half(c, a, b0, b1);
}
template <> inline void multiply_add<bfloat_t>(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    emulated_multiply_add_bfloat(c, a, b0, b1);
}
static inline float fast_exp2(float x) { return exp2f(x); }

template <class... P, class... A>
static inline cudaError_t launch_kernel(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                                        shared_size shared, cudaStream_t stream, A... arguments) {
    return emulated_launch(name, (const void *)kernel, grid, block, shared, stream,
                           [=] { kernel(static_cast<P>(arguments)...); });
}

#endif
