/* snapshot.h: a deep copy of what the user handed over, with all that says which picture it makes. */
#ifndef CPL_SESSION_SNAPSHOT_H
#define CPL_SESSION_SNAPSHOT_H

#include "../backend.h"
#include "../model/asset_index.h"
#include "../model/lora.h"
#include "embedding_wants.h"

/* What a model's headers say, remembered until a file changes: handing over a layout must not read a file. */
typedef struct cpl_lookup {
    char *model, *directory, *vae; /* owned: what was looked up; NULL as in a layout */
    bool valid;
    cpl_model_info info;
    uint64_t identity, stamp;
    cpl_asset_index *loras; /* owned: NULL before the first LoRA was asked for; outlives a change of the model, */
    cpl_embedding_index *embeddings; /* as this does: NULL before the first layout */
} cpl_lookup;
void cpl_lookup_clear(cpl_lookup *lookup);

/* What of a picture is decided outside of the layout and the model. */
typedef struct cpl_surroundings {
    const cpl_backend_ops *ops; /* borrowed */
    bool automatic;             /* the precision is chosen by the model */
    cpl_dtype precision;        /* unless automatic */
    const char *lora_dir;       /* where LoRAs are found, or NULL */
    const char *embedding_dir;  /* and embeddings */
} cpl_surroundings;
/* f32 for small models, where it costs little; for large ones the fastest precision that the device has. */
cpl_dtype cpl_precision_for(const cpl_surroundings *around, const cpl_model_info *model);

typedef struct cpl_snapshot {
    cpl_layout *layout; /* owned */
    cpl_settings settings;
    cpl_model_info model; /* from the header */
    uint64_t identity;    /* of the model */
    cpl_lora_want *loras; /* owned: each file and weight once */
    int lora_count;
    cpl_embedding_want *embeddings; /* owned: those that the texts name */
    int embedding_count;
    cpl_dtype precision; /* that it is computed in */
    uint64_t start;      /* stamp of the picture that the run begins with, 0: none */
    uint64_t revision, hash;
    uint64_t frame;  /* equal: a run of the one can take the other up on its way, if it has as many texts */
    cpl_error error; /* code other than CPL_OK: it names a model that is not there, or a setting without meaning */
} cpl_snapshot;

/* Fills in everything but the copy of the layout and the revision (cpl_snapshot_clear empties it again). Fails only for want of memory: what is wrong with the
 * layout stands in snapshot->error. A hash is never 0. */
bool cpl_snapshot_measure(cpl_snapshot *snapshot, const cpl_layout *layout, cpl_lookup *lookup,
                          const cpl_surroundings *around, cpl_error *error);
void cpl_snapshot_clear(cpl_snapshot *snapshot);
void cpl_snapshot_free(cpl_snapshot *snapshot);

#endif
