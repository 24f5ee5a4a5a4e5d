/* transformer.c: tokens through proj_in, `depth` blocks, proj_out, plus the input. An image is read as tokens in place
 * (channels last, row by row), so 1x1 convolutions and linear layers are the same thing here. The coupling itself
 * is the backend's; this file only says which keys, values and plan each batch element listens to. */
#include "transformer.h"

#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "adapter.h"
#include "resblock.h"

/* The norm in front of proj_in has another epsilon than all others of the UNet. */
static const float group_norm_eps = 1e-6f, layer_norm_eps = 1e-5f;

static void load_block(cpl_transformer_block *b, cpl_loader *l, const char *prefix, int c, int context_dim) {
    b->norm1 = cpl_load_norm(l, prefix, "norm1", c);
    b->q1 = cpl_load_linear(l, prefix, "attn1.to_q", c, c, 0);
    b->k1 = cpl_load_linear(l, prefix, "attn1.to_k", c, c, 0);
    b->v1 = cpl_load_linear(l, prefix, "attn1.to_v", c, c, 0);
    b->out1 = cpl_load_linear(l, prefix, "attn1.to_out.0", c, c, CPL_LOAD_BIAS);
    b->norm2 = cpl_load_norm(l, prefix, "norm2", c);
    b->q2 = cpl_load_linear(l, prefix, "attn2.to_q", c, c, 0);
    b->k2 = cpl_load_linear(l, prefix, "attn2.to_k", c, context_dim, 0);
    b->v2 = cpl_load_linear(l, prefix, "attn2.to_v", c, context_dim, 0);
    b->out2 = cpl_load_linear(l, prefix, "attn2.to_out.0", c, c, CPL_LOAD_BIAS);
    b->norm3 = cpl_load_norm(l, prefix, "norm3", c);
    b->ff_in = cpl_load_linear(l, prefix, "ff.net.0.proj", 8 * c, c, CPL_LOAD_BIAS);
    b->ff_out = cpl_load_linear(l, prefix, "ff.net.2", c, 4 * c, CPL_LOAD_BIAS);
}

void cpl_transformer_load(cpl_transformer *t, cpl_loader *l, const char *prefix, int channels, int heads, int depth,
                          int context_dim, int groups) {
    char block_prefix[128];
    t->block = l->failed ? NULL : cpl_alloc((size_t)depth, sizeof *t->block, l->error);
    if (!t->block) {
        l->failed = true;
        return;
    }
    t->channels = channels, t->heads = heads, t->groups = groups, t->depth = depth;
    t->norm = cpl_load_norm(l, prefix, "norm", channels);
    t->proj_in = cpl_load_linear(l, prefix, "proj_in", channels, channels, CPL_LOAD_BIAS | CPL_LOAD_1X1);
    for (int i = 0; i < depth; i++) {
        snprintf(block_prefix, sizeof block_prefix, "%stransformer_blocks.%d.", prefix, i);
        load_block(&t->block[i], l, block_prefix, channels, context_dim);
    }
    t->proj_out = cpl_load_linear(l, prefix, "proj_out", channels, channels, CPL_LOAD_BIAS | CPL_LOAD_1X1);
}

void cpl_transformer_free(cpl_transformer *t, cpl_backend *backend) {
    for (int i = 0; i < t->depth; i++) {
        cpl_transformer_block *b = &t->block[i];
        cpl_weight **const weights[] = {&b->norm1, &b->q1, &b->k1,   &b->v1,    &b->out1,  &b->norm2, &b->q2,
                                        &b->k2,    &b->v2, &b->out2, &b->norm3, &b->ff_in, &b->ff_out};
        for (size_t k = 0; k < sizeof weights / sizeof *weights; k++) cpl_weight_drop(backend, weights[k]);
    }
    free(t->block);
    t->block = NULL, t->depth = 0;
    cpl_weight_drop(backend, &t->norm);
    cpl_weight_drop(backend, &t->proj_in);
    cpl_weight_drop(backend, &t->proj_out);
}

void cpl_transformer_text_kv(const cpl_transformer *t, cpl_stream *s, const cpl_tensor *conditioning, cpl_tensor *k,
                             cpl_tensor *v) {
    for (int i = 0; i < t->depth; i++) {
        k[i] = cpl_make(s, conditioning->n, conditioning->h, conditioning->w, t->channels);
        v[i] = cpl_make_like(s, &k[i]);
        cpl_linear(s, &k[i], conditioning, t->block[i].k2, CPL_ACT_NONE, NULL);
        cpl_linear(s, &v[i], conditioning, t->block[i].v2, CPL_ACT_NONE, NULL);
        if (s->ops->arrange_text) s->ops->arrange_text(s, &k[i], &v[i], t->heads);
    }
}

static void self_attention(const cpl_transformer_block *b, cpl_stream *s, cpl_tensor *x, int heads) {
    cpl_tensor t = cpl_make_like(s, x), q = cpl_make_like(s, x), k = cpl_make_like(s, x), v = cpl_make_like(s, x);
    s->ops->layer_norm(s, &t, x, b->norm1, layer_norm_eps);
    cpl_linear(s, &q, &t, b->q1, CPL_ACT_NONE, NULL);
    cpl_linear(s, &k, &t, b->k1, CPL_ACT_NONE, NULL);
    cpl_linear(s, &v, &t, b->v1, CPL_ACT_NONE, NULL);
    s->ops->attention(s, &t, &q, &k, &v, heads, false);
    cpl_tensor_free(&q);
    cpl_tensor_free(&k);
    cpl_tensor_free(&v);
    cpl_linear(s, x, &t, b->out1, CPL_ACT_NONE, x);
    cpl_tensor_free(&t);
}

/* The lists that the backend wants hold pointers for one layer; here on the stack, because a step must not take memory. */
typedef struct ears {
    cpl_listen listen[CPL_UNET_MAX_BATCH];
    const cpl_tensor *k[CPL_UNET_MAX_LINES], *v[CPL_UNET_MAX_LINES];
} ears;

static void listen_to(ears *e, const cpl_unet_text *texts, int batch, int layer, int level) {
    int used = 0;
    for (int i = 0; i < batch; i++) {
        const cpl_unet_text *text = &texts[i];
        const cpl_plan *plan = text->plans ? text->plans[level] : NULL;
        int lines = plan ? text->lines : 1;
        e->listen[i] = (cpl_listen){.lines = lines, .k = &e->k[used], .v = &e->v[used], .plan = plan};
        for (int r = 0; r < lines; r++, used++) {
            e->k[used] = &text->kv[r]->k[layer];
            e->v[used] = &text->kv[r]->v[layer];
        }
    }
}

static void cross_attention(const cpl_transformer_block *b, cpl_stream *s, cpl_tensor *x, int heads,
                            const cpl_unet_text *texts, int layer, int level) {
    ears e;
    listen_to(&e, texts, x->n, layer, level);
    cpl_tensor t = cpl_make_like(s, x), q = cpl_make_like(s, x);
    s->ops->layer_norm(s, &t, x, b->norm2, layer_norm_eps);
    cpl_linear(s, &q, &t, b->q2, CPL_ACT_NONE, NULL);
    s->ops->cross_attention(s, &t, &q, e.listen, heads);
    cpl_tensor_free(&q);
    cpl_linear(s, x, &t, b->out2, CPL_ACT_NONE, x);
    cpl_tensor_free(&t);
}

static void feed_forward(const cpl_transformer_block *b, cpl_stream *s, cpl_tensor *x) {
    cpl_tensor t = cpl_make_like(s, x), wide = cpl_make(s, x->n, x->h, x->w, 8 * x->c);
    s->ops->layer_norm(s, &t, x, b->norm3, layer_norm_eps);
    cpl_linear(s, &wide, &t, b->ff_in, CPL_ACT_NONE, NULL);
    cpl_tensor_free(&t);
    cpl_tensor gated = cpl_make(s, x->n, x->h, x->w, 4 * x->c);
    s->ops->geglu(s, &gated, &wide);
    cpl_tensor_free(&wide);
    cpl_linear(s, x, &gated, b->ff_out, CPL_ACT_NONE, x);
    cpl_tensor_free(&gated);
}

cpl_tensor cpl_transformer_run(const cpl_transformer *t, cpl_stream *s, cpl_tensor *x, const cpl_unet_text *texts,
                               int level) {
    cpl_tensor normed = cpl_make_like(s, x), h = cpl_make_like(s, x);
    s->ops->group_norm(s, &normed, x, NULL, t->norm, t->groups, group_norm_eps, false);
    cpl_linear(s, &h, &normed, t->proj_in, CPL_ACT_NONE, NULL);
    cpl_tensor_free(&normed);
    for (int i = 0; i < t->depth && cpl_stream_ok(s); i++) {
        self_attention(&t->block[i], s, &h, t->heads);
        cross_attention(&t->block[i], s, &h, t->heads, texts, t->first_layer + i, level);
        feed_forward(&t->block[i], s, &h);
    }
    cpl_tensor y = cpl_residual_target(s, x);
    cpl_linear(s, &y, &h, t->proj_out, CPL_ACT_NONE, x);
    cpl_tensor_free(&h);
    cpl_tensor_free(x);
    return y;
}
