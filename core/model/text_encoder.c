/* text_encoder.c: CLIP's text transformer in its two tensor layouts, written on backend operations: it looks into no
 * tensor. Emphasis, chunks and the joining of two encoders are not its business, those are model_encode.c's. */
#include "text_encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "adapter.h"
#include "load.h"

#define EPS 1e-5F
#define MLP_FACTOR 4

typedef struct layer {
    cpl_weight *norm1, *q, *k, *v, *out, *norm2, *fc1, *fc2; /* owned, as all weights here */
} layer;

struct cpl_text_encoder {
    cpl_text_spec spec;
    cpl_weight *tokens, *positions, *final_norm, *projection; /* projection: NULL where the model has none */
    layer *layers;                                            /* owned */
};

typedef struct names {
    const char *tokens, *positions, *final_norm;
    const char *norm1, *out, *norm2, *fc1, *fc2; /* within a layer */
} names;

static const names hf = {"embeddings.token_embedding.weight",
                         "embeddings.position_embedding.weight",
                         "final_layer_norm",
                         "layer_norm1",
                         "self_attn.out_proj",
                         "layer_norm2",
                         "mlp.fc1",
                         "mlp.fc2"};
static const names openclip = {"token_embedding.weight",
                               "positional_embedding",
                               "ln_final",
                               "ln_1",
                               "attn.out_proj",
                               "ln_2",
                               "mlp.c_fc",
                               "mlp.c_proj"};

static void load_layer(cpl_loader *l, const cpl_text_spec *spec, int index, layer *into) {
    const names *n = spec->openclip ? &openclip : &hf;
    int width = spec->width;
    char prefix[160];
    snprintf(prefix, sizeof prefix, spec->openclip ? "%stransformer.resblocks.%d." : "%sencoder.layers.%d.",
             spec->prefix, index);
    into->norm1 = cpl_load_norm(l, prefix, n->norm1, width);
    if (spec->openclip) {
        /* One joint projection; its rows are q, k, v in this order. */
        cpl_weight **parts[] = {&into->q, &into->k, &into->v};
        for (int i = 0; i < 3; i++)
            *parts[i] = cpl_load_rows(l, prefix, "attn.in_proj_weight", "attn.in_proj_bias", 3 * width, i * width,
                                      width, width);
    } else {
        into->q = cpl_load_linear(l, prefix, "self_attn.q_proj", width, width, CPL_LOAD_BIAS);
        into->k = cpl_load_linear(l, prefix, "self_attn.k_proj", width, width, CPL_LOAD_BIAS);
        into->v = cpl_load_linear(l, prefix, "self_attn.v_proj", width, width, CPL_LOAD_BIAS);
    }
    into->out = cpl_load_linear(l, prefix, n->out, width, width, CPL_LOAD_BIAS);
    into->norm2 = cpl_load_norm(l, prefix, n->norm2, width);
    into->fc1 = cpl_load_linear(l, prefix, n->fc1, MLP_FACTOR * width, width, CPL_LOAD_BIAS);
    into->fc2 = cpl_load_linear(l, prefix, n->fc2, width, MLP_FACTOR * width, CPL_LOAD_BIAS);
}

/* The file holds [width, projection], to be multiplied from the left by a row; a linear weight is its transpose. */
static cpl_weight *load_openclip_projection(cpl_loader *l, const cpl_text_spec *spec) {
    int width = spec->width, out = spec->projection;
    float *rows = cpl_load_values(l, spec->prefix, "text_projection", 2, (const int[]){width, out});
    if (!rows) return NULL;
    float *turned = cpl_alloc((size_t)width * (size_t)out, sizeof *turned, l->error);
    cpl_weight *weight = NULL;
    for (int i = 0; turned && i < out; i++)
        for (int k = 0; k < width; k++)
            turned[(size_t)i * (size_t)width + (size_t)k] = rows[(size_t)k * (size_t)out + (size_t)i];
    if (turned)
        weight = l->backend->ops->linear_weight(l->backend, CPL_F32, (cpl_values){turned, CPL_F32}, NULL, out, width,
                                                l->error);
    cpl_load_list(l, spec->prefix, "text_projection",
                  &(cpl_named_layer){.weight = weight, .out = out, .in = width, .k = 1});
    free(rows);
    free(turned);
    l->failed |= !weight;
    return weight;
}

static cpl_weight *load_projection(cpl_loader *l, const cpl_text_spec *spec) {
    if (spec->openclip) return load_openclip_projection(l, spec);
    char prefix[sizeof spec->prefix];
    snprintf(prefix, sizeof prefix, "%.*s", (int)cpl_text_projection_prefix(spec), spec->prefix);
    return cpl_load_linear(l, prefix, "text_projection", spec->projection, spec->width, 0);
}

cpl_text_encoder *cpl_text_encoder_new(cpl_loader *l, const cpl_text_spec *spec) {
    const names *n = spec->openclip ? &openclip : &hf;
    cpl_text_encoder *e = cpl_load_begin(l, sizeof *e, true);
    if (!e) return NULL;
    e->spec = *spec;
    e->layers = cpl_alloc((size_t)spec->layers, sizeof *e->layers, l->error);
    l->failed = !e->layers;
    e->tokens = cpl_load_table(l, spec->prefix, n->tokens, spec->vocab_size, spec->width);
    e->positions = cpl_load_table(l, spec->prefix, n->positions, spec->context_length, spec->width);
    for (int i = 0; e->layers && i < spec->layers && !l->failed; i++) load_layer(l, spec, i, &e->layers[i]);
    e->final_norm = cpl_load_norm(l, spec->prefix, n->final_norm, spec->width);
    if (spec->projection && !l->failed) e->projection = load_projection(l, spec);
    if (!l->failed) return e;
    cpl_text_encoder_free(e, l->backend);
    return NULL;
}

static void drop(cpl_backend *backend, cpl_weight *weight) {
    if (weight) backend->ops->weight_free(backend, weight);
}

static void drop_layer(cpl_backend *backend, const layer *l) {
    drop(backend, l->norm1);
    drop(backend, l->q);
    drop(backend, l->k);
    drop(backend, l->v);
    drop(backend, l->out);
    drop(backend, l->norm2);
    drop(backend, l->fc1);
    drop(backend, l->fc2);
}

void cpl_text_encoder_free(cpl_text_encoder *e, cpl_backend *backend) {
    if (!e) return;
    for (int i = 0; e->layers && i < e->spec.layers; i++) drop_layer(backend, &e->layers[i]);
    drop(backend, e->tokens);
    drop(backend, e->positions);
    drop(backend, e->final_norm);
    drop(backend, e->projection);
    free(e->layers);
    free(e);
}

/* x += attention(norm(x)); every position sees itself and what is before it, padding included. */
static void attend(cpl_stream *s, const cpl_text_spec *spec, const layer *w, const cpl_tensor *x) {
    cpl_tensor normed = cpl_make_like(s, x), q = cpl_make_like(s, x), k = cpl_make_like(s, x), v = cpl_make_like(s, x);
    s->ops->layer_norm(s, &normed, x, w->norm1, EPS);
    cpl_linear(s, &q, &normed, w->q, CPL_ACT_NONE, NULL);
    cpl_linear(s, &k, &normed, w->k, CPL_ACT_NONE, NULL);
    cpl_linear(s, &v, &normed, w->v, CPL_ACT_NONE, NULL);
    s->ops->attention(s, &normed, &q, &k, &v, spec->heads, true);
    cpl_linear(s, x, &normed, w->out, CPL_ACT_NONE, x);
    cpl_tensor_free(&normed);
    cpl_tensor_free(&q);
    cpl_tensor_free(&k);
    cpl_tensor_free(&v);
}

/* x += mlp(norm(x)) */
static void think(cpl_stream *s, const cpl_text_spec *spec, const layer *w, const cpl_tensor *x) {
    cpl_tensor normed = cpl_make_like(s, x), wide = cpl_make(s, x->n, x->h, x->w, MLP_FACTOR * spec->width);
    s->ops->layer_norm(s, &normed, x, w->norm2, EPS);
    cpl_linear(s, &wide, &normed, w->fc1, spec->quick_gelu ? CPL_ACT_QUICK_GELU : CPL_ACT_GELU, NULL);
    cpl_linear(s, x, &wide, w->fc2, CPL_ACT_NONE, x);
    cpl_tensor_free(&normed);
    cpl_tensor_free(&wide);
}

static bool has_vectors(const cpl_text_input *in, int length) {
    bool any = false;
    for (int i = 0; in->vectors && i < in->chunks * length; i++) any = any || in->ids[i] < 0;
    return any;
}

/* The rows of `x` where the text has vectors of its own. */
static void put_vectors(cpl_stream *s, const cpl_tensor *x, const cpl_text_input *in) {
    cpl_error error = {0};
    size_t width = (size_t)x->c;
    float *values = cpl_stream_ok(s) ? cpl_alloc(cpl_tensor_count(x), sizeof *values, &error) : NULL;
    if (error.code) cpl_stream_fail(s, error.code, "%s", error.message);
    if (!values) return;
    s->ops->download(s, values, x);
    for (int i = 0; i < x->n * x->w; i++) {
        int row = cpl_vector_id(in->ids[i]);
        if (row >= 0 && row < in->vector_count)
            memcpy(values + (size_t)i * width, in->vectors + (size_t)row * width, width * sizeof *values);
    }
    s->ops->upload(s, x, values);
    free(values);
}

/* Positions are added to vectors as to words. In f32: rounded twice, words beside a vector would not be what they are alone. */
static void embed_vectors(const cpl_text_encoder *e, cpl_stream *s, const cpl_tensor *x, const cpl_text_input *in) {
    int count = x->n * x->w;
    cpl_error error = {0};
    int *ids = cpl_alloc(2 * (size_t)count, sizeof *ids, &error);
    if (!ids) {
        cpl_stream_fail(s, error.code, "%s", error.message);
        return;
    }
    for (int i = 0; i < count; i++) {
        ids[i] = in->ids[i] < 0 ? 0 : in->ids[i];
        ids[count + i] = i % x->w;
    }
    cpl_tensor words = cpl_make_as(s, CPL_F32, x->n, 1, x->w, x->c),
               places = cpl_make_as(s, CPL_F32, x->n, 1, x->w, x->c);
    s->ops->embed(s, &words, e->tokens, ids, NULL);
    s->ops->embed(s, &places, e->positions, ids + count, NULL);
    put_vectors(s, &words, in);
    s->ops->scale_add(s, x, 1, &words, 1, &places);
    cpl_tensor_free(&words);
    cpl_tensor_free(&places);
    free(ids);
}

cpl_tensor cpl_text_encoder_run(const cpl_text_encoder *e, cpl_stream *s, const cpl_text_input *in, int clip_skip,
                                bool final_norm, float *hidden) {
    const cpl_text_spec *spec = &e->spec;
    if (clip_skip < 1 || clip_skip > spec->layers)
        cpl_stream_fail(s, CPL_E_INPUT, "clip_skip is %d; this text encoder has %d layers", clip_skip, spec->layers);
    cpl_tensor x = cpl_make(s, in->chunks, 1, spec->context_length, spec->width);
    size_t count = (size_t)in->chunks * (size_t)spec->context_length * (size_t)spec->width;
    if (has_vectors(in, spec->context_length))
        embed_vectors(e, s, &x, in);
    else
        s->ops->embed(s, &x, e->tokens, in->ids, e->positions);
    if (hidden) s->ops->download(s, hidden, &x);
    for (int i = 0; i < spec->layers - (clip_skip - 1) && cpl_stream_ok(s); i++) {
        attend(s, spec, &e->layers[i], &x);
        think(s, spec, &e->layers[i], &x);
        if (hidden) s->ops->download(s, hidden + (size_t)(i + 1) * count, &x);
    }
    if (final_norm) s->ops->layer_norm(s, &x, &x, e->final_norm, EPS);
    return x;
}

cpl_tensor cpl_text_encoder_pool(const cpl_text_encoder *e, cpl_stream *s, const cpl_tensor *last, const int *ids) {
    cpl_tensor none = {0}, first = cpl_tensor_slice(last, 0, 1);
    size_t width = (size_t)e->spec.width;
    int end = 0;
    if (!e->projection) cpl_stream_fail(s, CPL_E_UNSUPPORTED, "the text encoder %s has no projection", e->spec.prefix);
    if (!cpl_stream_ok(s)) return none;
    for (int i = 1; i < e->spec.context_length; i++)
        if (ids[i] > ids[end]) end = i;
    cpl_error error = {0};
    float *rows = cpl_alloc(cpl_tensor_count(&first), sizeof *rows, &error);
    if (!rows) {
        cpl_stream_fail(s, error.code, "%s", error.message);
        return none;
    }
    cpl_tensor row = cpl_make_as(s, CPL_F32, 1, 1, 1, e->spec.width);
    cpl_tensor pooled = cpl_make_as(s, CPL_F32, 1, 1, 1, e->spec.projection);
    s->ops->download(s, rows, &first);
    s->ops->upload(s, &row, rows + (size_t)end * width);
    cpl_linear(s, &pooled, &row, e->projection, CPL_ACT_NONE, NULL);
    cpl_tensor_free(&row);
    free(rows);
    return pooled;
}
