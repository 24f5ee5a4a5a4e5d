/* vae_mid.c: what the VAE's two halves have in common. The attention has one head over all channels, so its cost grows
 * with the square of the latent's area; it is the backend's business how. */
#include "vae_mid.h"

#include <stdarg.h>
#include <stdio.h>

bool cpl_vae_spec_is_sound(const cpl_vae_spec *spec, const int mult[CPL_MAX_LEVELS], cpl_error *error) {
    bool sound = spec->levels >= 1 && spec->levels <= CPL_MAX_LEVELS && spec->num_res_blocks >= 1 &&
                 spec->num_res_blocks <= 8 && spec->z_channels >= 1 && spec->ch >= 1 && spec->ch <= 1 << 16 &&
                 spec->norm_groups >= 1;
    for (int i = 0; sound && i < spec->levels; i++)
        sound = mult[i] >= 1 && mult[i] <= 64 && spec->ch * mult[i] % spec->norm_groups == 0;
    return sound || cpl_fail(error, CPL_E_UNSUPPORTED,
                             "the model's spec describes no VAE that can be built (%d levels, %d channels, %d groups)",
                             spec->levels, spec->ch, spec->norm_groups);
}

void cpl_vae_tell(cpl_stream *s, cpl_vae_probe *probe, void *probe_user, const cpl_tensor *output, const char *format,
                  ...) {
    char name[64];
    va_list list;
    if (!probe || !cpl_stream_ok(s)) return;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    probe(probe_user, s, name, output);
}

void cpl_vae_mid_load(cpl_vae_mid *mid, cpl_loader *l, const char *prefix, int c, int groups) {
    const unsigned flags = CPL_LOAD_BIAS | CPL_LOAD_1X1;
    char part[96];
    mid->channels = c, mid->groups = groups;
    snprintf(part, sizeof part, "%smid.block_1.", prefix);
    cpl_resblock_load(&mid->block_1, l, part, &cpl_resblock_vae_names, c, c, 0, groups, CPL_VAE_EPS);
    snprintf(part, sizeof part, "%smid.attn_1.", prefix);
    mid->norm = cpl_load_norm(l, part, "norm", c);
    mid->q = cpl_load_linear(l, part, "q", c, c, flags);
    mid->k = cpl_load_linear(l, part, "k", c, c, flags);
    mid->v = cpl_load_linear(l, part, "v", c, c, flags);
    mid->proj_out = cpl_load_linear(l, part, "proj_out", c, c, flags);
    snprintf(part, sizeof part, "%smid.block_2.", prefix);
    cpl_resblock_load(&mid->block_2, l, part, &cpl_resblock_vae_names, c, c, 0, groups, CPL_VAE_EPS);
}

void cpl_vae_mid_free(cpl_vae_mid *mid, cpl_backend *backend) {
    cpl_resblock_free(&mid->block_1, backend);
    cpl_resblock_free(&mid->block_2, backend);
    cpl_weight **const weights[] = {&mid->norm, &mid->q, &mid->k, &mid->v, &mid->proj_out};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) cpl_weight_drop(backend, weights[i]);
}

static cpl_tensor attend(const cpl_vae_mid *mid, cpl_stream *s, cpl_tensor *x) {
    cpl_tensor t = cpl_make_like(s, x), q = cpl_make_like(s, x), k = cpl_make_like(s, x), v = cpl_make_like(s, x);
    s->ops->group_norm(s, &t, x, NULL, mid->norm, mid->groups, CPL_VAE_EPS, false);
    s->ops->linear(s, &q, &t, mid->q, CPL_ACT_NONE, NULL);
    s->ops->linear(s, &k, &t, mid->k, CPL_ACT_NONE, NULL);
    s->ops->linear(s, &v, &t, mid->v, CPL_ACT_NONE, NULL);
    s->ops->attention(s, &t, &q, &k, &v, 1, false);
    cpl_tensor_free(&q);
    cpl_tensor_free(&k);
    cpl_tensor_free(&v);
    cpl_tensor y = cpl_residual_target(s, x);
    s->ops->linear(s, &y, &t, mid->proj_out, CPL_ACT_NONE, x);
    cpl_tensor_free(&t);
    cpl_tensor_free(x);
    return y;
}

cpl_tensor cpl_vae_mid_run(const cpl_vae_mid *mid, cpl_stream *s, cpl_tensor *x, const char *side, cpl_vae_probe *probe,
                           void *probe_user) {
    cpl_tensor h = cpl_resblock_run(&mid->block_1, s, x, NULL);
    cpl_vae_tell(s, probe, probe_user, &h, "%s.mid.block_1", side);
    h = attend(mid, s, &h);
    cpl_vae_tell(s, probe, probe_user, &h, "%s.mid.attn_1", side);
    h = cpl_resblock_run(&mid->block_2, s, &h, NULL);
    cpl_vae_tell(s, probe, probe_user, &h, "%s.mid.block_2", side);
    return h;
}
