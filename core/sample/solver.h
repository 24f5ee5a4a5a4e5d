/* solver.h: what a solver's step sees of the walk. Private to the samplers.
 *
 * A step finds in `denoised` the estimate at x, sigmas[step], and leaves in x the state at sigmas[step + 1]. */
#ifndef CPL_SAMPLE_SOLVER_H
#define CPL_SAMPLE_SOLVER_H

#include "sampler.h"

enum { CPL_SOLVER_PAST = 3 };

typedef struct cpl_walk {
    cpl_stream *s;
    const cpl_sampler_host *host;
    const cpl_tensor *x;
    const float *sigmas;
    int step; /* from 0 */
    /* Owned; all but the first are empty where the solver does not ask for them. */
    cpl_tensor denoised, slope, noise, ahead, denoised_ahead;
    cpl_tensor past[CPL_SOLVER_PAST]; /* estimates (or slopes) of the steps before, the newest first */
} cpl_walk;

typedef void cpl_solver_step(cpl_walk *w);
/* Of one estimate each. */
cpl_solver_step cpl_step_euler, cpl_step_euler_a, cpl_step_lcm;
/* Of two: the second where the first one leads. */
cpl_solver_step cpl_step_heun, cpl_step_dpm_2, cpl_step_dpm_2_a, cpl_step_dpmpp_2s_a, cpl_step_dpmpp_sde;
/* Of one and those before. */
cpl_solver_step cpl_step_dpmpp_2m, cpl_step_dpmpp_2m_sde, cpl_step_dpmpp_2m_sde_heun, cpl_step_dpmpp_3m_sde,
    cpl_step_lms, cpl_step_plms;

/* out := a x + b y. */
void cpl_walk_mix(cpl_walk *w, const cpl_tensor *out, double a, const cpl_tensor *x, double b, const cpl_tensor *y);
/* out := ratio * x + (1 - ratio) * denoised: where a straight line from x to denoised stands at sigma * ratio. */
void cpl_walk_line(cpl_walk *w, const cpl_tensor *out, double ratio, const cpl_tensor *denoised);
/* to += amount * the next draw, which is told as one for the way to `sigma_next`. */
void cpl_walk_add_noise(cpl_walk *w, const cpl_tensor *to, double amount, double sigma_next);
/* denoised_ahead := the model's estimate at `ahead`, sigma. False: the stream failed. */
bool cpl_walk_ask_ahead(cpl_walk *w, double sigma);

#endif
