/* products.c: which way a product takes. For each shape the libraries are asked once, when it is first met; the answer is kept in
 * a table of the stream. What no library has, or refuses when it comes to it, is gemm.cu's.
 *
 * By default a library's own first choice is taken, unmeasured: two runs might measure differently and then differ in their last
 * bits. COUPLET_CUDA_PRODUCTS=measured times all ways of a shape, our own among them, and takes the fastest; `own` asks no
 * library. Ways are never timed while a step is recorded: such a shape takes the first way until it is met outside of one. */
#include "cuda.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"

enum { PLACES = 2048, MOST_SHAPES = PLACES / 2, OWN = -1, ROUNDS = 3 };

typedef struct entry {
    gpu_shape shape;
    bool taken, measured;
    void *ways; /* owned by the library, NULL: it has none */
    int count, way;
    size_t workspace[GPU_MOST_WAYS];
} entry;

struct gpu_products {
    gpu_choice choice;
    struct {
        const gpu_library *library;
        void *handle; /* NULL: not there, or not asked for yet */
        bool asked;
    } side[2];   /* of linear layers, of convolutions */
    entry *list; /* owned: [PLACES], by the hash of the shape */
    int count;
    void *workspace; /* owned: GPU_WORKSPACE bytes at one address, which recorded steps hold; NULL: not needed yet */
    bool workspace_refused;
    uint64_t by_library, by_own;
};

static void open_side(gpu_stream *s, int side) {
    gpu_products *p = s->products;
    const gpu_library *library = p->side[side].library;
    if (p->choice == GPU_CHOOSE_OWN || p->side[side].asked) return;
    p->side[side].asked = true;
    if (gpu_library_load(library)) p->side[side].handle = library->open(s->queue);
    cudaGetLastError();
}

void gpu_products_open(gpu_stream *s) {
    for (int side = 0; side < 2; side++) open_side(s, side);
}

/* ---- The table ---- */

static const gpu_library *library_of(const gpu_products *p, const gpu_shape *shape, void **handle) {
    int side = !gpu_shape_is_linear(shape);
    *handle = p->side[side].handle;
    return p->side[side].library;
}

static void forget(gpu_products *p) {
    for (int i = 0; i < PLACES; i++) {
        void *handle;
        const gpu_library *library = library_of(p, &p->list[i].shape, &handle);
        if (p->list[i].ways) library->drop(handle, p->list[i].ways);
    }
    memset(p->list, 0, PLACES * sizeof *p->list);
    p->count = 0;
}

static entry *place_of(gpu_products *p, const gpu_shape *shape) {
    const unsigned char *bytes = (const unsigned char *)shape;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof *shape; i++) hash = (hash ^ bytes[i]) * 16777619u;
    uint32_t at = hash % PLACES;
    while (p->list[at].taken && memcmp(&p->list[at].shape, shape, sizeof *shape) != 0) at = (at + 1) % PLACES;
    return &p->list[at];
}

/* NULL: there is no more room while a step is recorded, whose plans must stay. */
static entry *find(gpu_stream *s, const gpu_shape *shape) {
    gpu_products *p = s->products;
    entry *e = place_of(p, shape);
    if (e->taken) return e;
    if (p->count == MOST_SHAPES) {
        if (s->recording || cudaStreamSynchronize(s->queue) != cudaSuccess) return NULL;
        forget(p);
        e = place_of(p, shape);
    }
    void *handle;
    const gpu_library *library = library_of(p, shape, &handle);
    *e = (entry){.shape = *shape, .taken = true, .way = OWN};
    p->count++;
    int most = p->choice == GPU_CHOOSE_MEASURED ? GPU_MOST_WAYS : 1;
    e->ways = library->prepare(handle, shape, most, &e->count, e->workspace);
    if (e->ways) e->way = 0;
    return e;
}

/* ---- Running ---- */

/* Parts of the model go before a workspace is refused: the bytes of a picture are not to depend on how much memory there is. */
static bool has_workspace(gpu_stream *s, size_t bytes) {
    gpu_products *p = s->products;
    if (bytes == 0 || p->workspace) return true;
    if (p->workspace_refused) return false;
    cudaError_t did = gpu_take(gpu_backend_of(&s->base), s, &p->workspace, GPU_WORKSPACE);
    p->workspace_refused = did == cudaErrorMemoryAllocation;
    return p->workspace_refused ? false : gpu_did(&s->base, "device memory", did);
}

static bool run_way(gpu_stream *s, const entry *e, int way, gpu_operands *o) {
    void *handle;
    const gpu_library *library = library_of(s->products, &e->shape, &handle);
    if (!has_workspace(s, e->workspace[way])) return false;
    o->workspace = e->workspace[way] ? s->products->workspace : NULL;
    if (library->run(handle, e->ways, way, o)) return true;
    cudaGetLastError(); /* what it refuses is no failure of the stream; what is one shows at the next call */
    return false;
}

/* Of one round, in ms by the device's clock; INFINITY: the way is refused. */
static double time_way(gpu_stream *s, const entry *e, int way, gpu_operands *o, const gpu_conv_job *job,
                       cudaEvent_t began, cudaEvent_t ended) {
    float ms = 0;
    for (int i = -1; i < ROUNDS; i++) { /* the first one warms up */
        if (i == 0 && cudaEventRecord(began, s->queue) != cudaSuccess) return INFINITY;
        if (way == OWN ? gpu_conv(s->queue, job) != cudaSuccess : !run_way(s, e, way, o)) return INFINITY;
    }
    if (cudaEventRecord(ended, s->queue) != cudaSuccess || cudaEventSynchronize(ended) != cudaSuccess ||
        cudaEventElapsedTime(&ms, began, ended) != cudaSuccess)
        return INFINITY;
    return (double)ms / ROUNDS;
}

/* The results of the rounds go to memory of their own: y may be add. */
static void measure(gpu_stream *s, entry *e, gpu_operands o, gpu_conv_job job) {
    size_t bytes = (size_t)job.n * (size_t)job.out_h * (size_t)job.out_w * (size_t)job.out;
    cpl_error error = {0};
    cudaEvent_t event[2] = {NULL, NULL};
    void *y = cpl_pool_take(s->base.pool, bytes * (job.y.type == GPU_F32 ? 4 : 2), &error);
    bool ready = y && cudaEventCreateWithFlags(&event[0], cudaEventDefault) == cudaSuccess &&
                 cudaEventCreateWithFlags(&event[1], cudaEventDefault) == cudaSuccess;
    o.y = job.y.data = y;
    double best = INFINITY;
    for (int way = OWN; ready && way < e->count; way++) {
        double ms = time_way(s, e, way, &o, &job, event[0], event[1]);
        if (ms < best) best = ms, e->way = way;
    }
    e->measured = ready;
    for (int i = 0; i < 2; i++)
        if (event[i]) cudaEventDestroy(event[i]);
    cudaGetLastError();
    cpl_pool_give(s->base.pool, y);
}

/* Where a library may not write what it still reads, it is given a copy. */
static bool run_chosen(gpu_stream *s, const entry *e, gpu_operands o) {
    void *handle, *copy = NULL;
    const gpu_library *library = library_of(s->products, &e->shape, &handle);
    const gpu_shape *shape = &e->shape;
    if (o.add == o.y && !library->adds_in_place) {
        size_t bytes = (size_t)shape->n * (size_t)shape->out_h * (size_t)shape->out_w * (size_t)shape->out *
                       (shape->y_type == GPU_F32 ? 4 : 2);
        cpl_error error = {0};
        copy = cpl_pool_take(s->base.pool, bytes, &error);
        if (!copy || cudaMemcpyAsync(copy, o.add, bytes, cudaMemcpyDeviceToDevice, s->queue) != cudaSuccess) {
            cpl_pool_give(s->base.pool, copy);
            return false;
        }
        o.add = copy;
    }
    bool done = run_way(s, e, e->way, &o);
    cpl_pool_give(s->base.pool, copy);
    return done;
}

/* ---- One product ---- */

static gpu_shape shape_of(const gpu_conv_job *job) {
    gpu_shape s = {.type = job->type,
                   .y_type = job->y.type,
                   .n = job->n,
                   .h = job->h,
                   .w = job->w,
                   .in = job->in,
                   .out_h = job->out_h,
                   .out_w = job->out_w,
                   .out = job->out,
                   .kh = job->kh,
                   .kw = job->kw,
                   .stride = job->stride,
                   .pad_top = job->pad_top,
                   .pad_left = job->pad_left,
                   .pad_bottom = (job->out_h - 1) * job->stride + job->kh - job->h - job->pad_top,
                   .pad_right = (job->out_w - 1) * job->stride + job->kw - job->w - job->pad_left,
                   .act = job->act,
                   .bias = job->bias != NULL,
                   .add = job->add.data != NULL};
    if (s.pad_bottom < 0) s.pad_bottom = 0; /* rows that no window reaches */
    if (s.pad_right < 0) s.pad_right = 0;
    if (gpu_shape_is_linear(&s)) {
        s.h = s.out_h = s.n * s.h * s.w;
        s.n = s.w = s.out_w = 1;
    }
    return s;
}

static bool aligned(const void *data) { return (uintptr_t)data % GPU_ALIGNED == 0; }

/* False: gemm.cu is to do it. */
static bool by_library(gpu_stream *s, const gpu_conv_job *job, const void *short_bias) {
    gpu_products *p = s->products;
    gpu_shape shape = shape_of(job);
    int side = !gpu_shape_is_linear(&shape);
    open_side(s, side);
    gpu_operands o = {.x = job->x,
                      .weight = job->weight,
                      .bias = job->y.type == GPU_F32 ? job->bias : short_bias,
                      .add = job->add.data,
                      .y = job->y.data,
                      .queue = s->queue};
    if (!p->side[side].handle || !aligned(o.x) || !aligned(o.y) || !aligned(o.add) || (job->bias && !o.bias) ||
        (job->add.data && job->add.type != job->y.type))
        return false;
    entry *e = find(s, &shape);
    if (!e || !e->ways) return false;
    if (p->choice == GPU_CHOOSE_MEASURED && !e->measured && !s->recording) measure(s, e, o, *job);
    if (e->way == OWN) return false;
    if (run_chosen(s, e, o)) return true;
    e->way = OWN; /* not to be asked again */
    return false;
}

cudaError_t gpu_product(gpu_stream *s, const gpu_conv_job *job, const void *short_bias) {
    if (s->products && by_library(s, job, short_bias)) {
        s->products->by_library++;
        return cudaSuccess;
    }
    if (s->products) s->products->by_own++;
    return gpu_conv(s->queue, job);
}

gpu_products *gpu_products_new(cpl_error *error) {
    gpu_products *p = cpl_alloc(1, sizeof *p, error);
    if (!p) return NULL;
    p->choice = gpu_products_choice();
    p->side[0].library = &gpu_cublaslt;
    p->side[1].library = &gpu_cudnn;
    p->list = cpl_alloc(PLACES, sizeof *p->list, error);
    if (p->list) return p;
    free(p);
    return NULL;
}

void gpu_products_free(gpu_stream *s) {
    gpu_products *p = s->products;
    if (!p) return;
    forget(p);
    for (int i = 0; i < 2; i++)
        if (p->side[i].handle) p->side[i].library->close(p->side[i].handle);
    gpu_give(gpu_backend_of(&s->base), p->workspace, GPU_WORKSPACE);
    free(p->list);
    free(p);
    s->products = NULL;
}

void gpu_products_stats(const gpu_stream *s, cpl_stats *stats) {
    const gpu_products *p = s->products;
    char version[32];
    size_t at = 0, size = sizeof stats->libraries;
    stats->library_products = p->by_library;
    stats->own_products = p->by_own;
    stats->libraries[0] = '\0';
    for (int i = 0; i < 2; i++) {
        if (!p->side[i].handle) continue;
        p->side[i].library->version(version, sizeof version);
        int more =
            snprintf(stats->libraries + at, size - at, "%s%s %s", at ? ", " : "", p->side[i].library->name, version);
        if (more > 0 && (size_t)more < size - at) at += (size_t)more;
    }
}
