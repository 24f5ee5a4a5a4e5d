/* Device memory on the emulated device: what is copied and taken when all fits, what gives way when it does not, and that no
 * picture shows it. */
#include "../core/session/session_test.h"

#include <dlfcn.h>

#include "counters.h"
#include "fake_library.h"
#include "on_module.h"

/* Under sanitizers every block is new, so that its ends can be watched. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLOCKS_STAY false
#elif defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define BLOCKS_STAY false
#endif
#endif
#ifndef BLOCKS_STAY
#define BLOCKS_STAY true
#endif

static const char *module_file(void) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/libcouplet-cuda.so", getenv("COUPLET_BACKEND_DIR"));
    return path;
}

static void *of_module(const char *name) {
    void *module = dlopen(module_file(), RTLD_NOW | RTLD_NOLOAD), *found = module ? dlsym(module, name) : NULL;
    if (!module || !found) {
        fail_msg("%s has no %s", module_file(), name);
        return NULL;
    }
    dlclose(module); /* it stays, as it was there before */
    return found;
}

static const emulated_counters *counters(void) { return of_module("emulated_counts"); }

static cpl_session *open_on_device(const char *precision, uint64_t vram) {
    return open_session(
        &(cpl_options){.device = "cuda", .precision = precision, .vram_bytes = vram, .debounce_ms = 60000});
}
static cpl_session *on_device(uint64_t vram) { return open_on_device("f32", vram); }

static cpl_layout *small(const char *prompt, int steps) {
    char json[400];
    snprintf(json, sizeof json,
             "{\"couplet\": 1, \"canvas\": {\"width\": 32, \"height\": 32}, \"regions\": ["
             "{\"rect\": [0, 0.5, 0, 1], \"prompt\": \"%s\"}, {\"rect\": [0.5, 1, 0, 1], \"prompt\": \"a dog\"}],"
             "\"sampling\": {\"seed\": 3, \"steps\": %d}}",
             prompt, steps);
    return layout_of(json);
}

static cpl_image *picture_in(cpl_session *session, const char *prompt, int steps) {
    cpl_layout *layout = small(prompt, steps);
    cpl_image *image = picture_of(session, layout);
    cpl_layout_free(layout);
    return image;
}
static cpl_image *picture(cpl_session *session, const char *prompt) { return picture_in(session, prompt, 2); }

static void expect_same(cpl_image *image, const cpl_image *wanted) {
    assert_true(same_picture(image, wanted));
    cpl_image_free(image);
}

/* What later tests compare with. */
static cpl_image *cat, *sun, *cat_in_one; /* ... step */
static cpl_stats roomy;

static void what_fits_is_copied_once(void **state) {
    (void)state;
    cpl_session *session = on_device(0);
    cat = picture(session, "a cat");
    cpl_stats first = stats_of(session);
    const emulated_counters before = *counters();
    assert_true(before.bytes_in >= first.weight_bytes / 2 && before.bytes_in < 2 * first.weight_bytes);
    sun = picture(session, "a sun");
    cat_in_one = picture_in(session, "a cat", 1);
    roomy = stats_of(session);
    assert_int_equal(roomy.moves_out + roomy.moves_in + roomy.moved_out_bytes, 0);
    assert_int_equal(roomy.weight_bytes, first.weight_bytes);
    assert_int_equal(roomy.device_budget_bytes, (uint64_t)8 << 30);
    assert_true(roomy.device_bytes >= roomy.weight_bytes && roomy.device_peak_bytes >= roomy.device_bytes);
    /* Texts, plans, noise and times; the latent and the picture. */
    assert_true(counters()->bytes_in - before.bytes_in < first.weight_bytes / 20);
    assert_true(counters()->bytes_out - before.bytes_out < first.weight_bytes / 20);
    if (BLOCKS_STAY) assert_int_equal(roomy.step_allocations, 0);
    cpl_session_free(session);
}

/* A run takes memory when it begins, when it decodes, and not between its steps. */
static void steps_take_nothing(void **state) {
    (void)state;
    if (!BLOCKS_STAY) skip();
    uint64_t taken[2], pinned[2], waits[2];
    cpl_session *session = on_device(0);
    for (int i = 0; i < 2; i++) cpl_image_free(picture(session, "a cat"));
    for (int i = 0; i < 2; i++) {
        cpl_layout *layout = small("a cat", i ? 7 : 3);
        const emulated_counters before = *counters();
        cpl_image_free(picture_of(session, layout));
        taken[i] = counters()->device_allocations - before.device_allocations;
        pinned[i] = counters()->pinned_allocations - before.pinned_allocations;
        waits[i] = counters()->stream_waits - before.stream_waits;
        cpl_layout_free(layout);
    }
    assert_int_equal(taken[1], taken[0]);
    assert_int_equal(pinned[1], pinned[0]);
    assert_int_equal(waits[1], waits[0]); /* no preview lets the host wait for all that the stream has to do */
    cpl_session_free(session);
}

/* From just too little downwards: what is finished is the same picture, what is not says what to do. */
static void a_budget_moves_parts_and_changes_no_picture(void **state) {
    (void)state;
    uint64_t budget = roomy.device_peak_bytes;
    int finished = 0, moved = 0;
    for (bool refused = false; !refused; budget -= budget / 8) {
        cpl_event event = {0};
        cpl_session *session = on_device(budget);
        cpl_layout *layout = small("a cat", 2);
        hand_over(session, layout, CPL_SYNC_SETTLE);
        cpl_session_generate(session);
        await_end(session, &event);
        cpl_layout_free(layout);
        cpl_stats stats = stats_of(session);
        refused = event.type != CPL_EVENT_FINISHED;
        print_message("%.1f MB: %s, %d parts went, %d came\n", (double)budget / 1e6, refused ? "refused" : "made",
                      (int)stats.moves_out, (int)stats.moves_in);
        if (refused) {
            assert_int_equal(event.error.code, CPL_E_MEMORY);
            /* bf16 takes what f16 does, and overflows nowhere */
            if (!strstr(event.error.message, "--device cpu") || !strstr(event.error.message, "--precision bf16"))
                fail_msg("%s", event.error.message);
        } else {
            finished++;
            moved += stats.moves_out > 0;
            assert_true(same_picture(event.image, cat));
            assert_int_equal(stats.device_budget_bytes, budget);
            assert_true(stats.device_peak_bytes <= budget);
        }
        cpl_event_clear(&event);
        cpl_session_free(session);
    }
    assert_true(finished > 1 && moved > 0);
}

/* The least budget that the last test found possible is about the largest part and what the uploads take; here all that is
 * not at work has to go, and come back, in each run. */
static uint64_t tight(void) {
    static uint64_t found;
    for (uint64_t less = roomy.device_peak_bytes / 8 * 7; !found; less -= less / 8) {
        cpl_event event = {0};
        cpl_session *session = on_device(less);
        cpl_layout *layout = small("a cat", 1);
        hand_over(session, layout, CPL_SYNC_SETTLE);
        cpl_session_generate(session);
        await_end(session, &event);
        bool finished = event.type == CPL_EVENT_FINISHED && stats_of(session).moves_in == 0;
        cpl_event_clear(&event);
        cpl_layout_free(layout);
        cpl_session_free(session);
        if (!finished) found = less;
    }
    return found;
}

static void what_went_comes_back_whole_and_is_copied_out_once(void **state) {
    (void)state;
    cpl_session *session = on_device(tight());
    expect_same(picture(session, "a cat"), cat);
    expect_same(picture(session, "a sun"), sun);
    cpl_stats before = stats_of(session);
    const emulated_counters counted = *counters();
    assert_true(before.moves_out > 0 && before.moves_in > 0 && before.moved_out_bytes > 0);
    assert_true(before.moved_out_bytes < before.weight_bytes + before.weight_bytes / 4);
    assert_int_equal(before.weight_bytes, roomy.weight_bytes);
    cpl_image_free(picture(session, "a star"));
    expect_same(picture(session, "a cat"), cat);
    cpl_stats after = stats_of(session);
    assert_true(after.moves_in > before.moves_in && after.moves_out > before.moves_out);
    /* Those that went again were only forgotten. Where every block is new other parts may have to go for the first time. */
    if (BLOCKS_STAY) assert_true(counters()->bytes_out - counted.bytes_out < roomy.weight_bytes / 20);
    cpl_session_free(session);
}

/* The same without a budget, on a device that is full. */
static void a_full_device_does_as_a_budget(void **state) {
    (void)state;
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)(roomy.device_peak_bytes - roomy.weight_bytes / 16));
    setenv("EMULATED_MEMORY", bytes, 1);
    cpl_session *session = on_device(0);
    expect_same(picture(session, "a cat"), cat);
    expect_same(picture(session, "a sun"), sun);
    assert_true(stats_of(session).moves_out > 0);
    cpl_session_free(session);
    unsetenv("EMULATED_MEMORY");
}

/* Without pinned memory to move to, less is possible, and that is said. */
static void without_host_memory_nothing_is_lost(void **state) {
    (void)state;
    uint64_t budget = tight();
    for (int nth = 3; nth < 9; nth++) {
        char failure[40];
        cpl_event event = {0};
        snprintf(failure, sizeof failure, "cudaMallocHost:%d", nth);
        setenv("EMULATED_FAILURE", failure, 1);
        cpl_session *session = on_device(budget);
        cpl_layout *layout = small("a cat", 1);
        hand_over(session, layout, CPL_SYNC_SETTLE);
        cpl_session_generate(session);
        await_end(session, &event);
        if (event.type == CPL_EVENT_FINISHED)
            assert_true(same_picture(event.image, cat_in_one));
        else
            assert_true(*event.error.message);
        unsetenv("EMULATED_FAILURE");
        cpl_event_clear(&event);
        cpl_session_generate(session); /* the next run is as if nothing had been */
        await_end(session, &event);
        if (event.type != CPL_EVENT_FINISHED) fail_msg("%s", event.error.message);
        assert_true(same_picture(event.image, cat_in_one));
        cpl_event_clear(&event);
        cpl_layout_free(layout);
        cpl_session_free(session);
    }
}

/* A device that has no memory once is asked again, and nobody notices. */
static void a_refused_block_is_asked_for_again(void **state) {
    (void)state;
    cpl_session *session = on_device(0);
    cpl_image_free(picture(session, "a cat"));
    setenv("EMULATED_FAILURE", "cudaMalloc:1", 1);
    cpl_layout *layout = small("a sun", 2);
    layout->height = 64; /* other sizes, so that there is something to ask for */
    cpl_image *once = picture_of(session, layout);
    unsetenv("EMULATED_FAILURE");
    cpl_session *other = on_device(0);
    expect_same(picture_of(other, layout), once);
    cpl_image_free(once);
    cpl_layout_free(layout);
    cpl_session_free(session);
    cpl_session_free(other);
}

/* Asking for memory also tells what an earlier kernel did. That is no lack of it, wherever memory is asked for: nothing gives way, and
 * nothing is tried again. */
static void a_fault_is_not_told_as_a_lack_of_memory(void **state) {
    (void)state;
    uint64_t budget = tight();
    int failed = 0;
    for (int nth = 1, finished = 0; !finished; nth += 1 + nth / 4) {
        char failure[40];
        cpl_event event = {0};
        cpl_session *session = on_device(budget);
        cpl_layout *layout = small("a cat", 1);
        snprintf(failure, sizeof failure, "cudaMallocAfterFault:%d", nth);
        setenv("EMULATED_FAILURE", failure, 1);
        hand_over(session, layout, CPL_SYNC_SETTLE);
        cpl_session_generate(session);
        await_end(session, &event);
        unsetenv("EMULATED_FAILURE");
        finished = event.type == CPL_EVENT_FINISHED;
        if (!finished) {
            failed++;
            assert_int_equal(event.error.code, CPL_E_DEVICE);
            if (!strstr(event.error.message, "an illegal memory access") ||
                strstr(event.error.message, "out of memory"))
                fail_msg("call %d: %s", nth, event.error.message);
            assert_int_equal(stats_of(session).memory_rescues, 0);
        }
        cpl_event_clear(&event);
        cpl_layout_free(layout);
        cpl_session_free(session);
    }
    assert_true(failed > 8);
}

/* ... with all of the model on the device and nothing in the way: no part leaves it. */
static void a_fault_moves_nothing(void **state) {
    (void)state;
    cpl_event event = {0};
    cpl_session *session = on_device(0);
    cpl_image_free(picture(session, "a cat"));
    cpl_layout *layout = small("a sun", 2);
    layout->height = 64; /* other sizes, so that there is something to ask for */
    setenv("EMULATED_FAILURE", "cudaMallocAfterFault:1", 1);
    hand_over(session, layout, CPL_SYNC_SETTLE);
    cpl_session_generate(session);
    await_end(session, &event);
    unsetenv("EMULATED_FAILURE");
    assert_int_equal(event.type, CPL_EVENT_FAILED);
    assert_int_equal(event.error.code, CPL_E_DEVICE);
    assert_int_equal(stats_of(session).moves_out, 0);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* The libraries' workspace counts, too, and is not what gives way: who computes a product depends on no budget, so that the
 * picture does not. Once loaded they stay: this comes last. */
static void libraries_and_a_budget_change_no_picture(void **state) {
    (void)state;
    fake_library *blas = of_module("fake_cublaslt"), *dnn = of_module("fake_cudnn");
    assert_int_equal(setenv("COUPLET_CUBLASLT", module_file(), 1) | setenv("COUPLET_CUDNN", module_file(), 1), 0);
    blas->workspace = dnn->workspace = 4096;
    cpl_session *session = open_on_device("f16", 0);
    cpl_image *wanted = picture_in(session, "a cat", 1);
    cpl_stats all = stats_of(session), stats;
    cpl_session_free(session);
    assert_true(all.library_products > all.own_products && all.moves_out == 0);
    session = open_on_device("f16", all.device_peak_bytes - all.weight_bytes / 8);
    expect_same(picture_in(session, "a cat", 1), wanted);
    stats = stats_of(session);
    assert_true(stats.moves_out > 0 && stats.moves_in > 0);
    assert_int_equal(stats.library_products, all.library_products);
    assert_int_equal(stats.own_products, all.own_products);
    expect_same(picture_in(session, "a cat", 1),
                wanted); /* a step as a graph, of weights that have come to lie elsewhere */
    cpl_session_free(session);
    cpl_image_free(wanted);
}

int main(void) {
    module_ops();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_copied_once),
        cmocka_unit_test(steps_take_nothing),
        cmocka_unit_test(a_budget_moves_parts_and_changes_no_picture),
        cmocka_unit_test(what_went_comes_back_whole_and_is_copied_out_once),
        cmocka_unit_test(a_full_device_does_as_a_budget),
        cmocka_unit_test(without_host_memory_nothing_is_lost),
        cmocka_unit_test(a_refused_block_is_asked_for_again),
        cmocka_unit_test(a_fault_is_not_told_as_a_lack_of_memory),
        cmocka_unit_test(a_fault_moves_nothing),
        cmocka_unit_test(libraries_and_a_budget_change_no_picture),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cpl_image_free(cat);
    cpl_image_free(sun);
    cpl_image_free(cat_in_one);
    return failed;
}
