/* Latents made larger, against torch 1.13's interpolate (align_corners false) of the same numbers. */
#include "../../test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../core/couplet.h"
#include "../../../core/sample/upscale.h"

enum { CHANNELS = 2, W = 3, H = 2, TO_W = 5, TO_H = 3, COUNT = CHANNELS * TO_W * TO_H };

static const float planes[CHANNELS * W * H] = {-1.25F, 0.5F, -0.5F, 1.25F, 0.25F,  -0.75F,
                                               1.0F,   0.0F, -1.0F, 0.75F, -0.25F, -1.25F};

static const struct {
    const char *name;
    float values[COUNT];
} cases[] = {
    {"latent", {-1.25F, -0.55F, 0.5F,    -0.1F,   -0.5F,   0.0F,  0.15F, 0.375F, -0.225F, -0.625F,
                1.25F,  0.85F,  0.25F,   -0.35F,  -0.75F,  1.0F,  0.6F,  0.0F,   -0.6F,   -1.0F,
                0.875F, 0.475F, -0.125F, -0.725F, -1.125F, 0.75F, 0.35F, -0.25F, -0.85F,  -1.25F}},
    {"latent_nearest",
     {-1.25F, -1.25F, 0.5F, 0.5F, -0.5F, -1.25F, -1.25F, 0.5F, 0.5F, -0.5F, 1.25F, 1.25F, 0.25F,  0.25F,  -0.75F,
      1.0F,   1.0F,   0.0F, 0.0F, -1.0F, 1.0F,   1.0F,   0.0F, 0.0F, -1.0F, 0.75F, 0.75F, -0.25F, -0.25F, -1.25F}},
    {"latent_bicubic", {-1.657931F, -0.623392F, 0.521701F,  0.052889F,  -0.574299F, -0.036F,    0.2175F,    0.375F,
                        -0.21F,     -0.721F,    1.58593F,   1.058392F,  0.228299F,  -0.472889F, -0.867702F, 1.117702F,
                        0.705701F,  0.021701F,  -0.662299F, -1.074299F, 0.971F,     0.558999F,  -0.125F,    -0.809F,
                        -1.221F,    0.824299F,  0.412298F,  -0.271701F, -0.955701F, -1.367702F}},
};

static void as_torch_does(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *got = cpl_upscale_latent(cases[i].name, planes, CHANNELS, W, H, TO_W, TO_H, NULL);
        assert_non_null(got);
        for (int k = 0; k < COUNT; k++)
            if (fabsf(got[k] - cases[i].values[k]) > 2e-6F)
                fail_msg("%s: value %d is %g and not %g", cases[i].name, k, (double)got[k], (double)cases[i].values[k]);
        free(got);
    }
}

/* What is even stays even, whatever the size. */
static void of_one_value_all_are_that(void **state) {
    (void)state;
    static const float even[4] = {0.375F, 0.375F, 0.375F, 0.375F};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *got = cpl_upscale_latent(cases[i].name, even, 1, 2, 2, 7, 2, NULL);
        for (int k = 0; got && k < 14; k++) assert_true(fabsf(got[k] - 0.375F) < 1e-6F);
        free(got);
    }
}

static void names_are_told_apart(void **state) {
    (void)state;
    cpl_error error = {0};
    int latent = 0, count = 0;
    for (const char *const *name = cpl_upscaler_names(); *name; name++, count++)
        latent += cpl_upscaler_is_latent(*name);
    assert_true(count == 4 && latent == 3);
    assert_null(cpl_upscale_latent("lanczos", planes, CHANNELS, W, H, TO_W, TO_H, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_torch_does),
        cmocka_unit_test(of_one_value_all_are_that),
        cmocka_unit_test(names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
