/* load.c: finds tensors by name, checks their shapes and hands them to a backend for packing, one at a time, so that a
 * checkpoint never lies in memory twice. Matrices are handed over in the type that they have in their file. */
#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

static void fail(cpl_loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(cpl_loader *l, const char *format, ...) {
    char message[400];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    cpl_fail(l->error, CPL_E_FILE, "%s: %s", cpl_checkpoint_path(l->weights), message);
    l->failed = true;
}

static void print_shape(char *text, size_t size, int rank, const int64_t *shape) {
    size_t at = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, i ? ", %lld" : "%lld", (long long)shape[i]);
    if (at < size) snprintf(text + at, size - at, "]");
}

static bool same_shape(const cpl_st_entry *e, int rank, const int *shape) {
    if (e->rank != rank) return false;
    for (int i = 0; i < rank; i++)
        if (e->shape[i] != shape[i]) return false;
    return true;
}

static bool go_on(const cpl_loader *l) {
    const atomic_bool *cancelled = l->watch ? l->watch->cancelled : NULL;
    return !cancelled || !atomic_load_explicit(cancelled, memory_order_relaxed) ||
           cpl_fail(l->error, CPL_E_CANCELLED, "%s: loading was cancelled", cpl_checkpoint_path(l->weights));
}

static void tell(cpl_loader *l, uint64_t bytes) {
    l->done += bytes;
    if (l->failed || !l->total || !l->watch || !l->watch->progress) return;
    l->watch->progress(l->watch->user, l->done < l->total ? l->done : l->total, l->total);
}

static void miss(cpl_loader *l, const char *name) {
    cpl_load_survey *survey = l->survey;
    if (!survey)
        fail(l, "tensor %s is missing; this checkpoint is not complete or of another kind", name);
    else if (survey->missing++ == 0)
        snprintf(survey->first_missing, sizeof survey->first_missing, "%s", name);
}

/* A weight with more than one side is a matrix, but a table, whose name is whole, is not. */
static void count(cpl_load_survey *survey, const cpl_st_entry *e, const char *suffix, int share) {
    survey->bytes += e->bytes / (uint64_t)share;
    *(e->rank > 1 && (*suffix || share > 1) ? &survey->matrices : &survey->vectors) +=
        (uint64_t)e->count / (uint64_t)share;
}

/* What the values of a weight in fp8 were divided by: "X.weight" has "X.scale_weight" or "X.weight_scale" beside it, of one
 * number for all or one for each row. NULL: nothing. */
static const cpl_st_entry *scale_of(const cpl_ck_tensor *found) {
    static const char *const names[] = {"scale_weight", "weight_scale"};
    static const char weight[] = "weight";
    char name[256];
    size_t length = strlen(found->name), tail = sizeof weight - 1;
    if (length <= tail || length + 8 > sizeof name || strcmp(found->name + length - tail, weight) != 0) return NULL;
    const cpl_st_entry *scale = NULL;
    for (size_t i = 0; !scale && i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%.*s%s", (int)(length - tail), found->name, names[i]);
        scale = cpl_safetensors_find(found->file, name);
    }
    return scale;
}

/* Can what is stored be turned into the weight? */
static bool values_are_known(cpl_loader *l, const cpl_ck_tensor *found) {
    const cpl_st_entry *e = found->entry, *scale = scale_of(found);
    int64_t rows = e->rank > 0 ? e->shape[0] : 1;
    if (!strchr(e->dtype, 'F'))
        fail(l,
             "tensor %s holds whole numbers (%s): a quantised model, of a kind that cannot be used here; get it in "
             "f16, bf16 or fp8",
             e->name, e->dtype);
    else if (scale && scale->count != 1 && scale->count != rows)
        fail(l, "tensor %s has %lld values, where one or one for each of %lld rows can be used; get the model in f16",
             scale->name, (long long)scale->count, (long long)rows);
    return !l->failed;
}

/* A tensor of the shape that is asked for, counted and told of. NULL: it is not to be read. `other_rank` (0: none): the same
 * values may also have that rank, where the sides in which they differ are all 1. `share`: how many parts of the tensor are
 * read, each by itself. */
static const cpl_ck_tensor *find_shaped(cpl_loader *l, const char *prefix, const char *name, const char *suffix,
                                        int rank, const int *shape, int other_rank, int share) {
    char full[256], has[96], wants[96];
    int64_t wide[8] = {0};
    if (l->failed) return NULL;
    if (snprintf(full, sizeof full, "%s%s%s", prefix, name, suffix) >= (int)sizeof full) {
        fail(l, "the name %s... is too long", full);
        return NULL;
    }
    const cpl_ck_tensor *found = cpl_checkpoint_find(l->weights, full);
    if (!found) {
        miss(l, full);
        return NULL;
    }
    const cpl_st_entry *e = found->entry;
    if (!values_are_known(l, found)) return NULL;
    if (!same_shape(e, rank, shape) && !(other_rank && same_shape(e, other_rank, shape))) {
        for (int i = 0; i < rank; i++) wide[i] = shape[i];
        print_shape(has, sizeof has, e->rank, e->shape);
        print_shape(wants, sizeof wants, rank, wide);
        fail(l, "tensor %s has the shape %s, but the model's other sizes ask for %s", full, has, wants);
        return NULL;
    }
    if (l->survey) {
        count(l->survey, e, suffix, share);
        return NULL;
    }
    l->failed = !go_on(l);
    return l->failed ? NULL : found;
}

/* As f32, multiplied by what they were divided by. */
static float *read_f32(cpl_loader *l, const cpl_ck_tensor *found) {
    const cpl_st_entry *e = found->entry, *scale = scale_of(found);
    float *list = cpl_safetensors_f32(found->file, e, l->error);
    if (!list || !scale) return list;
    float *by = cpl_safetensors_f32(found->file, scale, l->error);
    int64_t share = scale->count > 1 ? e->count / scale->count : e->count;
    for (int64_t i = 0; by && i < e->count; i++) list[i] *= by[i / share];
    if (!by) {
        free(list);
        list = NULL;
    }
    free(by);
    return list;
}

static float *values(cpl_loader *l, const char *prefix, const char *name, const char *suffix, int rank,
                     const int *shape, int other_rank) {
    const cpl_ck_tensor *found = find_shaped(l, prefix, name, suffix, rank, shape, other_rank, 1);
    float *list = found ? read_f32(l, found) : NULL;
    if (!found) return NULL;
    l->failed = !list;
    tell(l, found->entry->bytes);
    return list;
}

/* What a backend packs. */
typedef struct matrix {
    cpl_values values; /* valid until the next matrix is read */
    float *owned;      /* of a type that no backend takes: the same as f32 */
} matrix;

static bool is_packed_as_it_is(const char *type, cpl_dtype *dtype) {
    static const struct {
        const char *type;
        cpl_dtype dtype;
    } all[] = {{"F32", CPL_F32}, {"F16", CPL_F16}, {"BF16", CPL_BF16}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].type, type) == 0) {
            *dtype = all[i].dtype;
            return true;
        }
    return false;
}

/* Part `part` of `share` equal ones, row by row. */
static matrix read_matrix(cpl_loader *l, const cpl_ck_tensor *found, int part, int share) {
    matrix m = {.values.dtype = CPL_F32};
    if (!found) return m;
    const cpl_st_entry *e = found->entry;
    uint64_t bytes = e->bytes / (uint64_t)share, first = bytes * (uint64_t)part;
    if (!scale_of(found) && is_packed_as_it_is(e->dtype, &m.values.dtype)) {
        m.values.data = cpl_checkpoint_bytes(l->weights, found, first, (size_t)bytes, l->error);
    } else {
        m.owned = read_f32(l, found);
        if (m.owned) m.values.data = m.owned + e->count / share * part;
    }
    l->failed = !m.values.data;
    tell(l, bytes);
    return m;
}

/* Is there anything to be packed? */
static bool packs(const cpl_loader *l) { return !l->failed && !l->survey; }

/* Every packing ends here: the host copies go, a NULL weight is the loader's failure. */
static cpl_weight *finish(cpl_loader *l, cpl_weight *packed, float *a, float *b) {
    free(a);
    free(b);
    if (!packed && !l->survey) l->failed = true;
    return packed;
}

void cpl_load_list(cpl_loader *l, const char *prefix, const char *name, const cpl_named_layer *layer) {
    if (l->layers && layer->weight && !cpl_named_layers_add(l->layers, prefix, name, layer, l->error)) l->failed = true;
}

cpl_weight *cpl_load_linear(cpl_loader *l, const char *prefix, const char *name, int out, int in, unsigned flags) {
    const int shape[4] = {out, in, 1, 1};
    int other_rank = flags & CPL_LOAD_1X1 ? 4 : 0;
    matrix w = read_matrix(l, find_shaped(l, prefix, name, ".weight", 2, shape, other_rank, 1), 0, 1);
    float *bias = flags & CPL_LOAD_BIAS ? values(l, prefix, name, ".bias", 1, shape, 0) : NULL;
    cpl_weight *packed = NULL;
    if (packs(l)) packed = l->backend->ops->linear_weight(l->backend, l->type, w.values, bias, out, in, l->error);
    cpl_load_list(l, prefix, name, &(cpl_named_layer){.weight = packed, .type = l->type, .out = out, .in = in, .k = 1});
    return finish(l, packed, w.owned, bias);
}

cpl_weight *cpl_load_conv(cpl_loader *l, const char *prefix, const char *name, int out, int in, int k) {
    const int shape[4] = {out, in, k, k};
    matrix w = read_matrix(l, find_shaped(l, prefix, name, ".weight", 4, shape, k == 1 ? 2 : 0, 1), 0, 1);
    float *bias = values(l, prefix, name, ".bias", 1, shape, 0);
    cpl_weight *packed = NULL;
    if (packs(l)) packed = l->backend->ops->conv_weight(l->backend, l->type, w.values, bias, out, in, k, k, l->error);
    cpl_load_list(l, prefix, name,
                  &(cpl_named_layer){.weight = packed, .type = l->type, .out = out, .in = in, .k = k, .conv = true});
    return finish(l, packed, w.owned, bias);
}

cpl_weight *cpl_load_norm(cpl_loader *l, const char *prefix, const char *name, int c) {
    float *gamma = values(l, prefix, name, ".weight", 1, &c, 0);
    float *beta = values(l, prefix, name, ".bias", 1, &c, 0);
    cpl_weight *packed = NULL;
    if (packs(l)) packed = l->backend->ops->norm_weight(l->backend, gamma, beta, c, l->error);
    return finish(l, packed, gamma, beta);
}

cpl_weight *cpl_load_table(cpl_loader *l, const char *prefix, const char *name, int count, int c) {
    const int shape[2] = {count, c};
    float *rows = values(l, prefix, name, "", 2, shape, 0);
    cpl_weight *packed = NULL;
    if (packs(l)) packed = l->backend->ops->table_weight(l->backend, rows, count, c, l->error);
    return finish(l, packed, rows, NULL);
}

cpl_weight *cpl_load_rows(cpl_loader *l, const char *prefix, const char *weight, const char *bias, int rows, int first,
                          int out, int in) {
    const int shape[2] = {rows, in};
    int share = rows / out, part = first / out;
    matrix w = read_matrix(l, find_shaped(l, prefix, weight, "", 2, shape, 0, share), part, share);
    const cpl_ck_tensor *found = bias ? find_shaped(l, prefix, bias, "", 1, shape, 0, share) : NULL;
    float *b = found ? cpl_safetensors_f32(found->file, found->entry, l->error) : NULL;
    if (found) {
        l->failed = !b;
        tell(l, found->entry->bytes / (uint64_t)share);
    }
    cpl_weight *packed = NULL;
    if (packs(l))
        packed = l->backend->ops->linear_weight(l->backend, l->type, w.values, b ? b + first : NULL, out, in, l->error);
    /* Such a name ends in "_weight"; what it is the weight of is the layer. */
    char layer[64];
    snprintf(layer, sizeof layer, "%.*s", (int)strlen(weight) - 7, weight);
    cpl_load_list(l, prefix, layer,
                  &(cpl_named_layer){.weight = packed, .type = l->type, .out = out, .in = in, .k = 1, .part = part});
    return finish(l, packed, w.owned, b);
}

float *cpl_load_values(cpl_loader *l, const char *prefix, const char *name, int rank, const int *shape) {
    return values(l, prefix, name, "", rank, shape, 0);
}

/* A survey has no backend. */
cpl_dtype cpl_load_precision(const cpl_loader *l) { return l->backend ? l->backend->precision : CPL_F32; }

void *cpl_load_begin(cpl_loader *l, size_t size, bool sound) {
    void *network = sound && !l->failed ? cpl_alloc(1, size, l->error) : NULL;
    l->failed = !network;
    l->type = cpl_load_precision(l);
    return network;
}
