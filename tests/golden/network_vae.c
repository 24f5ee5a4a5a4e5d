/* network_vae.c: golden groups of the VAE: latent to picture, picture to latent, and the chain with its scaling. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/model/vae.h"
#include "../../core/model/vae_encoder.h"
#include "network_rig.h"

static const double tolerance = 1e-4;

static void run_decode_case(rig *r, void *network, const char *name) {
    cpl_vae *vae = network;
    verdict v = {""};
    rig_listener listener = {r, &v, name, NULL, tolerance, 0};
    cpl_tensor z = rig_image(r, name, "z", 1), image = cpl_vae_decode(vae, r->s, &z, rig_listen, &listener);
    rig_compare(r, &v, name, "image", &image, tolerance);
    rig_heard_all(&listener);
    cpl_tensor_free(&image);
    /* In strips of two rows the reference is the same. */
    const cpl_vae_way strips = {.pixels = 1};
    image = cpl_vae_decode_by(vae, r->s, &z, &strips, NULL, NULL);
    rig_compare(r, &v, name, "image", &image, tolerance);
    cpl_tensor_free(&z);
    cpl_tensor_free(&image);
    rig_report(r, name, &v);
}

static void run_chain_case(rig *r, void *network, const char *name) {
    cpl_vae *vae = network;
    verdict v = {""};
    const cpl_st_entry *e = rig_find(r, name, "image01");
    cpl_tensor z = rig_image(r, name, "latent", 1);
    r->s->ops->scale_add(r->s, &z, 1 / r->spec.vae.scaling_factor, &z, 0, NULL);
    cpl_tensor image = cpl_vae_decode(vae, r->s, &z, NULL, NULL);
    float *wanted = rig_values(r, e), *values = rig_download(r->s, &image);
    if (wanted && values && cpl_stream_ok(r->s)) {
        if ((size_t)e->count != cpl_tensor_count(&image))
            verdict_add(&v, "image01 has %zu values, expected are %lld", cpl_tensor_count(&image), (long long)e->count);
        else {
            for (int64_t i = 0; i < e->count; i++) values[i] = fminf(fmaxf((values[i] + 1) / 2, 0), 1);
            double difference = golden_difference(values, wanted, (size_t)e->count);
            if (!(difference <= golden_tolerance(tolerance)))
                verdict_add(&v, "image01 differs by %g (tolerance %g)", difference, tolerance);
        }
    }
    free(wanted);
    free(values);
    cpl_tensor_free(&z);
    cpl_tensor_free(&image);
    rig_report(r, name, &v);
}

/* One part of what the encoder gives: z channels, the first of them `first`. */
static void compare_part(rig *r, verdict *v, const char *name, const char *key, const float *moments, int64_t area,
                         int first, float low, float high, float scale) {
    const cpl_st_entry *e = rig_find(r, name, key);
    float *wanted = rig_values(r, e);
    int64_t count = area * r->spec.vae.z_channels;
    float *part = malloc((size_t)count * sizeof *part);
    if (wanted && part && e->count != count)
        verdict_add(v, "%s has %lld values, expected are %lld", key, (long long)count, (long long)e->count);
    else if (wanted && part) {
        for (int64_t i = 0; i < count; i++) part[i] = fminf(fmaxf(moments[first * area + i], low), high) * scale;
        double difference = golden_difference(part, wanted, (size_t)count);
        if (!(difference <= golden_tolerance(tolerance)))
            verdict_add(v, "%s differs by %g (tolerance %g)", key, difference, tolerance);
    }
    free(wanted);
    free(part);
}

static void run_encode_case(rig *r, void *network, const char *name) {
    cpl_vae_encoder *encoder = network;
    verdict v = {""};
    rig_listener listener = {r, &v, name, NULL, tolerance, 0};
    int z = r->spec.vae.z_channels;
    cpl_tensor image = rig_image(r, name, "image", 1);
    cpl_tensor moments = cpl_vae_encode(encoder, r->s, &image, rig_listen, &listener);
    int64_t area = (int64_t)moments.h * moments.w;
    float *values = rig_download(r->s, &moments);
    if (values && cpl_stream_ok(r->s)) {
        compare_part(r, &v, name, "mean", values, area, 0, -INFINITY, INFINITY, 1);
        compare_part(r, &v, name, "logvar", values, area, z, -30, 20, 1);
        compare_part(r, &v, name, "latent_mode", values, area, 0, -INFINITY, INFINITY, r->spec.vae.scaling_factor);
    }
    rig_heard_all(&listener);
    free(values);
    cpl_tensor_free(&image);
    cpl_tensor_free(&moments);
    rig_report(r, name, &v);
}

static void with_decoder(golden *g, const char *model, const char *kind, const char *suffix,
                         void (*run)(rig *r, void *network, const char *name)) {
    rig r;
    cpl_error error = {0};
    if (!rig_open(&r, g, model, "vae")) return;
    cpl_loader l = {.backend = r.backend, .weights = r.weights, .error = &error};
    cpl_vae *vae = cpl_vae_new(&l, &r.spec.vae);
    if (vae)
        rig_each_case(&r, kind, suffix, run, vae);
    else
        golden_fail(g, model, "%s", error.message);
    cpl_vae_free(vae, r.backend);
    rig_close(&r);
}

void golden_vae_decode(golden *g, const char *model) { with_decoder(g, model, "decode", "z", run_decode_case); }
void golden_vae_chain(golden *g, const char *model) { with_decoder(g, model, "chain", "latent", run_chain_case); }

void golden_vae_encode(golden *g, const char *model) {
    rig r;
    cpl_error error = {0};
    if (!rig_open(&r, g, model, "vae")) return;
    cpl_loader l = {.backend = r.backend, .weights = r.weights, .error = &error};
    cpl_vae_encoder *encoder = cpl_vae_encoder_new(&l, &r.spec.vae);
    if (encoder)
        rig_each_case(&r, "encode", "image", run_encode_case, encoder);
    else
        golden_fail(g, model, "%s", error.message);
    cpl_vae_encoder_free(encoder, r.backend);
    rig_close(&r);
}
