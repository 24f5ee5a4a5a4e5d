/* fields.c: the tables of the layout file's keys, and what can be said from the tables alone. */
#include "fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../memory/number.h"

const char *const cpl_mode_names[] = {"basic", "advanced", "mask", NULL};
const char *const cpl_direction_names[] = {"horizontal", "vertical", NULL};
const char *const cpl_background_names[] = {"none", "first", "last", NULL};
const char *const cpl_uncovered_names[] = {"error", "fill", NULL};
const char *const cpl_bracket_names[] = {"{ }", "< >", "off", NULL};
const char *const cpl_layout_samplers[] = {"euler",
                                           "euler_a",
                                           "heun",
                                           "dpm_2",
                                           "dpm_2_a",
                                           "lms",
                                           "dpmpp_2s_a",
                                           "dpmpp_sde",
                                           "dpmpp_2m",
                                           "dpmpp_2m_sde",
                                           "dpmpp_2m_sde_heun",
                                           "dpmpp_3m_sde",
                                           "ddim",
                                           "ddpm",
                                           "plms",
                                           "lcm",
                                           NULL};
const char *const cpl_layout_schedules[] = {"automatic",
                                            "normal",
                                            "karras",
                                            "exponential",
                                            "polyexponential",
                                            "sgm_uniform",
                                            "kl_optimal",
                                            "align_your_steps",
                                            "align_your_steps_gits",
                                            "align_your_steps_11",
                                            "align_your_steps_32",
                                            "simple",
                                            "ddim",
                                            "beta",
                                            "turbo",
                                            NULL};
const char *const cpl_layout_rngs[] = {"cpu", "nv", NULL};
const char *const cpl_layout_predictions[] = {"epsilon", "v", "v_zsnr", NULL};
const char *const cpl_layout_upscalers[] = {"latent", "latent_nearest", "latent_bicubic", "lanczos", NULL};

/* Reserved for what the format will say later, and what people write for themselves. */
static const char *const kept[] = {"name", "note", NULL};

enum {
    BIT_CANVAS = 1,
    BIT_MODE = 2,
    BIT_DIRECTION = 4,
    BIT_BACKGROUND = 8,
    BIT_LINE = 16,
    BIT_WEIGHT = 32,
    BIT_UNCOVERED = 64,
    BIT_COMMON = 128,
    BIT_BRACKETS = 256,
    BIT_DEFINITIONS = 512,
    BIT_SCHEDULES = 4096, /* CPL_PRESENT_REGIONS and CPL_PRESENT_LORAS lie between */
    BIT_IMG2IMG = 8192,
    BIT_DENOISE = 16384,
    BIT_FIX_STEPS = 32768,
    BIT_HIRES = 65536,
    BIT_HIRES_SCALE = 131072,
    BIT_HIRES_DENOISE = 262144
};

#define AT(type, member) .offset = offsetof(type, member)

static const cpl_field canvas_fields[] = {
    {.key = "width", .kind = CPL_FIELD_INT, AT(cpl_layout, width), .low = CPL_MIN_SIDE, .high = CPL_MAX_SIDE},
    {.key = "height", .kind = CPL_FIELD_INT, AT(cpl_layout, height), .low = CPL_MIN_SIDE, .high = CPL_MAX_SIDE},
    {0}};
static const cpl_object canvas_object = {canvas_fields, offsetof(cpl_layout, extra_canvas),
                                         offsetof(cpl_layout, present), NULL};

static const cpl_field background_fields[] = {
    {.key = "line", .kind = CPL_FIELD_NAME, AT(cpl_layout, background), .bit = BIT_LINE, .names = cpl_background_names},
    /* below 0.1 it acts as 0.1, so that any lower value is allowed, as in Forge Couple */
    {.key = "weight",
     .kind = CPL_FIELD_NUMBER,
     AT(cpl_layout, background_weight),
     .bit = BIT_WEIGHT,
     .low = -CPL_MAX_WEIGHT,
     .high = CPL_MAX_WEIGHT,
     .fallback = 0.5},
    {.key = "prompt", .kind = CPL_FIELD_TEXT, AT(cpl_layout, background_prompt)},
    {0}};
static const cpl_object background_object = {background_fields, offsetof(cpl_layout, extra_background),
                                             offsetof(cpl_layout, present), NULL};

static const cpl_field common_fields[] = {
    {.key = "brackets",
     .kind = CPL_FIELD_NAME,
     AT(cpl_layout, brackets),
     .bit = BIT_BRACKETS,
     .names = cpl_bracket_names},
    {.key = "definitions", .kind = CPL_FIELD_BOOL, AT(cpl_layout, definitions), .bit = BIT_DEFINITIONS, .fallback = 1},
    {0}};
static const cpl_object common_object = {common_fields, offsetof(cpl_layout, extra_common),
                                         offsetof(cpl_layout, present), NULL};

static const cpl_field img2img_fields[] = {
    {.key = "image", .kind = CPL_FIELD_TEXT, AT(cpl_layout, init_image)},
    {.key = "denoise",
     .kind = CPL_FIELD_NUMBER,
     AT(cpl_layout, denoise),
     .bit = BIT_DENOISE,
     .low = CPL_MIN_DENOISE,
     .high = 1,
     .fallback = 0.75},
    {.key = "fix_steps", .kind = CPL_FIELD_BOOL, AT(cpl_layout, fix_steps), .bit = BIT_FIX_STEPS},
    {0}};
static const cpl_object img2img_object = {img2img_fields, offsetof(cpl_layout, extra_img2img),
                                          offsetof(cpl_layout, present), NULL};

static const cpl_field hires_fields[] = {
    {.key = "scale",
     .kind = CPL_FIELD_NUMBER,
     AT(cpl_layout, hires_scale),
     .bit = BIT_HIRES_SCALE,
     .low = 1,
     .high = CPL_MAX_HIRES,
     .fallback = 1},
    {.key = "steps", .kind = CPL_FIELD_INT, AT(cpl_layout, hires_steps), .low = 1, .high = 1000},
    {.key = "denoise",
     .kind = CPL_FIELD_NUMBER,
     AT(cpl_layout, hires_denoise),
     .bit = BIT_HIRES_DENOISE,
     .low = CPL_MIN_DENOISE,
     .high = 1,
     .fallback = 0.7},
    {.key = "upscaler", .kind = CPL_FIELD_CHOICE, AT(cpl_layout, hires_upscaler), .names = cpl_layout_upscalers},
    {0}};
static const cpl_object hires_object = {hires_fields, offsetof(cpl_layout, extra_hires), offsetof(cpl_layout, present),
                                        NULL};

static const cpl_field layout_fields[] = {
    {.key = "canvas", .kind = CPL_FIELD_OBJECT, .bit = BIT_CANVAS, .object = &canvas_object},
    {.key = "mode",
     .kind = CPL_FIELD_NAME,
     AT(cpl_layout, mode),
     .bit = BIT_MODE,
     .names = cpl_mode_names,
     .fallback = CPL_MODE_ADVANCED},
    {.key = "direction",
     .kind = CPL_FIELD_NAME,
     AT(cpl_layout, direction),
     .bit = BIT_DIRECTION,
     .names = cpl_direction_names},
    {.key = "background", .kind = CPL_FIELD_OBJECT, .bit = BIT_BACKGROUND, .object = &background_object},
    {.key = "uncovered",
     .kind = CPL_FIELD_NAME,
     AT(cpl_layout, uncovered),
     .bit = BIT_UNCOVERED,
     .names = cpl_uncovered_names},
    {.key = "separator", .kind = CPL_FIELD_TEXT, AT(cpl_layout, separator)},
    {.key = "common", .kind = CPL_FIELD_OBJECT, .bit = BIT_COMMON, .object = &common_object},
    {.key = "prompt", .kind = CPL_FIELD_TEXT, AT(cpl_layout, prompt)},
    {.key = "negative", .kind = CPL_FIELD_TEXT, AT(cpl_layout, negative)},
    {.key = "schedules", .kind = CPL_FIELD_BOOL, AT(cpl_layout, schedules), .bit = BIT_SCHEDULES},
    {.key = "img2img", .kind = CPL_FIELD_OBJECT, .bit = BIT_IMG2IMG, .object = &img2img_object},
    {.key = "hires", .kind = CPL_FIELD_OBJECT, .bit = BIT_HIRES, .object = &hires_object},
    {0}};
const cpl_object cpl_layout_object = {layout_fields, offsetof(cpl_layout, extra), offsetof(cpl_layout, present), kept};

static const cpl_field region_fields[] = {
    {.key = "rect", .kind = CPL_FIELD_RECT, AT(cpl_region, x1), .bit = 1, .low = 0, .high = 1},
    {.key = "mask", .kind = CPL_FIELD_TEXT, AT(cpl_region, mask_source)},
    {.key = "weight",
     .kind = CPL_FIELD_NUMBER,
     AT(cpl_region, weight),
     .bit = 2,
     .low = 0,
     .high = CPL_MAX_WEIGHT,
     .fallback = 1},
    {.key = "feather", .kind = CPL_FIELD_NUMBER, AT(cpl_region, feather), .bit = 4, .low = 0, .high = 1},
    {.key = "prompt", .kind = CPL_FIELD_TEXT, AT(cpl_region, prompt)},
    {.key = "negative", .kind = CPL_FIELD_TEXT, AT(cpl_region, negative)},
    {.key = "color", .kind = CPL_FIELD_INT, AT(cpl_region, color), .bit = 8, .low = -1, .high = 15, .fallback = -1},
    {0}};
const cpl_object cpl_region_object = {region_fields, offsetof(cpl_region, extra), offsetof(cpl_region, present), kept};

static const cpl_field lora_fields[] = {{.key = "name", .kind = CPL_FIELD_TEXT, AT(cpl_lora, name)},
                                        {.key = "path", .kind = CPL_FIELD_TEXT, AT(cpl_lora, path)},
                                        {.key = "weight",
                                         .kind = CPL_FIELD_NUMBER,
                                         AT(cpl_lora, weight),
                                         .bit = 1,
                                         .low = -CPL_MAX_LORA_WEIGHT,
                                         .high = CPL_MAX_LORA_WEIGHT,
                                         .fallback = 1},
                                        {.key = "text_weight",
                                         .kind = CPL_FIELD_NUMBER,
                                         AT(cpl_lora, text_weight),
                                         .low = -CPL_MAX_LORA_WEIGHT,
                                         .high = CPL_MAX_LORA_WEIGHT,
                                         .fallback = NAN},
                                        {0}};
const cpl_object cpl_lora_object = {lora_fields, offsetof(cpl_lora, extra), offsetof(cpl_lora, present), kept};

static const cpl_field sampling_fields[] = {
    {.key = "model", .kind = CPL_FIELD_TEXT, AT(cpl_sampling, model)},
    {.key = "sampler", .kind = CPL_FIELD_CHOICE, AT(cpl_sampling, sampler), .names = cpl_layout_samplers},
    {.key = "schedule", .kind = CPL_FIELD_CHOICE, AT(cpl_sampling, schedule), .names = cpl_layout_schedules},
    {.key = "steps", .kind = CPL_FIELD_INT, AT(cpl_sampling, steps), .low = 1, .high = 1000},
    {.key = "cfg", .kind = CPL_FIELD_NUMBER, AT(cpl_sampling, cfg), .low = 0, .high = 1000, .fallback = NAN},
    {.key = "seed", .kind = CPL_FIELD_SEED, AT(cpl_sampling, seed), .low = -1, .high = CPL_MAX_SEED},
    {.key = "rng", .kind = CPL_FIELD_CHOICE, AT(cpl_sampling, rng), .names = cpl_layout_rngs},
    {.key = "clip_skip", .kind = CPL_FIELD_INT, AT(cpl_sampling, clip_skip), .low = 1, .high = CPL_MAX_CLIP_SKIP},
    {.key = "batch", .kind = CPL_FIELD_INT, AT(cpl_sampling, batch), .low = 1, .high = CPL_MAX_BATCH},
    {.key = "vae", .kind = CPL_FIELD_TEXT, AT(cpl_sampling, vae)},
    {.key = "prediction", .kind = CPL_FIELD_CHOICE, AT(cpl_sampling, prediction), .names = cpl_layout_predictions},
    {0}};
const cpl_object cpl_sampling_object = {sampling_fields, offsetof(cpl_sampling, extra), SIZE_MAX, kept};

bool cpl_name_find(const char *const *names, const char *name, int *index) {
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) {
            *index = i;
            return true;
        }
    return false;
}

void cpl_names_list(const char *const *names, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; names[i] && used < size; i++) {
        const char *joint = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        int n = snprintf(text + used, size - used, "%s\"%s\"", joint, names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

void cpl_fields_reset(const cpl_object *object, void *base) {
    for (const cpl_field *f = object->fields; f->key; f++) {
        void *at = (char *)base + f->offset;
        switch (f->kind) {
        case CPL_FIELD_INT:
        case CPL_FIELD_NAME:
            *(int *)at = (int)f->fallback;
            break;
        case CPL_FIELD_SEED:
            *(int64_t *)at = CPL_SEED_UNSET;
            break;
        case CPL_FIELD_NUMBER:
            *(double *)at = f->fallback;
            break;
        case CPL_FIELD_BOOL:
            *(bool *)at = f->fallback != 0;
            break;
        case CPL_FIELD_CHOICE:
        case CPL_FIELD_TEXT:
            *(char **)at = NULL;
            break;
        case CPL_FIELD_RECT:
            memcpy(at, (double[]){0, 1, 0, 1}, 4 * sizeof(double));
            break;
        case CPL_FIELD_OBJECT:
            cpl_fields_reset(f->object, base);
            break;
        }
    }
}

bool cpl_fault_set(cpl_fault *fault, cpl_reason reason, int row, const char *path, const char *format, ...) {
    char words[sizeof fault->error.message];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    fault->reason = reason;
    return cpl_fail_at(&fault->error, row, path, "%s%s%s", path, *path ? ": " : "", words);
}

static bool check_number(const cpl_field *f, double value, int row, const char *path, cpl_fault *fault) {
    if (value >= f->low && value <= f->high) return true;
    char low[CPL_NUMBER_SIZE], high[CPL_NUMBER_SIZE], text[CPL_NUMBER_SIZE];
    cpl_number_print(f->low, low);
    cpl_number_print(f->high, high);
    cpl_number_print(value, text);
    cpl_reason reason = f->kind == CPL_FIELD_RECT ? CPL_REASON_OUT_OF_RANGE : CPL_REASON_OTHER;
    return cpl_fault_set(fault, reason, row, path, "must be from %s to %s, not %s", low, high,
                         isnan(value) ? "NaN" : text);
}

static bool check_rect(const cpl_field *f, const double *rect, int row, const char *path, cpl_fault *fault) {
    static const char *const side[] = {"x1", "x2", "y1", "y2"};
    char place[96];
    for (int i = 0; i < 4; i++) {
        snprintf(place, sizeof place, "%s[%d]", path, i);
        if (!check_number(f, rect[i], row, place, fault)) return false;
    }
    for (int i = 0; i < 4; i += 2) {
        if (rect[i + 1] >= rect[i]) continue;
        char small[CPL_NUMBER_SIZE], large[CPL_NUMBER_SIZE];
        cpl_number_print(rect[i + 1], small);
        cpl_number_print(rect[i], large);
        return cpl_fault_set(fault, CPL_REASON_REVERSED, row, path, "%s (%s) is less than %s (%s); exchange the two",
                             side[i + 1], small, side[i], large);
    }
    return true;
}

static bool check_choice(const cpl_field *f, const char *value, int row, const char *path, cpl_fault *fault) {
    int index;
    char known[CPL_NAMES_SIZE];
    if (!value || cpl_name_find(f->names, value, &index)) return true;
    cpl_names_list(f->names, known, sizeof known);
    return cpl_fault_set(fault, CPL_REASON_OTHER, row, path, "\"%.60s\" is not known; it must be %s", value, known);
}

static bool check_field(const cpl_field *f, const void *at, int row, const char *path, cpl_fault *fault) {
    double number;
    switch (f->kind) {
    case CPL_FIELD_INT:
        number = *(const int *)at;
        break;
    case CPL_FIELD_NUMBER:
        number = *(const double *)at;
        break;
    case CPL_FIELD_SEED:
        if (*(const int64_t *)at == CPL_SEED_UNSET) return true;
        number = (double)*(const int64_t *)at;
        break;
    case CPL_FIELD_RECT:
        return check_rect(f, at, row, path, fault);
    case CPL_FIELD_CHOICE:
        return check_choice(f, *(char *const *)at, row, path, fault);
    default:
        return true;
    }
    if (number == f->fallback || (isnan(number) && isnan(f->fallback))) return true;
    if (!check_number(f, number, row, path, fault)) return false;
    if (f->low == CPL_MIN_SIDE && fmod(number, CPL_SIDE_STEP) != 0)
        return cpl_fault_set(fault, CPL_REASON_OTHER, row, path, "must be a multiple of %d, not %g; take %g",
                             CPL_SIDE_STEP, number, round(number / CPL_SIDE_STEP) * CPL_SIDE_STEP);
    return true;
}

bool cpl_fields_check(const cpl_object *object, const void *base, int row, const char *path, cpl_fault_report *report,
                      void *user) {
    for (const cpl_field *f = object->fields; f->key; f++) {
        char place[80];
        cpl_fault fault = {0};
        snprintf(place, sizeof place, "%s%s%s", path, *path ? "." : "", f->key);
        if (f->kind == CPL_FIELD_OBJECT) {
            if (!cpl_fields_check(f->object, base, row, place, report, user)) return false;
        } else if (!check_field(f, (const char *)base + f->offset, row, place, &fault) && !report(user, &fault)) {
            return false;
        }
    }
    return true;
}
