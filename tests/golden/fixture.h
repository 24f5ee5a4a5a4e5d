/* fixture.h: what groups that run the engine share: named reference values, a stream on the CPU, plans of a mapping. */
#ifndef TESTS_GOLDEN_FIXTURE_H
#define TESTS_GOLDEN_FIXTURE_H

#include <cjson/cJSON.h>

#include "../../core/model/model.h"
#include "golden.h"

typedef struct fixture {
    golden *g;
    cpl_backend *backend;
    cpl_stream *stream;
    cpl_model *model; /* closed with the fixture */
} fixture;

/* f32 on the CPU; failure is reported as a case. */
bool fixture_open(fixture *f, golden *g);
void fixture_close(fixture *f);

/* Values of a tensor as f32, NULL and a reported failure where it is missing. Freed by the caller. */
float *golden_values(golden *g, const struct cpl_safetensors *st, const char *name, size_t *count);
/* |a - b| <= absolute + relative * |b| everywhere; reports the case either way and is true if it passed. */
bool golden_compare(golden *g, const char *case_id, const float *got, const float *expected, size_t count,
                    double absolute, double relative);
double golden_number(const cJSON *object, const char *key);
const char *golden_string(const cJSON *object, const char *key);
/* A JSON list of numbers. Freed by the caller. */
float *golden_list(const cJSON *list, size_t *count);

/* Our name for what the data call a schedule ("Automatic") or a sampler ("sample_euler", "euler6"); NULL: not built in. */
const char *golden_schedule_name(const char *label);
const char *golden_sampler_name(const char *label);

/* What one batch element listens to, with the memory behind it. */
typedef struct coupling {
    int lines, levels;
    cpl_tensor *conditioning;
    cpl_text_kv *kv;
    const cpl_text_kv **pointers;
    cpl_plan *plan[CPL_MAX_LEVELS];
    cpl_unet_text text;
} coupling;
bool coupling_open(coupling *c, int lines);
/* Keys and values of all conditionings, which the caller has filled in. */
bool coupling_keys(coupling *c, const fixture *f, cpl_error *error);
/* Plans of an advanced layout whose row i is mapping[i] = [x1, x2, y1, y2, weight], for each level of the UNet. */
bool coupling_plans(coupling *c, const fixture *f, const cJSON *mapping, int width, int height, cpl_error *error);
void coupling_close(coupling *c);

#endif
