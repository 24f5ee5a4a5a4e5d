/* adapter.c: the side path of a layer. It is exact: only the order of f32 sums differs from weights that were merged. */
#include "adapter.h"

#include <stdlib.h>

#include "../memory/alloc.h"
#include "../memory/hash.h"

static unsigned home_of(const cpl_adapters *a, const cpl_weight *base) {
    uint64_t address = (uint64_t)(uintptr_t)base;
    return (unsigned)cpl_hash_u64(CPL_HASH_START, address) & (unsigned)(a->slots - 1);
}

bool cpl_adapters_index(cpl_adapters *a, cpl_error *error) {
    a->slots = 16;
    while (a->slots < 2 * a->count) a->slots *= 2;
    a->slot = cpl_alloc((size_t)a->slots, sizeof *a->slot, error);
    if (!a->slot) return false;
    for (int i = 0; i < a->slots; i++) a->slot[i] = -1;
    for (int i = 0; i < a->count; i++) {
        unsigned at = home_of(a, a->list[i].base);
        while (a->slot[at] >= 0) at = (at + 1) & (unsigned)(a->slots - 1);
        a->slot[at] = i;
    }
    return true;
}

const cpl_adapter *cpl_adapter_of(const cpl_adapters *a, const cpl_weight *base) {
    for (unsigned at = home_of(a, base); a->slot[at] >= 0; at = (at + 1) & (unsigned)(a->slots - 1))
        if (a->list[a->slot[at]].base == base) return &a->list[a->slot[at]];
    return NULL;
}

void cpl_linear(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_activation act,
                const cpl_tensor *add) {
    const cpl_adapter *a = s->adapters ? cpl_adapter_of(s->adapters, w) : NULL;
    if (!a) {
        s->ops->linear(s, y, x, w, act, add);
        return;
    }
    /* Behind an activation `add` comes last of all: its sum is made apart. */
    bool apart = act != CPL_ACT_NONE && add;
    cpl_tensor sum = apart ? cpl_make_like(s, y) : cpl_tensor_slice(y, 0, y->n);
    s->ops->linear(s, &sum, x, w, CPL_ACT_NONE, apart ? NULL : add);
    if (a->whole) s->ops->linear(s, &sum, x, a->whole, CPL_ACT_NONE, &sum);
    if (a->rank > 0) {
        cpl_tensor low = cpl_make_as(s, x->dtype, x->n, x->h, x->w, a->rank);
        s->ops->linear(s, &low, x, a->down, CPL_ACT_NONE, NULL);
        s->ops->linear(s, &sum, &low, a->up, CPL_ACT_NONE, &sum);
        cpl_tensor_free(&low);
    }
    if (act != CPL_ACT_NONE) s->ops->activate(s, &sum, &sum, act);
    if (apart) s->ops->scale_add(s, y, 1, &sum, 1, add);
    cpl_tensor_free(&sum);
}

void cpl_conv2d(cpl_stream *s, const cpl_tensor *y, const cpl_tensor *x, const cpl_weight *w, cpl_conv_shape shape,
                const cpl_tensor *add) {
    static const cpl_conv_shape pointwise = {.stride = 1};
    const cpl_adapter *a = s->adapters ? cpl_adapter_of(s->adapters, w) : NULL;
    s->ops->conv2d(s, y, x, w, shape, add);
    if (a && a->whole) s->ops->conv2d(s, y, x, a->whole, shape, y);
    if (a && a->rank > 0) {
        cpl_tensor low = cpl_make_as(s, x->dtype, y->n, y->h, y->w, a->rank);
        s->ops->conv2d(s, &low, x, a->down, shape, NULL);
        s->ops->conv2d(s, y, &low, a->up, pointwise, y);
        cpl_tensor_free(&low);
    }
}
