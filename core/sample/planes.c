/* planes.c: order of values on the host, VAE decode of one latent, and 8-bit pictures. Files are not written here. */
#include "planes.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "../memory/alloc.h"
#include "pipeline.h"

void cpl_interleave(float *out, const float *planes, int c, size_t cells) {
    for (size_t i = 0; i < cells; i++)
        for (int k = 0; k < c; k++) out[i * (size_t)c + (size_t)k] = planes[(size_t)k * cells + i];
}

void cpl_deinterleave(float *planes, const float *in, int c, size_t cells) {
    for (size_t i = 0; i < cells; i++)
        for (int k = 0; k < c; k++) planes[(size_t)k * cells + i] = in[i * (size_t)c + (size_t)k];
}

static bool clamp01(float *values, size_t count) {
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        finite = finite && isfinite(values[i]);
        values[i] = fminf(fmaxf((values[i] + 1) / 2, 0), 1);
    }
    return finite;
}

/* The decoded picture as planes of 0..1; NULL when the stream failed, memory ran out, or there is no picture in it. */
static float *fetch_image01(cpl_stream *s, const cpl_tensor *image, cpl_error *error) {
    size_t cells = (size_t)image->h * (size_t)image->w, count = cells * (size_t)image->c;
    float *pixels = cpl_alloc(count, sizeof *pixels, error), *planes = cpl_alloc(count, sizeof *planes, error);
    bool finite = true;
    if (pixels && planes) {
        s->ops->download(s, pixels, image);
        cpl_deinterleave(planes, pixels, image->c, cells);
        finite = clamp01(planes, count);
    }
    bool done = pixels && planes && cpl_stream_settle(s, error);
    if (done && !finite)
        done = cpl_fail(error, CPL_E_UNSUPPORTED, "the VAE gave values that are no finite numbers; use %sanother VAE",
                        s->backend->precision != CPL_F32 ? "precision f32 or " : "");
    free(pixels);
    if (done) return planes;
    free(planes);
    return NULL;
}

/* Above this the activations of a whole decode would be what limits the size of a picture; one of 512 by 512 pixels of a
 * large model stays below. The strips of the other two sizes cost about a quarter more time, those when memory is scarce
 * half more. */
#define WHOLE_BYTES ((size_t)1 << 30)
enum { STRIP_PIXELS = 512 * 512, SCARCE_PIXELS = 256 * 256 };

static size_t pixels_at_a_time(const cpl_model *model, const cpl_stream *s, int w, int h, size_t wanted) {
    if (wanted) return wanted == SIZE_MAX ? 0 : wanted;
    return cpl_vae_decode_bytes(model->vae, w, h, s->backend->precision) > WHOLE_BYTES ? STRIP_PIXELS : 0;
}

static float *decode(const cpl_model *model, cpl_stream *s, const float *interleaved, int w, int h,
                     const cpl_vae_way *way, cpl_error *error) {
    cpl_tensor z = cpl_make_as(s, CPL_F32, 1, h, w, model->spec.vae.z_channels);
    s->ops->upload(s, &z, interleaved);
    cpl_tensor image = cpl_vae_decode_by(model->vae, s, &z, way, NULL, NULL);
    cpl_tensor_free(&z);
    float *planes = NULL;
    if (cpl_stream_settle(s, error)) planes = fetch_image01(s, &image, error);
    cpl_tensor_free(&image);
    return planes;
}

float *cpl_decode_latent(const cpl_model *model, cpl_stream *s, const float *latent, int w, int h,
                         const cpl_vae_way *way, cpl_error *error) {
    int c = model->spec.vae.z_channels;
    size_t cells = (size_t)w * (size_t)h;
    cpl_vae_way own = *way;
    cpl_error failure = {0};
    float *host = cpl_alloc(cells * (size_t)c, sizeof *host, error);
    if (!host) return NULL;
    cpl_interleave(host, latent, c, cells);
    for (size_t i = 0; i < cells * (size_t)c; i++) host[i] /= model->spec.vae.scaling_factor;
    own.pixels = pixels_at_a_time(model, s, w, h, way->pixels);
    float *planes = decode(model, s, host, w, h, &own, &failure);
    if (!planes && failure.code == CPL_E_MEMORY) {
        cpl_pool_trim(s->pool, 0);
        if (!own.pixels || own.pixels > SCARCE_PIXELS) own.pixels = SCARCE_PIXELS;
        planes = decode(model, s, host, w, h, &own, &failure);
    }
    free(host);
    if (!planes && error) *error = failure;
    return planes;
}

cpl_image *cpl_image_from_planes(const float *planes01, int width, int height, cpl_error *error) {
    cpl_image *image = cpl_image_new(width, height, error);
    if (!image) return NULL;
    size_t cells = (size_t)width * (size_t)height;
    for (size_t i = 0; i < cells; i++)
        for (size_t k = 0; k < 3; k++) image->rgb[i * 3 + k] = (unsigned char)(255.0f * planes01[k * cells + i]);
    return image;
}
