/* emphasis.h: multipliers of tokens applied to what the encoder made of them. Private to core/model. */
#ifndef CPL_MODEL_EMPHASIS_H
#define CPL_MODEL_EMPHASIS_H

#include <stdbool.h>

/* values: one chunk, [tokens][width], in place. `keep_mean`: afterwards the whole chunk is scaled so that the mean of all
 * its values is what it was (the original's default). True if anything changed. */
bool cpl_emphasize(float *values, const float *multipliers, int tokens, int width, bool keep_mean);

#endif
