/* cuda_port.h: the few things that kernels need beyond plain CUDA C, for nvcc. tests/gpu/port has a header of the same
 * name that means the same on a CPU, so that the kernels' own sources run in tests without a GPU; which one is included
 * is decided by the include path alone. Kernels use CUDA's names where they have a plain meaning (threadIdx,
 * __syncthreads, __shfl_xor_sync) and these for what needs inline assembly or launch syntax. */
#ifndef CUDA_PORT_H
#define CUDA_PORT_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>

typedef __half half_t;
typedef __nv_bfloat16 bfloat_t;

static __device__ __forceinline__ float to_float(float x) { return x; }
static __device__ __forceinline__ float to_float(half_t x) { return __half2float(x); }
static __device__ __forceinline__ float to_float(bfloat_t x) { return __bfloat162float(x); }
template <class T> static __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x) { return x; }
template <> __device__ __forceinline__ half_t from_float<half_t>(float x) { return __float2half_rn(x); }
template <> __device__ __forceinline__ bfloat_t from_float<bfloat_t>(float x) { return __float2bfloat16_rn(x); }

/* Two neighbouring values in one register, the first in the low half. */
template <class T> static __device__ __forceinline__ uint32_t pack_two(float low, float high);
template <> __device__ __forceinline__ uint32_t pack_two<half_t>(float low, float high) {
    __half2 two = __floats2half2_rn(low, high);
    return *(uint32_t *)&two;
}
template <> __device__ __forceinline__ uint32_t pack_two<bfloat_t>(float low, float high) {
    __nv_bfloat162 two = __floats2bfloat162_rn(low, high);
    return *(uint32_t *)&two;
}

/* The block's dynamic shared memory, aligned to 16 bytes; its size is the launch's. */
static __device__ __forceinline__ char *block_shared(void) {
    extern __shared__ __align__(16) char memory[];
    return memory;
}

/* 16 bytes from global to shared memory, without waiting; zeroes where `there` is false (from is then not read). */
static __device__ __forceinline__ void copy16_async(void *to, const void *from, bool there) {
    unsigned at = (unsigned)__cvta_generic_to_shared(to);
    int bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes) : "memory");
}
static __device__ __forceinline__ void copy_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Waits until at most `newest` of this thread's committed groups are under way. Others see the data after a barrier. */
template <int newest> static __device__ __forceinline__ void copy_wait(void) {
    asm volatile("cp.async.wait_group %0;" ::"n"(newest) : "memory");
}

/* Four 8x8 tiles of 16-bit values from shared memory: lane i names row i % 8 of tile i / 8 (16 aligned bytes). Lane i
 * gets of tile j in r[j] the values (row i / 4, columns 2 (i % 4) and the next); `transposed`: (rows 2 (i % 4) and the
 * next, column i / 4). */
static __device__ __forceinline__ void load_tiles(uint32_t r[4], const void *row) {
    unsigned at = (unsigned)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}
static __device__ __forceinline__ void load_tiles_transposed(uint32_t r[4], const void *row) {
    unsigned at = (unsigned)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* c += a b on tensor cores: a is 16x16, b 16x8, c 16x8 in f32. With g = lane / 4 and t = lane % 4 a lane holds
 * a: (g, 2t..), (g + 8, 2t..), (g, 2t + 8..), (g + 8, 2t + 8..); b: (rows 2t.., column g), (rows 2t + 8.., column g);
 * c: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). */
template <class T>
static __device__ __forceinline__ void multiply_add(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1);
template <>
__device__ __forceinline__ void multiply_add<half_t>(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void multiply_add<bfloat_t>(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

static __device__ __forceinline__ float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* A block's dynamic shared memory. most: of any launch of that kernel, where it differs: the limit that is asked for belongs to the
 * kernel, so that threads which launch it at once would lower it for each other. */
struct shared_size {
    size_t bytes, most;
    shared_size(size_t always) : bytes(always), most(always) {}
    shared_size(size_t bytes_, size_t most_) : bytes(bytes_), most(most_) {}
};

/* Starts a kernel; the name is for the tests' list of kernels that ran. Blocks of whole warps only. */
template <class... P, class... A>
static inline cudaError_t launch_kernel(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                                        shared_size shared, cudaStream_t stream, A... arguments) {
    (void)name;
    if (shared.most > 48 * 1024) { /* more must be asked for */
        cudaError_t refused =
            cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared.most);
        if (refused != cudaSuccess) return refused;
    }
    kernel<<<grid, block, shared.bytes, stream>>>(static_cast<P>(arguments)...);
    return cudaGetLastError();
}

#endif
