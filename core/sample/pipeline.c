/* pipeline.c: one run from conditionings to a latent and its picture: start noise, guided denoising in one batch of
 * [uncond, cond], and the host's view of each step. Everything a step needs is made before the first one. It knows no
 * layout, no thread and no cache. */
#include "pipeline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "clock.h"
#include "img2img.h"
#include "planes.h"
#include "predict.h"
#include "rng.h"
#include "sampler.h"

typedef struct pipeline {
    const cpl_run *run; /* borrowed */
    cpl_stream *s;
    int w, h, c;       /* of the latent */
    int batch, guided; /* batch elements: the negative one, if `guided`, then the positive ones */
    int calls;         /* of the model so far */
    cpl_span span;     /* the part of the schedule that is walked */
    int steps;         /* that will be made: some samplers make other than asked for */
    size_t cells, count;
    cpl_run_part sole;    /* the positive where the run has no parts */
    cpl_unet_text *texts; /* owned, [batch] */
    float *timesteps;     /* owned, [batch] */
    cpl_prediction prediction;
    cpl_noise_levels levels;
    cpl_rng rng;
    float *levels_all;   /* owned: of the whole schedule */
    const float *sigmas; /* those that are walked: [steps + 1] */
    float *draw;         /* owned, as all below: [count] in the order of the generator */
    float *host, *x_planes, *denoised_planes;
    double *step_ms, start_ms, last_ms;
    cpl_tensor y;                /* [batch], the vectors beside the contexts; empty for a model without */
    cpl_tensor x, input, output; /* output also holds guided sums; input and output have `batch` elements */
    uint64_t first_allocations;  /* of the pool, after the first step */
    int ordered, told;           /* the last step that was fetched, and told; only where the backend can */
    int strange_step;            /* the first of those looked at whose estimate was not finite; 0: none */
} pipeline;

static bool check_run(const cpl_run *run, cpl_error *error) {
    int factor = cpl_vae_factor(run->model->vae);
    if (run->model->spec.unet.in_channels != run->model->spec.vae.z_channels)
        return cpl_fail(error, CPL_E_UNSUPPORTED, "%s: the UNet takes %d channels, the latent has %d",
                        run->model->info.name, run->model->spec.unet.in_channels, run->model->spec.vae.z_channels);
    if (run->width < factor || run->height < factor || run->width % factor || run->height % factor)
        return cpl_fail(error, CPL_E_INPUT, "%dx%d: both sides must be multiples of %d", run->width, run->height,
                        factor);
    return true;
}

static bool make_sigmas(pipeline *p, cpl_error *error) {
    const cpl_run *run = p->run;
    const cpl_model_spec *spec = &run->model->spec;
    bool zero_terminal_snr = spec->zero_terminal_snr;
    p->prediction = spec->prediction;
    cpl_prediction_override(run->prediction, &p->prediction, &zero_terminal_snr);
    if (!cpl_noise_levels_init(&p->levels, spec->beta_start, spec->beta_end, spec->train_timesteps, zero_terminal_snr,
                               error))
        return false;
    p->levels.of_sdxl = strcmp(spec->family, "sdxl") == 0;
    p->steps = run->steps;
    if (run->sigmas) {
        p->sigmas = run->sigmas;
        return true;
    }
    p->span = cpl_span_of(run->sampler, run->schedule, spec->train_timesteps, run->steps,
                          run->origin ? run->denoise : 0, run->fix_steps);
    p->levels_all = cpl_sampler_sigmas(run->sampler, run->schedule, &p->levels, p->span.asked, &p->steps, error);
    if (!p->levels_all) return false;
    p->sigmas = p->levels_all + p->span.skip;
    p->steps = p->span.steps;
    return true;
}

static bool make_host_arrays(pipeline *p, cpl_error *error) {
    p->step_ms = cpl_alloc((size_t)p->steps, sizeof *p->step_ms, error);
    p->draw = cpl_alloc(p->count, sizeof *p->draw, error);
    p->host = cpl_alloc(p->count, sizeof *p->host, error);
    p->x_planes = cpl_alloc(p->count, sizeof *p->x_planes, error);
    p->denoised_planes = cpl_alloc(p->count, sizeof *p->denoised_planes, error);
    return p->step_ms && p->draw && p->host && p->x_planes && p->denoised_planes;
}

static int part_count(const pipeline *p) { return p->run->parts ? p->run->part_count : 1; }

/* By value: the run's pooled vectors may have been exchanged. */
static cpl_run_part part_at(const pipeline *p, int i) {
    if (p->run->parts) return p->run->parts[i];
    return (cpl_run_part){p->run->positive, p->run->positive_pooled, 1};
}

/* Factor of all parts together; the negative half has what is left to 1. */
static double total_guidance(const pipeline *p) {
    double total = 0;
    for (int i = 0; i < part_count(p); i++) total += p->run->cfg * part_at(p, i).weight;
    return total;
}

static bool make_batch(pipeline *p, cpl_error *error) {
    p->guided = total_guidance(p) == 1 ? 0 : 1;
    p->batch = p->guided + part_count(p);
    p->texts = cpl_alloc((size_t)p->batch, sizeof *p->texts, error);
    p->timesteps = cpl_alloc((size_t)p->batch, sizeof *p->timesteps, error);
    if (!p->texts || !p->timesteps) return false;
    p->texts[0] = p->run->negative;
    for (int i = 0; i < part_count(p); i++) p->texts[p->guided + i] = part_at(p, i).text;
    return true;
}

static void free_batch(pipeline *p) {
    free(p->texts);
    free(p->timesteps);
}

static pipeline *open_pipeline(const cpl_run *run, cpl_error *error) {
    pipeline *p = cpl_alloc(1, sizeof *p, error);
    if (!p) return NULL;
    int factor = cpl_vae_factor(run->model->vae);
    p->run = run;
    p->s = run->stream;
    p->w = run->width / factor;
    p->h = run->height / factor;
    p->c = run->model->spec.unet.in_channels;
    p->cells = (size_t)p->w * (size_t)p->h;
    p->count = p->cells * (size_t)p->c;
    if (cpl_rng_open(&p->rng, run->rng ? run->rng : "cpu", run->seed, error) && make_batch(p, error)) return p;
    free_batch(p);
    free(p);
    return NULL;
}

static void close_pipeline(pipeline *p) {
    if (!p) return;
    cpl_tensor_free(&p->output);
    cpl_tensor_free(&p->input);
    cpl_tensor_free(&p->x);
    cpl_tensor_free(&p->y);
    free(p->denoised_planes);
    free(p->x_planes);
    free(p->host);
    free(p->draw);
    free(p->step_ms);
    free(p->levels_all);
    free_batch(p);
    free(p);
}

static void upload_planes(pipeline *p, const cpl_tensor *tensor, const float *planes) {
    cpl_interleave(p->host, planes, p->c, p->cells);
    p->s->ops->upload(p->s, tensor, p->host);
}

static void download_planes(pipeline *p, float *planes, const cpl_tensor *tensor) {
    p->s->ops->download(p->s, p->host, tensor);
    cpl_deinterleave(planes, p->host, p->c, p->cells);
}

static void fill_vectors(pipeline *p) {
    const cpl_run *run = p->run;
    for (int i = 0; p->y.data && i < p->batch && cpl_stream_ok(p->s); i++) {
        cpl_tensor slot = cpl_tensor_slice(&p->y, i, 1);
        const cpl_tensor *pooled = i < p->guided ? run->negative_pooled : part_at(p, i - p->guided).pooled;
        cpl_model_vector(run->model, p->s, &slot, pooled, run->width, run->height);
    }
}

static void make_vectors(pipeline *p) {
    int width = p->run->model->spec.unet.adm_in_channels;
    if (!width) return;
    p->y = cpl_make_as(p->s, CPL_F32, p->batch, 1, 1, width);
    fill_vectors(p);
}

/* Noise alone, or on top of a picture's latent. */
static void mix_start(pipeline *p, const float *noise) {
    const cpl_run *run = p->run;
    float *mixed = p->x_planes;
    double of_noise = cpl_sampler_start(run->sampler, p->sigmas[0]), of_origin = 1;
    if (run->origin) {
        double sigma = p->levels_all ? p->levels_all[p->span.noise] : p->sigmas[0];
        if (cpl_sampler_has_own_levels(run->sampler)) of_origin = cpl_input_scale(sigma);
        of_noise = sigma * of_origin;
    }
    for (size_t i = 0; i < p->count; i++) {
        mixed[i] = (float)of_noise * noise[i];
        if (run->origin) mixed[i] += (float)of_origin * run->origin[i];
    }
    upload_planes(p, &p->x, mixed);
}

static void make_start(pipeline *p) {
    /* The seed's first draw is used up even if the noise is given: the draws of ancestral steps come after it. */
    cpl_rng_normal(&p->rng, p->draw, p->count);
    p->x = cpl_make_as(p->s, CPL_F32, 1, p->h, p->w, p->c);
    p->input = cpl_make_as(p->s, CPL_F32, p->batch, p->h, p->w, p->c);
    p->output = cpl_make_as(p->s, CPL_F32, p->batch, p->h, p->w, p->c);
    if (!cpl_stream_ok(p->s)) return;
    mix_start(p, p->run->noise ? p->run->noise : p->draw);
}

/* Guidance is on denoised values; these are linear in the output and share x, so guiding the outputs is the same. The sum is
 * left in the first element, which is a part itself where there is no negative one. */
static void guide(pipeline *p) {
    cpl_tensor sum = cpl_tensor_slice(&p->output, 0, 1);
    double factor = p->guided ? cpl_guidance_mix(total_guidance(p)).first : p->run->cfg * part_at(p, 0).weight;
    for (int i = 1; i < p->batch; i++) {
        cpl_tensor other = cpl_tensor_slice(&p->output, i, 1);
        double weight = p->run->cfg * part_at(p, i - p->guided).weight;
        p->s->ops->scale_add(p->s, &sum, (float)factor, &sum, (float)weight, &other);
        factor = 1;
    }
}

static void denoise(void *user, cpl_stream *s, const cpl_tensor *denoised, const cpl_tensor *x, float sigma) {
    pipeline *p = user;
    const cpl_run *run = p->run;
    if (run->turn && run->turn(run->user, p->calls)) fill_vectors(p);
    p->calls++;
    for (int i = 0; i < p->batch; i++) {
        cpl_tensor slot = cpl_tensor_slice(&p->input, i, 1);
        p->timesteps[i] = (float)cpl_sigma_to_t(&p->levels, sigma);
        s->ops->scale_add(s, &slot, (float)cpl_input_scale(sigma), x, 0, NULL);
    }
    cpl_unet_run(run->model->unet, s, &p->output, &p->input, p->timesteps, p->y.data ? &p->y : NULL, p->texts, NULL,
                 NULL);
    guide(p);
    cpl_mix mix = cpl_denoised_mix(p->prediction, sigma);
    cpl_tensor guided = cpl_tensor_slice(&p->output, 0, 1);
    s->ops->scale_add(s, denoised, (float)mix.first, x, (float)mix.second, &guided);
}

static void draw_noise(void *user, cpl_stream *s, const cpl_tensor *noise, float sigma, float sigma_next) {
    pipeline *p = user;
    (void)s, (void)sigma, (void)sigma_next;
    cpl_rng_normal(&p->rng, p->draw, p->count);
    upload_planes(p, noise, p->draw);
}

static uint64_t pool_allocations(const cpl_stream *s) {
    cpl_pool_stats stats;
    cpl_pool_stats_read(s->pool, &stats);
    return stats.allocations;
}

static void replan(pipeline *p, int step) {
    const cpl_run *run = p->run;
    if (run->replan) run->replan(run->user, step, &p->texts[p->guided], p->guided ? &p->texts[0] : NULL);
}

static bool all_finite(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

static void tell_step(pipeline *p, int step, const float *x, const float *denoised) {
    const cpl_run *run = p->run;
    if (denoised && !p->strange_step && !all_finite(denoised, p->count)) p->strange_step = step;
    double now = cpl_now_ms();
    p->step_ms[step - 1] = now - p->last_ms;
    p->last_ms = now;
    if (run->stepped) run->stepped(run->user, step, now - p->start_ms, x, denoised);
}

static bool wants_denoised(const pipeline *p, int step) {
    return p->run->want_denoised > 0 && step % p->run->want_denoised == 0;
}

/* The oldest step that has been ordered and not been told yet. */
static void tell_fetched(pipeline *p) {
    bool wanted = wants_denoised(p, ++p->told);
    p->s->ops->fetched(p->s, wanted ? p->host : NULL);
    if (!cpl_stream_ok(p->s)) return;
    if (wanted) cpl_deinterleave(p->denoised_planes, p->host, p->c, p->cells);
    tell_step(p, p->told, NULL, wanted ? p->denoised_planes : NULL);
}

/* Each step is told once the next one has been ordered: the device always has something to do, and is never more than a step
 * behind what is told. */
static void order_state(pipeline *p, int step, const cpl_tensor *denoised) {
    p->s->ops->fetch(p->s, wants_denoised(p, step) ? denoised : NULL);
    p->ordered = step;
    if (p->ordered - p->told == CPL_MOST_FETCHES) tell_fetched(p);
}

static void stepped(void *user, cpl_stream *s, int step, const cpl_tensor *x, const cpl_tensor *denoised) {
    pipeline *p = user;
    const cpl_run *run = p->run;
    if (step == 1) p->first_allocations = pool_allocations(s);
    if (s->ops->fetch && !run->want_state) {
        order_state(p, step, denoised);
    } else {
        bool wanted = run->want_state || wants_denoised(p, step);
        if (run->want_state) download_planes(p, p->x_planes, x);
        if (wanted) download_planes(p, p->denoised_planes, denoised);
        if (!cpl_stream_ok(s)) return;
        tell_step(p, step, run->want_state ? p->x_planes : NULL, wanted ? p->denoised_planes : NULL);
    }
    if (step < p->steps) replan(p, step);
}

/* After the last step; after a failure what is still under way is nobody's. */
static bool fetch_rest(pipeline *p, bool sampled, cpl_error *error) {
    while (sampled && p->told < p->ordered) tell_fetched(p);
    for (; p->told < p->ordered; p->told++) p->s->ops->fetched(p->s, NULL);
    return cpl_stream_settle(p->s, sampled ? error : NULL) && sampled;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times of the steps; their order is lost. */
static void sum_up_steps(pipeline *p, cpl_run_result *result) {
    int later = p->steps - 1;
    result->sampling_ms = p->last_ms - p->start_ms;
    result->first_step_ms = p->step_ms[0];
    result->step_ms = p->step_ms[0];
    result->step_allocations = pool_allocations(p->s) - p->first_allocations;
    if (later < 1) return;
    qsort(p->step_ms + 1, (size_t)later, sizeof *p->step_ms, compare_doubles);
    result->step_ms = (p->step_ms[1 + (later - 1) / 2] + p->step_ms[1 + later / 2]) / 2;
}

static bool run_pipeline(pipeline *p, cpl_run_result *result, cpl_error *error) {
    const cpl_run *run = p->run;
    cpl_sampler_host host = {.user = p, .denoise = denoise, .noise = draw_noise, .stepped = stepped};
    p->start_ms = p->last_ms = cpl_now_ms();
    if (!make_sigmas(p, error) || !make_host_arrays(p, error)) return false;
    make_start(p);
    make_vectors(p);
    if (!cpl_stream_settle(p->s, error)) return false;
    replan(p, 0);
    bool sampled = cpl_sampler_run(run->sampler, p->s, &p->x, p->sigmas, p->steps, &host, error);
    if (!fetch_rest(p, sampled, error)) return false;
    sum_up_steps(p, result);
    result->latent = cpl_alloc(p->count, sizeof *result->latent, error);
    if (!result->latent) return false;
    download_planes(p, result->latent, &p->x);
    return cpl_stream_settle(p->s, error);
}

/* Clamped, NaN would be a black picture that nobody can tell from a dark one; and a second pass would only make more of it. */
static bool check_latent(const pipeline *p, const float *latent, cpl_error *error) {
    char seen[64] = "";
    if (all_finite(latent, p->count)) return true;
    if (p->strange_step) snprintf(seen, sizeof seen, " (first seen after step %d of %d)", p->strange_step, p->steps);
    return cpl_fail(error, CPL_E_UNSUPPORTED, "the latent came to values that are no finite numbers%s; try %s%s%s",
                    seen, p->run->adapters ? "smaller weights of its LoRAs or none, " : "",
                    p->s->backend->precision != CPL_F32 ? "precision f32, " : "",
                    "a lower cfg, another sampler or another checkpoint");
}

bool cpl_run_sample(const cpl_run *run, bool decode, cpl_run_result *result, cpl_error *error) {
    *result = (cpl_run_result){0};
    if (!check_run(run, error)) return false;
    pipeline *p = open_pipeline(run, error);
    run->stream->adapters = run->adapters;
    bool done = p && run_pipeline(p, result, error) && check_latent(p, result->latent, error);
    if (!done) cpl_error_while(error, "sampling");
    if (done && decode) {
        const cpl_vae_way way = {.pixels = run->vae_pixels, .told = run->decoded, .user = run->user};
        double start_ms = cpl_now_ms();
        cpl_pool_trim(run->stream->pool, CPL_VAE_KEEP);
        result->image01 = cpl_decode_latent(run->model, run->stream, result->latent, p->w, p->h, &way, error);
        result->decode_ms = cpl_now_ms() - start_ms;
        cpl_pool_trim(run->stream->pool, CPL_VAE_KEEP);
        done = result->image01 != NULL;
        if (!done) cpl_error_while(error, "decoding the picture");
    }
    close_pipeline(p);
    run->stream->adapters = NULL;
    if (!done) cpl_run_result_clear(result);
    return done;
}

void cpl_run_result_clear(cpl_run_result *result) {
    free(result->latent);
    free(result->image01);
    *result = (cpl_run_result){0};
}
