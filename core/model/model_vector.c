/* model_vector.c: what SDXL takes beside the context: one vector of the whole prompt's summary and of the picture's size,
 * and what an empty negative prompt is to it. Models without such a vector never come here. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "chunks.h"
#include "model.h"

#define SIZE_NUMBERS 6
#define SIZE_WAVES 256 /* each number is embedded like a time step */

int cpl_model_pooled_width(const cpl_model_spec *spec) {
    int width = spec->unet.adm_in_channels - SIZE_NUMBERS * SIZE_WAVES;
    return spec->unet.adm_in_channels == 0 || width < 0 ? 0 : width;
}

/* The encoder reads up to its first end marker, and only the first chunk counts. Emphasis does not reach it. */
bool cpl_model_pool_chunks(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings,
                           const cpl_chunks *chunks, cpl_tensor *pooled, cpl_error *error) {
    int last = model->spec.texts - 1;
    *pooled = (cpl_tensor){0};
    if (!cpl_chunks_fit(model, chunks, error)) return false;
    int *ids = cpl_chunks_refill(chunks, model->spec.text[last].vocab_size - 1, error);
    if (!ids) return false;
    const cpl_text_input input = cpl_text_input_of(embeddings, last, ids, 1);
    cpl_tensor x = cpl_text_encoder_run(model->text[last], s, &input, 1, true, NULL);
    *pooled = cpl_text_encoder_pool(model->text[last], s, &x, ids);
    cpl_tensor_free(&x);
    free(ids);
    if (cpl_stream_settle(s, error)) return true;
    cpl_tensor_free(pooled);
    return false;
}

bool cpl_model_pool(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings, const char *text,
                    cpl_tensor *pooled, cpl_error *error) {
    cpl_chunks chunks;
    *pooled = (cpl_tensor){0};
    if (!cpl_chunks_of_line(model, embeddings, text, &chunks, error)) return false;
    bool ok = cpl_model_pool_chunks(model, s, embeddings, &chunks, pooled, error);
    cpl_chunks_clear(&chunks);
    return ok;
}

static cpl_tensor make_zeros(cpl_stream *s, cpl_dtype type, int w, int c) {
    cpl_error error = {0};
    cpl_tensor zeros = cpl_make_as(s, type, 1, 1, w, c);
    float *values = cpl_alloc((size_t)w * (size_t)c, sizeof *values, &error);
    if (values)
        s->ops->upload(s, &zeros, values);
    else
        cpl_stream_fail(s, error.code, "%s", error.message);
    free(values);
    return zeros;
}

bool cpl_model_encode_nothing(const cpl_model *model, cpl_stream *s, cpl_tensor *conditioning, cpl_error *error) {
    *conditioning =
        make_zeros(s, s->backend->precision, model->spec.text[0].context_length, model->spec.unet.context_dim);
    if (cpl_stream_settle(s, error)) return true;
    cpl_tensor_free(conditioning);
    return false;
}

cpl_tensor cpl_size_vector(cpl_stream *s, const float size[6]) {
    cpl_tensor waves = cpl_make_as(s, CPL_F32, SIZE_NUMBERS, 1, 1, SIZE_WAVES);
    s->ops->timestep_embedding(s, &waves, size);
    /* The embeddings lie one after the other: one row of all of them is the same memory. */
    waves.c *= waves.n;
    waves.n = 1;
    return waves;
}

void cpl_model_vector(const cpl_model *model, cpl_stream *s, const cpl_tensor *y, const cpl_tensor *pooled, int width,
                      int height) {
    const float size[SIZE_NUMBERS] = {(float)height, (float)width, 0, 0, (float)height, (float)width};
    cpl_tensor waves = cpl_size_vector(s, size), zeros = {0};
    if (!pooled) zeros = make_zeros(s, CPL_F32, 1, cpl_model_pooled_width(&model->spec));
    s->ops->concat(s, y, pooled ? pooled : &zeros, &waves);
    cpl_tensor_free(&zeros);
    cpl_tensor_free(&waves);
}
