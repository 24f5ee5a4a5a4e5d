/* named_layers.h: the layers of a model by name, for whatever wants to add to one. A loader lists every linear layer and
 * convolution that it packs (cpl_loader.layers). */
#ifndef CPL_MODEL_NAMED_LAYERS_H
#define CPL_MODEL_NAMED_LAYERS_H

#include "../backend.h"

typedef struct cpl_named_layer {
    char *name;               /* owned: as in an LDM checkpoint, without ".weight" */
    const cpl_weight *weight; /* borrowed from the network */
    int out, in, k;           /* k: side of the kernel, 1 for a linear layer */
    int part;                 /* of a joint projection its third: 0 q, 1 k, 2 v; else 0 */
    cpl_dtype type;           /* what it multiplies in */
    bool conv;                /* runs as a convolution, also where k is 1 */
} cpl_named_layer;

typedef struct cpl_named_layers {
    cpl_named_layer *list; /* owned */
    int count, room;
} cpl_named_layers;

/* `layer->name` is not looked at: it becomes prefix + name. */
bool cpl_named_layers_add(cpl_named_layers *layers, const char *prefix, const char *name, const cpl_named_layer *layer,
                          cpl_error *error);
void cpl_named_layers_clear(cpl_named_layers *layers);

#endif
