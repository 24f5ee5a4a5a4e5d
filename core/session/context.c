/* context.c: opening and closing in the right order: caches hold tensors of the stream, the stream runs on the engine. */
#include "context.h"

#include "plans.h"

bool cpl_context_open(cpl_context *context, cpl_engine *engine, const atomic_bool *cancelled, cpl_error *error) {
    *context = (cpl_context){.engine = engine};
    context->stream = engine->backend->ops->stream_open(engine->backend, error);
    if (context->stream) {
        context->stream->cancelled = cancelled;
        context->plans = cpl_plans_new(error);
        context->loras = cpl_loras_new(error);
        if (context->plans && context->loras && cpl_texts_open(&context->texts, engine->model, context->stream, error))
            return true;
    }
    cpl_context_close(context);
    return false;
}

void cpl_context_close(cpl_context *context) {
    cpl_texts_close(&context->texts);
    cpl_cache_free(context->plans);
    cpl_cache_free(context->loras);
    if (context->stream) context->stream->ops->stream_close(context->stream);
    cpl_engine_unref(context->engine);
    *context = (cpl_context){0};
}
