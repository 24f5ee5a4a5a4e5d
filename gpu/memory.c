/* memory.c: device memory for pools and weights, and pinned memory for what comes from the host. */
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"

enum { STAGE_BYTES = 4 << 20 };

cudaError_t gpu_take_at_once(gpu_backend *b, void **memory, size_t bytes) {
    uint64_t taken = atomic_fetch_add(&b->device_bytes, bytes) + bytes, peak = atomic_load(&b->device_peak_bytes);
    cudaError_t error = cudaErrorMemoryAllocation;
    if (!b->memory_budget || taken <= b->memory_budget) error = cudaMalloc(memory, bytes);
    if (error != cudaSuccess) {
        cudaGetLastError();
        atomic_fetch_sub(&b->device_bytes, bytes);
        *memory = NULL;
        return error;
    }
    while (peak < taken && !atomic_compare_exchange_weak(&b->device_peak_bytes, &peak, taken)) {}
    return cudaSuccess;
}

cudaError_t gpu_take(gpu_backend *b, gpu_stream *s, void **memory, size_t bytes) {
    cudaError_t did = gpu_take_at_once(b, memory, bytes);
    if (did != cudaErrorMemoryAllocation) return did;
    if (s) gpu_free_idle(s);
    return gpu_move_out_for(b, memory, bytes);
}

void gpu_give(gpu_backend *b, void *memory, size_t bytes) {
    if (!memory) return;
    cudaFree(memory);
    atomic_fetch_sub(&b->device_bytes, bytes);
}

/* ---- What a recorded step may still refer to ---- */

typedef struct device_block {
    struct device_block *next;
    void *memory;
    size_t bytes;
} device_block;

void gpu_condemn(gpu_stream *s, void *memory, size_t bytes) {
    device_block *block = s->recording ? cpl_alloc(1, sizeof *block, NULL) : NULL;
    if (!block) { /* not recording, or no memory to remember it: then the recording so far is run first */
        gpu_flush(s);
        gpu_give(gpu_backend_of(&s->base), memory, bytes);
        return;
    }
    *block = (device_block){s->condemned, memory, bytes};
    s->condemned = block;
}

void gpu_free_condemned(gpu_stream *s) {
    while (s->condemned) {
        device_block *block = s->condemned;
        s->condemned = block->next;
        gpu_give(gpu_backend_of(&s->base), block->memory, block->bytes);
        free(block);
    }
}

void gpu_free_idle(gpu_stream *s) {
    gpu_flush(s);
    if (s->base.pool) cpl_pool_trim(s->base.pool, 0);
    gpu_free_condemned(s);
}

static double gib(uint64_t bytes) { return (double)bytes / (double)(1 << 30); }

bool gpu_took(gpu_stream *s, cudaError_t did, size_t bytes, const char *what) {
    const gpu_backend *b = gpu_backend_of(&s->base);
    if (did != cudaErrorMemoryAllocation) return gpu_did(&s->base, "device memory", did);
    cpl_stream_fail(&s->base, CPL_E_MEMORY,
                    "cuda:%d: out of memory: %zu bytes asked for %s while %.2f of %.2f GiB are in use; " GPU_REMEDY,
                    b->device, bytes, what, gib(atomic_load(&b->device_bytes)),
                    gib(b->memory_budget ? b->memory_budget : b->memory_total));
    return false;
}

/* ---- Pool ---- */

/* The pool gives an address back without its size; a header in front of it could not be read from here. */

typedef struct pool_memory {
    gpu_stream *s; /* borrowed */
    device_block *first;
} pool_memory;

static void *pool_take(void *context, size_t bytes) {
    pool_memory *m = context;
    device_block *block = cpl_alloc(1, sizeof *block, NULL);
    if (!block) return NULL;
    cudaError_t did = gpu_take(gpu_backend_of(&m->s->base), m->s, &block->memory, bytes);
    if (did != cudaSuccess) { /* a lack of memory is the pool's to tell, which tries more than once */
        if (did != cudaErrorMemoryAllocation) gpu_did(&m->s->base, "device memory", did);
        free(block);
        return NULL;
    }
    block->bytes = bytes;
    block->next = m->first;
    m->first = block;
    return block->memory;
}

static void pool_give(void *context, void *memory) {
    pool_memory *m = context;
    for (device_block **at = &m->first; *at; at = &(*at)->next) {
        device_block *block = *at;
        if (block->memory != memory) continue;
        *at = block->next;
        gpu_condemn(m->s, memory, block->bytes);
        free(block);
        return;
    }
}

cpl_pool *gpu_pool_new(gpu_stream *s, size_t budget, cpl_error *error) {
    pool_memory *m = cpl_alloc(1, sizeof *m, error);
    if (!m) return NULL;
    m->s = s;
    /* takes memory at once: no segments */
    cpl_memory memory = {
        .take = pool_take, .give = pool_give, .context = m, .exact = CPL_SANITIZED, .remedy = GPU_REMEDY};
    cpl_pool *pool = cpl_pool_new(&memory, budget, error);
    if (pool)
        s->pool_memory = m;
    else
        free(m);
    return pool;
}

void *gpu_scratch(cpl_stream *s, size_t bytes) {
    cpl_error error = {0};
    void *block = cpl_pool_take(s->pool, bytes, &error);
    if (!block) cpl_stream_fail(s, error.code, "%s", error.message);
    return block;
}

/* ---- Pinned memory ---- */

/* Both at once: the second would else be taken in some later step. */
cudaError_t gpu_stages_open(gpu_stream *s) {
    cudaError_t did = cudaSuccess;
    for (int i = 0; i < 2 && did == cudaSuccess; i++) {
        did = cudaMallocHost((void **)&s->stage[i].data, STAGE_BYTES);
        if (did == cudaSuccess) s->stage[i].room = STAGE_BYTES;
        if (did == cudaSuccess) did = cudaEventCreateWithFlags(&s->stage[i].done, cudaEventDisableTiming);
    }
    return did;
}

static bool stage_fits(gpu_stream *s, gpu_stage *stage, size_t bytes) {
    if (stage->room - stage->used >= bytes) return true;
    /* What was staged before must have been read: a recording is run up to here. */
    gpu_flush(s);
    if (!gpu_did(&s->base, "waiting for copies", cudaStreamSynchronize(s->queue))) return false;
    stage->used = 0;
    if (stage->room >= bytes) return true;
    cudaFreeHost(stage->data);
    stage->room = bytes > STAGE_BYTES ? bytes : STAGE_BYTES;
    stage->data = NULL;
    if (gpu_did(&s->base, "pinned memory", cudaMallocHost((void **)&stage->data, stage->room))) return true;
    stage->room = 0;
    return false;
}

const void *gpu_stage_copy(gpu_stream *s, const void *host, size_t bytes) {
    gpu_stage *stage = &s->stage[s->stage_now];
    size_t whole = (bytes + 63) / 64 * 64;
    if (!stage_fits(s, stage, whole)) return NULL;
    char *to = stage->data + stage->used;
    memcpy(to, host, bytes);
    stage->used += whole;
    return to;
}

void gpu_memory_close(gpu_stream *s) {
    for (int i = 0; i < 2; i++) {
        if (s->stage[i].room) cudaFreeHost(s->stage[i].data);
        if (s->stage[i].done) cudaEventDestroy(s->stage[i].done);
    }
    free(s->pool_memory);
}
