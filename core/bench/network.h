/* network.h: whole models on the bench: which ones, in which types, opened once for all parts that run them. */
#ifndef CPL_BENCH_NETWORK_H
#define CPL_BENCH_NETWORK_H

#include "../session/engine.h"
#include "bench.h"

typedef struct cpl_bench_model {
    cpl_bench_run *run;
    cpl_engine *engine;
    const cpl_model *model; /* of the engine */
    cpl_dtype type;
    const char *precision;
    bool large; /* minutes a picture: rounds are few */
} cpl_bench_model;

/* Calls `part` for the built-in model and for the one that was asked for, in each type that the backend computes in. */
bool cpl_bench_each_model(cpl_bench_run *run, const char *what, bool (*part)(cpl_bench_model *model));

#endif
