/* spec_rules.h: the parts of reading a model's spec. Private to spec.c. */
#ifndef CPL_MODEL_SPEC_RULES_H
#define CPL_MODEL_SPEC_RULES_H

#include "spec.h"

bool cpl_spec_parse(const char *json, const char *file, cpl_model_spec *spec, cpl_error *error);
/* From names and shapes. */
bool cpl_spec_infer(const cpl_checkpoint *checkpoint, cpl_model_spec *spec, cpl_error *error);
/* The VAE alone, for one that is not the model's own. */
bool cpl_spec_infer_vae(const cpl_checkpoint *checkpoint, cpl_vae_spec *vae, cpl_error *error);
/* What a diffusers folder's config.json files say beyond shapes. */
bool cpl_spec_configure(const cpl_checkpoint *checkpoint, cpl_model_spec *spec, cpl_error *error);
/* False, always: the UNet was distilled to take the guidance scale as an input. */
bool cpl_spec_refuse_guidance(const char *file, cpl_error *error);
/* Fails with what a file seems to be that holds no UNet of these kinds. */
bool cpl_spec_refuse_stranger(const cpl_checkpoint *checkpoint, cpl_error *error);
/* What no model of these kinds can do without: sizes that divide, widths that fit each other. */
bool cpl_spec_check(const cpl_model_spec *spec, const char *file, cpl_error *error);
/* What a family has where nothing else is said. */
void cpl_spec_defaults(const char *family, cpl_model_spec *spec);

#endif
