/* solvers.c: the steps that look at one estimate, or at a second one further ahead. All of them are sums over scale_add;
 * those that remember earlier estimates stand in solvers_past.c.
 *
 * The slope of x in sigma is (x - denoised) / sigma; "ancestral" solvers go further down than the next level and come back
 * to it with new noise. */
#include <math.h>

#include "solver.h"

void cpl_walk_mix(cpl_walk *w, const cpl_tensor *out, double a, const cpl_tensor *x, double b, const cpl_tensor *y) {
    w->s->ops->scale_add(w->s, out, (float)a, x, (float)b, y);
}

void cpl_walk_line(cpl_walk *w, const cpl_tensor *out, double ratio, const cpl_tensor *denoised) {
    cpl_walk_mix(w, out, ratio, w->x, 1 - ratio, denoised);
}

void cpl_walk_add_noise(cpl_walk *w, const cpl_tensor *to, double amount, double sigma_next) {
    w->host->noise(w->host->user, w->s, &w->noise, w->sigmas[w->step], (float)sigma_next);
    cpl_walk_mix(w, to, 1, to, amount, &w->noise);
}

bool cpl_walk_ask_ahead(cpl_walk *w, double sigma) {
    w->host->denoise(w->host->user, w->s, &w->denoised_ahead, &w->ahead, (float)sigma);
    return cpl_stream_ok(w->s);
}

void cpl_ancestral_step(double sigma, double sigma_next, double eta, double *down, double *up) {
    double from = sigma * sigma, to = sigma_next * sigma_next;
    *up = fmin(sigma_next, eta * sqrt(to * (from - to) / from));
    *down = sqrt(to - *up * *up);
}

void cpl_step_euler(cpl_walk *w) {
    cpl_walk_line(w, w->x, (double)w->sigmas[w->step + 1] / w->sigmas[w->step], &w->denoised);
}

void cpl_step_euler_a(cpl_walk *w) {
    double sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1], down, up;
    cpl_ancestral_step(sigma, next, 1, &down, &up);
    cpl_walk_line(w, w->x, down / sigma, &w->denoised);
    if (next > 0) cpl_walk_add_noise(w, w->x, up, next);
}

void cpl_step_lcm(cpl_walk *w) {
    double next = w->sigmas[w->step + 1];
    cpl_walk_line(w, w->x, 0, &w->denoised);
    if (next > 0) cpl_walk_add_noise(w, w->x, next, next);
}

/* Euler's step as a trial; the slope is then the mean of those at both ends. */
void cpl_step_heun(cpl_walk *w) {
    double sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1];
    if (!(next > 0)) {
        cpl_step_euler(w);
        return;
    }
    cpl_walk_line(w, &w->ahead, next / sigma, &w->denoised);
    if (!cpl_walk_ask_ahead(w, next)) return;
    double half = (next - sigma) / 2, here = half / sigma, there = half / next;
    cpl_walk_mix(w, w->x, 1 + here, w->x, -here, &w->denoised);
    cpl_walk_mix(w, &w->ahead, there, &w->ahead, -there, &w->denoised_ahead);
    cpl_walk_mix(w, w->x, 1, w->x, 1, &w->ahead);
}

/* From sigma to `down` with the slope of the point between them, the middle of their logarithms. */
static void step_by_the_middle(cpl_walk *w, double down) {
    double sigma = w->sigmas[w->step], middle = sqrt(sigma * down), part = (down - sigma) / middle;
    cpl_walk_line(w, &w->ahead, middle / sigma, &w->denoised);
    if (!cpl_walk_ask_ahead(w, middle)) return;
    cpl_walk_mix(w, w->x, 1, w->x, part, &w->ahead);
    cpl_walk_mix(w, w->x, 1, w->x, -part, &w->denoised_ahead);
}

void cpl_step_dpm_2(cpl_walk *w) {
    if (w->sigmas[w->step + 1] > 0)
        step_by_the_middle(w, w->sigmas[w->step + 1]);
    else
        cpl_step_euler(w);
}

void cpl_step_dpm_2_a(cpl_walk *w) {
    double next = w->sigmas[w->step + 1], down, up;
    cpl_ancestral_step(w->sigmas[w->step], next, 1, &down, &up);
    if (!(down > 0)) {
        cpl_step_euler(w);
        return;
    }
    step_by_the_middle(w, down);
    if (cpl_stream_ok(w->s)) cpl_walk_add_noise(w, w->x, up, next);
}

/* The whole way with the estimate of the middle, which is found with the one at its beginning. */
void cpl_step_dpmpp_2s_a(cpl_walk *w) {
    double sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1], down, up;
    cpl_ancestral_step(sigma, next, 1, &down, &up);
    if (!(down > 0)) {
        cpl_step_euler(w);
        return;
    }
    double middle = sqrt(sigma * down);
    cpl_walk_line(w, &w->ahead, middle / sigma, &w->denoised);
    if (!cpl_walk_ask_ahead(w, middle)) return;
    cpl_walk_line(w, w->x, down / sigma, &w->denoised_ahead);
    cpl_walk_add_noise(w, w->x, up, next);
}

/* The same, but the way to the middle is an ancestral one too. */
void cpl_step_dpmpp_sde(cpl_walk *w) {
    double sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1], middle = sqrt(sigma * next), down, up;
    if (!(next > 0)) {
        cpl_step_euler(w);
        return;
    }
    cpl_ancestral_step(sigma, middle, 1, &down, &up);
    cpl_walk_line(w, &w->ahead, down / sigma, &w->denoised);
    cpl_walk_add_noise(w, &w->ahead, up, middle);
    if (!cpl_stream_ok(w->s) || !cpl_walk_ask_ahead(w, middle)) return;
    cpl_ancestral_step(sigma, next, 1, &down, &up);
    cpl_walk_line(w, w->x, down / sigma, &w->denoised_ahead);
    cpl_walk_add_noise(w, w->x, up, next);
}
