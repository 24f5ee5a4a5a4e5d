/* st_write.c: writes small safetensors files of F32 tensors, for dumps and tests. Everything is kept in memory until the
 * file is saved; for checkpoints that would be the wrong tool. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "safetensors.h"

typedef struct item {
    char *name;  /* owned */
    float *data; /* owned */
    int rank;
    int64_t shape[8];
    size_t bytes;
} item;

struct cpl_st_writer {
    item *items; /* owned */
    int count, room;
};

cpl_st_writer *cpl_st_writer_new(cpl_error *error) { return cpl_alloc(1, sizeof(cpl_st_writer), error); }

void cpl_st_writer_free(cpl_st_writer *w) {
    if (!w) return;
    for (int i = 0; i < w->count; i++) {
        free(w->items[i].name);
        free(w->items[i].data);
    }
    free(w->items);
    free(w);
}

bool cpl_st_writer_add(cpl_st_writer *w, const char *name, const float *data, int rank, const int64_t *shape,
                       cpl_error *error) {
    size_t count = 1;
    if (rank < 0 || rank > 8)
        return cpl_fail(error, CPL_E_INPUT, "tensor %s has %d dimensions, at most 8 can be written", name, rank);
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0 || (shape[i] > 0 && count > SIZE_MAX / 8 / (size_t)shape[i]))
            return cpl_fail(error, CPL_E_INPUT, "tensor %s has an impossible shape", name);
        count *= (size_t)shape[i];
    }
    if (!cpl_grow((void **)&w->items, &w->room, w->count + 1, sizeof *w->items, error)) return false;
    item *it = &w->items[w->count];
    *it = (item){.rank = rank, .bytes = count * sizeof *data};
    it->name = cpl_strdup(name, error);
    it->data = cpl_alloc(count + !count, sizeof *data, error);
    if (!it->name || !it->data) {
        free(it->name);
        free(it->data);
        return false;
    }
    if (rank) memcpy(it->shape, shape, (size_t)rank * sizeof *shape);
    if (count) memcpy(it->data, data, it->bytes);
    w->count++;
    return true;
}

static void put_name(FILE *out, const char *name) {
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        if (*p < 0x20)
            fprintf(out, "\\u%04x", *p);
        else
            fprintf(out, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    }
    fputc('"', out);
}

static void put_header(FILE *out, const cpl_st_writer *w) {
    size_t offset = 0;
    fputc('{', out);
    for (int i = 0; i < w->count; i++) {
        const item *it = &w->items[i];
        if (i) fputc(',', out);
        put_name(out, it->name);
        fputs(":{\"dtype\":\"F32\",\"shape\":[", out);
        for (int d = 0; d < it->rank; d++) fprintf(out, d ? ",%lld" : "%lld", (long long)it->shape[d]);
        fprintf(out, "],\"data_offsets\":[%zu,%zu]}", offset, offset + it->bytes);
        offset += it->bytes;
    }
    fputc('}', out);
}

bool cpl_st_writer_save(cpl_st_writer *w, const char *path, cpl_error *error) {
    char *header = NULL;
    size_t length = 0;
    FILE *text = open_memstream(&header, &length);
    if (!text) return cpl_fail(error, CPL_E_MEMORY, "out of memory while writing %s", path);
    put_header(text, w);
    /* Padded with blanks so that the data begins at a multiple of 8, as readers that map the file like it. */
    for (long at = ftell(text); at % 8; at++) fputc(' ', text);
    if (fclose(text)) {
        free(header);
        return cpl_fail(error, CPL_E_MEMORY, "out of memory while writing %s", path);
    }
    FILE *file = fopen(path, "wbe");
    uint64_t size = length;
    bool ok = file && fwrite(&size, sizeof size, 1, file) == 1 && fwrite(header, 1, length, file) == length;
    for (int i = 0; ok && i < w->count; i++)
        ok = fwrite(w->items[i].data, 1, w->items[i].bytes, file) == w->items[i].bytes;
    free(header);
    int why = errno;
    if (file && fclose(file)) {
        ok = false;
        why = errno;
    }
    return ok || cpl_fail(error, CPL_E_FILE, "%s: cannot write: %s", path, strerror(why));
}
