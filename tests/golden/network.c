/* network.c: golden groups of the UNet, alone and coupled, and the table of all network groups. Each case is a whole
 * pass; where the file records outputs of modules on the way, the first one that differs is named. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "network_rig.h"

/* FORMAT.md allows twice the tolerance where a very small input makes every norm's epsilon visible. */
static double tolerance_of(const rig *r, const char *name) {
    const cpl_st_entry *e = rig_find(r, name, "x");
    float *x = rig_values(r, e);
    double sum = 0;
    for (int64_t i = 0; x && i < e->count; i++) sum += (double)x[i] * (double)x[i];
    free(x);
    return x && sqrt(sum / (double)e->count) < 0.1 ? 2e-4 : 1e-4;
}

enum { MOST_TEXTS = 64 };

/* ---- One UNet pass, every batch element with its own text */

static void run_unet_case(rig *r, void *network, const char *name) {
    cpl_unet *unet = network;
    cpl_text_kv kv[MOST_TEXTS] = {{0}};
    const cpl_text_kv *lines[MOST_TEXTS];
    cpl_unet_text texts[MOST_TEXTS];
    cpl_error error = {0};
    verdict v = {""};
    char last[32];
    snprintf(last, sizeof last, "output_blocks.%d", r->spec.unet.levels * (r->spec.unet.num_res_blocks + 1) - 1);
    rig_listener listener = {r, &v, name, last, tolerance_of(r, name), 0};

    cpl_tensor x = rig_image(r, name, "x", 1), eps = cpl_make_like(r->s, &x), y = {0};
    float *t = rig_values(r, rig_find(r, name, "timesteps"));
    if (rig_find(r, name, "y")) y = rig_rows(r, name, "y", -1);
    for (int i = 0; i < x.n && i < MOST_TEXTS; i++) {
        cpl_tensor context = rig_rows(r, name, "context", i);
        if (!cpl_unet_text_kv(unet, r->s, &context, &kv[i], &error)) verdict_add(&v, "%s", error.message);
        cpl_tensor_free(&context);
        lines[i] = &kv[i];
        texts[i] = (cpl_unet_text){.lines = 1, .kv = &lines[i]};
    }
    if (x.n > MOST_TEXTS) verdict_add(&v, "a batch of %d is more than this test takes", x.n);
    if (t && !v.text[0]) cpl_unet_run(unet, r->s, &eps, &x, t, y.data ? &y : NULL, texts, rig_listen, &listener);
    rig_compare(r, &v, name, "eps", &eps, listener.tolerance);
    rig_heard_all(&listener);
    for (int i = 0; i < MOST_TEXTS; i++) cpl_text_kv_free(&kv[i]);
    cpl_tensor_free(&x);
    cpl_tensor_free(&y);
    cpl_tensor_free(&eps);
    free(t);
    rig_report(r, name, &v);
}

static void with_unet(golden *g, const char *model, const char *what,
                      void (*run)(rig *r, void *network, const char *name)) {
    rig r;
    cpl_error error = {0};
    if (!rig_open(&r, g, model, what)) return;
    cpl_loader l = {.backend = r.backend, .weights = r.weights, .error = &error};
    cpl_unet *unet = cpl_unet_new(&l, &r.spec.unet);
    if (unet)
        rig_each_case(&r, "case", "x", run, unet);
    else
        golden_fail(g, model, "%s", error.message);
    cpl_unet_free(unet, r.backend);
    rig_close(&r);
}

/* ---- A coupled pass: half the batch listens to one text, half to the regions */

typedef struct regions {
    int count;
    cpl_layout *layout;
    cpl_text_kv kv[MOST_TEXTS], uncond, base;
    const cpl_text_kv *lines[MOST_TEXTS], *uncond_line, *base_line;
    cpl_plan *plan[CPL_MAX_LEVELS];
} regions;

/* The rows of a mapping are decimal numbers; the metadata has them exactly, the tensor only as f32, where 0.55 of a canvas
 * may lie one pixel off. */
static cJSON *case_info(const char *name, cJSON *info) {
    cJSON *one;
    cJSON_ArrayForEach(one, info) {
        char wanted[32];
        cJSON *number = cJSON_GetObjectItemCaseSensitive(one, "case");
        snprintf(wanted, sizeof wanted, "case%d", cJSON_IsNumber(number) ? number->valueint : -1);
        if (strcmp(wanted, name) == 0) return one;
    }
    return NULL;
}

static cpl_layout *make_layout(const rig *r, const char *name, verdict *v) {
    const char *text = cpl_safetensors_metadata(r->expected, "info");
    cpl_error error = {0};
    cJSON *info = text ? cJSON_Parse(text) : NULL, *one = case_info(name, info), *row;
    cJSON *rows = cJSON_GetObjectItemCaseSensitive(one, "mapping_x1_x2_y1_y2_weight");
    cJSON *width = cJSON_GetObjectItemCaseSensitive(one, "width");
    cJSON *height = cJSON_GetObjectItemCaseSensitive(one, "height");
    cpl_layout *layout = cpl_layout_new(&error);
    if (!layout || !rows || !width || !height) {
        verdict_add(v, "no mapping of this case in the metadata");
        cJSON_Delete(info);
        cpl_layout_free(layout);
        return NULL;
    }
    layout->mode = CPL_MODE_ADVANCED;
    layout->width = width->valueint, layout->height = height->valueint;
    cJSON_ArrayForEach(row, rows) {
        cpl_region *region = cpl_layout_insert(layout, layout->region_count, &error);
        if (!region || !cpl_text_set(&region->prompt, "a region", &error) || cJSON_GetArraySize(row) != 5) {
            verdict_add(v, "row %d of the mapping: %s", layout->region_count, error.message);
            break;
        }
        double *const to[] = {&region->x1, &region->x2, &region->y1, &region->y2, &region->weight};
        for (int i = 0; i < 5; i++) *to[i] = cJSON_GetArrayItem(row, i)->valuedouble;
    }
    cJSON_Delete(info);
    return layout;
}

static float *masks_at(const regions *g, int w, int h, verdict *v) {
    cpl_error error = {0};
    cpl_defaults defaults = {.width = g->layout->width, .height = g->layout->height, .steps = 1, .cfg = 7};
    float *masks = calloc((size_t)(g->count + 1) * (size_t)w * (size_t)h, sizeof *masks);
    int count = 0;
    if (!masks || !cpl_layout_masks(g->layout, &defaults, w, h, masks, &count, &error))
        verdict_add(v, "masks at %dx%d: %s", h, w, error.message);
    else if (count != g->count)
        verdict_add(v, "%d masks for %d regions", count, g->count);
    return masks;
}

/* Every recorded "mask.<h>x<w>"; its row 0 is the base prompt, which couples nowhere. */
static void compare_masks(rig *r, const regions *g, const char *name, verdict *v) {
    for (int i = 0; i < cpl_safetensors_count(r->expected); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(r->expected, i);
        char prefix[64];
        int length = snprintf(prefix, sizeof prefix, "%s.mask.", name);
        if (strncmp(e->name, prefix, (size_t)length) != 0 || e->rank != 3) continue;
        int h = (int)e->shape[1], w = (int)e->shape[2];
        size_t area = (size_t)w * (size_t)h;
        float *wanted = rig_values(r, e), *masks = masks_at(g, w, h, v);
        if (e->shape[0] != g->count + 1)
            verdict_add(v, "%s holds %lld rows for %d regions", e->name, (long long)e->shape[0], g->count);
        else if (wanted && masks && !v->text[0]) {
            for (size_t k = 0; k < area; k++)
                if (wanted[k] != 0) verdict_add(v, "%s gives the base prompt a weight", e->name);
            double difference = golden_difference(masks, wanted + area, area * (size_t)g->count);
            if (!(difference <= 1e-6)) verdict_add(v, "%s differs by %g (tolerance 1e-6)", e->name, difference);
        }
        free(wanted);
        free(masks);
    }
}

static void make_kv(rig *r, const cpl_unet *unet, const char *name, const char *key, cpl_text_kv *kv, verdict *v) {
    cpl_error error = {0};
    cpl_tensor context = rig_rows(r, name, key, 0);
    if (!cpl_unet_text_kv(unet, r->s, &context, kv, &error)) verdict_add(v, "%s: %s", key, error.message);
    cpl_tensor_free(&context);
}

static void make_regions(rig *r, const cpl_unet *unet, const char *name, regions *g, verdict *v) {
    const cpl_st_entry *x = rig_find(r, name, "x");
    cpl_error error = {0};
    char key[32];
    *g = (regions){.layout = make_layout(r, name, v)};
    if (!g->layout) return;
    g->count = g->layout->region_count;
    if (g->count > MOST_TEXTS || x->rank != 4) verdict_add(v, "%d regions are more than this test takes", g->count);
    for (int i = 0; i < g->count && !v->text[0]; i++) {
        snprintf(key, sizeof key, "region%d", i + 1);
        make_kv(r, unet, name, key, &g->kv[i], v);
        g->lines[i] = &g->kv[i];
    }
    make_kv(r, unet, name, "uncond", &g->uncond, v);
    make_kv(r, unet, name, "base", &g->base, v);
    g->uncond_line = &g->uncond, g->base_line = &g->base;
    for (int level = 0; level < cpl_unet_levels(unet) && !v->text[0]; level++) {
        int w, h;
        cpl_unet_grid((int)x->shape[3], (int)x->shape[2], level, &w, &h);
        float *masks = masks_at(g, w, h, v);
        if (!v->text[0] && !(g->plan[level] = cpl_plan_new(masks, g->count, w, h, &error)))
            verdict_add(v, "plan at %dx%d: %s", h, w, error.message);
        free(masks);
    }
}

static void clear_regions(regions *g) {
    for (int i = 0; i < MOST_TEXTS; i++) cpl_text_kv_free(&g->kv[i]);
    cpl_text_kv_free(&g->uncond);
    cpl_text_kv_free(&g->base);
    for (int i = 0; i < CPL_MAX_LEVELS; i++) cpl_plan_free(g->plan[i]);
    cpl_layout_free(g->layout);
}

/* The vectors of SDXL, one for all batch elements in the file, for a batch whose first `unconds` elements are uncond. */
static cpl_tensor vectors(rig *r, const char *name, int batch, int unconds) {
    const cpl_st_entry *e = rig_find(r, name, "y");
    if (!e) return (cpl_tensor){0};
    float *cond = rig_values(r, e), *uncond = rig_values(r, rig_find(r, name, "y_uncond"));
    cpl_tensor y = cpl_make(r->s, batch, 1, 1, (int)e->count);
    float *all = malloc((size_t)batch * (size_t)e->count * sizeof *all);
    if (all && cond && uncond) {
        for (int i = 0; i < batch; i++)
            memcpy(all + (size_t)i * (size_t)e->count, i < unconds ? uncond : cond, (size_t)e->count * sizeof *all);
        r->s->ops->upload(r->s, &y, all);
    }
    free(all);
    free(cond);
    free(uncond);
    return y;
}

static void run_coupled_case(rig *r, void *network, const char *name) {
    cpl_unet *unet = network;
    cpl_unet_text texts[MOST_TEXTS];
    regions g;
    verdict v = {""};
    make_regions(r, unet, name, &g, &v);
    if (g.layout) compare_masks(r, &g, name, &v);

    cpl_tensor x = rig_image(r, name, "x", 2), eps = cpl_make_like(r->s, &x);
    int half = x.n / 2;
    float *t = rig_values(r, rig_find(r, name, "timesteps")), *twice = calloc((size_t)x.n + 1, sizeof *twice);
    cpl_tensor y = vectors(r, name, x.n, half);
    if (x.n > MOST_TEXTS) verdict_add(&v, "a batch of %d is more than this test takes", x.n);
    if (t && twice && half > 0 && !v.text[0]) {
        for (int i = 0; i < x.n; i++) {
            twice[i] = t[i % half];
            texts[i] = i < half ? (cpl_unet_text){.lines = 1, .kv = &g.uncond_line}
                                : (cpl_unet_text){g.count, g.lines, (const cpl_plan *const *)g.plan};
        }
        cpl_unet_run(unet, r->s, &eps, &x, twice, y.data ? &y : NULL, texts, NULL, NULL);
        cpl_tensor uncond = cpl_tensor_slice(&eps, 0, half), cond = cpl_tensor_slice(&eps, half, half);
        rig_compare(r, &v, name, "eps_uncond", &uncond, 1e-4);
        rig_compare(r, &v, name, "eps_cond", &cond, 1e-4);

        for (int i = half; i < x.n; i++) texts[i] = (cpl_unet_text){.lines = 1, .kv = &g.base_line};
        cpl_unet_run(unet, r->s, &eps, &x, twice, y.data ? &y : NULL, texts, NULL, NULL);
        rig_compare(r, &v, name, "eps_cond_without_regions", &cond, 1e-4);
    }
    cpl_tensor_free(&x);
    cpl_tensor_free(&y);
    cpl_tensor_free(&eps);
    free(t);
    free(twice);
    clear_regions(&g);
    rig_report(r, name, &v);
}

/* ---- The table */

static void sd1_unet(golden *g) { with_unet(g, "sd1_tiny", "unet", run_unet_case); }
static void sd1_coupled(golden *g) { with_unet(g, "sd1_tiny", "coupled", run_coupled_case); }
static void sd1_decode(golden *g) { golden_vae_decode(g, "sd1_tiny"); }
static void sd1_encode(golden *g) { golden_vae_encode(g, "sd1_tiny"); }
static void sd1_chain(golden *g) { golden_vae_chain(g, "sd1_tiny"); }
static void sdxl_unet(golden *g) { with_unet(g, "sdxl_tiny", "unet", run_unet_case); }
static void sdxl_coupled(golden *g) { with_unet(g, "sdxl_tiny", "coupled", run_coupled_case); }
static void sdxl_decode(golden *g) { golden_vae_decode(g, "sdxl_tiny"); }
static void sdxl_encode(golden *g) { golden_vae_encode(g, "sdxl_tiny"); }
static void sdxl_chain(golden *g) { golden_vae_chain(g, "sdxl_tiny"); }

const golden_group golden_network_groups[] = {
    {"sd1_tiny_unet_expected.safetensors/unet", sd1_unet, NULL},
    {"sd1_tiny_coupled_expected.safetensors/coupled", sd1_coupled, NULL},
    {"sd1_tiny_vae_expected.safetensors/decode", sd1_decode, NULL},
    {"sd1_tiny_vae_expected.safetensors/encode", sd1_encode, NULL},
    {"sd1_tiny_vae_expected.safetensors/chain", sd1_chain, NULL},
    {"sdxl_tiny_unet_expected.safetensors/unet", sdxl_unet, NULL},
    {"sdxl_tiny_coupled_expected.safetensors/coupled", sdxl_coupled, NULL},
    {"sdxl_tiny_vae_expected.safetensors/decode", sdxl_decode, NULL},
    {"sdxl_tiny_vae_expected.safetensors/encode", sdxl_encode, NULL},
    {"sdxl_tiny_vae_expected.safetensors/chain", sdxl_chain, NULL},
    {"sd15_random_expected.safetensors/full_size", golden_full_size, NULL},
    {NULL, NULL, NULL},
};
