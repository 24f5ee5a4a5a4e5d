/* texts.c: the caches of encoded prompt lines. Which lines there are is decided by the layout. */
#include "texts.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

/* Keys and values of a line take about fifty times what its conditioning takes; a pooled vector is next to nothing. */
enum { CONDITIONING_PART = 16, POOLED_PART = 1024 };

static void drop_conditioning(void *context, void *value) {
    (void)context;
    cpl_tensor_free(value);
    free(value);
}

static void drop_kv(void *context, void *value) {
    (void)context;
    cpl_text_kv_free(value);
    free(value);
}

bool cpl_texts_open(cpl_texts *texts, const cpl_model *model, cpl_stream *stream, uint64_t budget_bytes,
                    cpl_error *error) {
    uint64_t conditioning = budget_bytes / CONDITIONING_PART, pooled = budget_bytes / POOLED_PART;
    *texts = (cpl_texts){.model = model, .stream = stream};
    texts->conditionings = cpl_cache_new(conditioning, drop_conditioning, NULL, error);
    texts->kvs = cpl_cache_new(budget_bytes - conditioning - pooled, drop_kv, NULL, error);
    texts->pooled = cpl_cache_new(pooled, drop_conditioning, NULL, error);
    if (texts->conditionings && texts->kvs && texts->pooled) return true;
    cpl_texts_close(texts);
    return false;
}

void cpl_texts_close(cpl_texts *texts) {
    cpl_cache_free(texts->pooled);
    cpl_cache_free(texts->kvs);
    cpl_cache_free(texts->conditionings);
    *texts = (cpl_texts){0};
}

void cpl_texts_trim(cpl_texts *texts) {
    cpl_cache_trim(texts->pooled, 0);
    cpl_cache_trim(texts->kvs, 0);
    cpl_cache_trim(texts->conditionings, 0);
}

void cpl_texts_use(cpl_texts *texts, const cpl_lora_set *loras, const cpl_embeddings *embeddings) {
    texts->loras = loras;
    texts->embeddings = embeddings;
    texts->stream->adapters = loras ? &loras->adapters : NULL;
}

/* A line's key: what the LoRAs in use are made of, the embeddings that it names, the layer that is taken, and its text. What the encoders give depends on what
 * is added to them alone (`encoded`), keys and values on all of it. The key of zeros is one that no text can have. */
typedef struct line_key {
    char *bytes; /* owned */
    size_t size;
} line_key;

static bool make_key(const cpl_texts *texts, line_key *key, const char *text, int clip_skip, bool encoded,
                     cpl_error *error) {
    const cpl_lora_set *set = texts->loras;
    const void *made_of = !set ? NULL : encoded ? set->text_key : set->key;
    size_t before = !set ? 0 : encoded ? set->text_key_size : set->key_size, length = text ? strlen(text) : 0;
    uint64_t head[2] = {before};
    if (text && !cpl_embeddings_mark(texts->embeddings, text, &head[1], error)) return false;
    key->size = sizeof head + before + 1 + length;
    key->bytes = cpl_alloc(key->size, 1, error);
    if (!key->bytes) return false;
    memcpy(key->bytes, head, sizeof head);
    if (before) memcpy(key->bytes + sizeof head, made_of, before);
    key->bytes[sizeof head + before] = text ? (char)clip_skip : 0;
    if (length) memcpy(key->bytes + sizeof head + before + 1, text, length);
    return true;
}

static const cpl_tensor *find_conditioning(cpl_texts *texts, const line_key *key, const char *text, int clip_skip,
                                           cpl_error *error) {
    cpl_tensor *value = cpl_cache_find(texts->conditionings, key->bytes, key->size);
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    bool done;
    if (text) {
        texts->encoder_calls++;
        done = cpl_model_encode(texts->model, texts->stream, texts->embeddings, text, clip_skip, value, error);
    } else {
        done = cpl_model_encode_nothing(texts->model, texts->stream, value, error);
    }
    if (!done) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_tensor_bytes(value);
    cpl_tensor_keep(value);
    return cpl_cache_insert(texts->conditionings, key->bytes, key->size, value, bytes, error) ? value : NULL;
}

static const cpl_text_kv *find_kv(cpl_texts *texts, const line_key *key, const cpl_tensor *conditioning,
                                  cpl_error *error) {
    cpl_text_kv *value = cpl_cache_find(texts->kvs, key->bytes, key->size);
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    if (!cpl_unet_text_kv(texts->model->unet, texts->stream, conditioning, value, error)) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_text_kv_bytes(value);
    cpl_text_kv_keep(value);
    return cpl_cache_insert(texts->kvs, key->bytes, key->size, value, bytes, error) ? value : NULL;
}

/* ---- Lines ---- */

static int texts_of(const cpl_speech *speech) { return speech->turns.count > 0 ? speech->turns.count : 1; }

static bool encode_turn(cpl_speech *speech, cpl_texts *texts, int turn, cpl_error *error) {
    const char *text = speech->turns.count > 0 ? speech->turns.list[turn].text : NULL;
    line_key encoded, heard = {0};
    if (!make_key(texts, &encoded, text, speech->clip_skip, true, error)) return false;
    if (make_key(texts, &heard, text, speech->clip_skip, false, error))
        speech->conditioning[turn] = find_conditioning(texts, &encoded, text, speech->clip_skip, error);
    if (speech->conditioning[turn]) speech->kv[turn] = find_kv(texts, &heard, speech->conditioning[turn], error);
    free(encoded.bytes);
    free(heard.bytes);
    return speech->kv[turn] != NULL;
}

static bool open_speech(cpl_speech *speech, cpl_texts *texts, cpl_turns *turns, int clip_skip, cpl_error *error) {
    *speech = (cpl_speech){.turns = *turns, .clip_skip = clip_skip};
    *turns = (cpl_turns){0};
    size_t count = (size_t)texts_of(speech);
    speech->conditioning = cpl_alloc(count, sizeof(const cpl_tensor *), error);
    speech->kv = cpl_alloc(count, sizeof(const cpl_text_kv *), error);
    bool done = speech->conditioning && speech->kv;
    for (int i = 0; done && i < texts_of(speech); i++) done = encode_turn(speech, texts, i, error);
    return done;
}

static void close_speech(cpl_speech *speech, cpl_texts *texts) {
    for (int i = 0; i < texts_of(speech); i++) {
        if (speech->kv && speech->kv[i]) cpl_cache_release(texts->kvs, speech->kv[i]);
        if (speech->conditioning && speech->conditioning[i])
            cpl_cache_release(texts->conditionings, speech->conditioning[i]);
    }
    free(speech->kv);
    free(speech->conditioning);
    cpl_turns_clear(&speech->turns);
}

bool cpl_listener_open(cpl_listener *listener, cpl_texts *texts, cpl_turns *lines, int count, int clip_skip,
                       cpl_error *error) {
    *listener = (cpl_listener){.lines = count};
    listener->speech = cpl_alloc((size_t)count, sizeof *listener->speech, error);
    listener->kv = cpl_alloc((size_t)count, sizeof(const cpl_text_kv *), error);
    bool done = listener->speech && listener->kv;
    for (int i = 0; done && i < count; i++) {
        done = open_speech(&listener->speech[i], texts, &lines[i], clip_skip, error);
        if (done) listener->kv[i] = listener->speech[i].kv[0];
    }
    if (!done) cpl_listener_close(listener, texts);
    return done;
}

void cpl_listener_close(cpl_listener *listener, cpl_texts *texts) {
    for (int i = 0; listener->speech && i < listener->lines; i++) close_speech(&listener->speech[i], texts);
    free(listener->kv);
    free(listener->speech);
    *listener = (cpl_listener){0};
}

void cpl_listener_turn(cpl_listener *listener, int call) {
    for (int i = 0; i < listener->lines; i++) {
        cpl_speech *speech = &listener->speech[i];
        speech->on = cpl_turns_at(&speech->turns, call);
        listener->kv[i] = speech->kv[speech->on];
    }
}

/* ---- Summaries ---- */

static const cpl_tensor *find_pooled(cpl_texts *texts, const line_key *key, const char *prompt, cpl_error *error) {
    cpl_tensor *value = cpl_cache_find(texts->pooled, key->bytes, key->size);
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    texts->encoder_calls++;
    if (!cpl_model_pool(texts->model, texts->stream, texts->embeddings, prompt, value, error)) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_tensor_bytes(value);
    cpl_tensor_keep(value);
    return cpl_cache_insert(texts->pooled, key->bytes, key->size, value, bytes, error) ? value : NULL;
}

static const cpl_tensor *pool_text(cpl_texts *texts, const char *text, cpl_error *error) {
    line_key key;
    if (!make_key(texts, &key, text, 0, true, error)) return NULL;
    const cpl_tensor *pooled = find_pooled(texts, &key, text, error);
    free(key.bytes);
    return pooled;
}

bool cpl_summary_open(cpl_summary *summary, cpl_texts *texts, cpl_turns *prompt, cpl_error *error) {
    *summary = (cpl_summary){.turns = *prompt};
    *prompt = (cpl_turns){0};
    summary->pooled = cpl_alloc((size_t)summary->turns.count, sizeof(const cpl_tensor *), error);
    bool done = summary->pooled != NULL;
    for (int i = 0; done && i < summary->turns.count; i++) {
        summary->pooled[i] = pool_text(texts, summary->turns.list[i].text, error);
        done = summary->pooled[i] != NULL;
    }
    if (!done) cpl_summary_close(summary, texts);
    return done;
}

void cpl_summary_close(cpl_summary *summary, cpl_texts *texts) {
    for (int i = 0; summary->pooled && i < summary->turns.count; i++)
        if (summary->pooled[i]) cpl_cache_release(texts->pooled, summary->pooled[i]);
    free(summary->pooled);
    cpl_turns_clear(&summary->turns);
    *summary = (cpl_summary){0};
}

const cpl_tensor *cpl_summary_at(const cpl_summary *summary, int call) {
    return summary->turns.count > 0 ? summary->pooled[cpl_turns_at(&summary->turns, call)] : NULL;
}
