/* naming.c: one rule for each way of naming. */
#include "naming.h"

#include <stdio.h>
#include <string.h>

#include "diffusers.h"

/* LitEma keeps "diffusion_model.input_blocks.0.0.weight" as "model_ema.diffusion_modelinput_blocks00weight". */
static bool ema_name(const char *ldm, char *name, size_t size) {
    static const char owner[] = "model.", averaged[] = "model_ema.";
    if (strncmp(ldm, owner, sizeof owner - 1) != 0 || size < sizeof averaged) return false;
    size_t used = sizeof averaged - 1;
    memcpy(name, averaged, sizeof averaged);
    for (const char *p = ldm + sizeof owner - 1; *p; p++) {
        if (*p == '.') continue;
        if (used + 1 >= size) return false;
        name[used++] = *p;
    }
    name[used] = 0;
    return true;
}

bool cpl_naming_apply(const cpl_naming *naming, const char *ldm, size_t prefix, char *name, size_t size) {
    const char *rest = ldm + prefix;
    switch (naming->kind) {
    case CPL_NAMED_LDM:
        rest = ldm;
        break;
    case CPL_NAMED_BARE:
        break;
    case CPL_NAMED_EMA:
        return ema_name(ldm, name, size);
    case CPL_NAMED_DIFFUSERS_UNET:
        return cpl_diffusers_unet_name(rest, naming->count, name, size);
    case CPL_NAMED_DIFFUSERS_VAE:
        return cpl_diffusers_vae_name(rest, naming->count, naming->old_attention, name, size);
    }
    return snprintf(name, size, "%s", rest) < (int)size;
}
