/* engine.c: lifetime of backend and model together. */
#include "engine.h"

#include <stdlib.h>

#include "../memory/alloc.h"

cpl_engine *cpl_engine_open(const cpl_backend_ops *ops, const cpl_backend_config *config,
                            const cpl_model_source *source, const cpl_load_watch *watch, cpl_error *error) {
    cpl_engine *engine = cpl_alloc(1, sizeof *engine, error);
    if (!engine) return NULL;
    atomic_init(&engine->references, 1);
    engine->backend = ops->open(config, error);
    if (engine->backend) engine->model = cpl_model_open(source, engine->backend, watch, error);
    if (engine->model) return engine;
    cpl_engine_unref(engine);
    return NULL;
}

cpl_engine *cpl_engine_ref(cpl_engine *engine) {
    atomic_fetch_add(&engine->references, 1);
    return engine;
}

void cpl_engine_unref(cpl_engine *engine) {
    if (!engine || atomic_fetch_sub(&engine->references, 1) > 1) return;
    cpl_model_close(engine->model);
    if (engine->backend) engine->backend->ops->close(engine->backend);
    free(engine);
}
