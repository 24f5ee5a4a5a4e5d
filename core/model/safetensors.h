/* safetensors.h: read tensors from a .safetensors file or from memory (the built-in model), write small ones (dumps).
 *
 * Every claim of the header is checked before it is believed: length, JSON, types, shapes, offsets that overlap, leave
 * holes or pass the end. The data of a file is read with pread when asked for, so a file that shrinks is an error. */
#ifndef CPL_MODEL_SAFETENSORS_H
#define CPL_MODEL_SAFETENSORS_H

#include "../memory/error.h"

typedef struct cpl_safetensors cpl_safetensors;

typedef struct cpl_st_entry {
    const char *name; /* borrowed from the file */
    char dtype[8];    /* "F32", "F16", "BF16", "I64", "U8", ... */
    int rank;
    int64_t shape[8];
    int64_t count;          /* values */
    uint64_t offset, bytes; /* in the data part */
} cpl_st_entry;

cpl_safetensors *cpl_safetensors_open(const char *path, cpl_error *error);
cpl_safetensors *cpl_safetensors_memory(const void *data, size_t size, const char *name,
                                        cpl_error *error); /* data is borrowed */
void cpl_safetensors_close(cpl_safetensors *st);
const char *cpl_safetensors_path(const cpl_safetensors *st);
int cpl_safetensors_count(const cpl_safetensors *st);
const cpl_st_entry *cpl_safetensors_at(const cpl_safetensors *st, int index);          /* in file order */
const cpl_st_entry *cpl_safetensors_find(const cpl_safetensors *st, const char *name); /* NULL: not there */
const char *cpl_safetensors_metadata(const cpl_safetensors *st, const char *key);      /* NULL: not there */
/* Hash of which file it is, of its size, time of its last change and header; in memory of size and header. */
uint64_t cpl_safetensors_identity(const cpl_safetensors *st);
/* All values as f32 (from F64, F32, F16, BF16, integers), freed by the caller. */
float *cpl_safetensors_f32(const cpl_safetensors *st, const cpl_st_entry *entry, cpl_error *error);
int64_t *cpl_safetensors_i64(const cpl_safetensors *st, const cpl_st_entry *entry, cpl_error *error);
/* Some of its bytes as they are; from + bytes is at most entry->bytes. */
bool cpl_safetensors_raw(const cpl_safetensors *st, const cpl_st_entry *entry, uint64_t from, size_t bytes, void *out,
                         cpl_error *error);

/* A new file with F32 tensors; for --dump and tests. */
typedef struct cpl_st_writer cpl_st_writer;
cpl_st_writer *cpl_st_writer_new(cpl_error *error);
bool cpl_st_writer_add(cpl_st_writer *w, const char *name, const float *data, int rank, const int64_t *shape,
                       cpl_error *error); /* copies */
bool cpl_st_writer_save(cpl_st_writer *w, const char *path, cpl_error *error);
void cpl_st_writer_free(cpl_st_writer *w);

#endif
