/* vae.h: latent to picture. The way back is vae_encoder.h. */
#ifndef CPL_MODEL_VAE_H
#define CPL_MODEL_VAE_H

#include "load.h"
#include "spec.h"

/* The pool is trimmed to this before each level of the decoder, and before and after the whole: no level has use for the
 * others' blocks, nor has the UNet. Those of a small model may all lie idle, so that a second run takes no memory; those of
 * a large one would add to its peak. */
#define CPL_VAE_KEEP ((size_t)256 << 20)

typedef struct cpl_vae cpl_vae;
cpl_vae *cpl_vae_new(cpl_loader *loader, const cpl_vae_spec *spec); /* NULL: the loader has failed */
void cpl_vae_free(cpl_vae *vae, cpl_backend *backend);
int cpl_vae_factor(const cpl_vae *vae); /* pixels per latent cell */
typedef void cpl_vae_probe(void *user, cpl_stream *s, const char *module, const cpl_tensor *output);
/* z [n, h, w, z_channels], already divided by scaling_factor. Result [n, h*f, w*f, 3], about -1..1, not clamped. */
cpl_tensor cpl_vae_decode(const cpl_vae *vae, cpl_stream *s, const cpl_tensor *z, cpl_vae_probe *probe,
                          void *probe_user);

#endif
