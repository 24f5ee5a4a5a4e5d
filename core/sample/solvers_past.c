/* solvers_past.c: the steps that remember the estimates of the steps before and extrapolate over them.
 *
 * With t = -ln sigma and h the step in t, DPM++ writes x := e^-h x + (1 - e^-h) D for a denoised value D that it takes to be
 * constant, or a polynomial of t through the last estimates. The SDE forms go down as far as e^-2h, and noise brings the
 * level back up to sigma_next. */
#include <math.h>

#include "solver.h"

/* Step of t between level `from` (0: the coming step, -1: the one before) and the next. */
static double log_step(const cpl_walk *w, int from) {
    const float *sigma = w->sigmas + w->step + from;
    return log((double)sigma[0] / (double)sigma[1]);
}

/* How many of the steps before can be extrapolated over, at most `most`. A long schedule on few levels repeats some: two
 * estimates of one level tell nothing of how they change. */
static int usable_past(const cpl_walk *w, int most) {
    const float *sigma = w->sigmas + w->step;
    int count = 0;
    while (count < most && count < w->step && sigma[-count - 1] != sigma[-count]) count++;
    return count;
}

/* Euler's step is all that is wanted: to 0 the step is of first order, and where the level is repeated x stays as it is. */
static bool is_plain(const cpl_walk *w) {
    const float *sigma = w->sigmas + w->step;
    return !(sigma[1] > 0) || sigma[1] == sigma[0];
}

/* D = (1 + c) denoised - c past[0] with c = h / (2 h_last). */
void cpl_step_dpmpp_2m(cpl_walk *w) {
    double ratio = (double)w->sigmas[w->step + 1] / w->sigmas[w->step];
    cpl_walk_line(w, w->x, ratio, &w->denoised);
    if (is_plain(w) || !usable_past(w, 1)) return;
    double c = (1 - ratio) * log_step(w, 0) / (2 * log_step(w, -1));
    cpl_walk_mix(w, w->x, 1, w->x, c, &w->denoised);
    cpl_walk_mix(w, w->x, 1, w->x, -c, &w->past[0]);
}

/* The way down by 2h; what is kept of x is e^-2h. */
static double go_down_twice(cpl_walk *w) {
    double kept = exp(-2 * log_step(w, 0));
    cpl_walk_line(w, w->x, kept, &w->denoised);
    return kept;
}

static void come_back_up(cpl_walk *w, double kept) {
    double next = w->sigmas[w->step + 1];
    cpl_walk_add_noise(w, w->x, next * sqrt(1 - kept), next);
}

/* x += c (denoised - past[0]). */
static void add_change(cpl_walk *w, double c) {
    cpl_walk_mix(w, w->x, 1, w->x, c, &w->denoised);
    cpl_walk_mix(w, w->x, 1, w->x, -c, &w->past[0]);
}

void cpl_step_dpmpp_2m_sde(cpl_walk *w) {
    if (is_plain(w)) {
        cpl_step_euler(w);
        return;
    }
    double kept = go_down_twice(w);
    if (usable_past(w, 1)) add_change(w, (1 - kept) / 2 * log_step(w, 0) / log_step(w, -1));
    come_back_up(w, kept);
}

/* phi_2 of the exponential integrators at 2h, where (1 - e^-2h) / 2h comes from the way down. */
static double phi_2(double h_twice) { return expm1(-h_twice) / h_twice + 1; }

void cpl_step_dpmpp_2m_sde_heun(cpl_walk *w) {
    if (is_plain(w)) {
        cpl_step_euler(w);
        return;
    }
    double kept = go_down_twice(w), h = log_step(w, 0);
    if (usable_past(w, 1)) add_change(w, phi_2(2 * h) * h / log_step(w, -1));
    come_back_up(w, kept);
}

/* Derivatives of D from divided differences over the last three estimates: with r0 = h_1 / h, r1 = h_2 / h and
 * d0 = (D - D_1) / r0, d1 = (D_1 - D_2) / r1 the first is d0 + (d0 - d1) r0 / (r0 + r1), the second (d0 - d1) / (r0 + r1). */
static void add_two_derivatives(cpl_walk *w) {
    double h = log_step(w, 0), r0 = log_step(w, -1) / h, r1 = log_step(w, -2) / h;
    double second = phi_2(2 * h), third = second / (2 * h) - 0.5;
    double of_d0 = second + (second * r0 - third) / (r0 + r1), of_d1 = -(second * r0 - third) / (r0 + r1);
    cpl_walk_mix(w, w->x, 1, w->x, of_d0 / r0, &w->denoised);
    cpl_walk_mix(w, w->x, 1, w->x, of_d1 / r1 - of_d0 / r0, &w->past[0]);
    cpl_walk_mix(w, w->x, 1, w->x, -of_d1 / r1, &w->past[1]);
}

void cpl_step_dpmpp_3m_sde(cpl_walk *w) {
    if (is_plain(w)) {
        cpl_step_euler(w);
        return;
    }
    double kept = go_down_twice(w), h = log_step(w, 0);
    int past = usable_past(w, 2);
    if (past == 1) add_change(w, phi_2(2 * h) * h / log_step(w, -1));
    if (past == 2) add_two_derivatives(w);
    come_back_up(w, kept);
}

/* ---- Of slopes ---- */

static void find_slope(cpl_walk *w) {
    double sigma = w->sigmas[w->step];
    cpl_walk_mix(w, &w->slope, 1 / sigma, w->x, -1 / sigma, &w->denoised);
}

/* Lagrange's polynomial that is 1 at level `which` steps back and 0 at the other levels back to `order`. */
static double basis(const cpl_walk *w, int order, int which, double sigma) {
    const float *here = w->sigmas + w->step;
    double product = 1;
    for (int i = 0; i < order; i++)
        if (i != which) product *= (sigma - here[-i]) / ((double)here[-which] - here[-i]);
    return product;
}

/* Its integral over the coming step. Two points of Gauss are exact for polynomials up to the third degree, and these have no
 * higher one; the reference integrates numerically to 1e-4. */
static double weight_of(const cpl_walk *w, int order, int which) {
    double from = w->sigmas[w->step], to = w->sigmas[w->step + 1], middle = (from + to) / 2, half = (to - from) / 2;
    double offset = half / sqrt(3);
    return half * (basis(w, order, which, middle - offset) + basis(w, order, which, middle + offset));
}

void cpl_step_lms(cpl_walk *w) {
    int order = usable_past(w, CPL_SOLVER_PAST) + 1;
    find_slope(w);
    cpl_walk_mix(w, w->x, 1, w->x, weight_of(w, order, 0), &w->slope);
    for (int i = 1; i < order; i++) cpl_walk_mix(w, w->x, 1, w->x, weight_of(w, order, i), &w->past[i - 1]);
}

/* Adams and Bashforth's weights, as for steps of equal length in time. The first step looks at the end of a trial. */
void cpl_step_plms(cpl_walk *w) {
    static const double weights[CPL_SOLVER_PAST + 1][CPL_SOLVER_PAST + 1] = {
        {1}, {3.0 / 2, -1.0 / 2}, {23.0 / 12, -16.0 / 12, 5.0 / 12}, {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24}};
    double sigma = w->sigmas[w->step], next = w->sigmas[w->step + 1], way = next - sigma;
    int order = w->step < CPL_SOLVER_PAST ? w->step + 1 : CPL_SOLVER_PAST + 1;
    find_slope(w);
    if (order == 1 && next > 0) {
        cpl_walk_line(w, &w->ahead, next / sigma, &w->denoised);
        if (!cpl_walk_ask_ahead(w, next)) return;
        cpl_walk_mix(w, &w->ahead, 1 / next, &w->ahead, -1 / next, &w->denoised_ahead);
        cpl_walk_mix(w, w->x, 1, w->x, way / 2, &w->slope);
        cpl_walk_mix(w, w->x, 1, w->x, way / 2, &w->ahead);
        return;
    }
    cpl_walk_mix(w, w->x, 1, w->x, way * weights[order - 1][0], &w->slope);
    for (int i = 1; i < order; i++) cpl_walk_mix(w, w->x, 1, w->x, way * weights[order - 1][i], &w->past[i - 1]);
}
