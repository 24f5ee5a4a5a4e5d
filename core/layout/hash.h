/* hash.h: what decides whether two layouts make the same picture. */
#ifndef CPL_LAYOUT_HASH_H
#define CPL_LAYOUT_HASH_H

#include "../couplet.h"

/* Over the resolved values of all that changes pixels: settings, mode, geometry, weights, mask pixels, prompt lines.
 * Not: colours, names, notes, how a value was written, or which model file (the session adds its identity). */
uint64_t cpl_layout_hash(const cpl_layout *layout, const cpl_settings *settings);
/* Over what a run under way cannot exchange: all of the above but where regions lie, what they weigh and what they say. */
uint64_t cpl_layout_frame_hash(const cpl_layout *layout, const cpl_settings *settings);

#endif
