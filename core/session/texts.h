/* texts.h: prompt lines as the network takes them, each text encoded once: conditionings and the keys and values of every
 * cross-attention layer, in two caches that live as long as the stream whose pool they lie in. */
#ifndef CPL_SESSION_TEXTS_H
#define CPL_SESSION_TEXTS_H

#include "../memory/cache.h"
#include "../model/lora.h"

typedef struct cpl_texts {
    const cpl_model *model;    /* borrowed */
    cpl_stream *stream;        /* borrowed */
    const cpl_lora_set *loras; /* borrowed: what is added to the model while lines are encoded; NULL: nothing */
    cpl_cache *conditionings, *kvs, *pooled;
    uint64_t encoder_calls;
} cpl_texts;
/* budget_bytes: of all of them together. */
bool cpl_texts_open(cpl_texts *texts, const cpl_model *model, cpl_stream *stream, uint64_t budget_bytes,
                    cpl_error *error);
void cpl_texts_trim(cpl_texts *texts); /* drops what no listener holds */
void cpl_texts_close(cpl_texts *texts);
/* From here on lines are encoded with this set, and found in the caches only as it made them. */
void cpl_texts_use(cpl_texts *texts, const cpl_lora_set *loras);

/* The lines of one half of the batch, held in the caches. */
typedef struct cpl_listener {
    int lines;
    const cpl_tensor **conditioning; /* owned array of borrowed values, as kv */
    const cpl_text_kv **kv;
} cpl_listener;
/* Encodes what is not there yet. A line that is NULL is a context of zeros. On failure nothing stays held. */
bool cpl_listener_open(cpl_listener *listener, cpl_texts *texts, char *const *line, int lines, cpl_error *error);
void cpl_listener_close(cpl_listener *listener, cpl_texts *texts);

/* The summary of a whole prompt, for a model that takes one; held until it is released (NULL is fine). */
const cpl_tensor *cpl_texts_pool(cpl_texts *texts, const char *prompt, cpl_error *error);
void cpl_texts_release_pooled(cpl_texts *texts, const cpl_tensor *pooled);

#endif
