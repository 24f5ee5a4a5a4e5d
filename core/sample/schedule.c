/* schedule.c: the model's noise levels. The lists of them that samplers walk stand in schedules.c.
 *
 * Roundings to float32 stand where the original has float32 tensors: sigma_to_t picks the nearest whole time step, and
 * with some step counts the choice hangs on the last bit. */
#include "schedule.h"

#include <math.h>

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
    levels->of_sdxl = false;
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

int cpl_ddim_timesteps(int steps, int train_timesteps, int *timesteps) {
    int stride = steps < train_timesteps ? train_timesteps / steps : 1;
    int count = (train_timesteps + stride - 1) / stride;
    for (int i = 0; i < count; i++) {
        int t = (count - 1 - i) * stride + 1;
        timesteps[i] = t < train_timesteps ? t : train_timesteps - 1;
    }
    return count;
}
