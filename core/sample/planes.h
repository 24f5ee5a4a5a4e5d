/* planes.h: host memory between the outside's order of values (NCHW, as recorded noise and dumps have it) and the
 * networks' (NHWC), and the way from a latent to a picture. */
#ifndef CPL_SAMPLE_PLANES_H
#define CPL_SAMPLE_PLANES_H

#include "../model/model.h"

/* [c][cells] to [cells][c] and back. */
void cpl_interleave(float *out, const float *planes, int c, size_t cells);
void cpl_deinterleave(float *planes, const float *in, int c, size_t cells);

/* Decodes a latent [z, h, w] of the sampler's scale to [3, h * factor, w * factor] clamped to 0..1, freed by the caller.
 * way->pixels: 0 stands for what memory asks for, SIZE_MAX for the whole; where that fails for want of memory, it is done
 * once more in small strips. NaN is no picture but a failure. */
float *cpl_decode_latent(const cpl_model *model, cpl_stream *s, const float *latent, int w, int h,
                         const cpl_vae_way *way, cpl_error *error);

#endif
