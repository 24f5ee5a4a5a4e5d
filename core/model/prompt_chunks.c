/* prompt_chunks.c: a weighted prompt as chunks of token ids. A full chunk gives what follows its last comma to the next
 * one, if that comma is near enough; BREAK closes a chunk (golden/engine/FORMAT.md section 2). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "prompt.h"

#define COMMA_BACKTRACK 20 /* tokens, the original's default */
#define MAX_WEIGHT 1e6     /* far beyond any use; keeps the encoder's output finite */

typedef struct chunker {
    cpl_chunks *out;
    const cpl_tokenizer *tokenizer;
    const cpl_embeddings *embeddings;
    int ids_room, multipliers_room; /* of the arrays in `out` */
    int used;                       /* tokens in the open chunk, which lies behind the closed ones */
    int last_comma;                 /* position in the open chunk, -1: none */
    cpl_error *error;
} chunker;

static int *open_ids(const chunker *c) { return c->out->ids + (size_t)c->out->chunks * (size_t)c->out->length + 1; }
static float *open_multipliers(const chunker *c) {
    return c->out->multipliers + (size_t)c->out->chunks * (size_t)c->out->length + 1;
}

/* Makes the chunk behind the closed ones: a start marker, then nothing but end markers. */
static bool open_chunk(chunker *c) {
    cpl_chunks *out = c->out;
    if (out->chunks >= INT32_MAX / 2 / out->length - 1)
        return cpl_fail(c->error, CPL_E_INPUT, "the prompt is too long");
    int need = (out->chunks + 1) * out->length;
    if (!cpl_grow((void **)&out->ids, &c->ids_room, need, sizeof *out->ids, c->error) ||
        !cpl_grow((void **)&out->multipliers, &c->multipliers_room, need, sizeof *out->multipliers, c->error))
        return false;
    for (int i = -1; i < out->length - 1; i++) {
        open_ids(c)[i] = i < 0 ? cpl_tokenizer_start(c->tokenizer) : cpl_tokenizer_end(c->tokenizer);
        open_multipliers(c)[i] = 1;
    }
    c->used = 0;
    c->last_comma = -1;
    return true;
}

static void put(chunker *c, int id, float multiplier) {
    open_ids(c)[c->used] = id;
    open_multipliers(c)[c->used++] = multiplier;
}

static bool close_chunk(chunker *c) {
    c->out->chunks++;
    return open_chunk(c);
}

/* Closes the full chunk after its comma and takes what follows the comma along. */
static bool close_at_comma(chunker *c) {
    int ids[COMMA_BACKTRACK], first = c->last_comma + 1, length = c->used - first;
    float multipliers[COMMA_BACKTRACK];
    for (int i = 0; i < length; i++) {
        ids[i] = open_ids(c)[first + i];
        multipliers[i] = open_multipliers(c)[first + i];
        open_ids(c)[first + i] = cpl_tokenizer_end(c->tokenizer);
        open_multipliers(c)[first + i] = 1;
    }
    if (!close_chunk(c)) return false;
    for (int i = 0; i < length; i++) put(c, ids[i], multipliers[i]);
    return true;
}

/* Before a word whose first id this is. */
static bool make_room(chunker *c, int id) {
    int room = c->out->length - 2;
    if (id == cpl_tokenizer_comma(c->tokenizer) && id >= 0)
        c->last_comma = c->used;
    else if (c->used == room && c->last_comma >= 0 && c->used - c->last_comma <= COMMA_BACKTRACK && !close_at_comma(c))
        return false;
    /* A comma that does not fit any more is the first of the next chunk; the original forgets that it is one. */
    return c->used < room || close_chunk(c);
}

static bool add_vectors(chunker *c, int first, int count, float multiplier) {
    if (c->used + count > c->out->length - 2 && !close_chunk(c)) return false;
    for (int i = 0; i < count; i++) put(c, cpl_vector_id(first + i), multiplier);
    return true;
}

/* A name begins with a word: which texts have one is known from their words alone, see spelling.h, and keys are made of that. */
static bool add_ids(chunker *c, const int *ids, int count, float multiplier) {
    for (int at = 0, length; at < count; at += length) {
        int first, vectors;
        bool within = at > 0 && !cpl_tokenizer_ends_word(c->tokenizer, ids[at - 1]);
        if (!make_room(c, ids[at])) return false;
        length = within ? 0 : cpl_embeddings_at(c->embeddings, ids + at, count - at, &first, &vectors);
        if (!length) {
            put(c, ids[at], multiplier);
            length = 1;
        } else if (!add_vectors(c, first, vectors, multiplier)) {
            return false;
        }
    }
    return true;
}

static bool add_part(chunker *c, const cpl_prompt_part *part) {
    int *ids, count;
    /* Only an exact -1: inside brackets BREAK was multiplied and is text. */
    if (part->weight == -1 && !strcmp(part->text, "BREAK")) return close_chunk(c);
    if (!(fabs(part->weight) <= MAX_WEIGHT))
        return cpl_fail(c->error, CPL_E_INPUT, "the weight of '%.40s' is too large; keep weights below 10", part->text);
    if (!cpl_tokenizer_encode(c->tokenizer, part->text, &ids, &count, c->error)) return false;
    bool ok = add_ids(c, ids, count, (float)part->weight);
    free(ids);
    return ok;
}

/* What follows the first end marker of a chunk is filling. */
static void fill(cpl_chunks *chunks, int end, int pad) {
    for (int i = 0; i < chunks->chunks; i++) {
        int *ids = chunks->ids + (size_t)i * (size_t)chunks->length, at = 1;
        while (at < chunks->length && ids[at] != end) at++;
        while (++at < chunks->length) ids[at] = pad;
    }
}

bool cpl_prompt_chunks(const cpl_tokenizer *tokenizer, const cpl_embeddings *embeddings, const char *text,
                       int context_length, int pad, cpl_chunks *chunks, cpl_error *error) {
    chunker c = {.out = chunks, .tokenizer = tokenizer, .embeddings = embeddings, .error = error};
    cpl_prompt_part *parts = NULL;
    int count = 0;
    *chunks = (cpl_chunks){.length = context_length};
    if (context_length < 3)
        return cpl_fail(error, CPL_E_INPUT, "a chunk of %d tokens has no room for text", context_length);
    bool ok = cpl_prompt_parse(text, &parts, &count, error) && open_chunk(&c);
    for (int i = 0; ok && i < count; i++) ok = add_part(&c, &parts[i]);
    chunks->tokens = chunks->chunks * (context_length - 2) + c.used;
    if (ok && (c.used || !chunks->chunks)) chunks->chunks++;
    if (ok && pad != cpl_tokenizer_end(tokenizer)) fill(chunks, cpl_tokenizer_end(tokenizer), pad);
    cpl_prompt_parts_free(parts, count);
    if (!ok) cpl_chunks_clear(chunks);
    return ok;
}

void cpl_chunks_clear(cpl_chunks *chunks) {
    free(chunks->ids);
    free(chunks->multipliers);
    *chunks = (cpl_chunks){0};
}
