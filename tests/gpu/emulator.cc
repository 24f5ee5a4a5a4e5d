/* emulator.cc: the threads of a block as fibers on one CPU thread. A fiber runs until it meets others (a barrier, a warp's
 * exchange) or ends; the last of a warp to arrive does the exchange for all. Warps and lanes run in ascending or in
 * descending order, as a dice decides for each block, so that a race shows in one of them (EMULATED_ORDER=forward or
 * backward: always so); asynchronous copies are made when they are asked for or at the last moment that a wait allows
 * (EMULATED_COPIES=early or late). ThreadSanitizer sees races whatever the order. Breaking a rule that a device would punish with
 * undefined behaviour (a barrier that not all reach, lanes of a warp in different exchanges) ends the process with a
 * message. */
#include "emulator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>

#include <cuda_port.h>

#include "fake.h"

enum {
    MOST_THREADS = 1024,
    MOST_SHARED = 99 * 1024,   /* of a block, where it is least: 8.6 and 8.9 */
    UNASKED_SHARED = 48 * 1024 /* which a kernel may have without asking for more */
};

emulated_device device;
emulated_thread *emulated_here;
static lane lanes[MOST_THREADS];
static warp warps[MOST_THREADS / WARP];
static fiber host;
static std::mutex one_grid;
static int threads, waiting, ended;
static place barrier;
/* Who is ahead arrives at the next barrier before others have left this one: each second one has another clock. */
static char clocks[2];
static int barriers_passed;
static bool backwards;
static const std::function<void()> *body;

void emulator_fault(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "emulated device: %s%s", device.kernel ? device.kernel : "", device.kernel ? ": " : "");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* ---- Whose turn it is ---- */

EMULATED_UNWATCHED lane *running_lane(void) { return &lanes[device.running]; }
EMULATED_UNWATCHED int emulated_lane(void) { return device.running % WARP; }

/* The next lane that can run: of the same warp while there is one, so that few others are disturbed. */
EMULATED_UNWATCHED static int next_ready(int after) {
    int first = after / WARP * WARP, step = backwards ? WARP - 1 : 1;
    for (int i = 1, at = after - first; i <= WARP; i++) {
        at = (at + step) % WARP;
        if (lanes[first + at].state == READY) return first + at;
    }
    for (int i = 0; i < threads; i++) {
        int at = backwards ? threads - 1 - i : i;
        if (lanes[at].state == READY) return at;
    }
    return -1;
}

EMULATED_UNWATCHED static void run_lane(int at) {
    int from = device.running;
    device.running = at;
    emulated_here = &lanes[at].here;
    if (from != at) fiber_switch(&lanes[from].f, &lanes[at].f);
}

EMULATED_UNWATCHED static void yield_lane(void) {
    int at = next_ready(device.running);
    if (at < 0)
        emulator_fault("the threads of a block wait for each other: not all reach the same barrier or exchange");
    run_lane(at);
}

EMULATED_UNWATCHED static void release_block(void) {
    for (int i = 0; i < threads; i++)
        if (lanes[i].state == IN_BLOCK) lanes[i].state = READY;
    waiting = 0;
    barriers_passed++;
}

EMULATED_UNWATCHED void emulated_barrier(const char *file, int line) {
    lane *l = running_lane();
    if (waiting && (barrier.line != line || strcmp(barrier.file, file)))
        emulator_fault("threads of one block meet at different barriers: %s:%d and %s:%d", barrier.file, barrier.line,
                       file, line);
    barrier = place{file, line};
    l->state = IN_BLOCK;
    char *clock = &clocks[barriers_passed & 1];
    fiber_leaves(clock);
    if (++waiting + ended == threads)
        release_block();
    else
        yield_lane();
    fiber_sees(clock);
}

EMULATED_UNWATCHED void meet(exchange_fn *what, void *mine, place where) {
    warp *w = &warps[device.running / WARP];
    lane *all = &lanes[device.running / WARP * WARP], *l = running_lane();
    if (w->ended) emulator_fault("a warp's exchange after some of its lanes have ended");
    if (w->arrived && (w->what != what || w->where.line != where.line || strcmp(w->where.file, where.file)))
        emulator_fault("lanes of one warp meet in different exchanges: %s:%d and %s:%d", w->where.file, w->where.line,
                       where.file, where.line);
    w->what = what;
    w->where = where;
    l->exchange = mine;
    l->state = IN_WARP;
    if (++w->arrived < WARP) {
        yield_lane();
        return;
    }
    void *brought[WARP];
    for (int i = 0; i < WARP; i++) brought[i] = all[i].exchange;
    w->arrived = 0;
    w->exchanges++;
    what(brought);
    for (int i = 0; i < WARP; i++) all[i].state = READY;
}

EMULATED_UNWATCHED void emulated_warp_barrier(const char *file, int line) {
    warp *w = &warps[device.running / WARP];
    char *clock = &w->clocks[w->exchanges & 1];
    fiber_leaves(clock);
    meet([](void *[WARP]) {}, nullptr, place{file, line});
    fiber_sees(clock);
}

/* ---- A block, a grid ---- */

EMULATED_UNWATCHED static void end_lane(void) {
    lane *l = running_lane();
    warp *w = &warps[device.running / WARP];
    if (l->copies_awaited < l->copies.size()) emulator_fault("a thread ends while its copies are under way");
    if (w->arrived) emulator_fault("a lane ends while its warp waits for it");
    l->state = ENDED;
    ended++;
    w->ended++;
    if (waiting && waiting + ended == threads) release_block();
    fiber_leaves(&host);
    if (ended == threads) {
        fiber_switch(&l->f, &host);
        return;
    }
    int at = next_ready(device.running);
    if (at < 0) emulator_fault("threads end while others wait for them");
    run_lane(at);
}

/* A fiber serves its lane in one block after the other. */
static void lane_main(void) {
    fiber_entered();
    for (;;) {
        fiber_sees(&body);
        (*body)();
        end_lane();
    }
}

/* What a device may do either way: a dice decides for each block, unless the environment does. */
static void draw(void) {
    static uint64_t dice = 15;
    const char *order = getenv("EMULATED_ORDER"), *copies = getenv("EMULATED_COPIES");
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    backwards = order ? !strcmp(order, "backward") : dice >> 63;
    device.copies_are_early = copies ? !strcmp(copies, "early") : dice >> 62 & 1;
}

static void run_block(dim3 grid, dim3 block, uint3 index, size_t shared) {
    waiting = ended = 0;
    for (int i = 0; i < threads; i++) {
        lane *l = &lanes[i];
        unsigned at = (unsigned)i;
        if (!l->f.stack && !fiber_prepare(&l->f, lane_main)) emulator_fault("no memory for a fiber");
        l->here = {{at % block.x, at / block.x % block.y, at / block.x / block.y}, index, block, grid};
        l->state = READY;
        l->copy_group = 0;
        l->copies.clear();
        l->copies_awaited = 0;
    }
    for (int i = 0; i < threads / WARP; i++) warps[i] = {};
    void *memory = nullptr;
    if (shared && posix_memalign(&memory, 16, shared)) emulator_fault("no shared memory");
    if (shared) fill_unset(memory, shared);
    device.shared = (char *)memory;
    draw();
    device.running = backwards ? threads - 1 : 0;
    emulated_here = &lanes[device.running].here;
    fiber_leaves(&body);
    fiber_switch(&host, &lanes[device.running].f);
    fiber_sees(&host);
    free(memory);
}

/* Which kernels ran, for the test that none was left out: a file that the environment names gets their addresses in the
 * module, as a list of its symbols shows them. */
static void record(const char *name, const void *kernel) {
    extern const char __ehdr_start[] __attribute__((visibility("hidden")));
    static const void *seen[512];
    static int count;
    for (int i = 0; i < count; i++)
        if (seen[i] == kernel) return;
    if (count == 512) emulator_fault("more kernels than there is room to remember");
    seen[count++] = kernel;
    const char *path = getenv("EMULATED_KERNELS");
    FILE *file = path ? fopen(path, "a") : nullptr;
    if (!file) return;
    fprintf(file, "%016zx %s\n", (size_t)((const char *)kernel - __ehdr_start), name);
    fclose(file);
}

void emulator_run(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared,
                  const std::function<void()> &kernel_body) {
    std::lock_guard<std::mutex> hold(one_grid);
    record(name, kernel);
    fiber_adopt_thread(&host);
    device.kernel = name;
    body = &kernel_body;
    threads = (int)(block.x * block.y * block.z);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) run_block(grid, block, uint3{x, y, z}, shared);
    fake_spend(1e-5 * (double)grid.x * grid.y * grid.z * threads);
    device.kernel = nullptr;
}

/* A limit belongs to a kernel: were it another for each launch, one thread could lower it between another's wish and its launch. */
static void check_limit(const char *name, const void *kernel, size_t most) {
    struct limit {
        const void *kernel;
        size_t most;
    };
    static std::vector<limit> limits;
    static std::mutex lock;
    if (most <= UNASKED_SHARED) return;
    std::lock_guard<std::mutex> hold(lock);
    for (const limit &l : limits) {
        if (l.kernel != kernel) continue;
        if (l.most != most)
            emulator_fault("%s asks for %zu bytes of shared memory, and for %zu before", name, most, l.most);
        return;
    }
    limits.push_back({kernel, most});
}

cudaError_t emulated_launch(const char *name, const void *kernel, dim3 grid, dim3 block, shared_size shared,
                            cudaStream_t stream, std::function<void()> kernel_body) {
    unsigned count = block.x * block.y * block.z;
    if (count == 0 || count > MOST_THREADS || count % WARP || block.z > 64 || shared.bytes > shared.most ||
        shared.most > MOST_SHARED || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu ||
        grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidValue;
    check_limit(name, kernel, shared.most);
    fake_enqueue(stream, [=] { emulator_run(name, kernel, grid, block, shared.bytes, kernel_body); });
    return cudaSuccess;
}
