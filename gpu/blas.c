/* blas.c: linear layers by cuBLASLt: descriptions of a product, the library's own list of algorithms for it, and the call. Which
 * algorithm is taken, and whether any is, products.c says.
 *
 * What it does as we need it: products of one type, y in that type or in f32, bias, addition, and GELU in 16 bits. Its GELU is the
 * approximation by tanh, at most 5e-4 from the exact one: f32 layers and those that add something behind it stay ours. */
#include "products.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/memory/alloc.h"

#ifndef GPU_CUBLASLT_FILES
#define FILE_OF(major) "libcublasLt.so." #major
#define FILE_NAMED(major) FILE_OF(major)
#define GPU_CUBLASLT_FILES FILE_NAMED(CUBLAS_VER_MAJOR)
#endif

#define FUNCTIONS(each)                                                                                                \
    each(GetVersion) each(Create) each(Destroy) each(Matmul) each(MatmulDescCreate) each(MatmulDescDestroy)            \
        each(MatmulDescSetAttribute) each(MatrixLayoutCreate) each(MatrixLayoutDestroy) each(MatmulPreferenceCreate)   \
            each(MatmulPreferenceDestroy) each(MatmulPreferenceSetAttribute) each(MatmulAlgoGetHeuristic)

static struct {
#define MEMBER(name) __typeof__(&cublasLt##name) name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} blas;

static bool load(const char *file, cpl_error *error) {
#define SYMBOL(name) {"cublasLt" #name, &blas.name},
    const gpu_symbol symbols[] = {FUNCTIONS(SYMBOL)};
#undef SYMBOL
    return gpu_library_open(file, symbols, sizeof symbols / sizeof *symbols, error);
}

static void version(char *text, size_t size) {
    size_t number = blas.GetVersion(); /* 130100 */
    snprintf(text, size, "%zu.%zu.%zu", number / 10000, number / 100 % 100, number % 100);
}

static void *open_handle(cudaStream_t queue) {
    (void)queue; /* every call names it */
    cublasLtHandle_t handle = NULL;
    return blas.Create(&handle) == CUBLAS_STATUS_SUCCESS ? handle : NULL;
}

static void close_handle(void *handle) { blas.Destroy(handle); }

/* ---- Description of a product ---- */

typedef struct product {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t w, x, y;
    bool bias;
    cublasLtMatmulAlgo_t algorithm[GPU_MOST_WAYS];
    size_t workspace[GPU_MOST_WAYS];
} product;

static void drop(void *handle, void *ways) {
    (void)handle;
    product *p = ways;
    if (p->operation) blas.MatmulDescDestroy(p->operation);
    if (p->w) blas.MatrixLayoutDestroy(p->w);
    if (p->x) blas.MatrixLayoutDestroy(p->x);
    if (p->y) blas.MatrixLayoutDestroy(p->y);
    free(p);
}

static bool suits(const gpu_shape *s) {
    int whole = s->type == GPU_F32 ? 4 : 8; /* values in 16 bytes: rows then begin at such */
    bool gelu = s->act == GPU_ACT_GELU && s->type != GPU_F32 && !s->add;
    /* The rows of a weight are whole eights whatever its type: only then are they as long as `in`. */
    return gpu_shape_is_linear(s) && (s->act == GPU_ACT_NONE || gelu) && s->in % 8 == 0 && s->out % whole == 0 &&
           (s->y_type == s->type || s->y_type == GPU_F32);
}

static cudaDataType type_of(int type) {
    return type == GPU_F16 ? CUDA_R_16F : type == GPU_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static bool set(product *p, cublasLtMatmulDescAttributes_t attribute, const void *value, size_t size) {
    return blas.MatmulDescSetAttribute(p->operation, attribute, value, size) == CUBLAS_STATUS_SUCCESS;
}

/* The library counts columns first: our y [rows][out] is its [out][rows], which is (our w [out][in]) times (x's [in][rows]).
 * A bias is one value a row of that. */
static bool describe(product *p, const gpu_shape *s) {
    uint64_t rows = (uint64_t)s->n * (uint64_t)s->h * (uint64_t)s->w, in = (uint64_t)s->in, out = (uint64_t)s->out;
    cublasOperation_t turned = CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue = s->act == GPU_ACT_GELU
                                      ? (s->bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU)
                                      : (s->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT);
    static const _Alignas(2 * GPU_ALIGNED) char place[2 * GPU_ALIGNED];
    const void *aligned =
        place + GPU_ALIGNED; /* algorithms are listed for a bias that lies like this: no better than ours */
    p->bias = s->bias;
    return blas.MatmulDescCreate(&p->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS &&
           set(p, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned) &&
           set(p, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) &&
           (!s->bias || set(p, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &aligned, sizeof aligned)) &&
           blas.MatrixLayoutCreate(&p->w, type_of(s->type), in, out, (int64_t)in) == CUBLAS_STATUS_SUCCESS &&
           blas.MatrixLayoutCreate(&p->x, type_of(s->type), in, rows, (int64_t)in) == CUBLAS_STATUS_SUCCESS &&
           blas.MatrixLayoutCreate(&p->y, type_of(s->y_type), out, rows, (int64_t)out) == CUBLAS_STATUS_SUCCESS;
}

/* Without this the library takes all arrays to begin at multiples of 256 bytes, and may add up parts of a sum in the type of y. */
static bool prefer(cublasLtMatmulPreference_t preference) {
    static const cublasLtMatmulPreferenceAttributes_t sides[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    size_t room = GPU_WORKSPACE;
    uint32_t aligned = GPU_ALIGNED, in_f32 = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    bool told = blas.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room,
                                                  sizeof room) == CUBLAS_STATUS_SUCCESS &&
                blas.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &in_f32,
                                                  sizeof in_f32) == CUBLAS_STATUS_SUCCESS;
    for (int i = 0; i < 4; i++)
        told = told && blas.MatmulPreferenceSetAttribute(preference, sides[i], &aligned, sizeof aligned) ==
                           CUBLAS_STATUS_SUCCESS;
    return told;
}

static int list_algorithms(cublasLtHandle_t handle, product *p, int most) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t list[GPU_MOST_WAYS];
    int found = 0, usable = 0;
    bool done = blas.MatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS && prefer(preference) &&
                blas.MatmulAlgoGetHeuristic(handle, p->operation, p->w, p->x, p->y, p->y, preference, most, list,
                                            &found) == CUBLAS_STATUS_SUCCESS;
    if (preference) blas.MatmulPreferenceDestroy(preference);
    for (int i = 0; done && i < found; i++) {
        if (list[i].state != CUBLAS_STATUS_SUCCESS || list[i].workspaceSize > GPU_WORKSPACE) continue;
        p->algorithm[usable] = list[i].algo;
        p->workspace[usable++] = list[i].workspaceSize;
    }
    return usable;
}

static void *prepare(void *handle, const gpu_shape *shape, int most, int *count, size_t *workspace) {
    product *p = suits(shape) ? cpl_alloc(1, sizeof *p, NULL) : NULL;
    if (!p) return NULL;
    *count = describe(p, shape) ? list_algorithms(handle, p, most < GPU_MOST_WAYS ? most : GPU_MOST_WAYS) : 0;
    memcpy(workspace, p->workspace, (size_t)*count * sizeof *workspace);
    if (*count > 0) return p;
    drop(handle, p);
    return NULL;
}

static bool run(void *handle, void *ways, int way, const gpu_operands *o) {
    product *p = ways;
    const float one = 1, beta = o->add ? 1 : 0;
    if (p->bias && !set(p, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &o->bias, sizeof o->bias)) return false;
    return blas.Matmul(handle, p->operation, &one, o->weight, p->w, o->x, p->x, &beta, o->add ? o->add : o->y, p->y,
                       o->y, p->y, &p->algorithm[way], o->workspace, p->workspace[way],
                       o->queue) == CUBLAS_STATUS_SUCCESS;
}

static const char *const files[] = {GPU_CUBLASLT_FILES, NULL};

const gpu_library gpu_cublaslt = {.name = "cuBLASLt",
                                  .variable = "COUPLET_CUBLASLT",
                                  .files = files,
                                  .adds_in_place = true,
                                  .load = load,
                                  .version = version,
                                  .open = open_handle,
                                  .close = close_handle,
                                  .prepare = prepare,
                                  .run = run,
                                  .drop = drop};

#else /* built with a CUDA that has no cuBLASLt */
const gpu_library gpu_cublaslt = {.name = "cuBLASLt", .variable = "COUPLET_CUBLASLT"};
#endif
