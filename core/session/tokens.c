/* tokens.c: counts the tokens of a layout's lines with no model loaded: a header and a vocabulary are enough. */
#include "tokens.h"

#include <stdlib.h>
#include <string.h>

#include "../layout/compose.h"
#include "../layout/turns.h"
#include "../memory/alloc.h"
#include "../model/builtin.h"
#include "../model/model.h"
#include "../sample/sampler.h"
#include "embedding_wants.h"

void cpl_line_info_add(cpl_line_info *info, const cpl_line_info *text) {
    char unknown[sizeof info->unknown];
    memcpy(unknown, *info->unknown ? info->unknown : text->unknown, sizeof unknown);
    if (text->tokens > info->tokens || info->room == 0) {
        info->tokens = text->tokens;
        info->room = text->room;
        info->chunks = text->chunks;
        memcpy(info->chunk_tokens, text->chunk_tokens, sizeof info->chunk_tokens);
    }
    memcpy(info->unknown, unknown, sizeof unknown);
}

cpl_line_text *cpl_line_texts_copy(const cpl_line_text *list, int count) {
    cpl_line_text *copy = cpl_alloc((size_t)count + 1, sizeof *copy, NULL);
    bool done = copy != NULL;
    for (int i = 0; done && i < count; i++) {
        copy[i] = list[i];
        copy[i].text = NULL;
        done = cpl_text_set(&copy[i].text, list[i].text, NULL);
    }
    if (done) return copy;
    cpl_line_texts_free(copy, count);
    return NULL;
}

void cpl_line_texts_free(cpl_line_text *list, int count) {
    for (int i = 0; list && i < count; i++) free(list[i].text);
    free(list);
}

typedef struct counter {
    const cpl_layout *layout;
    cpl_model_info model;
    cpl_settings settings;
    cpl_tokenizer *tokenizer;   /* owned */
    cpl_embeddings *embeddings; /* owned */
    cpl_error *error;
} counter;

static bool add_text(const counter *c, const char *text, cpl_line_info *info) {
    const cpl_token_counter by = {c->tokenizer, c->embeddings, c->model.context_length, c->model.closed_vocabulary};
    cpl_line_info one;
    if (!cpl_tokens_info(&by, text, &one, c->error)) return false;
    cpl_line_info_add(info, &one);
    return true;
}

/* A text in its turns. */
static bool add_turns(const counter *c, const char *text, cpl_line_info *info) {
    cpl_turns turns;
    int calls = cpl_sampler_calls(c->settings.sampler, c->settings.steps);
    if (!cpl_turns_read(text, calls, 0, &turns, c->error)) return false;
    bool done = true;
    for (int i = 0; done && i < turns.count; i++) done = add_text(c, turns.list[i].text, info);
    cpl_turns_clear(&turns);
    return done;
}

static bool add_line(const counter *c, const char *line, cpl_line_info *info) {
    cpl_parts parts;
    if (!c->layout->schedules) return add_text(c, line, info);
    if (!cpl_parts_read(line, &parts, c->error)) return false;
    bool done = true;
    for (int i = 0; done && i < parts.count; i++) done = add_turns(c, parts.list[i].text, info);
    cpl_parts_clear(&parts);
    return done;
}

static bool open_counter(counter *c, const char *tokenizer) {
    const cpl_layout *layout = c->layout;
    cpl_model_source source = cpl_layout_source(layout);
    source.tokenizer = tokenizer;
    if (!cpl_model_peek(&source, &c->model, c->error) ||
        !cpl_layout_resolve(layout, &c->model.defaults, &c->settings, c->error))
        return false;
    if (!*c->model.path)
        c->tokenizer = cpl_builtin_tokenizer(c->error);
    else if (tokenizer || *c->model.tokenizer)
        c->tokenizer = cpl_tokenizer_open(tokenizer ? tokenizer : c->model.tokenizer, c->error);
    else
        cpl_no_tokenizer(c->model.name, c->error);
    return c->tokenizer != NULL;
}

static bool read_embeddings(counter *c, const char *directory) {
    cpl_embedding_want *wants = NULL;
    int count = 0;
    cpl_embedding_index *index = cpl_embedding_index_new(directory, c->error);
    if (index && cpl_embedding_wants_find(&wants, &count, c->layout, index, c->model.path, c->error))
        c->embeddings = cpl_embeddings_new(wants, count, c->tokenizer, &c->model, false, c->error);
    cpl_embedding_wants_free(wants, count);
    cpl_embedding_index_free(index);
    return c->embeddings != NULL;
}

bool cpl_layout_tokens(const cpl_layout *layout, const char *tokenizer, const char *embedding_dir,
                       cpl_line_info **infos, int *count, cpl_error *error) {
    counter c = {.layout = layout, .error = error};
    cpl_lines lines = {0};
    *infos = NULL;
    *count = 0;
    bool done =
        open_counter(&c, tokenizer) && read_embeddings(&c, embedding_dir) && cpl_layout_lines(layout, &lines, error);
    if (done) *infos = cpl_alloc((size_t)lines.count, sizeof **infos, error);
    done = done && *infos;
    for (int i = 0; done && i < lines.count; i++) done = add_line(&c, lines.line[i], &(*infos)[i]);
    if (done) {
        *count = lines.count;
    } else {
        free(*infos);
        *infos = NULL;
    }
    cpl_lines_clear(&lines);
    cpl_embeddings_free(c.embeddings);
    cpl_tokenizer_free(c.tokenizer);
    return done;
}
