/* lora.h: LoRA files applied to a loaded model, which stays as it is: a set of adapters for the stream that runs it. */
#ifndef CPL_MODEL_LORA_H
#define CPL_MODEL_LORA_H

#include "adapter.h"
#include "model.h"

/* One LoRA that is asked for. */
typedef struct cpl_lora_want {
    char *path;        /* owned */
    uint64_t identity; /* of the file: which it is, size, time, header */
    double unet, text; /* weights */
    int row;           /* what asks for it, for messages: region row or -1, */
    char place[64];    /* and JSON path */
} cpl_lora_want;
void cpl_lora_wants_free(cpl_lora_want *wants, int count);

/* All that a set is made of, as bytes. Freed by the caller. */
void *cpl_lora_key(const cpl_lora_want *wants, int count, size_t *size, cpl_error *error);

typedef struct cpl_lora_set {
    cpl_adapters adapters;
    cpl_backend *backend; /* borrowed: where the weights lie */
    /* Keys of what depends on the set, owned: on all of it, and on what it adds to the text encoders. */
    void *key, *text_key;
    size_t key_size, text_key_size, bytes;
    char note[CPL_NOTE_SIZE]; /* what of the files is left out, or "" */
} cpl_lora_set;

/* False with the reason where a file's header says that it cannot be applied to such a model: its kind, its family. */
bool cpl_lora_fits(const cpl_lora_info *lora, const cpl_model_info *model, cpl_error *error);

/* Reads the files and packs what they add to the model's layers. What is wrong with a file is an error with the row and path
 * of what asked for it: a kind that cannot be applied, another family, shapes or names that fit nothing. */
cpl_lora_set *cpl_lora_set_new(const cpl_model *model, const cpl_lora_want *wants, int count, cpl_error *error);
void cpl_lora_set_free(cpl_lora_set *set);

#endif
