/* preview.c: the linear map from latent channels to RGB that was fitted for the model, one pixel a latent cell. */
#include "preview.h"

static unsigned char to_byte(float value) {
    if (!(value > 0)) return 0; /* NaN too */
    return value < 1 ? (unsigned char)(255.0f * value) : 255;
}

void cpl_preview(const cpl_vae_spec *spec, const float *latent, size_t cells, unsigned char *rgb) {
    for (size_t i = 0; i < cells; i++)
        for (int k = 0; k < 3; k++) {
            float value = spec->latent_rgb_bias[k];
            for (int c = 0; c < spec->z_channels; c++) value += latent[(size_t)c * cells + i] * spec->latent_rgb[c][k];
            rgb[i * 3 + (size_t)k] = to_byte(value);
        }
}
