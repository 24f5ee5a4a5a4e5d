/* context.c: opening and closing in the right order: caches hold tensors of the stream, the stream runs on the engine. */
#include "context.h"

#include "plans.h"

enum { PLANS_PART = 16 };

static void give_way(void *user) {
    cpl_context *context = user;
    cpl_texts_trim(&context->texts);
    cpl_cache_trim(context->plans, 0);
    cpl_cache_trim(context->loras, 0);
}

bool cpl_context_open(cpl_context *context, cpl_engine *engine, const atomic_bool *cancelled, uint64_t cache_bytes,
                      cpl_error *error) {
    uint64_t plans = cache_bytes / PLANS_PART;
    *context = (cpl_context){.engine = engine};
    context->stream = engine->backend->ops->stream_open(engine->backend, error);
    if (context->stream) {
        context->stream->cancelled = cancelled;
        context->plans = cpl_plans_new(plans, error);
        context->loras = cpl_loras_new(error);
        if (context->plans && context->loras &&
            cpl_texts_open(&context->texts, engine->model, context->stream, cache_bytes - plans, error)) {
            cpl_pool_relieve_by(context->stream->pool, give_way, context);
            return true;
        }
    }
    cpl_context_close(context);
    return false;
}

void cpl_context_shed(cpl_context *context) {
    if (!context->stream) return;
    give_way(context);
    cpl_pool_trim(context->stream->pool, 0);
}

void cpl_context_close(cpl_context *context) {
    if (context->stream) cpl_pool_relieve_by(context->stream->pool, NULL, NULL);
    cpl_start_clear(&context->start);
    cpl_texts_close(&context->texts);
    cpl_cache_free(context->plans);
    cpl_cache_free(context->loras);
    cpl_embeddings_free(context->embeddings);
    if (context->stream) context->stream->ops->stream_close(context->stream);
    cpl_engine_unref(context->engine);
    *context = (cpl_context){0};
}
