/* named_layers.c: the list of a model's layers. */
#include "named_layers.h"

#include <stdlib.h>

#include "../memory/alloc.h"

bool cpl_named_layers_add(cpl_named_layers *layers, const char *prefix, const char *name, const cpl_named_layer *layer,
                          cpl_error *error) {
    if (!cpl_grow((void **)&layers->list, &layers->room, layers->count + 1, sizeof *layers->list, error)) return false;
    char *full = cpl_format(error, "%s%s", prefix, name);
    if (!full) return false;
    layers->list[layers->count] = *layer;
    layers->list[layers->count++].name = full;
    return true;
}

void cpl_named_layers_clear(cpl_named_layers *layers) {
    for (int i = 0; i < layers->count; i++) free(layers->list[i].name);
    free(layers->list);
    *layers = (cpl_named_layers){0};
}
