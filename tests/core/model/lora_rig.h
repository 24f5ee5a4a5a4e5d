/* lora_rig.h: what the tests of LoRAs share: the output of a tiny model, with something added to it or not. */
#ifndef TESTS_MODEL_LORA_RIG_H
#define TESTS_MODEL_LORA_RIG_H

#include <unistd.h>

#include "../../../core/model/lora.h"
#include "st_bag.h"

/* ---- Models ---- */

static cpl_backend *backend;
static cpl_stream *stream;

static inline void open_stream(void) {
    cpl_error error = {0};
    backend = cpl_cpu_backend.open(&(cpl_backend_config){.threads = 1, .precision = CPL_F32}, &error);
    stream = backend ? backend->ops->stream_open(backend, &error) : NULL;
    if (!stream) fail_msg("%s", error.message);
}

static inline void close_stream(void) {
    backend->ops->stream_close(stream);
    backend->ops->close(backend);
}

static inline cpl_model *open_model(const char *path) {
    cpl_error error = {0};
    cpl_checkpoint *checkpoint = cpl_checkpoint_of(cpl_safetensors_open(path, &error), &error);
    cpl_model *m = checkpoint ? cpl_model_from(checkpoint, NULL, backend, NULL, &error) : NULL;
    if (!m) fail_msg("%s", error.message);
    cpl_checkpoint_close(checkpoint);
    return m;
}

/* What a model makes of one text and one latent: the context, then the UNet's output. Caller frees. */
static inline float *output_of(const cpl_model *m, const cpl_adapters *adapters, size_t *count) {
    enum { LENGTH = 77, SIDE = 8 };
    cpl_error error = {0};
    int ids[LENGTH], last = m->spec.text[0].vocab_size - 1;
    float ones[LENGTH];
    for (int i = 0; i < LENGTH; i++) {
        ids[i] = i == 0 ? last - 1 : i < 9 ? 10 + 7 * i : last;
        ones[i] = 1;
    }
    const cpl_chunks chunks = {.chunks = 1, .length = LENGTH, .ids = ids, .multipliers = ones, .tokens = 8};
    cpl_tensor context, pooled = {0}, vector = {0};
    cpl_text_kv kv;
    stream->adapters = adapters;
    if (!cpl_model_encode_chunks(m, stream, NULL, &chunks, 1, &context, &error)) fail_msg("%s", error.message);
    if (cpl_model_pooled_width(&m->spec)) {
        if (!cpl_model_pool_chunks(m, stream, NULL, &chunks, &pooled, &error)) fail_msg("%s", error.message);
        vector = cpl_make(stream, 1, 1, 1, m->spec.unet.adm_in_channels);
        cpl_model_vector(m, stream, &vector, &pooled, 64, 64);
    }
    assert_true(cpl_unet_text_kv(m->unet, stream, &context, &kv, &error));
    const cpl_text_kv *lines[1] = {&kv};
    const cpl_unet_text text = {.lines = 1, .kv = lines};
    cpl_tensor x = cpl_make(stream, 1, SIDE, SIDE, 4), eps = cpl_make(stream, 1, SIDE, SIDE, 4);
    float latent[SIDE * SIDE * 4];
    for (int i = 0; i < SIDE * SIDE * 4; i++) latent[i] = (float)((i * 37) % 64) / 32 - 1;
    stream->ops->upload(stream, &x, latent);
    cpl_unet_run(m->unet, stream, &eps, &x, (const float[]){400}, vector.data ? &vector : NULL, &text, NULL, NULL);
    size_t words = cpl_tensor_count(&context), values = cpl_tensor_count(&eps);
    float *out = calloc(words + values, sizeof *out);
    stream->ops->download(stream, out, &context);
    stream->ops->download(stream, out + words, &eps);
    stream->adapters = NULL;
    if (!cpl_stream_settle(stream, &error)) fail_msg("%s", error.message);
    cpl_tensor *const all[] = {&context, &pooled, &vector, &x, &eps};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cpl_tensor_free(all[i]);
    cpl_text_kv_free(&kv);
    *count = words + values;
    return out;
}

static inline double distance_of(const float *a, const float *b, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        if (!(d <= most && -d <= most)) most = d < 0 ? -d : d;
    }
    return most;
}

#endif
