/* session_test.h: what the tests of the session share: small layouts for the built-in model, and waiting for events with
 * an end to the patience. */
#ifndef TESTS_SESSION_TEST_H
#define TESTS_SESSION_TEST_H

#include "../../test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../core/couplet.h"

#define PATIENCE_MS 120000 /* a loaded machine under a sanitizer is slow; only a hang waits this long */

static inline cpl_layout *layout_of(const char *json) {
    cpl_error error = {0};
    cpl_layout *layout = cpl_layout_parse(json, NULL, "test", &error);
    if (!layout) fail_msg("%s", error.message);
    return layout;
}

/* Two columns on the smallest canvas that shows anything. */
static inline cpl_layout *two_columns(int steps) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"couplet\": 1, \"canvas\": {\"width\": 64, \"height\": 64}, \"regions\": ["
             "{\"rect\": [0, 0.5, 0, 1], \"prompt\": \"a cat, night sky\"},"
             "{\"rect\": [0.5, 1, 0, 1], \"prompt\": \"a dog, on grass\"}],"
             "\"sampling\": {\"seed\": 3, \"steps\": %d}}",
             steps);
    return layout_of(json);
}

static inline cpl_session *open_session(const cpl_options *options) {
    cpl_error error = {0};
    cpl_session *session = cpl_session_new(options, &error);
    if (!session) fail_msg("%s", error.message);
    return session;
}

static inline cpl_ticket hand_over(cpl_session *session, const cpl_layout *layout, cpl_sync when) {
    cpl_error error = {0};
    cpl_ticket ticket;
    if (!cpl_session_sync(session, layout, when, &ticket, &error)) fail_msg("%s", error.message);
    return ticket;
}

static inline void next_event(cpl_session *session, cpl_event *event) {
    *event = (cpl_event){0};
    if (!cpl_session_wait(session, PATIENCE_MS) || !cpl_session_next(session, event)) fail_msg("no event came");
}

/* The next event of a type; others are passed over. */
static inline void await(cpl_session *session, cpl_event_type type, cpl_event *event) {
    for (;;) {
        next_event(session, event);
        if (event->type == type) return;
        if (event->type >= CPL_EVENT_FINISHED)
            fail_msg("event %d instead of %d: %s", event->type, type, event->error.message);
        cpl_event_clear(event);
    }
}

static inline void await_end(cpl_session *session, cpl_event *event) {
    do {
        cpl_event_clear(event);
        next_event(session, event);
    } while (event->type < CPL_EVENT_FINISHED);
}

/* Awaits PROGRESS of a revision: a step was made with it. */
static inline void await_step_of(cpl_session *session, uint64_t revision) {
    cpl_event event = {0};
    do {
        cpl_event_clear(&event);
        await(session, CPL_EVENT_PROGRESS, &event);
    } while (event.revision != revision);
    cpl_event_clear(&event);
}

/* The picture of a layout, from hand-over to FINISHED. */
static inline cpl_image *picture_of(cpl_session *session, const cpl_layout *layout) {
    cpl_event event = {0};
    cpl_ticket ticket = hand_over(session, layout, CPL_SYNC_NOW);
    cpl_session_generate(session);
    await(session, CPL_EVENT_FINISHED, &event);
    assert_true(event.revision == ticket.revision && event.hash == ticket.hash);
    cpl_image *image = event.image;
    event.image = NULL;
    cpl_event_clear(&event);
    return image;
}

static inline bool same_picture(const cpl_image *a, const cpl_image *b) {
    return a->width == b->width && a->height == b->height &&
           memcmp(a->rgb, b->rgb, (size_t)a->width * (size_t)a->height * 3) == 0;
}

static inline cpl_stats stats_of(cpl_session *session) {
    cpl_stats stats;
    cpl_session_stats(session, &stats);
    return stats;
}

#endif
