/* schedules.c: the falling lists of sigmas that samplers walk, a row of a table each. Their oddities are the original's: some do
 * not begin at the highest level, one has no final 0 (golden/engine/FORMAT.md section 7). */
#include <math.h>
#include <string.h>

#include "align_your_steps.h"
#include "schedule.h"

#define KARRAS_RHO 7.0

/* Value `i` of `count` in equal steps from `first` to `last`: from both ends inwards in float, as torch.linspace. */
static float in_equal_steps(float first, float last, int count, int i) {
    if (count < 2) return first;
    float step = (last - first) / (float)(count - 1);
    return i < count / 2 ? first + step * (float)i : last - step * (float)(count - 1 - i);
}

static void make_normal(const cpl_noise_levels *levels, int steps, float *sigmas) {
    for (int i = 0; i < steps; i++)
        sigmas[i] = (float)cpl_t_to_sigma(levels, in_equal_steps((float)(levels->count - 1), 0, steps, i));
}

static void make_karras(const cpl_noise_levels *levels, int steps, float *sigmas) {
    double low = pow(levels->sigma[0], 1 / KARRAS_RHO), high = pow(levels->sigma[levels->count - 1], 1 / KARRAS_RHO);
    for (int i = 0; i < steps; i++)
        sigmas[i] = (float)pow(high + in_equal_steps(0, 1, steps, i) * (low - high), KARRAS_RHO);
}

static void make_exponential(const cpl_noise_levels *levels, int steps, float *sigmas) {
    float low = (float)log(levels->sigma[0]), high = (float)log(levels->sigma[levels->count - 1]);
    for (int i = 0; i < steps; i++) sigmas[i] = (float)exp((double)in_equal_steps(high, low, steps, i));
}

/* One step more than asked for, of which the last, to time step 0, gives way to the end. */
static void make_sgm_uniform(const cpl_noise_levels *levels, int steps, float *sigmas) {
    for (int i = 0; i < steps; i++)
        sigmas[i] = (float)cpl_t_to_sigma(levels, in_equal_steps((float)(levels->count - 1), 0, steps + 1, i));
}

static void make_polyexponential(const cpl_noise_levels *levels, int steps, float *sigmas) {
    double low = log(levels->sigma[0]), high = log(levels->sigma[levels->count - 1]);
    for (int i = 0; i < steps; i++) sigmas[i] = (float)exp(low + in_equal_steps(1, 0, steps, i) * (high - low));
}

/* Equal steps of the angle whose tangent is sigma, down to the lowest level: one value more than steps, and no 0. */
static void make_kl_optimal(const cpl_noise_levels *levels, int steps, float *sigmas) {
    double low = atan(levels->sigma[0]), high = atan(levels->sigma[levels->count - 1]);
    for (int i = 0; i <= steps; i++) {
        double part = (double)i / steps;
        sigmas[i] = (float)tan(part * low + (1 - part) * high);
    }
}

/* Whole time steps from the highest down, at equal distances rounded down. */
static void make_simple(const cpl_noise_levels *levels, int steps, float *sigmas) {
    double stride = (double)levels->count / steps;
    for (int i = 0; i < steps; i++) sigmas[i] = (float)levels->sigma[levels->count - 1 - (int)(i * stride)];
}

/* The same from the end of each distance, rounded to the nearest (a half to the even one). */
static void make_turbo(const cpl_noise_levels *levels, int steps, float *sigmas) {
    float stride = (float)((double)levels->count / steps);
    for (int i = 0; i < steps; i++) {
        double t = rint((double)((float)(steps - i) * stride - 1));
        sigmas[i] = (float)levels->sigma[(int)fmin(fmax(t, 0), levels->count - 1)];
    }
}

static int ddim_steps(int train_timesteps, int steps) {
    int stride = steps < train_timesteps ? train_timesteps / steps : 1;
    return (train_timesteps - 1 + stride - 1) / stride;
}

static void make_ddim(const cpl_noise_levels *levels, int steps, float *sigmas) {
    int count = ddim_steps(levels->count, steps), stride = steps < levels->count ? levels->count / steps : 1;
    for (int i = 0; i < count; i++) sigmas[i] = (float)levels->sigma[1 + (count - 1 - i) * stride];
}

/* The regularised incomplete beta function I_x(a, a), by its continued fraction (Lentz), which converges fast for x <= 1/2. */
static double incomplete_beta(double a, double x) {
    double c = 1, d = 1 / (1 - 2 * a * x / (a + 1)), sum = d;
    if (x > 0.5) return 1 - incomplete_beta(a, 1 - x);
    if (!(x > 0)) return 0;
    for (int m = 1; m < 200; m++) {
        double even = m * (a - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (2 * a + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + even * d);
        c = 1 + even / c;
        sum *= d * c;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        sum *= d * c;
        if (fabs(d * c - 1) < 1e-15) break;
    }
    return exp(a * log(x) + a * log1p(-x) + lgamma(2 * a) - 2 * lgamma(a)) * sum / a;
}

/* Equal shares of the beta distribution with alpha and beta 0.6, which lie close at both ends of the range of sigmas. */
static void make_beta(const cpl_noise_levels *levels, int steps, float *sigmas) {
    double lowest = levels->sigma[0], highest = levels->sigma[levels->count - 1];
    for (int i = 0; i < steps; i++) {
        double share = 1 - (double)i / (steps > 1 ? steps - 1 : 1), low = 0, high = 1;
        for (int n = 0; n < 60; n++) {
            double middle = (low + high) / 2;
            *(incomplete_beta(0.6, middle) < share ? &low : &high) = middle;
        }
        sigmas[i] = (float)(lowest + (low + high) / 2 * (highest - lowest));
    }
}

/* Align Your Steps: a few levels that were found by optimisation; others between them, in equal steps of the logarithm. */
static void make_of_knots(const cpl_knots *knots, int steps, float *sigmas) {
    for (int i = 0; i < steps; i++) {
        /* counted from the low end, as the original interpolates: one step alone is the lowest level */
        double at = steps > 1 ? (double)(steps - 1 - i) / (steps - 1) * (knots->count - 1) : 0;
        int low = (int)fmin(floor(at), knots->count - 2);
        const double *above = &knots->sigma[knots->count - 2 - low];
        sigmas[i] = (float)exp(log(above[1]) + (at - low) * (log(above[0]) - log(above[1])));
    }
}

static void make_align(const cpl_noise_levels *levels, int steps, float *sigmas) {
    make_of_knots(cpl_align_your_steps(CPL_ALIGN_11, levels->of_sdxl), steps, sigmas);
}

static void make_align_gits(const cpl_noise_levels *levels, int steps, float *sigmas) {
    make_of_knots(cpl_align_your_steps(CPL_ALIGN_GITS, levels->of_sdxl), steps, sigmas);
}

static void make_align_32(const cpl_noise_levels *levels, int steps, float *sigmas) {
    make_of_knots(cpl_align_your_steps(CPL_ALIGN_32, levels->of_sdxl), steps, sigmas);
}

/* All sigmas but the final one. */
typedef void make_schedule(const cpl_noise_levels *levels, int steps, float *sigmas);

static const char *const names[] = {CPL_SCHEDULE_AUTOMATIC,
                                    "normal",
                                    "karras",
                                    "exponential",
                                    "polyexponential",
                                    "sgm_uniform",
                                    "kl_optimal",
                                    "align_your_steps",
                                    "align_your_steps_gits",
                                    "align_your_steps_11",
                                    "align_your_steps_32",
                                    "simple",
                                    "ddim",
                                    "beta",
                                    "turbo",
                                    NULL};
static make_schedule *const makers[] = {
    /* in the order of the names */
    make_normal,      make_normal,     make_karras, make_exponential, make_polyexponential,
    make_sgm_uniform, make_kl_optimal, make_align,  make_align_gits,  make_align,
    make_align_32,    make_simple,     make_ddim,   make_beta,        make_turbo};
_Static_assert(sizeof names / sizeof *names == sizeof makers / sizeof *makers + 1, "one maker for each name");

const char *const *cpl_schedule_names(void) { return names; }

int cpl_schedule_steps(const char *schedule, int train_timesteps, int steps) {
    return strcmp(schedule, "ddim") == 0 ? ddim_steps(train_timesteps, steps) : steps;
}

bool cpl_schedule_make(const char *schedule, const cpl_noise_levels *levels, int steps, float *sigmas,
                       cpl_error *error) {
    if (steps < 1) return cpl_fail(error, CPL_E_INPUT, "%d steps: at least one is needed", steps);
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], schedule) != 0) continue;
        sigmas[cpl_schedule_steps(schedule, levels->count, steps)] =
            0; /* stays, where the maker writes no end of its own */
        makers[i](levels, steps, sigmas);
        return true;
    }
    return cpl_fail(error, CPL_E_UNSUPPORTED, "schedule \"%s\" is not built in", schedule);
}
