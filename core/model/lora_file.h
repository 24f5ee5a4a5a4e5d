/* lora_file.h: a LoRA file as a list of modules: which tensors belong together, what kind of file it is and for which models.
 * Reads the header only; values are read by whoever applies it. Private to core/model. */
#ifndef CPL_MODEL_LORA_FILE_H
#define CPL_MODEL_LORA_FILE_H

#include "lora_names.h"
#include "safetensors.h"

typedef struct cpl_lora_module {
    char key[CPL_LORA_KEY_SIZE];              /* see lora_names.h */
    const cpl_st_entry *part[CPL_LORA_PARTS]; /* borrowed from the file; NULL: it has none */
    bool placed;                              /* lora.c: the model has a layer for it */
} cpl_lora_module;

typedef struct cpl_lora_file {
    cpl_safetensors *st;      /* owned */
    cpl_lora_module *modules; /* owned: sorted by key */
    int count, room;
    const char *strange; /* borrowed: the first tensor that is none of a LoRA's, or NULL */
    int refused;         /* the first kind of tensor that is not built (CPL_LORA_DORA, ...), or 0 */
    cpl_lora_info info;
} cpl_lora_file;

/* Fails where the file is no LoRA, or a module lacks a part; not where it is of a kind that is not built. */
bool cpl_lora_file_open(cpl_lora_file *file, const char *path, cpl_error *error);
void cpl_lora_file_close(cpl_lora_file *file);
cpl_lora_module *cpl_lora_file_find(const cpl_lora_file *file, const char *key); /* NULL: it has none */
/* Rank of a module: rows of what goes in. LoKr of two whole factors has none: 0. */
int cpl_lora_module_rank(const cpl_lora_module *module);

#endif
