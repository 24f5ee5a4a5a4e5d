/* sampler.h: the solvers. Each walks x from sigmas[0] down to the last of them through a denoiser callback. */
#ifndef CPL_SAMPLE_SAMPLER_H
#define CPL_SAMPLE_SAMPLER_H

#include "../backend.h"
#include "schedule.h"

/* What a sampler needs of its surroundings; also how tests feed it a toy denoiser and recorded noise. */
typedef struct cpl_sampler_host {
    void *user;
    /* denoised := model's estimate of the clean latent at x, sigma (after CFG). Shapes are equal. */
    void (*denoise)(void *user, cpl_stream *s, const cpl_tensor *denoised, const cpl_tensor *x, float sigma);
    /* noise := the next unit normal draw for the step (sigma, sigma_next). */
    void (*noise)(void *user, cpl_stream *s, const cpl_tensor *noise, float sigma, float sigma_next);
    /* After each step, step counts from 1: x is the new state, denoised the estimate that led to it. */
    void (*stepped)(void *user, cpl_stream *s, int step, const cpl_tensor *x, const cpl_tensor *denoised);
} cpl_sampler_host;

/* How far an ancestral step goes down by the solver and how much new noise brings it back up to sigma_next. */
void cpl_ancestral_step(double sigma, double sigma_next, double eta, double *down, double *up);

/* The noise levels of a run with `steps` asked for: those of the schedule, but ddim, ddpm and plms have their own and take no
 * schedule. CPL_SCHEDULE_AUTOMATIC is the one that the original gives to the sampler. A new array of *taken + 1 values, freed
 * by the caller; *taken is how many steps it will be. */
float *cpl_sampler_sigmas(const char *sampler, const char *schedule, const cpl_noise_levels *levels, int steps,
                          int *taken, cpl_error *error);
/* What cpl_sampler_sigmas puts into *taken. */
int cpl_sampler_steps(const char *sampler, const char *schedule, int train_timesteps, int steps);
/* True for ddim, ddpm and plms. */
bool cpl_sampler_has_own_levels(const char *sampler);
/* How many calls of the model the original counts in a run with `steps` asked for: prompts that change do so by this count. */
int cpl_sampler_calls(const char *sampler, int steps);
/* x starts as unit normal noise times this. */
double cpl_sampler_start(const char *sampler, double sigma);

/* x holds noise * cpl_sampler_start and ends as the clean latent. sigmas[steps + 1]. Each step stands between the backend's step_begin
 * and step_end; tensors are made before the first. Stops early when the stream fails: then false, and the stream is
 * settled. A name that is not in cpl_sampler_names is an error. */
bool cpl_sampler_run(const char *sampler, cpl_stream *s, const cpl_tensor *x, const float *sigmas, int steps,
                     const cpl_sampler_host *host, cpl_error *error);

#endif
