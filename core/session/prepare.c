/* prepare.c: from a snapshot to what the network listens to. It decides which texts and plans are needed; the caches know
 * which of them are new. */
#include "prepare.h"

#include <stdlib.h>
#include <string.h>

#include "../layout/compose.h"
#include "../layout/lines.h"
#include "../layout/loras.h"
#include "../memory/alloc.h"
#include "../sample/sampler.h"
#include "tokens.h"

#define MAX_PARTS 16 /* each is a whole pass of the network */

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
    } all[] = {
        {"sampling.sampler", settings->sampler, cpl_sampler_names()},
        {"sampling.schedule", settings->schedule, cpl_schedule_names()},
        {"sampling.rng", settings->rng, cpl_rng_names()},
        {"hires.upscaler", *settings->hires_upscaler ? settings->hires_upscaler : "latent", cpl_upscaler_names()}};
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

/* All that the steps of making ready share. */
typedef struct maker {
    cpl_prepared *prepared;
    cpl_context *context;
    const cpl_snapshot *snapshot;
    bool second;
    cpl_error *error;
} maker;

/* The texts of a prompt in their turns; `changes`: it may have more than one. NULL: none, a context of zeros. */
static bool make_turns(const maker *m, const char *text, bool changes, cpl_turns *turns) {
    const cpl_settings *settings = &m->snapshot->settings;
    int calls = cpl_sampler_calls(settings->sampler, settings->steps), before = 0;
    if (m->second) {
        before = calls;
        calls = cpl_sampler_calls(settings->sampler, settings->hires_steps);
    }
    *turns = (cpl_turns){0};
    if (!text) return true;
    return changes ? cpl_turns_read(text, calls, before, turns, m->error)
                   : cpl_turns_keep(text, calls, turns, m->error);
}

static bool open_lines(const maker *m, cpl_voice *voice, char *const *text, int count, bool changes) {
    cpl_turns *turns = cpl_alloc((size_t)count, sizeof *turns, m->error);
    bool done = turns != NULL;
    for (int i = 0; done && i < count; i++) done = make_turns(m, text[i], changes, &turns[i]);
    done = done && cpl_listener_open(&voice->lines, &m->context->texts, turns, count, m->snapshot->settings.clip_skip,
                                     m->error);
    for (int i = 0; turns && i < count; i++) cpl_turns_clear(&turns[i]);
    free(turns);
    return done;
}

/* All lines share the vector beside the context. */
static bool open_summary(const maker *m, cpl_voice *voice, const char *prompt, bool changes) {
    cpl_turns turns;
    if (!cpl_model_pooled_width(&m->context->engine->model->spec)) return true;
    if (!make_turns(m, prompt, changes, &turns)) return false;
    bool done = cpl_summary_open(&voice->summary, &m->context->texts, &turns, m->error);
    cpl_turns_clear(&turns);
    return done;
}

/* ---- The negative half ---- */

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

static bool open_own_negatives(const maker *m, char *common) {
    const cpl_layout *layout = m->snapshot->layout;
    const cpl_model_spec *spec = &m->context->engine->model->spec;
    int count = m->prepared->plans->lines;
    char **owned = cpl_alloc((size_t)count, sizeof *owned, m->error);
    char **heard = cpl_alloc((size_t)count, sizeof *heard, m->error);
    bool done = owned && heard;
    for (int i = 0; done && i < count; i++) {
        const char *own = i < layout->region_count ? layout->regions[i].negative : NULL;
        heard[i] = common;
        if (!own) continue;
        owned[i] = cpl_without_loras(own, m->error);
        done = owned[i];
        if (done) heard[i] = negative_line(spec, owned[i]);
    }
    done = done && open_lines(m, &m->prepared->negative, heard, count, true);
    for (int i = 0; owned && i < count; i++) free(owned[i]);
    free(owned);
    free(heard);
    return done;
}

/* Negative texts may always change during a run, as in the original; AND is a word there. */
static bool open_negative(const maker *m, int own_lines) {
    const cpl_layout *layout = m->snapshot->layout;
    char *plain = cpl_without_loras(layout->negative ? layout->negative : "", m->error);
    if (!plain) return false;
    char *common = negative_line(&m->context->engine->model->spec, plain);
    bool done = has_own_negatives(layout, own_lines) ? open_own_negatives(m, common)
                                                     : open_lines(m, &m->prepared->negative, &common, 1, true);
    done = done && (!*plain || open_summary(m, &m->prepared->negative, plain, true));
    free(plain);
    return done;
}

/* ---- The positive half ---- */

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

static bool make_voices(const maker *m, int count) {
    m->prepared->positive = cpl_alloc((size_t)count, sizeof *m->prepared->positive, m->error);
    if (!m->prepared->positive) return false;
    m->prepared->positives = count;
    for (int i = 0; i < count; i++) m->prepared->positive[i].weight = 1;
    return true;
}

static bool open_one_voice(const maker *m, line_list *lines) {
    const cpl_layout *layout = m->snapshot->layout;
    if (!make_voices(m, 1) || !open_lines(m, &m->prepared->positive[0], lines->text, lines->count, layout->schedules))
        return false;
    char *prompt = whole_prompt(layout, &lines->own, m->error);
    bool done = prompt && open_summary(m, &m->prepared->positive[0], prompt, layout->schedules);
    free(prompt);
    return done;
}

/* One line that may ask for several pictures, each with a weight in the guidance. */
static bool open_voices(const maker *m, char *line) {
    cpl_parts parts;
    if (!cpl_parts_read(line, &parts, m->error)) return false;
    bool done = parts.count <= MAX_PARTS ||
                cpl_fail_at(m->error, 0, "regions[0].prompt",
                            "regions[0].prompt: %d parts joined by AND; %d are possible", parts.count, MAX_PARTS);
    done = done && make_voices(m, parts.count);
    for (int i = 0; done && i < parts.count; i++) {
        cpl_voice *voice = &m->prepared->positive[i];
        voice->weight = parts.list[i].weight;
        done = open_lines(m, voice, &parts.list[i].text, 1, true) && open_summary(m, voice, parts.list[i].text, true);
    }
    cpl_parts_clear(&parts);
    return done;
}

/* The check of the layout knows only its own lines. */
static bool refuse_composition(const maker *m, const line_list *lines) {
    for (int i = 0; i < lines->count; i++)
        if (cpl_parts_any(lines->text[i]))
            return cpl_fail_at(m->error, i, "regions",
                               "AND composes whole pictures and cannot stand in one of several "
                               "lines, of which the one that fills the hole is one");
    return true;
}

static bool open_positive(const maker *m, line_list *lines) {
    if (!m->snapshot->layout->schedules) return open_one_voice(m, lines);
    if (lines->count == 1 && cpl_parts_any(lines->text[0])) return open_voices(m, lines->text[0]);
    return refuse_composition(m, lines) && open_one_voice(m, lines);
}

/* ---- What is told of the lines ---- */

/* One text of a line, from the call behind `before` to that of its turn. */
static bool add_text(const maker *m, int line, double weight, const cpl_turn *turn, int before) {
    cpl_prepared *prepared = m->prepared;
    cpl_line_text *to = &prepared->texts[prepared->text_count];
    *to = (cpl_line_text){.line = line, .first = before + 1, .last = turn->last, .weight = weight};
    if (!cpl_text_set(&to->text, turn->text, m->error)) return false;
    prepared->text_count++;
    if (!cpl_model_line_info(m->context->engine->model, m->context->embeddings, to->text, &to->info, m->error))
        return false;
    cpl_line_info_add(&prepared->infos[line], &to->info);
    return true;
}

static bool add_line(const maker *m, int line) {
    const cpl_prepared *prepared = m->prepared;
    for (int v = 0; v < prepared->positives; v++) {
        const cpl_voice *voice = &prepared->positive[v];
        const cpl_turns *turns = &voice->lines.speech[line].turns;
        for (int k = 0; k < turns->count; k++)
            if (!add_text(m, line, voice->weight, &turns->list[k], k ? turns->list[k - 1].last : 0)) return false;
    }
    prepared->infos[line].vanishes = prepared->plans->vanishes[line];
    return true;
}

static int count_texts(const cpl_prepared *prepared, int lines) {
    int count = 0;
    for (int v = 0; v < prepared->positives; v++)
        for (int i = 0; i < lines; i++) count += prepared->positive[v].lines.speech[i].turns.count;
    return count;
}

static bool make_infos(const maker *m, const cpl_lines *lines) {
    cpl_prepared *prepared = m->prepared;
    prepared->infos = cpl_alloc((size_t)lines->count, sizeof *prepared->infos, m->error);
    prepared->texts = cpl_alloc((size_t)count_texts(prepared, lines->count) + 1, sizeof *prepared->texts, m->error);
    if (!prepared->infos || !prepared->texts) return false;
    prepared->info_count = lines->count;
    for (int i = 0; i < lines->count; i++)
        if (!add_line(m, i)) return false;
    return true;
}

/* ---- All of it ---- */

static bool check_clip_skip(const maker *m) {
    const cpl_model_spec *spec = &m->context->engine->model->spec;
    int skip = m->snapshot->settings.clip_skip;
    for (int i = 0; i < spec->texts; i++)
        if (skip > spec->text[i].layers)
            return cpl_fail_at(m->error, -1, "sampling.clip_skip",
                               "sampling.clip_skip: %d, but the model's text encoder has %d layers", skip,
                               spec->text[i].layers);
    return true;
}

static bool prepare_lines(const maker *m, line_list *lines) {
    const cpl_layout *layout = m->snapshot->layout;
    if (!check_clip_skip(m) || !list_positive(lines, layout, m->error)) return false;
    m->prepared->plans = cpl_plans_find(m->context->plans, m->context->engine->model, layout, &m->snapshot->settings,
                                        m->second, lines->own.count, m->error);
    return m->prepared->plans && add_fill(lines, layout, m->prepared->plans->lines, m->error) &&
           open_positive(m, lines) && make_infos(m, &lines->own) && open_negative(m, lines->own.count);
}

static bool find_loras(cpl_prepared *prepared, cpl_context *context, const cpl_snapshot *snapshot, cpl_error *error) {
    if (!snapshot->lora_count) return true;
    prepared->loras =
        cpl_loras_find(context->loras, context->engine->model, snapshot->loras, snapshot->lora_count, error);
    return prepared->loras;
}

/* Those that were read for the snapshot before serve again if they are the same. */
static bool find_embeddings(cpl_context *context, const cpl_snapshot *snapshot, cpl_error *error) {
    const cpl_model *model = context->engine->model;
    if (cpl_embeddings_are(context->embeddings, snapshot->embeddings, snapshot->embedding_count)) return true;
    cpl_embeddings_free(context->embeddings);
    context->embeddings = NULL;
    if (!snapshot->embedding_count) return true;
    context->embeddings = cpl_embeddings_new(snapshot->embeddings, snapshot->embedding_count, model->tokenizer,
                                             &model->info, true, error);
    return context->embeddings;
}

bool cpl_prepare(cpl_prepared *prepared, cpl_context *context, const cpl_snapshot *snapshot, bool second,
                 cpl_error *error) {
    line_list lines = {0};
    /* A run that is between two steps goes on with its own when this is done, whether that succeeds or not. */
    const cpl_adapters *of_run = context->stream->adapters;
    maker m = {prepared, context, snapshot, second, error};
    *prepared = (cpl_prepared){0};
    if (find_loras(prepared, context, snapshot, error) && find_embeddings(context, snapshot, error)) {
        cpl_texts_use(&context->texts, prepared->loras, context->embeddings);
        prepared->ready = prepare_lines(&m, &lines);
        cpl_texts_use(&context->texts, NULL, NULL);
        context->stream->adapters = of_run;
    }
    clear_lines(&lines);
    if (prepared->ready) return true;
    cpl_prepared_clear(prepared, context);
    return false;
}

static void close_voice(cpl_voice *voice, cpl_texts *texts) {
    cpl_listener_close(&voice->lines, texts);
    cpl_summary_close(&voice->summary, texts);
}

void cpl_prepared_clear(cpl_prepared *prepared, cpl_context *context) {
    for (int i = 0; i < prepared->positives; i++) close_voice(&prepared->positive[i], &context->texts);
    close_voice(&prepared->negative, &context->texts);
    if (prepared->plans) cpl_cache_release(context->plans, prepared->plans);
    if (prepared->loras) cpl_cache_release(context->loras, prepared->loras);
    free(prepared->positive);
    cpl_line_texts_free(prepared->texts, prepared->text_count);
    free(prepared->infos);
    *prepared = (cpl_prepared){0};
}

/* One line covers every token with weight 1: no plan is needed to say that. */
cpl_unet_text cpl_prepared_text(const cpl_prepared *prepared, const cpl_voice *voice) {
    const cpl_listener *listener = &voice->lines;
    return (cpl_unet_text){.lines = listener->lines,
                           .kv = listener->kv,
                           .plans = listener->lines > 1 ? (const cpl_plan *const *)prepared->plans->level : NULL};
}

void cpl_prepared_turn(cpl_prepared *prepared, int call) {
    for (int i = 0; i < prepared->positives; i++) cpl_listener_turn(&prepared->positive[i].lines, call);
    cpl_listener_turn(&prepared->negative.lines, call);
}
