/* Values on their way to the host while the emulated device goes on, and weights that one stream brings and another uses: its
 * streams work late, early, or as a dice decides, so that a wait that is missing shows as a wrong value. */
#include "../core/cpu/cpu_test.h"

#include "../core/session/session_test.h"

enum { COUNT = 3 * 40 };

static const char *const manners[] = {"late", "early", "dice"};

static void fill(float *values, float first) {
    for (int i = 0; i < COUNT; i++) values[i] = first + (float)i;
}

static void expect_values(const float *got, float first) {
    for (int i = 0; i < COUNT; i++)
        if (got[i] != first + (float)i) fail_msg("value %d is %g and not %g", i, (double)got[i], (double)first + i);
}

/* What is fetched is what the tensor held then, whatever becomes of it and of its memory. */
static void a_fetch_is_of_its_moment(void **state) {
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        setenv("EMULATED_STREAMS", manners[m], 1);
        cpu_test t = cpu_test_open(1);
        float host[COUNT], got[COUNT];
        cpl_tensor x = cpl_make(t.s, 1, 3, 1, 40);
        for (int round = 0; round < 20; round++) {
            fill(host, (float)round);
            t.ops->upload(t.s, &x, host);
            t.ops->fetch(t.s, &x);
            t.ops->scale_add(t.s, &x, 7, &x, 0, NULL); /* later work */
            if (round % 3 == 0) {                      /* its block becomes another tensor's */
                cpl_tensor_free(&x);
                x = cpl_make(t.s, 1, 3, 1, 40);
                t.ops->scale_add(t.s, &x, 0, &x, 0, NULL);
            }
            if (round == 0) continue;
            t.ops->fetched(t.s, got);
            expect_values(got, (float)(round - 1));
        }
        t.ops->fetched(t.s, got);
        expect_values(got, 19);
        cpl_tensor_free(&x);
        cpu_test_close(&t);
    }
    unsetenv("EMULATED_STREAMS");
}

static void what_is_asked_wrongly_fails_the_stream(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    float host[COUNT];
    fill(host, 1);
    cpl_tensor x = cpl_make(t.s, 1, 3, 1, 40);
    t.ops->upload(t.s, &x, host);
    t.ops->fetched(t.s, host);
    expect_failure(&t, "nothing is under way");
    t.ops->fetch(t.s, NULL);
    t.ops->fetched(t.s, NULL);
    assert_true(cpl_stream_ok(t.s));
    t.ops->fetch(t.s, NULL);
    t.ops->fetched(t.s, host);
    expect_failure(&t, "no tensor");
    for (int i = 0; i <= CPL_MOST_FETCHES; i++) t.ops->fetch(t.s, &x);
    expect_failure(&t, "more than");
    for (int i = 0; i <= CPL_MOST_FETCHES; i++) t.ops->fetched(t.s, NULL);
    cpl_stream_settle(t.s, NULL);
    t.ops->fetch(t.s, &x);
    t.ops->fetched(t.s, host);
    expect_values(host, 1);
    cpl_tensor_free(&x);
    cpu_test_close(&t);
}

/* A stream closed with values under way. */
static void nobody_has_to_fetch_before_the_end(void **state) {
    (void)state;
    cpu_test t = cpu_test_open(1);
    float host[COUNT];
    fill(host, 1);
    cpl_tensor x = cpl_make(t.s, 1, 3, 1, 40);
    t.ops->upload(t.s, &x, host);
    t.ops->fetch(t.s, &x);
    cpl_tensor_free(&x);
    cpu_test_close(&t);
}

/* The host is ahead by steps: what it sent before them, and in the last one, must not be written over in pinned memory. */
static void what_was_sent_stays_until_it_was_read(void **state) {
    (void)state;
    enum { SENT = 6 };
    for (size_t m = 0; m < 3; m++) {
        setenv("EMULATED_STREAMS", manners[m], 1);
        cpu_test t = cpu_test_open(1);
        float host[COUNT], got[COUNT];
        cpl_tensor x[SENT];
        for (int i = 0; i < SENT; i++) x[i] = cpl_make(t.s, 1, 3, 1, 40);
        for (int i = 0; i < SENT;
             i++) { /* two before the first step, then one in each step and one behind the second */
            bool step = i == 2 || i == 3 || i == 5;
            fill(host, (float)(100 * i));
            if (step) t.ops->step_begin(t.s);
            t.ops->upload(t.s, &x[i], host);
            if (step) t.ops->step_end(t.s);
        }
        for (int i = 0; i < SENT; i++) {
            t.ops->download(t.s, got, &x[i]);
            expect_values(got, (float)(100 * i));
            cpl_tensor_free(&x[i]);
        }
        cpu_test_close(&t);
    }
    unsetenv("EMULATED_STREAMS");
}

/* ---- Parts and two streams ---- */

enum { SIDE = 96, PIECES = 2 * 8 << 20 }; /* bytes of the buffers that weights come through */

static cpl_weight *part_weight(cpu_test *t, cpl_component part, float value) {
    static float w[SIDE * SIDE], bias[SIDE];
    cpl_error error = {0};
    for (int i = 0; i < SIDE * SIDE; i++) w[i] = i / SIDE == i % SIDE ? value : 0;
    for (int i = 0; i < SIDE; i++) bias[i] = value / 2;
    t->ops->component_begin(t->b, part);
    cpl_weight *made = t->ops->linear_weight(t->b, CPL_F32, (cpl_values){w, CPL_F32}, bias, SIDE, SIDE, &error);
    t->ops->component_begin(t->b, CPL_COMPONENT_NONE);
    if (!made) fail_msg("%s", error.message);
    return made;
}

/* y = value * x + value / 2 */
static void multiply(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w) {
    s->ops->linear(s, y, x, w, CPL_ACT_NONE, NULL);
}

static void expect_product(cpl_stream *s, const cpl_tensor *y, float value) {
    float got[SIDE];
    cpl_error error = {0};
    s->ops->download(s, got, y);
    if (!cpl_stream_settle(s, &error)) fail_msg("%s", error.message);
    for (int i = 0; i < SIDE; i++)
        if (got[i] != value * (float)i + value / 2) fail_msg("value %d of %g is %g", i, (double)value, (double)got[i]);
}

/* Room for two of three parts of 37 kB. Streams that take turns at them push out what neither works with. */
static void parts_go_and_come_between_two_streams(void **state) {
    (void)state;
    for (size_t m = 0; m < 3; m++) {
        setenv("EMULATED_STREAMS", manners[m], 1);
        cpl_error error = {0};
        cpu_test t = {.ops = TEST_OPS};
        t.b = t.ops->open(&(cpl_backend_config){.precision = CPL_F32, .memory_budget = PIECES + 100000}, &error);
        if (!t.b) fail_msg("%s", error.message);
        cpl_weight *w[CPL_COMPONENTS] = {0};
        for (int part = CPL_COMPONENT_TEXT; part < CPL_COMPONENTS; part++)
            w[part] = part_weight(&t, (cpl_component)part, (float)part);
        float x[SIDE];
        cpl_stream *s[2];
        cpl_tensor in[2], out[2];
        for (int i = 0; i < SIDE; i++) x[i] = (float)i;
        for (int i = 0; i < 2; i++) {
            s[i] = t.ops->stream_open(t.b, &error);
            in[i] = cpl_make(s[i], 1, 1, 1, SIDE);
            out[i] = cpl_make(s[i], 1, 1, 1, SIDE);
            t.ops->upload(s[i], &in[i], x);
        }
        for (int round = 0; round < 24; round++) {
            int first = 1 + round % 3, second = 1 + round / 3 % 3;
            multiply(s[0], &out[0], &in[0], w[first]);
            multiply(s[1], &out[1], &in[1], w[second]);
            expect_product(s[1], &out[1], (float)second);
            expect_product(s[0], &out[0], (float)first);
        }
        cpl_stats stats = {0};
        t.ops->stats(s[0], &stats);
        assert_true(stats.moves_in >= 8 && stats.moves_out >= stats.moves_in);
        assert_true(stats.device_peak_bytes <= stats.device_budget_bytes);
        for (int i = 0; i < 2; i++) {
            cpl_tensor_free(&in[i]);
            cpl_tensor_free(&out[i]);
            t.ops->stream_close(s[i]);
        }
        for (int part = CPL_COMPONENT_TEXT; part < CPL_COMPONENTS; part++) t.ops->weight_free(t.b, w[part]);
        t.ops->close(t.b);
    }
    unsetenv("EMULATED_STREAMS");
}

/* Nothing may go that the other stream works with: then there is no room, and that is said. */
static void what_is_at_work_stays(void **state) {
    (void)state;
    cpl_error error = {0};
    cpu_test t = {.ops = TEST_OPS};
    t.b = t.ops->open(&(cpl_backend_config){.precision = CPL_F32, .memory_budget = PIECES + 60000}, &error);
    cpl_weight *text = part_weight(&t, CPL_COMPONENT_TEXT, 1), *unet = part_weight(&t, CPL_COMPONENT_UNET, 2);
    cpl_stream *a = t.ops->stream_open(t.b, &error), *b = t.ops->stream_open(t.b, &error);
    float x[SIDE] = {0};
    cpl_tensor in[2] = {cpl_make(a, 1, 1, 1, SIDE), cpl_make(b, 1, 1, 1, SIDE)};
    cpl_tensor out[2] = {cpl_make(a, 1, 1, 1, SIDE), cpl_make(b, 1, 1, 1, SIDE)};
    for (int i = 0; i < SIDE; i++) x[i] = (float)i;
    t.ops->upload(a, &in[0], x);
    t.ops->upload(b, &in[1], x);
    multiply(a, &out[0], &in[0], text);
    multiply(b, &out[1], &in[1], unet);
    assert_false(cpl_stream_settle(b, &error));
    assert_int_equal(error.code, CPL_E_MEMORY);
    if (!strstr(error.message, "a part of the model") || !strstr(error.message, "--device cpu"))
        fail_msg("%s", error.message);
    expect_product(a, &out[0], 1);
    multiply(a, &out[0], &in[0], text); /* once the first is at something else, there is */
    for (int i = 0; i < 2; i++) cpl_tensor_free(&in[i]), cpl_tensor_free(&out[i]);
    t.ops->stream_close(a);
    in[1] = cpl_make(b, 1, 1, 1, SIDE);
    out[1] = cpl_make(b, 1, 1, 1, SIDE);
    t.ops->upload(b, &in[1], x);
    multiply(b, &out[1], &in[1], unet);
    expect_product(b, &out[1], 2);
    cpl_tensor_free(&in[1]);
    cpl_tensor_free(&out[1]);
    t.ops->stream_close(b);
    t.ops->weight_free(t.b, text);
    t.ops->weight_free(t.b, unet);
    t.ops->close(t.b);
}

/* ---- Previews of a run ---- */

enum { STEPS = 5 };

static void previews_of(const char *device, unsigned char *rgb) {
    cpl_session *session = open_session(&(cpl_options){.device = device, .precision = "f32", .preview_every = 2});
    cpl_layout *layout = layout_of("{\"couplet\": 1, \"canvas\": {\"width\": 32, \"height\": 32}, \"regions\": ["
                                   "{\"prompt\": \"a cat\"}], \"sampling\": {\"seed\": 3, \"steps\": 5}}");
    int last = 0;
    cpl_event event = {0};
    hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    while (event.type != CPL_EVENT_FINISHED) {
        cpl_event_clear(&event);
        next_event(session, &event);
        if (event.type > CPL_EVENT_FINISHED) fail_msg("%s", event.error.message);
        if (event.type == CPL_EVENT_PROGRESS) { /* a slow reader sees the newest only */
            assert_true(event.step >= last);
            last = event.step;
        }
        if (event.type != CPL_EVENT_PREVIEW) continue;
        assert_int_equal(event.step % 2, 0);
        assert_true(event.image->width == 4 && event.image->height == 4);
        memcpy(rgb + event.step * 48, event.image->rgb, 48);
    }
    assert_int_equal(last, STEPS);
    cpl_event_clear(&event);
    cpl_layout_free(layout);
    cpl_session_free(session);
}

/* A reader who is slow gets fewer of them: then once more. */
static void all_previews_of(const char *device, unsigned char *rgb) {
    memset(rgb, 0, (STEPS + 1) * 48);
    for (int tries = 0; tries < 50 && (!rgb[2 * 48] || !rgb[4 * 48]); tries++) previews_of(device, rgb);
}

static void previews_are_those_of_the_processor(void **state) {
    (void)state;
    const cpl_backend_ops *cpu = cpl_backend_find("cpu", NULL);
    if (!cpu || !cpu->open) skip(); /* not in this build */
    unsigned char wanted[(STEPS + 1) * 48], got[(STEPS + 1) * 48];
    all_previews_of("cpu", wanted);
    for (size_t m = 0; m < 3; m++) {
        setenv("EMULATED_STREAMS", manners[m], 1);
        all_previews_of("cuda", got);
        for (int step = 2; step <= 4; step += 2)
            for (int i = step * 48; i < (step + 1) * 48; i++)
                if (abs(got[i] - wanted[i]) > 2) fail_msg("%s: step %d, byte %d", manners[m], step, i - step * 48);
    }
    unsetenv("EMULATED_STREAMS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fetch_is_of_its_moment),
        cmocka_unit_test(what_is_asked_wrongly_fails_the_stream),
        cmocka_unit_test(nobody_has_to_fetch_before_the_end),
        cmocka_unit_test(what_was_sent_stays_until_it_was_read),
        cmocka_unit_test(parts_go_and_come_between_two_streams),
        cmocka_unit_test(what_is_at_work_stays),
        cmocka_unit_test(previews_are_those_of_the_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
