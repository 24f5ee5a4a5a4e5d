/* Samplers on a denoiser that is known exactly, and what they do when the stream fails under way. */
#include "../../test.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../../../core/layout/fields.h"
#include "../../../core/sample/sampler.h"

enum { CELLS = 12, CHANNELS = 4, COUNT = CELLS * CHANNELS };

static cpl_backend *backend;
static cpl_stream *stream;
static atomic_bool cancelled;

static int set_up(void **state) {
    (void)state;
    cpl_error error = {0};
    backend = cpl_cpu_backend.open(&(cpl_backend_config){.threads = 1, .precision = CPL_F32}, &error);
    stream = backend ? cpl_cpu_backend.stream_open(backend, &error) : NULL;
    if (!stream) return -1;
    stream->cancelled = &cancelled;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    stream->ops->stream_close(stream);
    backend->ops->close(backend);
    return 0;
}

/* A denoiser that always sees the same clean latent: every solver must arrive at it, whatever the steps. */
typedef struct target {
    float value;
    const float *sigmas; /* where levels may repeat; else NULL */
    float before;        /* the first value of x, after the last step */
    int denoise_calls, noise_calls, steps_told, cancel_after, fail_after;
} target;

static void fill(cpl_stream *s, const cpl_tensor *t, float value) {
    float host[COUNT];
    for (int i = 0; i < COUNT; i++) host[i] = value + (float)i;
    s->ops->upload(s, t, host);
}

static void denoise(void *user, cpl_stream *s, const cpl_tensor *denoised, const cpl_tensor *x, float sigma) {
    target *t = user;
    (void)x, (void)sigma;
    if (++t->denoise_calls == t->cancel_after) atomic_store(&cancelled, true);
    if (t->denoise_calls == t->fail_after) cpl_stream_fail(s, CPL_E_DEVICE, "the device went away");
    fill(s, denoised, t->value);
}

static void noise(void *user, cpl_stream *s, const cpl_tensor *out, float sigma, float sigma_next) {
    target *t = user;
    assert_true(sigma_next > 0 && (sigma_next < sigma || (t->sigmas && sigma_next == sigma)));
    t->noise_calls++;
    fill(s, out, 0);
}

static void stepped(void *user, cpl_stream *s, int step, const cpl_tensor *x, const cpl_tensor *denoised) {
    target *t = user;
    float host[COUNT];
    assert_int_equal(step, ++t->steps_told);
    s->ops->download(s, host, denoised);
    assert_true(host[0] == t->value);
    s->ops->download(s, host, x);
    assert_true(isfinite(host[0]));
    bool repeats = t->sigmas && step > 1 && t->sigmas[step] == t->sigmas[step - 1];
    if (repeats && fabsf(host[0] - t->before) > 1e-4f) fail_msg("step %d: from %g to %g", step, t->before, host[0]);
    t->before = host[0];
}

static bool walk_over(const float *sigmas, const char *sampler, target *t, int steps, float *end, cpl_error *error) {
    cpl_sampler_host host = {.user = t, .denoise = denoise, .noise = noise, .stepped = stepped};
    cpl_tensor x = cpl_make(stream, 1, 3, CELLS / 3, CHANNELS);
    fill(stream, &x, 100);
    bool done = cpl_sampler_run(sampler, stream, &x, sigmas, steps, &host, error);
    if (done) stream->ops->download(stream, end, &x);
    cpl_tensor_free(&x);
    return done;
}

static bool walk(const char *sampler, target *t, int steps, float *end, cpl_error *error) {
    float sigmas[32];
    for (int i = 0; i < steps; i++) sigmas[i] = 10.0f * (float)(steps - i) / (float)steps;
    sigmas[steps] = 0;
    return walk_over(sigmas, sampler, t, steps, end, error);
}

static uint64_t tensors_in_use(void) {
    cpl_stats stats = {0};
    stream->ops->stats(stream, &stats);
    return stats.active_tensors;
}

static bool is(const char *name, const char *other) { return strcmp(name, other) == 0; }

static bool is_one_of(const char *name, const char *const *list) {
    while (*list && !is(name, *list)) list++;
    return *list != NULL;
}

static bool asks_twice(const char *name) {
    static const char *const list[] = {"heun", "dpm_2", "dpm_2_a", "dpmpp_2s_a", "dpmpp_sde", NULL};
    return is_one_of(name, list);
}

/* Asks of the model in n steps: the second of a step is not needed in the last, and plms has but one in the first. */
static int calls_of(const char *name, int n) {
    if (is(name, "plms")) return n > 1 ? n + 1 : 1;
    return asks_twice(name) ? 2 * n - 1 : n;
}

static int draws_of(const char *name, int n) {
    static const char *const list[] = {
        "euler_a", "dpm_2_a", "dpmpp_2s_a", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "ddpm", "lcm", NULL};
    if (is(name, "dpmpp_sde")) return 2 * (n - 1);
    return is_one_of(name, list) ? n - 1 : 0;
}

static void every_sampler_arrives_at_a_constant_estimate(void **state) {
    (void)state;
    for (const char *const *name = cpl_sampler_names(); *name; name++)
        for (int steps = 1; steps <= 8; steps++) {
            target t = {.value = 3.5f};
            float end[COUNT];
            assert_true(walk(*name, &t, steps, end, NULL));
            for (int i = 0; i < COUNT; i++)
                if (fabsf(end[i] - (t.value + (float)i)) > 1e-3f)
                    fail_msg("%s, %d steps: value %d is %g", *name, steps, i, end[i]);
            assert_int_equal(t.steps_told, steps);
            assert_int_equal(t.denoise_calls, calls_of(*name, steps));
            assert_int_equal(t.noise_calls, draws_of(*name, steps));
            assert_int_equal(tensors_in_use(), 0);
        }
}

/* A long schedule on few levels repeats some of them. Such a step leads nowhere, and nothing is extrapolated over it. */
static void a_level_that_is_repeated_does_no_harm(void **state) {
    (void)state;
    static const float lists[][10] = {
        {10, 8, 8, 8, 5, 5, 3, 2, 1, 0}, {10, 8, 6, 6, 4, 3, 2, 2, 2, 0}, {10, 10, 8, 6, 5, 4, 3, 2, 1, 0}};
    for (const char *const *name = cpl_sampler_names(); *name; name++)
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
            if (is(*name, "lcm")) continue; /* each of its steps is new noise on an estimate */
            target t = {.value = 3.5f, .sigmas = lists[i]};
            float end[COUNT] = {0};
            assert_true(walk_over(lists[i], *name, &t, 9, end, NULL));
            for (int k = 0; k < COUNT; k++)
                if (!(fabsf(end[k] - (t.value + (float)k)) <= 1e-3f))
                    fail_msg("%s, list %d: value %d is %g", *name, (int)i, k, end[k]);
        }
}

static void cancelling_ends_the_walk_and_the_stream_lives_on(void **state) {
    (void)state;
    for (const char *const *name = cpl_sampler_names(); *name; name++) {
        target t = {.cancel_after = 3}, again = {.value = 1};
        float end[COUNT];
        cpl_error error = {0};
        assert_false(walk(*name, &t, 8, end, &error));
        assert_int_equal(error.code, CPL_E_CANCELLED);
        assert_int_equal(t.denoise_calls, 3);
        /* half a step is not told */
        assert_int_equal(t.steps_told, asks_twice(*name) || is(*name, "plms") ? 1 : 2);
        assert_int_equal(tensors_in_use(), 0);
        atomic_store(&cancelled, false);
        assert_true(walk(*name, &again, 4, end, &error));
    }
}

/* Layouts check names by the format's list; all that it has is built in. */
static void every_name_of_the_format_is_built_in(void **state) {
    (void)state;
    const char *const *lists[][2] = {{cpl_layout_samplers, cpl_sampler_names()},
                                     {cpl_layout_schedules, cpl_schedule_names()},
                                     {cpl_layout_rngs, cpl_rng_names()}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (int k = 0; lists[i][0][k] || lists[i][1][k]; k++) {
            assert_non_null(lists[i][0][k]);
            assert_non_null(lists[i][1][k]);
            assert_string_equal(lists[i][0][k], lists[i][1][k]);
        }
}

static void ddim_has_levels_of_its_own(void **state) {
    (void)state;
    cpl_noise_levels levels;
    assert_true(cpl_noise_levels_init(&levels, 0.00085, 0.012, 1000, false, NULL));
    for (int steps = 1; steps <= 1000; steps += steps < 70 ? 1 : 31) {
        int taken = 0, plain = 0, listed = 0;
        float *sigmas = cpl_sampler_sigmas("ddim", "karras", &levels, steps, &taken, NULL);
        float *karras = cpl_sampler_sigmas("euler", "karras", &levels, steps, &plain, NULL);
        assert_true(taken >= 1 && plain == steps);
        if (!sigmas || !karras) { /* linters do not know that fail_msg ends the test */
            fail_msg("no levels for %d steps", steps);
            return;
        }
        assert_int_equal(taken, cpl_sampler_steps("ddim", "karras", 1000, steps));
        assert_true(sigmas[taken] == (float)levels.sigma[1] && karras[steps] == 0);
        for (int i = 0; i < taken; i++) assert_true(sigmas[i + 1] <= sigmas[i]);
        free(sigmas);
        free(karras);
        /* The schedule of the name ends at 0 and may be longer than asked for, for any sampler. */
        sigmas = cpl_sampler_sigmas("dpm_2", "ddim", &levels, steps, &listed, NULL);
        assert_non_null(sigmas);
        assert_int_equal(listed, cpl_sampler_steps("dpm_2", "ddim", 1000, steps));
        assert_true(listed >= steps - 2 && sigmas[listed] == 0);
        free(sigmas);
    }
    cpl_error error = {0};
    int taken;
    assert_null(cpl_sampler_sigmas("runge", "karras", &levels, 4, &taken, &error));
    assert_null(cpl_sampler_sigmas("euler", "linear", &levels, 4, &taken, &error));
    assert_null(cpl_sampler_sigmas("ddim", "karras", &levels, 0, &taken, &error));
    assert_true(cpl_sampler_start("ddim", 14) == 1 && cpl_sampler_start("euler", 14) == 14);
}

/* What Forge makes of a schedule that is left to it, and of those samplers that leave a level out. */
static void automatic_is_the_schedule_of_the_sampler(void **state) {
    (void)state;
    static const struct {
        const char *sampler, *schedule;
        bool skips;
    } rows[] = {
        {"euler", "normal", false},  {"dpmpp_2m", "karras", false},          {"dpmpp_sde", "karras", false},
        {"dpm_2_a", "karras", true}, {"dpmpp_2m_sde", "exponential", false}, {"dpmpp_3m_sde", "exponential", true},
        {"lcm", "normal", false}};
    cpl_noise_levels levels;
    assert_true(cpl_noise_levels_init(&levels, 0.00085, 0.012, 1000, false, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int taken = 0;
        float wanted[12], *got = cpl_sampler_sigmas(rows[i].sampler, "automatic", &levels, 10, &taken, NULL);
        assert_true(cpl_schedule_make(rows[i].schedule, &levels, rows[i].skips ? 11 : 10, wanted, NULL));
        assert_non_null(got);
        assert_int_equal(taken, 10);
        for (int k = 0; k < 10; k++) assert_true(got[k] == wanted[k]);
        assert_true(got[10] == 0);
        free(got);
    }
}

static void a_failure_is_the_first_one(void **state) {
    (void)state;
    target t = {.fail_after = 2};
    float end[COUNT];
    cpl_error error = {0};
    assert_false(walk("dpmpp_2m", &t, 8, end, &error));
    assert_int_equal(error.code, CPL_E_DEVICE);
    assert_non_null(strstr(error.message, "went away"));
    assert_int_equal(t.denoise_calls, 2);
}

static void unknown_names_are_refused(void **state) {
    (void)state;
    target t = {0};
    float end[COUNT];
    cpl_error error = {0};
    assert_false(walk("runge", &t, 4, end, &error));
    assert_int_equal(error.code, CPL_E_UNSUPPORTED);
    assert_int_equal(t.denoise_calls, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sampler_arrives_at_a_constant_estimate),
        cmocka_unit_test(a_level_that_is_repeated_does_no_harm),
        cmocka_unit_test(cancelling_ends_the_walk_and_the_stream_lives_on),
        cmocka_unit_test(every_name_of_the_format_is_built_in),
        cmocka_unit_test(ddim_has_levels_of_its_own),
        cmocka_unit_test(automatic_is_the_schedule_of_the_sampler),
        cmocka_unit_test(a_failure_is_the_first_one),
        cmocka_unit_test(unknown_names_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
