/* schedule.c: the model's noise levels, and the falling list of sigmas that a sampler walks.
 *
 * Roundings to float32 stand where the original has float32 tensors: sigma_to_t picks the nearest whole time step, and
 * with some step counts the choice hangs on the last bit. */
#include "schedule.h"

#include <math.h>
#include <string.h>

#define KARRAS_RHO 7.0
#define LAST_ALPHA_CUMPROD 4.8973451890853435e-08

static void set_level(cpl_noise_levels *levels, int i, double alpha_cumprod) {
    float sigma = (float)sqrt((1 - alpha_cumprod) / alpha_cumprod);
    levels->alpha_cumprod[i] = (float)alpha_cumprod;
    levels->sigma[i] = sigma;
    levels->log_sigma[i] = (float)log((double)sigma);
}

static void end_without_signal(cpl_noise_levels *levels, double alpha_cumprod[]) {
    double first = sqrt(alpha_cumprod[0]), last = sqrt(alpha_cumprod[levels->count - 1]);
    for (int i = 0; i < levels->count - 1; i++) {
        double root = (sqrt(alpha_cumprod[i]) - last) * first / (first - last);
        alpha_cumprod[i] = root * root;
    }
    alpha_cumprod[levels->count - 1] = LAST_ALPHA_CUMPROD;
}

bool cpl_noise_levels_init(cpl_noise_levels *levels, double beta_start, double beta_end, int count,
                           bool zero_terminal_snr, cpl_error *error) {
    double alpha_cumprod[CPL_MAX_TRAIN_STEPS];
    if (count < 2 || count > CPL_MAX_TRAIN_STEPS || !(beta_start > 0) || !(beta_end >= beta_start) || !(beta_end < 1))
        return cpl_fail(error, CPL_E_UNSUPPORTED, "noise levels from beta %g to %g in %d steps are out of range",
                        beta_start, beta_end, count);
    double first = sqrt(beta_start), last = sqrt(beta_end), product = 1;
    levels->count = count;
    for (int i = 0; i < count; i++) {
        double root = first + (last - first) * i / (count - 1);
        alpha_cumprod[i] = product *= 1 - root * root;
    }
    if (zero_terminal_snr) end_without_signal(levels, alpha_cumprod);
    for (int i = 0; i < count; i++) set_level(levels, i, alpha_cumprod[i]);
    return true;
}

double cpl_t_to_sigma(const cpl_noise_levels *levels, double t) {
    float clamped = (float)fmin(fmax(t, 0), levels->count - 1);
    int low = (int)floorf(clamped), high = (int)ceilf(clamped);
    float part = clamped - (float)low;
    float log_sigma = (1.0f - part) * (float)levels->log_sigma[low] + part * (float)levels->log_sigma[high];
    return (float)exp((double)log_sigma);
}

int cpl_sigma_to_t(const cpl_noise_levels *levels, double sigma) {
    float wanted = (float)log((double)(float)sigma), nearest = INFINITY;
    int t = 0;
    for (int i = 0; i < levels->count; i++) {
        float distance = fabsf(wanted - (float)levels->log_sigma[i]);
        if (distance < nearest) {
            nearest = distance;
            t = i;
        }
    }
    return t;
}

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

int cpl_ddim_timesteps(int steps, int train_timesteps, int *timesteps) {
    int stride = steps < train_timesteps ? train_timesteps / steps : 1;
    int count = (train_timesteps + stride - 1) / stride;
    for (int i = 0; i < count; i++) {
        int t = (count - 1 - i) * stride + 1;
        timesteps[i] = t < train_timesteps ? t : train_timesteps - 1;
    }
    return count;
}

/* All sigmas but the final 0. */
typedef void make_schedule(const cpl_noise_levels *levels, int steps, float *sigmas);

static const char *const names[] = {"normal", "karras", "exponential", "sgm_uniform", NULL};
static make_schedule *const makers[] = {make_normal, make_karras, make_exponential, make_sgm_uniform};
_Static_assert(sizeof names / sizeof *names == sizeof makers / sizeof *makers + 1, "one maker for each name");

const char *const *cpl_schedule_names(void) { return names; }

bool cpl_schedule_make(const char *schedule, const cpl_noise_levels *levels, int steps, float *sigmas,
                       cpl_error *error) {
    if (steps < 1) return cpl_fail(error, CPL_E_INPUT, "%d steps: at least one is needed", steps);
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], schedule) != 0) continue;
        makers[i](levels, steps, sigmas);
        sigmas[steps] = 0;
        return true;
    }
    return cpl_fail(error, CPL_E_UNSUPPORTED, "schedule \"%s\" is not built in", schedule);
}
