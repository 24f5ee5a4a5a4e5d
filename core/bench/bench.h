/* bench.h: what the parts of the benchmark share: what was asked for, the ceilings that were measured first, and the JSON
 * that they all write to. */
#ifndef CPL_BENCH_BENCH_H
#define CPL_BENCH_BENCH_H

#include "../cpu/ceiling.h"
#include "../layout/builder.h"

typedef struct cpl_bench_run {
    const cpl_bench_options *options; /* borrowed */
    cpl_ceiling *ceiling;             /* owned by cpl_bench */
    double flops_per_ms[3];           /* by cpl_dtype, the best of the ceiling's shapes; 0: not in this type */
    cpl_builder out;
    cpl_error *error;
} cpl_bench_run;

/* The parts. False: error says why; a type or model that is not there is left out and is no failure. */
bool cpl_bench_machine(cpl_bench_run *run);
bool cpl_bench_coupled(cpl_bench_run *run);
bool cpl_bench_steps(cpl_bench_run *run);
bool cpl_bench_texts(cpl_bench_run *run);
bool cpl_bench_vae(cpl_bench_run *run);
bool cpl_bench_edits(cpl_bench_run *run);

void cpl_bench_say(const cpl_bench_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* quick: of a few seconds, for tests; else as often as steady numbers want it. */
static inline int cpl_bench_rounds(const cpl_bench_run *run, int many, int few) {
    return run->options->quick ? few : many;
}
/* The types that are to be measured, by number from 0; false: no more. */
bool cpl_bench_type(const cpl_bench_run *run, int number, cpl_dtype *type, const char **name);
cpl_backend *cpl_bench_backend(const cpl_bench_run *run, cpl_dtype type, cpl_error *error);
/* What is least for so much arithmetic, in ms; 0 where the rate is not known. */
double cpl_bench_floor(const cpl_bench_run *run, cpl_dtype type, double flops);

/* Members of an object; commas are put where they belong. `key` NULL: an element of a list. */
void cpl_bench_begin(cpl_bench_run *run, const char *key, char bracket);
void cpl_bench_end(cpl_bench_run *run, char bracket);
void cpl_bench_number(cpl_bench_run *run, const char *key, double value); /* to five digits */
void cpl_bench_whole(cpl_bench_run *run, const char *key, uint64_t value);
void cpl_bench_text(cpl_bench_run *run, const char *key, const char *value);

bool cpl_bench_tensor(cpl_stream *s, cpl_tensor *t, int n, int h, int w, int c, unsigned seed, cpl_error *error);
double cpl_bench_middle(double *values, int count, double share); /* sorts; share 0.5: the median */

#endif
