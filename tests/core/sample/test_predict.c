/* What a network's output means, against its definition: with alpha^2 + s^2 = 1 and sigma = s / alpha the network sees
 * alpha * clean + s * noise; an epsilon network answers noise, a v network alpha * noise - s * clean ("Progressive
 * Distillation for Fast Sampling of Diffusion Models", Salimans and Ho 2022, section 4). */
#include "../../test.h"

#include <math.h>

#include "../../../core/sample/predict.h"
#include "../../../core/sample/schedule.h"

static void check_level(cpl_prediction prediction, double sigma, double clean, double noise) {
    double alpha = 1 / sqrt(1 + sigma * sigma), s = sigma * alpha, x = clean + sigma * noise;
    double output = prediction == CPL_PREDICT_V ? alpha * noise - s * clean : noise;
    cpl_mix mix = cpl_denoised_mix(prediction, sigma);
    double seen = x * cpl_input_scale(sigma), found = mix.first * x + mix.second * output;
    if (!(fabs(seen - (alpha * clean + s * noise)) < 1e-9)) fail_msg("the input at sigma %g", sigma);
    if (!(fabs(found - clean) < 1e-9 * (1 + sigma))) fail_msg("clean %g, but %g at sigma %g", clean, found, sigma);
}

static void a_perfect_network_gives_the_clean_picture(void **state) {
    (void)state;
    cpl_noise_levels levels;
    for (int zero_snr = 0; zero_snr < 2; zero_snr++) {
        assert_true(cpl_noise_levels_init(&levels, 0.00085, 0.012, 1000, zero_snr, NULL));
        for (int t = 0; t < 1000; t += 37)
            for (int i = -2; i <= 2; i++) {
                check_level(CPL_PREDICT_EPSILON, levels.sigma[t], 0.7 * i, 1.3 - i);
                check_level(CPL_PREDICT_V, levels.sigma[t], 0.7 * i, 1.3 - i);
            }
        check_level(CPL_PREDICT_V, levels.sigma[999], 1.5, -0.5);
    }
}

/* Where nothing but noise is left, epsilon says nothing of the picture, and v is the picture. */
static void at_the_end_v_is_the_picture(void **state) {
    (void)state;
    cpl_mix mix = cpl_denoised_mix(CPL_PREDICT_V, 4518.76);
    assert_true(mix.first < 1e-7 && fabs(mix.second + 1) < 1e-7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_perfect_network_gives_the_clean_picture),
        cmocka_unit_test(at_the_end_v_is_the_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
