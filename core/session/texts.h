/* texts.h: prompt lines as the network takes them, each text encoded once: conditionings and the keys and values of every
 * cross-attention layer, in caches that live as long as the stream whose pool they lie in. */
#ifndef CPL_SESSION_TEXTS_H
#define CPL_SESSION_TEXTS_H

#include "../layout/turns.h"
#include "../memory/cache.h"
#include "../model/lora.h"

typedef struct cpl_texts {
    const cpl_model *model;           /* borrowed */
    cpl_stream *stream;               /* borrowed */
    const cpl_lora_set *loras;        /* borrowed: what is added to the model while lines are encoded; NULL: nothing */
    const cpl_embeddings *embeddings; /* borrowed: names with vectors of their own in the lines; NULL: none */
    cpl_cache *conditionings, *kvs, *pooled;
    uint64_t encoder_calls;
} cpl_texts;
/* budget_bytes: of all of them together. */
bool cpl_texts_open(cpl_texts *texts, const cpl_model *model, cpl_stream *stream, uint64_t budget_bytes,
                    cpl_error *error);
void cpl_texts_trim(cpl_texts *texts); /* drops what no listener holds */
void cpl_texts_close(cpl_texts *texts);
/* From here on lines are encoded with these, and found in the caches only as they made them. */
void cpl_texts_use(cpl_texts *texts, const cpl_lora_set *loras, const cpl_embeddings *embeddings);

/* A line whose text may change during a run, all of its texts held in the caches. */
typedef struct cpl_speech {
    cpl_turns turns; /* owned; no turns: a context of zeros */
    int clip_skip, on;
    const cpl_tensor **conditioning; /* owned array of borrowed values, one for each turn, as kv */
    const cpl_text_kv **kv;
} cpl_speech;

/* The lines of one batch element. */
typedef struct cpl_listener {
    int lines;
    cpl_speech *speech;     /* owned, [lines] */
    const cpl_text_kv **kv; /* owned array of borrowed values, [lines]: of the turns that are on */
} cpl_listener;
/* Encodes what is not there yet; the first turn of each line is on. Takes the turns over and leaves empty ones behind. On failure
 * nothing stays held. */
bool cpl_listener_open(cpl_listener *listener, cpl_texts *texts, cpl_turns *lines, int count, int clip_skip,
                       cpl_error *error);
void cpl_listener_close(cpl_listener *listener, cpl_texts *texts);
/* Before a call of the model (from 0): lets each line say what is its turn. Allocates nothing. */
void cpl_listener_turn(cpl_listener *listener, int call);

/* The summaries of a whole prompt, for a model that takes one; empty: zeros. */
typedef struct cpl_summary {
    cpl_turns turns;           /* owned */
    const cpl_tensor **pooled; /* owned array of borrowed values, one for each turn */
} cpl_summary;
bool cpl_summary_open(cpl_summary *summary, cpl_texts *texts, cpl_turns *prompt, cpl_error *error);
void cpl_summary_close(cpl_summary *summary, cpl_texts *texts);
/* The one whose turn it is; NULL: zeros. */
const cpl_tensor *cpl_summary_at(const cpl_summary *summary, int call);

#endif
