/* golden.h: what a golden group sees of the runner. A group goes over *all* cases that its file holds; sizes, names and
 * counts come from the file. `make golden GOLDEN_DIR=DIR` looks for files in DIR, DIR/couple, DIR/engine, DIR/builtin. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>

#include "../../core/couplet.h"

typedef struct golden golden;

typedef struct golden_group {
    const char *name;       /* "masks.json/cases": file, then section */
    void (*run)(golden *g); /* called if the file of that name was found; reports each of its cases once */
    const char *cannot_yet; /* NULL, or why the engine cannot run it yet: its cases then count as skipped */
} golden_group;

/* Path of a file in the directory that is searched (static storage until the next call), or NULL. */
const char *golden_file(golden *g, const char *name);
struct cJSON *golden_json(golden *g, const char *name);              /* parsed, caller deletes; failure is reported */
struct cpl_safetensors *golden_tensors(golden *g, const char *name); /* opened, caller closes; failure is reported */

/* The backend that the engine's groups run on: --device and --precision, without them the processor in f32. Closed by
 * the caller. */
struct cpl_backend *golden_backend(cpl_error *error);
/* What the data's tolerance becomes there: --slack times as much. */
double golden_tolerance(double of_data);

/* Exactly one of these per case. */
void golden_pass(golden *g, const char *case_id);
void golden_fail(golden *g, const char *case_id, const char *format, ...) __attribute__((format(printf, 3, 4)));
void golden_skip(golden *g, const char *case_id, const char *why);

/* Largest |a - b|; infinity if either has a NaN. */
double golden_difference(const float *a, const float *b, size_t count);

/* One array per test file, ended by an entry whose name is NULL; main.c lists the arrays. */
extern const golden_group golden_layout_groups[];  /* masks.json, prompts.json, tiles.json */
extern const golden_group golden_couple_groups[];  /* attention.json */
extern const golden_group golden_prompt_groups[];  /* tokenizer.json, prompt_attention.json */
extern const golden_group golden_network_groups[]; /* *_text, *_unet, *_coupled, *_vae */
extern const golden_group golden_sample_groups[];  /* samplers.json, *_e2e */
extern const golden_group golden_builtin_groups[]; /* builtin/expected.json */

#endif
