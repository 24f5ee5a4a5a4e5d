/* fake_runtime.cc: CUDA's runtime on a CPU, as unkind as the real one may be: device memory is of just the size asked for
 * and full of NaN, a recorded graph runs later than its recording, and streams work when it suits them: not before somebody waits
 * for them (EMULATED_STREAMS=late), as soon as they can (early), or, as a dice decides at each call, each a little (the default).
 * EMULATED_DEVICES=N says how many devices there are (1; -1: no driver, -2: one that is too old), EMULATED_OLD=N that the first N
 * of them are too old, EMULATED_MEMORY=BYTES how much
 * fits one (8 GiB), EMULATED_FAILURE=CALL:N makes the N-th call of that name fail (cudaMalloc, cudaMallocHost, cudaMemcpyAsync,
 * cudaGraphInstantiate, cudaEventSynchronize); cudaMallocAfterFault:N: from the N-th cudaMalloc on all of them fail with what a
 * kernel did that ran before, as the real one does. What was called, and how much was copied, is counted for tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <mutex>
#include <vector>

#include "counters.h"
#include "fake.h"
#include "fiber.h"

typedef std::vector<std::function<void()>> work_list;

struct CUgraph_st {
    work_list work;
};
struct CUgraphExec_st {
    work_list work;
};
/* A moment of a stream: events are recorded anew, what waits for the old moment still does. */
struct moment {
    cudaStream_t stream;
    double reached_ms; /* when the stream came to it; negative: not yet */
};
struct CUevent_st {
    std::shared_ptr<moment> last;
};
/* One thing that a stream does, or waits for. */
struct work_item {
    std::function<void()> run;
    std::shared_ptr<moment> wait;
};
struct CUstream_st {
    std::vector<work_item> queue;
    size_t done = 0;
    CUgraph_st *recorded = nullptr;
};

static std::recursive_mutex lock;
/* Plain lists: MemorySanitizer would not know what the C++ library writes into trees. */
static std::vector<cudaStream_t> streams;
struct memory_block {
    const char *start;
    size_t bytes;
};
static std::vector<memory_block> device_blocks, pinned_blocks;
static size_t device_bytes;
static cudaError_t last_error;

typedef std::lock_guard<std::recursive_mutex> hold;

static long long setting(const char *name, long long otherwise) {
    const char *text = getenv(name);
    return text ? atoll(text) : otherwise;
}

static cudaError_t failed(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

emulated_counters emulated_counts;

/* True once for the call that is to fail, or from then on: calls are counted from the moment at which it is named. */
static bool to_fail(const char *call, bool from_then_on = false) {
    static char named[64];
    static long long calls;
    const char *text = getenv("EMULATED_FAILURE");
    size_t length = strlen(call);
    if (!text) text = "";
    if (strcmp(text, named) != 0) {
        snprintf(named, sizeof named, "%s", text);
        calls = 0;
    }
    if (strncmp(text, call, length) != 0 || text[length] != ':') return false;
    long long nth = atoll(text + length + 1);
    return ++calls == nth || (from_then_on && calls > nth);
}

static void do_next(cudaStream_t stream);
static void come_to(const std::shared_ptr<moment> &m) {
    while (m->reached_ms < 0 && m->stream->done < m->stream->queue.size()) do_next(m->stream);
    if (m->reached_ms < 0) emulator_fault("a wait for a moment that its stream never comes to");
}
static void do_next(cudaStream_t stream) {
    work_item item = std::move(stream->queue[stream->done]);
    if (item.wait) come_to(item.wait);
    stream->done++;
    if (item.run) item.run();
    if (stream->done < stream->queue.size()) return;
    stream->queue.clear();
    stream->done = 0;
}

/* Streams go on a little whenever the host does something; how far is nobody's to know. */
static uint32_t dice = 2463534242u;
static uint32_t throw_dice(void) {
    dice ^= dice << 13, dice ^= dice >> 17, dice ^= dice << 5;
    return dice;
}
static void let_streams_work(void) {
    const char *manner = getenv("EMULATED_STREAMS");
    if (manner && strcmp(manner, "late") == 0) return;
    bool early = manner && strcmp(manner, "early") == 0;
    for (size_t i = 0; i < streams.size(); i++) {
        uint32_t most = early ? UINT32_MAX : throw_dice() % 8 == 0 ? throw_dice() % 64 : 0;
        for (; most > 0 && streams[i]->done < streams[i]->queue.size(); most--) do_next(streams[i]);
    }
}

static void enqueue(cudaStream_t stream, work_item item) {
    hold h(lock);
    if (!stream) emulator_fault("work on the default stream, which waits for all others");
    if (stream->recorded && item.wait) emulator_fault("a recorded wait for what lies outside of the recording");
    if (stream->recorded)
        stream->recorded->work.push_back(std::move(item.run));
    else
        stream->queue.push_back(std::move(item));
    let_streams_work();
}
void fake_enqueue(cudaStream_t stream, std::function<void()> work) { enqueue(stream, {std::move(work), nullptr}); }

static void drain(cudaStream_t stream) {
    hold h(lock);
    if (stream->recorded) emulator_fault("a wait for a stream that records a graph");
    while (stream->done < stream->queue.size()) do_next(stream);
}
static void forget(cudaStream_t stream) {
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream) streams.erase(streams.begin() + (ptrdiff_t)i--);
}
static void drain_all(void) {
    for (cudaStream_t s : streams)
        while (s->done < s->queue.size()) do_next(s);
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = (int)setting("EMULATED_DEVICES", 1);
    if (*count > 0) return cudaSuccess;
    return failed(*count < 0 ? cudaErrorInsufficientDriver : cudaErrorNoDevice);
}
cudaError_t cudaDriverGetVersion(int *version) {
    *version = setting("EMULATED_DEVICES", 1) == -1 ? 0 : setting("EMULATED_DEVICES", 1) < 0 ? 11080 : 13000;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device) {
    if (device < 0 || device >= setting("EMULATED_DEVICES", 1)) return failed(cudaErrorInvalidDevice);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated device");
    p->totalGlobalMem = (size_t)setting("EMULATED_MEMORY", 8LL << 30);
    p->major = 8, p->minor = 0;
    if (device < setting("EMULATED_OLD", 0)) p->major = 7, p->minor = 5;
    p->multiProcessorCount = 4;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    return device >= 0 && device < setting("EMULATED_DEVICES", 1) ? cudaSuccess : failed(cudaErrorInvalidDevice);
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    hold h(lock);
    *total_bytes = (size_t)setting("EMULATED_MEMORY", 8LL << 30);
    *free_bytes = *total_bytes > device_bytes ? *total_bytes - device_bytes : 0;
    return cudaSuccess;
}
const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInsufficientDriver:
        return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorIllegalAddress:
        return "an illegal memory access was encountered";
    default:
        return "invalid argument";
    }
}
cudaError_t cudaGetLastError(void) {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

static bool take_block(std::vector<memory_block> *list, void **memory, size_t bytes) {
    if (posix_memalign(memory, 256, bytes)) return false;
    fill_unset(*memory, bytes);
    list->push_back({(const char *)*memory, bytes});
    return true;
}
/* Its size, or 0: there is no such block. */
static size_t give_block(std::vector<memory_block> *list, void *memory) {
    for (size_t i = 0; i < list->size(); i++) {
        if ((*list)[i].start != memory) continue;
        size_t bytes = (*list)[i].bytes;
        list->erase(list->begin() + (ptrdiff_t)i);
        free(memory);
        return bytes;
    }
    return 0;
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    hold h(lock);
    emulated_counts.device_allocations++;
    if (to_fail("cudaMallocAfterFault", true)) return failed(cudaErrorIllegalAddress);
    if (bytes == 0 || to_fail("cudaMalloc") || device_bytes + bytes > (size_t)setting("EMULATED_MEMORY", 8LL << 30) ||
        !take_block(&device_blocks, memory, bytes))
        return failed(cudaErrorMemoryAllocation);
    device_bytes += bytes;
    return cudaSuccess;
}
cudaError_t cudaFree(void *memory) {
    hold h(lock);
    if (!memory) return cudaSuccess;
    drain_all();
    size_t bytes = give_block(&device_blocks, memory);
    device_bytes -= bytes;
    return bytes ? cudaSuccess : failed(cudaErrorInvalidValue);
}
cudaError_t cudaMallocHost(void **memory, size_t bytes) {
    hold h(lock);
    emulated_counts.pinned_allocations++;
    return bytes && !to_fail("cudaMallocHost") && take_block(&pinned_blocks, memory, bytes)
               ? cudaSuccess
               : failed(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void *memory) {
    hold h(lock);
    drain_all();
    return !memory || give_block(&pinned_blocks, memory) ? cudaSuccess : failed(cudaErrorInvalidValue);
}

static bool is_pinned(const void *memory) {
    for (const memory_block &b : pinned_blocks)
        if ((const char *)memory >= b.start && (const char *)memory < b.start + b.bytes) return true;
    return false;
}
/* Pageable memory is read, and written, before the call returns. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    hold h(lock);
    const void *host = kind == cudaMemcpyHostToDevice ? from : to;
    if (to_fail("cudaMemcpyAsync")) return failed(cudaErrorIllegalAddress);
    emulated_counts.copies++;
    if (kind == cudaMemcpyHostToDevice) emulated_counts.bytes_in += bytes;
    if (kind == cudaMemcpyDeviceToHost) emulated_counts.bytes_out += bytes;
    fake_enqueue(stream, [=] {
        memcpy(to, from, bytes);
        fake_spend(1e-7 * (double)bytes);
    });
    if (kind == cudaMemcpyDeviceToDevice || is_pinned(host)) return cudaSuccess;
    if (stream->recorded) emulator_fault("a recorded copy of memory that is not pinned");
    drain(stream);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
    fake_enqueue(stream, [=] { memset(to, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    hold h(lock);
    streams.push_back(*stream = new CUstream_st());
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    hold h(lock);
    drain(stream);
    forget(stream);
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    hold h(lock);
    emulated_counts.stream_waits++;
    drain(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    hold h(lock);
    if (stream->recorded) return failed(cudaErrorInvalidValue);
    stream->recorded = new CUgraph_st();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    hold h(lock);
    *graph = stream->recorded;
    stream->recorded = nullptr;
    return *graph ? cudaSuccess : failed(cudaErrorInvalidValue);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *instance, cudaGraph_t graph, unsigned long long) {
    if (to_fail("cudaGraphInstantiate")) return failed(cudaErrorMemoryAllocation);
    *instance = new CUgraphExec_st{graph->work};
    return cudaSuccess;
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t instance, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *result) {
    result->result = instance->work.size() == graph->work.size() ? 0 : 1;
    if (result->result) return failed(cudaErrorInvalidValue);
    instance->work = graph->work;
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t instance, cudaStream_t stream) {
    work_list work = instance->work;
    fake_enqueue(stream, [work] {
        for (const auto &w : work) w();
    });
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t instance) {
    delete instance;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    *event = new CUevent_st{nullptr};
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    hold h(lock);
    if (stream->recorded) emulator_fault("a recorded event, which no host can wait for");
    auto m = std::make_shared<moment>(moment{stream, -1.0});
    event->last = m;
    fake_enqueue(stream, [m] { m->reached_ms = fake_now_ms(); });
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t began, cudaEvent_t ended) {
    hold h(lock);
    if (!began->last || !ended->last) return failed(cudaErrorInvalidValue);
    if (began->last->reached_ms < 0 || ended->last->reached_ms < 0) return failed(cudaErrorNotReady);
    *ms = (float)(ended->last->reached_ms - began->last->reached_ms);
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    hold h(lock);
    if (to_fail("cudaEventSynchronize")) return failed(cudaErrorLaunchFailure);
    if (event->last) come_to(event->last);
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    hold h(lock);
    if (event->last) enqueue(stream, {nullptr, event->last});
    return cudaSuccess;
}
