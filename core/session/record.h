/* record.h: what a finished picture says about itself. */
#ifndef CPL_SESSION_RECORD_H
#define CPL_SESSION_RECORD_H

#include "snapshot.h"

/* Gives the event its texts: "couplet", the layout with every setting that was used, its masks inside and its paths whole (but for
 * plain names of models, VAEs and LoRAs), and "parameters", the infotext; where edits were taken up on the way, `splices` as
 * "couplet-splices": a line each, "step 5: " and the hash from there on. NULL: none. */
bool cpl_record_texts(cpl_event *event, const cpl_snapshot *snapshot, int64_t seed, const char *splices,
                      cpl_error *error);

#endif
