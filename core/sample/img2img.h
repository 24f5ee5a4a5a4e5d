/* img2img.h: image to image: how much of a schedule is walked, at which level noise is added, and the latent of the picture
 * that it is added to. */
#ifndef CPL_SAMPLE_IMG2IMG_H
#define CPL_SAMPLE_IMG2IMG_H

#include "../model/model.h"
#include "../model/vae_encoder.h"

/* The WebUI's rule: a schedule of *total steps is made, of which the last *taken (at least 1) are walked. denoise, 0..1: the
 * share of `steps` that is walked; with fix_steps all `steps` are, at the end of a schedule that is as much longer. */
void cpl_img2img_steps(int steps, double denoise, bool fix_steps, int *total, int *taken);

/* Which part of a sampler's schedule a run walks. */
typedef struct cpl_span {
    int asked; /* steps that the schedule is made for; 0: there are too many, or none */
    int skip;  /* levels at its start that are left out */
    int steps; /* that are made from there */
    int noise; /* index of the level whose noise the picture gets */
} cpl_span;
/* denoise 0: no picture to begin with, so all of it. More than CPL_MAX_TRAIN_STEPS steps of a schedule are too many. */
cpl_span cpl_span_of(const char *sampler, const char *schedule, int train_timesteps, int steps, double denoise,
                     bool fix_steps);

/* The latent [z, h, w] of the sampler's scale that stands for a picture, freed by the caller: the mean of what the encoder
 * gives, which needs no noise (the WebUI draws one at random). Sides of the picture are multiples of the VAE's factor.
 * way: as cpl_decode_latent takes it. */
float *cpl_encode_picture(const cpl_vae_encoder *encoder, const cpl_vae_spec *spec, cpl_stream *s,
                          const cpl_image *picture, const cpl_vae_way *way, cpl_error *error);

#endif
