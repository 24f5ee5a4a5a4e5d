/* command_check.c: `couplet check`: every problem of a layout, on stderr for people or on stdout as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "json_out.h"
#include "problems.h"

/* Above this a model is not loaded just to look at words. */
#define SMALL_MODEL_PARAMETERS (64 * 1000 * 1000)

/* In front of the warnings that are there. */
static bool add_error(cpl_problems *problems, const cpl_error *error) {
    cpl_problem *list = realloc(problems->list, ((size_t)problems->count + 1) * sizeof *list);
    if (!list) return false;
    memmove(list + 1, list, (size_t)problems->count++ * sizeof *list);
    list[0] = (cpl_problem){.error = *error};
    problems->list = list;
    return true;
}

/* Of a picture of the WebUI: behind all that is wrong with the rest. */
static void add_lost(cpl_problems *problems, const cpl_error *lost) {
    cpl_problem *list = realloc(problems->list, ((size_t)problems->count + 1) * sizeof *list);
    if (!list) return;
    list[problems->count++] = (cpl_problem){.warning = true, .error = *lost};
    problems->list = list;
}

/* What has no place in the layout is the model's: the layout by itself was found right. */
static void add_model_error(cpl_problems *problems, cpl_error *error) {
    if (!*error->path) snprintf(error->path, sizeof error->path, "sampling.model");
    add_error(problems, error);
}

/* What the model says about the lines: the core encodes them and tells. It fails only where `render` would. */
static void ask_model(const arguments *a, const cpl_layout *layout, cpl_problems *problems) {
    cpl_error error = {0};
    cpl_session *session = cpl_session_new(&(cpl_options){.device = "cpu",
                                                          .threads = 1,
                                                          .tokenizer = a->tokenizer,
                                                          .lora_dir = a->lora_dir,
                                                          .embedding_dir = a->embedding_dir},
                                           &error);
    bool waiting = session && cpl_session_sync(session, layout, CPL_SYNC_NOW, NULL, &error);
    if (!waiting) add_model_error(problems, &error);
    while (waiting && cpl_session_wait(session, -1)) {
        cpl_event event;
        while (cpl_session_next(session, &event)) {
            if (event.type == CPL_EVENT_SYNCED && waiting) add_line_warnings(layout, &event, problems);
            bool failed = event.type == CPL_EVENT_INVALID || event.type == CPL_EVENT_FAILED;
            if (failed && waiting) add_model_error(problems, &event.error);
            waiting &= event.type != CPL_EVENT_SYNCED && event.type < CPL_EVENT_FINISHED;
            cpl_event_clear(&event);
        }
    }
    cpl_session_free(session);
}

/* Of a large model: whether its tokenizer can be had at all, which its weights are not needed for. */
static void try_tokenizer(const arguments *a, const cpl_layout *layout, cpl_problems *problems) {
    cpl_error error = {0};
    cpl_line_info *infos;
    int count;
    if (!cpl_layout_tokens(layout, a->tokenizer, a->embedding_dir, &infos, &count, &error))
        add_model_error(problems, &error);
    free(infos);
}

/* True: no error (warnings may be there). */
static bool find_problems(const arguments *a, cpl_problems *problems) {
    cpl_error error = {0};
    cpl_model_info info;
    cpl_model_source source;
    cpl_layout *layout = cpl_layout_load(a->operand[0], &error);
    const cpl_error lost = error;
    error = (cpl_error){0};
    if (!layout) {
        add_error(problems, &lost);
        return false;
    }
    if (!override_layout(layout, a, &error)) {
        add_error(problems, &error);
    } else if (source = cpl_layout_source(layout), !cpl_model_peek(&source, &info, &error)) {
        add_model_error(problems, &error);
    } else if (cpl_layout_check(layout, &info.defaults, problems)) {
        if (!cpl_layout_check_start(layout, &error) || !cpl_layout_check_loras(layout, a->lora_dir, &info, &error) ||
            !cpl_layout_check_embeddings(layout, a->embedding_dir, &info, &error))
            add_error(problems, &error);
        else if (info.parameters <= SMALL_MODEL_PARAMETERS)
            ask_model(a, layout, problems);
        else
            try_tokenizer(a, layout, problems);
    }
    if (*lost.message) add_lost(problems, &lost);
    cpl_layout_free(layout);
    for (int i = 0; i < problems->count; i++)
        if (!problems->list[i].warning) return false;
    return !error.code;
}

static void print_json(const char *file, const cpl_problems *problems) {
    printf("{\"problems\": [");
    for (int i = 0; i < problems->count; i++) {
        const cpl_problem *p = &problems->list[i];
        printf("%s\n  {\"path\": ", i ? "," : "");
        json_text(stdout, p->error.path);
        bool has_row = strncmp(p->error.path, "regions[", 8) == 0 && p->error.row >= 0;
        if (has_row)
            printf(", \"row\": %d", p->error.row);
        else
            printf(", \"row\": null");
        printf(", \"severity\": \"%s\", \"message\": ", p->warning ? "warning" : "error");
        json_text(stdout, bare_message(file, &p->error));
        printf("}");
    }
    printf("%s]}\n", problems->count ? "\n" : "");
}

int command_check(const arguments *a) {
    cpl_problems problems = {0};
    bool valid = find_problems(a, &problems);
    if (a->json) print_json(a->operand[0], &problems);
    for (int i = 0; i < problems.count && !a->json; i++)
        if (!problems.list[i].warning || !a->quiet)
            say_problem(a->operand[0], &problems.list[i].error, problems.list[i].warning);
    cpl_problems_clear(&problems);
    return valid ? 0 : 1;
}
