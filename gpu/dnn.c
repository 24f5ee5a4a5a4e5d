/* dnn.c: convolutions by cuDNN 9, in the form that it keeps: a convolution, the addition of a bias and the addition of another
 * image are a small graph of operations; the library lists configurations of its engines for it; each that can be made ready is
 * a plan. Which plan is taken, and whether any is, products.c says.
 *
 * Images are [n][h][w][c] in 16 bits, a bias too, and weights [out][kh][kw][in]; sums are in f32. Engines that sum in less than f32,
 * or transform (Winograd, FFT), or may sum in another order the next time, are passed over. */
#include "products.h"

#if __has_include(<cudnn.h>)
#include <cudnn.h>
#endif

#if defined(CUDNN_MAJOR) && CUDNN_MAJOR >= 9
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"

#ifndef GPU_CUDNN_FILES
#define GPU_CUDNN_FILES "libcudnn.so.9"
#endif

#define FUNCTIONS(each)                                                                                                \
    each(GetVersion) each(Create) each(Destroy) each(SetStream) each(BackendCreateDescriptor)                          \
        each(BackendDestroyDescriptor) each(BackendFinalize) each(BackendSetAttribute) each(BackendGetAttribute)       \
            each(BackendExecute)

static struct {
#define MEMBER(name) __typeof__(&cudnn##name) name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} dnn;

static bool load(const char *file, cpl_error *error) {
#define SYMBOL(name) {"cudnn" #name, &dnn.name},
    const gpu_symbol symbols[] = {FUNCTIONS(SYMBOL)};
#undef SYMBOL
    return gpu_library_open(file, symbols, sizeof symbols / sizeof *symbols, error);
}

static void version(char *text, size_t size) {
    size_t number = dnn.GetVersion(); /* 91900 */
    snprintf(text, size, "%zu.%zu.%zu", number / 10000, number / 100 % 100, number % 100);
}

static void *open_handle(cudaStream_t queue) {
    cudnnHandle_t handle = NULL;
    if (dnn.Create(&handle) != CUDNN_STATUS_SUCCESS) return NULL;
    if (dnn.SetStream(handle, queue) == CUDNN_STATUS_SUCCESS) return handle;
    dnn.Destroy(handle);
    return NULL;
}

static void close_handle(void *handle) { dnn.Destroy(handle); }

/* ---- Descriptors ---- */

/* What was made for a shape, kept as long as its plans are. */
enum { MOST_PARTS = 32, MOST_CONFIGURATIONS = 32 };
typedef struct convolution {
    cudnnHandle_t handle;
    bool bias, add;
    cudnnBackendDescriptor_t part[MOST_PARTS], plan[GPU_MOST_WAYS];
    int parts, plans;
    bool fine; /* every call so far has succeeded */
} convolution;

typedef cudnnBackendDescriptor_t descriptor;

static descriptor make(convolution *c, cudnnBackendDescriptorType_t type) {
    descriptor made = NULL;
    c->fine = c->fine && c->parts < MOST_PARTS && dnn.BackendCreateDescriptor(type, &made) == CUDNN_STATUS_SUCCESS;
    if (c->fine) c->part[c->parts++] = made;
    return made;
}
static void put(convolution *c, descriptor to, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t count, const void *values) {
    c->fine = c->fine && dnn.BackendSetAttribute(to, name, type, count, values) == CUDNN_STATUS_SUCCESS;
}
static void put_part(convolution *c, descriptor to, cudnnBackendAttributeName_t name, descriptor part) {
    put(c, to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}
static descriptor seal(convolution *c, descriptor d) {
    c->fine = c->fine && dnn.BackendFinalize(d) == CUDNN_STATUS_SUCCESS;
    return d;
}

/* ---- The graph ---- */

/* Names by which a plan is given its data. */
enum { X = 1, W, Y, BIAS, ADD, PRODUCT, SUM };

/* dims: n, c, h, w as the library counts them, whatever lies where; a tensor that is `passing` only stands between two
 * operations and is never written. */
static descriptor tensor(convolution *c, int64_t name, cudnnDataType_t type, const int64_t dims[4], bool passing) {
    const int64_t strides[4] = {dims[1] * dims[2] * dims[3], 1, dims[3] * dims[1], dims[1]}, aligned = GPU_ALIGNED;
    descriptor t = make(c, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    put(c, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name);
    put(c, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    put(c, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    put(c, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    put(c, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &aligned);
    put(c, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &passing);
    return seal(c, t);
}

static descriptor convolve(convolution *c, const gpu_shape *s, descriptor x, descriptor w, descriptor y) {
    const int64_t plane = 2, strides[2] = {s->stride, s->stride}, dense[2] = {1, 1};
    const int64_t before[2] = {s->pad_top, s->pad_left}, after[2] = {s->pad_bottom, s->pad_right};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const float one = 1, zero = 0;
    descriptor how = make(c, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    put(c, how, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &plane);
    put(c, how, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    put(c, how, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    put(c, how, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dense);
    put(c, how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
    put(c, how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
    put(c, how, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
    seal(c, how);
    descriptor operation = make(c, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    put_part(c, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, how);
    put_part(c, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    put_part(c, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    put_part(c, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    put(c, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    put(c, operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    return seal(c, operation);
}

static descriptor plus(convolution *c, descriptor x, descriptor other, descriptor y) {
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    descriptor how = make(c, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    put(c, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    put(c, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    seal(c, how);
    descriptor operation = make(c, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    put_part(c, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    put_part(c, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    put_part(c, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
    put_part(c, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    return seal(c, operation);
}

/* y = conv(x) [+ add] [+ bias], in this order and with a bias of the images' type: that is the graph for which the library has
 * kernels ready. For others it would have to compile some. What is neither first nor last passes on in f32. */
static descriptor draw(convolution *c, const gpu_shape *s) {
    const cudnnDataType_t type = s->type == GPU_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_BFLOAT16;
    const int64_t in[4] = {s->n, s->in, s->h, s->w}, filter[4] = {s->out, s->in, s->kh, s->kw};
    const int64_t out[4] = {s->n, s->out, s->out_h, s->out_w}, row[4] = {1, s->out, 1, 1};
    descriptor x = tensor(c, X, type, in, false), w = tensor(c, W, type, filter, false);
    descriptor y = tensor(c, Y, type, out, false), operation[3];
    int count = 0;
    descriptor last = s->add || s->bias ? tensor(c, PRODUCT, CUDNN_DATA_FLOAT, out, true) : y;
    operation[count++] = convolve(c, s, x, w, last);
    if (s->add) {
        descriptor sum = s->bias ? tensor(c, SUM, CUDNN_DATA_FLOAT, out, true) : y;
        operation[count++] = plus(c, last, tensor(c, ADD, type, out, false), sum);
        last = sum;
    }
    if (s->bias) operation[count++] = plus(c, last, tensor(c, BIAS, type, row, false), y);
    descriptor graph = make(c, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    put(c, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, operation);
    if (c->handle) put(c, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &c->handle);
    return seal(c, graph);
}

/* ---- Plans ---- */

static bool engine_of(descriptor configuration, descriptor *engine) {
    int64_t count = 0;
    return dnn.BackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, engine) == CUDNN_STATUS_SUCCESS &&
           dnn.BackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                   engine) == CUDNN_STATUS_SUCCESS;
}

/* A library may be newer than the headers of the build: it may have more notes to tell than they count, and one that is no fault,
 * that an engine passes on what is no number, has no name before 9.1. */
enum { MOST_NOTES = 32, STRICT_NAN_PROPAGATION = 9 };

/* Sums in f32, in the same order every time, by kernels that are there: compiling one takes a second for each shape. */
static bool is_wanted(descriptor configuration) {
    descriptor engine = NULL;
    cudnnBackendNumericalNote_t note[MOST_NOTES];
    cudnnBackendBehaviorNote_t habit[MOST_NOTES];
    int64_t notes = 0, habits = 0;
    bool wanted = engine_of(configuration, &engine) &&
                  dnn.BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                          MOST_NOTES, &notes, note) == CUDNN_STATUS_SUCCESS &&
                  dnn.BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, MOST_NOTES,
                                          &habits, habit) == CUDNN_STATUS_SUCCESS &&
                  notes <= MOST_NOTES && habits <= MOST_NOTES;
    for (int64_t i = 0; wanted && i < notes; i++)
        wanted = note[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || (int)note[i] == STRICT_NAN_PROPAGATION;
    for (int64_t i = 0; wanted && i < habits; i++) wanted = habit[i] != CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    if (engine) dnn.BackendDestroyDescriptor(engine);
    return wanted;
}

static bool add_plan(convolution *c, descriptor configuration, size_t *workspace) {
    descriptor plan = NULL;
    int64_t bytes = -1, count = 0;
    if (dnn.BackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) != CUDNN_STATUS_SUCCESS)
        return false;
    bool ready = dnn.BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                         1, &configuration) == CUDNN_STATUS_SUCCESS &&
                 (!c->handle || dnn.BackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                                        &c->handle) == CUDNN_STATUS_SUCCESS) &&
                 dnn.BackendFinalize(plan) == CUDNN_STATUS_SUCCESS &&
                 dnn.BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                         &bytes) == CUDNN_STATUS_SUCCESS &&
                 bytes >= 0 && bytes <= GPU_WORKSPACE;
    if (!ready) {
        dnn.BackendDestroyDescriptor(plan);
        return false;
    }
    workspace[c->plans] = (size_t)bytes;
    c->plan[c->plans++] = plan;
    return true;
}

/* The plans that the library would take, best first; mode: how it guesses. */
static void list_plans(convolution *c, descriptor graph, cudnnBackendHeurMode_t mode, int most, size_t *workspace) {
    descriptor list = make(c, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), configuration[MOST_CONFIGURATIONS];
    int64_t made = 0, found = 0;
    put_part(c, list, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    put(c, list, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    seal(c, list);
    while (c->fine && made < MOST_CONFIGURATIONS &&
           dnn.BackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configuration[made]) ==
               CUDNN_STATUS_SUCCESS)
        made++;
    bool listed =
        made > 0 && dnn.BackendGetAttribute(list, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made,
                                            &found, configuration) == CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; listed && i < found && i < made && c->plans < most; i++)
        if (is_wanted(configuration[i])) add_plan(c, configuration[i], workspace);
    for (int64_t i = 0; i < made; i++) dnn.BackendDestroyDescriptor(configuration[i]);
}

static void drop(void *handle, void *ways) {
    (void)handle;
    convolution *c = ways;
    for (int i = 0; i < c->plans; i++) dnn.BackendDestroyDescriptor(c->plan[i]);
    while (c->parts > 0) dnn.BackendDestroyDescriptor(c->part[--c->parts]);
    free(c);
}

static bool suits(const gpu_shape *s) {
    return !gpu_shape_is_linear(s) && s->type != GPU_F32 && s->y_type == s->type && s->act == GPU_ACT_NONE &&
           s->in % 8 == 0 && s->out % 8 == 0;
}

static void *prepare(void *handle, const gpu_shape *shape, int most, int *count, size_t *workspace) {
    convolution *c = suits(shape) ? cpl_alloc(1, sizeof *c, NULL) : NULL;
    if (!c) return NULL;
    if (most > GPU_MOST_WAYS) most = GPU_MOST_WAYS;
    c->handle = handle;
    c->bias = shape->bias, c->add = shape->add;
    c->fine = true;
    descriptor graph = draw(c, shape);
    if (c->fine) list_plans(c, graph, CUDNN_HEUR_MODE_A, most, workspace);
    if (c->fine && c->plans == 0) list_plans(c, graph, CUDNN_HEUR_MODE_FALLBACK, most, workspace);
    *count = c->plans;
    if (c->plans > 0) return c;
    drop(handle, c);
    return NULL;
}

static bool run(void *handle, void *ways, int way, const gpu_operands *o) {
    convolution *c = ways;
    int64_t name[5] = {X, W, Y};
    const void *data[5] = {o->x, o->weight, o->y};
    int count = 3;
    if (c->bias) name[count] = BIAS, data[count++] = o->bias;
    if (c->add) name[count] = ADD, data[count++] = o->add;
    descriptor pack = NULL;
    bool done = dnn.BackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack) == CUDNN_STATUS_SUCCESS &&
                dnn.BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, name) ==
                    CUDNN_STATUS_SUCCESS &&
                dnn.BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
                                        data) == CUDNN_STATUS_SUCCESS &&
                dnn.BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                                        &o->workspace) == CUDNN_STATUS_SUCCESS &&
                dnn.BackendFinalize(pack) == CUDNN_STATUS_SUCCESS &&
                dnn.BackendExecute(handle, c->plan[way], pack) == CUDNN_STATUS_SUCCESS;
    if (pack) dnn.BackendDestroyDescriptor(pack);
    return done;
}

static const char *const files[] = {GPU_CUDNN_FILES, NULL};

const gpu_library gpu_cudnn = {.name = "cuDNN",
                               .variable = "COUPLET_CUDNN",
                               .files = files,
                               .adds_in_place = false,
                               .load = load,
                               .version = version,
                               .open = open_handle,
                               .close = close_handle,
                               .prepare = prepare,
                               .run = run,
                               .drop = drop};

#else /* built without cuDNN's headers */
const gpu_library gpu_cudnn = {.name = "cuDNN", .variable = "COUPLET_CUDNN"};
#endif
