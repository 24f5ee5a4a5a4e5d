/* Schedules for every number of steps: shape, ends, and the way between time steps and noise levels. */
#include "../../test.h"

#include <math.h>
#include <string.h>

#include "../../../core/sample/schedule.h"

static cpl_noise_levels levels, without_signal;

static int set_up(void **state) {
    (void)state;
    if (!cpl_noise_levels_init(&levels, 0.00085, 0.012, 1000, false, NULL)) return -1;
    return cpl_noise_levels_init(&without_signal, 0.00085, 0.012, 1000, true, NULL) ? 0 : -1;
}

static bool is(const char *name, const char *other) { return strcmp(name, other) == 0; }

/* Where a schedule begins and ends, the final 0 left out; the original's oddities among them. */
static double first_of(const cpl_noise_levels *of, const char *name, int steps) {
    if (strncmp(name, "align", 5) == 0) return steps > 1 ? 14.615 : is(name, "align_your_steps_32") ? 0.015 : 0.029;
    return is(name, "ddim") ? of->sigma[1 + (cpl_schedule_steps(name, 1000, steps) - 1) * (1000 / steps)]
                            : of->sigma[999];
}

static double last_of(const cpl_noise_levels *of, const char *name) {
    if (strncmp(name, "align", 5) == 0) return is(name, "align_your_steps_32") ? 0.015 : 0.029;
    return of->sigma[is(name, "ddim")];
}

/* Those that are cut into parts of which the last does not reach the lowest level. */
static bool ends_above(const char *name) { return is(name, "sgm_uniform") || is(name, "simple") || is(name, "turbo"); }

static void check_falling(const cpl_noise_levels *of, const char *name, int asked) {
    float sigmas[1001];
    int steps = cpl_schedule_steps(name, 1000, asked), last = is(name, "kl_optimal") ? steps : steps - 1;
    assert_true(steps <= 1000 && (steps == asked || (is(name, "ddim") && steps >= asked - 1)));
    assert_true(cpl_schedule_make(name, of, asked, sigmas, NULL));
    if (fabs(sigmas[0] / first_of(of, name, asked) - 1) > 4e-6)
        fail_msg("%s, %d steps: begins at %g", name, asked, (double)sigmas[0]);
    for (int i = 0; i < steps; i++)
        if (!(sigmas[i + 1] < sigmas[i])) fail_msg("%s, %d steps: sigma %d does not fall", name, asked, i + 1);
    assert_true(last == steps || sigmas[steps] == 0);
    if (steps > 1 && !ends_above(name) && fabs(sigmas[last] / last_of(of, name) - 1) > 2e-5)
        fail_msg("%s, %d steps: ends at %g", name, asked, (double)sigmas[last]);
}

static void every_schedule_falls_from_its_largest_level(void **state) {
    (void)state;
    for (const char *const *name = cpl_schedule_names(); *name; name++)
        for (int steps = 1; steps <= 1000; steps += steps < 60 ? 1 : 47) {
            check_falling(&levels, *name, steps);
            check_falling(&without_signal, *name, steps);
        }
}

static void whole_time_steps_come_back(void **state) {
    (void)state;
    const cpl_noise_levels *const both[] = {&levels, &without_signal};
    for (int i = 0; i < 2; i++)
        for (int t = 0; t < both[i]->count; t++)
            assert_int_equal(cpl_sigma_to_t(both[i], cpl_t_to_sigma(both[i], t)), t);
}

/* Algorithm 1 of the paper, on betas as it is written there; the last level alone is not infinite but the programs' own. */
static void the_last_level_holds_no_signal(void **state) {
    (void)state;
    double alphas_bar_sqrt[1000], alphas_bar = 1;
    for (int i = 0; i < 1000; i++) {
        double root = sqrt(0.00085) + (sqrt(0.012) - sqrt(0.00085)) * i / 999;
        alphas_bar_sqrt[i] = sqrt(alphas_bar *= 1 - root * root);
    }
    double first = alphas_bar_sqrt[0], last = alphas_bar_sqrt[999], before = 1;
    alphas_bar = 1;
    for (int i = 0; i < 999; i++) {
        double rescaled = (alphas_bar_sqrt[i] - last) * (first / (first - last));
        double beta = 1 - rescaled * rescaled / before; /* back to betas and forth, as a trainer does it */
        before = rescaled * rescaled;
        alphas_bar *= 1 - beta;
        assert_true(fabs(without_signal.alpha_cumprod[i] / alphas_bar - 1) < 1e-6);
        assert_true(fabs(without_signal.sigma[i] / sqrt(1 / alphas_bar - 1) - 1) < 1e-6);
    }
    assert_true(fabs(without_signal.sigma[0] / levels.sigma[0] - 1) < 1e-6);
    assert_true(fabs(without_signal.sigma[999] - 4518.76) < 0.05);
    assert_true(without_signal.sigma[998] < without_signal.sigma[999]);
}

/* The last level before 0 is one step's way up from the lowest. */
static void sgm_uniform_is_normal_of_one_step_more(void **state) {
    (void)state;
    float more[22], fewer[21];
    assert_true(cpl_schedule_make("normal", &levels, 21, more, NULL));
    assert_true(cpl_schedule_make("sgm_uniform", &levels, 20, fewer, NULL));
    for (int i = 0; i < 20; i++) assert_true(fabsf(more[i] - fewer[i]) <= 1e-5f * more[i]);
    assert_true(fewer[20] == 0);
}

static void ddim_visits_falling_time_steps(void **state) {
    (void)state;
    int t[CPL_MAX_TRAIN_STEPS];
    for (int steps = 1; steps <= 1000; steps++) {
        int count = cpl_ddim_timesteps(steps, 1000, t);
        assert_true(count >= steps && count <= CPL_MAX_TRAIN_STEPS);
        assert_true(t[0] <= 999);
        assert_int_equal(t[count - 1], 1);
        for (int i = 2; i < count; i++) assert_true(t[i] < t[i - 1]);
        if (count > 1) assert_true(t[1] <= t[0]); /* equal where the first would stand at 1000 */
    }
}

/* The reference feeds step 500 for 499.5, as float32 rounding has it; half the step counts meet this place. */
static void the_tie_in_the_middle_goes_up(void **state) {
    (void)state;
    assert_int_equal(cpl_sigma_to_t(&levels, cpl_t_to_sigma(&levels, 499.5)), 500);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    float sigmas[8];
    cpl_noise_levels bad;
    cpl_error error = {0};
    assert_false(cpl_schedule_make("triangular", &levels, 4, sigmas, &error));
    assert_non_null(strstr(error.message, "triangular"));
    assert_false(cpl_schedule_make("karras", &levels, 0, sigmas, &error));
    assert_false(cpl_noise_levels_init(&bad, 0.00085, 0.012, CPL_MAX_TRAIN_STEPS + 1, false, &error));
    assert_false(cpl_noise_levels_init(&bad, NAN, 0.012, 1000, false, &error));
    assert_false(cpl_noise_levels_init(&bad, 0.012, 0.00085, 1000, false, &error));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_falls_from_its_largest_level),
        cmocka_unit_test(whole_time_steps_come_back),
        cmocka_unit_test(the_last_level_holds_no_signal),
        cmocka_unit_test(sgm_uniform_is_normal_of_one_step_more),
        cmocka_unit_test(ddim_visits_falling_time_steps),
        cmocka_unit_test(the_tie_in_the_middle_goes_up),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
