/* couple.c: attention.json: one coupled cross-attention layer (to_q, to_k, to_v, to_out) on the CPU backend. The masks
 * of the file are raw pixels; they are normalised and sampled here by the rules of FORMAT.md 1.3 and 1.4, so that this
 * group stands on nothing of the layout room. */
#include "golden.h"

#include "../../core/backend.h"
#include "../../core/model/safetensors.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double tolerance = 2e-5; /* FORMAT.md 4.3 */

typedef struct layer {
    const cpl_backend_ops *ops;
    cpl_backend *backend;
    cpl_stream *stream;
    const cpl_safetensors *st;
    const char *id;
    int chunks, batch, regions, heads, dim, context_dim, context_tokens;
    int width, height, w, h, tokens;
    cpl_weight *wq, *wk, *wv, *wo;
    cpl_tensor *k, *v; /* [regions], then [chunks * batch] of the chunks' own contexts */
    const cpl_tensor **pk, **pv;
    cpl_error error;
} layer;

static int number(const cJSON *item, const char *key) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, key);
    return cJSON_IsNumber(value) ? value->valueint : 0;
}

/* A tensor of this case, its size checked; the caller frees it. */
static float *values(layer *l, const char *name, int64_t count) {
    char full[128];
    snprintf(full, sizeof full, "%s/%s", l->id, name);
    const cpl_st_entry *entry = cpl_safetensors_find(l->st, full);
    if (!entry || entry->count != count) {
        l->error.code = CPL_E_FILE;
        snprintf(l->error.message, sizeof l->error.message, "%s: %s", full, entry ? "unexpected size" : "missing");
        return NULL;
    }
    return cpl_safetensors_f32(l->st, entry, &l->error);
}

static cpl_weight *weight(layer *l, const char *name, const char *bias_name, int in) {
    float *w = values(l, name, (int64_t)l->dim * in), *bias = bias_name ? values(l, bias_name, l->dim) : NULL;
    cpl_weight *result = NULL;
    if (w && (bias || !bias_name))
        result = l->ops->linear_weight(l->backend, CPL_F32, (cpl_values){w, CPL_F32}, bias, l->dim, in, &l->error);
    free(w);
    free(bias);
    return result;
}

static cpl_tensor upload(layer *l, const float *data, int n, int h, int w, int c) {
    cpl_tensor x = cpl_make(l->stream, n, h, w, c);
    l->ops->upload(l->stream, &x, data);
    return x;
}

static void keys_and_values(layer *l, int slot, const float *text, int tokens) {
    cpl_tensor x = upload(l, text, 1, 1, tokens, l->context_dim);
    l->k[slot] = cpl_make(l->stream, 1, 1, tokens, l->dim);
    l->v[slot] = cpl_make(l->stream, 1, 1, tokens, l->dim);
    l->ops->linear(l->stream, &l->k[slot], &x, l->wk, CPL_ACT_NONE, NULL);
    l->ops->linear(l->stream, &l->v[slot], &x, l->wv, CPL_ACT_NONE, NULL);
    l->pk[slot] = &l->k[slot];
    l->pv[slot] = &l->v[slot];
    cpl_tensor_free(&x);
}

/* Normalised per pixel in f32, then the nearest pixel of each cell, its position computed in f32. */
static cpl_plan *plan_of(layer *l) {
    size_t pixels = (size_t)l->width * (size_t)l->height, tokens = (size_t)l->tokens;
    float *raw = values(l, "masks", (int64_t)pixels * l->regions);
    float *level = calloc(tokens * (size_t)l->regions, sizeof *level);
    for (int i = 0; raw && level && i < l->tokens; i++) {
        int row = i / l->w, column = i % l->w;
        float step_y = (float)l->height / (float)l->h, step_x = (float)l->width / (float)l->w;
        int y = (int)floorf((float)row * step_y), x = (int)floorf((float)column * step_x);
        if (y > l->height - 1) y = l->height - 1;
        if (x > l->width - 1) x = l->width - 1;
        size_t pixel = (size_t)y * (size_t)l->width + (size_t)x;
        float sum = 0;
        for (int r = 0; r < l->regions; r++) sum += raw[(size_t)r * pixels + pixel];
        for (int r = 0; r < l->regions; r++)
            level[(size_t)r * tokens + (size_t)i] = raw[(size_t)r * pixels + pixel] / sum;
    }
    cpl_plan *plan = raw && level ? cpl_plan_new(level, l->regions, l->w, l->h, &l->error) : NULL;
    free(raw);
    free(level);
    return plan;
}

static bool load_texts(layer *l, const cJSON *item) {
    const cJSON *lengths = cJSON_GetObjectItemCaseSensitive(item, "cond_tokens");
    for (int r = 0; r < l->regions; r++) {
        char name[32];
        snprintf(name, sizeof name, "cond_%d", r + 1);
        const cJSON *length = cJSON_GetArrayItem(lengths, r);
        float *text = length ? values(l, name, (int64_t)length->valueint * l->context_dim) : NULL;
        if (!text) return false;
        keys_and_values(l, r, text, length->valueint);
        free(text);
    }
    size_t each = (size_t)l->context_tokens * (size_t)l->context_dim;
    float *context = values(l, "context", (int64_t)each * l->chunks * l->batch);
    if (!context) return false;
    for (int i = 0; i < l->chunks * l->batch; i++)
        keys_and_values(l, l->regions + i, context + (size_t)i * each, l->context_tokens);
    free(context);
    return true;
}

/* The layer's output [chunks * batch, tokens, dim], or NULL with l->error. */
static float *run(layer *l, const cJSON *kinds, const float *x, const cpl_plan *plan) {
    int n = l->chunks * l->batch;
    cpl_listen *listen = calloc((size_t)n, sizeof *listen);
    float *out = malloc(sizeof *out * (size_t)n * (size_t)l->tokens * (size_t)l->dim);
    if (!listen || !out) abort();
    for (int i = 0; i < n; i++) {
        bool cond = cJSON_GetArrayItem(kinds, i / l->batch)->valueint == 0;
        int first = cond ? 0 : l->regions + i; /* a cond chunk's own context has no influence */
        listen[i] = (cpl_listen){cond ? l->regions : 1, l->pk + first, l->pv + first, cond ? plan : NULL};
    }
    cpl_tensor tx = upload(l, x, n, l->h, l->w, l->dim), q = cpl_make_like(l->stream, &tx);
    cpl_tensor mixed = cpl_make_like(l->stream, &tx), y = cpl_make_like(l->stream, &tx);
    l->ops->linear(l->stream, &q, &tx, l->wq, CPL_ACT_NONE, NULL);
    l->ops->cross_attention(l->stream, &mixed, &q, listen, l->heads);
    l->ops->linear(l->stream, &y, &mixed, l->wo, CPL_ACT_NONE, NULL);
    l->ops->download(l->stream, out, &y);
    cpl_tensor_free(&tx), cpl_tensor_free(&q), cpl_tensor_free(&mixed), cpl_tensor_free(&y);
    free(listen);
    if (cpl_stream_settle(l->stream, &l->error)) return out;
    free(out);
    return NULL;
}

static void check(golden *g, layer *l, const cJSON *item) {
    const cJSON *kinds = cJSON_GetObjectItemCaseSensitive(item, "cond_or_uncond");
    size_t count = (size_t)l->chunks * (size_t)l->batch * (size_t)l->tokens * (size_t)l->dim;
    l->wq = weight(l, "wq", NULL, l->dim);
    l->wk = weight(l, "wk", NULL, l->context_dim);
    l->wv = weight(l, "wv", NULL, l->context_dim);
    l->wo = weight(l, "wo", "bo", l->dim);
    float *x = values(l, "x", (int64_t)count), *expected = values(l, "expected", (int64_t)count), *out = NULL;
    cpl_plan *plan = NULL;
    if (l->wq && l->wk && l->wv && l->wo && x && expected && load_texts(l, item) && (plan = plan_of(l)))
        out = run(l, kinds, x, plan);
    double difference = out ? golden_difference(out, expected, count) : INFINITY;
    if (!out)
        golden_fail(g, l->id, "%s", l->error.message);
    else if (difference <= golden_tolerance(tolerance))
        golden_pass(g, l->id);
    else
        golden_fail(g, l->id, "differs by %.3g, allowed %.3g", difference, golden_tolerance(tolerance));
    cpl_plan_free(plan);
    free(x), free(expected), free(out);
}

static void run_case(golden *g, const cpl_safetensors *st, const cJSON *item) {
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, "id");
    layer l = {.st = st,
               .id = cJSON_IsString(id) ? id->valuestring : "?",
               .chunks = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(item, "cond_or_uncond")),
               .batch = number(item, "batch"),
               .regions = number(item, "regions"),
               .heads = number(item, "heads"),
               .dim = number(item, "dim"),
               .context_dim = number(item, "context_dim"),
               .context_tokens = number(item, "context_tokens"),
               .width = number(item, "width"),
               .height = number(item, "height"),
               .w = number(item, "w"),
               .h = number(item, "h"),
               .tokens = number(item, "tokens")};
    int texts = l.regions + l.chunks * l.batch;
    if (l.chunks < 1 || l.batch < 1 || l.regions < 1 || l.tokens < 1 || l.tokens != l.w * l.h) {
        golden_fail(g, l.id, "the case lacks a number");
        return;
    }
    l.k = calloc((size_t)texts, sizeof *l.k);
    l.v = calloc((size_t)texts, sizeof *l.v);
    l.pk = calloc((size_t)texts, sizeof(void *));
    l.pv = calloc((size_t)texts, sizeof(void *));
    l.backend = golden_backend(&l.error);
    l.ops = l.backend ? l.backend->ops : NULL;
    l.stream = l.backend ? l.ops->stream_open(l.backend, &l.error) : NULL;
    if (!l.k || !l.v || !l.pk || !l.pv || !l.stream)
        golden_fail(g, l.id, "%s", l.stream ? "out of memory" : l.error.message);
    else
        check(g, &l, item);
    for (int i = 0; l.k && l.v && i < texts; i++) cpl_tensor_free(&l.k[i]), cpl_tensor_free(&l.v[i]);
    if (l.stream) l.ops->stream_close(l.stream);
    if (l.backend) {
        cpl_weight *const weights[] = {l.wq, l.wk, l.wv, l.wo};
        for (int i = 0; i < 4; i++) l.ops->weight_free(l.backend, weights[i]);
        l.ops->close(l.backend);
    }
    free(l.k), free(l.v);
    free((void *)l.pk), free((void *)l.pv);
}

static void attention_cases(golden *g) {
    cJSON *json = golden_json(g, "attention.json");
    cpl_safetensors *st = json ? golden_tensors(g, "attention.safetensors") : NULL;
    const cJSON *item = NULL;
    if (st) cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "cases")) run_case(g, st, item);
    cpl_safetensors_close(st);
    cJSON_Delete(json);
}

const golden_group golden_couple_groups[] = {{"attention.json/cases", attention_cases, NULL}, {0}};
