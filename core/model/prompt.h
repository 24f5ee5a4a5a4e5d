/* prompt.h: one prompt line to token chunks: emphasis, BREAK, chunks (golden/engine/FORMAT.md section 2). */
#ifndef CPL_MODEL_PROMPT_H
#define CPL_MODEL_PROMPT_H

#include "embedding.h"
#include "tokenizer.h"

typedef struct cpl_prompt_part {
    char *text;
    double weight;
} cpl_prompt_part; /* BREAK: text "BREAK", weight -1 */
bool cpl_prompt_parse(const char *text, cpl_prompt_part **parts, int *count, cpl_error *error); /* emphasis syntax */
void cpl_prompt_parts_free(cpl_prompt_part *parts, int count);

/* Chunks of context_length ids: start, text, end, filled with `pad`. One multiplier per id. The vectors of an embedding are ids
 * below zero (cpl_vector_id), and stand in one chunk. */
typedef struct cpl_chunks {
    int chunks, length; /* length = context_length */
    int *ids;           /* [chunks][length] */
    float *multipliers; /* [chunks][length] */
    int tokens;         /* as the WebUI counts them: a chunk that was closed is full, markers are not counted */
} cpl_chunks;
bool cpl_prompt_chunks(const cpl_tokenizer *tokenizer, const cpl_embeddings *embeddings /* may be NULL */,
                       const char *text, int context_length, int pad, cpl_chunks *chunks, cpl_error *error);
void cpl_chunks_clear(cpl_chunks *chunks);

#endif
