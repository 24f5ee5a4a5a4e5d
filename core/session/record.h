/* record.h: what a finished picture says about itself. */
#ifndef CPL_SESSION_RECORD_H
#define CPL_SESSION_RECORD_H

#include "snapshot.h"

/* Gives the event its texts: "couplet", the layout with every setting that was used, and "parameters", the infotext. */
bool cpl_record_texts(cpl_event *event, const cpl_snapshot *snapshot, int64_t seed, cpl_error *error);

#endif
