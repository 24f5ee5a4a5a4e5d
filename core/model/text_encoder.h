/* text_encoder.h: the CLIP text encoder. */
#ifndef CPL_MODEL_TEXT_ENCODER_H
#define CPL_MODEL_TEXT_ENCODER_H

#include "embedding.h"
#include "load.h"
#include "spec.h"

typedef struct cpl_text_encoder cpl_text_encoder;
cpl_text_encoder *cpl_text_encoder_new(cpl_loader *loader, const cpl_text_spec *spec); /* NULL: the loader has failed */
void cpl_text_encoder_free(cpl_text_encoder *encoder, cpl_backend *backend);
/* What an encoder reads; all borrowed. */
typedef struct cpl_text_input {
    const int *ids; /* [chunks][context_length] */
    int chunks;
    const float *vectors; /* [vector_count][width]: what ids below zero mean, see cpl_vector_id; NULL: there are none */
    int vector_count;
} cpl_text_input;
/* For the encoder with that number; embeddings may be NULL. */
static inline cpl_text_input cpl_text_input_of(const cpl_embeddings *embeddings, int encoder, const int *ids,
                                               int chunks) {
    cpl_text_input input = {.ids = ids, .chunks = chunks};
    input.vectors = cpl_embeddings_table(embeddings, encoder, &input.vector_count);
    return input;
}

/* Result [chunks, 1, context_length, width] after `layers - (clip_skip - 1)` blocks and, if `final_norm`, the last layer
 * norm. `hidden` (may be NULL): a host array [layers + 1][chunks * length * width] that gets the state after each block,
 * 0 = embeddings. */
cpl_tensor cpl_text_encoder_run(const cpl_text_encoder *encoder, cpl_stream *s, const cpl_text_input *input,
                                int clip_skip, bool final_norm, float *hidden);
/* OpenCLIP's summary of the first chunk: the final norm's output (`clip_skip` 1, `final_norm`) at the first largest id, which
 * is the end marker, through the projection. Result [1, 1, 1, projection]; fails for an encoder that has none. */
cpl_tensor cpl_text_encoder_pool(const cpl_text_encoder *encoder, cpl_stream *s, const cpl_tensor *last,
                                 const int *ids);

#endif
