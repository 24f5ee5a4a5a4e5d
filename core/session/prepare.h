/* prepare.h: a snapshot made ready to run: its lines encoded, its plans made. */
#ifndef CPL_SESSION_PREPARE_H
#define CPL_SESSION_PREPARE_H

#include "context.h"
#include "plans.h"
#include "snapshot.h"

/* What one batch element listens to. */
typedef struct cpl_voice {
    cpl_listener lines;
    cpl_summary summary; /* empty: zeros, or the model takes none */
    double weight;
} cpl_voice;

typedef struct cpl_prepared {
    bool ready;
    cpl_voice *positive; /* owned, [positives]: more than one where the prompt composes pictures by AND */
    int positives;
    cpl_voice negative;        /* one line, or as many as the positive if it is coupled too */
    const cpl_plan_set *plans; /* held in the context's cache */
    const cpl_lora_set *loras; /* held as well; NULL: the model as it is */
    cpl_line_info *infos;      /* owned: one for each line of the layout, a filled hole has none */
    int info_count;
    cpl_line_text *texts; /* owned, with their texts: what stands in `infos`, text by text */
    int text_count;
} cpl_prepared;

/* What can be told without a model's weights. False: the layout cannot be used, `error` says where and why. */
bool cpl_snapshot_check(const cpl_snapshot *snapshot, cpl_error *error);
/* Redoes the least: what the context's caches hold is taken from there. On failure nothing stays held. May be called
 * between two steps of a run: the stream's adapters are as before when it returns. second: for the run's second pass, on the
 * larger picture's grids, with the texts that change going on in time. */
bool cpl_prepare(cpl_prepared *prepared, cpl_context *context, const cpl_snapshot *snapshot, bool second,
                 cpl_error *error);
void cpl_prepared_clear(cpl_prepared *prepared, cpl_context *context);
/* A voice of it as the network takes it; valid while `prepared` is, and follows its turns. */
cpl_unet_text cpl_prepared_text(const cpl_prepared *prepared, const cpl_voice *voice);
/* Before a call of the model (from 0): lets each line say what is its turn. */
void cpl_prepared_turn(cpl_prepared *prepared, int call);

#endif
