/* stats.c: statistics as JSON, and the published copy that any thread may read. Where the numbers come from is the worker's
 * business. */
#include <inttypes.h>
#include <stddef.h>

#include "../layout/builder.h"
#include "session.h"

typedef enum kind { COUNT, MILLISECONDS, WHOLE, TEXT, CACHE } kind;

/* One row a member, in the order of the output. */
static const struct {
    const char *name;
    kind kind;
    size_t offset;
} members[] = {
#define MEMBER(member, as)                                                                                             \
    { #member, as, offsetof(cpl_stats, member) }
    MEMBER(backend, TEXT),
    MEMBER(precision, TEXT),
    MEMBER(model, TEXT),
    MEMBER(threads, WHOLE),
    MEMBER(runs, COUNT),
    MEMBER(steps, COUNT),
    MEMBER(steps_per_second, MILLISECONDS),
    MEMBER(load_ms, MILLISECONDS),
    MEMBER(text_ms, MILLISECONDS),
    MEMBER(first_step_ms, MILLISECONDS),
    MEMBER(step_ms, MILLISECONDS),
    MEMBER(device_step_ms, MILLISECONDS),
    MEMBER(sampling_ms, MILLISECONDS),
    MEMBER(decode_ms, MILLISECONDS),
    MEMBER(total_ms, MILLISECONDS),
    MEMBER(step_allocations, COUNT),
    MEMBER(encoder_calls, COUNT),
    MEMBER(splices, COUNT),
    MEMBER(pool_allocations, COUNT),
    MEMBER(pool_reuses, COUNT),
    MEMBER(pool_bytes, COUNT),
    MEMBER(pool_peak_bytes, COUNT),
    MEMBER(pool_held_peak_bytes, COUNT),
    MEMBER(live_peak_bytes, COUNT),
    MEMBER(active_tensors, COUNT),
    MEMBER(active_bytes, COUNT),
    MEMBER(cached_tensors, COUNT),
    MEMBER(cached_bytes, COUNT),
    MEMBER(memory_rescues, COUNT),
    MEMBER(weight_bytes, COUNT),
    MEMBER(device_bytes, COUNT),
    MEMBER(device_budget_bytes, COUNT),
    MEMBER(device_peak_bytes, COUNT),
    MEMBER(moved_out_bytes, COUNT),
    MEMBER(moves_out, COUNT),
    MEMBER(moves_in, COUNT),
    MEMBER(conditioning, CACHE),
    MEMBER(pooled, CACHE),
    MEMBER(text_kv, CACHE),
    MEMBER(plans, CACHE),
    MEMBER(loras, CACHE),
    MEMBER(primitives, CACHE),
    MEMBER(libraries, TEXT),
    MEMBER(library_products, COUNT),
    MEMBER(own_products, COUNT),
#undef MEMBER
};

static void print_cache(cpl_builder *b, const cpl_cache_stats *cache) {
    cpl_builder_format(b,
                       "{\"hits\": %" PRIu64 ", \"misses\": %" PRIu64 ", \"evictions\": %" PRIu64
                       ", \"bytes\": %" PRIu64 ", \"entries\": %" PRIu64 "}",
                       cache->hits, cache->misses, cache->evictions, cache->bytes, cache->entries);
}

static void print_member(cpl_builder *b, kind as, const void *value) {
    switch (as) {
    case COUNT:
        cpl_builder_format(b, "%" PRIu64, *(const uint64_t *)value);
        break;
    case WHOLE:
        cpl_builder_format(b, "%d", *(const int *)value);
        break;
    case MILLISECONDS:
        cpl_builder_number(b, *(const double *)value);
        break;
    case TEXT:
        cpl_builder_quoted(b, value);
        break;
    case CACHE:
        print_cache(b, value);
        break;
    }
}

char *cpl_stats_print(const cpl_stats *stats, cpl_error *error) {
    cpl_builder b = {.error = error};
    cpl_builder_text(&b, "{");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        cpl_builder_format(&b, "%s\n  \"%s\": ", i ? "," : "", members[i].name);
        print_member(&b, members[i].kind, (const char *)stats + members[i].offset);
    }
    cpl_builder_text(&b, "\n}\n");
    return cpl_builder_take(&b);
}

void cpl_session_publish_stats(cpl_session *session) {
    cpl_stats *stats = &session->working;
    const cpl_context *context = &session->context;
    if (context->stream) {
        context->stream->ops->stats(context->stream, stats);
        cpl_cache_stats_read(context->texts.conditionings, &stats->conditioning);
        cpl_cache_stats_read(context->texts.pooled, &stats->pooled);
        cpl_cache_stats_read(context->texts.kvs, &stats->text_kv);
        cpl_cache_stats_read(context->plans, &stats->plans);
        cpl_cache_stats_read(context->loras, &stats->loras);
        stats->memory_rescues += session->memory_retries;
        stats->encoder_calls = context->texts.encoder_calls;
    }
    pthread_mutex_lock(&session->stats_lock);
    session->stats = *stats;
    pthread_mutex_unlock(&session->stats_lock);
}

void cpl_session_stats(cpl_session *session, cpl_stats *stats) {
    pthread_mutex_lock(&session->stats_lock);
    *stats = session->stats;
    pthread_mutex_unlock(&session->stats_lock);
}
