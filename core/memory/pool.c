/* pool.c: who holds which block, and how much that is. Where memory costs nothing before it is touched, blocks stand in an
 * arena. Other memory is kept in size classes of idle blocks: a request takes an idle block of its class or, failing that, a
 * new one; nothing is split or merged, since a run asks for the same sizes at every step. */
#include "pool.h"

#include "alloc.h"
#include "arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Four classes per power of two waste at most a fifth; below the smallest everything is one class. */
enum { CLASS_COUNT = 200, SMALLEST = 256 };

/* The books are kept apart from the blocks: those may be device memory that the host cannot touch. */
typedef struct block {
    void *data;
    size_t bytes;
    size_t wanted;  /* bytes asked for, while it is in use */
    int size_class; /* of a block that was taken by itself */
    bool used, kept;
    int next_idle; /* index into blocks, -1: last */
} block;

struct cpl_pool {
    cpl_memory memory;
    cpl_arena *arena; /* owned; NULL: blocks are taken by themselves */
    size_t budget;
    block *blocks; /* owned; freed slots have data NULL and hang on free_slot */
    int count, room, free_slot;
    int idle[CLASS_COUNT];
    int *slots;              /* owned: open hash from address to block index + 1 */
    int slot_room;           /* a power of two, at least twice the blocks */
    cpl_pool_relief *relief; /* may be NULL */
    void *relief_user;
    uint64_t live_bytes;
    cpl_pool_stats stats;
};

/* Large blocks lie on huge pages where the kernel has them: it then hands over two megabytes for the price of four kilobytes,
 * which for the weights of a large model is seconds. */
#define HUGE_PAGE ((size_t)2 << 20)
static void *host_take(void *context, size_t bytes) {
    (void)context;
    void *data = NULL;
    if (bytes < HUGE_PAGE) return aligned_alloc(64, (bytes + 63) / 64 * 64);
    /* not aligned_alloc, which takes only multiples of the alignment */
    if (posix_memalign(&data, HUGE_PAGE, bytes)) return NULL;
    madvise(data, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return data;
}
static void host_give(void *context, void *data) {
    (void)context;
    free(data);
}
/* Only whole pages: what they share with a neighbour stays. */
static void host_forget(void *context, void *data, size_t bytes) {
    (void)context;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)data + bytes) / page * page;
    if (end > first) madvise((char *)data + (first - (uintptr_t)data), end - first, MADV_DONTNEED);
}

const cpl_memory cpl_host_memory = {
    .take = host_take, .give = host_give, .segment_bytes = CPL_SANITIZED ? 0 : (size_t)1 << 30, .forget = host_forget};

static int class_of(size_t bytes) {
    if (bytes <= SMALLEST) return 0;
    int power = 63 - __builtin_clzll((unsigned long long)(bytes - 1));
    int quarter = (int)((bytes - 1) >> (power - 2)) & 3;
    return (power - 8) * 4 + quarter + 1;
}

static size_t class_bytes(int size_class) {
    if (size_class == 0) return SMALLEST;
    int power = (size_class - 1) / 4 + 8, quarter = (size_class - 1) % 4;
    return ((size_t)1 << power) + ((size_t)(quarter + 1) << (power - 2));
}

cpl_pool *cpl_pool_new(const cpl_memory *memory, size_t budget_bytes, cpl_error *error) {
    cpl_pool *pool = cpl_alloc(1, sizeof *pool, error);
    if (!pool) return NULL;
    pool->memory = *memory;
    pool->budget = budget_bytes;
    pool->free_slot = -1;
    for (int i = 0; i < CLASS_COUNT; i++) pool->idle[i] = -1;
    if (!memory->segment_bytes || (pool->arena = cpl_arena_new(memory, error))) return pool;
    free(pool);
    return NULL;
}

void cpl_pool_free(cpl_pool *pool) {
    if (!pool) return;
    cpl_arena_free(pool->arena);
    for (int i = 0; i < pool->count && !pool->arena; i++)
        if (pool->blocks[i].data) pool->memory.give(pool->memory.context, pool->blocks[i].data);
    free(pool->blocks);
    free(pool->slots);
    free(pool);
}

static int slot_start(const cpl_pool *pool, const void *data) {
    uint64_t mixed = (uint64_t)(uintptr_t)data * UINT64_C(0x9E3779B97F4A7C15);
    return (int)(mixed >> 32) & (pool->slot_room - 1);
}

static void slot_put(cpl_pool *pool, int index) {
    int at = slot_start(pool, pool->blocks[index].data);
    while (pool->slots[at]) at = (at + 1) & (pool->slot_room - 1);
    pool->slots[at] = index + 1;
}

/* Blocks of other memory come and go rarely, so the whole table is laid anew. */
static void slots_rebuild(cpl_pool *pool) {
    memset(pool->slots, 0, (size_t)pool->slot_room * sizeof *pool->slots);
    for (int i = 0; i < pool->count; i++)
        if (pool->blocks[i].data) slot_put(pool, i);
}

static bool slots_fit(cpl_pool *pool, int blocks, cpl_error *error) {
    if (pool->slot_room >= blocks * 2) return true;
    int room = pool->slot_room ? pool->slot_room : 64;
    while (room < blocks * 2) room *= 2;
    int *slots = cpl_alloc((size_t)room, sizeof *slots, error);
    if (!slots) return false;
    free(pool->slots);
    pool->slots = slots;
    pool->slot_room = room;
    slots_rebuild(pool);
    return true;
}

/* What would be searched past the place that becomes empty moves up. */
static void slot_take(cpl_pool *pool, const void *data) {
    int mask = pool->slot_room - 1, at = slot_start(pool, data);
    while (pool->blocks[pool->slots[at] - 1].data != data) at = (at + 1) & mask;
    for (int next = (at + 1) & mask; pool->slots[next]; next = (next + 1) & mask) {
        int start = slot_start(pool, pool->blocks[pool->slots[next] - 1].data);
        if (((next - start) & mask) < ((next - at) & mask)) continue;
        pool->slots[at] = pool->slots[next];
        at = next;
    }
    pool->slots[at] = 0;
}

static int find(const cpl_pool *pool, const void *data) {
    if (!pool->slot_room) return -1;
    for (int at = slot_start(pool, data); pool->slots[at]; at = (at + 1) & (pool->slot_room - 1))
        if (pool->blocks[pool->slots[at] - 1].data == data) return pool->slots[at] - 1;
    return -1;
}

static void *try_memory(cpl_pool *pool, size_t bytes, bool *grew) {
    *grew = true;
    if (pool->arena) {
        void *data = cpl_arena_take(pool->arena, bytes, pool->budget, grew);
        if (data) return data;
        cpl_arena_trim(pool->arena);
        return cpl_arena_take(pool->arena, bytes, pool->budget, grew);
    }
    if (pool->budget && pool->stats.held_bytes + bytes > pool->budget)
        cpl_pool_trim(pool, pool->budget > bytes ? pool->budget - bytes : 0);
    if (pool->budget && pool->stats.held_bytes + bytes > pool->budget) return NULL;
    void *data = pool->memory.take(pool->memory.context, bytes);
    if (data) return data;
    cpl_pool_trim(pool, 0); /* idle blocks of other sizes may be what is in the way */
    return pool->memory.take(pool->memory.context, bytes);
}

static void *take_from_memory(cpl_pool *pool, size_t bytes, bool *grew) {
    void *data = try_memory(pool, bytes, grew);
    if (data || !pool->relief) return data;
    pool->relief(pool->relief_user);
    data = try_memory(pool, bytes, grew);
    if (data) pool->stats.rescues++;
    return data;
}

static int new_block(cpl_pool *pool, size_t wanted, int size_class, cpl_error *error) {
    size_t bytes = pool->arena || pool->memory.exact ? wanted : class_bytes(size_class);
    bool grew = false;
    if (pool->free_slot < 0) {
        if (!cpl_grow((void **)&pool->blocks, &pool->room, pool->count + 1, sizeof *pool->blocks, error)) return -1;
        if (!slots_fit(pool, pool->count + 1, error)) return -1;
        pool->blocks[pool->count] = (block){.next_idle = pool->free_slot};
        pool->free_slot = pool->count++;
    }
    void *data = take_from_memory(pool, bytes, &grew);
    if (!data) {
        cpl_fail(error, CPL_E_MEMORY, "out of memory: %zu bytes asked for while %llu are in use%s; %s", bytes,
                 (unsigned long long)pool->stats.used_bytes, pool->budget ? " (pool budget)" : "",
                 pool->memory.remedy ? pool->memory.remedy : "choose a smaller canvas");
        return -1;
    }
    int index = pool->free_slot; /* read after the trim, which may have freed slots */
    pool->free_slot = pool->blocks[index].next_idle;
    pool->blocks[index] = (block){.data = data, .bytes = bytes, .size_class = size_class};
    slot_put(pool, index);
    *(grew ? &pool->stats.allocations : &pool->stats.reuses) += 1;
    pool->stats.held_bytes = pool->arena ? cpl_arena_held(pool->arena) : pool->stats.held_bytes + bytes;
    if (pool->stats.held_bytes > pool->stats.held_peak_bytes) pool->stats.held_peak_bytes = pool->stats.held_bytes;
    return index;
}

void *cpl_pool_take(cpl_pool *pool, size_t bytes, cpl_error *error) {
    int size_class = class_of(bytes);
    if (size_class >= CLASS_COUNT) {
        cpl_fail(error, CPL_E_MEMORY, "a tensor of %zu bytes is larger than any memory", bytes);
        return NULL;
    }
    int index = pool->arena ? -1 : pool->idle[size_class];
    if (index >= 0) {
        pool->idle[size_class] = pool->blocks[index].next_idle;
        pool->stats.reuses++;
    } else if ((index = new_block(pool, bytes, size_class, error)) < 0) {
        return NULL;
    }
    block *taken = &pool->blocks[index];
    taken->used = true;
    taken->wanted = bytes;
    pool->live_bytes += bytes;
    if (pool->live_bytes > pool->stats.live_peak_bytes) pool->stats.live_peak_bytes = pool->live_bytes;
    pool->stats.used_blocks++;
    pool->stats.used_bytes += taken->bytes;
    if (pool->stats.used_bytes > pool->stats.peak_bytes) pool->stats.peak_bytes = pool->stats.used_bytes;
    return taken->data;
}

void cpl_pool_give(cpl_pool *pool, void *data) {
    int index = data ? find(pool, data) : -1;
    if (index < 0 || !pool->blocks[index].used) return;
    block *given = &pool->blocks[index];
    if (given->kept) {
        pool->stats.kept_blocks--;
        pool->stats.kept_bytes -= given->bytes;
    }
    given->used = given->kept = false;
    pool->live_bytes -= given->wanted;
    pool->stats.used_blocks--;
    pool->stats.used_bytes -= given->bytes;
    if (pool->arena || pool->memory.exact) {
        slot_take(pool, data);
        if (pool->arena)
            cpl_arena_give(pool->arena, data, given->bytes);
        else
            pool->memory.give(pool->memory.context, data);
        pool->stats.held_bytes -= pool->arena ? 0 : given->bytes;
        *given = (block){.next_idle = pool->free_slot};
        pool->free_slot = index;
    } else {
        given->next_idle = pool->idle[given->size_class];
        pool->idle[given->size_class] = index;
    }
}

void cpl_pool_keep(cpl_pool *pool, void *data) {
    int index = data ? find(pool, data) : -1;
    if (index < 0 || !pool->blocks[index].used || pool->blocks[index].kept) return;
    pool->blocks[index].kept = true;
    pool->stats.kept_blocks++;
    pool->stats.kept_bytes += pool->blocks[index].bytes;
}

void cpl_pool_relieve_by(cpl_pool *pool, cpl_pool_relief *relief, void *user) {
    pool->relief = relief;
    pool->relief_user = user;
}

void cpl_pool_trim(cpl_pool *pool, size_t keep_bytes) {
    bool freed = false;
    if (pool->arena) {
        if (pool->stats.held_bytes > keep_bytes) cpl_arena_trim(pool->arena);
        pool->stats.held_bytes = cpl_arena_held(pool->arena);
        return;
    }
    for (int size_class = CLASS_COUNT - 1; size_class >= 0; size_class--) { /* the largest first: fewest calls */
        while (pool->idle[size_class] >= 0 && pool->stats.held_bytes > keep_bytes) {
            int index = pool->idle[size_class];
            block *idle = &pool->blocks[index];
            pool->idle[size_class] = idle->next_idle;
            pool->memory.give(pool->memory.context, idle->data);
            pool->stats.held_bytes -= idle->bytes;
            *idle = (block){.next_idle = pool->free_slot};
            pool->free_slot = index;
            freed = true;
        }
    }
    if (freed) slots_rebuild(pool);
}

void cpl_pool_stats_read(const cpl_pool *pool, cpl_pool_stats *stats) { *stats = pool->stats; }
