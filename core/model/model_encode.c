/* model_encode.c: a prompt line as the context that cross-attention listens to: tokens, encoder, emphasis, and for two
 * encoders their outputs side by side. The vector that SDXL takes beside the context is model_vector.c's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "chunks.h"
#include "emphasis.h"
#include "model.h"

/* Sums in double: f32 rounding of a mean near zero would show in the ratio. */
static double sum(const float *values, size_t count) {
    double total = 0;
    for (size_t i = 0; i < count; i++) total += (double)values[i];
    return total;
}

bool cpl_emphasize(float *values, const float *multipliers, int tokens, int width, bool keep_mean) {
    size_t row = (size_t)width, count = (size_t)tokens * row;
    bool plain = true;
    for (int t = 0; t < tokens; t++) plain = plain && multipliers[t] == 1;
    if (plain) return false;
    double before = sum(values, count);
    for (int t = 0; t < tokens; t++)
        for (size_t i = 0; i < row; i++) values[(size_t)t * row + i] *= multipliers[t];
    double ratio = before / sum(values, count);
    /* A chunk whose new mean is zero (every weight 0) has no ratio and stays as it is. */
    if (keep_mean && isfinite(ratio))
        for (size_t i = 0; i < count; i++) values[i] *= (float)ratio;
    return true;
}

static bool has_emphasis(const cpl_chunks *chunks) {
    for (int i = 0; i < chunks->chunks * chunks->length; i++)
        if (chunks->multipliers[i] != 1) return true;
    return false;
}

/* x: [chunks, 1, length, width]. Once per line, so a round trip over the host costs nothing that counts. */
static void emphasize(cpl_stream *s, const cpl_tensor *x, const cpl_chunks *chunks) {
    cpl_error error = {0};
    if (!has_emphasis(chunks) || !cpl_stream_ok(s)) return;
    float *values = cpl_alloc(cpl_tensor_count(x), sizeof *values, &error);
    if (!values) {
        cpl_stream_fail(s, error.code, "%s", error.message);
        return;
    }
    s->ops->download(s, values, x);
    size_t chunk = (size_t)chunks->length * (size_t)x->c;
    for (int i = 0; i < chunks->chunks; i++)
        cpl_emphasize(values + (size_t)i * chunk, chunks->multipliers + (size_t)i * (size_t)chunks->length,
                      chunks->length, x->c, true);
    s->ops->upload(s, x, values);
    free(values);
}

/* SDXL's second encoder fills its chunks with id 0 behind the first end marker, which is the last of the vocabulary. */
int *cpl_chunks_refill(const cpl_chunks *chunks, int end, cpl_error *error) {
    int *ids = cpl_alloc((size_t)chunks->chunks * (size_t)chunks->length, sizeof *ids, error);
    for (int i = 0; ids && i < chunks->chunks; i++) {
        bool behind = false;
        for (int k = 0; k < chunks->length; k++) {
            int id = chunks->ids[i * chunks->length + k];
            ids[i * chunks->length + k] = behind ? 0 : id;
            behind = behind || id == end;
        }
    }
    return ids;
}

/* One encoder: SD 1.x takes the last layer with the final norm, SDXL's two the last but one without it, or one before. */
static cpl_tensor encode_one(const cpl_model *m, cpl_stream *s, const cpl_embeddings *e, int which, const int *ids,
                             const cpl_chunks *chunks, int clip_skip) {
    bool pair = m->spec.texts > 1;
    if (pair && clip_skip < 2) clip_skip = 2;
    const cpl_text_input input = cpl_text_input_of(e, which, ids, chunks->chunks);
    cpl_tensor x = cpl_text_encoder_run(m->text[which], s, &input, clip_skip, !pair, NULL);
    emphasize(s, &x, chunks);
    return x;
}

static bool encode_pair(const cpl_model *m, cpl_stream *s, const cpl_embeddings *e, const cpl_chunks *chunks,
                        int clip_skip, cpl_tensor *out, cpl_error *error) {
    int *ids = cpl_chunks_refill(chunks, m->spec.text[1].vocab_size - 1, error);
    if (!ids) return false;
    cpl_tensor l = encode_one(m, s, e, 0, chunks->ids, chunks, clip_skip);
    cpl_tensor g = encode_one(m, s, e, 1, ids, chunks, clip_skip);
    *out = cpl_make(s, chunks->chunks, 1, chunks->length, l.c + g.c);
    s->ops->concat(s, out, &l, &g);
    cpl_tensor_free(&l);
    cpl_tensor_free(&g);
    free(ids);
    return true;
}

bool cpl_chunks_fit(const cpl_model *model, const cpl_chunks *chunks, cpl_error *error) {
    int length = model->spec.text[0].context_length;
    return (chunks->chunks >= 1 && chunks->length == length) ||
           cpl_fail(error, CPL_E_INPUT, "%d chunks of %d tokens do not fit a model with chunks of %d", chunks->chunks,
                    chunks->length, length);
}

bool cpl_model_encode_chunks(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings,
                             const cpl_chunks *chunks, int clip_skip, cpl_tensor *conditioning, cpl_error *error) {
    *conditioning = (cpl_tensor){0};
    if (!cpl_chunks_fit(model, chunks, error)) return false;
    if (model->spec.texts == 1)
        *conditioning = encode_one(model, s, embeddings, 0, chunks->ids, chunks, clip_skip);
    else if (!encode_pair(model, s, embeddings, chunks, clip_skip, conditioning, error))
        return false;
    if (!cpl_stream_settle(s, error)) {
        cpl_tensor_free(conditioning);
        return false;
    }
    /* The chunks lie one after the other already: one text of all their tokens is the same memory. */
    conditioning->w *= conditioning->n;
    conditioning->n = 1;
    return true;
}

bool cpl_no_tokenizer(const char *model, cpl_error *error) {
    return cpl_fail(
        error, CPL_E_INPUT,
        "%s: no tokenizer was found; `make clip-vocab` fetches CLIP's, or name a folder with vocab.json and "
        "merges.txt by --tokenizer",
        model);
}

static bool need_tokenizer(const cpl_model *model, cpl_error *error) {
    return model->tokenizer || cpl_no_tokenizer(model->info.name, error);
}

bool cpl_chunks_of_line(const cpl_model *model, const cpl_embeddings *embeddings, const char *text, cpl_chunks *chunks,
                        cpl_error *error) {
    return need_tokenizer(model, error) &&
           cpl_prompt_chunks(model->tokenizer, embeddings, text, model->spec.text[0].context_length,
                             cpl_tokenizer_end(model->tokenizer), chunks, error);
}

bool cpl_model_encode(const cpl_model *model, cpl_stream *s, const cpl_embeddings *embeddings, const char *text,
                      int clip_skip, cpl_tensor *conditioning, cpl_error *error) {
    cpl_chunks chunks;
    *conditioning = (cpl_tensor){0};
    if (!cpl_chunks_of_line(model, embeddings, text, &chunks, error)) return false;
    bool ok = cpl_model_encode_chunks(model, s, embeddings, &chunks, clip_skip, conditioning, error);
    cpl_chunks_clear(&chunks);
    return ok;
}

/* The words of a line without its syntax. */
static char *plain_words(const char *text, cpl_error *error) {
    cpl_prompt_part *parts = NULL;
    int count = 0;
    if (!cpl_prompt_parse(text, &parts, &count, error)) return NULL;
    size_t size = 1, used = 0;
    for (int i = 0; i < count; i++) size += strlen(parts[i].text) + 1;
    char *words = cpl_alloc(size, 1, error);
    for (int i = 0; words && i < count; i++) {
        size_t length = strlen(parts[i].text);
        if (parts[i].weight == -1 && !strcmp(parts[i].text, "BREAK")) continue;
        memcpy(words + used, parts[i].text, length);
        used += length;
        words[used++] = ' ';
    }
    cpl_prompt_parts_free(parts, count);
    return words;
}

/* Those between the markers: behind the text stands the end marker, whatever fills the rest. */
static int text_tokens(const cpl_chunks *chunks, int chunk, int end) {
    const int *ids = chunks->ids + (size_t)chunk * (size_t)chunks->length + 1;
    int count = 0;
    while (count < chunks->length - 2 && ids[count] != end) count++;
    return count;
}

bool cpl_tokens_info(const cpl_token_counter *counter, const char *text, cpl_line_info *info, cpl_error *error) {
    cpl_chunks chunks;
    int end = cpl_tokenizer_end(counter->tokenizer);
    *info = (cpl_line_info){0};
    if (!cpl_prompt_chunks(counter->tokenizer, counter->embeddings, text, counter->context_length, end, &chunks, error))
        return false;
    info->tokens = chunks.tokens;
    info->room = chunks.chunks * (chunks.length - 2);
    info->chunks = chunks.chunks;
    for (int i = 0; i < chunks.chunks && i < CPL_TOLD_CHUNKS; i++)
        info->chunk_tokens[i] = (short)text_tokens(&chunks, i, end);
    cpl_chunks_clear(&chunks);
    if (!counter->closed_vocabulary) return true;
    char *words = plain_words(text, error);
    if (!words) return false;
    cpl_embeddings_blank(counter->embeddings, words);
    cpl_tokenizer_unknown(counter->tokenizer, words, info->unknown, sizeof info->unknown);
    free(words);
    return true;
}

bool cpl_model_line_info(const cpl_model *model, const cpl_embeddings *embeddings, const char *text,
                         cpl_line_info *info, cpl_error *error) {
    const cpl_token_counter counter = {model->tokenizer, embeddings, model->spec.text[0].context_length,
                                       model->info.closed_vocabulary};
    *info = (cpl_line_info){0};
    return need_tokenizer(model, error) && cpl_tokens_info(&counter, text, info, error);
}
