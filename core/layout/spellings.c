/* spellings.c: the WebUI's names. */
#include "spellings.h"

#include <stddef.h>
#include <string.h>

const cpl_spelling cpl_webui_samplers[] = {{"euler", "Euler"},
                                           {"euler_a", "Euler a"},
                                           {"heun", "Heun"},
                                           {"dpm_2", "DPM2"},
                                           {"dpm_2_a", "DPM2 a"},
                                           {"lms", "LMS"},
                                           {"dpmpp_2s_a", "DPM++ 2S a"},
                                           {"dpmpp_sde", "DPM++ SDE"},
                                           {"dpmpp_2m", "DPM++ 2M"},
                                           {"dpmpp_2m_sde", "DPM++ 2M SDE"},
                                           {"dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun"},
                                           {"dpmpp_3m_sde", "DPM++ 3M SDE"},
                                           {"ddim", "DDIM"},
                                           {"ddpm", "DDIM"}, /* with eta 1, which stands beside it */
                                           {"plms", "PLMS"},
                                           {"lcm", "LCM"},
                                           {NULL, NULL}};
const cpl_spelling cpl_webui_schedules[] = {{"automatic", "Automatic"},
                                            {"normal", "Normal"},
                                            {"normal", "Uniform"}, /* the same levels, by another name of Forge */
                                            {"karras", "Karras"},
                                            {"exponential", "Exponential"},
                                            {"polyexponential", "Polyexponential"},
                                            {"sgm_uniform", "SGM Uniform"},
                                            {"kl_optimal", "KL Optimal"},
                                            {"align_your_steps", "Align Your Steps"},
                                            {"align_your_steps_gits", "Align Your Steps GITS"},
                                            {"align_your_steps_11", "Align Your Steps 11"},
                                            {"align_your_steps_32", "Align Your Steps 32"},
                                            {"simple", "Simple"},
                                            {"ddim", "DDIM"},
                                            {"beta", "Beta"},
                                            {"turbo", "Turbo"},
                                            {NULL, NULL}};
const cpl_spelling cpl_webui_rngs[] = {{"cpu", "CPU"}, {"nv", "NV"}, {"nv", "GPU"}, {NULL, NULL}};
const cpl_spelling cpl_webui_upscalers[] = {{"latent", "Latent"},
                                            {"latent", "Latent (antialiased)"}, /* the same where it enlarges */
                                            {"latent_nearest", "Latent (nearest)"},
                                            {"latent_bicubic", "Latent (bicubic)"},
                                            {"lanczos", "Lanczos"},
                                            {"lanczos", "None"}, /* the same there */
                                            {NULL, NULL}};
const char *const cpl_webui_modes[] = {"Basic", "Advanced", "Mask", NULL};
const char *const cpl_webui_directions[] = {"Horizontal", "Vertical", NULL};
const char *const cpl_webui_backgrounds[] = {"None", "First Line", "Last Line", NULL};

const char *cpl_spell(const cpl_spelling *list, const char *ours) {
    for (; list->ours; list++)
        if (strcmp(list->ours, ours) == 0) return list->theirs;
    return ours;
}

const char *cpl_unspell(const cpl_spelling *list, const char *theirs) {
    for (; list->ours; list++)
        if (strcmp(list->theirs, theirs) == 0) return list->ours;
    return NULL;
}
