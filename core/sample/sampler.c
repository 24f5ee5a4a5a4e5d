/* sampler.c: the solvers, each one step function over scale_add; the walk is common to all. They see the model only as a
 * denoiser and know nothing of prompts, guidance or where noise comes from. */
#include "sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "predict.h"

typedef struct walk {
    cpl_stream *s;
    const cpl_sampler_host *host;
    const cpl_tensor *x;
    const float *sigmas;
    int step; /* from 0 */
    /* Owned; all but the first are empty where the solver does not ask for them. */
    cpl_tensor denoised, previous, noise, ahead, denoised_ahead;
} walk;

typedef struct solver_kind {
    bool draws_noise, looks_back, looks_ahead;
    bool of_unit_variance; /* x is noise and latent mixed to variance 1, on the sampler's own time steps */
    void (*step)(walk *w);
} solver_kind;

/* x := ratio * x + (1 - ratio) * denoised: where a straight line from x to denoised stands at sigma * ratio. */
static void move_towards(walk *w, double ratio) {
    w->s->ops->scale_add(w->s, w->x, (float)ratio, w->x, (float)(1 - ratio), &w->denoised);
}

static void step_euler(walk *w) { move_towards(w, (double)w->sigmas[w->step + 1] / w->sigmas[w->step]); }

void cpl_ancestral_step(double sigma, double sigma_next, double eta, double *down, double *up) {
    double from = sigma * sigma, to = sigma_next * sigma_next;
    *up = fmin(sigma_next, eta * sqrt(to * (from - to) / from));
    *down = sqrt(to - *up * *up);
}

static void add_noise(walk *w, double amount) {
    w->host->noise(w->host->user, w->s, &w->noise, w->sigmas[w->step], w->sigmas[w->step + 1]);
    w->s->ops->scale_add(w->s, w->x, 1, w->x, (float)amount, &w->noise);
}

static void step_euler_a(walk *w) {
    float sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1];
    double down, up;
    cpl_ancestral_step(sigma, next, 1, &down, &up);
    move_towards(w, down / sigma);
    if (next > 0) add_noise(w, up);
}

/* Euler's step as a trial; the slope (x - denoised) / sigma is then the mean of those at both ends. */
static void step_heun(walk *w) {
    float sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1];
    double ratio = (double)next / sigma;
    if (!(next > 0)) {
        move_towards(w, ratio);
        return;
    }
    w->s->ops->scale_add(w->s, &w->ahead, (float)ratio, w->x, (float)(1 - ratio), &w->denoised);
    w->host->denoise(w->host->user, w->s, &w->denoised_ahead, &w->ahead, next);
    double half = ((double)next - sigma) / 2, here = half / sigma, there = half / next;
    w->s->ops->scale_add(w->s, w->x, (float)(1 + here), w->x, (float)-here, &w->denoised);
    w->s->ops->scale_add(w->s, &w->ahead, (float)there, &w->ahead, (float)-there, &w->denoised_ahead);
    w->s->ops->scale_add(w->s, w->x, 1, w->x, 1, &w->ahead);
}

/* With t = -ln sigma and h the step in t: x := e^-h x + (1 - e^-h) D, where D is the denoised value extrapolated over the
 * last two estimates, D = (1 + c) denoised - c previous with c = h / (2 h_last). The last step, to 0, is of first order. */
static void step_dpmpp_2m(walk *w) {
    const float *sigma = w->sigmas + w->step;
    double ratio = (double)sigma[1] / sigma[0];
    if (w->step == 0 || !(sigma[1] > 0)) {
        move_towards(w, ratio);
        return;
    }
    double c = log(ratio) / (2 * log((double)sigma[0] / sigma[-1]));
    w->s->ops->scale_add(w->s, w->x, (float)ratio, w->x, (float)((1 - ratio) * (1 + c)), &w->denoised);
    w->s->ops->scale_add(w->s, w->x, 1, w->x, (float)(-(1 - ratio) * c), &w->previous);
}

/* The same with noise: the solver goes down as far as e^-2h, noise brings the level back up to sigma_next. The
 * extrapolation is the midpoint one, (1 - e^-2h) / 2r with r = h_last / h. */
static void step_dpmpp_2m_sde(walk *w) {
    const float *sigma = w->sigmas + w->step;
    double ratio = (double)sigma[1] / sigma[0], kept = ratio * ratio;
    if (!(sigma[1] > 0)) {
        move_towards(w, 0);
        return;
    }
    double c = w->step == 0 ? 0 : log(ratio) / (2 * log((double)sigma[0] / sigma[-1]));
    w->s->ops->scale_add(w->s, w->x, (float)kept, w->x, (float)((1 - kept) * (1 + c)), &w->denoised);
    if (w->step > 0) w->s->ops->scale_add(w->s, w->x, 1, w->x, (float)(-(1 - kept) * c), &w->previous);
    add_noise(w, sigma[1] * sqrt(1 - kept));
}

/* x comes as the denoiser's input, latent + sigma * noise, and leaves with variance 1 at the next level. */
static void step_ddim(walk *w) {
    double sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1], scale = cpl_input_scale(next);
    double ratio = next / sigma;
    w->s->ops->scale_add(w->s, w->x, (float)(scale * ratio), w->x, (float)(scale * (1 - ratio)), &w->denoised);
}

static void step_lcm(walk *w) {
    move_towards(w, 0);
    if (w->sigmas[w->step + 1] > 0) add_noise(w, w->sigmas[w->step + 1]);
}

static const char *const names[] = {"euler", "euler_a", "heun", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "lcm", NULL};
static const solver_kind solvers[] = {
    /* in the order of the names */
    {.step = step_euler},
    {.step = step_euler_a, .draws_noise = true},
    {.step = step_heun, .looks_ahead = true},
    {.step = step_dpmpp_2m, .looks_back = true},
    {.step = step_dpmpp_2m_sde, .looks_back = true, .draws_noise = true},
    {.step = step_ddim, .of_unit_variance = true},
    {.step = step_lcm, .draws_noise = true},
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

int cpl_sampler_steps(const char *sampler, int train_timesteps, int steps) {
    const solver_kind *solver = find_solver(sampler);
    int timesteps[CPL_MAX_TRAIN_STEPS];
    if (!solver || !solver->of_unit_variance) return steps;
    return list_ddim_levels(train_timesteps, steps, timesteps) - 1;
}

float *cpl_sampler_sigmas(const char *sampler, const char *schedule, const cpl_noise_levels *levels, int steps,
                          int *taken, cpl_error *error) {
    const solver_kind *solver = find_solver(sampler);
    int timesteps[CPL_MAX_TRAIN_STEPS];
    if (!solver) return cpl_fail(error, CPL_E_UNSUPPORTED, "sampler \"%s\" is not built in", sampler), NULL;
    if (steps < 1) return cpl_fail(error, CPL_E_INPUT, "%d steps: at least one is needed", steps), NULL;
    *taken = cpl_sampler_steps(sampler, levels->count, steps);
    float *sigmas = cpl_alloc((size_t)*taken + 1, sizeof *sigmas, error);
    if (!sigmas) return NULL;
    if (solver->of_unit_variance) {
        int count = list_ddim_levels(levels->count, steps, timesteps);
        for (int i = 0; i < count; i++) sigmas[i] = (float)levels->sigma[timesteps[i]];
    } else if (!cpl_schedule_make(schedule, levels, steps, sigmas, error)) {
        free(sigmas);
        return NULL;
    }
    return sigmas;
}

static void swap(cpl_tensor *a, cpl_tensor *b) {
    cpl_tensor t = *a;
    *a = *b;
    *b = t;
}

static void run_steps(walk *w, const solver_kind *solver, int steps) {
    for (; w->step < steps && cpl_stream_ok(w->s); w->step++) {
        float sigma = w->sigmas[w->step];
        w->s->ops->step_begin(w->s);
        if (solver->of_unit_variance)
            w->s->ops->scale_add(w->s, w->x, (float)(1 / cpl_input_scale(sigma)), w->x, 0, NULL);
        w->host->denoise(w->host->user, w->s, &w->denoised, w->x, sigma);
        if (cpl_stream_ok(w->s)) solver->step(w);
        w->s->ops->step_end(w->s);
        if (!cpl_stream_ok(w->s)) return; /* half a step is nobody's state */
        if (w->host->stepped) w->host->stepped(w->host->user, w->s, w->step + 1, w->x, &w->denoised);
        if (solver->looks_back) swap(&w->denoised, &w->previous);
    }
}

bool cpl_sampler_run(const char *sampler, cpl_stream *s, const cpl_tensor *x, const float *sigmas, int steps,
                     const cpl_sampler_host *host, cpl_error *error) {
    const solver_kind *solver = find_solver(sampler);
    if (!solver) return cpl_fail(error, CPL_E_UNSUPPORTED, "sampler \"%s\" is not built in", sampler);
    walk w = {.s = s, .host = host, .x = x, .sigmas = sigmas};
    w.denoised = cpl_make_like(s, x);
    if (solver->looks_back) w.previous = cpl_make_like(s, x);
    if (solver->draws_noise) w.noise = cpl_make_like(s, x);
    if (solver->looks_ahead) {
        w.ahead = cpl_make_like(s, x);
        w.denoised_ahead = cpl_make_like(s, x);
    }
    run_steps(&w, solver, steps);
    cpl_tensor_free(&w.denoised_ahead);
    cpl_tensor_free(&w.ahead);
    cpl_tensor_free(&w.noise);
    cpl_tensor_free(&w.previous);
    cpl_tensor_free(&w.denoised);
    return cpl_stream_settle(s, error);
}
