/* st_bag.h: safetensors files put together in memory, for tests that need a checkpoint or a LoRA of their own. */
#ifndef TESTS_MODEL_ST_BAG_H
#define TESTS_MODEL_ST_BAG_H

#include "../../test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../../core/model/safetensors.h"

typedef struct tensor {
    char name[160];
    int rank;
    int64_t shape[8], count;
    float *values;
} tensor;

typedef struct bag {
    tensor *list;
    int count;
    char *metadata; /* the object of __metadata__ as JSON, or NULL */
} bag;

static inline tensor *bag_add(bag *b, const char *name, int rank, const int64_t *shape) {
    b->list = realloc(b->list, (size_t)(b->count + 1) * sizeof *b->list);
    tensor *t = &b->list[b->count++];
    *t = (tensor){.rank = rank, .count = 1};
    snprintf(t->name, sizeof t->name, "%s", name);
    for (int i = 0; i < rank; i++) t->count *= t->shape[i] = shape[i];
    t->values = calloc((size_t)t->count, sizeof *t->values);
    return t;
}

static inline tensor *bag_find(const bag *b, const char *name) {
    for (int i = 0; i < b->count; i++)
        if (strcmp(b->list[i].name, name) == 0) return &b->list[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static inline void bag_clear(bag *b) {
    for (int i = 0; i < b->count; i++) free(b->list[i].values);
    free(b->list);
    free(b->metadata);
    *b = (bag){0};
}

static uint32_t noise_seed = 1;
static inline void fill(tensor *t, float size) {
    for (int64_t i = 0; i < t->count; i++) {
        noise_seed = noise_seed * 1664525u + 1013904223u;
        t->values[i] = size * ((float)(noise_seed >> 8) / (float)(1 << 23) - 1);
    }
}

/* Everything of a file as f32, its spec among the metadata. */
static inline bag bag_read(const char *path) {
    bag b = {0};
    cpl_error error = {0};
    cpl_safetensors *st = cpl_safetensors_open(path, &error);
    if (!st) fail_msg("%s", error.message);
    for (int i = 0; i < cpl_safetensors_count(st); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(st, i);
        tensor *t = bag_add(&b, e->name, e->rank, e->shape);
        free(t->values);
        t->values = cpl_safetensors_f32(st, e, &error);
    }
    const char *spec = cpl_safetensors_metadata(st, "couplet.spec");
    b.metadata = calloc(1, 2 * strlen(spec) + 64);
    char *to = b.metadata + sprintf(b.metadata, "{\"couplet.spec\":\"");
    for (; *spec; spec++) {
        if (*spec == '"') *to++ = '\\';
        *to++ = *spec;
    }
    strcpy(to, "\"}");
    cpl_safetensors_close(st);
    return b;
}

static inline void bag_write(const bag *b, const char *path) {
    char *header = NULL;
    size_t length = 0, offset = 0;
    FILE *text = open_memstream(&header, &length);
    fprintf(text, "{\"__metadata__\":%s", b->metadata ? b->metadata : "{}");
    for (int i = 0; i < b->count; i++) {
        const tensor *t = &b->list[i];
        size_t bytes = (size_t)t->count * sizeof *t->values;
        fprintf(text, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", t->name);
        for (int k = 0; k < t->rank; k++) fprintf(text, "%s%lld", k ? "," : "", (long long)t->shape[k]);
        fprintf(text, "],\"data_offsets\":[%zu,%zu]}", offset, offset + bytes);
        offset += bytes;
    }
    fputc('}', text);
    fclose(text);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    uint64_t size = length;
    fwrite(&size, sizeof size, 1, file);
    fwrite(header, 1, length, file);
    for (int i = 0; i < b->count; i++) fwrite(b->list[i].values, sizeof(float), (size_t)b->list[i].count, file);
    assert_int_equal(fclose(file), 0);
    free(header);
}

/* Both halves of a linear layer's LoRA. */
static inline void bag_add_pair(bag *b, const char *module, int64_t out, int64_t in, int64_t rank, float size) {
    char name[160];
    snprintf(name, sizeof name, "%.120s.lora_down.weight", module);
    fill(bag_add(b, name, 2, (const int64_t[]){rank, in}), size);
    snprintf(name, sizeof name, "%.120s.lora_up.weight", module);
    fill(bag_add(b, name, 2, (const int64_t[]){out, rank}), size);
}

#endif
