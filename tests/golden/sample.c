/* sample.c: golden groups of noise schedules, samplers and random numbers (samplers.json, samplers.safetensors). The
 * samplers walk a toy denoiser whose formula stands in the file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/model/safetensors.h"
#include "../../core/sample/img2img.h"
#include "../../core/sample/planes.h"
#include "../../core/sample/predict.h"
#include "../../core/sample/rng.h"
#include "../../core/sample/sampler.h"
#include "../../core/sample/schedule.h"
#include "e2e.h"
#include "fixture.h"

/* The noise levels of all data here: FORMAT.md section 7. */
static const cpl_noise_levels *sd_levels(void) {
    static cpl_noise_levels levels;
    if (levels.count == 0) cpl_noise_levels_init(&levels, 0.00085, 0.012, 1000, false, NULL);
    return &levels;
}

static const cJSON *section(const cJSON *json, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static void narrow(float *out, const double *in, int count) {
    for (int i = 0; i < count; i++) out[i] = (float)in[i];
}

static void run_discrete(golden *g) {
    const cpl_noise_levels *levels = sd_levels();
    cpl_safetensors *st = golden_tensors(g, "samplers.safetensors");
    cJSON *json = golden_json(g, "samplers.json");
    static const char *const names[] = {"discrete.sigmas", "discrete.alphas_cumprod"};
    const double *const values[] = {levels->sigma, levels->alpha_cumprod};
    float got[CPL_MAX_TRAIN_STEPS];
    for (int i = 0; st && i < 2; i++) {
        size_t count;
        float *expected = golden_values(g, st, names[i], &count);
        narrow(got, values[i], levels->count);
        if (expected && count == (size_t)levels->count) golden_compare(g, names[i], got, expected, count, 0, 1e-6);
        free(expected);
    }
    size_t count;
    const cJSON *discrete = section(json, "discrete");
    float *indexes = golden_list(section(discrete, "indexes"), &count),
          *logs = golden_list(section(discrete, "log_sigmas"), &count);
    for (size_t i = 0; i < count; i++) got[i] = (float)levels->log_sigma[(int)indexes[i]];
    golden_compare(g, "log_sigmas", got, logs, count, 1e-7, 1e-6);
    free(indexes);
    free(logs);
    cJSON_Delete(json);
    cpl_safetensors_close(st);
}

static void run_t_to_sigma(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *part = section(json, "t_to_sigma");
    size_t count, other;
    float *t = golden_list(section(part, "t"), &count), *expected = golden_list(section(part, "sigma"), &other);
    for (size_t i = 0; i < count && i < other; i++) {
        char id[32];
        float got = (float)cpl_t_to_sigma(sd_levels(), t[i]);
        snprintf(id, sizeof id, "t %g", t[i]);
        golden_compare(g, id, &got, &expected[i], 1, 0, 1e-6);
    }
    free(t);
    free(expected);
    cJSON_Delete(json);
}

static void run_sigma_to_t(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *part = section(json, "sigma_to_t");
    size_t count, other;
    float *sigma = golden_list(section(part, "sigma"), &count), *expected = golden_list(section(part, "t"), &other);
    for (size_t i = 0; i < count && i < other; i++) {
        char id[32];
        int got = cpl_sigma_to_t(sd_levels(), sigma[i]);
        snprintf(id, sizeof id, "sigma %g", sigma[i]);
        if (got == (int)expected[i])
            golden_pass(g, id);
        else
            golden_fail(g, id, "time step %d, not %g", got, expected[i]);
    }
    free(sigma);
    free(expected);
    cJSON_Delete(json);
}

static void run_schedules(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, section(json, "schedules")) {
        const char *label = golden_string(entry, "label"), *name = golden_schedule_name(label);
        int asked = (int)golden_number(entry, "steps");
        cpl_noise_levels levels = *sd_levels();
        char id[96];
        levels.of_sdxl = cJSON_IsTrue(section(entry, "sdxl"));
        snprintf(id, sizeof id, "%s %d%s", label, asked, levels.of_sdxl ? " sdxl" : "");
        if (!name) {
            golden_fail(g, id, "this schedule is not built in");
            continue;
        }
        int steps = cpl_schedule_steps(name, levels.count, asked);
        size_t count;
        cpl_error error = {0};
        float *expected = golden_list(section(entry, "sigmas"), &count), *got = calloc((size_t)steps + 1, sizeof *got);
        if (count != (size_t)steps + 1)
            golden_fail(g, id, "%d steps, the reference has %zu sigmas", steps, count);
        else if (!cpl_schedule_make(name, &levels, asked, got, &error))
            golden_fail(g, id, "%s", error.message);
        else
            golden_compare(g, id, got, expected, count, 0, 2e-5);
        free(expected);
        free(got);
    }
    cJSON_Delete(json);
}

/* The toy denoiser, recorded noise, and what came out. */
typedef struct toy {
    int c;              /* channels; images are [c][h][w] */
    size_t count;       /* values of one latent */
    double factor;      /* c of the formula */
    const float *f;     /* [count], in planes */
    const float *noise; /* one [count] after the other */
    size_t noises, noise_used;
    float *host, *planes, *x; /* x: [steps + 1][count] */
} toy;

static void toy_denoise(void *user, cpl_stream *s, const cpl_tensor *denoised, const cpl_tensor *x, float sigma) {
    toy *t = user;
    size_t cells = t->count / (size_t)t->c;
    double variance = (double)sigma * sigma;
    s->ops->download(s, t->host, x);
    cpl_deinterleave(t->planes, t->host, t->c, cells);
    for (size_t i = 0; i < t->count; i++)
        t->planes[i] = (float)((t->factor * t->planes[i] + variance * t->f[i]) / (t->factor + variance));
    cpl_interleave(t->host, t->planes, t->c, cells);
    s->ops->upload(s, denoised, t->host);
}

static void toy_noise(void *user, cpl_stream *s, const cpl_tensor *noise, float sigma, float sigma_next) {
    toy *t = user;
    (void)sigma, (void)sigma_next;
    if (t->noise_used >= t->noises) {
        cpl_stream_fail(s, CPL_E_INPUT, "more noise was drawn than the %zu tensors recorded", t->noises);
        return;
    }
    cpl_interleave(t->host, t->noise + t->noise_used++ * t->count, t->c, t->count / (size_t)t->c);
    s->ops->upload(s, noise, t->host);
}

static void toy_stepped(void *user, cpl_stream *s, int step, const cpl_tensor *x, const cpl_tensor *denoised) {
    toy *t = user;
    (void)denoised;
    s->ops->download(s, t->host, x);
    cpl_deinterleave(t->x + (size_t)step * t->count, t->host, t->c, t->count / (size_t)t->c);
}

static void walk_toy(const fixture *f, const char *id, const char *sampler, toy *t, const float *sigmas, int steps,
                     const float *expected) {
    cpl_stream *s = f->stream;
    cpl_error error = {0};
    cpl_sampler_host host = {.user = t, .denoise = toy_denoise, .noise = toy_noise, .stepped = toy_stepped};
    /* Rows and columns mean nothing to a sampler. */
    cpl_tensor x = cpl_make(s, 1, 1, (int)(t->count / (size_t)t->c), t->c);
    memcpy(t->x, expected, t->count * sizeof *t->x);
    cpl_interleave(t->host, expected, t->c, t->count / (size_t)t->c);
    s->ops->upload(s, &x, t->host);
    if (!cpl_sampler_run(sampler, s, &x, sigmas, steps, &host, &error))
        golden_fail(f->g, id, "%s", error.message);
    else if (t->noise_used != t->noises)
        golden_fail(f->g, id, "%zu of %zu noise tensors were used", t->noise_used, t->noises);
    else
        golden_compare(f->g, id, t->x, expected, ((size_t)steps + 1) * t->count, 1e-4, 1e-4);
    cpl_tensor_free(&x);
}

static float *run_values(golden *g, const cpl_safetensors *st, const char *key, const char *part, size_t *count) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", key, part);
    return golden_values(g, st, name, count);
}

/* All that a sampler is given here: the start, the levels and the values that it should pass through, the start's first. */
typedef struct walk_case {
    float *x, *sigmas;
    int steps;
} walk_case;

static void clear_case(walk_case *c) {
    free(c->x);
    free(c->sigmas);
}

/* The runs of DDIM's kind have the start apart, and the time steps in place of sigmas; the sampler finds both by itself. */
static bool read_ddim_case(golden *g, const cpl_safetensors *st, const char *key, const char *sampler, int asked,
                           walk_case *c) {
    size_t start_count, later_count, timestep_count;
    float *start = run_values(g, st, key, "x0", &start_count), *later = run_values(g, st, key, "x", &later_count);
    float *timesteps = run_values(g, st, key, "timesteps", &timestep_count);
    cpl_error error = {0};
    bool done = start && later && timesteps;
    if (done) {
        c->sigmas = cpl_sampler_sigmas(sampler, "normal", sd_levels(), asked, &c->steps, &error);
        c->x = calloc(start_count + later_count, sizeof *c->x);
        memcpy(c->x, start, start_count * sizeof *start);
        memcpy(c->x + start_count, later, later_count * sizeof *later);
        done = c->sigmas && timestep_count == (size_t)c->steps + 1 && later_count == start_count * (size_t)c->steps;
        for (int i = 0; done && i <= c->steps; i++)
            done = c->sigmas[i] == (float)sd_levels()->sigma[(int)timesteps[c->steps - i]];
        if (!done) golden_fail(g, key, "the time steps are others: %d of them", c->steps + 1);
    }
    free(timesteps);
    free(later);
    free(start);
    return done;
}

static bool read_case(golden *g, const cpl_safetensors *st, const char *key, walk_case *c) {
    size_t count, sigma_count;
    c->x = run_values(g, st, key, "x", &count);
    c->sigmas = run_values(g, st, key, "sigmas", &sigma_count);
    c->steps = (int)sigma_count - 1;
    return c->x && c->sigmas && c->steps > 0;
}

static void run_one_walk(const fixture *f, const cpl_safetensors *st, const cJSON *json, const cJSON *entry,
                         const char *sampler) {
    const char *key = golden_string(entry, "key");
    size_t noise_count = 0;
    toy t = {.c = 4, .factor = golden_number(section(json, "toy"), "c")};
    float *target = golden_values(f->g, st, "toy.F", &t.count), *noise = NULL;
    walk_case c = {0};
    bool own_levels = section(entry, "executed_steps") != NULL;
    bool read = own_levels ? read_ddim_case(f->g, st, key, sampler, (int)golden_number(entry, "steps"), &c)
                           : read_case(f->g, st, key, &c);
    if (cJSON_GetArraySize(section(entry, "noise_calls")) > 0 || golden_number(section(entry, "options"), "eta") > 0)
        noise = run_values(f->g, st, key, "noise", &noise_count);
    if (target && read) {
        t.f = target;
        t.noise = noise;
        t.noises = noise_count / t.count;
        t.host = calloc(t.count, sizeof *t.host);
        t.planes = calloc(t.count, sizeof *t.planes);
        t.x = calloc(((size_t)c.steps + 1) * t.count, sizeof *t.x);
        walk_toy(f, key, sampler, &t, c.sigmas, c.steps, c.x);
        free(t.host);
        free(t.planes);
        free(t.x);
    }
    free(noise);
    clear_case(&c);
    free(target);
}

/* The reference's options are rows of their own here. */
static const char *sampler_of(const cJSON *entry) {
    const cJSON *options = section(entry, "options");
    const char *name = golden_sampler_name(golden_string(entry, "sampler"));
    if (name && strcmp(golden_string(options, "solver_type"), "heun") == 0) return "dpmpp_2m_sde_heun";
    if (name && section(options, "eta") && golden_number(options, "eta") == 1) return "ddpm";
    return name;
}

static void run_walks(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    cpl_safetensors *st = golden_tensors(g, "samplers.safetensors");
    fixture f;
    if (json && st && fixture_open(&f, g)) {
        const cJSON *entry;
        cJSON_ArrayForEach(entry, section(json, "runs")) {
            const char *sampler = sampler_of(entry);
            if (sampler)
                run_one_walk(&f, st, json, entry, sampler);
            else
                golden_fail(g, golden_string(entry, "key"), "this sampler is not built in");
        }
        fixture_close(&f);
    }
    cpl_safetensors_close(st);
    cJSON_Delete(json);
}

static void run_ancestral_step(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, section(json, "ancestral_step")) {
        double from = golden_number(entry, "from"), to = golden_number(entry, "to"), eta = golden_number(entry, "eta");
        double down, up;
        char id[96];
        cpl_ancestral_step(from, to, eta, &down, &up);
        float got[2] = {(float)down, (float)up};
        float expected[2] = {(float)golden_number(entry, "down"), (float)golden_number(entry, "up")};
        snprintf(id, sizeof id, "%g to %g, eta %g", from, to, eta);
        golden_compare(g, id, got, expected, 2, 1e-6, 1e-5);
    }
    cJSON_Delete(json);
}

/* Compares first * a + second * b with what is expected. */
static void compare_mix(golden *g, const char *id, cpl_mix mix, const cJSON *a, const cJSON *b, const cJSON *expected) {
    size_t count, count_b, count_expected;
    float *va = golden_list(a, &count), *vb = golden_list(b, &count_b), *want = golden_list(expected, &count_expected);
    if (count == 0 || count != count_expected || (b && count != count_b)) {
        golden_fail(g, id, "lists of %zu, %zu and %zu values", count, count_b, count_expected);
    } else {
        for (size_t i = 0; i < count; i++) va[i] = (float)(mix.first * va[i] + (b ? mix.second * vb[i] : 0));
        golden_compare(g, id, va, want, count, 1e-5, 1e-5);
    }
    free(va);
    free(vb);
    free(want);
}

static void run_prediction(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, section(json, "prediction")) {
        const char *kind = golden_string(entry, "prediction");
        double sigma = golden_number(entry, "sigma");
        cpl_prediction prediction = strcmp(kind, "epsilon") == 0 ? CPL_PREDICT_EPSILON : CPL_PREDICT_V;
        char id[96];
        snprintf(id, sizeof id, "%s input %g", kind, sigma);
        compare_mix(g, id, (cpl_mix){cpl_input_scale(sigma), 0}, section(entry, "x"), NULL,
                    section(entry, "model_input"));
        snprintf(id, sizeof id, "%s denoised %g", kind, sigma);
        compare_mix(g, id, cpl_denoised_mix(prediction, sigma), section(entry, "x"), section(entry, "model_output"),
                    section(entry, "denoised"));
    }
    cJSON_Delete(json);
}

static void run_noise_scaling(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, section(json, "noise_scaling")) {
        bool full = cJSON_IsTrue(section(entry, "max_denoise"));
        double sigma = golden_number(entry, "sigma");
        char id[96];
        snprintf(id, sizeof id, "sigma %g%s", sigma, full ? " max_denoise" : "");
        compare_mix(g, id, (cpl_mix){cpl_noise_scale(sigma, full), 1}, section(entry, "noise"),
                    section(entry, "latent"), section(entry, "x"));
    }
    cJSON_Delete(json);
}

static void run_cfg(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, section(json, "cfg")) {
        double scale = golden_number(entry, "scale");
        char id[96];
        snprintf(id, sizeof id, "scale %g", scale);
        compare_mix(g, id, cpl_guidance_mix(scale), section(entry, "uncond_denoised"), section(entry, "cond_denoised"),
                    section(entry, "result"));
    }
    cJSON_Delete(json);
}

/* What part of which draw a tensor name's last word means. */
static const struct draw_part {
    const char *suffix;
    int call; /* from 0 */
    bool from_end;
} draw_parts[] = {{"", 0, false},        {"second", 1, false}, {"third", 2, false}, {"third_first16", 2, false},
                  {"first64", 0, false}, {"last64", 0, true}};

static const struct draw_part *find_part(const char *suffix) {
    for (size_t i = 0; i < sizeof draw_parts / sizeof *draw_parts; i++)
        if (strcmp(draw_parts[i].suffix, suffix) == 0) return &draw_parts[i];
    return NULL;
}

/* "1x4x8x8" as a product; *end is left behind it. */
static size_t shape_count(const char *shape, const char **end) {
    size_t count = 1;
    for (;;) {
        char *after;
        count *= strtoul(shape, &after, 10);
        *end = after;
        if (after == shape || *after != 'x') return count;
        shape = after + 1;
    }
}

/* name: rng.GENERATOR.SEED.SHAPE, and a part of it. */
static void run_one_draw(golden *g, const cpl_safetensors *st, const char *name, const char *generator) {
    char *after;
    const char *end;
    unsigned long long seed = strtoull(name + strlen("rng.") + strlen(generator) + 1, &after, 10);
    size_t count = *after == '.' ? shape_count(after + 1, &end) : 0, expected_count;
    const struct draw_part *part = count ? find_part(*end == '.' ? end + 1 : end) : NULL;
    if (!part) {
        golden_fail(g, name, "this name does not say which draw it holds");
        return;
    }
    float *expected = golden_values(g, st, name, &expected_count), *got = calloc(count, sizeof *got);
    cpl_rng rng;
    cpl_rng_open(&rng, generator, seed, NULL);
    for (int i = 0; i <= part->call; i++) cpl_rng_normal(&rng, got, count);
    if (expected && expected_count <= count)
        golden_compare(g, name, got + (part->from_end ? count - expected_count : 0), expected, expected_count,
                       strcmp(generator, "nv") ? 1e-6 : 0, 0);
    else if (expected)
        golden_fail(g, name, "%zu values of a draw of %zu", expected_count, count);
    free(got);
    free(expected);
}

static void run_rng(golden *g) {
    cpl_safetensors *st = golden_tensors(g, "samplers.safetensors");
    for (int i = 0; st && i < cpl_safetensors_count(st); i++) {
        const char *name = cpl_safetensors_at(st, i)->name;
        for (const char *const *generator = cpl_rng_names(); *generator; generator++) {
            char begin[32];
            snprintf(begin, sizeof begin, "rng.%s.", *generator);
            if (strncmp(name, begin, strlen(begin)) == 0) run_one_draw(g, st, name, *generator);
        }
    }
    cpl_safetensors_close(st);
}

static void run_img2img_steps(golden *g) {
    cJSON *json = golden_json(g, "samplers.json");
    const cJSON *one;
    int index = 0;
    cJSON_ArrayForEach(one, section(json, "img2img_steps")) {
        char name[64];
        int steps = section(one, "steps")->valueint, total, taken;
        double denoise = section(one, "denoising_strength")->valuedouble;
        bool fix_steps = cJSON_IsTrue(section(one, "fix_steps"));
        snprintf(name, sizeof name, "%d: %d steps at %g%s", index++, steps, denoise, fix_steps ? ", fixed" : "");
        cpl_img2img_steps(steps, denoise, fix_steps, &total, &taken);
        if (total == section(one, "total_steps")->valueint && taken == section(one, "t_enc")->valueint + 1)
            golden_pass(g, name);
        else
            golden_fail(g, name, "%d of %d steps", taken, total);
    }
    cJSON_Delete(json);
}

const golden_group golden_sample_groups[] = {
    {"samplers.json/discrete", run_discrete, NULL},
    {"samplers.json/t_to_sigma", run_t_to_sigma, NULL},
    {"samplers.json/sigma_to_t", run_sigma_to_t, NULL},
    {"samplers.json/schedules", run_schedules, NULL},
    {"samplers.json/runs", run_walks, NULL},
    {"samplers.json/ancestral_step", run_ancestral_step, NULL},
    {"samplers.json/prediction", run_prediction, NULL},
    {"samplers.json/noise_scaling", run_noise_scaling, NULL},
    {"samplers.json/cfg", run_cfg, NULL},
    {"samplers.json/rng", run_rng, NULL},
    {"samplers.json/img2img_steps", run_img2img_steps, NULL},
    {"sd1_tiny_e2e_expected.safetensors/e2e", golden_run_sd1_e2e, NULL},
    {"sdxl_tiny_e2e_expected.safetensors/e2e", golden_run_sdxl_e2e, NULL},
    {NULL, NULL, NULL},
};
