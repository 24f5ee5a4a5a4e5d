/* prompt.c: groups of everything that happens to a prompt before the UNet: tokens, emphasis, chunks, text encoders. CLIP's
 * own vocabulary is not kept here: name its folder (vocab.json, merges.txt) in COUPLET_CLIP_VOCAB to run what needs it. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/layout/compose.h"
#include "../../core/layout/turns.h"
#include "../../core/model/emphasis.h"
#include "../../core/model/model.h"
#include "../../core/model/prompt.h"
#include "../../core/model/text_encoder.h"
#include "network_rig.h"

#define TOLERANCE 5e-5
#define WEIGHT_TOLERANCE 1e-6

/* NULL: not there, and each case of the list was skipped by its text, or the failure was reported. */
static cpl_tokenizer *open_clip(golden *g, const cJSON *cases) {
    const char *folder = getenv("COUPLET_CLIP_VOCAB");
    const cJSON *one;
    cpl_error error = {0};
    if (folder && *folder) {
        cpl_tokenizer *t = cpl_tokenizer_open(folder, &error);
        if (!t) golden_fail(g, "vocabulary", "%s", error.message);
        return t;
    }
    int i = 0;
    cJSON_ArrayForEach(one, cases) {
        char id[32];
        snprintf(id, sizeof id, "%d", i++);
        golden_skip(g, id, "COUPLET_CLIP_VOCAB names no folder with CLIP's vocabulary");
    }
    return NULL;
}

static bool same_ids(const cJSON *list, const int *ids, int count) {
    const cJSON *id;
    int i = 0;
    if (!list || cJSON_GetArraySize(list) != count) return false;
    cJSON_ArrayForEach(id, list) if (id->valueint != ids[i++]) return false;
    return true;
}

/* Where the references differ (only text that needs repair does), each of their answers will do. */
static bool accepted(const cJSON *one, const int *ids, int count) {
    static const char *const others[] = {"ids_openai", "ids_hf_fast", "ids_hf_noftfy"};
    if (same_ids(cJSON_GetObjectItemCaseSensitive(one, "ids"), ids, count)) return true;
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "same"))) return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (same_ids(cJSON_GetObjectItemCaseSensitive(one, others[i]), ids, count)) return true;
    return false;
}

static void tokenizer_cases(golden *g) {
    cJSON *root = golden_json(g, "tokenizer.json");
    const cJSON *cases = cJSON_GetObjectItemCaseSensitive(root, "cases"), *one;
    cpl_tokenizer *t = root ? open_clip(g, cases) : NULL;
    int at = 0;
    if (!t) cases = NULL;
    cJSON_ArrayForEach(one, cases) {
        char id[32], got[200] = "";
        int *ids = NULL, count = 0;
        cpl_error error = {0};
        snprintf(id, sizeof id, "%d", at++);
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "text"));
        bool ok = text && cpl_tokenizer_encode(t, text, &ids, &count, &error);
        if (ok && accepted(one, ids, count)) {
            golden_pass(g, id);
        } else {
            for (int i = 0; i < count && strlen(got) + 12 < sizeof got; i++)
                snprintf(got + strlen(got), sizeof got - strlen(got), " %d", ids[i]);
            golden_fail(g, id, "'%s' gave%s %s", text ? text : "", got, error.message);
        }
        free(ids);
    }
    cpl_tokenizer_free(t);
    cJSON_Delete(root);
}

static void compare_parts(golden *g, const char *id, const cJSON *one, const cpl_prompt_part *parts, int count) {
    const cJSON *expected = cJSON_GetObjectItemCaseSensitive(one, "parts"), *part;
    int i = 0;
    /* Where the original raises an exception anything but a crash is right. */
    if (cJSON_GetObjectItemCaseSensitive(one, "error")) {
        golden_pass(g, id);
        return;
    }
    if (cJSON_GetArraySize(expected) != count) {
        golden_fail(g, id, "%d parts, not %d", count, cJSON_GetArraySize(expected));
        return;
    }
    cJSON_ArrayForEach(part, expected) {
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(part, 0));
        double weight = cJSON_GetNumberValue(cJSON_GetArrayItem(part, 1));
        if (strcmp(text, parts[i].text) != 0 || !(fabs(weight - parts[i].weight) <= WEIGHT_TOLERANCE)) {
            golden_fail(g, id, "part %d is '%s' %g, not '%s' %g", i, parts[i].text, parts[i].weight, text, weight);
            return;
        }
        i++;
    }
    golden_pass(g, id);
}

static void attention(golden *g) {
    cJSON *root = golden_json(g, "prompt_attention.json");
    const cJSON *one;
    int at = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(root, "attention")) {
        char id[32];
        cpl_prompt_part *parts;
        int count;
        cpl_error error = {0};
        snprintf(id, sizeof id, "%d", at++);
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "text"));
        if (!cpl_prompt_parse(text, &parts, &count, &error)) {
            golden_fail(g, id, "%s", error.message);
            continue;
        }
        compare_parts(g, id, one, parts, count);
        cpl_prompt_parts_free(parts, count);
    }
    cJSON_Delete(root);
}

static bool same_multipliers(const cJSON *list, const float *multipliers) {
    const cJSON *one;
    int i = 0;
    cJSON_ArrayForEach(one,
                       list) if (!(fabs(one->valuedouble - (double)multipliers[i++]) <= WEIGHT_TOLERANCE)) return false;
    return true;
}

static void compare_chunks(golden *g, const char *id, const cJSON *one, const cpl_chunks *chunks) {
    const cJSON *chunk;
    int i = 0;
    const cJSON *expected = cJSON_GetObjectItemCaseSensitive(one, "chunks");
    int tokens = (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(one, "token_count"));
    int room = (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(one, "target_count"));
    if (cJSON_GetArraySize(expected) != chunks->chunks) {
        golden_fail(g, id, "%d chunks, not %d", chunks->chunks, cJSON_GetArraySize(expected));
        return;
    }
    if (tokens != chunks->tokens || room != chunks->chunks * (chunks->length - 2)) {
        golden_fail(g, id, "counted %d tokens in %d chunks, not %d/%d", chunks->tokens, chunks->chunks, tokens, room);
        return;
    }
    cJSON_ArrayForEach(chunk, expected) {
        size_t first = (size_t)i * (size_t)chunks->length;
        if (!same_ids(cJSON_GetObjectItemCaseSensitive(chunk, "tokens"), chunks->ids + first, chunks->length)) {
            golden_fail(g, id, "the tokens of chunk %d differ", i);
            return;
        }
        if (!same_multipliers(cJSON_GetObjectItemCaseSensitive(chunk, "multipliers"), chunks->multipliers + first)) {
            golden_fail(g, id, "the multipliers of chunk %d differ", i);
            return;
        }
        i++;
    }
    golden_pass(g, id);
}

static void chunks(golden *g) {
    cJSON *root = golden_json(g, "prompt_attention.json");
    const cJSON *cases = cJSON_GetObjectItemCaseSensitive(root, "chunks"), *one;
    cpl_tokenizer *t = root ? open_clip(g, cases) : NULL;
    int at = 0;
    if (!t) cases = NULL;
    cJSON_ArrayForEach(one, cases) {
        char id[32];
        cpl_chunks got;
        cpl_error error = {0};
        const cJSON *expected = cJSON_GetObjectItemCaseSensitive(one, "chunks");
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "text"));
        int length = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(expected, 0), "tokens"));
        snprintf(id, sizeof id, "%d", at++);
        if (!cpl_prompt_chunks(t, NULL, text, length, cpl_tokenizer_end(t), &got, &error)) {
            golden_fail(g, id, "%s", error.message);
            continue;
        }
        compare_chunks(g, id, one, &got);
        cpl_chunks_clear(&got);
    }
    cpl_tokenizer_free(t);
    cJSON_Delete(root);
}

/* ---- Text encoders ---- */

/* What is recorded of a case beside its ids, and how the encoder is asked for it. */
static const struct {
    const char *suffix;
    int clip_skip;
    bool final_norm;
} outputs[] = {
    {"last_ln", 1, true},      {"skip2_ln", 2, true},  {"skip2_raw", 2, false},
    {"penultimate", 2, false}, {"last_raw", 1, false},
};

typedef struct bench {
    rig r;
    cpl_text_encoder *encoder;
    const cpl_text_spec *spec;
    int *ids; /* of the case */
} bench;

static int *read_ids(bench *b, const cpl_st_entry *e) {
    cpl_error error = {0};
    int64_t *wide = cpl_safetensors_i64(b->r.expected, e, &error);
    int *ids = wide ? calloc((size_t)e->count, sizeof *ids) : NULL;
    for (int64_t i = 0; ids && i < e->count; i++) ids[i] = (int)wide[i];
    free(wide);
    if (!ids || e->count != b->spec->context_length) golden_fail(b->r.g, e->name, "not one chunk of ids");
    if (ids && e->count == b->spec->context_length) return ids;
    free(ids);
    return NULL;
}

/* Reports `got` against the recorded tensor. */
static void compare_with(bench *b, const cpl_st_entry *e, const float *got, size_t count, double tolerance) {
    cpl_error error = {0};
    float *expected = cpl_safetensors_f32(b->r.expected, e, &error);
    bool sized = expected && (size_t)e->count == count;
    double most = sized ? golden_difference(got, expected, count) : INFINITY;
    if (most <= golden_tolerance(tolerance))
        golden_pass(b->r.g, e->name);
    else
        golden_fail(b->r.g, e->name, sized ? "differs by %g" : "has another size (%g)", most);
    free(expected);
}

/* Takes a tensor over and compares it; a failure of the stream is a failure of the case. */
static void compare_tensor(bench *b, const cpl_st_entry *e, cpl_tensor *x, double tolerance) {
    cpl_error error = {0};
    size_t count = cpl_tensor_count(x);
    float *values = calloc(count + 1, sizeof *values);
    if (values) b->r.s->ops->download(b->r.s, values, x);
    cpl_tensor_free(x);
    if (!cpl_stream_settle(b->r.s, &error))
        golden_fail(b->r.g, e->name, "%s", error.message);
    else
        compare_with(b, e, values, count, tolerance);
    free(values);
}

static const cpl_st_entry *recorded(const bench *b, const char *name, const char *suffix) {
    char full[160];
    snprintf(full, sizeof full, "%s.%s", name, suffix);
    return cpl_safetensors_find(b->r.expected, full);
}

static void compare_hidden(bench *b, const char *name) {
    size_t count = (size_t)b->spec->context_length * (size_t)b->spec->width;
    float *hidden = calloc((size_t)b->spec->layers + 1, count * sizeof *hidden);
    cpl_tensor x =
        cpl_text_encoder_run(b->encoder, b->r.s, &(cpl_text_input){.ids = b->ids, .chunks = 1}, 1, true, hidden);
    cpl_tensor_free(&x);
    for (int i = 0; i <= b->spec->layers; i++) {
        char suffix[32];
        snprintf(suffix, sizeof suffix, "hidden.%d", i);
        const cpl_st_entry *e = recorded(b, name, suffix);
        if (e) compare_with(b, e, hidden + (size_t)i * count, count, TOLERANCE);
    }
    free(hidden);
}

static void compare_pooled(bench *b, const cpl_st_entry *e) {
    cpl_tensor last =
        cpl_text_encoder_run(b->encoder, b->r.s, &(cpl_text_input){.ids = b->ids, .chunks = 1}, 1, true, NULL);
    cpl_tensor pooled = cpl_text_encoder_pool(b->encoder, b->r.s, &last, b->ids);
    cpl_tensor_free(&last);
    compare_tensor(b, e, &pooled, TOLERANCE);
}

static void text_case(bench *b, const char *name) {
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        const cpl_st_entry *e = recorded(b, name, outputs[i].suffix);
        if (!e) continue;
        cpl_tensor x = cpl_text_encoder_run(b->encoder, b->r.s, &(cpl_text_input){.ids = b->ids, .chunks = 1},
                                            outputs[i].clip_skip, outputs[i].final_norm, NULL);
        compare_tensor(b, e, &x, TOLERANCE);
    }
    compare_hidden(b, name);
    const cpl_st_entry *pooled = recorded(b, name, "pooled");
    if (pooled) compare_pooled(b, pooled);
}

static bool bench_open(bench *b, golden *g, const char *model, char which) {
    int index = which == 'g';
    cpl_error error = {0};
    *b = (bench){0};
    if (!rig_open(&b->r, g, model, "text")) return false;
    b->spec = &b->r.spec.text[index];
    cpl_loader l = {.backend = b->r.backend, .weights = b->r.weights, .error = &error};
    if (index < b->r.spec.texts) b->encoder = cpl_text_encoder_new(&l, b->spec);
    if (!b->encoder) golden_fail(g, "encoder", "%s", error.message);
    return b->encoder != NULL;
}

static void bench_close(bench *b) {
    cpl_text_encoder_free(b->encoder, b->r.backend);
    rig_close(&b->r);
}

/* A case is found by its ids, "l.<case>.input_ids". */
static void run_texts(golden *g, const char *model, char which) {
    static const char ending[] = ".input_ids";
    bench b;
    bool open = bench_open(&b, g, model, which);
    for (int i = 0; open && i < cpl_safetensors_count(b.r.expected); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(b.r.expected, i);
        size_t length = strlen(e->name);
        char name[128];
        if (e->name[0] != which || e->name[1] != '.' || length < sizeof ending || length >= sizeof name ||
            strcmp(e->name + length - (sizeof ending - 1), ending) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(length - (sizeof ending - 1)), e->name);
        b.ids = read_ids(&b, e);
        if (b.ids) text_case(&b, name);
        free(b.ids);
    }
    bench_close(&b);
}

static void sd1_text(golden *g) { run_texts(g, "sd1_tiny", 'l'); }
static void sdxl_text_l(golden *g) { run_texts(g, "sdxl_tiny", 'l'); }
static void sdxl_text_g(golden *g) { run_texts(g, "sdxl_tiny", 'g'); }

/* Both kinds of emphasis on what our own encoder makes of the ids. */
static void sd1_emphasis(golden *g) {
    static const char base[] = "l.mid_pad_eos";
    cpl_error error = {0};
    bench b;
    bool open = bench_open(&b, g, "sd1_tiny", 'l');
    const cpl_st_entry *ids = open ? recorded(&b, base, "input_ids") : NULL;
    const cpl_st_entry *weights = open ? cpl_safetensors_find(b.r.expected, "emphasis.multipliers") : NULL;
    if (open && (!ids || !weights)) golden_fail(g, "emphasis", "no ids or no multipliers in the file");
    float *multipliers = ids && weights ? cpl_safetensors_f32(b.r.expected, weights, &error) : NULL;
    b.ids = multipliers ? read_ids(&b, ids) : NULL;
    size_t count = b.ids ? (size_t)b.spec->context_length * (size_t)b.spec->width : 0;
    float *values = calloc(count + 1, sizeof *values);
    for (int keep_mean = 0; b.ids && values && keep_mean < 2; keep_mean++) {
        const cpl_st_entry *e = recorded(&b, "emphasis", keep_mean ? "original" : "no_norm");
        cpl_tensor x =
            cpl_text_encoder_run(b.encoder, b.r.s, &(cpl_text_input){.ids = b.ids, .chunks = 1}, 1, true, NULL);
        b.r.s->ops->download(b.r.s, values, &x);
        cpl_tensor_free(&x);
        cpl_emphasize(values, multipliers, b.spec->context_length, b.spec->width, keep_mean);
        if (e) compare_with(&b, e, values, count, TOLERANCE);
    }
    free(values);
    free(multipliers);
    free(b.ids);
    bench_close(&b);
}

/* ---- SDXL's sizes ---- */

#define SIZE_TOLERANCE 2e-4

/* "size_vector.<case>.input" and ".output". */
static void size_vectors(golden *g) {
    static const char ending[] = ".input", kind[] = "size_vector.";
    bench b;
    bool open = bench_open(&b, g, "sdxl_tiny", 'g');
    for (int i = 0; open && i < cpl_safetensors_count(b.r.expected); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(b.r.expected, i);
        const char *dot = strrchr(e->name, '.');
        char name[128];
        cpl_error error = {0};
        if (strncmp(e->name, kind, sizeof kind - 1) != 0 || !dot || strcmp(dot, ending) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - e->name), e->name);
        const cpl_st_entry *output = recorded(&b, name, "output");
        float *size = e->count == 6 ? cpl_safetensors_f32(b.r.expected, e, &error) : NULL;
        if (size && output) {
            cpl_tensor got = cpl_size_vector(b.r.s, size);
            compare_tensor(&b, output, &got, SIZE_TOLERANCE);
        } else {
            golden_fail(g, e->name, "not six numbers with an output");
        }
        free(size);
    }
    bench_close(&b);
}

/* ---- Texts of texts ---- */

static void compare_turns(golden *g, const char *id, const cJSON *expected, const cpl_turns *turns) {
    const cJSON *turn;
    int i = 0;
    if (cJSON_GetArraySize(expected) != turns->count) {
        golden_fail(g, id, "%d texts, not %d", turns->count, cJSON_GetArraySize(expected));
        return;
    }
    cJSON_ArrayForEach(turn, expected) {
        int last = (int)cJSON_GetNumberValue(cJSON_GetArrayItem(turn, 0));
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(turn, 1));
        if (last != turns->list[i].last || strcmp(text, turns->list[i].text) != 0) {
            golden_fail(g, id, "'%s' to step %d, not '%s' to %d", turns->list[i].text, turns->list[i].last, text, last);
            return;
        }
        i++;
    }
    golden_pass(g, id);
}

/* "schedule" and, absent where it is the same, that of a second pass of as many steps. */
static void schedules(golden *g) {
    cJSON *root = golden_json(g, "prompt_attention.json");
    const cJSON *one;
    int at = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(root, "schedules")) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "text"));
        int steps = (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(one, "steps"));
        const cJSON *first = cJSON_GetObjectItemCaseSensitive(one, "schedule");
        const cJSON *second = cJSON_GetObjectItemCaseSensitive(one, "schedule_hires");
        for (int pass = 0; pass < 2; pass++) {
            char id[32];
            cpl_turns turns;
            cpl_error error = {0};
            snprintf(id, sizeof id, "%d%s", at, pass ? " second pass" : "");
            if (!cpl_turns_read(text, steps, pass ? steps : 0, &turns, &error)) {
                golden_fail(g, id, "%s", error.message);
                continue;
            }
            compare_turns(g, id, pass && second ? second : first, &turns);
            cpl_turns_clear(&turns);
        }
        at++;
    }
    cJSON_Delete(root);
}

static void compare_composition(golden *g, const char *id, const cJSON *expected, const cpl_parts *parts) {
    const cJSON *part;
    int i = 0;
    if (cJSON_GetArraySize(expected) != parts->count) {
        golden_fail(g, id, "%d parts, not %d", parts->count, cJSON_GetArraySize(expected));
        return;
    }
    cJSON_ArrayForEach(part, expected) {
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(part, 0));
        double weight = cJSON_GetNumberValue(cJSON_GetArrayItem(part, 1));
        const cpl_part *got = &parts->list[i++];
        if (strcmp(text, got->text) != 0 || !(fabs(weight - got->weight) <= WEIGHT_TOLERANCE)) {
            golden_fail(g, id, "'%s' %g, not '%s' %g", got->text, got->weight, text, weight);
            return;
        }
    }
    golden_pass(g, id);
}

static void compositions(golden *g) {
    cJSON *root = golden_json(g, "prompt_attention.json");
    const cJSON *one;
    int at = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(root, "multicond")) {
        char id[32];
        cpl_parts parts;
        cpl_error error = {0};
        snprintf(id, sizeof id, "%d", at++);
        if (!cpl_parts_read(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "text")), &parts, &error)) {
            golden_fail(g, id, "%s", error.message);
            continue;
        }
        compare_composition(g, id, cJSON_GetObjectItemCaseSensitive(one, "parts"), &parts);
        cpl_parts_clear(&parts);
    }
    cJSON_Delete(root);
}

const golden_group golden_prompt_groups[] = {
    {"tokenizer.json/cases", tokenizer_cases, NULL},
    {"prompt_attention.json/attention", attention, NULL},
    {"prompt_attention.json/chunks", chunks, NULL},
    {"prompt_attention.json/schedules", schedules, NULL},
    {"prompt_attention.json/multicond", compositions, NULL},
    {"sd1_tiny_text_expected.safetensors/text", sd1_text, NULL},
    {"sd1_tiny_text_expected.safetensors/emphasis", sd1_emphasis, NULL},
    {"sdxl_tiny_text_expected.safetensors/l", sdxl_text_l, NULL},
    {"sdxl_tiny_text_expected.safetensors/g", sdxl_text_g, NULL},
    {"sdxl_tiny_text_expected.safetensors/size_vector", size_vectors, NULL},
    {NULL, NULL, NULL},
};
