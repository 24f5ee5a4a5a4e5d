/* vae_mid.h: the middle of the VAE's encoder and decoder: ResBlock, attention over the whole image, ResBlock. */
#ifndef CPL_MODEL_VAE_MID_H
#define CPL_MODEL_VAE_MID_H

#include "resblock.h"
#include "vae.h"

/* Of all norms of the VAE. (The UNet's are 1e-5 but for one.) */
#define CPL_VAE_EPS 1e-6f
#define CPL_VAE_PREFIX "first_stage_model."

typedef struct cpl_vae_mid {
    int channels, groups;
    cpl_resblock block_1, block_2;
    cpl_weight *norm, *q, *k, *v, *proj_out; /* owned */
} cpl_vae_mid;

/* prefix: "first_stage_model.decoder." */
void cpl_vae_mid_load(cpl_vae_mid *mid, cpl_loader *l, const char *prefix, int channels, int groups);
void cpl_vae_mid_free(cpl_vae_mid *mid, cpl_backend *backend);
/* x is taken over. side: "encoder" or "decoder", for the names that the probe hears. */
cpl_tensor cpl_vae_mid_run(const cpl_vae_mid *mid, cpl_stream *s, cpl_tensor *x, const char *side, cpl_vae_probe *probe,
                           void *probe_user);

/* What encoder and decoder must agree on before anything is indexed or divided by it. */
bool cpl_vae_spec_is_sound(const cpl_vae_spec *spec, const int mult[CPL_MAX_LEVELS], cpl_error *error);
/* Passes "side.format..." to the probe, if there is one. */
void cpl_vae_tell(cpl_stream *s, cpl_vae_probe *probe, void *probe_user, const cpl_tensor *output, const char *format,
                  ...) __attribute__((format(printf, 5, 6)));

#endif
