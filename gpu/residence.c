/* residence.c: which parts of a model lie on the device. All of them do while they fit. Where they do not, parts that no stream
 * works with go to pinned host memory, whole, and come back when an operation wants one of their weights. Weights never
 * change: a part is copied out once, and what goes out again is only forgotten. */
#include "cuda.h"

#include <string.h>

enum { ALIGNMENT = 256 }; /* of weights that lie behind each other, as cudaMalloc's own */

/* The cheapest to miss come first: texts are encoded once an edit, a picture is decoded once a run. */
static const cpl_component victims[] = {CPL_COMPONENT_TEXT, CPL_COMPONENT_VAE, CPL_COMPONENT_UNET};

static size_t padded(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* ---- Whose weights there are ---- */

void gpu_component_begin(cpl_backend *backend, cpl_component part) {
    gpu_backend *b = (gpu_backend *)backend;
    pthread_mutex_lock(&b->lock);
    b->loading = part;
    pthread_mutex_unlock(&b->lock);
}

/* Under the lock. What comes later than a part's copy belongs to none. */
void gpu_part_add(gpu_backend *b, cpl_weight *w) {
    gpu_part *p = &b->part[b->loading];
    w->part = p->host ? CPL_COMPONENT_NONE : b->loading;
    if (w->part == CPL_COMPONENT_NONE) return;
    w->next = p->first;
    w->before = NULL;
    if (p->first) p->first->before = w;
    p->first = w;
    p->bytes += padded(w->bytes) + padded(w->beta_bytes);
}

static void forget_copies(gpu_backend *b, gpu_part *p) {
    if (p->slab) gpu_give(b, p->slab, p->bytes);
    if (p->host) cudaFreeHost(p->host);
    if (p->arrived) cudaEventDestroy(p->arrived);
    if (p->out) atomic_fetch_sub(&b->moved_out_bytes, p->bytes);
    *p = (gpu_part){0};
}

/* False: its memory is the part's, not its own. */
bool gpu_part_remove(gpu_backend *b, cpl_weight *w) {
    pthread_mutex_lock(&b->lock);
    gpu_part *p = &b->part[w->part];
    bool own = w->part == CPL_COMPONENT_NONE || !p->host;
    if (w->part != CPL_COMPONENT_NONE) {
        if (w->before)
            w->before->next = w->next;
        else
            p->first = w->next;
        if (w->next) w->next->before = w->before;
        if (own) p->bytes -= padded(w->bytes) + padded(w->beta_bytes);
        if (!p->first) forget_copies(b, p);
    }
    pthread_mutex_unlock(&b->lock);
    return own;
}

/* ---- Out ---- */

/* Where a part's weights lie, one behind the other. */
typedef struct place {
    char *at;
} place;

static char *step_over(place *p, size_t bytes) {
    char *at = p->at;
    p->at += padded(bytes);
    return at;
}

/* Beside all streams: these only read the weights too. */
static bool copy_out(gpu_backend *b, gpu_part *p) {
    cudaStream_t queue = gpu_uploader_queue(b->uploader);
    cudaError_t did = cudaMallocHost((void **)&p->host, p->bytes);
    if (did != cudaSuccess) {
        p->host = NULL;
        cudaGetLastError();
        return false;
    }
    place to = {p->host};
    for (const cpl_weight *w = p->first; w && did == cudaSuccess; w = w->next) {
        did = cudaMemcpyAsync(step_over(&to, w->bytes), w->data, w->bytes, cudaMemcpyDeviceToHost, queue);
        if (did == cudaSuccess && w->beta)
            did = cudaMemcpyAsync(step_over(&to, w->beta_bytes), w->beta, w->beta_bytes, cudaMemcpyDeviceToHost, queue);
    }
    cudaError_t waited = cudaStreamSynchronize(queue);
    if (did == cudaSuccess && waited == cudaSuccess) return true;
    cudaGetLastError();
    cudaFreeHost(p->host);
    p->host = NULL;
    return false;
}

/* Freeing waits for whatever still reads the weights. */
static bool move_out(gpu_backend *b, gpu_part *p) {
    if (!p->arrived && cudaEventCreateWithFlags(&p->arrived, cudaEventDisableTiming) != cudaSuccess) return false;
    if (!p->host && !copy_out(b, p)) return false;
    for (cpl_weight *w = p->first; w; w = w->next) {
        if (!p->slab) {
            gpu_give(b, w->data, w->bytes);
            gpu_give(b, w->beta, w->beta_bytes);
        }
        w->data = w->beta = NULL;
    }
    gpu_give(b, p->slab, p->bytes);
    p->slab = NULL;
    p->out = true;
    atomic_fetch_add(&b->moves_out, 1);
    atomic_fetch_add(&b->moved_out_bytes, p->bytes);
    return true;
}

static bool at_work(const gpu_backend *b, cpl_component part) {
    bool found = part == b->loading;
    for (const gpu_stream *s = b->streams; s; s = s->next) found = found || s->part == part;
    return found;
}

/* Under the lock. False: nothing is left that could go. */
static bool move_one_out(gpu_backend *b) {
    for (size_t i = 0; i < sizeof victims / sizeof *victims; i++) {
        gpu_part *p = &b->part[victims[i]];
        if (p->first && !p->out && !at_work(b, victims[i]) && move_out(b, p)) return true;
    }
    return false;
}

/* Under the lock. */
static cudaError_t take_making_room(gpu_backend *b, void **memory, size_t bytes) {
    cudaError_t did = gpu_take_at_once(b, memory, bytes);
    while (did == cudaErrorMemoryAllocation && move_one_out(b)) did = gpu_take_at_once(b, memory, bytes);
    return did;
}

cudaError_t gpu_move_out_for(gpu_backend *b, void **memory, size_t bytes) {
    pthread_mutex_lock(&b->lock);
    cudaError_t did = take_making_room(b, memory, bytes);
    pthread_mutex_unlock(&b->lock);
    return did;
}

/* ---- Back in ---- */

/* One copy of all, in the stream's own order: what follows on it finds the weights there, and nobody waits. */
static bool bring_in(gpu_stream *s, gpu_part *p) {
    gpu_backend *b = gpu_backend_of(&s->base);
    void *slab = NULL;
    gpu_flush(s); /* a recording would repeat the copy at each launch */
    cudaError_t did = gpu_take_at_once(b, &slab, p->bytes);
    if (did == cudaErrorMemoryAllocation) {
        gpu_free_idle(s);
        did = take_making_room(b, &slab, p->bytes);
    }
    if (!gpu_took(s, did, p->bytes, "a part of the model")) return false;
    if (!gpu_did(&s->base, "bringing weights back",
                 cudaMemcpyAsync(slab, p->host, p->bytes, cudaMemcpyHostToDevice, s->queue)) ||
        !gpu_did(&s->base, "bringing weights back", cudaEventRecord(p->arrived, s->queue))) {
        gpu_give(b, slab, p->bytes);
        return false;
    }
    place at = {slab};
    for (cpl_weight *w = p->first; w; w = w->next) {
        w->data = step_over(&at, w->bytes);
        if (w->beta_bytes) w->beta = (float *)(void *)step_over(&at, w->beta_bytes);
    }
    p->slab = slab;
    p->out = false;
    p->brought_by = s;
    atomic_fetch_add(&b->moves_in, 1);
    atomic_fetch_sub(&b->moved_out_bytes, p->bytes);
    return true;
}

bool gpu_reside(gpu_stream *s, const cpl_weight *w) {
    /* A stream's own part is never moved. */
    if (w->part == CPL_COMPONENT_NONE) return true;
    if (w->part == s->part) {
        s->part_recorded = s->recording;
        return true;
    }
    /* The part that is left may go now: what reads it must have been launched. */
    if (s->part_recorded) gpu_flush(s);
    s->part_recorded = s->recording;
    gpu_backend *b = gpu_backend_of(&s->base);
    pthread_mutex_lock(&b->lock);
    gpu_part *p = &b->part[w->part];
    s->part = w->part;
    bool there = !p->out || bring_in(s, p);
    bool of_another = there && p->slab && p->brought_by != s;
    cudaEvent_t arrived = p->arrived;
    if (!there) s->part = CPL_COMPONENT_NONE;
    pthread_mutex_unlock(&b->lock);
    /* By the host, since a recording may not wait for what lies outside of it. */
    return there && (!of_another || gpu_did(&s->base, "waiting for weights", cudaEventSynchronize(arrived)));
}

/* ---- Streams ---- */

void gpu_join(gpu_stream *s) {
    gpu_backend *b = gpu_backend_of(&s->base);
    pthread_mutex_lock(&b->lock);
    s->next = b->streams;
    b->streams = s;
    pthread_mutex_unlock(&b->lock);
}

void gpu_leave(gpu_stream *s) {
    gpu_backend *b = gpu_backend_of(&s->base);
    pthread_mutex_lock(&b->lock);
    for (gpu_stream **at = &b->streams; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    for (int i = 0; i < CPL_COMPONENTS; i++) /* another stream may come to lie at the same address */
        if (b->part[i].brought_by == s) b->part[i].brought_by = NULL;
    pthread_mutex_unlock(&b->lock);
}
