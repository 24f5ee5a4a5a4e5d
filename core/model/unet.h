/* unet.h: the denoising network with coupled cross-attention. */
#ifndef CPL_MODEL_UNET_H
#define CPL_MODEL_UNET_H

#include "load.h"
#include "spec.h"

typedef struct cpl_unet cpl_unet;
cpl_unet *cpl_unet_new(cpl_loader *loader, const cpl_unet_spec *spec); /* NULL: the loader has failed */
void cpl_unet_free(cpl_unet *unet, cpl_backend *backend);

/* Keys and values of one text in every cross-attention layer: computed once, reused by every step. */
typedef struct cpl_text_kv {
    int layers;
    cpl_tensor *k, *v; /* [layers] of [1, 1, S, channels of the layer] */
} cpl_text_kv;
bool cpl_unet_text_kv(const cpl_unet *unet, cpl_stream *s, const cpl_tensor *conditioning /* [1, 1, S, context_dim] */,
                      cpl_text_kv *kv, cpl_error *error);
void cpl_text_kv_free(cpl_text_kv *kv);
size_t cpl_text_kv_bytes(const cpl_text_kv *kv);
void cpl_text_kv_keep(const cpl_text_kv *kv); /* as cpl_tensor_keep */

/* What one batch element listens to: one text, or `lines` texts mixed by the plan of each level. */
typedef struct cpl_unet_text {
    int lines;
    const cpl_text_kv *const *kv; /* [lines] */
    const cpl_plan *const *plans; /* [levels], from cpl_unet_grid; NULL: only line 0 */
} cpl_unet_text;

int cpl_unet_levels(const cpl_unet *unet);
/* The token grid of a level for a latent of w * h: halved `level` times, rounded up. */
void cpl_unet_grid(int latent_w, int latent_h, int level, int *w, int *h);
/* Does any layer at this level couple? (Without one, its plan may be NULL.) */
bool cpl_unet_couples(const cpl_unet *unet, int level);

/* Called with the name of a module ("input_blocks.1.0", "middle_block", "time_embed", ...) and its output; for --dump and golden tests. */
typedef void cpl_unet_probe(void *user, cpl_stream *s, const char *module, const cpl_tensor *output);

/* eps: made by the caller, shape of x [n, h, w, in_channels]; x is already scaled by c_in. t: host, n values (the
 * timestep of each batch element). y: [n, 1, 1, adm_in_channels] or NULL. Asks cpl_stream_ok after every block. */
void cpl_unet_run(const cpl_unet *unet, cpl_stream *s, const cpl_tensor *eps, const cpl_tensor *x, const float *t,
                  const cpl_tensor *y, const cpl_unet_text *texts /* [n] */, cpl_unet_probe *probe, void *probe_user);

#endif
