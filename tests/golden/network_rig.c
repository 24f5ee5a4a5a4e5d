/* network_rig.c: what the golden groups of the UNet and the VAE share. The files hold images channels first, the networks
 * want them last; the transposition here is the only place that knows. */
#include "network_rig.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rig_open(rig *r, golden *g, const char *model, const char *what) {
    char weights[96], expected[96];
    cpl_error error = {0};
    *r = (rig){.g = g};
    snprintf(weights, sizeof weights, "%s.safetensors", model);
    snprintf(expected, sizeof expected, "%s_%s_expected.safetensors", model, what);
    r->expected = golden_tensors(g, expected);
    if (r->expected) r->weights = cpl_checkpoint_of(golden_tensors(g, weights), &error);
    if (!r->weights) {
        rig_close(r);
        return false;
    }
    bool ok = cpl_model_spec_read(r->weights, &r->spec, &error) && (r->backend = golden_backend(&error)) &&
              (r->s = r->backend->ops->stream_open(r->backend, &error));
    if (ok) return true;
    golden_fail(g, weights, "%s", error.message);
    rig_close(r);
    return false;
}

void rig_close(rig *r) {
    if (r->s) r->s->ops->stream_close(r->s);
    if (r->backend) r->backend->ops->close(r->backend);
    cpl_checkpoint_close(r->weights);
    cpl_safetensors_close(r->expected);
    *r = (rig){0};
}

void rig_each_case(rig *r, const char *kind, const char *suffix, void (*run)(rig *r, void *network, const char *name),
                   void *network) {
    for (int i = 0; i < cpl_safetensors_count(r->expected); i++) {
        const char *key = cpl_safetensors_at(r->expected, i)->name, *point = strchr(key, '.');
        char name[64];
        if (!point || strcmp(point + 1, suffix) != 0 || strncmp(key, kind, strlen(kind)) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)(point - key), key);
        run(r, network, name);
    }
}

const cpl_st_entry *rig_find(const rig *r, const char *name, const char *key) {
    char full[160];
    snprintf(full, sizeof full, "%s.%s", name, key);
    return cpl_safetensors_find(r->expected, full);
}

float *rig_values(const rig *r, const cpl_st_entry *entry) {
    cpl_error error = {0};
    float *values = entry ? cpl_safetensors_f32(r->expected, entry, &error) : NULL;
    if (!values) cpl_stream_fail(r->s, CPL_E_FILE, "%s", entry ? error.message : "an expected tensor is missing");
    return values;
}

/* shape[i] counted from the last side, 1 where there is none */
static int side(const cpl_st_entry *e, int from_last) {
    return from_last < e->rank ? (int)e->shape[e->rank - 1 - from_last] : 1;
}

static void transpose(float *to, const float *from, int n, int rows, int columns) {
    for (int i = 0; i < n; i++)
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < columns; x++)
                to[((size_t)i * (size_t)columns + (size_t)x) * (size_t)rows + (size_t)y] =
                    from[((size_t)i * (size_t)rows + (size_t)y) * (size_t)columns + (size_t)x];
}

cpl_tensor rig_image(rig *r, const char *name, const char *key, int copies) {
    const cpl_st_entry *e = rig_find(r, name, key);
    float *values = rig_values(r, e);
    if (!values) return (cpl_tensor){0};
    int n = side(e, 3), c = side(e, 2), h = side(e, 1), w = side(e, 0);
    size_t count = (size_t)e->count;
    float *last = malloc(count * (size_t)copies * sizeof *last);
    cpl_tensor t = cpl_make(r->s, n * copies, h, w, c);
    if (last) {
        for (int i = 0; i < copies; i++) transpose(last + (size_t)i * count, values, n, c, h * w);
        r->s->ops->upload(r->s, &t, last);
    }
    free(last);
    free(values);
    return t;
}

cpl_tensor rig_rows(rig *r, const char *name, const char *key, int element) {
    const cpl_st_entry *e = rig_find(r, name, key);
    float *values = rig_values(r, e);
    if (!values) return (cpl_tensor){0};
    int c = side(e, 0), rows = (int)(e->count / c), n = e->rank > 2 ? side(e, 2) : 1;
    int tokens = e->rank > 1 ? rows / n : 1;
    /* [n, c] is a vector for each batch element, [tokens, c] the context of all; they are told apart by who asks. */
    cpl_tensor t = element < 0 ? cpl_make(r->s, rows, 1, 1, c) : cpl_make(r->s, 1, 1, tokens, c);
    size_t first = element < 0 ? 0 : (size_t)(element % n) * (size_t)tokens * (size_t)c;
    r->s->ops->upload(r->s, &t, values + first);
    free(values);
    return t;
}

float *rig_download(cpl_stream *s, const cpl_tensor *x) {
    size_t count = cpl_tensor_count(x);
    float *last = malloc(count * sizeof *last + 1), *values = malloc(count * sizeof *values + 1);
    if (last && values && cpl_stream_ok(s)) {
        s->ops->download(s, last, x);
        transpose(values, last, x->n, x->h * x->w, x->c);
    }
    free(last);
    return values;
}

void verdict_add(verdict *v, const char *format, ...) {
    va_list list;
    if (v->text[0]) return;
    va_start(list, format);
    vsnprintf(v->text, sizeof v->text, format, list);
    va_end(list);
}

void rig_compare(rig *r, verdict *v, const char *name, const char *key, const cpl_tensor *output, double tolerance) {
    if (!cpl_stream_ok(r->s)) return;
    const cpl_st_entry *e = rig_find(r, name, key);
    float *wanted = rig_values(r, e), *values = rig_download(r->s, output);
    /* Modules on the way are recorded for the first batch element only. */
    size_t count = cpl_tensor_count(output), element = count / (size_t)(output->n > 0 ? output->n : 1);
    if (wanted && values && cpl_stream_ok(r->s)) {
        size_t recorded = (size_t)e->count;
        double difference = INFINITY;
        if (recorded > count || recorded % element != 0)
            verdict_add(v, "%s has %zu values, expected are %zu", key, count, recorded);
        else if (!((difference = golden_difference(values, wanted, recorded)) <= golden_tolerance(tolerance)))
            verdict_add(v, "%s differs by %g (tolerance %g)", key, difference, golden_tolerance(tolerance));
    }
    free(wanted);
    free(values);
}

void rig_report(rig *r, const char *name, verdict *v) {
    cpl_error error = {0};
    if (!cpl_stream_settle(r->s, &error)) verdict_add(v, "%s", error.message);
    if (v->text[0])
        golden_fail(r->g, name, "%s", v->text);
    else
        golden_pass(r->g, name);
}

void rig_listen(void *user, cpl_stream *s, const char *module, const cpl_tensor *output) {
    rig_listener *listener = user;
    char key[96];
    (void)s;
    bool last = listener->last && strcmp(module, listener->last) == 0;
    snprintf(key, sizeof key, "mid.%s", module);
    if (last && !rig_find(listener->r, listener->name, key)) snprintf(key, sizeof key, "mid.output_blocks.last");
    if (!rig_find(listener->r, listener->name, key)) return;
    listener->heard++;
    rig_compare(listener->r, listener->v, listener->name, key, output, listener->tolerance);
}

void rig_heard_all(const rig_listener *listener) {
    const cpl_safetensors *st = listener->r->expected;
    char prefix[96];
    int recorded = 0;
    snprintf(prefix, sizeof prefix, "%s.mid.", listener->name);
    for (int i = 0; i < cpl_safetensors_count(st); i++)
        recorded += strncmp(cpl_safetensors_at(st, i)->name, prefix, strlen(prefix)) == 0;
    if (recorded != listener->heard)
        verdict_add(listener->v, "%d modules are recorded, %d were heard", recorded, listener->heard);
}
