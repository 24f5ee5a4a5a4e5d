/* predict.c: factors between network input, network output and denoised latents, for epsilon and v models. */
#include "predict.h"

#include <math.h>

double cpl_input_scale(double sigma) { return 1 / sqrt(sigma * sigma + 1); }

cpl_mix cpl_denoised_mix(cpl_prediction prediction, double sigma) {
    if (prediction == CPL_PREDICT_V) return (cpl_mix){1 / (sigma * sigma + 1), -sigma / sqrt(sigma * sigma + 1)};
    return (cpl_mix){1, -sigma};
}

cpl_mix cpl_guidance_mix(double cfg) { return (cpl_mix){1 - cfg, cfg}; }

double cpl_noise_scale(double sigma, bool full) { return full ? sqrt(1 + sigma * sigma) : sigma; }
