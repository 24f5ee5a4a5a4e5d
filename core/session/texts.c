/* texts.c: the caches of encoded prompt lines. Which lines there are is decided by the layout. */
#include "texts.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

/* Lines of a large model take about 50 MB of keys and values each, conditionings under 1 MB. */
#define CONDITIONING_BUDGET ((uint64_t)64 << 20)
#define KV_BUDGET ((uint64_t)1 << 30)

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
    if (texts->conditionings && texts->kvs) return true;
    cpl_texts_close(texts);
    return false;
}

void cpl_texts_close(cpl_texts *texts) {
    cpl_cache_free(texts->kvs);
    cpl_cache_free(texts->conditionings);
    *texts = (cpl_texts){0};
}

static const cpl_tensor *find_conditioning(cpl_texts *texts, const char *line, cpl_error *error) {
    cpl_tensor *value = cpl_cache_find(texts->conditionings, line, strlen(line));
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    texts->encoder_calls++;
    if (!cpl_model_encode(texts->model, texts->stream, line, value, error)) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_tensor_bytes(value);
    return cpl_cache_insert(texts->conditionings, line, strlen(line), value, bytes, error) ? value : NULL;
}

static const cpl_text_kv *find_kv(cpl_texts *texts, const char *line, const cpl_tensor *conditioning,
                                  cpl_error *error) {
    cpl_text_kv *value = cpl_cache_find(texts->kvs, line, strlen(line));
    if (value) return value;
    value = cpl_alloc(1, sizeof *value, error);
    if (!value) return NULL;
    if (!cpl_unet_text_kv(texts->model->unet, texts->stream, conditioning, value, error)) {
        free(value);
        return NULL;
    }
    size_t bytes = cpl_text_kv_bytes(value);
    return cpl_cache_insert(texts->kvs, line, strlen(line), value, bytes, error) ? value : NULL;
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
