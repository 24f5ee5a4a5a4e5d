/* network_rig.h: a model of the golden data on the CPU backend, and tensors between its files and the networks. */
#ifndef TESTS_GOLDEN_NETWORK_RIG_H
#define TESTS_GOLDEN_NETWORK_RIG_H

#include "../../core/model/spec.h"
#include "../../core/model/unet.h"
#include "golden.h"

typedef struct rig {
    golden *g;
    cpl_checkpoint *weights;
    cpl_safetensors *expected;
    cpl_model_spec spec;
    cpl_backend *backend;
    cpl_stream *s;
} rig;

/* "sd1_tiny": its weights, and the file of expected values "sd1_tiny_<what>_expected.safetensors". False: reported. */
bool rig_open(rig *r, golden *g, const char *model, const char *what);
void rig_close(rig *r);

/* A case is all tensors whose names begin alike ("case0."); it is found by a tensor that each case has, such as "x".
 * Calls run once for each, with the name without the point. */
void rig_each_case(rig *r, const char *kind, const char *suffix, void (*run)(rig *r, void *network, const char *name),
                   void *network);

/* The tensor "<case>.<key>", or NULL. Values are as in the file: [n, c, h, w]; with fewer sides the first ones are 1. */
const cpl_st_entry *rig_find(const rig *r, const char *name, const char *key);
float *rig_values(const rig *r, const cpl_st_entry *entry); /* NULL and a failed stream where it cannot be read */

/* Image [n, c, h, w], or rows [n, c] and [n, tokens, c], to a tensor; `copies` times one after the other. */
cpl_tensor rig_image(rig *r, const char *name, const char *key, int copies);
cpl_tensor rig_rows(rig *r, const char *name, const char *key, int element); /* element of n, or -1: all */
/* The values of an output in the order of the files; freed by the caller. */
float *rig_download(cpl_stream *s, const cpl_tensor *x);

/* What is said about a case: the first thing that is wrong, or nothing. */
typedef struct verdict {
    char text[400];
} verdict;
void verdict_add(verdict *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Compares an output with "<case>.<key>"; with the first batch elements only where the file holds fewer. */
void rig_compare(rig *r, verdict *v, const char *name, const char *key, const cpl_tensor *output, double tolerance);
void rig_report(rig *r, const char *name, verdict *v); /* passes or fails; a failure of the stream fails */

/* A probe for both networks: compares each module with "<case>.mid.<module>". */
typedef struct rig_listener {
    rig *r;
    verdict *v;
    const char *name, *last; /* the case; which module the file calls "output_blocks.last", or NULL */
    double tolerance;
    int heard;
} rig_listener;
void rig_listen(void *listener, cpl_stream *s, const char *module, const cpl_tensor *output);
/* After the run: was there a module for each recorded one? */
void rig_heard_all(const rig_listener *listener);

/* network_vae.c */
void golden_vae_decode(golden *g, const char *model);
void golden_vae_encode(golden *g, const char *model);
void golden_vae_chain(golden *g, const char *model);

/* full_size.c: sd15_random_expected.safetensors */
void golden_full_size(golden *g);

#endif
