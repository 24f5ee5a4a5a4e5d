/* sampler.c: the solvers, each one step function over scale_add; the walk is common to all. They see the model only as a
 * denoiser and know nothing of prompts, guidance or where noise comes from. */
#include "sampler.h"

#include <math.h>
#include <string.h>

typedef struct walk {
    cpl_stream *s;
    const cpl_sampler_host *host;
    const cpl_tensor *x;
    const float *sigmas;
    int step;                             /* from 0 */
    cpl_tensor denoised, previous, noise; /* owned; the last two are empty where the solver does not ask for them */
} walk;

typedef struct solver_kind {
    bool draws_noise, looks_back;
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

static void step_euler_a(walk *w) {
    float sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1];
    double down, up;
    cpl_ancestral_step(sigma, next, 1, &down, &up);
    move_towards(w, down / sigma);
    if (!(next > 0)) return;
    w->host->noise(w->host->user, w->s, &w->noise, sigma, next);
    w->s->ops->scale_add(w->s, w->x, 1, w->x, (float)up, &w->noise);
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

static const char *const names[] = {"euler", "euler_a", "dpmpp_2m", NULL};
static const solver_kind solvers[] = {
    /* in the order of the names */
    {false, false, step_euler},
    {true, false, step_euler_a},
    {false, true, step_dpmpp_2m},
};
_Static_assert(sizeof names / sizeof *names == sizeof solvers / sizeof *solvers + 1, "one solver for each name");

const char *const *cpl_sampler_names(void) { return names; }

static const solver_kind *find_solver(const char *name) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) return &solvers[i];
    return NULL;
}

static void swap(cpl_tensor *a, cpl_tensor *b) {
    cpl_tensor t = *a;
    *a = *b;
    *b = t;
}

static void run_steps(walk *w, const solver_kind *solver, int steps) {
    for (; w->step < steps && cpl_stream_ok(w->s); w->step++) {
        w->s->ops->step_begin(w->s);
        w->host->denoise(w->host->user, w->s, &w->denoised, w->x, w->sigmas[w->step]);
        solver->step(w);
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
    run_steps(&w, solver, steps);
    cpl_tensor_free(&w.noise);
    cpl_tensor_free(&w.previous);
    cpl_tensor_free(&w.denoised);
    return cpl_stream_settle(s, error);
}
