/* embedding_file.h: a textual inversion file: what stands in it, by its header. Private to core/model. */
#ifndef CPL_MODEL_EMBEDDING_FILE_H
#define CPL_MODEL_EMBEDDING_FILE_H

#include "safetensors.h"
#include "spec.h"

typedef struct cpl_embedding_file {
    cpl_safetensors *st; /* owned */
    /* For each text encoder [vectors, width] or [width], borrowed from the file; the second is NULL in files for models with
     * one. */
    const cpl_st_entry *part[CPL_MAX_TEXTS];
    cpl_embedding_info info;
} cpl_embedding_file;

/* Fails where the file is no such file. */
bool cpl_embedding_file_open(cpl_embedding_file *file, const char *path, cpl_error *error);
void cpl_embedding_file_close(cpl_embedding_file *file);
/* Values of a vector in a part. */
int cpl_embedding_width(const cpl_st_entry *part);

#endif
