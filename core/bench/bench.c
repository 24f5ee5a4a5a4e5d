/* bench.c: the benchmark as a whole: which parts run, the JSON that they write, and the small things that all of them
 * need. What is measured is decided in the parts. */
#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "inputs.h"

static const struct {
    const char *name;
    bool (*run)(cpl_bench_run *run);
} parts[] = {{"coupled", cpl_bench_coupled},
             {"step", cpl_bench_steps},
             {"text", cpl_bench_texts},
             {"vae", cpl_bench_vae},
             {"sync", cpl_bench_edits}};

const char *const *cpl_bench_parts(void) {
    static const char *const names[] = {"machine", "coupled", "step", "text", "vae", "sync", "sixel", "editor", NULL};
    return names;
}

void cpl_bench_say(const cpl_bench_run *run, const char *format, ...) {
    char message[256];
    va_list args;
    if (!run->options->log) return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    run->options->log(run->options->log_user, message);
}

/* ---- JSON ---- */

static void separate(cpl_bench_run *run, const char *key, const char *blank) {
    cpl_builder *b = &run->out;
    char last = b->length ? b->text[b->length - 1] : '{';
    if (last != '{' && last != '[') cpl_builder_text(b, ",");
    cpl_builder_text(b, last == '{' && *blank == ' ' ? "" : blank);
    if (key) cpl_builder_format(b, "\"%s\": ", key);
}

void cpl_bench_begin(cpl_bench_run *run, const char *key, char bracket) {
    separate(run, key, key ? "\n  " : "\n    ");
    cpl_builder_bytes(&run->out, &bracket, 1);
}

void cpl_bench_end(cpl_bench_run *run, char bracket) { cpl_builder_bytes(&run->out, &bracket, 1); }

void cpl_bench_number(cpl_bench_run *run, const char *key, double value) {
    separate(run, key, " ");
    double size = fabs(value), unit = 1;
    while (size > 0 && size * unit < 1e4) unit *= 10;
    cpl_builder_number(&run->out, round(value * unit) / unit);
}

void cpl_bench_whole(cpl_bench_run *run, const char *key, uint64_t value) {
    separate(run, key, " ");
    cpl_builder_format(&run->out, "%llu", (unsigned long long)value);
}

void cpl_bench_text(cpl_bench_run *run, const char *key, const char *value) {
    separate(run, key, " ");
    cpl_builder_quoted(&run->out, value);
}

/* ---- Types, floors, values ---- */

static const struct {
    cpl_dtype type;
    const char *name;
} types[] = {{CPL_F32, "f32"}, {CPL_BF16, "bf16"}};
enum { TYPES = sizeof types / sizeof *types };

static bool is_wanted(const char *precision, const char *name) {
    return !precision || strcmp(precision, "auto") == 0 || strcmp(precision, name) == 0;
}

bool cpl_bench_type(const cpl_bench_run *run, int number, cpl_dtype *type, const char **name) {
    for (int i = 0; i < TYPES; i++) {
        if (!is_wanted(run->options->precision, types[i].name) || number-- > 0) continue;
        *type = types[i].type;
        *name = types[i].name;
        return true;
    }
    return false;
}

cpl_backend *cpl_bench_backend(const cpl_bench_run *run, cpl_dtype type, cpl_error *error) {
    cpl_backend_config config = {.threads = run->options->threads, .precision = type};
    /* cppcheck-suppress returnDanglingLifetime; it is copied */
    return cpl_cpu_backend.open(&config, error);
}

double cpl_bench_floor(const cpl_bench_run *run, cpl_dtype type, double flops) {
    return run->flops_per_ms[type] > 0 ? flops / run->flops_per_ms[type] : 0;
}

bool cpl_bench_tensor(cpl_stream *s, cpl_tensor *t, int n, int h, int w, int c, unsigned seed, cpl_error *error) {
    *t = cpl_make(s, n, h, w, c);
    float *values = t->data ? cpl_alloc(cpl_tensor_count(t), sizeof *values, error) : NULL;
    if (values) {
        cpl_bench_fill(values, cpl_tensor_count(t), seed);
        s->ops->upload(s, t, values);
    }
    free(values);
    if (values && cpl_stream_settle(s, error)) return true;
    if (!values) cpl_stream_settle(s, t->data ? NULL : error);
    cpl_tensor_free(t);
    return false;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double cpl_bench_middle(double *values, int count, double share) {
    if (count < 1) return 0;
    qsort(values, (size_t)count, sizeof *values, compare);
    int at = (int)ceil(share * count) - 1;
    return values[at < 0 ? 0 : at];
}

/* ---- The whole ---- */

static bool run_parts(cpl_bench_run *run) {
    const char *only = run->options->part;
    if (!cpl_bench_machine(run)) return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if ((!only || strcmp(only, parts[i].name) == 0) && !parts[i].run(run)) return false;
    return true;
}

char *cpl_bench(const cpl_bench_options *options, cpl_error *error) {
    cpl_bench_run run = {.options = options, .error = error, .out = {.error = error}};
    cpl_dtype type;
    const char *name;
    if (!cpl_bench_type(&run, 0, &type, &name)) {
        cpl_fail(error, CPL_E_INPUT, "The benchmark measures f32 and bf16, not %s; use --precision auto.",
                 options->precision);
        return NULL;
    }
    run.ceiling = cpl_ceiling_open(options->threads, error);
    if (!run.ceiling) return NULL;
    cpl_builder_text(&run.out, "{");
    bool done = run_parts(&run);
    cpl_builder_text(&run.out, "\n}\n");
    cpl_ceiling_close(run.ceiling);
    char *text = cpl_builder_take(&run.out);
    if (done) return text;
    free(text);
    return NULL;
}
