/* products.c: linear layers and convolutions of SD 1.5 and SDXL for a negative and a positive picture, by our own kernels, by
 * NVIDIA's libraries where they are, and by what is fastest when it is tried: the same layer on a stream of each kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/memory/alloc.h"
#include "bench.h"

typedef struct product {
    const char *name;
    int n, side, in, out, kernel; /* kernel 0: a linear layer of n * side * side rows */
} product;

static const product sizes[] = {
    {"SD 1.5 conv 64x64, 320", 2, 64, 320, 320, 3},
    {"SD 1.5 conv 32x32, 640", 2, 32, 640, 640, 3},
    {"SD 1.5 conv 16x16, 1280", 2, 16, 1280, 1280, 3},
    {"SD 1.5 conv 8x8, 2560 to 1280", 2, 8, 2560, 1280, 3},
    {"SDXL conv 128x128, 320", 2, 128, 320, 320, 3},
    {"SDXL conv 32x32, 1280", 2, 32, 1280, 1280, 3},
    {"decoder conv 512x512, 128", 1, 512, 128, 128, 3},
    {"SD 1.5 linear 64x64, 320", 2, 64, 320, 320, 0},
    {"SD 1.5 linear 64x64, 320 to 2560", 2, 64, 320, 2560, 0},
    {"SD 1.5 linear 64x64, 1280 to 320", 2, 64, 1280, 320, 0},
    {"SDXL linear 64x64, 640", 2, 64, 640, 640, 0},
    {"SDXL linear 64x64, 640 to 5120", 2, 64, 640, 5120, 0},
    {"SDXL linear 32x32, 1280", 2, 32, 1280, 1280, 0},
    {"SDXL linear 32x32, 1280 to 10240", 2, 32, 1280, 10240, 0},
    {"SDXL linear 32x32, 5120 to 1280", 2, 32, 5120, 1280, 0},
};
static const product quick_sizes[] = {{"tiny conv 8x8, 16", 1, 8, 16, 16, 3}, {"tiny linear 8x8, 32", 1, 8, 32, 32, 0}};

typedef struct rig {
    const product *size;
    cpl_stream *s;
    cpl_weight *weight;
    cpl_tensor x, y;
} rig;

static void multiply(void *context, int call) {
    rig *r = context;
    (void)call;
    if (r->size->kernel)
        r->s->ops->conv2d(r->s, &r->y, &r->x, r->weight, (cpl_conv_shape){1, 1, 1, 1, 1}, NULL);
    else
        r->s->ops->linear(r->s, &r->y, &r->x, r->weight, CPL_ACT_NONE, NULL);
}

/* Small values without a pattern, [out][in][k][k], and a bias of the first of them. */
static cpl_weight *random_weight(gpu_bench *b, const product *p) {
    int k = p->kernel ? p->kernel : 1;
    size_t count = (size_t)p->out * (size_t)p->in * (size_t)(k * k);
    float *values = cpl_alloc(count, sizeof *values, &b->error);
    uint32_t state = 1;
    for (size_t i = 0; values && i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = ((float)(state >> 8) * (1.0f / (1 << 23)) - 1) / (float)(p->in * k);
    }
    cpl_weight *w = values
                        ? b->backend->ops->conv_weight(b->backend, b->backend->precision, (cpl_values){values, CPL_F32},
                                                       values, p->out, p->in, k, k, &b->error)
                        : NULL;
    free(values);
    return w;
}

/* On a stream of its own: a stream keeps what it has chosen. */
static bool time_as(gpu_bench *b, const product *p, cpl_weight *weight, const char *choice, double *ms,
                    bool *by_library) {
    gpu_bench other = {.backend = b->backend, .quick = b->quick};
    rig r = {.size = p, .weight = weight};
    gpu_timing t = {0};
    cpl_stats stats = {0};
    setenv("COUPLET_CUDA_PRODUCTS", choice, 1);
    r.s = other.s = b->backend->ops->stream_open(b->backend, &b->error);
    if (!r.s) return false;
    other.probe = gpu_bench_tensor(&other, 1, 1, 1, 1, 1);
    r.x = gpu_bench_tensor(&other, p->n, p->side, p->side, p->in, 1);
    r.y = cpl_make(r.s, p->n, p->side, p->side, p->out);
    bool done = gpu_bench_time(&other, multiply, &r, b->quick ? 1 : 8, &t);
    if (!done) b->error = other.error;
    r.s->ops->stats(r.s, &stats);
    *ms = t.device_ms;
    *by_library = stats.library_products > 0;
    cpl_tensor_free(&r.x);
    cpl_tensor_free(&r.y);
    cpl_tensor_free(&other.probe);
    r.s->ops->stream_close(r.s);
    return done;
}

static bool compare(gpu_bench *b, const product *p) {
    static const char *const choices[] = {"own", "library", "measured"};
    double ms[3] = {0}, k = p->kernel ? p->kernel : 1;
    double gflop = 2e-9 * p->n * p->side * p->side * p->in * p->out * k * k;
    bool by_library[3] = {false, false, false};
    cpl_weight *weight = random_weight(b, p);
    bool done = weight != NULL;
    for (int i = 0; i < 3 && done; i++) done = time_as(b, p, weight, choices[i], &ms[i], &by_library[i]);
    b->backend->ops->weight_free(b->backend, weight);
    if (!done) return false;
    gpu_bench_row(b);
    gpu_bench_text(b, "product", p->name);
    gpu_bench_number(b, "gflop", gflop);
    gpu_bench_number(b, "own_ms", ms[0]);
    gpu_bench_number(b, "library_ms", by_library[1] ? ms[1] : 0);
    gpu_bench_number(b, "measured_ms", ms[2]);
    printf("| %s | %.4f | %.1f | ", p->name, ms[0], gflop / ms[0]);
    if (by_library[1])
        printf("%.4f | %.1f", ms[1], gflop / ms[1]);
    else
        printf("- | -");
    printf(" | %.4f | %s |\n", ms[2], by_library[2] ? "library" : "own");
    fflush(stdout);
    return true;
}

bool gpu_bench_products(gpu_bench *b) {
    const product *list = b->quick ? quick_sizes : sizes;
    int count = b->quick ? (int)(sizeof quick_sizes / sizeof *quick_sizes) : (int)(sizeof sizes / sizeof *sizes);
    const char *wish = getenv("COUPLET_CUDA_PRODUCTS");
    char *kept = wish ? strdup(wish) : NULL;
    bool done = true;
    printf("| product | own ms | TFLOP/s | library ms | TFLOP/s | fastest as tried, ms | by |\n"
           "| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    gpu_bench_open(b, "products");
    for (int i = 0; i < count && done; i++) {
        fprintf(stderr, "bench-gpu: %s\n", list[i].name);
        done = compare(b, &list[i]);
    }
    gpu_bench_close(b);
    printf("\n");
    if (kept)
        setenv("COUPLET_CUDA_PRODUCTS", kept, 1);
    else
        unsetenv("COUPLET_CUDA_PRODUCTS");
    free(kept);
    return done;
}
