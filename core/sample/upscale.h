/* upscale.h: a latent made larger for a second pass, by the rules of torch's interpolate (corners not aligned). */
#ifndef CPL_SAMPLE_UPSCALE_H
#define CPL_SAMPLE_UPSCALE_H

#include "../memory/error.h"

/* planes: [channels][h][w]; result [channels][to_h][to_w], freed by the caller. name: one of cpl_upscaler_names that works on
 * latents. */
float *cpl_upscale_latent(const char *name, const float *planes, int channels, int w, int h, int to_w, int to_h,
                          cpl_error *error);
/* False: it works on the decoded picture. */
bool cpl_upscaler_is_latent(const char *name);

#endif
