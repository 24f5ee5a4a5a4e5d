/* machine.c: the ceilings: the best rate that oneDNN reaches here over a fixed list of shapes, and how fast memory is
 * copied. Everything else is held against these. */
#include "bench.h"

#include <stdio.h>

#define COPY_BYTES ((size_t)256 << 20)

#define CONV(side, channels)                                                                                           \
    {                                                                                                                  \
        .kind = CPL_BARE_CONV, .n = 2, .h = side, .w = side, .in = channels, .out = channels, .out_h = side,           \
        .out_w = side, .kernel = 3, .stride = 1, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1          \
    }
#define MATMUL(rows, inner, columns)                                                                                   \
    { .kind = CPL_BARE_MATMUL, .n = 1, .h = rows, .w = 1, .in = inner, .out = columns }

/* What SD 1.5 spends its time on: the 3x3 convolutions of three levels, the feed-forward, a projection. */
static const cpl_bare shapes[] = {CONV(64, 320),           CONV(32, 640),           CONV(16, 1280),
                                  MATMUL(8192, 320, 2560), MATMUL(2048, 640, 5120), MATMUL(512, 1280, 10240),
                                  MATMUL(2048, 640, 640)};

static void print_shape(const cpl_bare *b, char *text, size_t size) {
    if (b->kind == CPL_BARE_CONV)
        snprintf(text, size, "%dx%dx%dx%d to %d, %dx%d", b->n, b->h, b->w, b->in, b->out, b->kernel, b->kernel);
    else
        snprintf(text, size, "%d rows, %d to %d", b->n * b->h * b->w, b->in, b->out);
}

static double measure(cpl_bench_run *run, const cpl_bare *shape, cpl_dtype type) {
    double ms = cpl_ceiling_product(run->ceiling, shape, type, cpl_bench_rounds(run, 5, 1));
    double rate = ms > 0 ? cpl_bare_flops(shape) / ms : 0;
    if (rate > run->flops_per_ms[type]) run->flops_per_ms[type] = rate;
    return rate;
}

bool cpl_bench_machine(cpl_bench_run *run) {
    enum { SHAPES = sizeof shapes / sizeof *shapes };
    double rate[SHAPES][2];
    cpl_bench_say(run, "ceilings of this machine");
    for (int i = 0; i < SHAPES; i++) {
        rate[i][0] = measure(run, &shapes[i], CPL_F32);
        rate[i][1] = measure(run, &shapes[i], CPL_BF16);
    }
    cpl_bench_begin(run, "machine", '{');
    cpl_bench_whole(run, "cores", (uint64_t)cpl_ceiling_threads(run->ceiling));
    cpl_bench_text(run, "isa", cpl_ceiling_isa());
    cpl_bench_text(run, "kernels", cpl_ceiling_kernels());
    cpl_bench_number(run, "gflops_f32", run->flops_per_ms[CPL_F32] / 1e6);
    cpl_bench_number(run, "gflops_bf16", run->flops_per_ms[CPL_BF16] / 1e6);
    cpl_bench_number(run, "gbps", cpl_ceiling_copy(run->ceiling, COPY_BYTES, cpl_bench_rounds(run, 10, 3)));
    cpl_bench_begin(run, "shapes", '[');
    for (int i = 0; i < SHAPES; i++) {
        char text[80];
        print_shape(&shapes[i], text, sizeof text);
        cpl_bench_begin(run, NULL, '{');
        cpl_bench_text(run, "op", shapes[i].kind == CPL_BARE_CONV ? "conv" : "matmul");
        cpl_bench_text(run, "shape", text);
        cpl_bench_number(run, "gflops_f32", rate[i][0] / 1e6);
        cpl_bench_number(run, "gflops_bf16", rate[i][1] / 1e6);
        cpl_bench_end(run, '}');
    }
    cpl_bench_end(run, ']');
    cpl_bench_end(run, '}');
    return true;
}
