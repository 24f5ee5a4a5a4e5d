/* fetch.c: values on their way to the host while the device goes on. The stream makes a copy of its own, in f32, which later
 * work cannot touch; a second CUDA stream carries that into pinned memory. */
#include "cuda.h"

#include <string.h>

static gpu_fetch *slot(gpu_stream *s, int i) { return &s->fetch[i % CPL_MOST_FETCHES]; }

static void free_slot(gpu_stream *s, gpu_fetch *f) {
    if (f->pinned) cudaFreeHost(f->pinned);
    if (f->device) gpu_give(gpu_backend_of(&s->base), f->device, f->room);
    f->pinned = NULL;
    f->device = NULL;
    f->room = 0;
}

/* All at once: otherwise the second step would take memory. */
static bool make_room(gpu_stream *s, size_t bytes) {
    for (int i = 0; i < CPL_MOST_FETCHES; i++) {
        gpu_fetch *f = &s->fetch[i];
        if (f->room >= bytes) continue;
        if (f->under_way && f->count) { /* its values are still to be fetched */
            cpl_stream_fail(&s->base, CPL_E_DEVICE, "fetch: tensors of one run must be of one size");
            return false;
        }
        free_slot(s, f);
        if (!gpu_took(s, gpu_take(gpu_backend_of(&s->base), s, &f->device, bytes), bytes, "a copy to the host"))
            return false;
        f->room = bytes;
        if (!gpu_did(&s->base, "pinned memory", cudaMallocHost((void **)&f->pinned, bytes))) {
            f->pinned = NULL;
            free_slot(s, f);
            return false;
        }
    }
    return true;
}

static bool carry(gpu_stream *s, gpu_fetch *f, const cpl_tensor *x) {
    static const gpu_array none = {NULL, GPU_F32};
    static const char what[] = "a copy to the host";
    cpl_stream *stream = &s->base;
    f->count = cpl_tensor_count(x);
    size_t bytes = f->count * sizeof(float);
    return make_room(s, bytes) &&
           gpu_did(stream, what,
                   gpu_scale_add(s->queue, f->count, (gpu_array){f->device, GPU_F32}, 1, gpu_values(x), 0, none)) &&
           gpu_did(stream, what, cudaEventRecord(f->made, s->queue)) &&
           gpu_did(stream, what, cudaStreamWaitEvent(s->carrier, f->made, 0)) &&
           gpu_did(stream, what, cudaMemcpyAsync(f->pinned, f->device, bytes, cudaMemcpyDeviceToHost, s->carrier)) &&
           gpu_did(stream, what, cudaEventRecord(f->arrived, s->carrier));
}

void gpu_op_fetch(cpl_stream *stream, const cpl_tensor *x) {
    gpu_stream *s = (gpu_stream *)stream;
    gpu_fetch *f = slot(s, s->fetches++);
    f->count = 0;
    if (!gpu_enter(stream) || (x && !gpu_usable(stream, "fetch", "x", x))) return;
    if (f->under_way) {
        cpl_stream_fail(stream, CPL_E_DEVICE, "fetch: more than %d at a time", CPL_MOST_FETCHES);
        return;
    }
    gpu_flush(s);
    f->under_way = x ? carry(s, f, x) : gpu_did(stream, "a step", cudaEventRecord(f->arrived, s->queue));
    if (!f->under_way) f->count = 0;
}

void gpu_op_fetched(cpl_stream *stream, float *host) {
    gpu_stream *s = (gpu_stream *)stream;
    if (s->fetched == s->fetches) {
        cpl_stream_fail(stream, CPL_E_DEVICE, "fetched: nothing is under way");
        return;
    }
    gpu_fetch *f = slot(s, s->fetched++);
    if (!f->under_way) return; /* it failed, and so did the stream */
    f->under_way = false;
    cudaError_t waited = cudaEventSynchronize(f->arrived);
    if (stream->failed || !gpu_did(stream, "a copy to the host", waited) || !host) return;
    if (f->count)
        memcpy(host, f->pinned, f->count * sizeof *host);
    else
        cpl_stream_fail(stream, CPL_E_DEVICE, "fetched: no tensor was under way");
}

cudaError_t gpu_fetch_open(gpu_stream *s) {
    cudaError_t did = cudaStreamCreateWithFlags(&s->carrier, cudaStreamNonBlocking);
    for (int i = 0; i < CPL_MOST_FETCHES; i++) {
        if (did == cudaSuccess) did = cudaEventCreateWithFlags(&s->fetch[i].made, cudaEventDisableTiming);
        if (did == cudaSuccess) did = cudaEventCreateWithFlags(&s->fetch[i].arrived, cudaEventDisableTiming);
    }
    return did;
}

void gpu_fetch_close(gpu_stream *s) {
    if (s->carrier) cudaStreamSynchronize(s->carrier);
    for (int i = 0; i < CPL_MOST_FETCHES; i++) {
        free_slot(s, &s->fetch[i]);
        if (s->fetch[i].made) cudaEventDestroy(s->fetch[i].made);
        if (s->fetch[i].arrived) cudaEventDestroy(s->fetch[i].arrived);
    }
    if (s->carrier) cudaStreamDestroy(s->carrier);
}
