/* fake_dnn.cc: cuDNN's graphs on a CPU: descriptors as lists of attributes, checked as the manual says, and the graphs for which
 * the real library has kernels ready: a convolution, then an image added, then a bias. Of its engines one transforms, one has to
 * be compiled and one cannot be made ready; the others are the ways that gpu/dnn.c may take. */
#pragma GCC visibility push(default) /* to be found by dlsym */
#include <cudnn.h>
#pragma GCC visibility pop
#include <cuda_port.h>

#include <string.h>

#include <vector>

#include "fake.h"
#include "fake_library.h"
#include "fiber.h"

enum { TRANSFORMS, COMPILES, BREAKS, FIRST_WAY, ENGINES = FIRST_WAY + FAKE_WAYS };

struct attribute {
    int name, type;
    int64_t count;
    std::vector<char> bytes;
};
struct fake_part {
    int kind;
    bool sealed;
    int engine;
    std::vector<attribute> attributes;
};
struct fake_dnn_context {
    cudaStream_t stream;
};

static size_t bytes_of(int type) {
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
        return 1;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    default:
        return 4;
    }
}

static const attribute *find(const fake_part *part, int name) {
    for (const attribute &a : part->attributes)
        if (a.name == name) return &a;
    return nullptr;
}
template <class T> static T get(const fake_part *part, int name, int64_t at = 0) {
    T value;
    memcpy(&value, find(part, name)->bytes.data() + (size_t)at * sizeof(T), sizeof value);
    return value;
}
static const fake_part *part_of(const fake_part *part, int name, int64_t at = 0) {
    return get<const fake_part *>(part, name, at);
}
/* There, of that type, of that many values, and if it is a part, a finished one. */
static bool has(const fake_part *part, int name, int type, int64_t count = 1) {
    const attribute *a = find(part, name);
    if (!a || a->type != type || (count && a->count != count)) return false;
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < a->count; i++)
        if (!part_of(part, name, i)->sealed) return false;
    return true;
}

/* ---- What the parts must have ---- */

static int64_t dim(const fake_part *tensor, int i) { return get<int64_t>(tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, i); }
static int64_t stride(const fake_part *tensor, int i) { return get<int64_t>(tensor, CUDNN_ATTR_TENSOR_STRIDES, i); }
static int type_of(const fake_part *tensor) { return get<int>(tensor, CUDNN_ATTR_TENSOR_DATA_TYPE); }
static int64_t name_of(const fake_part *tensor) { return get<int64_t>(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID); }
static bool is_passing(const fake_part *tensor) { return get<bool>(tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL); }
static bool same_dims(const fake_part *a, const fake_part *b) {
    for (int i = 0; i < 4; i++)
        if (dim(a, i) != dim(b, i)) return false;
    return true;
}

static bool tensor_is_whole(const fake_part *t) {
    return has(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64) &&
           has(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE) &&
           has(t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4) &&
           has(t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4) &&
           has(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64) &&
           has(t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN);
}

static int64_t pair(const fake_part *how, int name, int i) { return get<int64_t>(how, name, i); }

static bool convolution_fits(const fake_part *operation) {
    const fake_part *how = part_of(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC),
                    *x = part_of(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X),
                    *w = part_of(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W),
                    *y = part_of(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
    for (int i = 0; i < 2; i++) {
        int64_t room = dim(x, 2 + i) + pair(how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i) +
                       pair(how, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i) - dim(w, 2 + i);
        if (room < 0 || dim(y, 2 + i) != room / pair(how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i) + 1) return false;
    }
    return dim(x, 0) == dim(y, 0) && dim(x, 1) == dim(w, 1) && dim(w, 0) == dim(y, 1) && type_of(x) == type_of(w);
}

static bool is_whole(const fake_part *p) {
    const int part = CUDNN_TYPE_BACKEND_DESCRIPTOR;
    switch (p->kind) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        return tensor_is_whole(p);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        return has(p, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64) &&
               get<int64_t>(p, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2 &&
               has(p, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE) &&
               has(p, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE) &&
               has(p, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2) &&
               has(p, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2) &&
               has(p, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2) &&
               has(p, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        return has(p, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, part) &&
               has(p, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, part) &&
               has(p, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, part) &&
               has(p, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, part) &&
               has(p, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT) &&
               has(p, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT) && convolution_fits(p);
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
        return has(p, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE) &&
               has(p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE);
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return has(p, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, part) &&
               has(p, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, part) &&
               has(p, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, part) && has(p, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, part);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        return has(p, CUDNN_ATTR_OPERATIONGRAPH_OPS, part, 0) &&
               has(p, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        return has(p, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, part) &&
               has(p, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        return has(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, part) &&
               has(p, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE);
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        return has(p, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 0) &&
               has(p, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR) &&
               has(p, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                   find(p, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)->count);
    default:
        return false;
    }
}

/* ---- Engines ---- */

/* A convolution in 16 bits, whose result is y or goes on to an addition of a whole image, and then one of a bias, both of the
 * images' type. */
static bool has_kernels(const fake_part *graph) {
    int64_t count = find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count;
    const fake_part *first = part_of(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS), *last = first;
    if (first->kind != CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR || count > 3) return false;
    const fake_part *x = part_of(first, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X),
                    *y = part_of(first, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y), *result = y;
    if (type_of(x) == CUDNN_DATA_FLOAT) return false;
    for (int64_t i = 1; i < count; i++) {
        last = part_of(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i);
        if (last->kind != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR) return false;
        const fake_part *other = part_of(last, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        bool row = dim(other, 0) == 1 && dim(other, 1) == dim(y, 1) && dim(other, 2) == 1 && dim(other, 3) == 1;
        if (part_of(last, CUDNN_ATTR_OPERATION_POINTWISE_XDESC) != result || !is_passing(result) ||
            type_of(other) != type_of(x) || !(i + 1 == count ? row || same_dims(other, y) : same_dims(other, y)))
            return false;
        result = part_of(last, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    }
    return !is_passing(result) && type_of(result) == type_of(x);
}

/* Of 24 channels it only has what it falls back to, of 56 nothing. */
static std::vector<int> engines_for(const fake_part *list) {
    const fake_part *graph = part_of(list, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH),
                    *x = part_of(part_of(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS),
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X);
    std::vector<int> found;
    bool fallback = get<int>(list, CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_FALLBACK;
    if (!has_kernels(graph) || fake_cudnn.refuses_shapes || dim(x, 1) == 56) return found;
    if (fallback)
        found.push_back(FIRST_WAY);
    else if (dim(x, 1) != 24)
        for (int i = 0; i < ENGINES; i++) found.push_back(i);
    return found;
}

static cudnnStatus_t give(const void *values, size_t each, int64_t have, int64_t room, int64_t *count, void *to) {
    *count = have;
    if (have && to) memcpy(to, values, (size_t)(have < room ? have : room) * each);
    return CUDNN_STATUS_SUCCESS;
}

/* ---- Products ---- */

struct image { /* a tensor and where its values are */
    int64_t dims[4], strides[4], name;
    int type;
    void *data; /* nullptr: it only passes */
    std::vector<float> passing;
};

static size_t index_of(const image &t, const int64_t at[4]) {
    int64_t index = 0;
    for (int i = 0; i < 4; i++) index += (t.dims[i] == 1 ? 0 : at[i]) * t.strides[i];
    return (size_t)index;
}
static float value_at(const image &t, const int64_t at[4]) {
    size_t i = index_of(t, at);
    if (!t.data) return t.passing[i];
    if (t.type == CUDNN_DATA_FLOAT) return ((const float *)t.data)[i];
    return t.type == CUDNN_DATA_HALF ? to_float(((const half_t *)t.data)[i]) : to_float(((const bfloat_t *)t.data)[i]);
}
static void put(image &t, const int64_t at[4], float x) {
    size_t i = index_of(t, at);
    if (!t.data)
        t.passing[i] = x;
    else if (t.type == CUDNN_DATA_HALF)
        ((half_t *)t.data)[i] = from_float<half_t>(x);
    else
        ((bfloat_t *)t.data)[i] = from_float<bfloat_t>(x);
}

struct step { /* an operation */
    bool is_convolution;
    size_t a, b, y; /* images */
    int64_t strides[2], before[2];
};
struct program {
    std::vector<image> images;
    std::vector<step> steps;
    void *workspace;
    size_t workspace_bytes;
    double ms;
};

static float window(const image &x, const image &w, const step &s, const int64_t y[4]) {
    float sum = 0;
    for (int64_t i = 0; i < w.dims[2]; i++)
        for (int64_t j = 0; j < w.dims[3]; j++) {
            int64_t row = y[2] * s.strides[0] + i - s.before[0], column = y[3] * s.strides[1] + j - s.before[1];
            if (row < 0 || row >= x.dims[2] || column < 0 || column >= x.dims[3]) continue;
            for (int64_t c = 0; c < x.dims[1]; c++) {
                const int64_t of_x[4] = {y[0], c, row, column}, of_w[4] = {y[1], c, i, j};
                sum += value_at(x, of_x) * value_at(w, of_w);
            }
        }
    return sum;
}

static void run_step(program &p, const step &s) {
    image &a = p.images[s.a], &b = p.images[s.b], &y = p.images[s.y];
    int64_t at[4];
    for (at[0] = 0; at[0] < y.dims[0]; at[0]++)
        for (at[1] = 0; at[1] < y.dims[1]; at[1]++)
            for (at[2] = 0; at[2] < y.dims[2]; at[2]++)
                for (at[3] = 0; at[3] < y.dims[3]; at[3]++)
                    put(y, at, s.is_convolution ? window(a, b, s, at) : value_at(a, at) + value_at(b, at));
}

/* Where the image is in the list; it is put there if it is new. A tensor that the pack has no data for is none to be read. */
static bool place(program *p, const fake_part *t, const fake_part *pack, size_t *at) {
    for (*at = 0; *at < p->images.size(); ++*at)
        if (p->images[*at].name == name_of(t)) return true;
    image made = {};
    made.name = name_of(t);
    made.type = type_of(t);
    size_t count = 1;
    for (int i = 0; i < 4; i++) made.dims[i] = dim(t, i), made.strides[i] = stride(t, i), count *= (size_t)dim(t, i);
    for (int64_t i = 0; i < find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS)->count; i++)
        if (get<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, i) == made.name)
            made.data = get<void *>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);
    if (is_passing(t)) made.passing.resize(count);
    bool right = is_passing(t)
                     ? !made.data
                     : made.data && (uintptr_t)made.data % get<uint64_t>(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT) == 0;
    p->images.push_back(made);
    return right;
}

static bool add_step(program *p, const fake_part *operation, const fake_part *pack) {
    step s = {};
    s.is_convolution = operation->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    int a = CUDNN_ATTR_OPERATION_POINTWISE_XDESC, b = CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
        y = CUDNN_ATTR_OPERATION_POINTWISE_YDESC;
    if (s.is_convolution) {
        const fake_part *how = part_of(operation, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
        for (int i = 0; i < 2; i++) {
            s.strides[i] = pair(how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
            s.before[i] = pair(how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
        }
        a = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, b = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
        y = CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y;
    }
    if (!place(p, part_of(operation, a), pack, &s.a) || !place(p, part_of(operation, b), pack, &s.b) ||
        !place(p, part_of(operation, y), pack, &s.y))
        return false;
    /* The result must not lie where an operation still reads. */
    for (const image &i : p->images)
        if (p->images[s.y].data && i.name != p->images[s.y].name && i.data == p->images[s.y].data) return false;
    fake_cudnn.bias += !s.is_convolution && p->images[s.b].dims[2] * p->images[s.b].dims[3] == 1 &&
                       p->images[s.y].dims[2] * p->images[s.y].dims[3] != 1;
    p->steps.push_back(s);
    return true;
}

/* ---- The interface ---- */

extern "C" {
fake_library fake_cudnn = {0, 0, 0, 0, {}, 0, 0, {}, 0, 0, 0};

size_t cudnnGetVersion(void) { return 91900; }
cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    if (fake_cudnn.refuses_handles) return CUDNN_STATUS_NOT_INITIALIZED;
    *handle = new fake_dnn_context{nullptr};
    fake_cudnn.handles++;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    delete handle;
    fake_cudnn.handles--;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor) {
    *descriptor = new fake_part{type, false, -1, {}};
    fake_cudnn.parts++;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    delete (fake_part *)descriptor;
    fake_cudnn.parts--;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    fake_part *p = (fake_part *)descriptor;
    if (p->sealed || count < 1) return CUDNN_STATUS_BAD_PARAM;
    attribute a = {name, type, count, std::vector<char>((size_t)count * bytes_of(type))};
    memcpy(a.bytes.data(), values, a.bytes.size());
    p->attributes.push_back(a);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    fake_part *p = (fake_part *)descriptor;
    if (p->sealed || !is_whole(p)) return CUDNN_STATUS_BAD_PARAM;
    if (p->kind == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        p->engine = part_of(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->engine;
        if (p->engine == BREAKS) return CUDNN_STATUS_NOT_SUPPORTED;
        /* A plan outlives the configuration that it was made of. */
        const fake_part *graph =
            part_of(part_of(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG), CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        cudnnBackendSetAttribute(p, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph);
    }
    p->sealed = true;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t room, int64_t *count, void *values) {
    fake_part *p = (fake_part *)descriptor;
    int strict_about_nan = 9; /* of 9.1: the library is newer than the headers */
    int note[2] = {p->engine == TRANSFORMS ? CUDNN_NUMERICAL_NOTE_WINOGRAD : CUDNN_NUMERICAL_NOTE_TENSOR_CORE,
                   strict_about_nan};
    int habit = CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    int64_t bytes = (int64_t)fake_cudnn.workspace;
    if (!p->sealed) return CUDNN_STATUS_BAD_PARAM;
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
        std::vector<int> engines = engines_for(p);
        const fake_part *graph = part_of(p, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
        for (size_t i = 0; i < engines.size() && (int64_t)i < room; i++) {
            fake_part *to = ((fake_part **)values)[i];
            to->engine = engines[i];
            cudnnBackendSetAttribute(to, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                     &graph);
            to->sealed = true;
        }
        *count = (int64_t)engines.size();
        return CUDNN_STATUS_SUCCESS;
    }
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        (*(fake_part **)values)->engine = p->engine;
        (*(fake_part **)values)->sealed = true;
        *count = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        return give(note, sizeof *note, 2, room, count, values);
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
        return give(&habit, sizeof habit, p->engine == COMPILES, room, count, values);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        return give(&bytes, sizeof bytes, 1, room, count, values);
    default:
        return CUDNN_STATUS_BAD_PARAM;
    }
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
    const fake_part *what = (const fake_part *)plan, *with = (const fake_part *)pack;
    if (!what->sealed || !with->sealed || get<cudnnHandle_t>(what, CUDNN_ATTR_EXECUTION_PLAN_HANDLE) != handle)
        return CUDNN_STATUS_BAD_PARAM;
    int way = what->engine - FIRST_WAY;
    program p = {};
    p.workspace = get<void *>(with, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    p.workspace_bytes = fake_cudnn.workspace;
    if (way < 0) emulator_fault("a plan of cuDNN's that must not be taken");
    if (p.workspace_bytes && !p.workspace) return CUDNN_STATUS_BAD_PARAM;
    const fake_part *graph = part_of(what, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    int64_t count = find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count;
    for (int64_t i = 0; i < count; i++)
        if (!add_step(&p, part_of(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, i), with)) return CUDNN_STATUS_BAD_PARAM;
    if (fake_cudnn.refuses_runs) return CUDNN_STATUS_NOT_SUPPORTED;
    p.ms = fake_cudnn.ms[way];
    fake_cudnn.run[way]++;
    fake_cudnn.add += count == 3;
    fake_enqueue(handle->stream, [p] {
        program q = p;
        if (q.workspace_bytes) fill_unset(q.workspace, q.workspace_bytes);
        for (const step &s : q.steps) run_step(q, s);
        fake_spend(q.ms + 1e-4); /* nothing takes no time */
    });
    return CUDNN_STATUS_SUCCESS;
}
}
