/* bench.h: what the parts of bench-gpu share: a backend with a stream, how work on it is timed, and the results.
 *
 * Time is the device's own, between the begin and the end of a step (cpl_stats.device_step_ms), so nothing of the host is in
 * it; what the host adds is told separately. */
#ifndef GPU_BENCH_BENCH_H
#define GPU_BENCH_BENCH_H

#include "../../core/backend.h"
#include "../../core/layout/builder.h"

typedef struct gpu_bench {
    cpl_backend *backend;
    cpl_stream *s;
    cpl_tensor probe; /* one value; fetching it waits for all that came before */
    bool quick;       /* small shapes and few rounds: to see whether the benchmark works */
    double gbps;      /* bytes read and written per second by a copy, / 1e9; 0: not measured yet */
    cpl_builder out;  /* JSON */
    int written;      /* of the list that is being written */
    cpl_error error;
} gpu_bench;

typedef struct gpu_timing {
    double device_ms; /* the median */
    double host_ms;   /* what the host took to put one step into the stream */
    double wall_ms;   /* a step, many of them one after the other: above device_ms by the gaps */
} gpu_timing;

/* Times a step of `inner` calls of `work`, in ms for one call. False: the stream failed. */
bool gpu_bench_time(gpu_bench *b, void (*work)(void *context, int call), void *context, int inner, gpu_timing *timing);
/* A tensor of values like those of a normed activation. Empty: the stream has failed. */
cpl_tensor gpu_bench_tensor(gpu_bench *b, int n, int h, int w, int c, unsigned seed);

void gpu_bench_open(gpu_bench *b, const char *list); /* "list": [ */
void gpu_bench_row(gpu_bench *b);                    /* a new object in it */
void gpu_bench_text(gpu_bench *b, const char *key, const char *value);
void gpu_bench_number(gpu_bench *b, const char *key, double value);
void gpu_bench_close(gpu_bench *b);

bool gpu_bench_copy(gpu_bench *b);     /* fills gbps */
bool gpu_bench_products(gpu_bench *b); /* "products" */
bool gpu_bench_coupled(gpu_bench *b);  /* "coupled" */
bool gpu_bench_steps(gpu_bench *b);    /* "steps" */

#endif
