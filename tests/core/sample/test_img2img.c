/* Which part of a schedule image to image walks. The WebUI's rule for steps is held by golden data; here is how it is cut out of
 * each sampler's levels. */
#include "../../test.h"

#include "../../../core/sample/img2img.h"
#include "../../../core/sample/sampler.h"
#include "../../../core/sample/schedule.h"

static cpl_span span_of(const char *sampler, int steps, double denoise, bool fix_steps) {
    return cpl_span_of(sampler, "normal", 1000, steps, denoise, fix_steps);
}

static void without_a_picture_it_is_the_whole(void **state) {
    (void)state;
    for (const char *const *name = cpl_sampler_names(); *name; name++) {
        cpl_span span = span_of(*name, 20, 0, false);
        assert_int_equal(span.asked, 20);
        assert_int_equal(span.skip, 0);
        assert_int_equal(span.steps, cpl_sampler_steps(*name, "normal", 1000, 20));
    }
}

/* sigmas[steps - t_enc - 1:] of the WebUI. */
static void a_schedule_loses_its_beginning(void **state) {
    (void)state;
    static const struct {
        double denoise;
        bool fix_steps;
        int asked, skip, steps;
    } cases[] = {{0.5, false, 20, 9, 11},
                 {1, false, 20, 0, 20},
                 {0.01, false, 20, 19, 1},
                 {0.75, true, 26, 6, 20},
                 {0.05, true, 400, 380, 20}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cpl_span span = span_of("euler", 20, cases[i].denoise, cases[i].fix_steps);
        assert_int_equal(span.asked, cases[i].asked);
        assert_int_equal(span.skip, cases[i].skip);
        assert_int_equal(span.noise, cases[i].skip);
        assert_int_equal(span.steps, cases[i].steps);
    }
}

/* timesteps[:t_enc] of the WebUI, noised to the level at t_enc: one step less than t_enc, and at least one. */
static void ddim_is_cut_one_further_down(void **state) {
    (void)state;
    cpl_span span = span_of("ddim", 20, 0.5, false);
    assert_int_equal(span.steps, 9);
    assert_int_equal(span.noise, span.skip - 1);
    span = span_of("plms", 20, 1, false);
    assert_int_equal(span.noise, 0);
    assert_int_equal(span.steps, 18);
    span = span_of("ddpm", 20, 0.01, false);
    assert_int_equal(span.steps, 1);
}

static void every_cut_stays_inside(void **state) {
    (void)state;
    for (const char *const *name = cpl_sampler_names(); *name; name++)
        for (int steps = 1; steps < 30; steps++)
            for (int percent = 1; percent <= 100; percent += 9)
                for (int fix = 0; fix < 2; fix++) {
                    cpl_span span = span_of(*name, steps, percent / 100.0, fix);
                    if (!span.asked) continue;
                    int all = cpl_sampler_steps(*name, "normal", 1000, span.asked);
                    assert_true(span.skip >= 0 && span.steps >= 1 && span.skip + span.steps == all);
                    assert_true(span.noise >= 0 && span.noise <= span.skip);
                }
}

/* Of 500 levels no schedule in whole time steps has 600 steps. */
static void a_cut_of_fewer_levels_stays_inside(void **state) {
    (void)state;
    for (const char *const *name = cpl_sampler_names(); *name; name++)
        for (int percent = 1; percent <= 100; percent++) {
            cpl_span span = cpl_span_of(*name, "ddim", 500, 600, percent / 100.0, false);
            int all = cpl_sampler_steps(*name, "ddim", 500, span.asked);
            assert_true(span.skip >= 0 && span.steps >= 1 && span.skip + span.steps == all);
            assert_true(span.noise >= 0 && span.noise <= span.skip);
        }
}

static void too_long_a_schedule_is_none(void **state) {
    (void)state;
    assert_int_equal(span_of("euler", 20, 0.01, true).asked, 0);
    assert_int_equal(span_of("euler", 10, 0.01, true).asked, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_picture_it_is_the_whole),  cmocka_unit_test(a_schedule_loses_its_beginning),
        cmocka_unit_test(ddim_is_cut_one_further_down),       cmocka_unit_test(every_cut_stays_inside),
        cmocka_unit_test(a_cut_of_fewer_levels_stays_inside), cmocka_unit_test(too_long_a_schedule_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
