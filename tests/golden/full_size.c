/* full_size.c: golden group of a checkpoint of the true size, 2.1 GB of random weights that are not kept with the tests: name
 * its file in COUPLET_SD15_RANDOM. One pass of each network, the context of the UNet's being the text encoder's own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/model/model.h"
#include "network_rig.h"

static const double tolerance = 2e-4;

/* "text.last_ln.row5": row 5 of what the encoder gives. */
static void compare_rows(rig *r, const cpl_tensor *x) {
    static const char kind[] = "text.last_ln.row";
    size_t width = (size_t)x->c;
    float *values = calloc(cpl_tensor_count(x), sizeof *values);
    r->s->ops->download(r->s, values, x);
    for (int i = 0; i < cpl_safetensors_count(r->expected); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(r->expected, i);
        verdict v = {""};
        int row = 0;
        if (strncmp(e->name, kind, sizeof kind - 1) != 0) continue;
        if (sscanf(e->name + sizeof kind - 1, "%d", &row) != 1 || row >= x->w || (size_t)e->count != width) {
            golden_fail(r->g, e->name, "not one row of %zu values", width);
            continue;
        }
        float *wanted = rig_values(r, e);
        double most = wanted ? golden_difference(values + (size_t)row * width, wanted, width) : INFINITY;
        if (!(most <= golden_tolerance(tolerance))) verdict_add(&v, "differs by %g (tolerance %g)", most, tolerance);
        free(wanted);
        rig_report(r, e->name, &v);
    }
    free(values);
}

static cpl_tensor run_text(rig *r, const cpl_model *model) {
    cpl_error error = {0};
    const cpl_st_entry *e = cpl_safetensors_find(r->expected, "input_ids");
    int64_t *wide = e ? cpl_safetensors_i64(r->expected, e, &error) : NULL;
    int length = model->spec.text[0].context_length, *ids = calloc((size_t)length, sizeof *ids);
    cpl_tensor x = {0};
    if (wide && e->count == length) {
        for (int i = 0; i < length; i++) ids[i] = (int)wide[i];
        x = cpl_text_encoder_run(model->text[0], r->s, &(cpl_text_input){.ids = ids, .chunks = 1}, 1, true, NULL);
        compare_rows(r, &x);
    } else {
        golden_fail(r->g, "text", "not one chunk of ids");
    }
    free(wide);
    free(ids);
    return x;
}

static void run_unet(rig *r, const cpl_model *model, const cpl_tensor *context) {
    cpl_error error = {0};
    cpl_text_kv kv = {0};
    const cpl_text_kv *line = &kv;
    const cpl_unet_text text = {.lines = 1, .kv = &line};
    verdict v = {""};
    cpl_tensor x = rig_image(r, "unet", "x", 1), eps = cpl_make_like(r->s, &x);
    float *t = rig_values(r, rig_find(r, "unet", "timesteps"));
    if (!cpl_unet_text_kv(model->unet, r->s, context, &kv, &error)) verdict_add(&v, "%s", error.message);
    if (t && !v.text[0]) cpl_unet_run(model->unet, r->s, &eps, &x, t, NULL, &text, NULL, NULL);
    rig_compare(r, &v, "unet", "eps", &eps, tolerance);
    cpl_text_kv_free(&kv);
    cpl_tensor_free(&x);
    cpl_tensor_free(&eps);
    free(t);
    rig_report(r, "unet", &v);
}

static void run_vae(rig *r, const cpl_model *model) {
    verdict v = {""};
    cpl_tensor z = rig_image(r, "vae", "z", 1), image = cpl_vae_decode(model->vae, r->s, &z, NULL, NULL);
    rig_compare(r, &v, "vae", "image", &image, tolerance);
    cpl_tensor_free(&z);
    cpl_tensor_free(&image);
    rig_report(r, "vae", &v);
}

static void run_model(rig *r, const char *path) {
    cpl_error error = {0};
    r->weights = cpl_checkpoint_of(cpl_safetensors_open(path, &error), &error);
    r->backend = r->weights ? golden_backend(&error) : NULL;
    r->s = r->backend ? r->backend->ops->stream_open(r->backend, &error) : NULL;
    cpl_model *model = r->s ? cpl_model_from(r->weights, NULL, r->backend, NULL, &error) : NULL;
    if (model) {
        r->spec = model->spec;
        cpl_tensor context = run_text(r, model);
        if (context.data) run_unet(r, model, &context);
        run_vae(r, model);
        cpl_tensor_free(&context);
    } else {
        golden_fail(r->g, path, "%s", error.message);
    }
    cpl_model_close(model);
}

void golden_full_size(golden *g) {
    const char *path = getenv("COUPLET_SD15_RANDOM");
    if (!path || !*path) {
        golden_skip(g, "full_size", "COUPLET_SD15_RANDOM names no checkpoint of 2.1 GB");
        return;
    }
    rig r = {.g = g, .expected = golden_tensors(g, "sd15_random_expected.safetensors")};
    if (r.expected) run_model(&r, path);
    rig_close(&r);
}
