/* attention.h: what self-attention and coupled cross-attention share: texts, and tiles of queries that are run over
 * them. Private to core/cpu. */
#ifndef CPL_CPU_ATTENTION_H
#define CPL_CPU_ATTENTION_H

#include "attend.h"
#include "cpu.h"

/* Keys and values of one text, or of one batch element in self-attention: rows of all heads side by side, or arranged:
 * head by head, values of bf16 as cpu_attend wants them. */
typedef struct cpu_source {
    const void *k, *v; /* of the queries' type */
    int keys;
    bool arranged;
    size_t packed_k, packed_v; /* where the copy of its heads begins, if there is one */
} cpu_source;

/* What a batch element listens to. */
typedef struct cpu_element {
    const cpl_plan *plan; /* borrowed; NULL: source[0] alone, weight 1 */
    const int *source;
} cpu_element;

/* Queries that are computed together: a run of tokens, or part of a plan's group. */
typedef struct cpu_queries {
    int element, group, first, count;
} cpu_queries;

typedef struct cpu_attention_job {
    const cpl_tensor *y, *q;
    int heads;
    bool causal;
    int sources, tiles;
    cpu_source *source;         /* [sources]; packed_k and packed_v are filled in by the run */
    const cpu_element *element; /* [q->n] */
    const cpu_queries *tile;    /* [tiles] */
} cpu_attention_job;

static inline int cpu_tiles_of(int queries) { return (queries + CPU_ATTEND_QUERIES - 1) / CPU_ATTEND_QUERIES; }
/* Appends the tiles of `queries` tokens and returns how many there are now. */
int cpu_cut_tiles(cpu_queries *tile, int tiles, int element, int group, int queries);
/* Whether texts for heads of so many channels are arranged at all, and what shapes they have then. */
bool cpu_arranged_shapes(cpl_dtype type, int keys, int heads, int depth, cpl_tensor *k, cpl_tensor *v);
void cpu_attention_run(cpl_stream *s, cpu_attention_job *job);

#endif
