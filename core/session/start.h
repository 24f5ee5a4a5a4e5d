/* start.h: the picture that a run of image to image begins with: read, brought to the canvas' size, encoded. The last one is
 * kept, so that another seed or prompt encodes nothing. */
#ifndef CPL_SESSION_START_H
#define CPL_SESSION_START_H

#include "../model/model.h"

typedef struct cpl_start {
    uint64_t identity; /* of file and model together; 0: nothing is kept */
    int width, height;
    float *latent; /* owned */
} cpl_start;

/* A number that changes when the file does, found out without opening it; 0: the layout names none, or it is not there, and
 * `error` says so. */
uint64_t cpl_start_stamp(const cpl_layout *layout, cpl_error *error);
/* The latent of the layout's picture [z, height / factor, width / factor], borrowed until the next call. stamp: of
 * cpl_start_stamp; vae_pixels: as cpl_decode_latent takes them. Loads the encoder for as long as it is needed. */
const float *cpl_start_find(cpl_start *start, const cpl_model *model, cpl_stream *stream, const cpl_layout *layout,
                            const cpl_settings *settings, uint64_t stamp, size_t vae_pixels, cpl_error *error);
void cpl_start_clear(cpl_start *start);
/* The latent of any picture, freed by the caller; the encoder is that of the layout's model. */
float *cpl_start_encode(const cpl_model *model, cpl_stream *stream, const cpl_layout *layout, const cpl_image *picture,
                        size_t vae_pixels, cpl_error *error);

#endif
