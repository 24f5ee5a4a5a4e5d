/* weights.c: weights on their way to the device: read in pieces through two pinned buffers, so that one is filled while the
 * other travels, and brought into the order of the kernels by the device itself. */
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"

enum { BUFFERS = 2, PIECE_BYTES = 8 << 20 };

struct gpu_uploader {
    cudaStream_t queue;
    struct {
        char *pinned;
        void *device;
        cudaEvent_t free_again;
        bool in_flight;
    } buffer[BUFFERS];
    int next;
    pthread_mutex_t lock;
};

void gpu_uploader_free(gpu_backend *b, gpu_uploader *u) {
    if (!u) return;
    if (u->queue) cudaStreamSynchronize(u->queue);
    for (int i = 0; i < BUFFERS; i++) {
        if (u->buffer[i].pinned) cudaFreeHost(u->buffer[i].pinned);
        gpu_give(b, u->buffer[i].device, PIECE_BYTES);
        if (u->buffer[i].free_again) cudaEventDestroy(u->buffer[i].free_again);
    }
    if (u->queue) cudaStreamDestroy(u->queue);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

cudaStream_t gpu_uploader_queue(const gpu_uploader *u) { return u->queue; }

gpu_uploader *gpu_uploader_new(gpu_backend *b, cpl_error *error) {
    gpu_uploader *u = cpl_alloc(1, sizeof *u, error);
    if (!u) return NULL;
    pthread_mutex_init(&u->lock, NULL);
    cudaError_t did = cudaStreamCreateWithFlags(&u->queue, cudaStreamNonBlocking);
    for (int i = 0; i < BUFFERS && did == cudaSuccess; i++) {
        did = cudaMallocHost((void **)&u->buffer[i].pinned, PIECE_BYTES);
        if (did == cudaSuccess) did = gpu_take_at_once(b, &u->buffer[i].device, PIECE_BYTES);
        if (did == cudaSuccess) did = cudaEventCreateWithFlags(&u->buffer[i].free_again, cudaEventDisableTiming);
    }
    if (did == cudaSuccess) return u;
    cudaGetLastError();
    cpl_fail(error, did == cudaErrorMemoryAllocation ? CPL_E_MEMORY : CPL_E_DEVICE,
             "cuda:%d: buffers for weights: %s; use --device cpu", b->device, cudaGetErrorString(did));
    gpu_uploader_free(b, u);
    return NULL;
}

/* One piece: whole rows of a weight. `pack`: into rows of `pitch` values of another type and order, else bytes as they are. */
typedef struct piece {
    const char *from;
    size_t bytes;
    void *to;
    bool pack;
    int out, in, taps;
    size_t pitch;
    gpu_array y, w; /* types; data is filled in here */
} piece;

static cudaError_t send(gpu_uploader *u, piece *p) {
    int i = u->next;
    u->next = (i + 1) % BUFFERS;
    cudaError_t did = u->buffer[i].in_flight ? cudaEventSynchronize(u->buffer[i].free_again) : cudaSuccess;
    if (did != cudaSuccess) return did;
    memcpy(u->buffer[i].pinned, p->from, p->bytes);
    void *arrives = p->pack ? u->buffer[i].device : p->to;
    did = cudaMemcpyAsync(arrives, u->buffer[i].pinned, p->bytes, cudaMemcpyHostToDevice, u->queue);
    if (did == cudaSuccess && p->pack) {
        p->y.data = p->to;
        p->w.data = arrives;
        did = gpu_pack_weight(u->queue, p->out, p->in, p->taps, p->pitch, p->y, p->w);
    }
    u->buffer[i].in_flight = true;
    return did == cudaSuccess ? cudaEventRecord(u->buffer[i].free_again, u->queue) : did;
}

static bool told(cudaError_t did, cpl_error *error) {
    if (did == cudaSuccess) return true;
    cudaGetLastError();
    return cpl_fail(error, CPL_E_DEVICE, "cuda: copying weights: %s", cudaGetErrorString(did));
}

/* Waits, so that whatever stream uses the weight finds it there. */
static bool finish(gpu_uploader *u, cudaError_t did, cpl_error *error) {
    if (did == cudaSuccess) did = cudaStreamSynchronize(u->queue);
    return told(did, error);
}

static bool send_bytes(gpu_backend *b, void *to, const void *from, size_t bytes, cpl_error *error) {
    cudaError_t did = cudaSuccess;
    pthread_mutex_lock(&b->uploader->lock);
    for (size_t at = 0; at < bytes && did == cudaSuccess; at += PIECE_BYTES) {
        piece p = {.from = (const char *)from + at, .to = (char *)to + at};
        p.bytes = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        did = send(b->uploader, &p);
    }
    bool sent = finish(b->uploader, did, error);
    pthread_mutex_unlock(&b->uploader->lock);
    return sent;
}

static bool send_rows(gpu_backend *b, const cpl_weight *w, cpl_values values, cpl_error *error) {
    int taps = w->kh * w->kw;
    size_t row = (size_t)w->in * (size_t)taps * (values.dtype == CPL_F32 ? 4 : 2), value = w->type == CPL_F32 ? 4 : 2;
    if (row > PIECE_BYTES)
        return cpl_fail(error, CPL_E_UNSUPPORTED, "cuda: a weight of %d inputs is too wide", w->in * taps);
    int each = (int)(PIECE_BYTES / row);
    cudaError_t did = cudaSuccess;
    pthread_mutex_lock(&b->uploader->lock);
    for (int first = 0; first < w->out && did == cudaSuccess; first += each) {
        int rows = w->out - first < each ? w->out - first : each;
        piece p = {.from = (const char *)values.data + (size_t)first * row,
                   .bytes = (size_t)rows * row,
                   .to = (char *)w->data + (size_t)first * w->pitch * value,
                   .pack = true,
                   .out = rows,
                   .in = w->in,
                   .taps = taps,
                   .pitch = w->pitch,
                   .y = {NULL, (int)w->type},
                   .w = {NULL, (int)values.dtype}};
        did = send(b->uploader, &p);
    }
    bool sent = finish(b->uploader, did, error);
    pthread_mutex_unlock(&b->uploader->lock);
    return sent;
}

static bool take(gpu_backend *b, void **memory, size_t *bytes, size_t wanted, cpl_error *error) {
    cudaError_t did = gpu_take(b, NULL, memory, wanted);
    if (did == cudaErrorMemoryAllocation)
        return cpl_fail(error, CPL_E_MEMORY,
                        "cuda:%d: out of memory: %zu bytes for a weight asked for while %llu of %llu are in use; use "
                        "--precision bf16, a smaller model or --device cpu",
                        b->device, wanted, (unsigned long long)atomic_load(&b->device_bytes),
                        (unsigned long long)(b->memory_budget ? b->memory_budget : b->memory_total));
    if (did != cudaSuccess)
        return cpl_fail(error, CPL_E_DEVICE, "cuda:%d: device memory: %s", b->device, cudaGetErrorString(did));
    *bytes = wanted;
    atomic_fetch_add(&b->weight_bytes, wanted);
    return true;
}

void gpu_weight_free(cpl_backend *backend, cpl_weight *w) {
    if (!w) return;
    gpu_backend *b = (gpu_backend *)backend;
    cudaSetDevice(b->device);
    if (gpu_part_remove(b, w)) {
        gpu_give(b, w->data, w->bytes);
        gpu_give(b, w->beta, w->beta_bytes);
    }
    atomic_fetch_sub(&b->weight_bytes, w->bytes + w->beta_bytes);
    free(w);
}

static cpl_weight *new_weight(gpu_backend *b, const cpl_weight *as, size_t bytes, const float *beta, int beta_count,
                              cpl_error *error) {
    cpl_weight *w = cpl_alloc(1, sizeof *w, error);
    if (!w) return NULL;
    *w = *as;
    size_t beta_bytes = (size_t)beta_count * sizeof *beta, room = beta_bytes;
    if (w->kind == GPU_CONV && w->type != CPL_F32) room = gpu_short_bias_at(w->out) + (size_t)w->out * 2;
    if (told(cudaSetDevice(b->device), error) && take(b, &w->data, &w->bytes, bytes, error) &&
        (!beta ||
         (take(b, (void **)&w->beta, &w->beta_bytes, room, error) && send_bytes(b, w->beta, beta, beta_bytes, error))))
        return w;
    gpu_weight_free(&b->base, w);
    return NULL;
}

/* The bias once more, in the type of the weight. */
static bool shorten_bias(gpu_backend *b, cpl_weight *w, cpl_error *error) {
    void *to = gpu_short_bias(w);
    if (!to) return true;
    pthread_mutex_lock(&b->uploader->lock);
    cudaError_t did = gpu_scale_add(b->uploader->queue, (size_t)w->out, (gpu_array){to, (int)w->type}, 1,
                                    (gpu_array){w->beta, GPU_F32}, 0, (gpu_array){NULL, GPU_F32});
    bool done = finish(b->uploader, did, error);
    pthread_mutex_unlock(&b->uploader->lock);
    return done;
}

/* It is complete: from now on it may be moved with its part. */
static cpl_weight *belonging(gpu_backend *b, cpl_weight *w) {
    pthread_mutex_lock(&b->lock);
    gpu_part_add(b, w);
    pthread_mutex_unlock(&b->lock);
    return w;
}

cpl_weight *gpu_conv_weight(cpl_backend *backend, cpl_dtype type, cpl_values values, const float *bias, int out, int in,
                            int kh, int kw, cpl_error *error) {
    gpu_backend *b = (gpu_backend *)backend;
    if (out < 1 || in < 1 || kh < 1 || kw < 1) {
        cpl_fail(error, CPL_E_INPUT, "A convolution of %dx%d from %d to %d channels is not possible.", kh, kw, in, out);
        return NULL;
    }
    if (type != CPL_F32 && type != backend->precision) {
        cpl_fail(error, CPL_E_DEVICE, "A weight must be f32 or of the backend's precision.");
        return NULL;
    }
    cpl_weight as = {.kind = GPU_CONV, .type = type, .out = out, .in = in, .kh = kh, .kw = kw};
    as.pitch = ((size_t)in * (size_t)kh * (size_t)kw + 7) / 8 * 8;
    cpl_weight *w = new_weight(b, &as, (size_t)out * as.pitch * (type == CPL_F32 ? 4 : 2), bias, out, error);
    if (w && send_rows(b, w, values, error) && shorten_bias(b, w, error)) return belonging(b, w);
    gpu_weight_free(backend, w);
    return NULL;
}

cpl_weight *gpu_linear_weight(cpl_backend *b, cpl_dtype type, cpl_values w, const float *bias, int out, int in,
                              cpl_error *error) {
    return gpu_conv_weight(b, type, w, bias, out, in, 1, 1, error);
}

static cpl_weight *plain_weight(gpu_backend *b, const cpl_weight *as, const float *values, size_t count,
                                const float *beta, cpl_error *error) {
    cpl_weight *w = new_weight(b, as, count * sizeof *values, beta, as->out, error);
    if (w && send_bytes(b, w->data, values, count * sizeof *values, error)) return belonging(b, w);
    gpu_weight_free(&b->base, w);
    return NULL;
}

cpl_weight *gpu_norm_weight(cpl_backend *b, const float *gamma, const float *beta, int c, cpl_error *error) {
    if (c >= 1)
        return plain_weight((gpu_backend *)b, &(cpl_weight){.kind = GPU_NORM, .out = c}, gamma, (size_t)c, beta, error);
    cpl_fail(error, CPL_E_INPUT, "A norm of %d channels is not possible.", c);
    return NULL;
}

/* Tables stay in f32: they are read row by row, and few rows at that. */
cpl_weight *gpu_table_weight(cpl_backend *b, const float *rows, int count, int c, cpl_error *error) {
    if (count >= 1 && c >= 1)
        return plain_weight((gpu_backend *)b, &(cpl_weight){.kind = GPU_TABLE, .out = count, .in = c}, rows,
                            (size_t)count * (size_t)c, NULL, error);
    cpl_fail(error, CPL_E_INPUT, "A table of %d rows of %d values is not possible.", count, c);
    return NULL;
}
