/* prepare.c: from a snapshot to what the network listens to. It decides which texts and plans are needed; the caches know
 * which of them are new. */
#include "prepare.h"

#include <stdlib.h>
#include <string.h>

#include "../layout/lines.h"
#include "../layout/loras.h"
#include "../memory/alloc.h"

static bool is_listed(const char *const *names, const char *name) {
    for (; *names; names++)
        if (strcmp(*names, name) == 0) return true;
    return false;
}

/* Layouts may name what this build lacks: the file format is older and younger than one program. */
static bool check_names(const cpl_settings *settings, cpl_error *error) {
    const struct {
        const char *path, *name;
        const char *const *names;
    } all[] = {{"sampling.sampler", settings->sampler, cpl_sampler_names()},
               {"sampling.schedule", settings->schedule, cpl_schedule_names()},
               {"sampling.rng", settings->rng, cpl_rng_names()}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!is_listed(all[i].names, all[i].name))
            return cpl_fail_at(error, -1, all[i].path, "%s: \"%s\" is not built into this version; use \"%s\"",
                               all[i].path, all[i].name, all[i].names[0]);
    return true;
}

bool cpl_snapshot_check(const cpl_snapshot *snapshot, cpl_error *error) {
    cpl_problems problems = {0};
    if (snapshot->error.code) {
        *error = snapshot->error;
        return false;
    }
    bool good = cpl_layout_check(snapshot->layout, &snapshot->model.defaults, &problems);
    if (!good && problems.count > 0)
        *error = problems.list[0].error;
    else if (!good)
        cpl_fail(error, CPL_E_MEMORY, "out of memory while the layout was checked");
    cpl_problems_clear(&problems);
    return good && check_names(&snapshot->settings, error);
}

/* Texts of one half of the batch; the strings are borrowed but for the fill line. */
typedef struct line_list {
    cpl_lines own; /* of the layout */
    char **text;   /* [count] */
    char *fill;    /* owned, NULL where nothing is filled */
    int count;
} line_list;

static void clear_lines(line_list *lines) {
    cpl_lines_clear(&lines->own);
    free(lines->text);
    free(lines->fill);
}

static bool add_fill(line_list *lines, const cpl_layout *layout, int wanted, cpl_error *error) {
    if (wanted == lines->own.count) return true;
    lines->fill = cpl_layout_fill_line(layout, error);
    if (!lines->fill) return false;
    lines->text[lines->count++] = lines->fill;
    return true;
}

static bool list_positive(line_list *lines, const cpl_layout *layout, cpl_error *error) {
    if (!cpl_layout_lines(layout, &lines->own, error)) return false;
    lines->text = cpl_alloc((size_t)lines->own.count + 1, sizeof *lines->text, error);
    if (!lines->text) return false;
    for (int i = 0; i < lines->own.count; i++) lines->text[i] = lines->own.line[i];
    lines->count = lines->own.count;
    return true;
}

/* A line is a region's where there are as many of both; a negative text of some region makes the other half coupled. */
static bool has_own_negatives(const cpl_layout *layout, int lines) {
    bool any = false;
    for (int i = 0; i < layout->region_count; i++) any = any || layout->regions[i].negative;
    return any && layout->region_count == lines;
}

/* To models with a vector beside the context nothing is a context of zeros, not the text "". */
static char *negative_line(const cpl_model_spec *spec, char *text) {
    return cpl_model_pooled_width(spec) > 0 && !*text ? NULL : text;
}

/* The texts are owned but for those that are `common`. */
static void free_negatives(char **text, int count, const char *common) {
    for (int i = 0; text && i < count; i++)
        if (text[i] != common) free(text[i]);
    free(text);
}

static bool open_own_negatives(cpl_prepared *prepared, cpl_context *context, const cpl_layout *layout, char *common,
                               cpl_error *error) {
    const cpl_model_spec *spec = &context->engine->model->spec;
    int count = prepared->plans->lines;
    char **text = cpl_alloc((size_t)count, sizeof *text, error);
    bool done = text;
    for (int i = 0; done && i < count; i++) {
        const char *own = i < layout->region_count ? layout->regions[i].negative : NULL;
        text[i] = own ? cpl_without_loras(own, error) : common;
        done = text[i] || text[i] == common;
    }
    char **heard = done ? cpl_alloc((size_t)count, sizeof *heard, error) : NULL;
    for (int i = 0; heard && i < count; i++) heard[i] = text[i] == common ? common : negative_line(spec, text[i]);
    done = heard && cpl_listener_open(&prepared->negative, &context->texts, heard, count, error);
    free(heard);
    free_negatives(text, count, common);
    return done;
}

static bool open_negative(cpl_prepared *prepared, cpl_context *context, const cpl_layout *layout, int own_lines,
                          cpl_error *error) {
    char *plain = cpl_without_loras(layout->negative ? layout->negative : "", error);
    if (!plain) return false;
    char *common = negative_line(&context->engine->model->spec, plain);
    bool done = has_own_negatives(layout, own_lines)
                    ? open_own_negatives(prepared, context, layout, common, error)
                    : cpl_listener_open(&prepared->negative, &context->texts, &common, 1, error);
    free(plain);
    return done;
}

/* The whole prompt as it was typed, but for its LoRA tags; of a layout without one the lines, one below the other. */
static char *whole_prompt(const cpl_layout *layout, const cpl_lines *lines, cpl_error *error) {
    if (layout->prompt) return cpl_without_loras(layout->prompt, error);
    size_t size = 1, used = 0;
    for (int i = 0; i < lines->count; i++) size += strlen(lines->line[i]) + 1;
    char *text = cpl_alloc(size, 1, error);
    for (int i = 0; text && i < lines->count; i++) {
        size_t length = strlen(lines->line[i]);
        if (i > 0) text[used++] = '\n';
        memcpy(text + used, lines->line[i], length);
        used += length;
    }
    return text;
}

/* All lines share the vector beside the context. That of an empty negative prompt is zeros. */
static bool pool_prompts(cpl_prepared *prepared, cpl_context *context, const cpl_layout *layout, const cpl_lines *lines,
                         cpl_error *error) {
    if (!cpl_model_pooled_width(&context->engine->model->spec)) return true;
    char *prompt = whole_prompt(layout, lines, error);
    if (prompt) prepared->positive_pooled = cpl_texts_pool(&context->texts, prompt, error);
    free(prompt);
    if (!prepared->positive_pooled || !layout->negative) return prepared->positive_pooled;
    char *negative = cpl_without_loras(layout->negative, error);
    bool done = negative;
    if (negative && *negative) {
        prepared->negative_pooled = cpl_texts_pool(&context->texts, negative, error);
        done = prepared->negative_pooled;
    }
    free(negative);
    return done;
}

static bool make_infos(cpl_prepared *prepared, const cpl_context *context, const cpl_lines *lines, cpl_error *error) {
    prepared->infos = cpl_alloc((size_t)lines->count, sizeof *prepared->infos, error);
    if (!prepared->infos) return false;
    prepared->info_count = lines->count;
    for (int i = 0; i < lines->count; i++) {
        if (!cpl_model_line_info(context->engine->model, lines->line[i], &prepared->infos[i], error)) return false;
        prepared->infos[i].vanishes = prepared->plans->vanishes[i];
    }
    return true;
}

static bool prepare_lines(cpl_prepared *prepared, cpl_context *context, const cpl_snapshot *snapshot, line_list *lines,
                          cpl_error *error) {
    const cpl_layout *layout = snapshot->layout;
    if (!list_positive(lines, layout, error)) return false;
    prepared->plans =
        cpl_plans_find(context->plans, context->engine->model, layout, &snapshot->settings, lines->own.count, error);
    return prepared->plans && add_fill(lines, layout, prepared->plans->lines, error) &&
           make_infos(prepared, context, &lines->own, error) &&
           cpl_listener_open(&prepared->positive, &context->texts, lines->text, lines->count, error) &&
           open_negative(prepared, context, layout, lines->own.count, error) &&
           pool_prompts(prepared, context, layout, &lines->own, error);
}

static bool find_loras(cpl_prepared *prepared, cpl_context *context, const cpl_snapshot *snapshot, cpl_error *error) {
    bool fresh;
    if (!snapshot->lora_count) return true;
    prepared->loras =
        cpl_loras_find(context->loras, context->engine->model, snapshot->loras, snapshot->lora_count, &fresh, error);
    if (prepared->loras && fresh) memcpy(prepared->note, prepared->loras->note, sizeof prepared->note);
    return prepared->loras;
}

bool cpl_prepare(cpl_prepared *prepared, cpl_context *context, const cpl_snapshot *snapshot, cpl_error *error) {
    line_list lines = {0};
    *prepared = (cpl_prepared){0};
    if (find_loras(prepared, context, snapshot, error)) {
        cpl_texts_use(&context->texts, prepared->loras);
        prepared->ready = prepare_lines(prepared, context, snapshot, &lines, error);
        cpl_texts_use(&context->texts, NULL);
    }
    clear_lines(&lines);
    if (prepared->ready) return true;
    cpl_prepared_clear(prepared, context);
    return false;
}

void cpl_prepared_clear(cpl_prepared *prepared, cpl_context *context) {
    cpl_listener_close(&prepared->positive, &context->texts);
    cpl_listener_close(&prepared->negative, &context->texts);
    cpl_texts_release_pooled(&context->texts, prepared->positive_pooled);
    cpl_texts_release_pooled(&context->texts, prepared->negative_pooled);
    if (prepared->plans) cpl_cache_release(context->plans, prepared->plans);
    if (prepared->loras) cpl_cache_release(context->loras, prepared->loras);
    free(prepared->infos);
    *prepared = (cpl_prepared){0};
}

/* One line covers every token with weight 1: no plan is needed to say that. */
static cpl_unet_text listen_to(const cpl_listener *listener, const cpl_plan_set *plans) {
    return (cpl_unet_text){.lines = listener->lines,
                           .kv = listener->kv,
                           .plans = listener->lines > 1 ? (const cpl_plan *const *)plans->level : NULL};
}

cpl_unet_text cpl_prepared_positive(const cpl_prepared *prepared) {
    return listen_to(&prepared->positive, prepared->plans);
}

cpl_unet_text cpl_prepared_negative(const cpl_prepared *prepared) {
    return listen_to(&prepared->negative, prepared->plans);
}
