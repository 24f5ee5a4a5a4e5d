/* lora_files.h: small LoRAs for the built-in model, in a folder of their own. */
#ifndef TESTS_SESSION_LORA_FILES_H
#define TESTS_SESSION_LORA_FILES_H

#include <sys/stat.h>

#include "../model/st_bag.h"

typedef enum lora_reach { IN_BOTH, IN_UNET, IN_TEXT } lora_reach;

/* The values depend on `seed` alone. */
static inline void write_lora(const char *dir, const char *name, uint32_t seed, lora_reach reach) {
    char path[300];
    bag b = {0};
    noise_seed = seed;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (reach != IN_TEXT) {
        bag_add_pair(&b, "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k", 128, 96, 4, 0.5F);
        bag_add_pair(&b, "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", 64, 64, 3, 0.5F);
        bag_add_pair(&b, "lora_unet_up_blocks_1_attentions_1_transformer_blocks_0_ff_net_2", 64, 256, 2, 0.2F);
    }
    if (reach != IN_UNET) bag_add_pair(&b, "lora_te_text_model_encoder_layers_0_mlp_fc1", 384, 96, 2, 0.5F);
    bag_write(&b, path);
    bag_clear(&b);
}

#endif
