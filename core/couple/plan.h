/* plan.h: all that coupled attention needs to know about a layout at one token grid.
 *
 * A plan groups the tokens by the set of lines that cover them: every token of a group has weight above zero for just
 * the lines of that group, so a kernel gathers a group's queries once and runs its lines over them; no line is ever
 * computed where its mask is zero. (A row of tokens crosses every column region, a group never does.) */
#ifndef CPL_COUPLE_PLAN_H
#define CPL_COUPLE_PLAN_H

#include "../memory/error.h"

typedef struct cpl_plan_group {
    int first_token, tokens; /* into cpl_plan.token */
    int first_line, lines;   /* into cpl_plan.line */
    size_t first_weight;     /* into cpl_plan.weight: [lines][tokens] of this group, line-major */
} cpl_plan_group;

typedef struct cpl_plan {
    uint64_t id;     /* unique in the process: a device keeps its copy under it */
    int w, h, lines; /* the grid, and how many lines the layout has */
    int groups, largest_group;
    cpl_plan_group *group; /* owned, as all arrays here */
    int *token;            /* [w * h]: token numbers (y * w + x), group after group, ascending inside a group */
    int *line;             /* line numbers, group after group, ascending inside a group */
    float *weight;
    bool *touched; /* [lines]: does the line have any token at this grid? */
} cpl_plan;

/* masks: [lines][w * h], normalised (cpl_layout_masks). Negative or NaN weights are refused. */
cpl_plan *cpl_plan_new(const float *masks, int lines, int w, int h, cpl_error *error);
void cpl_plan_free(cpl_plan *plan);
size_t cpl_plan_bytes(const cpl_plan *plan);

#endif
