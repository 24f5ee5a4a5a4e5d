/* engine.h: a model loaded on a backend. Immutable once open, so that several sessions may share one by reference. */
#ifndef CPL_SESSION_ENGINE_H
#define CPL_SESSION_ENGINE_H

#include <stdatomic.h>

#include "../model/model.h"

typedef struct cpl_engine {
    atomic_int references;
    cpl_backend *backend; /* owned */
    cpl_model *model;     /* owned */
} cpl_engine;

/* Opened by the thread that will run it: OpenMP keeps its thread count per thread. */
cpl_engine *cpl_engine_open(const cpl_backend_ops *ops, const cpl_backend_config *config,
                            const cpl_model_source *source, const cpl_load_watch *watch, cpl_error *error);
cpl_engine *cpl_engine_ref(cpl_engine *engine);
void cpl_engine_unref(cpl_engine *engine); /* streams on it must be closed before the last one */

#endif
