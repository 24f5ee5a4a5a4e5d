/* A denoise step after the first makes no allocation of ours: every call of the heap between the start of the second step
 * and the end of the last is counted, previews, events and statistics included. What libraries take is told beside it. */
#include "interpose.h"

#include "session_test.h"

#include "lora_files.h"

#include <dlfcn.h>
#include <omp.h>

#include "../../../core/cpu/idle_team.h"
#include "../../../core/session/session.h"

/* The CPU backend, with a look at the beginning and end of each step. */
static cpl_backend_ops watched_ops;
static int steps, step;

static cpl_backend *watched_open(const cpl_backend_config *config, cpl_error *error) {
    cpl_backend *backend = cpl_cpu_backend.open(config, error);
    if (backend) backend->ops = &watched_ops;
    return backend;
}

static cpl_stream *watched_stream_open(cpl_backend *backend, cpl_error *error) {
    cpl_stream *stream = cpl_cpu_backend.stream_open(backend, error);
    if (stream) stream->ops = &watched_ops;
    return stream;
}

static void watched_step_begin(cpl_stream *s) {
    if (++step == 2) atomic_store(&heap_counting, true);
    cpl_cpu_backend.step_begin(s);
}

static void watched_step_end(cpl_stream *s) {
    cpl_cpu_backend.step_end(s);
    if (step == steps) atomic_store(&heap_counting, false);
}

static cpl_session *watched_session(const char *lora_dir) {
    cpl_session *session = open_session(&(cpl_options){.lora_dir = lora_dir});
    watched_ops = cpl_cpu_backend;
    watched_ops.open = watched_open;
    watched_ops.stream_open = watched_stream_open;
    watched_ops.step_begin = watched_step_begin;
    watched_ops.step_end = watched_step_end;
    /* The worker looks at it only after the first hand-over, which stands behind a lock. */
    session->ops = &watched_ops;
    return session;
}

static void steps_after_the_first_allocate_nothing(void **state) {
    (void)state;
    char folder[] = "/tmp/couplet-steady-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    write_lora(folder, "style.safetensors", 1, IN_BOTH);
    cpl_session *session = watched_session(folder);
    for (const char *const *sampler = cpl_sampler_names(); *sampler; sampler++) {
        cpl_layout *layout = two_columns(6);
        cpl_event event = {0};
        assert_true(cpl_text_set(&layout->sampling.sampler, *sampler, NULL));
        assert_true(cpl_text_set(&layout->regions[1].negative, "a fox", NULL)); /* both halves coupled */
        /* Every other sampler with something added to the layers. */
        if ((sampler - cpl_sampler_names()) % 2)
            assert_true(cpl_text_set(&layout->regions[0].prompt, "a cat<lora:style:0.5>", NULL));
        steps = 6;
        step = 0;
        atomic_store(&heap_ours, 0);
        atomic_store(&heap_theirs, 0);
        hand_over(session, layout, CPL_SYNC_NOW);
        cpl_session_generate(session);
        /* Nothing is read before the end: reading a preview makes an image, on the reader's account. */
        while (stats_of(session).runs < (uint64_t)(sampler - cpl_sampler_names()) + 1) usleep(1000);
        await(session, CPL_EVENT_FINISHED, &event);
        cpl_event_clear(&event);
        assert_int_equal(step, 6);
        print_message("%s, 6 steps: %lu allocations of ours, %lu of libraries after the first\n", *sampler,
                      atomic_load(&heap_ours), atomic_load(&heap_theirs));
        if (atomic_load(&heap_ours) > 0) {
            Dl_info info = {0};
            dladdr(atomic_load(&heap_first_of_ours), &info);
            fail_msg("the first came from %p (%s + %#lx)", atomic_load(&heap_first_of_ours), info.dli_fname,
                     (unsigned long)((char *)atomic_load(&heap_first_of_ours) - (char *)info.dli_fbase));
        }
        assert_int_equal(stats_of(session).step_allocations, 0);
        cpl_layout_free(layout);
    }
    cpl_session_free(session);
    snprintf(path, sizeof path, "%s/style.safetensors", folder);
    unlink(path);
    rmdir(folder);
}

/* On a crowded machine threads are sent to sleep in the middle of a step. */
static void a_crowd_on_the_machine_costs_no_memory(void **state) {
    (void)state;
    cpu_idle_team team = {0};
    int there = 0;
    atomic_store(&heap_ours, 0);
    atomic_store(&heap_counting, true);
    for (int i = 0; i < 3; i++) {
        cpu_idle_team_start(&team);
        there += team.there;
        cpu_idle_team_stop(&team);
        assert_false(team.there);
    }
    atomic_store(&heap_counting, false);
    assert_int_equal(atomic_load(&heap_ours), 0);
    if (omp_get_max_threads() > 1) assert_int_equal(there, 3);
}

/* A watcher that sees nothing would find nothing. */
static void the_watcher_sees_our_calls(void **state) {
    (void)state;
    atomic_store(&heap_ours, 0);
    atomic_store(&heap_counting, true);
    cpl_image *image = cpl_image_new(8, 8, NULL);
    atomic_store(&heap_counting, false);
    assert_non_null(image);
    assert_true(atomic_load(&heap_ours) >= 2);
    cpl_image_free(image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_watcher_sees_our_calls),
        cmocka_unit_test(a_crowd_on_the_machine_costs_no_memory),
        cmocka_unit_test(steps_after_the_first_allocate_nothing),
    };
    if (!WATCHED) {
        print_message("skipped: a sanitizer owns the heap\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
