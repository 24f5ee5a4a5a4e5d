/* e2e.c: golden group from recorded token ids to the picture, on the tiny checkpoints: conditionings, vectors, start
 * noise and whole runs, each step of them. Runs, prompts, sizes and mapping come from the file's `info`. */
#include "e2e.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/sample/pipeline.h"
#include "../../core/sample/rng.h"
#include "fixture.h"

#define COND_LIMIT 1e-4
#define VECTOR_LIMIT 2e-4
#define LATENT_LIMIT 2e-3
#define IMAGE_LIMIT 1e-3

typedef struct e2e {
    fixture f;
    const cpl_safetensors *st; /* the expectations */
    const cJSON *info;
    coupling positive, negative;
    cpl_tensor base_pooled, uncond_pooled; /* of a model with a vector beside the context */
    int width, height;
    size_t count; /* values of a latent */
} e2e;

static float *expected_values(const e2e *e, const char *key, const char *part, size_t *count) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", key, part);
    return golden_values(e->f.g, e->st, name, count);
}

static void compare_part(const e2e *e, const char *key, const char *part, const float *got, size_t got_count,
                         double limit, double relative) {
    char id[96];
    size_t count;
    float *expected = expected_values(e, key, part, &count);
    snprintf(id, sizeof id, "%s.%s", key, part);
    if (expected && count != got_count)
        golden_fail(e->f.g, id, "%zu values, not %zu", got_count, count);
    else if (expected)
        golden_compare(e->f.g, id, got, expected, count, limit, relative);
    free(expected);
}

static bool fill_chunks(const cJSON *tokens, cpl_chunks *chunks) {
    const cJSON *ids = cJSON_GetObjectItemCaseSensitive(tokens, "clip_l");
    const cJSON *multipliers = cJSON_GetObjectItemCaseSensitive(tokens, "multipliers");
    *chunks = (cpl_chunks){.chunks = cJSON_GetArraySize(ids), .length = cJSON_GetArraySize(cJSON_GetArrayItem(ids, 0))};
    size_t count = (size_t)chunks->chunks * (size_t)chunks->length;
    chunks->ids = calloc(count + 1, sizeof *chunks->ids);
    chunks->multipliers = calloc(count + 1, sizeof *chunks->multipliers);
    for (size_t i = 0; chunks->ids && chunks->multipliers && i < count; i++) {
        int chunk = (int)(i / (size_t)chunks->length), at = (int)(i % (size_t)chunks->length);
        chunks->ids[i] = cJSON_GetArrayItem(cJSON_GetArrayItem(ids, chunk), at)->valueint;
        chunks->multipliers[i] = (float)cJSON_GetArrayItem(cJSON_GetArrayItem(multipliers, chunk), at)->valuedouble;
    }
    return count > 0 && chunks->ids && chunks->multipliers;
}

/* Encodes a prompt of the file and compares; the tensor stays with the caller. */
static void encode_prompt(e2e *e, const char *prompt, cpl_tensor *conditioning) {
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(e->info, "tokens"), prompt);
    cpl_chunks chunks = {0};
    cpl_error error = {0};
    char id[64];
    snprintf(id, sizeof id, "cond.%s", prompt);
    if (!fill_chunks(tokens, &chunks) ||
        !cpl_model_encode_chunks(e->f.model, e->f.stream, NULL, &chunks, 1, conditioning, &error)) {
        golden_fail(e->f.g, id, "%s", error.message);
    } else {
        size_t count = cpl_tensor_count(conditioning);
        float *got = calloc(count, sizeof *got);
        e->f.stream->ops->download(e->f.stream, got, conditioning);
        compare_part(e, "cond", prompt, got, count, COND_LIMIT, 0);
        free(got);
    }
    cpl_chunks_clear(&chunks);
}

/* The vector that a prompt stands for, whole: "vector.base". The pooled part stays with the caller. */
static void pool_prompt(e2e *e, const char *prompt, cpl_tensor *pooled) {
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(e->info, "tokens"), prompt);
    cpl_stream *s = e->f.stream;
    cpl_chunks chunks = {0};
    cpl_error error = {0};
    int width = e->f.model->spec.unet.adm_in_channels;
    float *got = calloc((size_t)width, sizeof *got);
    if (!fill_chunks(tokens, &chunks) || !cpl_model_pool_chunks(e->f.model, s, NULL, &chunks, pooled, &error)) {
        golden_fail(e->f.g, prompt, "%s", error.message);
    } else {
        cpl_tensor y = cpl_make_as(s, CPL_F32, 1, 1, 1, width);
        cpl_model_vector(e->f.model, s, &y, pooled, e->width, e->height);
        s->ops->download(s, got, &y);
        cpl_tensor_free(&y);
        compare_part(e, "vector", prompt, got, (size_t)width, VECTOR_LIMIT, 0);
    }
    cpl_chunks_clear(&chunks);
    free(got);
}

/* "region1", "region2", ... are the lines; "base" lies below them with a mask of zero and is only encoded. */
static bool encode_all(e2e *e) {
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(e->info, "tokens"), *entry;
    cJSON_ArrayForEach(entry, tokens) {
        int region = 0;
        cpl_tensor unused = {0}, *conditioning = &unused;
        if (sscanf(entry->string, "region%d", &region) == 1 && region >= 1 && region <= e->positive.lines)
            conditioning = &e->positive.conditioning[region - 1];
        if (strcmp(entry->string, "uncond") == 0) conditioning = &e->negative.conditioning[0];
        encode_prompt(e, entry->string, conditioning);
        cpl_tensor_free(&unused);
    }
    if (e->f.model->spec.unet.adm_in_channels) {
        pool_prompt(e, "base", &e->base_pooled);
        pool_prompt(e, "uncond", &e->uncond_pooled);
    }
    for (int i = 0; i < e->positive.lines; i++)
        if (!e->positive.conditioning[i].data) return false;
    return e->negative.conditioning[0].data != NULL;
}

typedef struct recorder {
    size_t count;
    float *x, *denoised; /* [steps + 1][count], [steps][count] */
} recorder;

static void record_step(void *user, int step, double ms, const float *x, const float *denoised) {
    recorder *r = user;
    (void)ms;
    memcpy(r->x + (size_t)step * r->count, x, r->count * sizeof *x);
    memcpy(r->denoised + ((size_t)step - 1) * r->count, denoised, r->count * sizeof *denoised);
}

static bool has_part(const e2e *e, const char *key, const char *part) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", key, part);
    return cpl_safetensors_find(e->st, name) != NULL;
}

static void compare_u8(const e2e *e, const char *key, const float *planes) {
    size_t count;
    float *expected = expected_values(e, key, "image_u8", &count), *got = calloc(count + 1, sizeof *got);
    cpl_image *image = cpl_image_from_planes(planes, e->width, e->height, NULL);
    char id[96];
    snprintf(id, sizeof id, "%s.image_u8", key);
    if (image && expected && count == (size_t)e->width * (size_t)e->height * 3) {
        for (size_t i = 0; i < count; i++) got[i] = image->rgb[i];
        golden_compare(e->f.g, id, got, expected, count, 1, 0);
    } else {
        golden_fail(e->f.g, id, "no picture of %zu values", count);
    }
    cpl_image_free(image);
    free(expected);
    free(got);
}

static void compare_run(e2e *e, const char *key, cpl_run *run) {
    recorder r = {.count = e->count};
    cpl_run_result result;
    cpl_error error = {0};
    size_t noise_count;
    float *noise = golden_values(e->f.g, e->st, "noise", &noise_count);
    r.x = calloc(((size_t)run->steps + 1) * r.count, sizeof *r.x);
    r.denoised = calloc((size_t)run->steps * r.count, sizeof *r.denoised);
    run->user = &r;
    run->stepped = record_step;
    run->want_state = true;
    if (!cpl_run_sample(run, true, &result, &error)) {
        golden_fail(e->f.g, key, "%s", error.message);
    } else {
        for (size_t i = 0; noise && noise_count == r.count && i < r.count; i++) r.x[i] = noise[i] * run->sigmas[0];
        compare_part(e, key, "x", r.x, ((size_t)run->steps + 1) * r.count, LATENT_LIMIT, 0);
        compare_part(e, key, "latent", result.latent, r.count, LATENT_LIMIT, 0);
        if (has_part(e, key, "denoised"))
            compare_part(e, key, "denoised", r.denoised, (size_t)run->steps * r.count, LATENT_LIMIT, 0);
        size_t pixels = (size_t)e->width * (size_t)e->height * 3;
        if (has_part(e, key, "image01")) compare_part(e, key, "image01", result.image01, pixels, IMAGE_LIMIT, 0);
        if (has_part(e, key, "image_u8")) compare_u8(e, key, result.image01);
        cpl_run_result_clear(&result);
    }
    free(r.denoised);
    free(r.x);
    free(noise);
}

/* From the seed alone: our noise, our schedule, our sampler. */
static void run_recorded(e2e *e, const cJSON *entry) {
    const char *key = entry->string;
    const char *sampler = golden_sampler_name(key), *schedule = golden_schedule_name(golden_string(entry, "schedule"));
    const cpl_model_spec *spec = &e->f.model->spec;
    int steps = (int)golden_number(entry, "steps");
    if (!sampler || !schedule) {
        golden_skip(e->f.g, key, "this sampler or schedule is not built in");
        return;
    }
    cpl_noise_levels levels;
    float *sigmas = calloc((size_t)steps + 1, sizeof *sigmas);
    cpl_noise_levels_init(&levels, spec->beta_start, spec->beta_end, spec->train_timesteps, spec->zero_terminal_snr,
                          NULL);
    cpl_schedule_make(schedule, &levels, steps, sigmas, NULL);
    compare_part(e, key, "sigmas", sigmas, (size_t)steps + 1, 0, 2e-5);
    cpl_run run = {.model = e->f.model,
                   .stream = e->f.stream,
                   .width = e->width,
                   .height = e->height,
                   .steps = steps,
                   .cfg = golden_number(e->info, "cfg_scale"),
                   .sampler = sampler,
                   .schedule = schedule,
                   .sigmas = sigmas,
                   .seed = (uint64_t)golden_number(e->info, "seed"),
                   .positive = e->positive.text,
                   .negative = e->negative.text,
                   .positive_pooled = e->base_pooled.data ? &e->base_pooled : NULL,
                   .negative_pooled = e->uncond_pooled.data ? &e->uncond_pooled : NULL};
    compare_run(e, key, &run);
    free(sigmas);
}

static void compare_noise(const e2e *e) {
    cpl_rng rng;
    float *got = calloc(e->count, sizeof *got);
    size_t count;
    float *expected = golden_values(e->f.g, e->st, "noise", &count);
    cpl_rng_seed(&rng, (uint64_t)golden_number(e->info, "seed"));
    cpl_rng_normal(&rng, got, e->count);
    if (expected && count == e->count)
        golden_compare(e->f.g, "noise", got, expected, count, 1e-6, 0);
    else
        golden_fail(e->f.g, "noise", "%zu values, not %zu", count, e->count);
    free(expected);
    free(got);
}

static bool open_model(e2e *e, const char *name) {
    cpl_error error = {0};
    cpl_checkpoint *weights = cpl_checkpoint_of(golden_tensors(e->f.g, name), &error);
    e->f.model = weights ? cpl_model_from(weights, NULL, e->f.backend, NULL, &error) : NULL;
    if (weights && !e->f.model) golden_fail(e->f.g, name, "%s", error.message);
    cpl_checkpoint_close(weights);
    return e->f.model != NULL;
}

static void run_all(e2e *e) {
    const cJSON *mapping = cJSON_GetObjectItemCaseSensitive(e->info, "mapping_x1_x2_y1_y2_weight"), *entry;
    cpl_error error = {0};
    e->width = (int)golden_number(e->info, "width");
    e->height = (int)golden_number(e->info, "height");
    int factor = cpl_vae_factor(e->f.model->vae);
    e->count = (size_t)(e->width / factor) * (size_t)(e->height / factor) * (size_t)e->f.model->spec.unet.in_channels;
    compare_noise(e);
    if (coupling_open(&e->positive, cJSON_GetArraySize(mapping)) && coupling_open(&e->negative, 1) && encode_all(e)) {
        if (coupling_keys(&e->positive, &e->f, &error) && coupling_keys(&e->negative, &e->f, &error) &&
            coupling_plans(&e->positive, &e->f, mapping, e->width, e->height, &error)) {
            cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(e->info, "runs")) run_recorded(e, entry);
        } else {
            golden_fail(e->f.g, "plans", "%s", error.message);
        }
    }
    cpl_tensor_free(&e->base_pooled);
    cpl_tensor_free(&e->uncond_pooled);
    coupling_close(&e->positive);
    coupling_close(&e->negative);
}

static void run_file(golden *g, const char *expected, const char *model) {
    e2e e = {0};
    cpl_safetensors *st = golden_tensors(g, expected);
    const char *text = st ? cpl_safetensors_metadata(st, "info") : NULL;
    cJSON *info = text ? cJSON_Parse(text) : NULL;
    if (!info) {
        if (st) golden_fail(g, "info", "the file's metadata has no JSON text \"info\"");
    } else if (fixture_open(&e.f, g)) {
        e.st = st;
        e.info = info;
        if (open_model(&e, model)) run_all(&e);
        fixture_close(&e.f);
    }
    cJSON_Delete(info);
    cpl_safetensors_close(st);
}

void golden_run_sd1_e2e(golden *g) { run_file(g, "sd1_tiny_e2e_expected.safetensors", "sd1_tiny.safetensors"); }
void golden_run_sdxl_e2e(golden *g) { run_file(g, "sdxl_tiny_e2e_expected.safetensors", "sdxl_tiny.safetensors"); }
