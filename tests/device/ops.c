/* ops.c: every operation of the contract at the sizes that Stable Diffusion has, against results of the CPU backend that
 * were recorded once (ops.safetensors): what a machine without oneDNN compares with.
 *   ops --record FILE                                          writes the record, on the CPU in f32
 *   ops [--device NAME] [--precision P] [--most GFLOP] FILE    compares; --most leaves out what is larger
 * Of each result 256 values are kept, spread over all of it, and the root of the mean square of all. Inputs are multiples
 * of 1/64 below one, which all three types hold: only the operation's own rounding shows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/backend.h"
#include "../../core/model/safetensors.h"

enum { KEPT = 256, MOST_LINES = 16 };

typedef struct rig {
    cpl_backend *b;
    cpl_stream *s;
    uint32_t random;
} rig;

typedef struct op_case {
    const char *name;
    cpl_tensor (*run)(rig *r, const int *p);
    int p[8];
    double gflop;
} op_case;

/* ---- Inputs ---- */

static float *numbers(rig *r, size_t count, float scale) {
    float *values = calloc(count + 1, sizeof *values);
    for (size_t i = 0; values && i < count; i++) {
        r->random = r->random * 1664525u + 1013904223u;
        values[i] = (float)((int)(r->random >> 25) - 64) / 64 * scale;
    }
    return values;
}

static cpl_tensor input(rig *r, int n, int h, int w, int c) {
    cpl_tensor x = cpl_make(r->s, n, h, w, c);
    float *values = numbers(r, cpl_tensor_count(&x), 1);
    if (values) r->s->ops->upload(r->s, &x, values);
    free(values);
    return x;
}

/* Scaled by a power of two, so that results are about as large as inputs and weights stay exact. */
static cpl_weight *weight(rig *r, int out, int in, int k) {
    size_t fan = (size_t)in * (size_t)k * (size_t)k;
    float *values = numbers(r, (size_t)out * fan, ldexpf(1, -(int)lrint(log2(sqrt((double)fan) / 2))));
    float *bias = numbers(r, (size_t)out, 1);
    cpl_weight *w = NULL;
    if (values && bias)
        w = r->b->ops->conv_weight(r->b, r->b->precision, (cpl_values){values, CPL_F32}, bias, out, in, k, k, NULL);
    free(values);
    free(bias);
    if (!w) cpl_stream_fail(r->s, CPL_E_MEMORY, "no weight");
    return w;
}

static cpl_weight *norm(rig *r, int c) {
    float *gamma = numbers(r, (size_t)c, 1), *beta = numbers(r, (size_t)c, 1);
    cpl_weight *w = r->b->ops->norm_weight(r->b, gamma, beta, c, NULL);
    free(gamma);
    free(beta);
    return w;
}

/* ---- Operations; p: see the table ---- */

static cpl_tensor conv(rig *r, const int *p) { /* n, h, w, in, out, k, stride, add */
    int pad = p[5] / 2;
    cpl_conv_shape shape = {p[6], pad, pad, pad, pad};
    cpl_tensor x = input(r, p[0], p[1], p[2], p[3]), add = {0};
    cpl_weight *w = weight(r, p[4], p[3], p[5]);
    int h = (p[1] + 2 * pad - p[5]) / p[6] + 1, width = (p[2] + 2 * pad - p[5]) / p[6] + 1;
    cpl_tensor y = cpl_make(r->s, p[0], h, width, p[4]);
    if (p[7]) add = input(r, p[0], h, width, p[4]);
    r->s->ops->conv2d(r->s, &y, &x, w, shape, p[7] ? &add : NULL);
    cpl_tensor_free(&x);
    cpl_tensor_free(&add);
    r->b->ops->weight_free(r->b, w);
    return y;
}

static cpl_tensor linear(rig *r, const int *p) { /* rows, in, out, activation, add */
    cpl_tensor x = input(r, 1, 1, p[0], p[1]), add = {0}, y = cpl_make(r->s, 1, 1, p[0], p[2]);
    cpl_weight *w = weight(r, p[2], p[1], 1);
    if (p[4]) add = input(r, 1, 1, p[0], p[2]);
    r->s->ops->linear(r->s, &y, &x, w, (cpl_activation)p[3], p[4] ? &add : NULL);
    cpl_tensor_free(&x);
    cpl_tensor_free(&add);
    r->b->ops->weight_free(r->b, w);
    return y;
}

static cpl_tensor group_norm(rig *r, const int *p) { /* n, h, w, c, shift, silu */
    cpl_tensor x = input(r, p[0], p[1], p[2], p[3]), y = cpl_make_like(r->s, &x), shift = {0};
    cpl_weight *w = norm(r, p[3]);
    if (p[4]) {
        float *values = numbers(r, (size_t)p[0] * (size_t)p[3], 1);
        shift = cpl_make_as(r->s, CPL_F32, p[0], 1, 1, p[3]);
        r->s->ops->upload(r->s, &shift, values);
        free(values);
    }
    r->s->ops->group_norm(r->s, &y, &x, p[4] ? &shift : NULL, w, 32, 1e-5f, p[5] != 0);
    cpl_tensor_free(&x);
    cpl_tensor_free(&shift);
    r->b->ops->weight_free(r->b, w);
    return y;
}

static cpl_tensor group_norm_by(rig *r, const int *p) { /* h, w, c: in two strips */
    cpl_tensor x = input(r, 1, p[0], p[1], p[2]), y = cpl_make_like(r->s, &x), sums = cpl_make_sums(r->s, p[2]);
    cpl_weight *w = norm(r, p[2]);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 2; i++) {
            int half = p[0] / 2, first = i * half, count = i ? p[0] - half : half;
            cpl_tensor from = cpl_tensor_rows(&x, first, count), to = cpl_tensor_rows(&y, first, count);
            if (pass == 0)
                r->s->ops->group_sums(r->s, &sums, &from, i == 0);
            else
                r->s->ops->group_norm_by(r->s, &to, &from, &sums, (size_t)p[0] * (size_t)p[1], w, 32, 1e-6f, true);
        }
    cpl_tensor_free(&x);
    cpl_tensor_free(&sums);
    r->b->ops->weight_free(r->b, w);
    return y;
}

static cpl_tensor layer_norm(rig *r, const int *p) { /* rows, c */
    cpl_tensor x = input(r, 1, 1, p[0], p[1]), y = cpl_make_like(r->s, &x);
    cpl_weight *w = norm(r, p[1]);
    r->s->ops->layer_norm(r->s, &y, &x, w, 1e-5f);
    cpl_tensor_free(&x);
    r->b->ops->weight_free(r->b, w);
    return y;
}

static cpl_tensor geglu(rig *r, const int *p) { /* rows, c */
    cpl_tensor x = input(r, 1, 1, p[0], 2 * p[1]), y = cpl_make(r->s, 1, 1, p[0], p[1]);
    r->s->ops->geglu(r->s, &y, &x);
    cpl_tensor_free(&x);
    return y;
}

static cpl_tensor activate(rig *r, const int *p) { /* rows, c, activation */
    cpl_tensor x = input(r, 1, 1, p[0], p[1]), y = cpl_make_like(r->s, &x);
    r->s->ops->activate(r->s, &y, &x, (cpl_activation)p[2]);
    cpl_tensor_free(&x);
    return y;
}

static cpl_tensor attention(rig *r, const int *p) { /* n, queries, keys, heads, depth, causal */
    int c = p[3] * p[4];
    cpl_tensor q = input(r, p[0], 1, p[1], c), k = input(r, p[0], 1, p[2], c), v = input(r, p[0], 1, p[2], c);
    cpl_tensor y = cpl_make_like(r->s, &q);
    r->s->ops->attention(r->s, &y, &q, &k, &v, p[3], p[5] != 0);
    cpl_tensor_free(&q);
    cpl_tensor_free(&k);
    cpl_tensor_free(&v);
    return y;
}

/* Columns, each fading into the next over a tenth of the picture; the last one has every second text twice as long. */
static float *fading_masks(int lines, int h, int w) {
    float *masks = calloc((size_t)lines * (size_t)h * (size_t)w + 1, sizeof *masks);
    for (int y = 0; masks && y < h; y++)
        for (int x = 0; x < w; x++) {
            double at = (x + 0.5) / w * lines, inside = at - floor(at);
            int line = (int)at, next = line + 1 < lines ? line + 1 : line;
            float share = inside > 0.9 && y % 2 ? (float)((inside - 0.9) * 5) : 0;
            masks[(line * h + y) * w + x] += 1 - share;
            masks[(next * h + y) * w + x] += share;
        }
    return masks;
}

static cpl_tensor coupled(rig *r, const int *p) { /* h, w, heads, depth, lines, keys */
    int lines = p[4], c = p[2] * p[3];
    cpl_tensor q = input(r, 2, p[0], p[1], c), y = cpl_make_like(r->s, &q), k[1 + MOST_LINES], v[1 + MOST_LINES];
    const cpl_tensor *pk[1 + MOST_LINES], *pv[1 + MOST_LINES];
    for (int i = 0; i <= lines; i++) {
        int keys = i % 2 && lines > 1 ? 2 * p[5] : p[5];
        k[i] = input(r, 1, 1, keys, c), v[i] = input(r, 1, 1, keys, c);
        pk[i] = &k[i], pv[i] = &v[i];
    }
    cpl_error error = {0};
    float *masks = fading_masks(lines, p[0], p[1]);
    cpl_plan *plan = masks ? cpl_plan_new(masks, lines, p[1], p[0], &error) : NULL;
    const cpl_listen listen[2] = {{.lines = 1, .k = pk, .v = pv},
                                  {.lines = lines, .k = pk + 1, .v = pv + 1, .plan = plan}};
    if (plan)
        r->s->ops->cross_attention(r->s, &y, &q, listen, p[2]);
    else
        cpl_stream_fail(r->s, error.code, "%s", error.message);
    for (int i = 0; i <= lines; i++) cpl_tensor_free(&k[i]), cpl_tensor_free(&v[i]);
    cpl_tensor_free(&q);
    cpl_plan_free(plan);
    free(masks);
    return y;
}

static cpl_tensor upsample(rig *r, const int *p) { /* n, h, w, c, to h, to w */
    cpl_tensor x = input(r, p[0], p[1], p[2], p[3]), y = cpl_make(r->s, p[0], p[4], p[5], p[3]);
    r->s->ops->upsample(r->s, &y, &x);
    cpl_tensor_free(&x);
    return y;
}

static cpl_tensor concat(rig *r, const int *p) { /* n, h, w, c, other c */
    cpl_tensor a = input(r, p[0], p[1], p[2], p[3]), b = input(r, p[0], p[1], p[2], p[4]);
    cpl_tensor y = cpl_make(r->s, p[0], p[1], p[2], p[3] + p[4]);
    r->s->ops->concat(r->s, &y, &a, &b);
    cpl_tensor_free(&a);
    cpl_tensor_free(&b);
    return y;
}

static cpl_tensor scale_add(rig *r, const int *p) { /* rows, c */
    cpl_tensor a = input(r, 1, 1, p[0], p[1]), b = input(r, 1, 1, p[0], p[1]), y = cpl_make_like(r->s, &a);
    r->s->ops->scale_add(r->s, &y, 0.75f, &a, -1.5f, &b);
    cpl_tensor_free(&a);
    cpl_tensor_free(&b);
    return y;
}

static cpl_tensor embed(rig *r, const int *p) { /* count, c, tokens */
    float *rows = numbers(r, (size_t)p[0] * (size_t)p[1], 1), *places = numbers(r, (size_t)p[2] * (size_t)p[1], 1);
    cpl_weight *table = r->b->ops->table_weight(r->b, rows, p[0], p[1], NULL);
    cpl_weight *positions = r->b->ops->table_weight(r->b, places, p[2], p[1], NULL);
    int *ids = calloc(2 * (size_t)p[2], sizeof *ids);
    cpl_tensor y = cpl_make(r->s, 2, 1, p[2], p[1]);
    for (int i = 0; ids && i < 2 * p[2]; i++) ids[i] = (int)((uint64_t)i * 7919 % (uint64_t)p[0]);
    if (ids) r->s->ops->embed(r->s, &y, table, ids, positions);
    r->b->ops->weight_free(r->b, table);
    r->b->ops->weight_free(r->b, positions);
    free(rows), free(places), free(ids);
    return y;
}

static cpl_tensor timestep(rig *r, const int *p) { /* c */
    const float t[3] = {0, 500, 999};
    cpl_tensor y = cpl_make(r->s, 3, 1, 1, p[0]);
    r->s->ops->timestep_embedding(r->s, &y, t);
    return y;
}

static const op_case cases[] = {
    {"conv 64x64 4 to 320", conv, {2, 64, 64, 4, 320, 3, 1, 0}, 0.19},
    {"conv 64x64 320", conv, {2, 64, 64, 320, 320, 3, 1, 1}, 15.1},
    {"conv 64x64 320 to 4", conv, {2, 64, 64, 320, 4, 3, 1, 0}, 0.19},
    {"conv 64x64 320, stride 2", conv, {2, 64, 64, 320, 320, 3, 2, 0}, 3.8},
    {"conv 32x32 640", conv, {2, 32, 32, 640, 640, 3, 1, 1}, 15.1},
    {"conv 33x31 960 to 640", conv, {1, 33, 31, 960, 640, 3, 1, 0}, 11.3},
    {"conv 16x16 1280", conv, {2, 16, 16, 1280, 1280, 3, 1, 0}, 15.1},
    {"conv 8x8 2560 to 1280, 1x1", conv, {2, 8, 8, 2560, 1280, 1, 1, 1}, 0.84},
    {"conv 128x128 128 to 3", conv, {1, 128, 128, 128, 3, 3, 1, 0}, 0.11},
    {"conv 9x7 40 to 24", conv, {2, 9, 7, 40, 24, 3, 1, 1}, 0.002},
    {"linear 4096 rows, 320", linear, {4096, 320, 320, CPL_ACT_NONE, 1}, 0.84},
    {"linear 4096 rows, 320 to 2560", linear, {4096, 320, 2560, CPL_ACT_NONE, 0}, 6.7},
    {"linear 1024 rows, 2560 to 640", linear, {1024, 2560, 640, CPL_ACT_NONE, 1}, 3.4},
    {"linear 154 rows, 2048 to 1280", linear, {154, 2048, 1280, CPL_ACT_NONE, 0}, 0.8},
    {"linear 77 rows, 768 to 3072, quick GELU", linear, {77, 768, 3072, CPL_ACT_QUICK_GELU, 0}, 0.36},
    {"linear 77 rows, 1280 to 5120, GELU", linear, {77, 1280, 5120, CPL_ACT_GELU, 0}, 1},
    {"linear 2 rows, 320 to 1280, SiLU", linear, {2, 320, 1280, CPL_ACT_SILU, 0}, 0.0016},
    {"linear 61 rows, 52 to 90", linear, {61, 52, 90, CPL_ACT_GELU, 1}, 0.001},
    {"group norm 64x64 320, shift, SiLU", group_norm, {2, 64, 64, 320, 1, 1}, 0.01},
    {"group norm 32x32 1920", group_norm, {1, 32, 32, 1920, 0, 0}, 0.01},
    {"group norm 5x7 96", group_norm, {3, 5, 7, 96, 1, 0}, 0.001},
    {"group norm by sums 64x40 128", group_norm_by, {64, 40, 128}, 0.01},
    {"layer norm 4096 rows, 320", layer_norm, {4096, 320}, 0.01},
    {"layer norm 77 rows, 1280", layer_norm, {77, 1280}, 0.001},
    {"GEGLU 1024 rows, 2560", geglu, {1024, 2560}, 0.02},
    {"SiLU 2 rows, 1280", activate, {2, 1280, CPL_ACT_SILU}, 0.001},
    {"attention 4096 tokens, 8 of 40", attention, {1, 4096, 4096, 8, 40, 0}, 21},
    {"attention 1024 tokens, 8 of 80", attention, {2, 1024, 1024, 8, 80, 0}, 5.4},
    {"attention 256 tokens, 8 of 160", attention, {2, 256, 256, 8, 160, 0}, 0.67},
    {"attention 1024 tokens, 20 of 64", attention, {1, 1024, 1024, 20, 64, 0}, 5.4},
    {"attention 1024 tokens, 1 of 512", attention, {1, 1024, 1024, 1, 512, 0}, 2.1},
    {"attention 77 tokens, 12 of 64, causal", attention, {2, 77, 77, 12, 64, 1}, 0.03},
    {"attention 45 tokens, 3 of 24", attention, {2, 45, 45, 3, 24, 0}, 0.001},
    {"coupled 64x64, 8 of 40, 4 lines", coupled, {64, 64, 8, 40, 4, 77}, 1},
    {"coupled 64x64, 10 of 64, 16 lines", coupled, {64, 64, 10, 64, 16, 77}, 2},
    {"coupled 32x32, 20 of 64, 8 lines", coupled, {32, 32, 20, 64, 8, 77}, 1},
    {"coupled 32x32, 8 of 80, 1 line", coupled, {32, 32, 8, 80, 1, 77}, 0.4},
    {"coupled 16x16, 8 of 160, 3 lines", coupled, {16, 16, 8, 160, 3, 77}, 0.2},
    {"coupled 9x13, 3 of 24, 5 lines", coupled, {9, 13, 3, 24, 5, 20}, 0.001},
    {"upsample 32x32 to 64x64", upsample, {2, 32, 32, 640, 64, 64}, 0.01},
    {"upsample 5x7 to 9x13", upsample, {2, 5, 7, 30, 9, 13}, 0.001},
    {"concat 32x32 640 and 320", concat, {2, 32, 32, 640, 320}, 0.01},
    {"scale and add", scale_add, {4096, 320}, 0.01},
    {"embed 77 of 1000", embed, {1000, 768, 77}, 0.001},
    {"time embedding 320", timestep, {320}, 0.001},
};

/* ---- Running, recording, comparing ---- */

/* 256 values and the root of the mean square; false: the stream has failed. */
static bool run_case(rig *r, const op_case *c, float kept[KEPT + 1]) {
    r->random = 2166136261u;
    for (const char *at = c->name; *at; at++) r->random = (r->random ^ (unsigned char)*at) * 16777619u;
    cpl_tensor y = c->run(r, c->p);
    size_t count = cpl_tensor_count(&y);
    float *values = count ? calloc(count, sizeof *values) : NULL;
    double squares = 0;
    memset(kept, 0xff, (KEPT + 1) * sizeof *kept); /* NaN, should anything go wrong */
    if (!values) {
        cpl_tensor_free(&y);
        return false;
    }
    r->s->ops->download(r->s, values, &y);
    for (size_t i = 0; i < count; i++) squares += (double)values[i] * (double)values[i];
    for (size_t i = 0; i < KEPT; i++) kept[i] = values[(i * 2654435761u + 12345) % count];
    kept[KEPT] = (float)sqrt(squares / (double)count);
    free(values);
    cpl_tensor_free(&y);
    return cpl_stream_ok(r->s);
}

/* NaN never passes. */
static bool near(const float *got, const float *want, double tolerance, double *worst) {
    *worst = 0;
    for (int i = 0; i <= KEPT; i++) {
        double off = fabs((double)got[i] - (double)want[i]) / (fabs((double)want[KEPT]) + fabs((double)want[i]));
        if (!(off <= *worst)) *worst = isnan(off) ? INFINITY : off;
    }
    return *worst <= tolerance;
}

static int record(rig *r, const char *path) {
    cpl_error error = {0};
    cpl_st_writer *writer = cpl_st_writer_new(&error);
    bool done = writer != NULL;
    for (size_t i = 0; done && i < sizeof cases / sizeof *cases; i++) {
        float kept[KEPT + 1];
        done = run_case(r, &cases[i], kept) &&
               cpl_st_writer_add(writer, cases[i].name, kept, 1, &(int64_t){KEPT + 1}, &error);
    }
    done = done && cpl_st_writer_save(writer, path, &error);
    if (writer) cpl_st_writer_free(writer);
    if (!done) fprintf(stderr, "%s\n", r->s->failed ? r->s->error.message : error.message);
    return !done;
}

static int compare(rig *r, const char *path, double most_gflop) {
    static const double tolerances[] = {[CPL_F32] = 1e-4, [CPL_BF16] = 4e-2, [CPL_F16] = 5e-3};
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_open(path, &error);
    int passed = 0, failed = 0, skipped = 0;
    for (size_t i = 0; st && i < sizeof cases / sizeof *cases; i++) {
        const cpl_st_entry *entry = cpl_safetensors_find(st, cases[i].name);
        float kept[KEPT + 1], *want = entry && entry->count == KEPT + 1 ? cpl_safetensors_f32(st, entry, NULL) : NULL;
        double worst = INFINITY;
        if (cases[i].gflop > most_gflop) {
            skipped++;
        } else if (want && run_case(r, &cases[i], kept) && near(kept, want, tolerances[r->b->precision], &worst)) {
            passed++;
            printf("ok      %-42s off by %.1e\n", cases[i].name, worst);
        } else {
            failed++;
            printf("failed  %-42s %s %.1e\n", cases[i].name, !want ? "no record of it" : "off by", worst);
            if (!cpl_stream_settle(r->s, &error)) printf("        %s\n", error.message);
        }
        fflush(stdout);
        free(want);
    }
    if (!st) fprintf(stderr, "%s\n", error.message);
    cpl_safetensors_close(st);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0 || passed == 0;
}

int main(int argc, char **argv) {
    const char *device = "cpu", *precision = "f32", *file = NULL;
    double most = INFINITY;
    bool recording = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--record") == 0)
            recording = true;
        else if (strcmp(argv[i], "--device") == 0 && i + 1 < argc)
            device = argv[++i];
        else if (strcmp(argv[i], "--precision") == 0 && i + 1 < argc)
            precision = argv[++i];
        else if (strcmp(argv[i], "--most") == 0 && i + 1 < argc)
            most = strtod(argv[++i], NULL);
        else
            file = argv[i];
    }
    cpl_error error = {0};
    cpl_dtype type = strcmp(precision, "f16") == 0 ? CPL_F16 : strcmp(precision, "bf16") == 0 ? CPL_BF16 : CPL_F32;
    const cpl_backend_ops *ops = file ? cpl_backend_find(device, &error) : NULL;
    cpl_backend_config config = {.precision = type, .device = cpl_backend_number(device)};
    rig r = {.b = ops ? ops->open(&config, &error) : NULL};
    r.s = r.b ? ops->stream_open(r.b, &error) : NULL;
    if (!r.s) {
        fprintf(stderr, "%s\n", file ? error.message : "ops: which FILE?");
        return 1;
    }
    int status = recording ? record(&r, file) : compare(&r, file, most);
    ops->stream_close(r.s);
    ops->close(r.b);
    return status;
}
