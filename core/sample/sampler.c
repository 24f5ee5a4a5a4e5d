/* sampler.c: the table of solvers, and the walk that is common to all. Their steps stand in solvers.c and solvers_past.c. They
 * see the model only as a denoiser and know nothing of prompts, guidance or where noise comes from. */
#include "sampler.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "predict.h"
#include "solver.h"

typedef struct solver_kind {
    bool draws_noise, looks_ahead;
    bool of_slopes;        /* what it remembers are slopes, not estimates */
    bool of_unit_variance; /* x is noise and latent mixed to variance 1, on the sampler's own time steps */
    bool skips_a_level;    /* the last but one of a schedule of one step more */
    int past;              /* how many steps it remembers, at most CPL_SOLVER_PAST */
    const char *automatic; /* schedule that the original gives it if it is left to choose; NULL: normal */
    cpl_solver_step *step;
} solver_kind;

static const char *const names[] = {"euler",
                                    "euler_a",
                                    "heun",
                                    "dpm_2",
                                    "dpm_2_a",
                                    "lms",
                                    "dpmpp_2s_a",
                                    "dpmpp_sde",
                                    "dpmpp_2m",
                                    "dpmpp_2m_sde",
                                    "dpmpp_2m_sde_heun",
                                    "dpmpp_3m_sde",
                                    "ddim",
                                    "ddpm",
                                    "plms",
                                    "lcm",
                                    NULL};
static const solver_kind solvers[] = {
    /* in the order of the names */
    {.step = cpl_step_euler},
    {.step = cpl_step_euler_a, .draws_noise = true},
    {.step = cpl_step_heun, .looks_ahead = true},
    {.step = cpl_step_dpm_2, .looks_ahead = true, .skips_a_level = true, .automatic = "karras"},
    {.step = cpl_step_dpm_2_a, .looks_ahead = true, .draws_noise = true, .skips_a_level = true, .automatic = "karras"},
    {.step = cpl_step_lms, .past = 3, .of_slopes = true},
    {.step = cpl_step_dpmpp_2s_a, .looks_ahead = true, .draws_noise = true, .automatic = "karras"},
    {.step = cpl_step_dpmpp_sde, .looks_ahead = true, .draws_noise = true, .automatic = "karras"},
    {.step = cpl_step_dpmpp_2m, .past = 1, .automatic = "karras"},
    {.step = cpl_step_dpmpp_2m_sde, .past = 1, .draws_noise = true, .automatic = "exponential"},
    {.step = cpl_step_dpmpp_2m_sde_heun, .past = 1, .draws_noise = true, .automatic = "exponential"},
    {.step = cpl_step_dpmpp_3m_sde, .past = 2, .draws_noise = true, .skips_a_level = true, .automatic = "exponential"},
    {.step = cpl_step_euler, .of_unit_variance = true},
    {.step = cpl_step_euler_a, .of_unit_variance = true, .draws_noise = true},
    {.step = cpl_step_plms, .of_unit_variance = true, .past = 3, .of_slopes = true, .looks_ahead = true},
    {.step = cpl_step_lcm, .draws_noise = true},
};
_Static_assert(sizeof names / sizeof *names == sizeof solvers / sizeof *solvers + 1, "one solver for each name");

const char *const *cpl_sampler_names(void) { return names; }

static const solver_kind *find_solver(const char *name) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) return &solvers[i];
    return NULL;
}

double cpl_sampler_start(const char *sampler, double sigma) {
    const solver_kind *solver = find_solver(sampler);
    return solver && solver->of_unit_variance ? 1 : cpl_noise_scale(sigma, false);
}

/* DDIM's levels, falling. With one step asked for the reference visits one level only and returns the noise as it was; here
 * the one step is made, from the highest level. */
static int list_ddim_levels(int train_timesteps, int steps, int *timesteps) {
    int count = cpl_ddim_timesteps(steps, train_timesteps, timesteps);
    if (count > 1) return count;
    timesteps[1] = timesteps[0];
    timesteps[0] = train_timesteps - 1;
    return 2;
}

static const char *choose_schedule(const solver_kind *solver, const char *schedule) {
    if (strcmp(schedule, CPL_SCHEDULE_AUTOMATIC) != 0) return schedule;
    return solver->automatic ? solver->automatic : "normal";
}

int cpl_sampler_steps(const char *sampler, const char *schedule, int train_timesteps, int steps) {
    const solver_kind *solver = find_solver(sampler);
    int timesteps[CPL_MAX_TRAIN_STEPS];
    if (!solver) return steps;
    if (solver->of_unit_variance) return list_ddim_levels(train_timesteps, steps, timesteps) - 1;
    return cpl_schedule_steps(choose_schedule(solver, schedule), train_timesteps, steps + solver->skips_a_level) -
           solver->skips_a_level;
}

bool cpl_sampler_has_own_levels(const char *sampler) {
    const solver_kind *solver = find_solver(sampler);
    return solver && solver->of_unit_variance;
}

int cpl_sampler_calls(const char *sampler, int steps) {
    const solver_kind *solver = find_solver(sampler);
    return solver && solver->looks_ahead && !solver->of_unit_variance ? 2 * steps : steps;
}

static void list_levels(const cpl_noise_levels *levels, int steps, float *sigmas) {
    int timesteps[CPL_MAX_TRAIN_STEPS], count = list_ddim_levels(levels->count, steps, timesteps);
    for (int i = 0; i < count; i++) sigmas[i] = (float)levels->sigma[timesteps[i]];
}

float *cpl_sampler_sigmas(const char *sampler, const char *schedule, const cpl_noise_levels *levels, int steps,
                          int *taken, cpl_error *error) {
    const solver_kind *solver = find_solver(sampler);
    if (!solver) return cpl_fail(error, CPL_E_UNSUPPORTED, "sampler \"%s\" is not built in", sampler), NULL;
    if (steps < 1) return cpl_fail(error, CPL_E_INPUT, "%d steps: at least one is needed", steps), NULL;
    *taken = cpl_sampler_steps(sampler, schedule, levels->count, steps);
    int more = *taken + solver->skips_a_level;
    float *sigmas = cpl_alloc((size_t)more + 1, sizeof *sigmas, error);
    if (!sigmas) return NULL;
    if (solver->of_unit_variance) {
        list_levels(levels, steps, sigmas);
    } else if (!cpl_schedule_make(choose_schedule(solver, schedule), levels, steps + solver->skips_a_level, sigmas,
                                  error)) {
        free(sigmas);
        return NULL;
    }
    if (solver->skips_a_level) sigmas[more - 1] = sigmas[more];
    return sigmas;
}

/* What the step made becomes the newest of the past; the oldest tensor is the next one to be written. */
static void remember(cpl_walk *w, const solver_kind *solver) {
    cpl_tensor *newest = solver->of_slopes ? &w->slope : &w->denoised, made = *newest;
    if (!solver->past) return;
    *newest = w->past[solver->past - 1];
    memmove(w->past + 1, w->past, (size_t)(solver->past - 1) * sizeof *w->past);
    w->past[0] = made;
}

static void scale(cpl_walk *w, double factor) { w->s->ops->scale_add(w->s, w->x, (float)factor, w->x, 0, NULL); }

static void run_steps(cpl_walk *w, const solver_kind *solver, int steps) {
    for (; w->step < steps && cpl_stream_ok(w->s); w->step++) {
        float sigma = w->sigmas[w->step];
        w->s->ops->step_begin(w->s);
        if (solver->of_unit_variance) scale(w, 1 / cpl_input_scale(sigma));
        w->host->denoise(w->host->user, w->s, &w->denoised, w->x, sigma);
        if (cpl_stream_ok(w->s)) solver->step(w);
        if (solver->of_unit_variance) scale(w, cpl_input_scale(w->sigmas[w->step + 1]));
        w->s->ops->step_end(w->s);
        if (!cpl_stream_ok(w->s)) return; /* half a step is nobody's state */
        if (w->host->stepped) w->host->stepped(w->host->user, w->s, w->step + 1, w->x, &w->denoised);
        remember(w, solver);
    }
}

static void make_tensors(cpl_walk *w, const solver_kind *solver) {
    w->denoised = cpl_make_like(w->s, w->x);
    for (int i = 0; i < solver->past; i++) w->past[i] = cpl_make_like(w->s, w->x);
    if (solver->of_slopes) w->slope = cpl_make_like(w->s, w->x);
    if (solver->draws_noise) w->noise = cpl_make_like(w->s, w->x);
    if (!solver->looks_ahead) return;
    w->ahead = cpl_make_like(w->s, w->x);
    w->denoised_ahead = cpl_make_like(w->s, w->x);
}

static void free_tensors(cpl_walk *w) {
    cpl_tensor_free(&w->denoised_ahead);
    cpl_tensor_free(&w->ahead);
    cpl_tensor_free(&w->noise);
    cpl_tensor_free(&w->slope);
    for (int i = CPL_SOLVER_PAST; i-- > 0;) cpl_tensor_free(&w->past[i]);
    cpl_tensor_free(&w->denoised);
}

bool cpl_sampler_run(const char *sampler, cpl_stream *s, const cpl_tensor *x, const float *sigmas, int steps,
                     const cpl_sampler_host *host, cpl_error *error) {
    const solver_kind *solver = find_solver(sampler);
    if (!solver) return cpl_fail(error, CPL_E_UNSUPPORTED, "sampler \"%s\" is not built in", sampler);
    cpl_walk w = {.s = s, .host = host, .x = x, .sigmas = sigmas};
    make_tensors(&w, solver);
    run_steps(&w, solver, steps);
    free_tensors(&w);
    return cpl_stream_settle(s, error);
}
