/* test_emulator.cc: the emulated device itself: that it computes what a device would, and that it finds what kernels do
 * wrong. Wrong kernels run in a child process, which must end with the right words; what only a sanitizer can see is
 * asked for in its build. Last line: N passed, N failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cuda_port.h>

#include "fiber.h"

enum { LANES = 32, BLOCK = 64 };
static int passed, failed;

static void check(const char *what, bool right) {
    *(right ? &passed : &failed) += 1;
    if (!right) printf("FAIL  %s\n", what);
}

/* Device memory and a stream, as a test needs them; every value of the array is `value`, or unset. */
template <class T> struct array {
    T *data = nullptr;
    explicit array(size_t count) {
        if (cudaMalloc((void **)&data, count * sizeof(T)) != cudaSuccess) abort();
    }
    array(size_t count, T value) : array(count) {
        for (size_t i = 0; i < count; i++) data[i] = value;
    }
    array(const array &) = delete;
    ~array() { cudaFree(data); }
};
template <class... P, class... A>
static cudaError_t run(void (*kernel)(P...), int blocks, int threads, size_t shared, A... arguments) {
    cudaStream_t s;
    cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    cudaError_t error =
        launch_kernel("kernel", kernel, dim3((unsigned)blocks), dim3((unsigned)threads), shared, s, arguments...);
    cudaStreamSynchronize(s);
    cudaStreamDestroy(s);
    return error;
}

/* ---- Numbers ---- */

static float half_by_definition(int bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent ? ldexp(fraction + 1024, exponent - 25) : ldexp(fraction, -24);
    if (exponent == 31) value = fraction ? (double)NAN : (double)INFINITY;
    return (float)(bits & 0x8000 ? -value : value);
}
static void numbers(void) {
    bool reads = true, writes = true, nearest = true;
    for (int bits = 0; bits < 65536; bits++) {
        float value = half_by_definition(bits), got = to_float(half_t{(uint16_t)bits});
        reads = reads && (isnan(value) ? isnan(got) : !memcmp(&value, &got, sizeof got));
        writes = writes &&
                 (isnan(value) ? isnan(to_float(from_float<half_t>(value))) : from_float<half_t>(value).bits == bits);
        if (bits & 0x8000 || bits >= 0x7bff) continue;
        float above = half_by_definition(bits + 1), middle = (value + above) / 2; /* exact: ties go to the even one */
        nearest = nearest && from_float<half_t>(middle).bits == bits + (bits & 1) &&
                  from_float<half_t>(nextafterf(middle, 0)).bits == bits &&
                  from_float<half_t>(nextafterf(middle, INFINITY)).bits == bits + 1;
    }
    check("f16: every value is read as it is defined", reads);
    check("f16: every value is written as it was read", writes);
    check("f16: between two values the nearer one, in the middle the even one", nearest);
    check("f16: what is too large is infinite", from_float<half_t>(65519.0f).bits == 0x7bff &&
                                                    from_float<half_t>(65520.0f).bits == 0x7c00 &&
                                                    from_float<half_t>(-1e30f).bits == 0xfc00);
    bool rounds = true;
    for (uint32_t bits = 0; bits < 0x7f80; bits++) {
        uint32_t low = bits << 16;
        rounds = rounds && from_float<bfloat_t>(emulated_float_of(low)).bits == bits &&
                 from_float<bfloat_t>(emulated_float_of(low | 0x8000)).bits == bits + (bits & 1) &&
                 from_float<bfloat_t>(emulated_float_of(low | 0x8001)).bits == bits + 1 &&
                 from_float<bfloat_t>(emulated_float_of(low | 0x7fff)).bits == bits;
    }
    check("bf16: rounded to the nearest, ties to even", rounds);
    check("bf16: NaN stays NaN", isnan(to_float(from_float<bfloat_t>(NAN))));
}

/* ---- Fragments, by the formulas of the PTX manual ----
 *
 * mma.m16n8k16 with 16-bit factors: groupID = lane >> 2, threadID_in_group = lane % 4. Row of a_i: groupID for i in
 * {0, 1, 4, 5}, else groupID + 8; column: 2 threadID_in_group + (i & 1), from i = 4 on 8 more. Row of b_i:
 * 2 threadID_in_group + (i & 1), from i = 2 on 8 more; column: groupID. Row of c_i: groupID, from i = 2 on 8 more; column:
 * 2 threadID_in_group + (i & 1). */

static __global__ void multiply(float *c, const float *a, const float *b) {
    int lane = (int)threadIdx.x, group = lane >> 2, in_group = lane % 4;
    float fa[8], fb[4], fc[4];
    for (int i = 0; i < 8; i++) {
        int row = i % 4 < 2 ? group : group + 8, column = in_group * 2 + (i & 1) + (i < 4 ? 0 : 8);
        fa[i] = a[row * 16 + column];
    }
    for (int i = 0; i < 4; i++) {
        fb[i] = b[(in_group * 2 + (i & 1) + (i < 2 ? 0 : 8)) * 8 + group];
        fc[i] = c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)];
    }
    uint32_t ra[4];
    for (int i = 0; i < 4; i++) ra[i] = pack_two<half_t>(fa[2 * i], fa[2 * i + 1]);
    multiply_add<half_t>(fc, ra, pack_two<half_t>(fb[0], fb[1]), pack_two<half_t>(fb[2], fb[3]));
    for (int i = 0; i < 4; i++) c[(i < 2 ? group : group + 8) * 8 + in_group * 2 + (i & 1)] = fc[i];
}
/* ldmatrix.x4: lane i names row i % 8 of matrix i / 8; lane i gets of each matrix row i / 4, columns 2 (i % 4) and the next,
 * and transposed those of the transposed matrix. */
static __global__ void load(uint32_t *to, bool transposed) {
    uint16_t *shared = (uint16_t *)block_shared();
    int lane = (int)threadIdx.x;
    for (int i = 0; i < 8; i++) shared[lane * 8 + i] = (uint16_t)(lane * 8 + i);
    __syncwarp();
    uint32_t r[4];
    if (transposed)
        load_tiles_transposed(r, shared + lane * 8);
    else
        load_tiles(r, shared + lane * 8);
    for (int j = 0; j < 4; j++) to[lane * 4 + j] = r[j];
}
static void fragments(void) {
    array<float> a(256), b(128), c(128, 0.5f);
    for (int i = 0; i < 256; i++) a.data[i] = (float)(i * 7 % 31 - 15);
    for (int i = 0; i < 128; i++) b.data[i] = (float)(i * 5 % 23 - 11);
    run(multiply, 1, LANES, 0, c.data, a.data, b.data);
    bool right = true;
    for (int i = 0; i < 128; i++) {
        float sum = 0.5f;
        for (int k = 0; k < 16; k++) sum += a.data[i / 8 * 16 + k] * b.data[k * 8 + i % 8];
        right = right && sum == c.data[i];
    }
    check("mma: fragments as in the manual", right);
    for (int transposed = 0; transposed < 2; transposed++) {
        array<uint32_t> got(LANES * 4);
        run(load, 1, LANES, LANES * 16, got.data, transposed == 1);
        right = true;
        for (int lane = 0; lane < LANES; lane++)
            for (int j = 0; j < 4; j++)
                for (int k = 0; k < 2; k++) {
                    int row = lane / 4, column = lane % 4 * 2 + k;
                    int want = j * 64 + (transposed ? column * 8 + row : row * 8 + column);
                    right = right && (int)(got.data[lane * 4 + j] >> (16 * k) & 0xffff) == want;
                }
        check(transposed ? "ldmatrix: transposed tiles as in the manual" : "ldmatrix: tiles as in the manual", right);
    }
}

/* ---- Lanes and threads that meet ---- */

static __global__ void exchange(float *to) {
    int lane = (int)threadIdx.x;
    to[lane] = __shfl_xor_sync(0xffffffffu, (float)lane, 5);
    to[32 + lane] = __shfl_sync(0xffffffffu, (float)lane, lane + 3);
    to[64 + lane] = (float)__any_sync(0xffffffffu, lane == 17);
    to[96 + lane] = (float)__any_sync(0xffffffffu, lane == 32);
}
static void exchanges(void) {
    array<float> got(128);
    run(exchange, 1, LANES, 0, got.data);
    bool right = true;
    for (int i = 0; i < LANES; i++)
        right = right && got.data[i] == (float)(i ^ 5) && got.data[32 + i] == (float)((i + 3) % 32) &&
                got.data[64 + i] == 1 && got.data[96 + i] == 0;
    check("shuffles and votes", right);
}

/* Each thread passes its number to the one that is `by` further on, twice: `rounds` of 2 also write anew what was read. */
static __global__ void pass_on(int *to, int by, int rounds, bool before_reading, bool before_writing) {
    int *shared = (int *)block_shared(), thread = (int)threadIdx.x, sum = 0;
    for (int round = 0; round < rounds; round++) {
        shared[thread] = thread + round;
        if (before_reading) __syncthreads();
        sum += shared[(thread + by) % BLOCK];
        if (before_writing) __syncthreads();
    }
    to[thread] = sum;
}
/* The same in a warp. */
static __global__ void pass_in_warp(int *to, bool before_reading) {
    int *shared = (int *)block_shared(), lane = (int)threadIdx.x;
    shared[lane] = lane;
    if (before_reading) __syncwarp();
    to[lane] = shared[lane ^ 1];
}
/* Are the results the same whichever way round the threads run? */
template <class... P, class... A> static bool the_same_both_ways(void (*kernel)(P...), int threads, A... arguments) {
    int result[2][BLOCK];
    for (int way = 0; way < 2; way++) {
        array<int> to(BLOCK, 0);
        setenv("EMULATED_ORDER", way ? "backward" : "forward", 1);
        run(kernel, 1, threads, 4 * BLOCK * sizeof(int), to.data, arguments...);
        memcpy(result[way], to.data, sizeof result[way]);
    }
    unsetenv("EMULATED_ORDER");
    return !memcmp(result[0], result[1], sizeof result[0]);
}
static void orders(void) {
    check("with its barriers a kernel does the same in any order",
          the_same_both_ways(pass_on, BLOCK, 33, 2, true, true));
    check("with its barrier a warp does the same in any order", the_same_both_ways(pass_in_warp, LANES, true));
#ifndef EMULATED_TSAN /* which would report them, and MemorySanitizer what is read too early: see below */
#ifndef EMULATED_MSAN
    check("a missing barrier before reading shows", !the_same_both_ways(pass_on, BLOCK, 33, 1, false, true));
    check("a missing barrier in a warp shows", !the_same_both_ways(pass_in_warp, LANES, false));
#endif
    check("a missing barrier before writing anew shows", !the_same_both_ways(pass_on, BLOCK, 33, 2, true, false));
#endif
}

static __global__ void copy(int *to, const int *from) {
    int *shared = (int *)block_shared(), lane = (int)threadIdx.x;
    shared[4 * lane] = -1;
    shared[128 + 4 * lane] = -1;
    copy16_async(shared + 4 * lane, from + 4 * lane, true);
    copy_commit();
    copy16_async(shared + 128 + 4 * lane, from, false);
    copy_commit();
    to[lane] = shared[4 * lane];
    copy_wait<1>();
    to[32 + lane] = shared[4 * lane];
    to[64 + lane] = shared[128 + 4 * lane];
    copy_wait<0>();
    to[96 + lane] = shared[128 + 4 * lane];
}
/* Each warp reads what the other has put there, and asks for something else in its own place, too early. */
static __global__ void copy_over(int *to, const int *from, bool before_copying) {
    int *shared = (int *)block_shared(), thread = (int)threadIdx.x;
    shared[4 * thread] = thread;
    __syncthreads();
    int got = shared[4 * (thread ^ 32)];
    if (before_copying) __syncthreads();
    copy16_async(shared + 4 * thread, from, true);
    copy_commit();
    copy_wait<0>();
    __syncthreads();
    to[thread] = got;
}
static void copies(void) {
    array<int> to(128), from(128);
    setenv("EMULATED_COPIES", "late", 1);
    for (int i = 0; i < 128; i++) from.data[i] = i + 1;
    run(copy, 1, LANES, 1024, to.data, from.data);
    bool right = true;
    for (int i = 0; i < LANES; i++)
        right =
            right && to.data[i] == -1 && to.data[32 + i] == 4 * i + 1 && to.data[64 + i] == -1 && to.data[96 + i] == 0;
    check("copies arrive when they are waited for, oldest first, and not before", right);
    setenv("EMULATED_COPIES", "early", 1);
    check("a copy after a barrier disturbs nobody", the_same_both_ways(copy_over, BLOCK, (const int *)from.data, true));
#ifndef EMULATED_TSAN
    check("a missing barrier before a copy shows",
          !the_same_both_ways(copy_over, BLOCK, (const int *)from.data, false));
#endif
    unsetenv("EMULATED_COPIES");
}

/* ---- What must not be launched ---- */

static __global__ void nothing(void) {}
static void limits(void) {
    check("99 KiB of shared memory are possible", run(nothing, 1, LANES, 99 * 1024) == cudaSuccess);
    check("more are refused", run(nothing, 1, LANES, 99 * 1024 + 16) == cudaErrorInvalidValue);
    check("1024 threads are possible", run(nothing, 1, 1024, 0) == cudaSuccess);
    check("more are refused", run(nothing, 1, 1056, 0) == cudaErrorInvalidValue);
    check("part of a warp is refused", run(nothing, 1, 40, 0) == cudaErrorInvalidValue);
    check("a grid without blocks is refused", run(nothing, 0, LANES, 0) == cudaErrorInvalidValue);
}

/* ---- What ends the process ---- */

static void dies(const char *what, const char *words, void (*act)(void)) {
    int ends[2];
    static char said[65536];
    fflush(stdout);
    if (pipe(ends)) abort();
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        act();
        exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], said + length, sizeof said - 1 - length)) > 0;) length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    check(what, status != 0 && strstr(said, words));
    if (!strstr(said, words)) printf("      status %d; it said: %.2000s\n", status, said);
}

static __global__ void half_a_barrier(void) {
    if (threadIdx.x % 2)
        __syncthreads();
    else
        __syncwarp();
}
static __global__ void two_barriers(void) {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}
static __global__ void two_exchanges(void) {
    if (threadIdx.x < 16)
        __shfl_xor_sync(0xffffffffu, 1.0f, 1);
    else
        __any_sync(0xffffffffu, true);
}
static __global__ void exchange_after_end(void) {
    if (threadIdx.x == 3) return;
    __syncwarp();
}
static __global__ void exchange_of_some(void) { __shfl_xor_sync(0xffffu, 1.0f, 1); }
static __global__ void copy_without_end(void) {
    float *shared = (float *)block_shared();
    copy16_async(shared + 4 * threadIdx.x, nullptr, false);
}
static __global__ void copy_misaligned(void) { copy16_async((char *)block_shared() + 8, nullptr, false); }
static __global__ void vector_at(uint4 *to, const char *from) { *to = *(const uint4 *)(from + 8); }
static __global__ void tile_misaligned(void) {
    uint32_t r[4];
    load_tiles(r, block_shared() + 2);
}
static void faults(void) {
    dies("a barrier that some do not reach", "not all reach", [] { run(half_a_barrier, 1, BLOCK, 0); });
    dies("threads at two barriers", "different barriers", [] { run(two_barriers, 1, BLOCK, 0); });
    dies("lanes in two exchanges", "different exchanges", [] { run(two_exchanges, 1, LANES, 0); });
    dies("an exchange without a lane that has ended", "end", [] { run(exchange_after_end, 1, LANES, 0); });
    dies("an exchange of part of a warp", "of the lanes 0000ffff", [] { run(exchange_of_some, 1, LANES, 0); });
    dies("a thread that does not wait for its copies", "under way", [] { run(copy_without_end, 1, LANES, 512); });
    dies("a misaligned copy", "a copy is not aligned", [] { run(copy_misaligned, 1, LANES, 512); });
    dies("a misaligned row of a tile", "not aligned", [] { run(tile_misaligned, 1, LANES, 512); });
    dies("a misaligned vector", "align", [] {
        array<char> memory(64, 0);
        array<uint4> to(1);
        run(vector_at, 1, LANES, 0, to.data, memory.data);
    });
    dies("a kernel that asks for now this, now that much shared memory", "bytes of shared memory", [] {
        run(nothing, 1, LANES, 60 * 1024);
        run(nothing, 1, LANES, 70 * 1024);
    });
    dies("work on the default stream", "default stream",
         [] { launch_kernel("nothing", nothing, dim3(1), dim3(LANES), 0, (cudaStream_t) nullptr); });
}

/* ---- What sanitizers see ---- */

static __global__ void read_at(float *to, const float *from, int place) { to[threadIdx.x] = from[place]; }
static __global__ void write_at(float *to, int place) { to[place] = 1; }
static __global__ void shared_at(float *to, int place) {
    float *shared = (float *)block_shared();
    shared[threadIdx.x] = 1;
    __syncwarp();
    to[threadIdx.x] = shared[place];
}
/* A value that decides is one that is used. */
static __global__ void decide_by(float *to, const float *from, int place) {
    to[threadIdx.x] = from[place] > 0 ? 1.0f : 2.0f;
}
static __global__ void decide_by_shared(float *to, int place) {
    float *shared = (float *)block_shared();
    if (threadIdx.x < 16) shared[threadIdx.x] = 1;
    __syncwarp();
    to[threadIdx.x] = shared[place] > 0 ? 1.0f : 2.0f;
}

static void in_bounds(void) {
    array<float> to(LANES, 0), from(100, 5);
    run(read_at, 1, LANES, 0, to.data, (const float *)from.data, 99);
    check("the last value of device memory", to.data[31] == 5);
    run(shared_at, 1, LANES, LANES * sizeof(float), to.data, LANES - 1);
    check("the last value of shared memory", to.data[31] == 1);
#ifndef EMULATED_TSAN
    run(write_at, 1, LANES, 0, to.data, 31);
    check("a write to device memory", to.data[31] == 1);
#endif
}

#ifdef EMULATED_ASAN
static void out_of_bounds(void) {
    static const char report[] = "AddressSanitizer: heap-buffer-overflow";
    dies("a read behind device memory", report, [] {
        array<float> to(LANES), from(100, 1);
        run(read_at, 1, LANES, 0, to.data, from.data, 100);
    });
    dies("a read before device memory", report, [] {
        array<float> to(LANES), from(100, 1);
        run(read_at, 1, LANES, 0, to.data, from.data, -1);
    });
    dies("a write behind device memory", report, [] {
        array<float> to(LANES);
        run(write_at, 1, LANES, 0, to.data, LANES);
    });
    dies("a read behind shared memory", report, [] {
        array<float> to(LANES);
        run(shared_at, 1, LANES, LANES * sizeof(float), to.data, LANES);
    });
    dies("device memory that was given back", "AddressSanitizer: heap-use-after-free", [] {
        array<float> to(LANES);
        float *gone;
        cudaMalloc((void **)&gone, 400);
        cudaFree(gone);
        run(read_at, 1, LANES, 0, to.data, (const float *)gone, 0);
    });
}
#else
static void out_of_bounds(void) {}
#endif

#ifdef EMULATED_MSAN
static void tell(float value) { /* it decides how the process ends */
    if (value > 1) exit(3);
}
static void unset(void) {
    static const char report[] = "MemorySanitizer: use-of-uninitialized-value";
    dies("device memory that nobody wrote", report, [] {
        array<float> to(LANES), from(100);
        run(decide_by, 1, LANES, 0, to.data, (const float *)from.data, 7);
        tell(to.data[3]);
    });
    dies("shared memory that nobody wrote", report, [] {
        array<float> to(LANES);
        run(decide_by_shared, 1, LANES, LANES * sizeof(float), to.data, 16);
        tell(to.data[3]);
    });
    dies("a missing barrier", report,
         [] { the_same_both_ways(pass_on, BLOCK, 33, 1, false, true) ? exit(0) : exit(1); });
}
#else /* what nobody wrote is NaN, and so is what is computed of it */
static void unset(void) {
    array<float> to(LANES), from(100), all(LANES, 1);
    run(read_at, 1, LANES, 0, to.data, (const float *)from.data, 7);
    check("device memory begins as NaN", isnan(to.data[3]));
    run(decide_by, 1, LANES, 0, to.data, (const float *)all.data, 7);
    check("a value decides", to.data[3] == 1);
    run(decide_by_shared, 1, LANES, LANES * sizeof(float), to.data, 16);
    check("shared memory begins as NaN", to.data[3] == 2);
}
#endif

#ifdef EMULATED_TSAN
static void races(void) {
    static const char report[] = "ThreadSanitizer: data race";
    dies("a missing barrier before reading", report, [] { the_same_both_ways(pass_on, BLOCK, 33, 1, false, true); });
    dies("a missing barrier before writing anew", report,
         [] { the_same_both_ways(pass_on, BLOCK, 33, 2, true, false); });
    dies("a missing barrier in a warp", report, [] { the_same_both_ways(pass_in_warp, LANES, false); });
    dies("two threads that write one place", report, [] {
        array<float> to(LANES);
        run(write_at, 1, LANES, 0, to.data, 7);
    });
}
#else
static void races(void) {}
#endif

int main(void) {
    numbers();
    fragments();
    exchanges();
    orders();
    copies();
    limits();
    faults();
    in_bounds();
    out_of_bounds();
    unset();
    races();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
