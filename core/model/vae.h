/* vae.h: latent to picture. The way back is vae_encoder.h. */
#ifndef CPL_MODEL_VAE_H
#define CPL_MODEL_VAE_H

#include "load.h"
#include "spec.h"

/* How encoder and decoder go about an image; all zero: each level as a whole. */
typedef struct cpl_vae_way {
    /* A level with more values than so many pixels have at the full size is worked on in strips of a quarter of that; 0:
     * none is. */
    size_t pixels;
    void (*told)(void *user, double fraction); /* of the work that is done, rising to 1; may be NULL */
    void *user;
} cpl_vae_way;

/* The pool is trimmed to this before each level of the decoder, and before and after the whole: no level has use for the
 * others' blocks, nor has the UNet. Those of a small model may all lie idle, so that a second run takes no memory; those of
 * a large one would add to its peak. */
#define CPL_VAE_KEEP ((size_t)256 << 20)

typedef struct cpl_vae cpl_vae;
cpl_vae *cpl_vae_new(cpl_loader *loader, const cpl_vae_spec *spec); /* NULL: the loader has failed */
void cpl_vae_free(cpl_vae *vae, cpl_backend *backend);
int cpl_vae_factor(const cpl_vae *vae); /* pixels per latent cell */
typedef void cpl_vae_probe(void *user, cpl_stream *s, const char *module, const cpl_tensor *output);
/* About the most that activations take while a latent of w x h cells is decoded as a whole. */
size_t cpl_vae_decode_bytes(const cpl_vae *vae, int w, int h, cpl_dtype dtype);
/* z [n, h, w, z_channels], already divided by scaling_factor. Result [n, h*f, w*f, 3], about -1..1, not clamped. */
cpl_tensor cpl_vae_decode(const cpl_vae *vae, cpl_stream *s, const cpl_tensor *z, cpl_vae_probe *probe,
                          void *probe_user);
/* The same picture, whatever the way; strips are for single latents (n = 1), others are decoded as a whole. */
cpl_tensor cpl_vae_decode_by(const cpl_vae *vae, cpl_stream *s, const cpl_tensor *z, const cpl_vae_way *way,
                             cpl_vae_probe *probe, void *probe_user);

#endif
