/* predict.h: what a network's output means. All of it is linear, so each rule is a pair of factors. */
#ifndef CPL_SAMPLE_PREDICT_H
#define CPL_SAMPLE_PREDICT_H

#include "../model/spec.h"

typedef struct cpl_mix {
    double first, second;
} cpl_mix;

/* The network's input is x times this. */
double cpl_input_scale(double sigma);
/* denoised = first * x + second * output. */
cpl_mix cpl_denoised_mix(cpl_prediction prediction, double sigma);
/* Guided = first * uncond + second * cond, on denoised values. */
cpl_mix cpl_guidance_mix(double cfg);
/* The start: x = noise * this (+ a latent). `full`: as if the latent were part of the noise's variance. */
double cpl_noise_scale(double sigma, bool full);

#endif
