/* schedule.h: noise levels (sigmas) of a run, and the model's timesteps. */
#ifndef CPL_SAMPLE_SCHEDULE_H
#define CPL_SAMPLE_SCHEDULE_H

#include "../memory/error.h"
#include "../model/spec.h"

typedef struct cpl_noise_levels { /* of a model: linear-in-sqrt betas */
    int count;
    bool of_sdxl; /* Align Your Steps has tables of its own for SDXL; false after cpl_noise_levels_init */
    double log_sigma[CPL_MAX_TRAIN_STEPS];
    double sigma[CPL_MAX_TRAIN_STEPS], alpha_cumprod[CPL_MAX_TRAIN_STEPS];
} cpl_noise_levels;
/* With zero_terminal_snr the square roots of alpha_cumprod are shifted and stretched so that the last is 0 and the first
 * stays ("Common Diffusion Noise Schedules and Sample Steps are Flawed", Lin et al. 2023, algorithm 1); sigma would end at
 * infinity, so the last alpha_cumprod is the 4.8973451890853435e-08 of ComfyUI and Forge, which makes it 4518.8. */
bool cpl_noise_levels_init(cpl_noise_levels *levels, double beta_start, double beta_end, int count,
                           bool zero_terminal_snr, cpl_error *error);
double cpl_t_to_sigma(const cpl_noise_levels *levels, double t);  /* log-linear between whole steps */
int cpl_sigma_to_t(const cpl_noise_levels *levels, double sigma); /* nearest in log sigma */

/* "automatic": a schedule that is left to the sampler to choose; here the normal one. */
#define CPL_SCHEDULE_AUTOMATIC "automatic"
/* How many steps the schedule makes of `steps`: as many, but "ddim" may make more, and fewer where the model was trained in no
 * more than that. */
int cpl_schedule_steps(const char *schedule, int train_timesteps, int steps);
/* sigmas[cpl_schedule_steps + 1], falling; the last is 0, but for "kl_optimal", which ends at the model's lowest level. schedule:
 * a name from cpl_schedule_names. */
bool cpl_schedule_make(const char *schedule, const cpl_noise_levels *levels, int steps, float *sigmas,
                       cpl_error *error);

/* The whole time steps that DDIM visits, falling to 1: [CPL_MAX_TRAIN_STEPS] at most. Their number, which is `steps` or, where
 * `steps` does not divide the model's, may be more; the solver goes from one to the next, so that the last is an end. */
int cpl_ddim_timesteps(int steps, int train_timesteps, int *timesteps);

#endif
