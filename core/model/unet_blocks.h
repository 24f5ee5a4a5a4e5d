/* unet_blocks.h: how the UNet is put together; private to unet.c, which loads it, and unet_run.c, which runs it. */
#ifndef CPL_MODEL_UNET_BLOCKS_H
#define CPL_MODEL_UNET_BLOCKS_H

#include "resblock.h"
#include "transformer.h"

/* Of one half of the network, so that a run can keep its skips without taking memory. */
#define CPL_UNET_MAX_SKIPS 64

typedef enum cpl_unet_conv {
    CPL_UNET_CONV_NONE,
    CPL_UNET_CONV_STEM, /* latent channels to model channels */
    CPL_UNET_CONV_DOWN, /* stride 2, ceil-halved */
    CPL_UNET_CONV_UP    /* nearest to the size of the next skip, then the convolution */
} cpl_unet_conv;

/* Up to three modules, in this order; which of them there are is data. */
typedef struct cpl_unet_block {
    char name[32];    /* as in the checkpoint: "input_blocks.4" */
    int first_module; /* number of its first module there: "input_blocks.4.0" */
    int level;
    bool has_res;
    cpl_resblock res;
    cpl_transformer transformer;
    cpl_unet_conv conv_kind;
    cpl_weight *conv; /* owned */
} cpl_unet_block;

enum { CPL_UNET_MIDDLE_BLOCKS = 2 }; /* ResBlock and transformer; ResBlock */

struct cpl_unet {
    cpl_unet_spec spec;
    int half;              /* blocks of the input half, and as many of the output half */
    int blocks;            /* half + middle + half, in running order */
    cpl_unet_block *block; /* owned */
    int text_layers;       /* transformer blocks of all blocks */
    cpl_weight *time_in, *time_out, *label_in, *label_out; /* owned; label: NULL without adm_in_channels */
    cpl_weight *out_norm, *out_conv;
};

#endif
