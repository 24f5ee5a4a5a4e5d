/* texts.c: the caches of encoded prompt lines. Which lines there are is decided by the layout. */
#include "texts.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

/* Lines of a large model take about 50 MB of keys and values each, conditionings under 1 MB. */
#define CONDITIONING_BUDGET ((uint64_t)64 << 20)
#define KV_BUDGET ((uint64_t)1 << 30)
#define POOLED_BUDGET ((uint64_t)1 << 20)

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

bool cpl_texts_open(cpl_texts *texts, const cpl_model *model, cpl_stream *stream, cpl_error *error) {
    *texts = (cpl_texts){.model = model, .stream = stream};
    texts->conditionings = cpl_cache_new(CONDITIONING_BUDGET, drop_conditioning, NULL, error);
    texts->kvs = cpl_cache_new(KV_BUDGET, drop_kv, NULL, error);
    texts->pooled = cpl_cache_new(POOLED_BUDGET, drop_conditioning, NULL, error);
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

/* A line's key is its text; that of zeros is one that no text can have. */
typedef struct line_key {
    const char *text;
    size_t size;
} line_key;

static line_key key_of(const char *line) { return line ? (line_key){line, strlen(line)} : (line_key){"", 1}; }

static const cpl_tensor *find_conditioning(cpl_texts *texts, const char *line, cpl_error *error) {
    line_key key = key_of(line);
    cpl_tensor *value = cpl_cache_find(texts->conditionings, key.text, key.size);
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
    return cpl_cache_insert(texts->conditionings, key.text, key.size, value, bytes, error) ? value : NULL;
}

static const cpl_text_kv *find_kv(cpl_texts *texts, const char *line, const cpl_tensor *conditioning,
                                  cpl_error *error) {
    line_key key = key_of(line);
    cpl_text_kv *value = cpl_cache_find(texts->kvs, key.text, key.size);
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    if (!cpl_unet_text_kv(texts->model->unet, texts->stream, conditioning, value, error)) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_text_kv_bytes(value);
    return cpl_cache_insert(texts->kvs, key.text, key.size, value, bytes, error) ? value : NULL;
}

const cpl_tensor *cpl_texts_pool(cpl_texts *texts, const char *prompt, cpl_error *error) {
    size_t size = strlen(prompt);
    cpl_tensor *value = cpl_cache_find(texts->pooled, prompt, size);
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    texts->encoder_calls++;
    if (!cpl_model_pool(texts->model, texts->stream, prompt, value, error)) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_tensor_bytes(value);
    return cpl_cache_insert(texts->pooled, prompt, size, value, bytes, error) ? value : NULL;
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
        listener->conditioning[i] = find_conditioning(texts, line[i], error);
        if (listener->conditioning[i]) listener->kv[i] = find_kv(texts, line[i], listener->conditioning[i], error);
        done = listener->kv[i] != NULL;
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
