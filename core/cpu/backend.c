/* backend.c: the CPU backend as a whole: opening, streams, copies in and out, statistics, the checks that every
 * operation begins with, and the table. The operations stand in files of their own. */
#include "../memory/alloc.h"
#include "primitive.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* ---- Checks ---- */

bool cpu_enter(cpl_stream *s) {
    if (s->failed) return false;
    omp_set_num_threads(cpu_of(s)->threads);
    cpu_waiting_look(&((cpu_stream *)s)->waiting, cpu_of(s)->threads);
    return true;
}

bool cpu_usable(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t) {
    if (t && t->data && t->dtype != CPL_F16 && t->n > 0 && t->h > 0 && t->w > 0 && t->c > 0) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: %s is not a filled f32 or bf16 tensor", operation, name);
    return false;
}

bool cpu_shaped(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, int n, int h, int w,
                int c) {
    if (!cpu_usable(s, operation, name, t)) return false;
    if (t->n == n && t->h == h && t->w == w && t->c == c) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: %s is [%d, %d, %d, %d] and should be [%d, %d, %d, %d]", operation, name, t->n,
                    t->h, t->w, t->c, n, h, w, c);
    return false;
}

bool cpu_typed(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, cpl_dtype dtype) {
    if (t->dtype == dtype) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: %s is of type %s and should be of %s", operation, name,
                    cpl_dtype_name(t->dtype), cpl_dtype_name(dtype));
    return false;
}

bool cpu_like(cpl_stream *s, const char *operation, const char *name, const cpl_tensor *t, const cpl_tensor *model) {
    return cpu_usable(s, operation, "tensor", model) &&
           cpu_shaped(s, operation, name, t, model->n, model->h, model->w, model->c) &&
           cpu_typed(s, operation, name, t, model->dtype);
}

bool cpu_weighs(cpl_stream *s, const char *operation, const cpl_weight *w, cpu_weight_kind kind) {
    static const char *const kinds[] = {
        [CPU_CONV] = "a linear or convolution", [CPU_NORM] = "a norm", [CPU_TABLE] = "a table"};
    if (w && w->kind == kind) return true;
    cpl_stream_fail(s, CPL_E_DEVICE, "%s: the weight is not %s weight", operation, kinds[kind]);
    return false;
}

void *cpu_scratch(cpl_stream *s, size_t count, size_t size) {
    cpl_error error;
    void *block = NULL;
    if (count > SIZE_MAX / size)
        cpl_fail(&error, CPL_E_MEMORY, "out of memory: scratch of %zu times %zu bytes", count, size);
    else
        block = cpl_pool_take(s->pool, count * size, &error);
    if (!block) cpl_stream_fail(s, error.code, "%s", error.message);
    return block;
}

/* ---- Opening and closing ---- */

int cpu_usable_threads(void) {
    const char *wish = getenv("OMP_NUM_THREADS");
    long threads = wish ? strtol(wish, NULL, 10) : 0;
    if (threads >= 1 && threads <= 1024) return (int)threads;
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
    return count > 0 ? count : 1;
}

static void close_backend(cpl_backend *backend) {
    if (!backend) return;
    cpu_backend *b = (cpu_backend *)backend;
    cpu_engine_close(b);
    pthread_mutex_destroy(&b->packing);
    free(b);
}

/* Without instructions for it bf16 would be emulated, and slower than f32. AMX processors have these, too. */
static bool has_bf16(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

static bool supports(cpl_dtype precision, cpl_error *error) {
    if (precision == CPL_F32 || (precision == CPL_BF16 && has_bf16())) return true;
    return cpl_fail(error, CPL_E_UNSUPPORTED,
                    precision == CPL_BF16
                        ? "This processor has no bf16 instructions (AVX512-BF16 or AMX); use --precision f32."
                        : "The cpu backend computes in f32 and bf16, not in f16; use --precision auto.");
}

static cpl_backend *open_backend(const cpl_backend_config *config, cpl_error *error) {
    if (!supports(config->precision, error)) return NULL;
    if (config->threads < 0 || config->threads > 1024) {
        cpl_fail(error, CPL_E_INPUT, "%d threads: give a number from 1 to 1024, or 0 for all.", config->threads);
        return NULL;
    }
    cpu_backend *b = cpl_alloc(1, sizeof *b, error);
    if (!b) return NULL;
    b->base.ops = &cpl_cpu_backend;
    b->base.precision = config->precision;
    b->threads = config->threads ? config->threads : cpu_usable_threads();
    b->pool_budget = config->pool_budget;
    b->kernels = cpu_kernels_pick();
    pthread_mutex_init(&b->packing, NULL);
    if (cpu_engine_open(b, error)) return &b->base;
    close_backend(&b->base);
    return NULL;
}

static void close_stream(cpl_stream *stream) {
    if (!stream) return;
    cpu_queue_close((cpu_stream *)stream);
    cpu_waiting_close(&((cpu_stream *)stream)->waiting);
    cpl_pool_free(stream->pool);
    free(stream);
}

static cpl_stream *open_stream(cpl_backend *backend, cpl_error *error) {
    cpu_stream *s = cpl_alloc(1, sizeof *s, error);
    if (!s) return NULL;
    s->base.ops = &cpl_cpu_backend;
    s->base.backend = backend;
    cpu_waiting_open(&s->waiting);
    s->base.pool = cpl_pool_new(&cpl_host_memory, ((cpu_backend *)backend)->pool_budget, error);
    if (s->base.pool && cpu_queue_open(s, error)) return &s->base;
    close_stream(&s->base);
    return NULL;
}

static void read_stats(const cpl_stream *stream, cpl_stats *stats) {
    const cpu_stream *s = (const cpu_stream *)stream;
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
    stats->weight_bytes = atomic_load(&cpu_of(stream)->weight_bytes);
    stats->device_bytes = stats->weight_bytes + pool.held_bytes;
    stats->threads = cpu_of(stream)->threads;
    cpl_cache_stats_read(s->primitives, &stats->primitives);
}

/* ---- In and out ---- */

/* Operations are done when they return: a step has nothing to record or to flush. */
static void step(cpl_stream *s) { (void)s; }

static void upload(cpl_stream *s, const cpl_tensor *y, const float *host) {
    if (cpu_enter(s) && cpu_usable(s, "upload", "y", y))
        cpu_of(s)->kernels->convert(y->data, y->dtype, host, CPL_F32, 1.0f, cpl_tensor_count(y));
}

static void download(cpl_stream *s, float *host, const cpl_tensor *x) {
    if (cpu_enter(s) && cpu_usable(s, "download", "x", x))
        cpu_of(s)->kernels->convert(host, CPL_F32, x->data, x->dtype, 1.0f, cpl_tensor_count(x));
}

const cpl_backend_ops cpl_cpu_backend = {
    .abi = CPL_BACKEND_ABI,
    .name = "cpu",
    .supports = supports,
    .open = open_backend,
    .close = close_backend,
    .stream_open = open_stream,
    .stream_close = close_stream,
    .stats = read_stats,
    .linear_weight = cpu_linear_weight,
    .conv_weight = cpu_conv_weight,
    .norm_weight = cpu_norm_weight,
    .table_weight = cpu_table_weight,
    .weight_free = cpu_weight_free,
    .step_begin = step,
    .step_end = step,
    .upload = upload,
    .download = download,
    .linear = cpu_linear,
    .conv2d = cpu_conv2d,
    .group_norm = cpu_group_norm,
    .group_sums = cpu_group_sums,
    .group_norm_by = cpu_group_norm_by,
    .layer_norm = cpu_layer_norm,
    .geglu = cpu_geglu,
    .activate = cpu_activate,
    .attention = cpu_attention,
    .arrange_text = cpu_arrange_text,
    .cross_attention = cpu_cross_attention,
    .upsample = cpu_upsample,
    .concat = cpu_concat,
    .scale_add = cpu_scale_add,
    .embed = cpu_embed,
    .timestep_embedding = cpu_timestep_embedding,
};
