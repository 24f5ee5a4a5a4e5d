/* diffusers.h: what diffusers calls the tensors and modules of an LDM checkpoint. Rules, no tables of whole models. */
#ifndef CPL_MODEL_DIFFUSERS_H
#define CPL_MODEL_DIFFUSERS_H

#include <stdbool.h>
#include <stddef.h>

/* `ldm`: a tensor or a module of the UNet, without "model.diffusion_model.": "input_blocks.1.1.proj_in.weight" is
 * "down_blocks.0.attentions.0.proj_in.weight". num_res_blocks: of one level of the input half. False: no such module
 * there, or its name has no room. */
bool cpl_diffusers_unet_name(const char *ldm, int num_res_blocks, char *name, size_t size);
/* Of the VAE, without "first_stage_model.": "decoder.up.0.block.1.conv1" of 4 levels is "decoder.up_blocks.3.resnets.1.conv1".
 * `old_attention`: query, key, value and proj_attn instead of to_q, to_k, to_v and to_out.0, as before diffusers 0.18. */
bool cpl_diffusers_vae_name(const char *ldm, int levels, bool old_attention, char *name, size_t size);
/* A module of an OpenCLIP text encoder, without its prefix: "transformer.resblocks.3.mlp.c_fc" is
 * "text_model.encoder.layers.3.mlp.fc1". The joint "attn.in_proj" is three modules there: `which` 0, 1, 2 are q, k, v. */
bool cpl_diffusers_text_name(const char *openclip, int which, char *name, size_t size);

#endif
