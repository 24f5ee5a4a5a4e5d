/* fake_blas.cc: cuBLASLt on a CPU: it takes what it is told at its word, counts columns first as the real one does, and refuses
 * what the real one's manual rules out. Its products are made when the stream gets there. */
#pragma GCC visibility push(default) /* to be found by dlsym */
#include <cublasLt.h>
#pragma GCC visibility pop
#include <cuda_port.h>

#include <math.h>

#include "fake.h"
#include "fake_library.h"
#include "fiber.h"

extern "C" {
fake_library fake_cublaslt = {0, 0, 0, 0, {}, 0, 0, {}, 0, 0, 0};

struct fake_context {
    int live;
};
struct fake_operation {
    int turned_a, epilogue;
    const void *bias;
};
struct fake_layout {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t pitch;
};
struct fake_preference {
    size_t room;
    uint32_t reductions;
    uint32_t aligned[4];
};

size_t cublasLtGetVersion(void) { return 130100; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    if (fake_cublaslt.refuses_handles) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = new fake_context{1};
    fake_cublaslt.handles++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    delete handle;
    fake_cublaslt.handles--;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation, cublasComputeType_t compute,
                                        cudaDataType scale) {
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    *operation = new fake_operation{CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
    fake_cublaslt.parts++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
    delete operation;
    fake_cublaslt.parts--;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t size) {
    bool pointer = attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER;
    if (size != (pointer ? sizeof(void *) : sizeof(int32_t))) return CUBLAS_STATUS_INVALID_VALUE;
    if (pointer)
        operation->bias = *(const void *const *)value;
    else if (attribute == CUBLASLT_MATMUL_DESC_TRANSA)
        operation->turned_a = *(const int32_t *)value;
    else if (attribute == CUBLASLT_MATMUL_DESC_EPILOGUE)
        operation->epilogue = *(const int32_t *)value;
    else
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t pitch) {
    if (pitch < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new fake_layout{type, rows, columns, pitch};
    fake_cublaslt.parts++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    delete layout;
    fake_cublaslt.parts--;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    *preference = new fake_preference{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    fake_cublaslt.parts++;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete preference;
    fake_cublaslt.parts--;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t size) {
    bool room = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    if (size != (room ? sizeof(size_t) : sizeof(uint32_t))) return CUBLAS_STATUS_INVALID_VALUE;
    if (room)
        preference->room = *(const size_t *)value;
    else if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        preference->reductions = *(const uint32_t *)value;
    else
        preference->aligned[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES] = *(const uint32_t *)value;
    return CUBLAS_STATUS_SUCCESS;
}

static bool types_go(const fake_layout *a, const fake_layout *b, const fake_layout *c, const fake_layout *d,
                     int epilogue) {
    bool narrow = a->type != CUDA_R_32F;
    if ((epilogue & CUBLASLT_EPILOGUE_GELU) && !narrow) return false;
    return a->type == b->type && c->type == d->type && (d->type == a->type || (narrow && d->type == CUDA_R_32F));
}

/* Products of 24 are such that this library does not have. What an algorithm was listed for, it insists on later. Parts of a
 * sum that are added in the type of the result, as the real one may where it is not told otherwise, are never wanted. */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t *list, int *found) {
    uint64_t inner = operation->turned_a ? a->rows : a->columns, rows = operation->turned_a ? a->columns : a->rows;
    *found = 0;
    if (inner != b->rows || rows != d->rows || b->columns != d->columns || c->rows != d->rows ||
        c->columns != d->columns)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (preference->reductions != CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (fake_cublaslt.refuses_shapes || inner == 24 || !types_go(a, b, c, d, operation->epilogue) ||
        fake_cublaslt.workspace > preference->room)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    for (int i = 0; i < wanted && i < FAKE_WAYS; i++) {
        list[i] = cublasLtMatmulHeuristicResult_t{};
        list[i].algo.data[0] = (uint64_t)i;
        for (int side = 0; side < 4; side++) list[i].algo.data[1 + side] = preference->aligned[side];
        list[i].workspaceSize = fake_cublaslt.workspace;
        *found = i + 1;
    }
    return CUBLAS_STATUS_SUCCESS;
}

static float value_at(const void *data, cudaDataType type, size_t at) {
    if (type == CUDA_R_32F) return ((const float *)data)[at];
    return type == CUDA_R_16F ? to_float(((const half_t *)data)[at]) : to_float(((const bfloat_t *)data)[at]);
}
static void put(void *data, cudaDataType type, size_t at, float x) {
    if (type == CUDA_R_32F)
        ((float *)data)[at] = x;
    else if (type == CUDA_R_16F)
        ((half_t *)data)[at] = from_float<half_t>(x);
    else
        ((bfloat_t *)data)[at] = from_float<bfloat_t>(x);
}
/* By tanh, like the real one's. */
static float gelu(float x) { return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x))); }

struct fake_product {
    fake_operation op;
    fake_layout a, b, c, d;
    const void *a_data, *b_data, *c_data;
    void *d_data, *workspace;
    size_t workspace_bytes;
    float alpha, beta;
    double ms;
};

static float sum_at(const fake_product &p, uint64_t row, uint64_t column) {
    float sum = 0;
    uint64_t inner = p.op.turned_a ? p.a.rows : p.a.columns;
    for (uint64_t k = 0; k < inner; k++) {
        size_t at = p.op.turned_a ? row * (size_t)p.a.pitch + k : k * (size_t)p.a.pitch + row;
        sum += value_at(p.a_data, p.a.type, at) * value_at(p.b_data, p.b.type, column * (size_t)p.b.pitch + k);
    }
    return sum;
}

static void multiply(const fake_product &p) {
    if (p.workspace_bytes) fill_unset(p.workspace, p.workspace_bytes);
    for (uint64_t column = 0; column < p.d.columns; column++)
        for (uint64_t row = 0; row < p.d.rows; row++) {
            float sum = p.alpha * sum_at(p, row, column);
            if (p.beta != 0) sum += p.beta * value_at(p.c_data, p.c.type, column * (size_t)p.c.pitch + row);
            if (p.op.epilogue & CUBLASLT_EPILOGUE_BIAS) sum += value_at(p.op.bias, p.d.type, row);
            if (p.op.epilogue & CUBLASLT_EPILOGUE_GELU) sum = gelu(sum);
            put(p.d_data, p.d.type, column * (size_t)p.d.pitch + row, sum);
        }
    fake_spend(p.ms + 1e-4); /* nothing takes no time */
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
    const void *data[4] = {a, b, c, d};
    bool bias = operation->epilogue & CUBLASLT_EPILOGUE_BIAS;
    if (!handle || (bias && (!operation->bias || (uintptr_t)operation->bias % 16))) return CUBLAS_STATUS_INVALID_VALUE;
    for (int side = 0; side < 4; side++)
        if ((uintptr_t)data[side] % algorithm->data[1 + side]) return CUBLAS_STATUS_INVALID_VALUE;
    if (workspace_bytes < fake_cublaslt.workspace || (fake_cublaslt.workspace && !workspace))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (fake_cublaslt.refuses_runs) return CUBLAS_STATUS_NOT_SUPPORTED;
    int way = (int)algorithm->data[0];
    fake_product p = {*operation,
                      *a_layout,
                      *b_layout,
                      *c_layout,
                      *d_layout,
                      a,
                      b,
                      c,
                      d,
                      workspace,
                      workspace_bytes,
                      *(const float *)alpha,
                      *(const float *)beta,
                      fake_cublaslt.ms[way]};
    fake_cublaslt.run[way]++;
    fake_cublaslt.bias += bias, fake_cublaslt.add += p.beta != 0;
    fake_cublaslt.gelu += (p.op.epilogue & CUBLASLT_EPILOGUE_GELU) != 0;
    fake_enqueue(stream, [p] { multiply(p); });
    return CUBLAS_STATUS_SUCCESS;
}
}
