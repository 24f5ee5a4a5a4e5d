/* preview.h: a rough picture of a latent without the decoder. */
#ifndef CPL_SESSION_PREVIEW_H
#define CPL_SESSION_PREVIEW_H

#include "../model/spec.h"

/* latent: [z_channels, cells] of the sampler's scale; rgb: 3 bytes a cell. Only where spec->has_latent_rgb. */
void cpl_preview(const cpl_vae_spec *spec, const float *latent, size_t cells, unsigned char *rgb);

#endif
