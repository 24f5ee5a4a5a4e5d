/* onednn.h: the one place where oneDNN 2.x and 3.x differ. Version 3 made descriptors of memory into handles and
 * dropped the operation descriptors; what both spell alike is used as it is by the includers, primitive.c and ceiling.c. */
#ifndef CPL_CPU_ONEDNN_H
#define CPL_CPU_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>

typedef struct onednn_conv {
    const dnnl_memory_desc_t *x, *weights, *bias, *y; /* bias may be NULL */
    dnnl_dims_t stride, pad_low, pad_high;            /* rows, columns */
} onednn_conv;

static const dnnl_dims_t onednn_no_dilation = {0, 0};

#if DNNL_VERSION_MAJOR >= 3

typedef const_dnnl_memory_desc_t onednn_md; /* borrowed */

static inline onednn_md onednn_ref(const dnnl_memory_desc_t *md) { return md ? *md : NULL; }
static inline dnnl_status_t onednn_md_make(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims,
                                           dnnl_data_type_t type, dnnl_format_tag_t tag) {
    return dnnl_memory_desc_create_with_tag(md, rank, dims, type, tag);
}
static inline void onednn_md_free(dnnl_memory_desc_t *md) {
    dnnl_memory_desc_destroy(*md);
    *md = NULL;
}
static inline dnnl_status_t onednn_add_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef); /* the type of what is written */
}
static inline dnnl_status_t onednn_add_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, 0.0f);
}
static inline dnnl_status_t onednn_conv_make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const onednn_conv *c,
                                             const_dnnl_primitive_attr_t attr) {
    return dnnl_convolution_forward_primitive_desc_create(
        pd, engine, dnnl_forward_inference, dnnl_convolution_direct, onednn_ref(c->x), onednn_ref(c->weights),
        onednn_ref(c->bias), onednn_ref(c->y), c->stride, onednn_no_dilation, c->pad_low, c->pad_high, attr);
}
static inline dnnl_status_t onednn_matmul_make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                               const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *w,
                                               const dnnl_memory_desc_t *y, const_dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(pd, engine, *x, *w, NULL, *y, attr);
}
static inline dnnl_status_t onednn_softmax_make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                const dnnl_memory_desc_t *x, int axis,
                                                const_dnnl_primitive_attr_t attr) {
    return dnnl_softmax_forward_primitive_desc_create(pd, engine, dnnl_forward_inference, dnnl_softmax_accurate, *x, *x,
                                                      axis, attr);
}

#else

typedef const dnnl_memory_desc_t *onednn_md;

static inline dnnl_status_t onednn_md_make(dnnl_memory_desc_t *md, int rank, const dnnl_dims_t dims,
                                           dnnl_data_type_t type, dnnl_format_tag_t tag) {
    return dnnl_memory_desc_init_by_tag(md, rank, dims, type, tag);
}
static inline onednn_md onednn_ref(const dnnl_memory_desc_t *md) { return md; }
static inline void onednn_md_free(dnnl_memory_desc_t *md) { (void)md; }
static inline dnnl_status_t onednn_add_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1.0f); }
static inline dnnl_status_t onednn_add_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
    return dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, 0.0f);
}
static inline dnnl_status_t onednn_conv_make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const onednn_conv *c,
                                             const_dnnl_primitive_attr_t attr) {
    dnnl_convolution_desc_t op;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &op, dnnl_forward_inference, dnnl_convolution_direct, c->x, c->weights, c->bias, c->y, c->stride,
        onednn_no_dilation, c->pad_low, c->pad_high);
    return status ? status : dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
}
static inline dnnl_status_t onednn_matmul_make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                               const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *w,
                                               const dnnl_memory_desc_t *y, const_dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t op;
    dnnl_status_t status = dnnl_matmul_desc_init(&op, x, w, NULL, y);
    return status ? status : dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
}
static inline dnnl_status_t onednn_softmax_make(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                const dnnl_memory_desc_t *x, int axis,
                                                const_dnnl_primitive_attr_t attr) {
    dnnl_softmax_desc_t op;
    dnnl_status_t status = dnnl_softmax_forward_desc_init(&op, dnnl_forward_inference, x, axis);
    return status ? status : dnnl_primitive_desc_create(pd, &op, attr, engine, NULL);
}

#endif

#endif
