/* session.c: the calls of couplet.h: hand over, generate, cancel, read events. All of them only leave a note for the worker;
 * none waits for it but cpl_session_free. */
#include "session.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/thread.h"
#include "../sample/clock.h"

#define DEBOUNCE_MS 100
#define TRIM_AFTER_MS 10000
#define CACHE_BYTES ((uint64_t)1 << 30)

static const struct {
    const char *name;
    bool automatic;
    cpl_dtype dtype;
} precisions[] = {{"auto", true, CPL_F32}, {"f32", false, CPL_F32}, {"bf16", false, CPL_BF16}, {"f16", false, CPL_F16}};

static bool read_precision(cpl_session *session, const char *name, cpl_error *error) {
    if (!name) name = "auto";
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        if (strcmp(precisions[i].name, name) != 0) continue;
        session->around.automatic = precisions[i].automatic;
        session->around.precision = precisions[i].dtype;
        return session->ops->supports(precisions[i].dtype, error);
    }
    return cpl_fail(error, CPL_E_INPUT, "precision %s: unknown; there are auto, f32, bf16 and f16", name);
}

/* A dump that cannot be written is told before hours of work, not after. */
static bool make_dump_folder(const char *folder, cpl_error *error) {
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return cpl_fail(error, CPL_E_FILE, "%s: the folder cannot be made: %s", folder, strerror(errno));
    if (access(folder, W_OK | X_OK) != 0)
        return cpl_fail(error, CPL_E_FILE, "%s: cannot be written to: %s", folder, strerror(errno));
    return true;
}

static bool read_options(cpl_session *session, const cpl_options *options, cpl_error *error) {
    if (options->threads < 0)
        return cpl_fail(error, CPL_E_INPUT, "%d threads: 0 means all there are", options->threads);
    session->ops = cpl_backend_find(options->device, error);
    session->around.ops = session->ops;
    cpl_error why;
    if (cpl_backend_passed_over(options->device, &why))
        snprintf(session->passed_over, sizeof session->passed_over, "cuda: %.180s", why.message);
    if (!session->ops || !read_precision(session, options->precision, error)) return false;
    if (options->dump && !make_dump_folder(options->dump, error)) return false;
    session->config.threads = options->threads;
    session->config.device = cpl_backend_number(options->device);
    session->debounce_ms = options->debounce_ms ? options->debounce_ms : DEBOUNCE_MS;
    session->preview_every = options->preview_every < 0 ? 0 : options->preview_every ? options->preview_every : 1;
    session->trim_after_ms = options->trim_after_ms ? options->trim_after_ms : TRIM_AFTER_MS;
    session->vae_pixels = options->vae_tile < 0 ? SIZE_MAX : (size_t)options->vae_tile;
    session->cache_bytes = options->cache_bytes ? options->cache_bytes : CACHE_BYTES;
    session->config.pool_budget = options->pool_bytes;
    session->config.memory_budget = options->vram_bytes;
    session->log = options->log;
    session->log_user = options->log_user;
    strncpy(session->stats.backend, session->ops->name, sizeof session->stats.backend - 1);
    strncpy(session->stats.precision, cpl_dtype_name(session->around.precision), sizeof session->stats.precision - 1);
    session->working = session->stats;
    if (!cpl_text_set(&session->lora_dir, options->lora_dir, error) ||
        !cpl_text_set(&session->embedding_dir, options->embedding_dir, error))
        return false;
    session->around.lora_dir = session->lora_dir;
    session->around.embedding_dir = session->embedding_dir;
    return cpl_text_set(&session->tokenizer, options->tokenizer, error) &&
           cpl_text_set(&session->dump, options->dump, error);
}

/* Waiting for edits to rest must not end early or late because somebody sets the clock. */
static void init_locks(cpl_session *session) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&session->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&session->lock, NULL);
    pthread_mutex_init(&session->stats_lock, NULL);
}

static void free_parts(cpl_session *session) {
    cpl_snapshot_free(session->pending);
    cpl_events_free(session->events);
    cpl_lookup_clear(&session->lookup);
    cpl_layout_free(session->handed);
    pthread_cond_destroy(&session->wake);
    pthread_mutex_destroy(&session->lock);
    pthread_mutex_destroy(&session->stats_lock);
    free(session->tokenizer);
    free(session->lora_dir);
    free(session->embedding_dir);
    free(session->dump);
    free(session);
}

static bool start_worker(cpl_session *session, cpl_error *error) {
    int failure = cpl_thread_start(&session->thread, cpl_worker_main, session);
    return failure == 0 || cpl_fail(error, CPL_E_MEMORY, "the worker thread cannot be started: %s", strerror(failure));
}

cpl_session *cpl_session_new(const cpl_options *options, cpl_error *error) {
    cpl_session *session = cpl_alloc(1, sizeof *session, error);
    if (!session) return NULL;
    init_locks(session);
    atomic_init(&session->cancelled, false);
    atomic_init(&session->load_cancelled, false);
    if (read_options(session, options, error)) {
        session->events = cpl_events_new(error);
        if (session->events && start_worker(session, error)) return session;
    }
    free_parts(session);
    return NULL;
}

void cpl_session_free(cpl_session *session) {
    if (!session) return;
    pthread_mutex_lock(&session->lock);
    session->quit = true;
    atomic_store(&session->cancelled, true);
    atomic_store(&session->load_cancelled, true);
    pthread_cond_signal(&session->wake);
    pthread_mutex_unlock(&session->lock);
    pthread_join(session->thread, NULL);
    free_parts(session);
}

/* What was handed over last came once more. */
static void repeat(cpl_session *session, cpl_sync when, cpl_ticket *ticket) {
    pthread_mutex_lock(&session->lock);
    if (when == CPL_SYNC_NOW && session->pending) {
        session->settle_ms = 0;
        pthread_cond_signal(&session->wake);
    }
    *ticket = (cpl_ticket){session->revision, session->hash};
    pthread_mutex_unlock(&session->lock);
}

/* Makes the snapshot the newest. The same hash is the same revision: a colour, a note, or a fault that is none of pixels.
 * The worker looks at it all the same, since whether a layout can be used is not in its hash. */
static void put_pending(cpl_session *session, cpl_snapshot *snapshot, cpl_sync when, cpl_ticket *ticket) {
    pthread_mutex_lock(&session->lock);
    cpl_snapshot *unread = session->pending;
    bool changed = session->revision == 0 || snapshot->hash != session->hash;
    snapshot->revision = session->revision += changed;
    session->hash = snapshot->hash;
    session->pending = snapshot;
    session->settle_ms = when == CPL_SYNC_NOW ? 0 : cpl_now_ms() + session->debounce_ms;
    /* In live mode a run of an older state has lost its purpose, unless it can take this one up. */
    bool spliced = session->splicing && session->splicing == snapshot->frame && !snapshot->error.code;
    if (changed && session->live && session->running && !spliced) atomic_store(&session->cancelled, true);
    /* So has the loading of another model. */
    if (session->loading && !session->awaited && snapshot->identity != session->loading_identity)
        atomic_store(&session->load_cancelled, true);
    *ticket = (cpl_ticket){session->revision, session->hash};
    pthread_cond_signal(&session->wake);
    pthread_mutex_unlock(&session->lock);
    cpl_snapshot_free(unread);
}

/* Takes over what `measured` holds. Both copies are made before anything changes and outside of the lock, which the worker may need between two steps. */
static cpl_snapshot *copy_state(cpl_snapshot *measured, const cpl_layout *layout, cpl_layout **handed,
                                cpl_error *error) {
    cpl_snapshot *snapshot = cpl_alloc(1, sizeof *snapshot, error);
    if (!snapshot) {
        cpl_snapshot_clear(measured);
        return NULL;
    }
    *snapshot = *measured;
    snapshot->layout = cpl_layout_copy(layout, error);
    *handed = snapshot->layout ? cpl_layout_copy(layout, error) : NULL;
    if (*handed) return snapshot;
    cpl_snapshot_free(snapshot);
    return NULL;
}

bool cpl_session_sync(cpl_session *session, const cpl_layout *layout, cpl_sync when, cpl_ticket *ticket,
                      cpl_error *error) {
    cpl_snapshot measured;
    cpl_layout *handed = NULL;
    cpl_ticket unwanted;
    if (!ticket) ticket = &unwanted;
    if (!cpl_snapshot_measure(&measured, layout, &session->lookup, &session->around, error)) return false;
    /* Only this thread writes the hash, so that it may be read here. */
    if (session->handed && measured.hash == session->hash && cpl_layout_equal(session->handed, layout)) {
        cpl_snapshot_clear(&measured);
        repeat(session, when, ticket);
        return true;
    }
    cpl_snapshot *snapshot = copy_state(&measured, layout, &handed, error);
    if (!snapshot) return false;
    cpl_layout_free(session->handed);
    session->handed = handed;
    put_pending(session, snapshot, when, ticket);
    return true;
}

/* Under the lock. A run that was asked for and will not begin ends here. */
static void withdraw(cpl_session *session) {
    cpl_event event = {.type = CPL_EVENT_CANCELLED, .revision = session->revision, .hash = session->hash};
    if (session->asked) cpl_events_post(session->events, &event, true);
    session->asked = false;
}

void cpl_session_generate(cpl_session *session) {
    pthread_mutex_lock(&session->lock);
    withdraw(session);
    if (session->running) atomic_store(&session->cancelled, true);
    session->asked = true;
    pthread_cond_signal(&session->wake);
    pthread_mutex_unlock(&session->lock);
}

void cpl_session_live(cpl_session *session, bool on) {
    pthread_mutex_lock(&session->lock);
    bool owed = on && session->live_due;
    session->live_due = on && session->revision > 0 && (owed || !session->live);
    if (!owed) session->live_seed = CPL_SEED_RANDOM;
    session->live = on;
    pthread_cond_signal(&session->wake);
    pthread_mutex_unlock(&session->lock);
}

void cpl_session_cancel(cpl_session *session) {
    pthread_mutex_lock(&session->lock);
    /* Told once: not again by a run that is withdrawn, nor for a second call. */
    session->stopped |= session->loading && !session->asked && !atomic_load(&session->load_cancelled);
    withdraw(session);
    session->live_due = false;
    if (session->running || session->loading) {
        atomic_store(&session->cancelled, true);
        atomic_store(&session->load_cancelled, true);
    }
    pthread_mutex_unlock(&session->lock);
}

int cpl_session_fd(const cpl_session *session) { return cpl_events_fd(session->events); }

bool cpl_session_wait(cpl_session *session, int timeout_ms) { return cpl_events_wait(session->events, timeout_ms); }

bool cpl_session_next(cpl_session *session, cpl_event *event) { return cpl_events_next(session->events, event); }
