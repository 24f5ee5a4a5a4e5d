/* backend.c: the CUDA backend as a whole: devices, opening, streams, statistics, the checks that every operation begins with,
 * and the table. The operations stand in files of their own. */
#include "backend.h"

#include "cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"

/* Compute capabilities, times ten. From 8.0 on there are asynchronous copies and bf16 on tensor cores; the build may have code for
 * newer ones only. What is newer than that compiles the intermediate form when it loads the module. */
#ifndef GPU_OLDEST_BUILT
#define GPU_OLDEST_BUILT 80
#endif
enum { OLDEST_ABLE = 80, OLDEST = GPU_OLDEST_BUILT > OLDEST_ABLE ? GPU_OLDEST_BUILT : OLDEST_ABLE };

/* ---- Checks ---- */

bool gpu_did(cpl_stream *s, const char *what, cudaError_t error) {
    if (error == cudaSuccess) return true;
    cudaGetLastError(); /* it has been told; the next call is not to be blamed for it */
    cpl_stream_fail(s, error == cudaErrorMemoryAllocation ? CPL_E_MEMORY : CPL_E_DEVICE, "cuda: %s: %s", what,
                    cudaGetErrorString(error));
    return false;
}

bool gpu_enter(cpl_stream *s) {
    return !s->failed && gpu_did(s, "choosing the device", cudaSetDevice(gpu_backend_of(s)->device));
}

bool gpu_usable(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t) {
    if (t && t->data && t->n > 0 && t->h > 0 && t->w > 0 && t->c > 0) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: %s is not a filled tensor", operation, name);
    return false;
}

bool gpu_shaped(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, int n, int h, int w,
                int c) {
    if (!gpu_usable(s, operation, name, t)) return false;
    if (t->n == n && t->h == h && t->w == w && t->c == c) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: %s is [%d, %d, %d, %d] and should be [%d, %d, %d, %d]", operation, name, t->n,
                    t->h, t->w, t->c, n, h, w, c);
    return false;
}

bool gpu_like(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, const cpl_tensor *model) {
    return gpu_usable(s, operation, "tensor", model) &&
           gpu_shaped(s, operation, name, t, model->n, model->h, model->w, model->c);
}

bool gpu_alike(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, const cpl_tensor *model) {
    if (!gpu_like(s, operation, name, t, model)) return false;
    if (t->dtype == model->dtype) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: %s is not of the type of the others", operation, name);
    return false;
}

bool gpu_weighs(cpl_stream *s, const char *operation, const cpl_weight *w, gpu_weight_kind kind) {
    static const char *const kinds[] = {
        [GPU_CONV] = "a linear or convolution", [GPU_NORM] = "a norm", [GPU_TABLE] = "a table"};
    if (w && w->kind == kind) return gpu_reside((gpu_stream *)s, w);
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: the weight is not %s weight", operation, kinds[kind]);
    return false;
}

/* ---- Devices ---- */

/* What the runtime calls an insufficient driver is also what there being none at all is. */
static void blame_driver(char *why_not, size_t size) {
    int driver = 0, needed = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0 || cudaRuntimeGetVersion(&needed) != cudaSuccess)
        snprintf(why_not, size, "no driver");
    else
        snprintf(why_not, size, "the driver is of CUDA %d.%d and this build needs %d.%d", driver / 1000,
                 driver / 10 % 100, needed / 1000, needed / 10 % 100);
}

/* How many there are; 0 with the reason. */
static int count_devices(char *why_not, size_t size) {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    cudaGetLastError();
    if (error == cudaSuccess && count > 0) return count;
    if (error == cudaErrorInsufficientDriver)
        blame_driver(why_not, size);
    else if (error == cudaErrorNoDevice || error == cudaSuccess)
        snprintf(why_not, size, "no device");
    else
        snprintf(why_not, size, "%s", cudaGetErrorString(error));
    return 0;
}

static void describe(int device, cpl_device_info *info) {
    struct cudaDeviceProp p;
    *info = (cpl_device_info){0};
    snprintf(info->name, sizeof info->name, "cuda:%d", device);
    cudaError_t error = cudaGetDeviceProperties(&p, device);
    if (error != cudaSuccess) {
        snprintf(info->description, sizeof info->description, "NVIDIA GPU (CUDA)");
        snprintf(info->why_not, sizeof info->why_not, "%s", cudaGetErrorString(error));
        cudaGetLastError();
        return;
    }
    char libraries[48] = "";
    info->usable = 10 * p.major + p.minor >= OLDEST;
    if (info->usable) gpu_libraries_describe(libraries, sizeof libraries);
    snprintf(info->description, sizeof info->description, "%.36s, %.1f GiB%s", p.name,
             (double)p.totalGlobalMem / (double)(1 << 30), libraries);
    if (!info->usable)
        snprintf(info->why_not, sizeof info->why_not, "compute capability %d.%d; %d.%d or newer is needed%s", p.major,
                 p.minor, OLDEST / 10, OLDEST % 10, OLDEST > OLDEST_ABLE ? " by this build" : "");
}

static int list_devices(cpl_device_info *list, int room) {
    cpl_device_info none = {.name = "cuda", .description = "NVIDIA GPU (CUDA)"};
    int count = count_devices(none.why_not, sizeof none.why_not);
    if (count == 0 && room > 0) list[0] = none;
    for (int i = 0; i < count && i < room; i++) describe(i, &list[i]);
    return count ? count : 1;
}

static bool check_device(int device, cpl_error *error) {
    cpl_device_info info = {0};
    int count = count_devices(info.why_not, sizeof info.why_not);
    if (count == 0) return cpl_fail(error, CPL_E_DEVICE, "cuda: %s; use --device cpu", info.why_not);
    if (device < 0 || device >= count)
        return cpl_fail(error, CPL_E_INPUT, "cuda:%d: there %s; use --device cuda:%d or cpu", device,
                        count == 1 ? "is one device, number 0" : "are fewer devices", count - 1);
    describe(device, &info);
    if (!info.usable) return cpl_fail(error, CPL_E_DEVICE, "%s: %s; use --device cpu", info.name, info.why_not);
    return true;
}

/* ---- Opening and closing ---- */

static bool supports(cpl_dtype precision, cpl_error *error) {
    (void)precision, (void)error; /* all of them from compute capability 8.0 on, which opening asks for */
    return true;
}

static void close_backend(cpl_backend *backend) {
    if (!backend) return;
    gpu_backend *b = (gpu_backend *)backend;
    cudaSetDevice(b->device);
    gpu_uploader_free(b, b->uploader);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static cpl_backend *open_backend(const cpl_backend_config *config, cpl_error *error) {
    if (!check_device(config->device, error) || !gpu_libraries_check(error)) return NULL;
    gpu_backend *b = cpl_alloc(1, sizeof *b, error);
    if (!b) return NULL;
    b->base.ops = &gpu_ops;
    b->base.precision = config->precision;
    b->device = config->device;
    b->pool_budget = config->pool_budget;
    b->memory_budget = config->memory_budget;
    pthread_mutex_init(&b->lock, NULL);
    size_t unused;
    cudaError_t started = cudaSetDevice(b->device);
    if (started == cudaSuccess) started = cudaMemGetInfo(&unused, &b->memory_total);
    if (started != cudaSuccess)
        cpl_fail(error, CPL_E_DEVICE, "cuda:%d cannot be started: %s; use --device cpu", b->device,
                 cudaGetErrorString(started));
    else
        b->uploader = gpu_uploader_new(b, error);
    if (b->uploader) return &b->base;
    close_backend(&b->base);
    return NULL;
}

static void close_stream(cpl_stream *stream) {
    if (!stream) return;
    gpu_stream *s = (gpu_stream *)stream;
    cudaSetDevice(gpu_backend_of(stream)->device);
    gpu_leave(s);
    gpu_flush(s);
    if (s->queue) cudaStreamSynchronize(s->queue);
    gpu_fetch_close(s);
    if (s->graph) cudaGraphExecDestroy(s->graph);
    s->recording = s->in_step = false;
    cpl_cache_free(s->plans);
    gpu_free_condemned(s);
    gpu_products_free(s);
    cpl_pool_free(stream->pool);
    gpu_memory_close(s);
    if (s->began) cudaEventDestroy(s->began);
    if (s->ended) cudaEventDestroy(s->ended);
    if (s->queue) cudaStreamDestroy(s->queue);
    if (s->side) cudaStreamDestroy(s->side);
    free(s);
}

static bool fill_stream(gpu_stream *s, cpl_error *error) {
    gpu_backend *b = gpu_backend_of(&s->base);
    cudaError_t did = cudaSetDevice(b->device);
    if (did == cudaSuccess) did = cudaStreamCreateWithFlags(&s->queue, cudaStreamNonBlocking);
    if (did == cudaSuccess) did = cudaStreamCreateWithFlags(&s->side, cudaStreamNonBlocking);
    if (did == cudaSuccess) did = gpu_fetch_open(s);
    if (did == cudaSuccess) did = gpu_stages_open(s);
    if (did == cudaSuccess) did = cudaEventCreateWithFlags(&s->began, cudaEventDefault);
    if (did == cudaSuccess) did = cudaEventCreateWithFlags(&s->ended, cudaEventDefault);
    if (did != cudaSuccess)
        return cpl_fail(error, CPL_E_DEVICE, "cuda:%d: no stream: %s", b->device, cudaGetErrorString(did));
    return (s->products = gpu_products_new(error)) && (s->base.pool = gpu_pool_new(s, b->pool_budget, error)) &&
           (s->plans = gpu_plans_new(s, error));
}

static cpl_stream *open_stream(cpl_backend *backend, cpl_error *error) {
    gpu_stream *s = cpl_alloc(1, sizeof *s, error);
    if (!s) return NULL;
    s->base.ops = &gpu_ops;
    s->base.backend = backend;
    gpu_join(s);
    if (fill_stream(s, error)) return &s->base;
    close_stream(&s->base);
    return NULL;
}

static void read_stats(const cpl_stream *stream, cpl_stats *stats) {
    const gpu_backend *b = gpu_backend_of(stream);
    cpl_pool_stats pool;
    cpl_pool_stats_read(stream->pool, &pool);
    stats->pool_allocations = pool.allocations;
    stats->pool_reuses = pool.reuses;
    stats->pool_bytes = pool.held_bytes;
    stats->pool_peak_bytes = pool.peak_bytes;
    stats->pool_held_peak_bytes = pool.held_peak_bytes;
    stats->live_peak_bytes = pool.live_peak_bytes;
    stats->active_tensors = pool.used_blocks - pool.kept_blocks;
    stats->active_bytes = pool.used_bytes - pool.kept_bytes;
    stats->cached_tensors = pool.kept_blocks;
    stats->cached_bytes = pool.kept_bytes;
    stats->memory_rescues = pool.rescues;
    stats->weight_bytes = atomic_load(&b->weight_bytes);
    stats->device_bytes = atomic_load(&b->device_bytes);
    stats->device_peak_bytes = atomic_load(&b->device_peak_bytes);
    stats->device_budget_bytes = b->memory_budget ? b->memory_budget : b->memory_total;
    stats->moved_out_bytes = atomic_load(&b->moved_out_bytes);
    stats->moves_out = atomic_load(&b->moves_out);
    stats->moves_in = atomic_load(&b->moves_in);
    stats->threads = 1;
    stats->device_step_ms = gpu_step_ms((const gpu_stream *)stream);
    gpu_products_stats((const gpu_stream *)stream, stats);
    /* What a device has to be told once for each shape are the graphs of steps. */
    const gpu_stream *s = (const gpu_stream *)stream;
    stats->primitives = (cpl_cache_stats){
        .hits = s->graph_launches - s->graph_builds, .misses = s->graph_builds, .entries = s->graph != NULL};
}

const cpl_backend_ops gpu_ops = {
    .abi = CPL_BACKEND_ABI,
    .name = "cuda",
    .supports = supports,
    .open = open_backend,
    .close = close_backend,
    .stream_open = open_stream,
    .stream_close = close_stream,
    .stats = read_stats,
    .linear_weight = gpu_linear_weight,
    .conv_weight = gpu_conv_weight,
    .norm_weight = gpu_norm_weight,
    .table_weight = gpu_table_weight,
    .weight_free = gpu_weight_free,
    .component_begin = gpu_component_begin,
    .step_begin = gpu_step_begin,
    .step_end = gpu_step_end,
    .upload = gpu_op_upload,
    .download = gpu_op_download,
    .fetch = gpu_op_fetch,
    .fetched = gpu_op_fetched,
    .linear = gpu_op_linear,
    .conv2d = gpu_op_conv2d,
    .group_norm = gpu_op_group_norm,
    .group_sums = gpu_op_group_sums,
    .group_norm_by = gpu_op_group_norm_by,
    .layer_norm = gpu_op_layer_norm,
    .geglu = gpu_op_geglu,
    .activate = gpu_op_activate,
    .attention = gpu_op_attention,
    .cross_attention = gpu_op_cross_attention,
    .upsample = gpu_op_upsample,
    .concat = gpu_op_concat,
    .scale_add = gpu_op_scale_add,
    .embed = gpu_op_embed,
    .timestep_embedding = gpu_op_timestep_embedding,
};

const cpl_module gpu_module = {.ops = &gpu_ops, .devices = list_devices};
