/* lora_delta.h: what one module of a LoRA file adds to one layer, as numbers. Private to core/model. */
#ifndef CPL_MODEL_LORA_DELTA_H
#define CPL_MODEL_LORA_DELTA_H

#include "lora_file.h"
#include "named_layers.h"

/* Either a product of two, up * down, or whole; columns are in * k * k values, as a weight's. The scale is in up and whole. */
typedef struct cpl_lora_delta {
    int rank;     /* 0: whole */
    float *down;  /* owned: [rank][columns] */
    float *up;    /* owned: [out][rank] */
    float *whole; /* owned: [out][columns] */
} cpl_lora_delta;

/* weight: the user's; the file's own scale, alpha / rank, comes on top. Fails where the shapes are not the layer's. */
bool cpl_lora_delta_read(cpl_lora_delta *delta, const cpl_lora_file *file, const cpl_lora_module *module,
                         const cpl_named_layer *layer, double weight, cpl_error *error);
void cpl_lora_delta_clear(cpl_lora_delta *delta);

#endif
