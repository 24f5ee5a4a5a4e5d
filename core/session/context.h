/* context.h: an engine with one stream on it and what was computed on that stream: the working memory of one worker. */
#ifndef CPL_SESSION_CONTEXT_H
#define CPL_SESSION_CONTEXT_H

#include "engine.h"
#include "loras.h"
#include "start.h"
#include "texts.h"

typedef struct cpl_context {
    cpl_engine *engine; /* one reference; NULL: nothing is open */
    cpl_stream *stream;
    cpl_texts texts;
    cpl_cache *plans, *loras;
    cpl_embeddings *embeddings; /* owned: those that were named last, NULL: none; only needed while lines are encoded */
    cpl_start start;
} cpl_context;

/* Takes the reference over, also on failure. `cancelled` is asked by everything that runs on the stream. The context stays
 * where it is: the stream's pool asks it to give way when memory is short. cache_bytes: budget of all caches. */
bool cpl_context_open(cpl_context *context, cpl_engine *engine, const atomic_bool *cancelled, uint64_t cache_bytes,
                      cpl_error *error);
/* Drops what no run holds from the caches, and the pool's idle blocks. */
void cpl_context_shed(cpl_context *context);
void cpl_context_close(cpl_context *context);

#endif
