/* builtin.c: golden groups of the model inside the program: its own words, its networks, and whole pictures from prompts as
 * text. The prompts and regions come from expected.json, all numbers from expected.safetensors. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/model/builtin.h"
#include "../../core/model/vae_encoder.h"
#include "../../core/sample/pipeline.h"
#include "../../core/sample/planes.h"
#include "fixture.h"

#define LIMIT 1e-4
#define LATENT_LIMIT 5e-3
#define IMAGE_LIMIT 2.5e-3 /* 5e-3 of the decoder's range, which is twice as wide as 0..1 */

typedef struct builtin {
    fixture f;
    cJSON *json;
    cpl_safetensors *st;
} builtin;

static void close_builtin(builtin *b) {
    if (b->f.g) fixture_close(&b->f);
    cpl_safetensors_close(b->st);
    cJSON_Delete(b->json);
}

static bool open_builtin(builtin *b, golden *g) {
    cpl_error error = {0};
    *b = (builtin){.json = golden_json(g, "expected.json"), .st = golden_tensors(g, "expected.safetensors")};
    if (b->json && b->st && fixture_open(&b->f, g)) {
        b->f.model = cpl_model_open(&(cpl_model_source){0}, b->f.backend, NULL, &error);
        if (b->f.model) return true;
        golden_fail(g, "builtin", "%s", error.message);
    }
    close_builtin(b);
    return false;
}

static float *expected_values(const builtin *b, const char *name, const cpl_st_entry **entry) {
    *entry = cpl_safetensors_find(b->st, name);
    return golden_values(b->f.g, b->st, name, NULL);
}

/* Rows of [prompts][length] ids against our own tokenizer's. */
static void compare_ids(const builtin *b, const char *id, const char *text, const float *expected, size_t length) {
    const cpl_tokenizer *tokenizer = b->f.model->tokenizer;
    cpl_chunks chunks = {0};
    cpl_error error = {0};
    if (!cpl_prompt_chunks(tokenizer, NULL, text, (int)length, cpl_tokenizer_end(tokenizer), &chunks, &error)) {
        golden_fail(b->f.g, id, "%s", error.message);
    } else if (chunks.chunks != 1) {
        golden_fail(b->f.g, id, "%d chunks", chunks.chunks);
    } else {
        float *got = calloc(length, sizeof *got);
        for (size_t i = 0; i < length; i++) got[i] = (float)chunks.ids[i];
        golden_compare(b->f.g, id, got, expected, length, 0, 0);
        free(got);
    }
    cpl_chunks_clear(&chunks);
}

static void compare_encoding(const builtin *b, const char *id, const char *text, const float *expected, size_t count) {
    cpl_tensor conditioning = {0};
    cpl_error error = {0};
    if (!cpl_model_encode(b->f.model, b->f.stream, NULL, text, 1, &conditioning, &error)) {
        golden_fail(b->f.g, id, "%s", error.message);
    } else if (cpl_tensor_count(&conditioning) != count) {
        golden_fail(b->f.g, id, "%zu values, not %zu", cpl_tensor_count(&conditioning), count);
    } else {
        float *got = calloc(count, sizeof *got);
        b->f.stream->ops->download(b->f.stream, got, &conditioning);
        golden_compare(b->f.g, id, got, expected, count, LIMIT, 0);
        free(got);
    }
    cpl_tensor_free(&conditioning);
}

static void run_text(golden *g) {
    builtin b;
    if (!open_builtin(&b, g)) return;
    const cpl_st_entry *ids_entry, *ln_entry;
    float *ids = expected_values(&b, "text.input_ids", &ids_entry),
          *ln = expected_values(&b, "text.last_ln", &ln_entry);
    const cJSON *texts = cJSON_GetObjectItemCaseSensitive(b.json, "text");
    for (int i = 0; ids && ln && i < cJSON_GetArraySize(texts); i++) {
        const char *text = cJSON_GetArrayItem(texts, i)->valuestring;
        size_t length = (size_t)ids_entry->shape[1], width = (size_t)ln_entry->shape[2];
        char id[160];
        snprintf(id, sizeof id, "ids of \"%s\"", text);
        compare_ids(&b, id, text, ids + (size_t)i * length, length);
        snprintf(id, sizeof id, "encoding of \"%s\"", text);
        compare_encoding(&b, id, text, ln + (size_t)i * length * width, length * width);
    }
    free(ids);
    free(ln);
    close_builtin(&b);
}

/* Uploads `n` images of planes [c][h][w]. */
static cpl_tensor upload_images(const fixture *f, const float *planes, int n, int h, int w, int c) {
    cpl_tensor x = cpl_make(f->stream, n, h, w, c);
    size_t cells = (size_t)h * (size_t)w, each = cells * (size_t)c;
    float *host = calloc((size_t)n * each, sizeof *host);
    for (int i = 0; i < n; i++) cpl_interleave(host + (size_t)i * each, planes + (size_t)i * each, c, cells);
    f->stream->ops->upload(f->stream, &x, host);
    free(host);
    return x;
}

static void compare_images(const fixture *f, const char *id, const cpl_tensor *got, const float *expected,
                           size_t count) {
    cpl_error error = {0};
    size_t cells = (size_t)got->h * (size_t)got->w, each = cells * (size_t)got->c;
    float *host = calloc(cpl_tensor_count(got) + 1, sizeof *host),
          *planes = calloc(cpl_tensor_count(got) + 1, sizeof *planes);
    f->stream->ops->download(f->stream, host, got);
    for (int i = 0; i < got->n; i++)
        cpl_deinterleave(planes + (size_t)i * each, host + (size_t)i * each, got->c, cells);
    if (!cpl_stream_settle(f->stream, &error))
        golden_fail(f->g, id, "%s", error.message);
    else if (cpl_tensor_count(got) != count)
        golden_fail(f->g, id, "%zu values, not %zu", cpl_tensor_count(got), count);
    else
        golden_compare(f->g, id, planes, expected, count, LIMIT, 0);
    free(planes);
    free(host);
}

/* Runs the UNet on `n` images and compares. */
static void compare_unet(const fixture *f, const char *id, const float *x, const cpl_st_entry *shape, int n,
                         const float *t, const cpl_unet_text *texts, const float *expected) {
    int c = (int)shape->shape[1], h = (int)shape->shape[2], w = (int)shape->shape[3];
    cpl_tensor input = upload_images(f, x, n, h, w, c), eps = cpl_make_like(f->stream, &input);
    cpl_unet_run(f->model->unet, f->stream, &eps, &input, t, NULL, texts, NULL, NULL);
    compare_images(f, id, &eps, expected, (size_t)n * (size_t)(c * h * w));
    cpl_tensor_free(&eps);
    cpl_tensor_free(&input);
}

static void run_unet(golden *g) {
    builtin b;
    if (!open_builtin(&b, g)) return;
    const cpl_st_entry *shape, *context_shape, *entry;
    float *x = expected_values(&b, "unet.x", &shape), *t = expected_values(&b, "unet.timesteps", &entry);
    float *context = expected_values(&b, "unet.context", &context_shape),
          *eps = expected_values(&b, "unet.eps", &entry);
    coupling c;
    cpl_error error = {0};
    if (x && t && context && eps && coupling_open(&c, (int)shape->shape[0])) {
        int tokens = (int)context_shape->shape[1], width = (int)context_shape->shape[2];
        cpl_unet_text *texts = calloc((size_t)c.lines, sizeof *texts);
        for (int i = 0; i < c.lines; i++) {
            c.conditioning[i] = cpl_make(b.f.stream, 1, 1, tokens, width);
            b.f.stream->ops->upload(b.f.stream, &c.conditioning[i], context + (size_t)i * (size_t)(tokens * width));
            texts[i] = (cpl_unet_text){.lines = 1, .kv = &c.pointers[i]};
        }
        if (coupling_keys(&c, &b.f, &error))
            compare_unet(&b.f, "unet.eps", x, shape, c.lines, t, texts, eps);
        else
            golden_fail(g, "unet.eps", "%s", error.message);
        free(texts);
        coupling_close(&c);
    }
    free(x);
    free(t);
    free(context);
    free(eps);
    close_builtin(&b);
}

/* Lines and plans of a list of {"prompt", "mapping"}. */
static bool couple_regions(coupling *c, const fixture *f, const cJSON *regions, int width, int height,
                           cpl_error *error) {
    const cJSON *region;
    int row = 0;
    bool done = true;
    cJSON *mapping = cJSON_CreateArray();
    if (!coupling_open(c, cJSON_GetArraySize(regions))) return false;
    cJSON_ArrayForEach(region, regions) {
        cJSON_AddItemToArray(mapping, cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(region, "mapping"), 1));
        done = done && cpl_model_encode(f->model, f->stream, NULL, golden_string(region, "prompt"), 1,
                                        &c->conditioning[row++], error);
    }
    done = done && coupling_keys(c, f, error) && coupling_plans(c, f, mapping, width, height, error);
    cJSON_Delete(mapping);
    return done;
}

static void run_coupled(golden *g) {
    builtin b;
    if (!open_builtin(&b, g)) return;
    const cpl_st_entry *shape, *entry;
    float *x = expected_values(&b, "unet.x", &shape), *eps = expected_values(&b, "coupled.eps", &entry);
    coupling c = {0};
    cpl_error error = {0};
    if (x && eps) {
        int factor = cpl_vae_factor(b.f.model->vae);
        int width = (int)shape->shape[3] * factor, height = (int)shape->shape[2] * factor;
        const float t = 999; /* as the reference was made */
        if (couple_regions(&c, &b.f, cJSON_GetObjectItemCaseSensitive(b.json, "coupled"), width, height, &error))
            compare_unet(&b.f, "coupled.eps", x, shape, 1, &t, &c.text, eps);
        else
            golden_fail(g, "coupled.eps", "%s", error.message);
    }
    coupling_close(&c);
    free(x);
    free(eps);
    close_builtin(&b);
}

/* The encoder's output holds the mean, then the log variance, which is clamped before use. */
static void compare_moments(const builtin *b, const cpl_tensor *moments, const float *mean, const float *logvar) {
    size_t cells = (size_t)moments->h * (size_t)moments->w, half = cells * (size_t)moments->c / 2;
    float *host = calloc(2 * half, sizeof *host), *planes = calloc(2 * half, sizeof *planes);
    b->f.stream->ops->download(b->f.stream, host, moments);
    cpl_deinterleave(planes, host, moments->c, cells);
    for (size_t i = half; i < 2 * half; i++) planes[i] = fminf(fmaxf(planes[i], -30), 20);
    golden_compare(b->f.g, "vae.encode.mean", planes, mean, half, LIMIT, 0);
    golden_compare(b->f.g, "vae.encode.logvar", planes + half, logvar, half, LIMIT, 0);
    free(planes);
    free(host);
}

static void run_encode(const builtin *b) {
    const cpl_st_entry *shape, *entry;
    cpl_error error = {0};
    float *image = expected_values(b, "vae.encode.image", &shape),
          *mean = expected_values(b, "vae.encode.mean", &entry);
    float *logvar = expected_values(b, "vae.encode.logvar", &entry);
    cpl_checkpoint *weights = cpl_checkpoint_of(cpl_builtin_open(&error), &error);
    cpl_loader l = {.backend = b->f.backend, .weights = weights, .error = &error};
    cpl_vae_encoder *encoder = weights ? cpl_vae_encoder_new(&l, &b->f.model->spec.vae) : NULL;
    if (!encoder) golden_fail(b->f.g, "vae.encode", "%s", error.message);
    if (encoder && image && mean && logvar) {
        cpl_tensor x = upload_images(&b->f, image, 1, (int)shape->shape[2], (int)shape->shape[3], (int)shape->shape[1]);
        cpl_tensor moments = cpl_vae_encode(encoder, b->f.stream, &x, NULL, NULL);
        if (!cpl_stream_settle(b->f.stream, &error))
            golden_fail(b->f.g, "vae.encode", "%s", error.message);
        else if (cpl_tensor_count(&moments) != 2 * (size_t)entry->count)
            golden_fail(b->f.g, "vae.encode", "%zu values", cpl_tensor_count(&moments));
        else
            compare_moments(b, &moments, mean, logvar);
        cpl_tensor_free(&moments);
        cpl_tensor_free(&x);
    }
    if (encoder) cpl_vae_encoder_free(encoder, b->f.backend);
    cpl_checkpoint_close(weights);
    free(image);
    free(mean);
    free(logvar);
}

static void run_vae(golden *g) {
    builtin b;
    if (!open_builtin(&b, g)) return;
    const cpl_st_entry *shape, *entry;
    float *z = expected_values(&b, "vae.z", &shape), *image = expected_values(&b, "vae.image", &entry);
    if (z && image) {
        int n = (int)shape->shape[0], c = (int)shape->shape[1], h = (int)shape->shape[2], w = (int)shape->shape[3];
        cpl_tensor latent = upload_images(&b.f, z, n, h, w, c);
        cpl_tensor decoded = cpl_vae_decode(b.f.model->vae, b.f.stream, &latent, NULL, NULL);
        compare_images(&b.f, "vae.image", &decoded, image, (size_t)entry->count);
        cpl_tensor_free(&decoded);
        cpl_tensor_free(&latent);
    }
    free(z);
    free(image);
    run_encode(&b);
    close_builtin(&b);
}

typedef struct recorder {
    size_t count;
    float *x; /* [steps + 1][count] */
} recorder;

static void record_step(void *user, int step, double ms, const float *x, const float *denoised) {
    recorder *r = user;
    (void)ms, (void)denoised;
    memcpy(r->x + (size_t)step * r->count, x, r->count * sizeof *x);
}

/* Compares every step and the picture of one run, which starts from the seed alone. */
static void compare_run(const builtin *b, const char *key, cpl_run *run, size_t latent_count) {
    const cpl_st_entry *entry;
    char name[2][64];
    snprintf(name[0], sizeof name[0], "%s.x", key);
    snprintf(name[1], sizeof name[1], "%s.image", key);
    float *x = expected_values(b, name[0], &entry), *image = expected_values(b, name[1], &entry);
    size_t pixels = entry ? (size_t)entry->count : 0;
    recorder r = {latent_count, calloc(((size_t)run->steps + 1) * latent_count, sizeof(float))};
    cpl_run_result result;
    cpl_error error = {0};
    run->user = &r;
    run->stepped = record_step;
    run->want_state = true;
    if (!cpl_run_sample(run, true, &result, &error)) {
        golden_fail(b->f.g, key, "%s", error.message);
    } else if (x && image) {
        golden_compare(b->f.g, name[0], r.x + latent_count, x + latent_count, (size_t)run->steps * latent_count,
                       LATENT_LIMIT, 0);
        /* The reference is the decoder's own range. */
        for (size_t i = 0; i < pixels; i++) image[i] = fminf(fmaxf((image[i] + 1) / 2, 0), 1);
        golden_compare(b->f.g, name[1], result.image01, image, pixels, IMAGE_LIMIT, 0);
        cpl_run_result_clear(&result);
    }
    free(r.x);
    free(x);
    free(image);
}

static void run_one_picture(const builtin *b, const cJSON *entry, const char *key, const coupling *empty) {
    const cpl_st_entry *shape;
    char noise[64];
    snprintf(noise, sizeof noise, "%s.noise", key);
    free(expected_values(b, noise, &shape));
    if (!shape) return;
    int factor = cpl_vae_factor(b->f.model->vae), h = (int)shape->shape[2], w = (int)shape->shape[3];
    coupling c = {0};
    cpl_error error = {0};
    if (couple_regions(&c, &b->f, cJSON_GetObjectItemCaseSensitive(entry, "regions"), w * factor, h * factor, &error)) {
        cpl_run run = {.model = b->f.model,
                       .stream = b->f.stream,
                       .width = w * factor,
                       .height = h * factor,
                       .steps = (int)golden_number(entry, "steps"),
                       .cfg = golden_number(entry, "cfg"),
                       .sampler = golden_string(entry, "sampler"),
                       .schedule = golden_string(entry, "schedule"),
                       .seed = (uint64_t)golden_number(entry, "seed"),
                       .positive = c.text,
                       .negative = empty->text};
        compare_run(b, key, &run, (size_t)shape->count);
    } else {
        golden_fail(b->f.g, key, "%s", error.message);
    }
    coupling_close(&c);
}

static void run_e2e(golden *g) {
    builtin b;
    if (!open_builtin(&b, g)) return;
    const cJSON *runs = cJSON_GetObjectItemCaseSensitive(b.json, "e2e");
    coupling empty = {0};
    cpl_error error = {0};
    if (coupling_open(&empty, 1) &&
        cpl_model_encode(b.f.model, b.f.stream, NULL, "", 1, &empty.conditioning[0], &error) &&
        coupling_keys(&empty, &b.f, &error)) {
        for (int i = 0; i < cJSON_GetArraySize(runs); i++) {
            char key[32];
            snprintf(key, sizeof key, "e2e%d", i);
            run_one_picture(&b, cJSON_GetArrayItem(runs, i), key, &empty);
        }
    } else {
        golden_fail(g, "the empty prompt", "%s", error.message);
    }
    coupling_close(&empty);
    close_builtin(&b);
}

const golden_group golden_builtin_groups[] = {
    {"expected.json/text", run_text, NULL},       {"expected.json/unet", run_unet, NULL},
    {"expected.json/coupled", run_coupled, NULL}, {"expected.json/vae", run_vae, NULL},
    {"expected.json/e2e", run_e2e, NULL},         {NULL, NULL, NULL},
};
