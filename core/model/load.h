/* load.h: from tensors of a checkpoint to packed weights. Shared by the text encoder, the UNet and the VAE.
 *
 * A loader keeps its first failure: after it every call returns NULL and does nothing, so a network is put together as
 * a list of its layers, with one question at the end:
 *
 *     cpl_loader l = {.backend = backend, .weights = checkpoint, .error = error};
 *     net->in = cpl_load_conv(&l, "model.diffusion_model.", "input_blocks.0.0", 320, 4, 3);
 *     net->q  = cpl_load_linear(&l, prefix, "attn2.to_q", 320, 320, 0);
 *     if (l.failed) { cpl_net_free(net, backend); return NULL; }
 *
 * A tensor's name is prefix + name + ".weight" (".bias"); `prefix` may be "" and carries its own last dot. The message of
 * a failure names the tensor and tells the shape that it has and the one that it should have. */
#ifndef CPL_MODEL_LOAD_H
#define CPL_MODEL_LOAD_H

#include "../backend.h"
#include "checkpoint.h"
#include "named_layers.h"

/* Whoever waits for a model: may end the loading between two tensors, and hears how far it is. */
typedef struct cpl_load_watch {
    const atomic_bool *cancelled;                                /* borrowed; NULL: never */
    void (*progress)(void *user, uint64_t done, uint64_t total); /* bytes of the files; NULL: nobody hears it */
    void *user;
} cpl_load_watch;

/* What a model would take, found out by names and shapes alone. */
typedef struct cpl_load_survey {
    int missing;                /* tensors that are not there ... */
    char first_missing[256];    /* ... and the first of them */
    uint64_t bytes;             /* of the tensors in their files */
    uint64_t matrices, vectors; /* values: of linear layers and convolutions; of norms, biases and tables */
} cpl_load_survey;

typedef struct cpl_loader {
    cpl_backend *backend; /* borrowed, as all here */
    const cpl_checkpoint *weights;
    cpl_error *error;            /* may be NULL */
    const cpl_load_watch *watch; /* may be NULL */
    cpl_load_survey *survey;     /* NULL, or nothing is read: every weight is NULL, and what is missing is no failure */
    uint64_t done, total;        /* bytes; total 0: not known, and no progress is told */
    cpl_named_layers *layers;    /* gets every linear layer and convolution; NULL: nobody wants them */
    bool failed;
    cpl_dtype type; /* what the next layers multiply in; networks ask for f32 where rounding would show */
} cpl_loader;

enum {
    CPL_LOAD_BIAS = 1, /* there is a bias, and it must be there */
    CPL_LOAD_1X1 = 2   /* the weight may also be a 1x1 convolution [out, in, 1, 1] */
};

cpl_weight *cpl_load_linear(cpl_loader *l, const char *prefix, const char *name, int out, int in, unsigned flags);
/* With bias. [out, in, k, k]; k = 1 also accepts [out, in]. */
cpl_weight *cpl_load_conv(cpl_loader *l, const char *prefix, const char *name, int out, int in, int k);
cpl_weight *cpl_load_norm(cpl_loader *l, const char *prefix, const char *name, int c); /* weight and bias */
/* The whole name, without ".weight" added: a table is also called "positional_embedding". */
cpl_weight *cpl_load_table(cpl_loader *l, const char *prefix, const char *name, int count, int c);
/* Rows first ... first + out - 1 of a weight and a bias of `rows` rows, each with its own name (a joint q/k/v
 * projection: "attn.in_proj_weight", "attn.in_proj_bias"). bias may be NULL. */
cpl_weight *cpl_load_rows(cpl_loader *l, const char *prefix, const char *weight, const char *bias, int rows, int first,
                          int out, int in);
/* What layers multiply in unless they ask for f32. */
cpl_dtype cpl_load_precision(const cpl_loader *l);
/* A zeroed struct for a network whose spec is sound; NULL: the loader has failed, now or before. Its layers multiply in
 * the backend's precision until `type` is set. */
void *cpl_load_begin(cpl_loader *l, size_t size, bool sound);
/* Lists a layer that was packed by hand; what is packed by the functions above is listed by them. */
void cpl_load_list(cpl_loader *l, const char *prefix, const char *name, const cpl_named_layer *layer);
/* The f32 values of prefix + name, freed by the caller, if its shape is exactly `shape`; else NULL, and the loader has failed. */
float *cpl_load_values(cpl_loader *l, const char *prefix, const char *name, int rank, const int *shape);

#endif
