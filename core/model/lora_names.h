/* lora_names.h: what the tensors of a LoRA file are called, by whoever trained it. Private to core/model. */
#ifndef CPL_MODEL_LORA_NAMES_H
#define CPL_MODEL_LORA_NAMES_H

#include "../memory/error.h"

/* What one tensor is to its module. */
typedef enum cpl_lora_part {
    CPL_LORA_DOWN, /* [rank, in], or [rank, in, k, k] */
    CPL_LORA_UP,   /* [out, rank] */
    CPL_LORA_MID,  /* [rank, rank, k, k]: then down is 1x1 too */
    CPL_LORA_ALPHA,
    CPL_LOHA_W1A, /* (w1_a w1_b) * (w2_a w2_b), value by value; t1, t2: the kernel of a convolution */
    CPL_LOHA_W1B,
    CPL_LOHA_W2A,
    CPL_LOHA_W2B,
    CPL_LOHA_T1,
    CPL_LOHA_T2,
    CPL_LOKR_W1, /* the Kronecker product of w1 and w2, each whole or as a product of two */
    CPL_LOKR_W1A,
    CPL_LOKR_W1B,
    CPL_LOKR_W2,
    CPL_LOKR_W2A,
    CPL_LOKR_W2B,
    CPL_LOKR_T2,
    CPL_LORA_PARTS,
    CPL_LORA_DORA = CPL_LORA_PARTS, /* from here on: known, but not built */
    CPL_LORA_DIFF,
    CPL_LORA_OFT,
    CPL_LORA_GLORA,
    CPL_LORA_IA3,
    CPL_LORA_STRANGE /* nothing that is known */
} cpl_lora_part;

#define CPL_LORA_KEY_SIZE 192

/* Splits a tensor's name. `key` gets the module's name in one spelling for all: underscores for dots, "unet_", "te1_" or "te2_"
 * in front, such as unet_down_blocks_0_attentions_0_proj_in or te1_encoder_layers_0_self_attn_q_proj. */
cpl_lora_part cpl_lora_name_split(const char *name, char key[CPL_LORA_KEY_SIZE]);

#endif
