/* embedding.c: reads the vectors of the names in use into one table an encoder, and finds those names among token ids. */
#include "embedding.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/hash.h"
#include "../memory/unicode.h"
#include "embedding_file.h"
#include "spelling.h"

/* ComfyUI's users write something before a name and may write the ending that the file had there, the WebUI's write the name. */
static const struct {
    const char *before, *behind;
} spellings[] = {
    {"embedding:", ".safetensors"}, {"embedding:", ".pt"}, {"embedding:", ".bin"}, {"embedding:", ""}, {"", ""}};
enum { SPELLINGS = sizeof spellings / sizeof *spellings };

typedef struct word {
    int *ids; /* owned */
    int count;
} word;

typedef struct embedding {
    char *name, *spelling; /* owned */
    uint64_t identity;
    word words[SPELLINGS];
    int first, vectors; /* rows of the tables */
} embedding;

struct cpl_embeddings {
    embedding *list; /* owned */
    int count, rows;
    float *table[CPL_MAX_TEXTS]; /* owned: [rows][width]; NULL: not read */
};

void cpl_embedding_wants_free(cpl_embedding_want *wants, int count) {
    for (int i = 0; wants && i < count; i++) {
        free(wants[i].name);
        free(wants[i].path);
        free(wants[i].spelling);
    }
    free(wants);
}

void cpl_embeddings_free(cpl_embeddings *e) {
    if (!e) return;
    for (int i = 0; e->list && i < e->count; i++) {
        for (int k = 0; k < SPELLINGS; k++) free(e->list[i].words[k].ids);
        free(e->list[i].name);
        free(e->list[i].spelling);
    }
    for (int i = 0; i < CPL_MAX_TEXTS; i++) free(e->table[i]);
    free(e->list);
    free(e);
}

/* ---- Reading ---- */

static bool blame(const cpl_embedding_want *want, const cpl_error *fault, cpl_error *error) {
    if (fault->code != CPL_E_MEMORY)
        return cpl_fail_at(error, want->row, want->place, "%s: \"%.*s\": %s", want->place,
                           (int)cpl_utf8_fit(want->name, 60), want->name, fault->message);
    if (error) *error = *fault;
    return false;
}

static bool fits(const cpl_embedding_info *file, const cpl_model_info *model, cpl_error *error) {
    int room = model->context_length - 2;
    if (file->vectors > room)
        return cpl_fail(error, CPL_E_INPUT, "%s has %d vectors, but a chunk of the model's texts has room for %d",
                        file->path, file->vectors, room);
    for (int i = 0; i < CPL_MAX_TEXTS; i++)
        if (file->width[i] != model->text_width[i])
            return cpl_fail(error, CPL_E_INPUT,
                            "%s has vectors of %d values where the model's text encoder has %d; take the name out of "
                            "the text, or the file out of its folder",
                            file->path, file->width[i], model->text_width[i]);
    return true;
}

/* Makes the tables longer by what the file holds. */
static bool read_rows(cpl_embeddings *e, embedding *to, const cpl_embedding_file *file, bool values, cpl_error *error) {
    to->first = e->rows;
    to->vectors = file->info.vectors;
    for (int i = 0; values && i < CPL_MAX_TEXTS && file->part[i]; i++) {
        size_t width = (size_t)file->info.width[i], old = (size_t)e->rows * width;
        size_t more = (size_t)to->vectors * width;
        float *read = cpl_safetensors_f32(file->st, file->part[i], error), *table = NULL;
        if (read) table = cpl_alloc(old + more, sizeof *table, error);
        if (table) {
            if (old) memcpy(table, e->table[i], old * sizeof *table);
            memcpy(table + old, read, more * sizeof *table);
            free(e->table[i]);
            e->table[i] = table;
        }
        free(read);
        if (!table) return false;
    }
    e->rows += to->vectors;
    return true;
}

static bool read_words(embedding *to, const cpl_tokenizer *tokenizer, cpl_error *error) {
    bool done = true;
    for (int i = 0; done && i < SPELLINGS; i++) {
        char *text = cpl_format(error, "%s%s%s", spellings[i].before, to->name, spellings[i].behind);
        done = text && cpl_tokenizer_encode(tokenizer, text, &to->words[i].ids, &to->words[i].count, error);
        free(text);
    }
    return done;
}

typedef struct reader {
    const cpl_tokenizer *tokenizer;
    const cpl_model_info *model;
    bool values;
} reader;

static bool read_one(cpl_embeddings *e, const cpl_embedding_want *want, const reader *r, cpl_error *error) {
    cpl_embedding_file file;
    embedding *to = &e->list[e->count++];
    to->identity = want->identity;
    to->name = cpl_strdup(want->name, error);
    to->spelling = cpl_strdup(want->spelling, error);
    if (!to->name || !to->spelling || !cpl_embedding_file_open(&file, want->path, error)) return false;
    bool done = cpl_safetensors_identity(file.st) == want->identity ||
                cpl_fail(error, CPL_E_FILE, "%s: the file changed while it was read; generate again", want->path);
    done = done && fits(&file.info, r->model, error) && read_rows(e, to, &file, r->values, error) &&
           (!r->tokenizer || read_words(to, r->tokenizer, error));
    cpl_embedding_file_close(&file);
    return done;
}

cpl_embeddings *cpl_embeddings_new(const cpl_embedding_want *wants, int count, const cpl_tokenizer *tokenizer,
                                   const cpl_model_info *model, bool values, cpl_error *error) {
    const reader r = {tokenizer, model, values};
    cpl_embeddings *e = cpl_alloc(1, sizeof *e, error);
    if (!e) return NULL;
    e->list = cpl_alloc((size_t)count + 1, sizeof *e->list, error);
    bool done = e->list != NULL;
    for (int i = 0; done && i < count; i++) {
        cpl_error fault = {0};
        done = read_one(e, &wants[i], &r, &fault) || blame(&wants[i], &fault, error);
    }
    if (done) return e;
    cpl_embeddings_free(e);
    return NULL;
}

bool cpl_embeddings_are(const cpl_embeddings *e, const cpl_embedding_want *wants, int count) {
    if (!e || e->count != count) return !e && !count;
    for (int i = 0; i < count; i++)
        if (e->list[i].identity != wants[i].identity || strcmp(e->list[i].name, wants[i].name) != 0) return false;
    return true;
}

/* ---- Finding ---- */

int cpl_embeddings_at(const cpl_embeddings *e, const int *ids, int count, int *first, int *vectors) {
    int longest = 0;
    for (int i = 0; e && i < e->count; i++)
        for (int k = 0; k < SPELLINGS; k++) {
            const word *w = &e->list[i].words[k];
            if (w->count <= longest || w->count > count || memcmp(w->ids, ids, (size_t)w->count * sizeof *ids) != 0)
                continue;
            longest = w->count;
            *first = e->list[i].first;
            *vectors = e->list[i].vectors;
        }
    return longest;
}

const float *cpl_embeddings_table(const cpl_embeddings *e, int encoder, int *rows) {
    *rows = e ? e->rows : 0;
    return e ? e->table[encoder] : NULL;
}

bool cpl_embeddings_mark(const cpl_embeddings *e, const char *text, uint64_t *mark, cpl_error *error) {
    *mark = 0;
    if (!e || !e->count) return true;
    char *spelling = cpl_prompt_spelling(text, error);
    if (!spelling) return false;
    for (int i = 0; i < e->count; i++)
        if (cpl_spells(spelling, e->list[i].spelling))
            *mark = cpl_hash_u64(cpl_hash_text(*mark ? *mark : CPL_HASH_START, e->list[i].name), e->list[i].identity);
    free(spelling);
    return true;
}

/* A name that begins or ends within a word is none. */
static bool stands_alone(const char *text, const char *at, size_t length) {
    const char *end = at + length, *first = at, *behind = end;
    bool inside = cpl_unicode_letter(cpl_utf8_next(&first)) && cpl_unicode_letter(cpl_utf8_before(text, at));
    return !inside && !(cpl_unicode_letter(cpl_utf8_before(at, end)) && cpl_unicode_letter(cpl_utf8_next(&behind)));
}

static void blank_name(char *text, const char *name) {
    size_t length = strlen(name);
    for (char *at = text; (at = strcasestr(at, name)); at += length) {
        if (!stands_alone(text, at, length)) continue;
        for (int k = 0; k < SPELLINGS; k++) {
            const char *before = spellings[k].before, *behind = spellings[k].behind;
            size_t prefix = strlen(before), suffix = strlen(behind);
            if ((size_t)(at - text) >= prefix && strncasecmp(at - prefix, before, prefix) == 0 &&
                strncasecmp(at + length, behind, suffix) == 0)
                memset(at - prefix, ' ', prefix + length + suffix);
        }
    }
}

void cpl_embeddings_blank(const cpl_embeddings *e, char *text) {
    for (int i = 0; e && i < e->count; i++) blank_name(text, e->list[i].name);
}
