/* prepare.h: a snapshot made ready to run: its lines encoded, its plans made. */
#ifndef CPL_SESSION_PREPARE_H
#define CPL_SESSION_PREPARE_H

#include "context.h"
#include "plans.h"
#include "snapshot.h"

typedef struct cpl_prepared {
    bool ready;
    cpl_listener positive, negative; /* the negative has one line, or as many as the positive if it is coupled too */
    const cpl_tensor *positive_pooled, *negative_pooled; /* held as well; NULL: zeros, or the model takes none */
    const cpl_plan_set *plans;                           /* held in the context's cache */
    const cpl_lora_set *loras;                           /* held as well; NULL: the model as it is */
    char note[320];                                      /* what the user should hear of this state, or "" */
    cpl_line_info *infos; /* owned: one for each line of the layout, a filled hole has none */
    int info_count;
} cpl_prepared;

/* What can be told without a model's weights. False: the layout cannot be used, `error` says where and why. */
bool cpl_snapshot_check(const cpl_snapshot *snapshot, cpl_error *error);
/* Redoes the least: what the context's caches hold is taken from there. On failure nothing stays held. */
bool cpl_prepare(cpl_prepared *prepared, cpl_context *context, const cpl_snapshot *snapshot, cpl_error *error);
void cpl_prepared_clear(cpl_prepared *prepared, cpl_context *context);
/* The two halves of the batch. */
cpl_unet_text cpl_prepared_positive(const cpl_prepared *prepared);
cpl_unet_text cpl_prepared_negative(const cpl_prepared *prepared);

#endif
