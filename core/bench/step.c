/* step.c: one pass of a whole UNet over a negative and a positive picture, as a denoise step makes it: with one prompt, coupled
 * over lines, the original's way, and the same products as bare primitives, by turns in one loop. */
#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "../sample/clock.h"
#include "inputs.h"
#include "layers.h"
#include "network.h"
#include "original.h"

enum { MOST_REGIONS = 8, CASES = 5 };

typedef enum method { PLAIN, OURS, ORIGINAL } method;
static const char *const method_names[] = {[PLAIN] = "plain", [OURS] = "ours", [ORIGINAL] = "original"};

/* In the order in which a round runs them. */
static const struct {
    method method;
    int regions;
} cases[CASES] = {{PLAIN, 1}, {OURS, 1}, {OURS, 8}, {ORIGINAL, 1}, {ORIGINAL, 8}};

typedef struct rig {
    cpl_bench_model *m;
    cpl_stream *s;
    int w, h;
    cpl_tensor x, eps, y, contexts; /* contexts [1 + MOST_REGIONS]: the negative's first; y: empty for most models */
    cpl_text_kv kv[1 + MOST_REGIONS];
    const cpl_text_kv *listed[1 + MOST_REGIONS];
    cpl_plan *plan[CPL_MAX_LEVELS];
    cpl_layer_list layers;
    cpl_original original[2];                       /* of 1 and of MOST_REGIONS lines */
    double ms[CASES];                               /* best so far */
    double product_ms[CASES], product_flops[CASES]; /* of the original: its linear layers and convolutions */
    uint64_t allocations[CASES];
} rig;

/* ---- Making ---- */

static bool make_texts(rig *r) {
    cpl_bench_run *run = r->m->run;
    const cpl_model *model = r->m->model;
    int length = model->info.context_length, width = model->spec.unet.context_dim;
    if (!cpl_bench_tensor(r->s, &r->contexts, 1 + MOST_REGIONS, 1, length, width, 2, run->error)) return false;
    for (int i = 0; i < 2; i++) cpl_original_open(&r->original[i], r->s->ops, &r->contexts, i ? MOST_REGIONS : 1);
    for (int i = 0; i <= MOST_REGIONS; i++) {
        const cpl_backend_ops *real = r->s->ops;
        cpl_tensor context = cpl_tensor_slice(&r->contexts, i, 1);
        if (i < 2) r->s->ops = &r->original[i].ops; /* each lists the projections of one text */
        if (i < 2) cpl_original_list(&r->original[i], true);
        bool done = cpl_unet_text_kv(model->unet, r->s, &context, &r->kv[i], run->error);
        if (i < 2) cpl_original_list(&r->original[i], false);
        r->s->ops = real;
        if (!done) return false;
        r->listed[i] = &r->kv[i];
    }
    return true;
}

static bool make_plans(rig *r) {
    const cpl_unet *unet = r->m->model->unet;
    bool done = true;
    for (int level = 0; done && level < cpl_unet_levels(unet); level++) {
        int w, h;
        if (!cpl_unet_couples(unet, level)) continue;
        cpl_unet_grid(r->w, r->h, level, &w, &h);
        float *masks = cpl_bench_tiles(MOST_REGIONS, w, h, r->m->run->error);
        r->plan[level] = masks ? cpl_plan_new(masks, MOST_REGIONS, w, h, r->m->run->error) : NULL;
        done = r->plan[level] != NULL;
        free(masks);
    }
    return done;
}

static bool open_rig(rig *r, cpl_bench_model *m) {
    const cpl_model_spec *spec = &m->model->spec;
    const cpl_defaults *d = &m->model->info.defaults;
    int factor = cpl_vae_factor(m->model->vae), vector = spec->unet.adm_in_channels;
    *r = (rig){.m = m, .w = d->width / factor, .h = d->height / factor};
    r->s = m->engine->backend->ops->stream_open(m->engine->backend, m->run->error);
    if (!r->s) return false;
    cpl_layers_open(&r->layers, r->s->ops);
    if (!cpl_bench_tensor(r->s, &r->x, 2, r->h, r->w, spec->unet.in_channels, 1, m->run->error)) return false;
    if (vector && !cpl_bench_tensor(r->s, &r->y, 2, 1, 1, vector, 3, m->run->error)) return false;
    r->eps = cpl_make_like(r->s, &r->x);
    return cpl_stream_settle(r->s, m->run->error) && make_texts(r) && make_plans(r);
}

static void close_rig(rig *r) {
    if (!r->s) return;
    for (int i = 0; i <= MOST_REGIONS; i++) cpl_text_kv_free(&r->kv[i]);
    for (int i = 0; i < CPL_MAX_LEVELS; i++) cpl_plan_free(r->plan[i]);
    for (int i = 0; i < 2; i++) cpl_original_close(&r->original[i]);
    cpl_tensor *const tensors[] = {&r->x, &r->eps, &r->y, &r->contexts};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) cpl_tensor_free(tensors[i]);
    cpl_layers_close(&r->layers);
    r->s->ops->stream_close(r->s);
}

/* ---- Running ---- */

static uint64_t allocations_of(const cpl_stream *s) {
    cpl_pool_stats stats;
    cpl_pool_stats_read(s->pool, &stats);
    return stats.allocations;
}

static bool run_step(rig *r, const cpl_backend_ops *ops, int regions) {
    const cpl_backend_ops *real = r->s->ops;
    const float t[2] = {500, 500};
    const cpl_unet_text texts[2] = {
        {.lines = 1, .kv = r->listed},
        {.lines = regions, .kv = r->listed + 1, .plans = regions > 1 ? (const cpl_plan *const *)r->plan : NULL},
    };
    r->s->ops = ops;
    cpl_unet_run(r->m->model->unet, r->s, &r->eps, &r->x, t, r->y.data ? &r->y : NULL, texts, NULL, NULL);
    r->s->ops = real;
    return cpl_stream_settle(r->s, r->m->run->error);
}

static bool run_case(rig *r, int which) {
    cpl_original *original = &r->original[cases[which].regions > 1];
    bool copies = cases[which].method == ORIGINAL;
    uint64_t before = allocations_of(r->s);
    cpl_original_begin(original);
    double start = cpl_now_ms();
    if (!run_step(r, copies ? &original->ops : r->s->ops, copies ? 1 : cases[which].regions)) return false;
    double ms = cpl_now_ms() - start;
    if (r->ms[which] <= 0 || ms < r->ms[which]) r->ms[which] = ms;
    r->allocations[which] = allocations_of(r->s) - before;
    if (copies && (r->product_ms[which] <= 0 || original->product_ms < r->product_ms[which])) {
        r->product_ms[which] = original->product_ms;
        r->product_flops[which] = original->product_flops;
    }
    return true;
}

/* What the first pass of each case takes is not told. */
static bool run_rounds(rig *r) {
    cpl_bench_run *run = r->m->run;
    int rounds = r->m->large ? cpl_bench_rounds(run, 3, 1) : cpl_bench_rounds(run, 20, 3);
    bool done = run_step(r, &r->layers.ops, 1);
    cpl_layers_again(&r->layers);
    for (int i = 0; done && i < CASES; i++) done = run_case(r, i);
    for (int i = 0; i < CASES; i++) r->ms[i] = r->product_ms[i] = 0;
    for (int round = 0; done && round < rounds; round++) {
        done = run_step(r, &r->layers.ops, 1) && cpl_layers_run_bare(&r->layers, run, r->m->type);
        for (int i = 0; done && i < CASES; i++) done = run_case(r, i);
    }
    return done;
}

static void report(const rig *r) {
    cpl_bench_run *run = r->m->run;
    char size[32];
    snprintf(size, sizeof size, "%dx%d", r->m->model->info.defaults.width, r->m->model->info.defaults.height);
    for (int i = 0; i < CASES; i++) {
        cpl_bench_begin(run, NULL, '{');
        cpl_bench_text(run, "model", r->m->model->info.name);
        cpl_bench_text(run, "precision", r->m->precision);
        cpl_bench_text(run, "size", size);
        cpl_bench_whole(run, "regions", (uint64_t)cases[i].regions);
        cpl_bench_text(run, "method", method_names[cases[i].method]);
        cpl_bench_number(run, "ms", r->ms[i]);
        cpl_bench_number(run, "floor_ms", cpl_bench_floor(run, r->m->type, cpl_layers_flops(&r->layers)));
        cpl_bench_number(run, "bare_ms", cpl_layers_bare_ms(&r->layers));
        cpl_bench_whole(run, "allocations", r->allocations[i]);
        if (r->product_ms[i] > 0)
            cpl_bench_number(run, "products_of_ceiling",
                             cpl_bench_floor(run, r->m->type, r->product_flops[i]) / r->product_ms[i]);
        if (cases[i].method == PLAIN) cpl_layers_report(&r->layers, run);
        cpl_bench_end(run, '}');
    }
}

static bool bench_step(cpl_bench_model *m) {
    rig *r = cpl_alloc(1, sizeof *r, m->run->error);
    if (!r) return false;
    bool done = open_rig(r, m) && run_rounds(r);
    if (done) report(r);
    close_rig(r);
    free(r);
    return done;
}

bool cpl_bench_steps(cpl_bench_run *run) {
    cpl_bench_begin(run, "step", '[');
    bool done = cpl_bench_each_model(run, "denoise step", bench_step);
    cpl_bench_end(run, ']');
    return done;
}
