/* adapter.h: layers with something added at run time: y = W x + up(down(x)) (a LoRA), or y = W x + D x. The base weights
 * stay as they were packed, so that many may share them. Networks call these two instead of the operations of backend.h
 * for every layer that may be added to; without a set on the stream they are just those operations. */
#ifndef CPL_MODEL_ADAPTER_H
#define CPL_MODEL_ADAPTER_H

#include "../backend.h"

typedef struct cpl_adapter {
    const cpl_weight *base; /* borrowed: what it is added to */
    cpl_weight *down, *up;  /* owned; NULL: rank 0 */
    cpl_weight *whole;      /* owned; NULL: none */
    int rank;
} cpl_adapter;

/* Immutable once made. Weights are not its business: who made them frees them. */
typedef struct cpl_adapters {
    cpl_adapter *list; /* owned */
    int count;
    int *slot; /* owned: [slots] indices into list, -1: empty; found by the base weight's address */
    int slots; /* a power of two */
} cpl_adapters;

/* Makes the table from the list. */
bool cpl_adapters_index(cpl_adapters *adapters, cpl_error *error);
const cpl_adapter *cpl_adapter_of(const cpl_adapters *adapters, const cpl_weight *base); /* NULL: none */

/* As the operations of the same name; what is added comes before the activation. */
void cpl_linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                const cpl_tensor *add);
void cpl_conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                const cpl_tensor *add);

#endif
