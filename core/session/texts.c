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

void cpl_texts_use(cpl_texts *texts, const cpl_lora_set *loras) {
    texts->loras = loras;
    texts->stream->adapters = loras ? &loras->adapters : NULL;
}

/* A line's key is its text behind all that the LoRAs in use are made of; that of zeros is one that no text can have. */
typedef struct line_key {
    char *bytes; /* owned */
    size_t size;
} line_key;

static line_key key_of(const cpl_texts *texts, const char *line, cpl_error *error) {
    size_t before = texts->loras ? texts->loras->key_size : 0, length = line ? strlen(line) : 1;
    uint64_t head = before;
    line_key key = {cpl_alloc(sizeof head + before + length, 1, error), sizeof head + before + length};
    if (!key.bytes) return key;
    memcpy(key.bytes, &head, sizeof head);
    if (before) memcpy(key.bytes + sizeof head, texts->loras->key, before);
    memcpy(key.bytes + sizeof head + before, line ? line : "", length);
    return key;
}

static const cpl_tensor *find_conditioning(cpl_texts *texts, const line_key *key, const char *line, cpl_error *error) {
    cpl_tensor *value = cpl_cache_find(texts->conditionings, key->bytes, key->size);
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    bool done;
    if (line) {
        texts->encoder_calls++;
        done = cpl_model_encode(texts->model, texts->stream, line, value, error);
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

static const cpl_tensor *find_pooled(cpl_texts *texts, const line_key *key, const char *prompt, cpl_error *error) {
    cpl_tensor *value = cpl_cache_find(texts->pooled, key->bytes, key->size);
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    texts->encoder_calls++;
    if (!cpl_model_pool(texts->model, texts->stream, prompt, value, error)) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_tensor_bytes(value);
    cpl_tensor_keep(value);
    return cpl_cache_insert(texts->pooled, key->bytes, key->size, value, bytes, error) ? value : NULL;
}

const cpl_tensor *cpl_texts_pool(cpl_texts *texts, const char *prompt, cpl_error *error) {
    line_key key = key_of(texts, prompt, error);
    const cpl_tensor *pooled = key.bytes ? find_pooled(texts, &key, prompt, error) : NULL;
    free(key.bytes);
    return pooled;
}

void cpl_texts_release_pooled(cpl_texts *texts, const cpl_tensor *pooled) {
    if (pooled) cpl_cache_release(texts->pooled, pooled);
}

bool cpl_listener_open(cpl_listener *listener, cpl_texts *texts, char *const *line, int lines, cpl_error *error) {
    *listener = (cpl_listener){.lines = lines};
    listener->conditioning = cpl_alloc((size_t)lines, sizeof(const cpl_tensor *), error);
    listener->kv = cpl_alloc((size_t)lines, sizeof(const cpl_text_kv *), error);
    bool done = listener->conditioning && listener->kv;
    for (int i = 0; done && i < lines; i++) {
        line_key key = key_of(texts, line[i], error);
        if (key.bytes) listener->conditioning[i] = find_conditioning(texts, &key, line[i], error);
        if (listener->conditioning[i]) listener->kv[i] = find_kv(texts, &key, listener->conditioning[i], error);
        done = listener->kv[i] != NULL;
        free(key.bytes);
    }
    if (!done) cpl_listener_close(listener, texts);
    return done;
}

void cpl_listener_close(cpl_listener *listener, cpl_texts *texts) {
    for (int i = 0; i < listener->lines; i++) {
        if (listener->kv && listener->kv[i]) cpl_cache_release(texts->kvs, listener->kv[i]);
        if (listener->conditioning && listener->conditioning[i])
            cpl_cache_release(texts->conditionings, listener->conditioning[i]);
    }
    free(listener->kv);
    free(listener->conditioning);
    *listener = (cpl_listener){0};
}
