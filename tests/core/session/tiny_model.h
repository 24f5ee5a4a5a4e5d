/* tiny_model.h: the tiny checkpoints of the golden data as files that words can be typed to: their tables get as long as the
 * built-in vocabulary. With other weights, where a test wants a model that nobody has seen. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <cjson/cJSON.h>
#include <math.h>

#include "session_test.h"

#define TINY_SD "tests/golden/engine/sd1_tiny.safetensors"
#define TINY_XL "tests/golden/engine/sdxl_tiny.safetensors"
#define VOCABULARY "core/model/builtin"
#define WORDS 858 /* of that vocabulary */

static inline char *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail_msg("%s cannot be read", path);
    *size = (size_t)ftell(file);
    char *data = malloc(*size);
    rewind(file);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

/* Both tables in the spec become as long as the vocabulary. */
static inline void widen_spec(cJSON *metadata) {
    const char *text = cJSON_GetObjectItem(metadata, "couplet.spec")->valuestring;
    cJSON *spec = cJSON_Parse(text), *encoder;
    cJSON_ArrayForEach(encoder, cJSON_GetObjectItem(spec, "text")) {
        cJSON_SetNumberValue(cJSON_GetObjectItem(encoder, "vocab_size"), WORDS);
    }
    char *wide = cJSON_PrintUnformatted(spec);
    cJSON_ReplaceItemInObject(metadata, "couplet.spec", cJSON_CreateString(wide));
    free(wide);
    cJSON_Delete(spec);
}

/* Uniform in -1..1, and the state moves on. */
static inline float next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((int64_t)(*state >> 40) - (1 << 23)) / (float)(1 << 23);
}

/* Half precision of a value that is neither tiny nor huge there, cut off. */
static inline uint16_t half_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    int exponent = (int)(bits >> 23 & 255) - 127 + 15;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    return exponent <= 0 ? sign : (uint16_t)(sign | exponent << 10 | (bits >> 13 & 0x3FF));
}

/* Other weights of the same kind: matrices that keep the variance, norms around 1, small biases. */
static inline void fill_at_random(const char *name, const cJSON *shape, uint16_t *out, size_t count, uint64_t *state) {
    double fan = 1;
    int axes = cJSON_GetArraySize(shape);
    bool norm = axes == 1 && !strstr(name, "bias"), bias = axes == 1 && !norm;
    for (int i = 1; i < axes; i++) fan *= cJSON_GetArrayItem(shape, i)->valuedouble;
    float scale = norm || bias ? 0.1f : strstr(name, "embedding") ? 0.5f : (float)sqrt(3 / fan);
    for (size_t i = 0; i < count; i++) out[i] = half_of((norm ? 1 : 0) + scale * next_random(state));
}

/* Writes a tensor's bytes behind `at`, a table's again and again until it is long enough, and tells its new place. */
static inline size_t put_tensor(FILE *out, cJSON *item, char *data, size_t at, uint64_t *random) {
    cJSON *offsets = cJSON_GetObjectItem(item, "data_offsets"), *shape = cJSON_GetObjectItem(item, "shape");
    size_t from = (size_t)cJSON_GetArrayItem(offsets, 0)->valuedouble;
    size_t had = (size_t)cJSON_GetArrayItem(offsets, 1)->valuedouble - from, wants = had;
    if (strstr(item->string, "token_embedding.weight")) {
        cJSON *rows = cJSON_GetArrayItem(shape, 0);
        wants = had / (size_t)rows->valueint * WORDS;
        cJSON_SetNumberValue(rows, WORDS);
    }
    if (*random) fill_at_random(item->string, shape, (uint16_t *)(void *)(data + from), had / 2, random);
    for (size_t done = 0; done < wants; done += had)
        fwrite(data + from, 1, wants - done < had ? wants - done : had, out);
    cJSON_SetNumberValue(cJSON_GetArrayItem(offsets, 0), (double)at);
    cJSON_SetNumberValue(cJSON_GetArrayItem(offsets, 1), (double)(at + wants));
    return at + wants;
}

/* random: 0 keeps the weights, else a state to make others from. */
static inline void write_model(const char *source, const char *path, uint64_t random) {
    size_t size, at = 0;
    uint64_t length;
    char *file = read_whole(source, &size);
    memcpy(&length, file, sizeof length);
    cJSON *header = cJSON_ParseWithLength(file + 8, length), *item;
    FILE *data = tmpfile(), *out = fopen(path, "wb");
    assert_true(header && data && out);
    cJSON_ArrayForEach(item, header) {
        if (strcmp(item->string, "__metadata__") == 0)
            widen_spec(item);
        else
            at = put_tensor(data, item, file + 8 + length, at, &random);
    }
    char *text = cJSON_PrintUnformatted(header), block[4096];
    length = strlen(text);
    fwrite(&length, sizeof length, 1, out);
    fwrite(text, 1, length, out);
    rewind(data);
    for (size_t got; (got = fread(block, 1, sizeof block, data)) > 0;) fwrite(block, 1, got, out);
    fclose(data);
    assert_int_equal(fclose(out), 0);
    cJSON_Delete(header);
    free(text);
    free(file);
}

#endif
