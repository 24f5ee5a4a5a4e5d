/* unet_run.c: one pass of the UNet. Written on the operations of backend.h; it looks into no tensor and takes no memory
 * but from the stream's pool. Every activation is given back as soon as it is not needed, and all of them on every way
 * out: after a failure or a cancel the operations do nothing, and the frees are the same. */
#include <stdio.h>

#include "adapter.h"
#include "unet_blocks.h"

typedef struct run {
    const cpl_unet *unet;
    cpl_stream *s;
    const cpl_unet_text *texts;
    cpl_tensor emb; /* the time embedding (and SDXL's vector) after SiLU, as every ResBlock wants it; f32 */
    cpl_unet_probe *probe;
    void *probe_user;
} run;

static void tell(const run *r, const char *module, const cpl_tensor *output) {
    if (r->probe && cpl_stream_ok(r->s)) r->probe(r->probe_user, r->s, module, output);
}

static void tell_module(const run *r, const cpl_unet_block *b, int module, const cpl_tensor *output) {
    char name[48];
    if (!r->probe) return;
    snprintf(name, sizeof name, "%s.%d", b->name, b->first_module + module);
    tell(r, name, output);
}

static void embed_time(run *r, const float *t, int batch, const cpl_tensor *y) {
    const cpl_unet *u = r->unet;
    cpl_stream *s = r->s;
    int c = u->spec.model_channels;
    cpl_tensor waves = cpl_make_as(s, CPL_F32, batch, 1, 1, c), hidden = cpl_make_as(s, CPL_F32, batch, 1, 1, 4 * c);
    s->ops->timestep_embedding(s, &waves, t);
    cpl_linear(s, &hidden, &waves, u->time_in, CPL_ACT_SILU, NULL);
    cpl_tensor_free(&waves);
    r->emb = cpl_make_like(s, &hidden);
    cpl_linear(s, &r->emb, &hidden, u->time_out, CPL_ACT_NONE, NULL);
    tell(r, "time_embed", &r->emb);
    if (u->label_in) {
        cpl_tensor label = cpl_make_like(s, &hidden);
        cpl_linear(s, &hidden, y, u->label_in, CPL_ACT_SILU, NULL);
        cpl_linear(s, &label, &hidden, u->label_out, CPL_ACT_NONE, NULL);
        tell(r, "label_emb", &label);
        s->ops->scale_add(s, &r->emb, 1, &r->emb, 1, &label);
        cpl_tensor_free(&label);
    }
    cpl_tensor_free(&hidden);
    s->ops->activate(s, &r->emb, &r->emb, CPL_ACT_SILU);
}

/* up_w, up_h: the size of the skip that comes next, for a block that ends with an upsampling. x is taken over. */
static cpl_tensor run_conv(const run *r, const cpl_unet_block *b, cpl_tensor *x, int up_w, int up_h) {
    cpl_stream *s = r->s;
    cpl_conv_shape shape = cpl_conv_3x3;
    cpl_tensor y = {0}, wide = {0};
    const cpl_tensor *source = x;
    switch (b->conv_kind) {
    case CPL_UNET_CONV_NONE:
        break;
    case CPL_UNET_CONV_STEM:
        y = cpl_make(s, x->n, x->h, x->w, r->unet->spec.model_channels);
        break;
    case CPL_UNET_CONV_DOWN:
        shape.stride = 2;
        y = cpl_make(s, x->n, (x->h + 1) / 2, (x->w + 1) / 2, x->c);
        break;
    case CPL_UNET_CONV_UP:
        source = &wide;
        wide = cpl_make(s, x->n, up_h, up_w, x->c);
        s->ops->upsample(s, &wide, x);
        cpl_tensor_free(x);
        y = cpl_make_like(s, &wide);
        break;
    }
    cpl_conv2d(s, &y, source, b->conv, shape, NULL);
    cpl_tensor_free(&wide);
    cpl_tensor_free(x);
    return y;
}

static cpl_tensor run_block(const run *r, const cpl_unet_block *b, cpl_tensor *x, int up_w, int up_h) {
    cpl_tensor h = *x;
    int module = 0;
    *x = (cpl_tensor){0};
    if (b->has_res) {
        h = cpl_resblock_run(&b->res, r->s, &h, &r->emb);
        tell_module(r, b, module++, &h);
    }
    if (b->transformer.depth > 0) {
        h = cpl_transformer_run(&b->transformer, r->s, &h, r->texts, b->level);
        tell_module(r, b, module++, &h);
    }
    if (b->conv_kind != CPL_UNET_CONV_NONE) {
        h = run_conv(r, b, &h, up_w, up_h);
        tell_module(r, b, module++, &h);
    }
    return h;
}

/* What the operations cannot see, because it only decides which tensors and plans they are given. A fault fails the
 * stream. */
static void check_text(const cpl_unet *u, cpl_stream *s, const cpl_unet_text *text) {
    for (int k = 0; k < text->lines; k++)
        if (!text->kv[k] || text->kv[k]->layers != u->text_layers)
            cpl_stream_fail(s, CPL_E_INPUT, "the keys and values of line %d are of another model", k);
    for (int level = 0; text->plans && level < u->spec.levels; level++) {
        const cpl_plan *plan = text->plans[level];
        if (plan && plan->lines != text->lines)
            cpl_stream_fail(s, CPL_E_INPUT, "a plan of %d lines for a text of %d", plan->lines, text->lines);
        if (!plan && cpl_unet_couples(u, level))
            cpl_stream_fail(s, CPL_E_INPUT, "a coupled text without a plan for level %d", level);
    }
}

static void check_texts(const cpl_unet *u, cpl_stream *s, const cpl_unet_text *texts, int batch) {
    int64_t lines = 0;
    if (batch > CPL_UNET_MAX_BATCH)
        cpl_stream_fail(s, CPL_E_UNSUPPORTED, "a batch of %d; the UNet takes up to %d", batch, CPL_UNET_MAX_BATCH);
    for (int i = 0; i < batch && cpl_stream_ok(s); i++) {
        lines += texts[i].lines;
        if (texts[i].lines < 1 || lines > CPL_UNET_MAX_LINES)
            cpl_stream_fail(s, CPL_E_UNSUPPORTED, "%d text lines in one pass; the UNet takes 1 to %d", (int)lines,
                            CPL_UNET_MAX_LINES);
        else
            check_text(u, s, &texts[i]);
    }
}

static cpl_tensor join(cpl_stream *s, cpl_tensor *h, cpl_tensor *skip) {
    cpl_tensor y = cpl_make(s, h->n, h->h, h->w, h->c + skip->c);
    s->ops->concat(s, &y, h, skip);
    cpl_tensor_free(h);
    cpl_tensor_free(skip);
    return y;
}

static void run_blocks(const run *r, const cpl_tensor *eps, const cpl_tensor *x) {
    const cpl_unet *u = r->unet;
    cpl_stream *s = r->s;
    cpl_tensor skip[CPL_UNET_MAX_SKIPS] = {{0}}, h = cpl_tensor_slice(x, 0, x->n);
    int skips = 0, block = 0;
    for (; block < u->half && cpl_stream_ok(s); block++) {
        skip[skips] = run_block(r, &u->block[block], &h, 0, 0);
        h = cpl_tensor_slice(&skip[skips], 0, skip[skips].n); /* the skip is the owner */
        tell(r, u->block[block].name, &h);
        skips++;
    }
    for (int i = 0; i < CPL_UNET_MIDDLE_BLOCKS && cpl_stream_ok(s); i++, block++)
        h = run_block(r, &u->block[block], &h, 0, 0);
    tell(r, "middle_block", &h);
    for (; block < u->blocks && cpl_stream_ok(s); block++) {
        const cpl_tensor *next = skips > 1 ? &skip[skips - 2] : &skip[0];
        int up_w = next->w, up_h = next->h;
        h = join(s, &h, &skip[--skips]);
        h = run_block(r, &u->block[block], &h, up_w, up_h);
        tell(r, u->block[block].name, &h);
    }
    s->ops->group_norm(s, &h, &h, NULL, u->out_norm, u->spec.norm_groups, 1e-5f, true);
    cpl_conv2d(s, eps, &h, u->out_conv, cpl_conv_3x3, NULL);
    tell(r, "out", eps);
    cpl_tensor_free(&h);
    for (int i = 0; i < CPL_UNET_MAX_SKIPS; i++) cpl_tensor_free(&skip[i]);
}

void cpl_unet_run(const cpl_unet *unet, cpl_stream *s, const cpl_tensor *eps, const cpl_tensor *x, const float *t,
                  const cpl_tensor *y, const cpl_unet_text *texts, cpl_unet_probe *probe, void *probe_user) {
    run r = {.unet = unet, .s = s, .texts = texts, .probe = probe, .probe_user = probe_user};
    check_texts(unet, s, texts, x->n);
    if (unet->label_in && !y)
        cpl_stream_fail(s, CPL_E_INPUT, "this UNet wants a vector of %d values beside the text",
                        unet->spec.adm_in_channels);
    if (!cpl_stream_ok(s)) return;
    embed_time(&r, t, x->n, y);
    run_blocks(&r, eps, x);
    cpl_tensor_free(&r.emb);
}
