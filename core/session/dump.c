/* dump.c: writes what a run computed. It changes nothing and is not there unless asked for. */
#include "dump.h"

#include <stdio.h>
#include <stdlib.h>

#include "../memory/alloc.h"

struct cpl_dump {
    const char *folder; /* borrowed */
    int channels, h, w;
    cpl_st_writer *steps;
    cpl_error error; /* of the first step that could not be kept */
};

static bool save(const cpl_dump *dump, cpl_st_writer *writer, const char *file, cpl_error *error) {
    char *path = cpl_format(error, "%s/%s", dump->folder, file);
    bool done = path && cpl_st_writer_save(writer, path, error);
    free(path);
    return done;
}

cpl_dump *cpl_dump_open(const char *folder, int channels, int h, int w, cpl_error *error) {
    cpl_dump *dump = cpl_alloc(1, sizeof *dump, error);
    if (!dump) return NULL;
    *dump = (cpl_dump){.folder = folder, .channels = channels, .h = h, .w = w, .steps = cpl_st_writer_new(error)};
    if (dump->steps) return dump;
    free(dump);
    return NULL;
}

static bool add_listener(cpl_st_writer *writer, const char *half, const cpl_listener *listener, cpl_stream *s,
                         cpl_error *error) {
    bool done = true;
    for (int i = 0; done && i < listener->lines; i++) {
        const cpl_tensor *t = listener->speech[i].conditioning[0];
        const int64_t shape[] = {t->w, t->c};
        char name[32];
        snprintf(name, sizeof name, "%s.%d", half, i);
        float *values = cpl_alloc(cpl_tensor_count(t), sizeof *values, error);
        if (values) s->ops->download(s, values, t);
        done = values && cpl_stream_ok(s) && cpl_st_writer_add(writer, name, values, 2, shape, error);
        free(values);
    }
    return done;
}

static bool add_plan(cpl_st_writer *writer, const cpl_plan *plan, cpl_error *error) {
    size_t cells = (size_t)plan->w * (size_t)plan->h;
    float *masks = cpl_alloc((size_t)plan->lines * cells, sizeof *masks, error);
    if (!masks) return false;
    for (int g = 0; g < plan->groups; g++) {
        const cpl_plan_group *group = &plan->group[g];
        for (int l = 0; l < group->lines; l++)
            for (int t = 0; t < group->tokens; t++) {
                size_t line = (size_t)plan->line[group->first_line + l],
                       token = (size_t)plan->token[group->first_token + t];
                masks[line * cells + token] =
                    plan->weight[group->first_weight + (size_t)l * (size_t)group->tokens + (size_t)t];
            }
    }
    const int64_t shape[] = {plan->lines, plan->h, plan->w};
    char name[32];
    snprintf(name, sizeof name, "%dx%d", plan->w, plan->h);
    bool done = cpl_st_writer_add(writer, name, masks, 3, shape, error);
    free(masks);
    return done;
}

static bool dump_conditionings(const cpl_dump *dump, const cpl_prepared *prepared, cpl_stream *s, cpl_error *error) {
    cpl_st_writer *writer = cpl_st_writer_new(error);
    bool done = writer && add_listener(writer, "positive", &prepared->positive[0].lines, s, error) &&
                add_listener(writer, "negative", &prepared->negative.lines, s, error) &&
                save(dump, writer, "conditionings.safetensors", error);
    cpl_st_writer_free(writer);
    return done;
}

bool cpl_dump_prepared(cpl_dump *dump, const cpl_prepared *prepared, cpl_stream *s, cpl_error *error) {
    if (!dump_conditionings(dump, prepared, s, error)) return false;
    cpl_st_writer *writer = cpl_st_writer_new(error);
    bool done = writer != NULL;
    for (int i = 0; done && i < CPL_MAX_LEVELS; i++)
        if (prepared->plans->level[i]) done = add_plan(writer, prepared->plans->level[i], error);
    done = done && save(dump, writer, "masks.safetensors", error);
    cpl_st_writer_free(writer);
    return done;
}

void cpl_dump_step(cpl_dump *dump, int step, const float *x, const float *denoised) {
    const int64_t shape[] = {dump->channels, dump->h, dump->w};
    char name[32];
    if (dump->error.code) return;
    snprintf(name, sizeof name, "x.%d", step);
    if (!cpl_st_writer_add(dump->steps, name, x, 3, shape, &dump->error)) return;
    snprintf(name, sizeof name, "denoised.%d", step);
    cpl_st_writer_add(dump->steps, name, denoised, 3, shape, &dump->error);
}

static bool dump_result(const cpl_dump *dump, const cpl_run_result *result, int width, int height, cpl_error *error) {
    const int64_t latent[] = {dump->channels, dump->h, dump->w}, image[] = {3, height, width};
    cpl_st_writer *writer = cpl_st_writer_new(error);
    bool done = writer && cpl_st_writer_add(writer, "latent", result->latent, 3, latent, error) &&
                (!result->image01 || cpl_st_writer_add(writer, "image01", result->image01, 3, image, error)) &&
                save(dump, writer, "result.safetensors", error);
    cpl_st_writer_free(writer);
    return done;
}

bool cpl_dump_close(cpl_dump *dump, const cpl_run_result *result, int width, int height, cpl_error *error) {
    bool done = !dump->error.code;
    if (!done && error) *error = dump->error;
    done = done && save(dump, dump->steps, "steps.safetensors", error);
    if (done && result) done = dump_result(dump, result, width, height, error);
    cpl_st_writer_free(dump->steps);
    free(dump);
    return done;
}
