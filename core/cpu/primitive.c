/* primitive.c: everything that names oneDNN: its engine and streams, convolution primitives made once per shape, and
 * the layouts of weights that those ask for. Linear layers are 1x1 convolutions, the fastest product oneDNN has for
 * packed weights and channels-last rows (SPEED.md). It knows no tensors and checks no shapes: conv.c does. */
#include "primitive.h"

#include "../memory/alloc.h"
#include "onednn.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* A primitive keeps its handles on memory; only their addresses change from call to call, so that a run makes none. */
typedef struct primitive {
    dnnl_primitive_t run;
    dnnl_memory_t x, y, scratch; /* scratch: NULL where none is needed */
    dnnl_primitive_desc_t description;
    onednn_md weights; /* borrowed from the description: the layout it wants */
    size_t scratch_bytes;
} primitive;

/* What a primitive is worth in the cache's books: generated code and descriptors, measured in the tens of kB. */
enum { PRIMITIVE_BYTES = 32 << 10, PRIMITIVE_BUDGET = 64 << 20 };

/* The library asks for bias and scale by these values; quick GELU is x * sigmoid(1.702 x), which it calls swish. */
static const struct {
    dnnl_alg_kind_t kind;
    float alpha;
} eltwise[] = {
    [CPL_ACT_SILU] = {dnnl_eltwise_swish, 1.0f},
    [CPL_ACT_GELU] = {dnnl_eltwise_gelu_erf, 0.0f},
    [CPL_ACT_QUICK_GELU] = {dnnl_eltwise_swish, 1.702f},
};

static bool failed(cpl_error *error, dnnl_status_t status, const char *what) {
    if (status == dnnl_success) return false;
    cpl_fail(error, status == dnnl_out_of_memory ? CPL_E_MEMORY : CPL_E_DEVICE, "oneDNN cannot %s (status %d).", what,
             (int)status);
    return true;
}

static dnnl_data_type_t type_of(cpl_dtype type) { return type == CPL_F32 ? dnnl_f32 : dnnl_bf16; }

bool cpu_engine_open(cpu_backend *b, cpl_error *error) {
    dnnl_engine_t engine = NULL;
    if (failed(error, dnnl_engine_create(&engine, dnnl_cpu, 0), "start on this processor")) return false;
    b->engine = engine;
    return true;
}

void cpu_engine_close(cpu_backend *b) {
    if (b->engine) dnnl_engine_destroy(b->engine);
}

static void primitive_free(void *context, void *value) {
    (void)context;
    primitive *p = value;
    if (!p) return;
    if (p->run) dnnl_primitive_destroy(p->run);
    if (p->x) dnnl_memory_destroy(p->x);
    if (p->y) dnnl_memory_destroy(p->y);
    if (p->scratch) dnnl_memory_destroy(p->scratch);
    if (p->description) dnnl_primitive_desc_destroy(p->description);
    free(p);
}

bool cpu_queue_open(cpu_stream *s, cpl_error *error) {
    dnnl_stream_t queue = NULL;
    if (failed(error, dnnl_stream_create(&queue, cpu_of(&s->base)->engine, dnnl_stream_default_flags), "open a stream"))
        return false;
    s->queue = queue;
    s->primitives = cpl_cache_new(PRIMITIVE_BUDGET, primitive_free, NULL, error);
    return s->primitives != NULL;
}

void cpu_queue_close(cpu_stream *s) {
    cpl_cache_free(s->primitives);
    if (s->queue) dnnl_stream_destroy(s->queue);
}

/* ---- Weights in the layout that a primitive wants ---- */

static void form_free(cpu_backend *b, cpu_packed *form) {
    if (form->memory) dnnl_memory_destroy(form->memory);
    cpu_weight_give(b, form->data, form->bytes);
    free(form);
}

/* Takes `data` over, also on failure. */
static cpu_packed *form_new(cpu_backend *b, onednn_md md, void *data, size_t bytes, cpl_error *error) {
    cpu_packed *form = cpl_alloc(1, sizeof *form, error);
    if (!form) {
        cpu_weight_give(b, data, bytes);
        return NULL;
    }
    dnnl_memory_t memory = NULL;
    form->data = data;
    form->bytes = bytes;
    if (failed(error, dnnl_memory_create(&memory, md, b->engine, data), "address a weight")) {
        form_free(b, form);
        return NULL;
    }
    form->memory = memory;
    return form;
}

bool cpu_pack_plain(cpu_backend *b, cpl_weight *w, void *values, size_t bytes, cpl_error *error) {
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {w->out, w->in, w->kh, w->kw};
    w->packing = cpl_alloc(1, sizeof *w->packing, error);
    if (!w->packing || failed(error, onednn_md_make(&md, 4, dims, type_of(w->type), dnnl_oihw), "describe a weight")) {
        cpu_weight_give(b, values, bytes);
        return false;
    }
    w->packing->forms = form_new(b, onednn_ref(&md), values, bytes, error);
    onednn_md_free(&md);
    if (!w->packing->forms || !w->beta) return w->packing->forms != NULL;

    if (failed(error, onednn_md_make(&md, 1, dims, dnnl_f32, dnnl_a), "describe a bias")) return false;
    dnnl_memory_t bias = NULL;
    dnnl_status_t status = dnnl_memory_create(&bias, onednn_ref(&md), b->engine, w->beta);
    onednn_md_free(&md);
    w->packing->bias = bias;
    return !failed(error, status, "address a bias");
}

void cpu_unpack(cpu_backend *b, cpl_weight *w) {
    if (!w->packing) return;
    while (w->packing->forms) {
        cpu_packed *form = w->packing->forms;
        w->packing->forms = form->next;
        form_free(b, form);
    }
    if (w->packing->bias) dnnl_memory_destroy(w->packing->bias);
    free(w->packing);
    w->packing = NULL;
}

static bool reorder(cpu_stream *s, const cpu_packed *from, const cpu_packed *to, cpl_error *error) {
    dnnl_engine_t engine = cpu_of(&s->base)->engine;
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t run = NULL;
    onednn_md source = NULL, target = NULL;
    dnnl_memory_get_memory_desc(from->memory, &source);
    dnnl_memory_get_memory_desc(to->memory, &target);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from->memory}, {DNNL_ARG_TO, to->memory}};
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&description, source, engine, target, engine, NULL);
    if (!status) status = dnnl_primitive_create(&run, description);
    if (!status) status = dnnl_primitive_execute(run, s->queue, 2, args);
    if (!status) status = dnnl_stream_wait(s->queue);
    if (run) dnnl_primitive_destroy(run);
    if (description) dnnl_primitive_desc_destroy(description);
    return !failed(error, status, "pack a weight");
}

/* A layout is made from any other. The one as loaded is let go once a better one is there, unless some primitive
 * wants just that. Called with the packing lock held. */
static cpu_packed *form_add(cpu_stream *s, cpu_packing *packing, onednn_md wanted, cpl_error *error) {
    cpu_backend *b = cpu_of(&s->base);
    cpu_packed *old = packing->forms;
    size_t bytes = dnnl_memory_desc_get_size(wanted);
    void *data = old ? cpu_weight_take(b, bytes, error) : NULL;
    cpu_packed *form = data ? form_new(b, wanted, data, bytes, error) : NULL;
    if (!form) return NULL;
    if (!reorder(s, old, form, error)) {
        form_free(b, form);
        return NULL;
    }
    if (old->handed_out) {
        form->next = old;
    } else {
        form->next = old->next;
        form_free(b, old);
    }
    packing->forms = form;
    return form;
}

static dnnl_memory_t weight_in(cpu_stream *s, const cpl_weight *w, onednn_md wanted, cpl_error *error) {
    cpu_backend *b = cpu_of(&s->base);
    pthread_mutex_lock(&b->packing);
    cpu_packed *form = w->packing->forms;
    for (; form; form = form->next) {
        onednn_md md = NULL;
        dnnl_memory_get_memory_desc(form->memory, &md);
        if (dnnl_memory_desc_equal(md, wanted)) break;
    }
    if (!form) form = form_add(s, w->packing, wanted, error);
    if (form) form->handed_out = true;
    pthread_mutex_unlock(&b->packing);
    return form ? form->memory : NULL;
}

/* ---- Primitives ---- */

static dnnl_status_t attributes_make(dnnl_primitive_attr_t *attr, const cpu_conv_key *key) {
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(attr);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (!status) status = dnnl_post_ops_create(&after);
    if (!status && key->activation != CPL_ACT_NONE)
        status = onednn_add_eltwise(after, eltwise[key->activation].kind, eltwise[key->activation].alpha);
    if (!status && key->add) status = onednn_add_sum(after);
    if (!status) status = dnnl_primitive_attr_set_post_ops(*attr, after);
    if (after) dnnl_post_ops_destroy(after);
    return status;
}

static dnnl_status_t describe(dnnl_primitive_desc_t *description, dnnl_engine_t engine, const cpu_conv_key *key) {
    enum { X, WEIGHTS, BIAS, Y, MEMORIES };
    const struct {
        int rank;
        dnnl_dims_t dims;
        cpl_dtype type;
        dnnl_format_tag_t tag;
    } shape[MEMORIES] = {
        [X] = {4, {key->n, key->in, key->h, key->w}, (cpl_dtype)key->type, dnnl_nhwc},
        [WEIGHTS] = {4, {key->out, key->in, key->kh, key->kw}, (cpl_dtype)key->type, dnnl_format_tag_any},
        [BIAS] = {1, {key->out}, CPL_F32, dnnl_a},
        [Y] = {4, {key->n, key->out, key->out_h, key->out_w}, (cpl_dtype)key->y_type, dnnl_nhwc},
    };
    dnnl_memory_desc_t md[MEMORIES];
    dnnl_status_t status = dnnl_success;
    int made = 0;
    for (int i = 0; i < MEMORIES && !status; i++) {
        status = onednn_md_make(&md[i], shape[i].rank, shape[i].dims, type_of(shape[i].type), shape[i].tag);
        if (!status) made++;
    }
    dnnl_primitive_attr_t attr = NULL;
    if (!status) status = attributes_make(&attr, key);
    if (!status) {
        onednn_conv conv = {.x = &md[X],
                            .weights = &md[WEIGHTS],
                            .bias = key->bias ? &md[BIAS] : NULL,
                            .y = &md[Y],
                            .stride = {key->stride, key->stride},
                            .pad_low = {key->pad_top, key->pad_left},
                            .pad_high = {key->pad_bottom, key->pad_right}};
        status = onednn_conv_make(description, engine, &conv, attr);
    }
    if (attr) dnnl_primitive_attr_destroy(attr);
    for (int i = 0; i < made; i++) onednn_md_free(&md[i]);
    return status;
}

static primitive *primitive_new(const cpu_backend *b, const cpu_conv_key *key, cpl_error *error) {
    primitive *p = cpl_alloc(1, sizeof *p, error);
    if (!p) return NULL;
    dnnl_status_t status = describe(&p->description, b->engine, key);
    if (!status) status = dnnl_primitive_create(&p->run, p->description);
    if (!status) {
        p->weights = dnnl_primitive_desc_query_md(p->description, dnnl_query_weights_md, 0);
        status = dnnl_memory_create(&p->x, dnnl_primitive_desc_query_md(p->description, dnnl_query_src_md, 0),
                                    b->engine, DNNL_MEMORY_NONE);
    }
    if (!status)
        status = dnnl_memory_create(&p->y, dnnl_primitive_desc_query_md(p->description, dnnl_query_dst_md, 0),
                                    b->engine, DNNL_MEMORY_NONE);
    if (!status) {
        onednn_md scratch = dnnl_primitive_desc_query_md(p->description, dnnl_query_scratchpad_md, 0);
        p->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
        if (p->scratch_bytes) status = dnnl_memory_create(&p->scratch, scratch, b->engine, DNNL_MEMORY_NONE);
    }
    if (failed(error, status, "make a convolution of this shape")) {
        primitive_free(NULL, p);
        return NULL;
    }
    return p;
}

static primitive *primitive_get(cpu_stream *s, const cpu_conv_key *key, cpl_error *error) {
    primitive *p = cpl_cache_find(s->primitives, key, sizeof *key);
    if (p) return p;
    p = primitive_new(cpu_of(&s->base), key, error);
    return p && cpl_cache_insert(s->primitives, key, sizeof *key, p, PRIMITIVE_BYTES, error) ? p : NULL;
}

static bool execute(cpu_stream *s, const primitive *p, dnnl_memory_t weights, const cpl_weight *w, void *x, void *y,
                    cpl_error *error) {
    void *scratch = NULL;
    if (p->scratch && !(scratch = cpl_pool_take(s->base.pool, p->scratch_bytes, error))) return false;
    dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, p->x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, p->y}};
    int count = 3;
    if (w->beta) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, w->packing->bias};
    if (p->scratch) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->scratch};
    dnnl_status_t status = dnnl_memory_set_data_handle(p->x, x);
    if (!status) status = dnnl_memory_set_data_handle(p->y, y);
    if (!status && p->scratch) status = dnnl_memory_set_data_handle(p->scratch, scratch);
    if (!status) status = dnnl_primitive_execute(p->run, s->queue, count, args);
    if (!status) status = dnnl_stream_wait(s->queue);
    cpl_pool_give(s->base.pool, scratch);
    return !failed(error, status, "run a convolution");
}

void cpu_conv_run(cpl_stream *stream, cpu_conv_key *key, const cpl_weight *w, void *x, void *y) {
    cpu_stream *s = (cpu_stream *)stream;
    double products = (double)key->n * key->out_h * key->out_w * key->out * key->in * key->kh * key->kw;
    key->threads = products < CPU_SMALL_PRODUCTS ? 1 : cpu_of(stream)->threads;
    omp_set_num_threads(key->threads);
    cpl_error error = {0};
    primitive *p = primitive_get(s, key, &error);
    dnnl_memory_t weights = p ? weight_in(s, w, p->weights, &error) : NULL;
    if (!weights || !execute(s, p, weights, w, x, y, &error)) cpl_stream_fail(stream, error.code, "%s", error.message);
    if (p) cpl_cache_release(s->primitives, p);
}
