/* emulator.cc: the threads of a block as fibers on one CPU thread. A fiber runs until it meets others (a barrier, a warp's
 * exchange) or ends; the last of a warp to arrive does the exchange for all. The order in which warps and lanes run turns
 * round with each block, so that a race shows in one of them. Breaking a rule that a device would punish with undefined
 * behaviour (a barrier that not all reach, lanes of a warp in different exchanges) ends the process with a message. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <mutex>
#include <string>
#include <vector>

#include <cuda_port.h>

#include "fake.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

enum { WARP = 32, MOST_THREADS = 1024, STACK_BYTES = 256 * 1024 };

void emulator_fault(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "emulated device: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* ---- Fibers ---- */

struct fiber {
#ifdef __x86_64__
    void *top; /* of the stack while it does not run */
#else
    ucontext_t context;
#endif
    char *stack;
};

#ifdef __x86_64__
extern "C" void emulator_switch(void **save, void *load) __attribute__((visibility("hidden")));
asm(".text\n.hidden emulator_switch\n.globl emulator_switch\n.type emulator_switch,@function\nemulator_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
#endif

enum lane_state { READY, IN_WARP, IN_BLOCK, ENDED };

struct pending_copy {
    void *to;
    const void *from;
    bool there;
    int group;
};

struct lane {
    fiber f;
    emulated_thread here;
    lane_state state;
    void *exchange; /* of this lane, while it waits in its warp */
    int copy_group; /* the one that is being filled */
    std::vector<pending_copy> copies;
    size_t copies_made;
};

typedef void exchange_fn(void *exchange[WARP]);
struct warp {
    int arrived, ended;
    exchange_fn *what;
};

static struct {
    std::mutex lock; /* one grid at a time */
    const char *kernel;
    const std::function<void()> *body;
    std::vector<lane> lanes;
    std::vector<warp> warps;
    int threads, running, waiting, ended;
    bool backwards;
    fiber host;
    const void *host_stack;
    size_t host_stack_bytes;
    char *shared;
} device;
emulated_thread *emulated_here;

static void switch_to(fiber *from, fiber *to, bool from_ends) {
#ifdef WITH_ASAN
    void *fake = nullptr;
    const void *bottom = to == &device.host ? device.host_stack : to->stack;
    size_t bytes = to == &device.host ? device.host_stack_bytes : (size_t)STACK_BYTES;
    __sanitizer_start_switch_fiber(from_ends ? nullptr : &fake, bottom, bytes);
#endif
    (void)from_ends;
#ifdef __x86_64__
    emulator_switch(&from->top, to->top);
#else
    swapcontext(&from->context, &to->context);
#endif
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

/* The next lane that can run: of the same warp while there is one, so that few others are disturbed. */
static int next_ready(int after) {
    int first = after / WARP * WARP, step = device.backwards ? WARP - 1 : 1;
    for (int i = 1, at = after - first; i <= WARP; i++) {
        at = (at + step) % WARP;
        if (device.lanes[(size_t)(first + at)].state == READY) return first + at;
    }
    for (int i = 0; i < device.threads; i++) {
        int at = device.backwards ? device.threads - 1 - i : i;
        if (device.lanes[(size_t)at].state == READY) return at;
    }
    return -1;
}

static void run_lane(int at, bool from_ends) {
    int from = device.running;
    device.running = at;
    emulated_here = &device.lanes[(size_t)at].here;
    if (from != at) switch_to(&device.lanes[(size_t)from].f, &device.lanes[(size_t)at].f, from_ends);
}

static void yield_lane(void) {
    int at = next_ready(device.running);
    if (at < 0)
        emulator_fault("%s: the threads of a block wait for each other: not all reach the same barrier or exchange",
                       device.kernel);
    run_lane(at, false);
}

static void release_block(void) {
    for (lane &l : device.lanes)
        if (l.state == IN_BLOCK) l.state = READY;
    device.waiting = 0;
}

void emulated_barrier(void) {
    lane &l = device.lanes[(size_t)device.running];
    l.state = IN_BLOCK;
    if (++device.waiting + device.ended == device.threads) {
        release_block();
        return;
    }
    yield_lane();
}

/* Meets the other lanes of the warp; the last one runs `what` on what all have brought. */
static void meet(exchange_fn *what, void *mine) {
    warp &w = device.warps[(size_t)(device.running / WARP)];
    lane *lanes = &device.lanes[(size_t)(device.running / WARP * WARP)];
    lane &l = device.lanes[(size_t)device.running];
    if (w.ended) emulator_fault("%s: a warp's exchange after some of its lanes have ended", device.kernel);
    if (w.arrived && w.what != what) emulator_fault("%s: lanes of one warp meet in different exchanges", device.kernel);
    w.what = what;
    l.exchange = mine;
    l.state = IN_WARP;
    if (++w.arrived < WARP) {
        yield_lane();
        return;
    }
    void *all[WARP];
    for (int i = 0; i < WARP; i++) all[i] = lanes[i].exchange;
    w.arrived = 0;
    what(all);
    for (int i = 0; i < WARP; i++) lanes[i].state = READY;
}

static void lane_main(void) {
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    (*device.body)();
    lane &l = device.lanes[(size_t)device.running];
    if (l.copies_made < l.copies.size())
        emulator_fault("%s: a thread ends while its copies are under way", device.kernel);
    l.state = ENDED;
    device.ended++;
    warp &w = device.warps[(size_t)(device.running / WARP)];
    w.ended++;
    if (w.arrived) emulator_fault("%s: a lane ends while its warp waits for it", device.kernel);
    if (device.waiting && device.waiting + device.ended == device.threads) release_block();
    if (device.ended == device.threads) switch_to(&l.f, &device.host, true);
    int at = next_ready(device.running);
    if (at < 0) emulator_fault("%s: threads end while others wait for them", device.kernel);
    run_lane(at, true);
    abort();
}

static void prepare(fiber *f) {
    if (!f->stack) {
        void *memory =
            mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) emulator_fault("no memory for a fiber");
        f->stack = (char *)memory;
    }
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(f->stack, STACK_BYTES);
#endif
#ifdef __x86_64__
    /* As if the fiber had called emulator_switch: six registers and a return address, the stack aligned as at a call. */
    void **top = (void **)(f->stack + STACK_BYTES) - 1;
    *top-- = nullptr;
    *top = (void *)lane_main;
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    f->top = top;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = nullptr;
    makecontext(&f->context, lane_main, 0);
#endif
}

static void run_block(dim3 grid, dim3 block, uint3 index, size_t shared) {
    device.waiting = device.ended = 0;
    for (int i = 0; i < device.threads; i++) {
        lane &l = device.lanes[(size_t)i];
        unsigned at = (unsigned)i;
        prepare(&l.f);
        l.here = {{at % block.x, at / block.x % block.y, at / block.x / block.y}, index, block, grid};
        l.state = READY;
        l.copy_group = 0;
        l.copies.clear();
        l.copies_made = 0;
    }
    for (warp &w : device.warps) w = {};
    device.shared = nullptr;
    void *memory = nullptr;
    if (shared && posix_memalign(&memory, 16, shared)) emulator_fault("no shared memory");
    if (shared) memset(memory, 0xff, shared);
    device.shared = (char *)memory;
    device.running = device.backwards ? device.threads - 1 : 0;
    emulated_here = &device.lanes[(size_t)device.running].here;
#ifdef WITH_ASAN
    void *fake = nullptr;
    fiber *first = &device.lanes[(size_t)device.running].f;
    __sanitizer_start_switch_fiber(&fake, first->stack, STACK_BYTES);
#endif
#ifdef __x86_64__
    emulator_switch(&device.host.top, device.lanes[(size_t)device.running].f.top);
#else
    swapcontext(&device.host.context, &device.lanes[(size_t)device.running].f.context);
#endif
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
    free(memory);
    device.backwards = !device.backwards;
}

#ifdef WITH_ASAN
#include <pthread.h>
static void find_host_stack(void) {
    pthread_attr_t attributes;
    void *bottom;
    if (pthread_getattr_np(pthread_self(), &attributes)) return;
    pthread_attr_getstack(&attributes, &bottom, &device.host_stack_bytes);
    device.host_stack = bottom;
    pthread_attr_destroy(&attributes);
}
#endif

/* The names of the kernels that ran, for the test that none was left out: a file that the environment names. */
static void record(const char *name) {
    static std::vector<std::string> seen;
    for (const std::string &s : seen)
        if (s == name) return;
    seen.push_back(name);
    const char *path = getenv("EMULATED_KERNELS");
    FILE *file = path ? fopen(path, "a") : nullptr;
    if (!file) return;
    fprintf(file, "%s\n", name);
    fclose(file);
}

void emulator_run(const char *name, dim3 grid, dim3 block, size_t shared, const std::function<void()> &body) {
    std::lock_guard<std::mutex> hold(device.lock);
    record(name);
    device.kernel = name;
    device.body = &body;
    device.threads = (int)(block.x * block.y * block.z);
    device.lanes.resize((size_t)device.threads);
    device.warps.resize((size_t)(device.threads / WARP));
#ifdef WITH_ASAN
    find_host_stack();
#endif
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) run_block(grid, block, uint3{x, y, z}, shared);
}

cudaError_t emulated_launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                            std::function<void()> body) {
    unsigned threads = block.x * block.y * block.z;
    if (threads == 0 || threads > MOST_THREADS || threads % WARP || shared > 99 * 1024 || grid.x == 0 || grid.y == 0 ||
        grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidValue;
    fake_enqueue(stream, [=] { emulator_run(name, grid, block, shared, body); });
    return cudaSuccess;
}

/* ---- What lanes of a warp do together ---- */

int emulated_lane(void) { return device.running % WARP; }

static void no_exchange(void *[WARP]) {}
void emulated_warp_barrier(void) { meet(no_exchange, nullptr); }

struct shuffle {
    float mine, got;
    int source;
};
static void do_shuffle(void *all[WARP]) {
    for (int i = 0; i < WARP; i++) {
        shuffle *s = (shuffle *)all[i];
        s->got = ((shuffle *)all[s->source & (WARP - 1)])->mine;
    }
}
float emulated_shuffle(float value, int source_lane) {
    shuffle s = {value, 0, source_lane};
    meet(do_shuffle, &s);
    return s.got;
}

struct vote {
    bool mine, any;
};
static void do_vote(void *all[WARP]) {
    bool any = false;
    for (int i = 0; i < WARP; i++) any |= ((vote *)all[i])->mine;
    for (int i = 0; i < WARP; i++) ((vote *)all[i])->any = any;
}
bool emulated_any(bool mine) {
    vote v = {mine, false};
    meet(do_vote, &v);
    return v.any;
}

struct tiles {
    const uint16_t *row;
    uint32_t *got;
};
static void do_tiles(void *all[WARP], bool transposed) {
    for (int i = 0; i < WARP; i++)
        for (int j = 0; j < 4; j++) {
            uint32_t pair[2];
            for (int k = 0; k < 2; k++) {
                int row = transposed ? i % 4 * 2 + k : i / 4, column = transposed ? i / 4 : i % 4 * 2 + k;
                pair[k] = ((tiles *)all[j * 8 + row])->row[column];
            }
            ((tiles *)all[i])->got[j] = pair[0] | pair[1] << 16;
        }
}
static void do_tiles_plain(void *all[WARP]) { do_tiles(all, false); }
static void do_tiles_transposed(void *all[WARP]) { do_tiles(all, true); }
void emulated_load_tiles(uint32_t r[4], const void *row, bool transposed) {
    if ((uintptr_t)row % 16) emulator_fault("%s: a tile's row is not aligned to 16 bytes", device.kernel);
    tiles t = {(const uint16_t *)row, r};
    meet(transposed ? do_tiles_transposed : do_tiles_plain, &t);
}

struct product {
    float *c;
    const uint32_t *a;
    uint32_t b[2];
    float (*widen)(uint16_t);
};
static void do_product(void *all[WARP]) {
    float a[16][16], b[16][8];
    for (int i = 0; i < WARP; i++) {
        const product *p = (const product *)all[i];
        int g = i / 4, t = i % 4 * 2;
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 2; k++)
                a[g + (j & 1) * 8][t + (j >> 1) * 8 + k] = p->widen((uint16_t)(p->a[j] >> (16 * k)));
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++) b[t + j * 8 + k][g] = p->widen((uint16_t)(p->b[j] >> (16 * k)));
    }
    for (int i = 0; i < WARP; i++) {
        float *c = ((product *)all[i])->c;
        for (int j = 0; j < 4; j++) {
            int row = i / 4 + j / 2 * 8, column = i % 4 * 2 + j % 2;
            float sum = c[j];
            for (int k = 0; k < 16; k++) sum += a[row][k] * b[k][column];
            c[j] = sum;
        }
    }
}
void emulated_multiply_add(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1, float (*widen)(uint16_t)) {
    product p = {c, a, {b0, b1}, widen};
    meet(do_product, &p);
}

/* ---- Memory ---- */

void *emulated_shared(void) { return device.shared; }

static void make_copy(const pending_copy &c) {
    if (c.there)
        memcpy(c.to, c.from, 16);
    else
        memset(c.to, 0, 16);
}
void emulated_copy16(void *to, const void *from, bool there) {
    lane &l = device.lanes[(size_t)device.running];
    if ((uintptr_t)to % 16 || (there && (uintptr_t)from % 16))
        emulator_fault("%s: a copy is not aligned to 16 bytes", device.kernel);
    l.copies.push_back({to, from, there, l.copy_group});
}
void emulated_copy_commit(void) { device.lanes[(size_t)device.running].copy_group++; }
void emulated_copy_wait(int newest) {
    lane &l = device.lanes[(size_t)device.running];
    while (l.copies_made < l.copies.size() && l.copies[l.copies_made].group < l.copy_group - newest)
        make_copy(l.copies[l.copies_made++]);
}

/* ---- 16-bit numbers ---- */

float emulated_bfloat_to_float(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}
uint16_t emulated_float_to_bfloat(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float compute_half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 31 ? (fraction ? NAN : INFINITY)
                  : exponent     ? ldexpf((float)(fraction + 1024), exponent - 25)
                                 : ldexpf((float)fraction, -24);
    return bits & 0x8000 ? -value : value;
}
struct half_table {
    float value[65536];
    half_table() {
        for (int i = 0; i < 65536; i++) value[i] = compute_half((uint16_t)i);
    }
};
static const half_table halves;
float emulated_half_to_float(uint16_t bits) { return halves.value[bits]; }
uint16_t emulated_float_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    float size = fabsf(value);
    if (isnan(value)) return 0x7fff;
    if (size >= 65520.0f) return (uint16_t)(sign | 0x7c00);
    if (size < 6.103515625e-05f) return (uint16_t)(sign | (uint16_t)lrintf(size * 16777216.0f));
    uint32_t rounded = (bits & 0x7fffffff) + 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000) >> 13));
}
