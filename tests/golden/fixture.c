/* fixture.c: the machinery around golden cases that run the engine. No expectation stands here. */
#include "fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool fixture_open(fixture *f, golden *g) {
    cpl_error error = {0};
    *f = (fixture){.g = g};
    f->backend = golden_backend(&error);
    f->stream = f->backend ? f->backend->ops->stream_open(f->backend, &error) : NULL;
    if (f->stream) return true;
    golden_fail(g, "backend", "%s", error.message);
    fixture_close(f);
    return false;
}

void fixture_close(fixture *f) {
    if (f->stream) f->stream->ops->stream_close(f->stream);
    cpl_model_close(f->model);
    if (f->backend) f->backend->ops->close(f->backend);
}

float *golden_values(golden *g, const cpl_safetensors *st, const char *name, size_t *count) {
    cpl_error error = {0};
    const cpl_st_entry *entry = cpl_safetensors_find(st, name);
    float *values = entry ? cpl_safetensors_f32(st, entry, &error) : NULL;
    if (!values) golden_fail(g, name, "%s", entry ? error.message : "no such tensor in the reference file");
    if (count) *count = values ? (size_t)entry->count : 0;
    return values;
}

bool golden_compare(golden *g, const char *case_id, const float *got, const float *expected, size_t count,
                    double absolute, double relative) {
    golden_difference(got, expected, count);
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)got[i] - expected[i]);
        double limit = golden_tolerance(absolute + relative * fabs((double)expected[i]));
        if (difference <= limit) continue;
        golden_fail(g, case_id, "value %zu of %zu is %.9g, not %.9g (limit %.3g)", i, count, got[i], expected[i],
                    limit);
        return false;
    }
    golden_pass(g, case_id);
    return true;
}

double golden_number(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

const char *golden_string(const cJSON *object, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

float *golden_list(const cJSON *list, size_t *count) {
    int size = cJSON_GetArraySize(list), i = 0;
    float *values = calloc((size_t)size + 1, sizeof *values);
    const cJSON *item;
    if (!values) abort();
    cJSON_ArrayForEach(item, list) values[i++] = cJSON_IsNumber(item) ? (float)item->valuedouble : NAN;
    *count = (size_t)size;
    return values;
}

typedef struct alias {
    const char *theirs, *ours;
} alias;

static const alias schedules[] = {{"Automatic", "automatic"},
                                  {"Uniform", "normal"},
                                  {"Normal", "normal"},
                                  {"normal", "normal"},
                                  {"Karras", "karras"},
                                  {"karras", "karras"},
                                  {"Exponential", "exponential"},
                                  {"Polyexponential", "polyexponential"},
                                  {"SGM Uniform", "sgm_uniform"},
                                  {"KL Optimal", "kl_optimal"},
                                  {"Align Your Steps", "align_your_steps"},
                                  {"Align Your Steps GITS", "align_your_steps_gits"},
                                  {"Align Your Steps 11", "align_your_steps_11"},
                                  {"Align Your Steps 32", "align_your_steps_32"},
                                  {"Simple", "simple"},
                                  {"DDIM", "ddim"},
                                  {"Beta", "beta"},
                                  {"Turbo", "turbo"},
                                  {NULL, NULL}};
static const alias samplers[] = {{"sample_euler", "euler"},
                                 {"sample_euler_ancestral", "euler_a"},
                                 {"sample_heun", "heun"},
                                 {"sample_dpm_2", "dpm_2"},
                                 {"sample_dpm_2_ancestral", "dpm_2_a"},
                                 {"sample_lms", "lms"},
                                 {"sample_dpmpp_2s_ancestral", "dpmpp_2s_a"},
                                 {"sample_dpmpp_sde", "dpmpp_sde"},
                                 {"sample_dpmpp_2m", "dpmpp_2m"},
                                 {"sample_dpmpp_2m_sde", "dpmpp_2m_sde"},
                                 {"sample_dpmpp_3m_sde", "dpmpp_3m_sde"},
                                 {"ddim", "ddim"},
                                 {"plms", "plms"},
                                 {"sample_lcm", "lcm"},
                                 {"euler", "euler"},
                                 {"eulera", "euler_a"},
                                 {"dpmpp2m", "dpmpp_2m"},
                                 {NULL, NULL}};

/* `length` characters of `theirs` count: keys such as "euler6" end with the number of steps. */
static const char *find_alias(const alias *aliases, const char *theirs, size_t length) {
    for (; aliases->theirs; aliases++)
        if (strlen(aliases->theirs) == length && strncmp(aliases->theirs, theirs, length) == 0) return aliases->ours;
    return NULL;
}

const char *golden_schedule_name(const char *label) { return find_alias(schedules, label, strlen(label)); }

const char *golden_sampler_name(const char *label) {
    size_t length = strlen(label);
    const char *whole = find_alias(samplers, label, length);
    if (whole) return whole;
    while (length > 0 && label[length - 1] >= '0' && label[length - 1] <= '9') length--;
    return find_alias(samplers, label, length);
}

bool coupling_open(coupling *c, int lines) {
    *c = (coupling){.lines = lines};
    c->conditioning = calloc((size_t)lines, sizeof *c->conditioning);
    c->kv = calloc((size_t)lines, sizeof *c->kv);
    c->pointers = calloc((size_t)lines, sizeof(const cpl_text_kv *));
    if (!c->conditioning || !c->kv || !c->pointers) return false;
    for (int i = 0; i < lines; i++) c->pointers[i] = &c->kv[i];
    c->text = (cpl_unet_text){.lines = lines, .kv = c->pointers};
    return true;
}

bool coupling_keys(coupling *c, const fixture *f, cpl_error *error) {
    for (int i = 0; i < c->lines; i++)
        if (!cpl_unet_text_kv(f->model->unet, f->stream, &c->conditioning[i], &c->kv[i], error)) return false;
    return true;
}

static cpl_layout *layout_of_mapping(const cJSON *mapping, int width, int height, cpl_error *error) {
    cpl_layout *layout = cpl_layout_new(error);
    if (!layout) return NULL;
    layout->mode = CPL_MODE_ADVANCED;
    layout->width = width;
    layout->height = height;
    for (int i = 0; i < cJSON_GetArraySize(mapping); i++) {
        const cJSON *row = cJSON_GetArrayItem(mapping, i);
        cpl_region *region = cpl_layout_insert(layout, i, error);
        if (!region || !cpl_text_set(&region->prompt, "line", error)) break;
        region->x1 = cJSON_GetArrayItem(row, 0)->valuedouble;
        region->x2 = cJSON_GetArrayItem(row, 1)->valuedouble;
        region->y1 = cJSON_GetArrayItem(row, 2)->valuedouble;
        region->y2 = cJSON_GetArrayItem(row, 3)->valuedouble;
        region->weight = cJSON_GetArrayItem(row, 4)->valuedouble;
    }
    return layout;
}

static cpl_plan *plan_at(const cpl_layout *layout, const cpl_defaults *defaults, int w, int h, cpl_error *error) {
    int lines = 0;
    float *masks = calloc(((size_t)layout->region_count + 1) * (size_t)w * (size_t)h, sizeof *masks);
    cpl_plan *plan = NULL;
    if (masks && cpl_layout_masks(layout, defaults, w, h, masks, &lines, error))
        plan = cpl_plan_new(masks, lines, w, h, error);
    free(masks);
    return plan;
}

bool coupling_plans(coupling *c, const fixture *f, const cJSON *mapping, int width, int height, cpl_error *error) {
    int factor = cpl_vae_factor(f->model->vae), w, h;
    cpl_layout *layout = layout_of_mapping(mapping, width, height, error);
    if (!layout) return false;
    bool done = layout->region_count == c->lines;
    c->levels = cpl_unet_levels(f->model->unet);
    for (int level = 0; done && level < c->levels; level++) {
        cpl_unet_grid(width / factor, height / factor, level, &w, &h);
        c->plan[level] = plan_at(layout, &f->model->spec.defaults, w, h, error);
        done = c->plan[level] != NULL;
    }
    c->text.plans = (const cpl_plan *const *)c->plan;
    cpl_layout_free(layout);
    return done;
}

void coupling_close(coupling *c) {
    for (int i = 0; i < c->lines; i++) {
        if (c->kv) cpl_text_kv_free(&c->kv[i]);
        if (c->conditioning) cpl_tensor_free(&c->conditioning[i]);
    }
    for (int i = 0; i < c->levels; i++) cpl_plan_free(c->plan[i]);
    free(c->pointers);
    free(c->kv);
    free(c->conditioning);
}
