/* edits.c: a session as the editor has it: how long after an edit the core holds it, and what one changed line, a moved
 * rectangle and a few runs leave in the counters. */
#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "../sample/clock.h"
#include "bench.h"

enum { REGIONS = 16, SIDE = 512, PATIENCE_MS = 600000, RUN_STEPS = 4 };

static cpl_layout *make_layout(cpl_error *error) {
    cpl_layout *layout = cpl_layout_new(error);
    bool done = layout != NULL;
    for (int i = 0; done && i < REGIONS; i++) {
        static const char *const words[] = {"cat", "sun", "boat", "moon", "house", "tree", "sea", "cloud"};
        char prompt[48];
        cpl_region *region = cpl_layout_insert(layout, i, error);
        snprintf(prompt, sizeof prompt, "a %s, night sky %d", words[i % 8], i);
        done = region && cpl_text_set(&region->prompt, prompt, error);
        if (!done) break;
        int column = i % 4, row = i / 4;
        region->x1 = column / 4.0;
        region->x2 = region->x1 + 0.25;
        region->y1 = row / 4.0;
        region->y2 = region->y1 + 0.25;
    }
    if (done) layout->width = layout->height = SIDE;
    if (done) layout->sampling.steps = RUN_STEPS;
    if (done) return layout;
    cpl_layout_free(layout);
    return NULL;
}

/* Until an event of the type for the revision; what ends a run otherwise is a failure. */
static bool wait_for(cpl_session *session, cpl_event_type type, uint64_t revision, cpl_error *error) {
    double until = cpl_now_ms() + PATIENCE_MS;
    while (cpl_now_ms() < until && cpl_session_wait(session, PATIENCE_MS)) {
        cpl_event event;
        while (cpl_session_next(session, &event)) {
            bool found = event.type == type && event.revision == revision;
            bool failed = event.type > CPL_EVENT_FINISHED;
            if (failed && error) *error = event.error;
            cpl_event_clear(&event);
            if (found || failed) return found;
        }
    }
    return cpl_fail(error, CPL_E_DEVICE, "the benchmark's session does not answer");
}

static bool sync(cpl_session *session, const cpl_layout *layout, cpl_ticket *ticket, double *ms, cpl_error *error) {
    double start = cpl_now_ms();
    if (!cpl_session_sync(session, layout, CPL_SYNC_NOW, ticket, error) ||
        !wait_for(session, CPL_EVENT_SYNCED, ticket->revision, error))
        return false;
    if (ms) *ms = cpl_now_ms() - start;
    return true;
}

/* The edge between the first two regions goes back and forth; no place is the same as one before. */
static bool move_rectangles(cpl_bench_run *run, cpl_session *session, cpl_layout *layout) {
    int edits = cpl_bench_rounds(run, 1000, 200);
    cpl_ticket ticket;
    double *ms = cpl_alloc((size_t)edits, sizeof *ms, run->error);
    bool done = ms != NULL;
    for (int i = 0; done && i < edits; i++) {
        double edge = 0.25 + (double)(i % 2 ? -1 : 1) * (i / 2 % 60 + 1) / SIDE;
        layout->regions[i / 120 % 3].x2 = edge + i / 120 % 3 * 0.25;
        layout->regions[i / 120 % 3 + 1].x1 = edge + i / 120 % 3 * 0.25;
        done = sync(session, layout, &ticket, &ms[i], run->error);
    }
    if (done) {
        cpl_bench_begin(run, "sync", '{');
        cpl_bench_text(run, "model", "builtin");
        cpl_bench_text(run, "size", "512x512");
        cpl_bench_whole(run, "regions", REGIONS);
        cpl_bench_whole(run, "edits", (uint64_t)edits);
        cpl_bench_number(run, "p50_ms", cpl_bench_middle(ms, edits, 0.5));
        cpl_bench_number(run, "p99_ms", cpl_bench_middle(ms, edits, 0.99));
        cpl_bench_end(run, '}');
    }
    free(ms);
    return done;
}

static bool generate(cpl_session *session, const cpl_ticket *ticket, cpl_error *error) {
    cpl_session_generate(session);
    return wait_for(session, CPL_EVENT_FINISHED, ticket->revision, error);
}

static void report_cache(cpl_bench_run *run, const char *name, const cpl_cache_stats *cache) {
    cpl_bench_begin(run, name, '{');
    cpl_bench_whole(run, "hits", cache->hits);
    cpl_bench_whole(run, "misses", cache->misses);
    cpl_bench_whole(run, "evictions", cache->evictions);
    cpl_bench_whole(run, "bytes", cache->bytes);
    cpl_bench_whole(run, "entries", cache->entries);
    cpl_bench_end(run, '}');
}

static void report(cpl_bench_run *run, const cpl_stats *stats, uint64_t first, uint64_t changed_line, uint64_t moved) {
    cpl_bench_begin(run, "caches", '{');
    cpl_bench_whole(run, "encoder_calls_first", first);
    cpl_bench_whole(run, "encoder_calls_changed_line", changed_line);
    cpl_bench_whole(run, "encoder_calls_moved_rectangle", moved);
    report_cache(run, "conditioning", &stats->conditioning);
    report_cache(run, "text_kv", &stats->text_kv);
    report_cache(run, "plans", &stats->plans);
    report_cache(run, "primitives", &stats->primitives);
    cpl_bench_end(run, '}');
    cpl_bench_begin(run, "pool", '{');
    cpl_bench_whole(run, "allocations", stats->pool_allocations);
    cpl_bench_whole(run, "reuses", stats->pool_reuses);
    cpl_bench_whole(run, "bytes", stats->pool_bytes);
    cpl_bench_whole(run, "peak_bytes", stats->pool_peak_bytes);
    cpl_bench_whole(run, "active_bytes", stats->active_bytes);
    cpl_bench_whole(run, "step_allocations", stats->step_allocations);
    cpl_bench_end(run, '}');
}

static bool run_session(cpl_bench_run *run, cpl_session *session, cpl_layout *layout) {
    cpl_stats first, moved, changed;
    cpl_ticket ticket;
    if (!sync(session, layout, &ticket, NULL, run->error)) return false;
    cpl_session_stats(session, &first);
    if (!move_rectangles(run, session, layout)) return false;
    cpl_session_stats(session, &moved);
    if (!cpl_text_set(&layout->regions[3].prompt, "a boat, sunset", run->error)) return false;
    layout->width = layout->height = 128; /* the built-in model's own size: two runs of a moment */
    if (!sync(session, layout, &ticket, NULL, run->error) || !generate(session, &ticket, run->error)) return false;
    cpl_session_stats(session, &changed);
    if (!generate(session, &ticket, run->error)) return false;
    cpl_stats last;
    cpl_session_stats(session, &last);
    report(run, &last, first.encoder_calls, changed.encoder_calls - moved.encoder_calls,
           moved.encoder_calls - first.encoder_calls);
    return true;
}

bool cpl_bench_edits(cpl_bench_run *run) {
    cpl_bench_say(run, "edits");
    cpl_layout *layout = make_layout(run->error);
    cpl_options options = {.device = "cpu", .precision = "f32", .threads = run->options->threads};
    cpl_session *session = layout ? cpl_session_new(&options, run->error) : NULL;
    bool done = session && run_session(run, session, layout);
    cpl_session_free(session);
    cpl_layout_free(layout);
    return done;
}
