/* vae_encoder.h: picture to latent. */
#ifndef CPL_MODEL_VAE_ENCODER_H
#define CPL_MODEL_VAE_ENCODER_H

#include "vae.h"

typedef struct cpl_vae_encoder cpl_vae_encoder;
cpl_vae_encoder *cpl_vae_encoder_new(cpl_loader *loader, const cpl_vae_spec *spec); /* NULL: the loader has failed */
void cpl_vae_encoder_free(cpl_vae_encoder *encoder, cpl_backend *backend);
/* image [n, h, w, 3], -1..1, sides at least 2^(levels - 1). Result [n, h/f, w/f, 2 * z_channels]: the mean, then the log
 * variance as the network gives it (to be clamped to -30..20 before use); not yet multiplied by scaling_factor. */
cpl_tensor cpl_vae_encode(const cpl_vae_encoder *encoder, cpl_stream *s, const cpl_tensor *image, cpl_vae_probe *probe,
                          void *probe_user);
/* As cpl_vae_decode_by. */
cpl_tensor cpl_vae_encode_by(const cpl_vae_encoder *encoder, cpl_stream *s, const cpl_tensor *image,
                             const cpl_vae_way *way, cpl_vae_probe *probe, void *probe_user);

#endif
