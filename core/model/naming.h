/* naming.h: the ways in which files name what LDM names "model.diffusion_model...." and "first_stage_model....". */
#ifndef CPL_MODEL_NAMING_H
#define CPL_MODEL_NAMING_H

#include <stdbool.h>
#include <stddef.h>

typedef enum cpl_naming_kind {
    CPL_NAMED_LDM,  /* as it is asked for */
    CPL_NAMED_BARE, /* without the part's prefix */
    CPL_NAMED_EMA,  /* averaged weights: "model_ema." and the name without its points */
    CPL_NAMED_DIFFUSERS_UNET,
    CPL_NAMED_DIFFUSERS_VAE
} cpl_naming_kind;

typedef struct cpl_naming {
    cpl_naming_kind kind;
    int count;          /* UNet: ResBlocks of a level; VAE: levels */
    bool old_attention; /* VAE: query, key, value, proj_attn */
} cpl_naming;

/* The name in a file of what is asked for as `ldm`, whose first `prefix` characters are the part's. False: none. */
bool cpl_naming_apply(const cpl_naming *naming, const char *ldm, size_t prefix, char *name, size_t size);

#endif
