/* plans.h: the coupling plans of a layout at every attention grid, made once for each geometry. */
#ifndef CPL_SESSION_PLANS_H
#define CPL_SESSION_PLANS_H

#include "../memory/cache.h"
#include "../model/model.h"

typedef struct cpl_plan_set {
    int lines;                       /* one more than the layout's where a hole is filled */
    cpl_plan *level[CPL_MAX_LEVELS]; /* owned; NULL where the network does not couple */
    bool *vanishes;                  /* owned, [lines]: no token at some grid */
    cpl_mask **masks;                /* owned references: the key names them by address */
    int mask_count;
} cpl_plan_set;

cpl_cache *cpl_plans_new(uint64_t budget_bytes, cpl_error *error);
/* The set for a layout of `lines` prompt lines, held until cpl_cache_release(cache, set). `second`: for the grids of the larger
 * picture of a second pass; masks are the canvas' all the same, as in Forge Couple. An uncovered canvas is an error with
 * code CPL_E_INPUT. */
const cpl_plan_set *cpl_plans_find(cpl_cache *cache, const cpl_model *model, const cpl_layout *layout,
                                   const cpl_settings *settings, bool second, int lines, cpl_error *error);

#endif
