/* generate.c: one run: seed, events on the way, picture and its texts at the end. When a run starts and what becomes of its
 * end is decided by the worker. */
#include "generate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "../memory/alloc.h"
#include "../sample/clock.h"
#include "../sample/img2img.h"
#include "../sample/pipeline.h"
#include "../sample/planes.h"
#include "../sample/upscale.h"
#include "dump.h"
#include "preview.h"
#include "record.h"

#define MAX_SEED ((INT64_C(1) << 53) - 1) /* what a layout's file can hold */

typedef struct generation {
    cpl_session *session;
    const cpl_snapshot *snapshot;
    const cpl_model *model;
    cpl_settings settings;    /* of the whole run: snapshots that it takes up come and go, and have the same */
    cpl_run run;              /* of the picture; `parts` is owned */
    cpl_run_part *parts;      /* owned */
    int64_t first_seed, seed; /* of the run's first picture, of this one */
    int picture;              /* from 1 */
    double start_ms;
    cpl_prepared *prepared;   /* borrowed: the session's, or `second` */
    cpl_prepared second;      /* of the second pass, while it runs */
    int width, height;        /* of the picture of this pass */
    int w, h;                 /* of its latent */
    int pass_steps[2], steps; /* that will be made, and in all; a sampler may make other than asked for */
    int before;               /* of them in the first pass, while the second one runs */
    int percent;              /* of the decoding, as last told */
    unsigned char *rgb;       /* owned: a preview; NULL: none are made */
    cpl_dump *dump;           /* owned, NULL: none */
    char *dump_folder;        /* owned: of the second pass */
    /* Of an edit that is taken up on the way. */
    uint64_t refused;   /* revision that cannot be taken up */
    int splices;        /* of this picture */
    char *splice_notes; /* owned: a line each */
} generation;

/* 32 bits, as many as torch's generator takes and as the WebUI draws. */
static bool draw_seed(int64_t *seed, cpl_error *error) {
    uint32_t drawn;
    while (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        if (errno != EINTR) return cpl_fail(error, CPL_E_DEVICE, "no seed could be drawn: %s", strerror(errno));
    *seed = drawn;
    return true;
}

static cpl_event event_of(const generation *g, cpl_event_type type) {
    return (cpl_event){.type = type,
                       .revision = g->snapshot->revision,
                       .hash = g->splices ? 0 : g->snapshot->hash,
                       .splices = g->splices,
                       .seed = g->seed,
                       .steps = g->steps,
                       .picture = g->picture,
                       .pictures = g->settings.batch};
}

/* Runs between two steps: it allocates nothing. */
static void stepped(void *user, int step, double ms, const float *x, const float *denoised) {
    generation *g = user;
    cpl_session *session = g->session;
    cpl_event event = event_of(g, CPL_EVENT_PROGRESS);
    (void)ms; /* of the pipeline alone; the event counts from the run's start */
    event.step = g->before + step;
    event.ms = cpl_now_ms() - g->start_ms;
    session->working.steps++;
    cpl_session_publish_stats(session);
    if (g->dump) cpl_dump_step(g->dump, step, x, denoised);
    cpl_event preview = event;
    cpl_events_post(session->events, &event, false);
    if (g->rgb && denoised && step % session->preview_every == 0) {
        preview.type = CPL_EVENT_PREVIEW;
        cpl_preview(&g->model->spec.vae, denoised, (size_t)g->w * (size_t)g->h, g->rgb);
        cpl_events_post_preview(session->events, &preview, g->rgb, g->w, g->h);
    }
}

static void decoded(void *user, double fraction) {
    generation *g = user;
    if ((int)(100 * fraction) == g->percent) return;
    g->percent = (int)(100 * fraction);
    cpl_event event = event_of(g, CPL_EVENT_PROGRESS);
    event.step = g->steps;
    event.ms = cpl_now_ms() - g->start_ms;
    event.fraction = fraction;
    cpl_events_post(g->session->events, &event, false);
}

static int64_t seed_of(const generation *g, int picture) {
    const int64_t seeds = MAX_SEED + 1;
    return (g->first_seed + picture - 1 + seeds) % seeds;
}

/* Large enough for either pass: nothing is allocated between two steps. */
static bool open_preview(generation *g, cpl_error *error) {
    cpl_session *session = g->session;
    int factor = cpl_vae_factor(g->model->vae), w, h;
    if (session->preview_every <= 0 || !g->model->spec.vae.has_latent_rgb) return true;
    cpl_settings_final_size(&g->settings, &w, &h);
    g->rgb = cpl_alloc((size_t)(w / factor) * (size_t)(h / factor) * 3, 1, error);
    return g->rgb && cpl_events_reserve_preview(session->events, w / factor, h / factor, error);
}

/* first: the picture to begin with, and its seed where that was drawn. */
static bool open_generation(generation *g, cpl_session *session, const cpl_event *first, cpl_error *error) {
    const cpl_settings *settings = &g->settings;
    *g = (generation){.session = session,
                      .snapshot = session->current,
                      .model = session->context.engine->model,
                      .settings = session->current->settings,
                      .first_seed = session->current->settings.seed,
                      .picture = first->picture,
                      .start_ms = cpl_now_ms()};
    g->pass_steps[0] = cpl_span_of(settings->sampler, settings->schedule, g->model->spec.train_timesteps,
                                   settings->steps, settings->denoise, settings->fix_steps)
                           .steps;
    if (settings->hires_width)
        g->pass_steps[1] = cpl_span_of(settings->sampler, settings->schedule, g->model->spec.train_timesteps,
                                       settings->hires_steps, settings->hires_denoise, true)
                               .steps;
    g->steps = g->pass_steps[0] + g->pass_steps[1];
    if (g->first_seed == CPL_SEED_RANDOM && first->seed != CPL_SEED_RANDOM)
        g->first_seed = first->seed - (first->picture - 1);
    else if (g->first_seed == CPL_SEED_RANDOM && !draw_seed(&g->first_seed, error))
        return false;
    g->seed = seed_of(g, g->picture);
    return open_preview(g, error);
}

/* The second pass has a folder inside the first one's. */
static const char *dump_folder(generation *g, cpl_error *error) {
    if (!g->before) return g->session->dump;
    if (!g->dump_folder) g->dump_folder = cpl_format(error, "%s/hires", g->session->dump);
    if (g->dump_folder && mkdir(g->dump_folder, 0777) != 0 && errno != EEXIST) {
        cpl_fail(error, CPL_E_FILE, "%s: the folder cannot be made: %s", g->dump_folder, strerror(errno));
        return NULL;
    }
    return g->dump_folder;
}

/* Of the first picture. Without its dump a run still makes it. */
static void open_dump(generation *g) {
    cpl_session *session = g->session;
    cpl_error error = {0};
    if (!session->dump || g->picture > 1) return;
    const char *folder = dump_folder(g, &error);
    if (folder) g->dump = cpl_dump_open(folder, g->model->spec.unet.in_channels, g->h, g->w, &error);
    if (!g->dump || !cpl_dump_prepared(g->dump, g->prepared, session->context.stream, &error))
        cpl_session_say(session, "dump: %s", error.message);
}

static void close_dump(generation *g, const cpl_run_result *result) {
    cpl_error error = {0};
    if (g->dump && !cpl_dump_close(g->dump, result, g->width, g->height, &error))
        cpl_session_say(g->session, "dump: %s", error.message);
    g->dump = NULL;
}

/* Lets the texts say what is their turn. True: a pooled vector is another one. */
static bool turn(void *user, int call) {
    generation *g = user;
    cpl_prepared *prepared = g->prepared;
    bool changed = false;
    cpl_prepared_turn(prepared, call);
    for (int i = 0; i < prepared->positives; i++) {
        const cpl_tensor *pooled = cpl_summary_at(&prepared->positive[i].summary, call);
        changed |= pooled != g->parts[i].pooled;
        g->parts[i].pooled = pooled;
    }
    const cpl_tensor *negative = cpl_summary_at(&prepared->negative.summary, call);
    changed |= negative != g->run.negative_pooled;
    g->run.negative_pooled = negative;
    return changed;
}

/* ---- Splicing ---- */

/* What was handed over since, if this run can go on with it; the worker owns it then. After the last chance newer states
 * begin a run of their own. */
static cpl_snapshot *take_newer(generation *g, bool last) {
    cpl_session *session = g->session;
    pthread_mutex_lock(&session->lock);
    cpl_snapshot *newer = session->pending;
    bool fits = newer && session->live && newer->frame == session->splicing && newer->hash != g->snapshot->hash &&
                newer->revision != g->refused && !newer->error.code && !atomic_load(&session->cancelled);
    if (fits) session->pending = NULL;
    if (last) session->splicing = 0;
    pthread_mutex_unlock(&session->lock);
    return fits ? newer : NULL;
}

/* It waits for the end of this run, or has it begun anew. */
static void put_back(generation *g, cpl_snapshot *newer, bool begin_anew) {
    cpl_session *session = g->session;
    g->refused = newer->revision;
    pthread_mutex_lock(&session->lock);
    if (session->pending)
        cpl_snapshot_free(newer);
    else
        session->pending = newer;
    if (begin_anew) atomic_store(&session->cancelled, true);
    pthread_mutex_unlock(&session->lock);
}

/* The pipeline has room for so many texts. */
static bool same_form(const cpl_prepared *a, const cpl_prepared *b) {
    bool same = a->positives == b->positives && a->negative.lines.lines == b->negative.lines.lines;
    for (int i = 0; same && i < a->positives; i++)
        same =
            a->positive[i].lines.lines == b->positive[i].lines.lines && a->positive[i].weight == b->positive[i].weight;
    return same;
}

static void note_splice(generation *g, int step) {
    char *notes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&notes, &size);
    if (out) {
        fprintf(out, "%sstep %d: %016llx\n", g->splice_notes ? g->splice_notes : "", step + 1,
                (unsigned long long)g->snapshot->hash);
        if (fclose(out) != 0) return;
        free(g->splice_notes);
        g->splice_notes = notes;
    }
}

/* The new state takes the place of the old one between two steps. */
static void adopt(generation *g, cpl_snapshot *newer, const cpl_prepared *prepared) {
    cpl_session *session = g->session;
    cpl_prepared_clear(&session->prepared, &session->context);
    session->prepared = *prepared;
    session->prepared_revision = newer->revision;
    cpl_snapshot_free(session->current);
    session->current = newer;
    g->snapshot = newer;
    g->splices++;
    session->working.splices++;
    cpl_session_publish_stats(session);
    cpl_session_post_synced(session);
}

static void replan(void *user, int step, cpl_unet_text *positive, cpl_unet_text *negative) {
    generation *g = user;
    cpl_session *session = g->session;
    cpl_snapshot *newer = take_newer(g, step + 1 >= g->pass_steps[0]);
    cpl_prepared prepared;
    cpl_error error = {0};
    if (!newer) return;
    /* What cannot be used is told when this run has ended; what failed otherwise is tried again from the start. */
    if (!cpl_snapshot_check(newer, &error) || !cpl_prepare(&prepared, &session->context, newer, false, &error)) {
        put_back(g, newer, error.code != CPL_E_INPUT);
        return;
    }
    if (!same_form(&prepared, &session->prepared)) {
        cpl_prepared_clear(&prepared, &session->context);
        put_back(g, newer, true);
        return;
    }
    adopt(g, newer, &prepared);
    note_splice(g, step);
    for (int i = 0; i < session->prepared.positives; i++) {
        g->parts[i].text = cpl_prepared_text(&session->prepared, &session->prepared.positive[i]);
        positive[i] = g->parts[i].text;
    }
    g->run.negative = cpl_prepared_text(&session->prepared, &session->prepared.negative);
    if (negative) *negative = g->run.negative;
}

static void allow_splicing(const generation *g, bool on) {
    pthread_mutex_lock(&g->session->lock);
    g->session->splicing = on ? g->snapshot->frame : 0;
    pthread_mutex_unlock(&g->session->lock);
}

static bool make_parts(generation *g, cpl_error *error) {
    const cpl_prepared *prepared = g->prepared;
    free(g->parts);
    g->parts = cpl_alloc((size_t)prepared->positives, sizeof *g->parts, error);
    for (int i = 0; g->parts && i < prepared->positives; i++) {
        const cpl_voice *voice = &prepared->positive[i];
        g->parts[i] =
            (cpl_run_part){cpl_prepared_text(prepared, voice), cpl_summary_at(&voice->summary, 0), voice->weight};
    }
    return g->parts != NULL;
}

/* NULL: there is none, or the error says why it could not be had. */
static const float *find_origin(generation *g, cpl_error *error) {
    cpl_context *context = &g->session->context;
    if (!g->snapshot->start) return NULL;
    const float *latent = cpl_start_find(&context->start, g->model, context->stream, g->snapshot->layout, &g->settings,
                                         g->snapshot->start, g->session->vae_pixels, error);
    if (!latent) cpl_error_while(error, "reading the picture to begin with");
    return latent;
}

/* What both passes share. */
static bool make_run(generation *g, cpl_error *error) {
    const cpl_settings *settings = &g->settings;
    const cpl_prepared *prepared = g->prepared;
    cpl_prepared_turn(g->prepared, 0);
    if (!make_parts(g, error)) return false;
    g->run = (cpl_run){.model = g->model,
                       .stream = g->session->context.stream,
                       .width = g->width,
                       .height = g->height,
                       .cfg = settings->cfg,
                       .sampler = settings->sampler,
                       .schedule = settings->schedule,
                       .rng = settings->rng,
                       .prediction = settings->prediction,
                       .seed = (uint64_t)g->seed,
                       .adapters = prepared->loras ? &prepared->loras->adapters : NULL,
                       .parts = g->parts,
                       .part_count = prepared->positives,
                       .negative = cpl_prepared_text(prepared, &prepared->negative),
                       .negative_pooled = cpl_summary_at(&prepared->negative.summary, 0),
                       .turn = turn,
                       .stepped = stepped,
                       .decoded = decoded,
                       .vae_pixels = g->session->vae_pixels,
                       .want_state = g->dump != NULL,
                       .want_denoised = g->rgb ? g->session->preview_every : 0,
                       .user = g};
    return true;
}

static void set_size(generation *g, int width, int height) {
    int factor = cpl_vae_factor(g->model->vae);
    g->width = width;
    g->height = height;
    g->w = width / factor;
    g->h = height / factor;
}

/* ---- Passes ---- */

static bool run_first(generation *g, cpl_run_result *result, cpl_error *error) {
    const cpl_settings *settings = &g->settings;
    g->prepared = &g->session->prepared;
    g->before = 0;
    set_size(g, settings->width, settings->height);
    open_dump(g);
    allow_splicing(g, true);
    bool done = make_run(g, error);
    if (done) {
        g->run.steps = settings->steps;
        g->run.origin = find_origin(g, error);
        g->run.denoise = settings->denoise;
        g->run.fix_steps = settings->fix_steps;
        g->run.replan = replan;
        done = (g->run.origin || !g->snapshot->start) && cpl_run_sample(&g->run, !settings->hires_width, result, error);
    }
    allow_splicing(g, false);
    close_dump(g, done ? result : NULL);
    return done;
}

/* By way of the decoded picture, in 8 bits as the WebUI does it. */
static float *enlarge_picture(generation *g, const float *latent, int width, int height, cpl_error *error) {
    cpl_stream *stream = g->session->context.stream;
    const cpl_vae_way way = {.pixels = g->session->vae_pixels};
    float *planes = cpl_decode_latent(g->model, stream, latent, g->w, g->h, &way, error);
    cpl_image *small = planes ? cpl_image_from_planes(planes, g->width, g->height, error) : NULL;
    cpl_image *large = small ? cpl_image_resize(small, width, height, error) : NULL;
    free(planes);
    cpl_image_free(small);
    cpl_pool_trim(stream->pool, CPL_VAE_KEEP);
    float *larger =
        large ? cpl_start_encode(g->model, stream, g->snapshot->layout, large, g->session->vae_pixels, error) : NULL;
    cpl_image_free(large);
    return larger;
}

static float *enlarge(generation *g, const float *latent, int width, int height, cpl_error *error) {
    const char *name = g->settings.hires_upscaler;
    int factor = cpl_vae_factor(g->model->vae);
    if (!cpl_upscaler_is_latent(name)) return enlarge_picture(g, latent, width, height, error);
    return cpl_upscale_latent(name, latent, g->model->spec.vae.z_channels, g->w, g->h, width / factor, height / factor,
                              error);
}

/* An edit cannot be taken up any more: the regions' plans are of another size. */
static bool run_second(generation *g, const float *origin, cpl_run_result *result, cpl_error *error) {
    const cpl_settings *settings = &g->settings;
    g->prepared = &g->second;
    g->before = g->pass_steps[0];
    set_size(g, settings->hires_width, settings->hires_height);
    if (!cpl_prepare(&g->second, &g->session->context, g->snapshot, true, error)) return false;
    open_dump(g);
    bool done = make_run(g, error);
    if (done) {
        g->run.steps = settings->hires_steps;
        g->run.origin = origin;
        g->run.denoise = settings->hires_denoise;
        g->run.fix_steps = true;
        done = cpl_run_sample(&g->run, true, result, error);
    }
    close_dump(g, done ? result : NULL);
    cpl_prepared_clear(&g->second, &g->session->context);
    return done;
}

/* `result` is of the picture that is left, its times of both. */
static bool run_passes(generation *g, cpl_run_result *result, cpl_error *error) {
    cpl_run_result first;
    int width, height;
    if (!run_first(g, result, error)) return false;
    if (!g->settings.hires_width) return true;
    first = *result;
    cpl_settings_final_size(&g->settings, &width, &height);
    float *origin = enlarge(g, first.latent, width, height, error);
    if (!origin) cpl_error_while(error, "making the latent larger");
    bool done = origin && run_second(g, origin, result, error);
    if (done) result->sampling_ms += first.sampling_ms;
    free(origin);
    cpl_run_result_clear(&first);
    return done;
}

static void note_times(generation *g, const cpl_run_result *result) {
    cpl_stats *stats = &g->session->working;
    stats->runs++;
    stats->step_allocations = result->step_allocations;
    stats->first_step_ms = result->first_step_ms;
    stats->step_ms = result->step_ms;
    stats->sampling_ms = result->sampling_ms;
    stats->decode_ms = result->decode_ms;
    stats->total_ms = cpl_now_ms() - g->start_ms;
    stats->steps_per_second = result->step_ms > 0 ? 1000 / result->step_ms : 0;
    cpl_session_publish_stats(g->session);
}

static bool run(generation *g, cpl_event *end, cpl_error *error) {
    cpl_run_result result;
    g->splices = 0;
    free(g->splice_notes);
    g->splice_notes = NULL;
    bool done = run_passes(g, &result, error);
    if (!done) return false;
    note_times(g, &result);
    *end = event_of(g, CPL_EVENT_FINISHED);
    end->step = g->steps;
    end->image = cpl_image_from_planes(result.image01, g->width, g->height, error);
    end->ms = cpl_now_ms() - g->start_ms;
    cpl_run_result_clear(&result);
    const char *notes = g->splices ? g->splice_notes : NULL;
    if (end->image && cpl_record_texts(end, g->snapshot, g->seed, notes, error)) return true;
    cpl_error_while(error, "finishing the picture");
    return false;
}

/* Whoever cancelled before this moment gets no picture of the run any more. */
static void post_picture(const generation *g, cpl_event *event) {
    cpl_session *session = g->session;
    pthread_mutex_lock(&session->lock);
    if (!atomic_load(&session->cancelled)) cpl_events_post(session->events, event, false);
    pthread_mutex_unlock(&session->lock);
    cpl_event_clear(event);
}

/* One picture after the other, each with a generator of its own; the last one is left in `end`. */
static bool run_batch(generation *g, cpl_event *end, int *splices, cpl_error *error) {
    int pictures = g->settings.batch;
    for (;;) {
        bool made = run(g, end, error);
        /* One that failed after others is made again, with the state that it took up: then these are of another one. */
        if (made || g->picture > 1) *splices += g->splices;
        if (!made) return false;
        if (g->picture == pictures) return true;
        post_picture(g, end);
        g->picture++;
        g->seed = seed_of(g, g->picture);
        g->start_ms = cpl_now_ms();
    }
}

void cpl_generate(cpl_session *session, cpl_event *end, bool *started, int *splices) {
    generation g;
    cpl_error error = {0};
    bool done = open_generation(&g, session, end, &error);
    if (!done) cpl_error_while(&error, "starting the run");
    if (done) {
        cpl_event start = event_of(&g, CPL_EVENT_STARTED);
        if (!*started) cpl_events_post(session->events, &start, false);
        *started = true;
        done = run_batch(&g, end, splices, &error);
    }
    if (!done) {
        cpl_event_clear(end);
        *end = event_of(&g, error.code == CPL_E_CANCELLED ? CPL_EVENT_CANCELLED : CPL_EVENT_FAILED);
        end->hash = g.snapshot->hash; /* also after a splice: there is no picture that it could be wrong for */
        end->error = error;
    }
    free(g.splice_notes);
    free(g.dump_folder);
    free(g.parts);
    free(g.rgb);
}
