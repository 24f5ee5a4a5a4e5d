/* worker.c: the worker thread: waits for a settled snapshot or a call for a run, keeps the engine that the snapshot names,
 * prepares, generates, and ends each run with just one event. It takes the newest state only: what was handed over in
 * between is never looked at. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../sample/clock.h"
#include "generate.h"
#include "session.h"
#include "tokens.h"

struct job {
    cpl_snapshot *fresh; /* to be taken over, or NULL */
    bool run;
    bool answer;  /* the run was asked for, so its end must be told */
    bool started; /* STARTED went out */
    int splices;  /* of all its pictures that were finished */
    int64_t seed; /* instead of a drawn one; CPL_SEED_RANDOM: none */
};

void cpl_session_say(const cpl_session *session, const char *format, ...) {
    char message[640];
    va_list args;
    if (!session->log) return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    session->log(session->log_user, message);
}

static cpl_event event_of(const cpl_snapshot *snapshot, cpl_event_type type) {
    if (!snapshot) return (cpl_event){.type = type};
    return (cpl_event){.type = type, .revision = snapshot->revision, .hash = snapshot->hash, .model = snapshot->model};
}

/* ---- Waiting ---- */

static void wait_until(cpl_session *session, double until_ms) {
    double seconds = floor(until_ms / 1e3);
    struct timespec until = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((until_ms - seconds * 1e3) * 1e6)};
    pthread_cond_timedwait(&session->wake, &session->lock, &until);
}

static bool has_work(const cpl_session *session) {
    if (session->asked) return true;
    if (session->pending) return cpl_now_ms() >= session->settle_ms;
    return session->live && session->live_due;
}

/* Gives back what lies idle, once, when nothing was asked for so long that it may be a while. */
static void trim_idle(cpl_session *session) {
    pthread_mutex_unlock(&session->lock);
    if (session->context.stream) cpl_pool_trim(session->context.stream->pool, 0);
    cpl_session_publish_stats(session);
    pthread_mutex_lock(&session->lock);
}

/* False: the session ends. */
static bool next_job(cpl_session *session, struct job *job) {
    double trim_ms = cpl_now_ms() + session->trim_after_ms;
    bool trimmed = false;
    pthread_mutex_lock(&session->lock);
    while (!session->quit && !has_work(session)) {
        if (session->pending) {
            wait_until(session, session->settle_ms);
        } else if (trimmed) {
            pthread_cond_wait(&session->wake, &session->lock);
        } else if (cpl_now_ms() < trim_ms) {
            wait_until(session, trim_ms);
        } else {
            trim_idle(session);
            trimmed = true;
        }
    }
    *job = (struct job){.fresh = session->pending, .answer = session->asked, .seed = CPL_SEED_RANDOM};
    job->run = session->asked || session->live;
    if (session->live_due && !job->fresh && !job->answer) job->seed = session->live_seed;
    session->pending = NULL;
    session->asked = session->live_due = false;
    session->running = job->run;
    session->awaited = job->answer;
    session->stopped = false;
    if (!session->quit) {
        atomic_store(&session->cancelled, false);
        atomic_store(&session->load_cancelled, false);
    }
    bool goes_on = !session->quit;
    pthread_mutex_unlock(&session->lock);
    return goes_on;
}

/* ---- Ending ---- */

/* Under the lock. A picture that took edits up on its way is of no layout: live mode owes the clean one, with the same seed,
 * whichever of the run's pictures it was. */
static void note_finished(cpl_session *session, const struct job *job, const cpl_event *end) {
    if (!job->splices) {
        session->finished_revision = end->revision;
        return;
    }
    session->live_due = session->live;
    session->live_seed = end->seed - (end->picture - 1);
}

/* Posts what ends a job. Whoever cancelled before this moment gets no picture of the run any more; a live run that nobody
 * saw start is not worth a word. */
static void end_job(cpl_session *session, const struct job *job, cpl_event *end) {
    pthread_mutex_lock(&session->lock);
    if (job->run && end->type == CPL_EVENT_FINISHED && atomic_load(&session->cancelled)) {
        cpl_event_clear(end);
        *end = event_of(session->current, CPL_EVENT_CANCELLED);
    }
    session->running = false;
    bool silent = end->type == CPL_EVENT_CANCELLED && !job->answer && !job->started && !session->stopped;
    if (end->type == CPL_EVENT_FINISHED) note_finished(session, job, end);
    if (!silent) cpl_events_post(session->events, end, job->answer);
    pthread_mutex_unlock(&session->lock);
    cpl_event_clear(end);
}

static void end_quietly(cpl_session *session) {
    pthread_mutex_lock(&session->lock);
    session->running = false;
    pthread_mutex_unlock(&session->lock);
}

static void end_with_error(cpl_session *session, const struct job *job, cpl_event_type type, const cpl_error *error) {
    if (error->code == CPL_E_CANCELLED) type = CPL_EVENT_CANCELLED;
    cpl_event end = event_of(session->current, type);
    end.error = *error;
    end_job(session, job, &end);
}

/* ---- Engine ---- */

static void close_engine(cpl_session *session) {
    cpl_prepared_clear(&session->prepared, &session->context);
    session->prepared_revision = 0;
    cpl_context_close(&session->context);
}

typedef struct loading {
    cpl_session *session;
    int percent; /* last told */
} loading;

static void tell_loading(void *user, uint64_t done, uint64_t total) {
    loading *l = user;
    double fraction = (double)done / (double)total;
    if ((int)(100 * fraction) == l->percent) return;
    l->percent = (int)(100 * fraction);
    cpl_event event = event_of(l->session->current, CPL_EVENT_LOADING);
    event.fraction = fraction;
    cpl_events_post(l->session->events, &event, false);
}

static void set_loading(cpl_session *session, bool on) {
    pthread_mutex_lock(&session->lock);
    session->loading = on;
    session->loading_identity = session->current->identity;
    pthread_mutex_unlock(&session->lock);
}

static cpl_engine *open_engine(cpl_session *session, cpl_error *error) {
    cpl_model_source source = cpl_layout_source(session->current->layout);
    source.tokenizer = session->tokenizer;
    loading l = {.session = session, .percent = -1};
    const cpl_load_watch watch = {.cancelled = &session->load_cancelled, .progress = tell_loading, .user = &l};
    set_loading(session, true);
    tell_loading(&l, 0, 1);
    cpl_backend_config config = session->config;
    config.precision = session->current->precision;
    cpl_engine *engine = cpl_engine_open(session->ops, &config, &source, &watch, error);
    set_loading(session, false);
    return engine;
}

/* Weights may be larger than what is left beside another model's, so the old ones go first. */
static bool load_engine(cpl_session *session, cpl_error *error) {
    const cpl_snapshot *snapshot = session->current;
    double start_ms = cpl_now_ms();
    close_engine(session);
    cpl_engine *engine = open_engine(session, error);
    if (!engine) return false;
    if (engine->model->identity != snapshot->identity) {
        cpl_engine_unref(engine);
        return cpl_fail(error, CPL_E_FILE, "%s: the file changed while it was read; generate again",
                        snapshot->model.name);
    }
    if (!cpl_context_open(&session->context, engine, &session->cancelled, session->cache_bytes, error)) return false;
    session->working.load_ms = cpl_now_ms() - start_ms;
    snprintf(session->working.precision, sizeof session->working.precision, "%s", cpl_dtype_name(snapshot->precision));
    snprintf(session->working.model, sizeof session->working.model, "%s", engine->model->info.name);
    cpl_session_say(session, "%s loaded in %.0f ms", engine->model->info.name, session->working.load_ms);
    cpl_event event = event_of(snapshot, CPL_EVENT_READY);
    event.model = engine->model->info;
    cpl_events_post(session->events, &event, false);
    return true;
}

static bool ensure_engine(cpl_session *session, cpl_error *error) {
    const cpl_engine *engine = session->context.engine;
    bool there = (engine && engine->model->identity == session->current->identity) || load_engine(session, error);
    if (!there) cpl_error_while(error, "loading the model");
    return there;
}

/* ---- Jobs ---- */

void cpl_session_post_synced(cpl_session *session) {
    cpl_event event = event_of(session->current, CPL_EVENT_SYNCED);
    size_t bytes = (size_t)session->prepared.info_count * sizeof *event.lines;
    /* Without memory the rows stay without their notes; the state is true all the same. */
    event.lines = cpl_alloc((size_t)session->prepared.info_count, sizeof *event.lines, NULL);
    if (event.lines) {
        memcpy(event.lines, session->prepared.infos, bytes);
        event.line_count = session->prepared.info_count;
    }
    if (session->prepared.loras) memcpy(event.note, session->prepared.loras->note, sizeof event.note);
    event.line_texts = cpl_line_texts_copy(session->prepared.texts, session->prepared.text_count);
    event.line_text_count = event.line_texts ? session->prepared.text_count : 0;
    cpl_events_post(session->events, &event, false);
}

/* The new state is made beside the old one, whose texts and plans so stay in the caches. */
static bool prepare_current(cpl_session *session, cpl_error *error) {
    cpl_prepared prepared;
    double start_ms = cpl_now_ms();
    if (!cpl_prepare(&prepared, &session->context, session->current, false, error)) {
        cpl_error_while(error, "encoding the prompts");
        return false;
    }
    /* Once for a set of LoRAs, not with every edit. */
    const cpl_lora_set *loras = prepared.loras;
    bool told = !loras || (session->prepared.loras && !strcmp(loras->note, session->prepared.loras->note));
    cpl_prepared_clear(&session->prepared, &session->context);
    session->prepared = prepared;
    session->prepared_revision = session->current->revision;
    if (!told && *loras->note) cpl_session_say(session, "%s", loras->note);
    session->working.text_ms = cpl_now_ms() - start_ms;
    cpl_session_publish_stats(session);
    cpl_session_post_synced(session);
    return true;
}

/* What can be made again is dropped, and the caller tries once more. False: that would not help. */
static bool may_try_again(cpl_session *session, const cpl_error *error) {
    if (error->code != CPL_E_MEMORY || atomic_load(&session->cancelled)) return false;
    if (session->context.stream) cpl_stream_settle(session->context.stream, NULL);
    cpl_context_shed(&session->context);
    session->memory_retries++;
    cpl_session_say(session, "%s; trying once more without caches", error->message);
    return true;
}

static bool get_ready(cpl_session *session, cpl_error *error) {
    return ensure_engine(session, error) && prepare_current(session, error);
}

/* Told before a model is loaded for nothing; once for a file. */
static bool start_can_be_read(cpl_session *session, cpl_error *error) {
    const cpl_snapshot *snapshot = session->current;
    if (!snapshot->start || snapshot->start == session->start_seen) return true;
    if (!cpl_layout_check_start(snapshot->layout, error)) return false;
    session->start_seen = snapshot->start;
    return true;
}

/* False: the job has ended with an event. A snapshot that failed before is tried again when a run is asked for. One with
 * the revision that is ready has the same pixels, but may be wrong where that one was not. */
static bool make_ready(cpl_session *session, const struct job *job) {
    cpl_error error = {0};
    bool ready = session->prepared.ready && session->prepared_revision == session->current->revision;
    if (ready && !job->fresh) return true;
    if (!cpl_snapshot_check(session->current, &error) || !start_can_be_read(session, &error)) {
        if (ready) session->prepared_revision = 0;
        end_with_error(session, job, CPL_EVENT_INVALID, &error);
        return false;
    }
    if (ready || get_ready(session, &error)) return true;
    if (may_try_again(session, &error)) {
        error = (cpl_error){0};
        if (get_ready(session, &error)) return true;
    }
    cpl_session_publish_stats(session);
    end_with_error(session, job, error.code == CPL_E_INPUT ? CPL_EVENT_INVALID : CPL_EVENT_FAILED, &error);
    return false;
}

static void do_job(cpl_session *session, struct job *job) {
    if (job->fresh) {
        cpl_snapshot_free(session->current);
        session->current = job->fresh;
    }
    if (!session->current) {
        cpl_error error = {0};
        cpl_fail(&error, CPL_E_INPUT, "there is nothing to generate: no layout was handed over yet");
        end_with_error(session, job, CPL_EVENT_INVALID, &error);
        return;
    }
    /* A failure of an earlier job is no failure of this one. */
    if (session->context.stream) cpl_stream_settle(session->context.stream, NULL);
    if (!make_ready(session, job)) return;
    bool done_before = !job->answer && session->finished_revision == session->current->revision;
    if (!job->run || done_before) {
        end_quietly(session);
        return;
    }
    cpl_event end = {.seed = job->seed, .picture = 1};
    cpl_generate(session, &end, &job->started, &job->splices);
    if (end.type == CPL_EVENT_FAILED && may_try_again(session, &end.error)) {
        cpl_event again = {.seed = end.seed, .picture = end.picture};
        cpl_event_clear(&end);
        end = again;
        cpl_generate(session, &end, &job->started, &job->splices);
    }
    cpl_session_publish_stats(session); /* whoever reads the end reads what it left */
    end_job(session, job, &end);
}

void *cpl_worker_main(void *user) {
    cpl_session *session = user;
    struct job job;
    if (*session->passed_over) cpl_session_say(session, "%s; the processor is used", session->passed_over);
    while (next_job(session, &job)) do_job(session, &job);
    cpl_snapshot_free(job.fresh);
    close_engine(session);
    cpl_snapshot_free(session->current);
    session->current = NULL;
    return NULL;
}
