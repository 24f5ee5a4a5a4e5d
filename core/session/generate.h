/* generate.h: one run of the prepared snapshot. */
#ifndef CPL_SESSION_GENERATE_H
#define CPL_SESSION_GENERATE_H

#include "session.h"

/* Worker: posts STARTED, PROGRESS and PREVIEW. Begins with end->picture (from 1), and where the layout has its seed drawn with
 * end->seed as that picture's (CPL_SEED_RANDOM: drawn). Fills `end` with what ends the run (FINISHED, CANCELLED or FAILED) for
 * the caller to post. `*started` tells whether STARTED went out; where it already says so, the run is one more attempt. Adds
 * to `*splices` the edits that its pictures took up, but for a first one that failed: that is made again, clean. */
void cpl_generate(cpl_session *session, cpl_event *end, bool *started, int *splices);

#endif
