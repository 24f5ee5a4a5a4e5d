/* img2img.c: the arithmetic of a run that begins with a picture. */
#include "img2img.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "planes.h"
#include "sampler.h"

enum { STRIP_PIXELS = 512 * 512 }; /* pictures up to this are encoded as a whole */
#define MOST_DENOISE 0.999         /* a whole run by this rule leaves nothing out, and rounds no step away */

void cpl_img2img_steps(int steps, double denoise, bool fix_steps, int *total, int *taken) {
    double share = fmin(denoise, MOST_DENOISE);
    *total = steps;
    *taken = (int)(share * steps) + 1;
    if (!fix_steps) return;
    *total = share > 0 ? (int)fmin(steps / share, 1e9) : 0;
    *taken = steps;
}

/* A schedule may have fewer steps than it was asked for: then what is taken of it may be more than it has, or begin behind it. */
static int within(int index, int last) { return index < 0 ? 0 : index > last ? last : index; }

/* DDIM and its kin list levels, not steps, and the WebUI cuts their list one further down: the first call of the model is at
 * the level below that of the noise. Where that leaves no step, one is made. */
static void cut_levels(cpl_span *span, int all, int taken) {
    span->skip = within(all + 2 - taken, all - 1);
    span->noise = within(all + 1 - taken, span->skip);
    span->steps = all - span->skip;
}

cpl_span cpl_span_of(const char *sampler, const char *schedule, int train_timesteps, int steps, double denoise,
                     bool fix_steps) {
    cpl_span span = {.asked = steps};
    int taken = steps;
    if (denoise > 0) cpl_img2img_steps(steps, denoise, fix_steps, &span.asked, &taken);
    if (span.asked < 1 || span.asked > CPL_MAX_TRAIN_STEPS) return (cpl_span){0};
    int all = cpl_sampler_steps(sampler, schedule, train_timesteps, span.asked);
    span.steps = all;
    if (denoise > 0 && cpl_sampler_has_own_levels(sampler)) {
        cut_levels(&span, all, taken);
    } else if (denoise > 0) {
        span.skip = span.noise = within(span.asked - taken, all - 1);
        span.steps = all - span.skip;
    }
    return span;
}

/* 0..255 as -1..1, in the networks' order of values, which is the picture's own. */
static cpl_tensor upload_picture(cpl_stream *s, const cpl_image *picture, cpl_error *error) {
    size_t count = (size_t)picture->width * (size_t)picture->height * 3;
    float *values = cpl_alloc(count, sizeof *values, error);
    if (!values) return (cpl_tensor){0};
    for (size_t i = 0; i < count; i++) values[i] = (float)picture->rgb[i] / 255.0f * 2 - 1;
    cpl_tensor image = cpl_make_as(s, CPL_F32, 1, picture->height, picture->width, 3);
    s->ops->upload(s, &image, values);
    if (!cpl_stream_settle(s, error)) cpl_tensor_free(&image);
    free(values);
    return image;
}

/* Of mean and log variance the first half. */
static float *fetch_mean(cpl_stream *s, const cpl_tensor *moments, const cpl_vae_spec *spec, cpl_error *error) {
    int z = spec->z_channels;
    size_t cells = (size_t)moments->h * (size_t)moments->w, count = cells * (size_t)moments->c;
    float *values = cpl_alloc(count, sizeof *values, error),
          *latent = cpl_alloc(cells * (size_t)z, sizeof *latent, error);
    if (values && latent) {
        s->ops->download(s, values, moments);
        for (size_t i = 0; i < cells; i++)
            for (int k = 0; k < z; k++)
                latent[(size_t)k * cells + i] =
                    values[i * (size_t)moments->c + (size_t)k] * (float)spec->scaling_factor;
    }
    bool done = values && latent && cpl_stream_settle(s, error);
    free(values);
    if (done) return latent;
    free(latent);
    return NULL;
}

float *cpl_encode_picture(const cpl_vae_encoder *encoder, const cpl_vae_spec *spec, cpl_stream *s,
                          const cpl_image *picture, const cpl_vae_way *way, cpl_error *error) {
    cpl_tensor image = upload_picture(s, picture, error);
    if (!image.data) return NULL;
    cpl_vae_way own = *way;
    own.pixels = way->pixels == SIZE_MAX ? 0 : way->pixels ? way->pixels : STRIP_PIXELS;
    cpl_tensor moments = cpl_vae_encode_by(encoder, s, &image, &own, NULL, NULL);
    cpl_tensor_free(&image);
    float *latent = cpl_stream_settle(s, error) ? fetch_mean(s, &moments, spec, error) : NULL;
    cpl_tensor_free(&moments);
    return latent;
}
