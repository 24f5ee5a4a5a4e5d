/* bench.c: bench-gpu: what the CUDA backend makes of this device, as JSON.
 *   bench [--device cuda:N] [--precision f16] [--only products|coupled|steps] [--quick] FILE
 * JSON into FILE, tables on stdout, progress on stderr; --quick: small shapes, to see whether the benchmark works.
 * It runs on the contract alone (core/backend.h), on a machine with gcc, make, CUDA and cJSON. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/bench/inputs.h"
#include "../../core/bench/original.h"
#include "../../core/cpu/ceiling.h"
#include "../../core/memory/alloc.h"
#include "../../core/sample/clock.h"

/* ---- What original.c asks of a backend ---- */

/* The contract has no product with a mask: each line's copy is read and added, once. That is less than the original does,
 * which multiplies by the mask first and then sums, so its time here is not made longer than it is. */
void cpl_masked_sum(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *copies, const float *masks,
                    const cpl_tensor *add) {
    (void)masks;
    for (int i = 0; i < copies->n; i++) {
        cpl_tensor copy = cpl_tensor_slice(copies, i, 1);
        s->ops->scale_add(s, y, 1.0f / (float)copies->n, &copy, 1, i ? y : add);
    }
}

/* ---- Values ---- */

cpl_tensor gpu_bench_tensor(gpu_bench *b, int n, int h, int w, int c, unsigned seed) {
    cpl_tensor t = cpl_make(b->s, n, h, w, c);
    size_t count = cpl_tensor_count(&t);
    float *values = count ? cpl_alloc(count, sizeof *values, &b->error) : NULL;
    if (values) {
        cpl_bench_fill(values, count, seed);
        b->s->ops->upload(b->s, &t, values);
    } else {
        cpl_stream_fail(b->s, CPL_E_MEMORY, "out of memory for the benchmark");
    }
    free(values);
    return t;
}

/* ---- Time ---- */

static void wait_for_all(gpu_bench *b) {
    float value;
    b->s->ops->download(b->s, &value, &b->probe);
}

static void run_step(gpu_bench *b, void (*work)(void *context, int call), void *context, int inner) {
    b->s->ops->step_begin(b->s);
    for (int i = 0; i < inner; i++) work(context, i);
    b->s->ops->step_end(b->s);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool gpu_bench_time(gpu_bench *b, void (*work)(void *context, int call), void *context, int inner, gpu_timing *timing) {
    enum { WARM = 3, MOST = 21, ROW = 10 };
    double device[MOST], host = INFINITY;
    int rounds = b->quick ? 1 : MOST, row = b->quick ? 1 : ROW, warm = b->quick ? 1 : WARM;
    for (int i = -warm; i < rounds && cpl_stream_ok(b->s);
         i++) { /* the first finds its memory, the second is recorded */
        cpl_stats stats = {0};
        double start = cpl_now_ms();
        run_step(b, work, context, inner);
        double took = cpl_now_ms() - start;
        wait_for_all(b);
        b->s->ops->stats(b->s, &stats);
        if (i < 0) continue;
        device[i] = stats.device_step_ms;
        if (took < host) host = took;
    }
    double start = cpl_now_ms();
    for (int i = 0; i < row && cpl_stream_ok(b->s); i++) run_step(b, work, context, inner);
    wait_for_all(b);
    double wall = (cpl_now_ms() - start) / row;
    if (!cpl_stream_settle(b->s, &b->error)) return false;
    qsort(device, (size_t)rounds, sizeof *device, compare);
    *timing = (gpu_timing){device[rounds / 2] / inner, host / inner, wall / inner};
    return true;
}

/* ---- JSON ---- */

void gpu_bench_open(gpu_bench *b, const char *list) {
    cpl_builder_format(&b->out, ",\n\"%s\": [", list);
    b->written = 0;
}
void gpu_bench_row(gpu_bench *b) {
    cpl_builder_text(&b->out, b->written++ ? "},\n  {\"number\": " : "\n  {\"number\": "),
        cpl_builder_format(&b->out, "%d", b->written);
}
void gpu_bench_text(gpu_bench *b, const char *key, const char *value) {
    cpl_builder_format(&b->out, ", \"%s\": ", key);
    cpl_builder_quoted(&b->out, value);
}
void gpu_bench_number(gpu_bench *b, const char *key, double value) {
    cpl_builder_format(&b->out, ", \"%s\": ", key);
    cpl_builder_number(&b->out, round(value * 1e6) / 1e6);
}
void gpu_bench_close(gpu_bench *b) { cpl_builder_text(&b->out, b->written ? "}\n]" : "]"); }

/* ---- The rate of copies ---- */

typedef struct copies {
    gpu_bench *b;
    cpl_tensor x, y;
} copies;

static void copy(void *context, int call) {
    copies *c = context;
    (void)call;
    c->b->s->ops->scale_add(c->b->s, &c->y, 1, &c->x, 0, NULL);
}

bool gpu_bench_copy(gpu_bench *b) {
    int rows = b->quick ? 64 : 16384; /* 1 GiB in 16 bits, far beyond what a device caches */
    copies c = {.b = b, .x = gpu_bench_tensor(b, 1, rows, 32, 32, 1)};
    if (!b->quick) { /* filled on the device: the host would take long */
        cpl_tensor_free(&c.x);
        c.x = cpl_make(b->s, 1, rows, 256, 128);
        cpl_tensor row = gpu_bench_tensor(b, 1, 1, 256, 128, 1);
        for (int i = 0; i < rows; i++) {
            cpl_tensor to = cpl_tensor_rows(&c.x, i, 1);
            b->s->ops->scale_add(b->s, &to, 1, &row, 0, NULL);
        }
        cpl_tensor_free(&row);
    }
    c.y = cpl_make_like(b->s, &c.x);
    gpu_timing t = {0};
    bool done = gpu_bench_time(b, copy, &c, b->quick ? 1 : 4, &t);
    if (done && t.device_ms > 0) b->gbps = 2 * (double)cpl_tensor_bytes(&c.x) / t.device_ms / 1e6;
    cpl_tensor_free(&c.x);
    cpl_tensor_free(&c.y);
    return done;
}

/* ---- The whole ---- */

static const struct {
    const char *name;
    bool (*measure)(gpu_bench *b);
} parts[] = {{"products", gpu_bench_products}, {"coupled", gpu_bench_coupled}, {"steps", gpu_bench_steps}};
enum { PARTS = sizeof parts / sizeof *parts };

static bool is_part(const char *name) {
    bool found = false;
    for (int i = 0; i < PARTS; i++) found = found || strcmp(parts[i].name, name) == 0;
    return found;
}

/* only: a part, or NULL for all of them. */
static bool run(gpu_bench *b, const char *device, const char *precision, const char *only, const char *description) {
    cpl_builder_text(&b->out, "{\"device\": ");
    cpl_builder_quoted(&b->out, description);
    gpu_bench_text(b, "name", device);
    gpu_bench_text(b, "precision", precision);
    fprintf(stderr, "bench-gpu: copies\n");
    if (!gpu_bench_copy(b)) return false;
    gpu_bench_number(b, "copy_gbps", b->gbps);
    printf("%s, %s: copies read and write %.0f GB/s\n\n", description, precision, b->gbps);
    for (int i = 0; i < PARTS; i++)
        if ((!only || strcmp(parts[i].name, only) == 0) && !parts[i].measure(b)) return false;
    cpl_builder_text(&b->out, "\n}\n");
    return true;
}

static bool open_device(gpu_bench *b, const char *device, const char *precision) {
    cpl_dtype type = strcmp(precision, "f16") == 0 ? CPL_F16 : strcmp(precision, "bf16") == 0 ? CPL_BF16 : CPL_F32;
    const cpl_backend_ops *ops = cpl_backend_find(device, &b->error);
    cpl_backend_config config = {.device = cpl_backend_number(device), .precision = type};
    b->backend = ops ? ops->open(&config, &b->error) : NULL;
    b->s = b->backend ? ops->stream_open(b->backend, &b->error) : NULL;
    if (!b->s) return false;
    b->probe = gpu_bench_tensor(b, 1, 1, 1, 1, 1);
    return cpl_stream_settle(b->s, &b->error);
}

static void close_device(gpu_bench *b) {
    if (b->s) {
        cpl_tensor_free(&b->probe);
        b->s->ops->stream_close(b->s);
    }
    if (b->backend) b->backend->ops->close(b->backend);
}

static const char *describe(const char *device) {
    static cpl_device_info list[16];
    int count = cpl_devices(list, 16), number = cpl_backend_number(device);
    /* the processor is the first of the list */
    return 1 + number < count && 1 + number < 16 ? list[1 + number].description : device;
}

int main(int argc, char **argv) {
    const char *device = "cuda", *precision = "f16", *only = NULL, *file = NULL;
    gpu_bench b = {.out = {.error = NULL}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            b.quick = true;
        else if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            device = argv[++i];
        else if (strcmp(argv[i], "--precision") == 0 && i + 1 < argc)
            precision = argv[++i];
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc && is_part(argv[i + 1]))
            only = argv[++i];
        else
            file = argv[i];
    }
    bool done = file && open_device(&b, device, precision) && run(&b, device, precision, only, describe(device));
    close_device(&b);
    char *text = cpl_builder_take(&b.out);
    FILE *out = done && text ? fopen(file, "w") : NULL;
    if (out) {
        done = fputs(text, out) >= 0;
        done = fclose(out) == 0 && done;
    } else {
        fprintf(stderr, "bench-gpu: %s\n", !file ? "into which FILE?" : *b.error.message ? b.error.message : file);
        done = false;
    }
    free(text);
    return !done;
}
