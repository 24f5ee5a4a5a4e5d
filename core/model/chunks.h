/* chunks.h: a line's chunks as a model's encoders take them. Private to core/model. */
#ifndef CPL_MODEL_CHUNKS_H
#define CPL_MODEL_CHUNKS_H

#include "model.h"

/* Fails where the model has no tokenizer. */
bool cpl_chunks_of_line(const cpl_model *model, const cpl_embeddings *embeddings, const char *text, cpl_chunks *chunks,
                        cpl_error *error);
bool cpl_chunks_fit(const cpl_model *model, const cpl_chunks *chunks, cpl_error *error);
/* The ids for SDXL's second encoder, which fills with id 0 behind the first end marker. Freed by the caller. */
int *cpl_chunks_refill(const cpl_chunks *chunks, int end, cpl_error *error);

#endif
