/* start.c: from a PNG to the latent that noise is added to. */
#include "start.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../memory/file.h"
#include "../memory/hash.h"
#include "../model/model_file.h"
#include "../sample/img2img.h"

#define PLACE "img2img.image"

uint64_t cpl_start_stamp(const cpl_layout *layout, cpl_error *error) {
    struct stat about;
    if (!layout->init_image || !*layout->init_image) return 0;
    char *path = cpl_path_join(layout->directory, layout->init_image, error);
    if (!path) return 0;
    uint64_t stamp = cpl_hash_text(CPL_HASH_START, path);
    if (stat(path, &about) == 0) {
        const uint64_t facts[] = {(uint64_t)about.st_dev, (uint64_t)about.st_ino, (uint64_t)about.st_size,
                                  (uint64_t)about.st_mtim.tv_sec, (uint64_t)about.st_mtim.tv_nsec};
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) stamp = cpl_hash_u64(stamp, facts[i]);
        stamp += !stamp;
    } else {
        cpl_fail_at(error, -1, PLACE, PLACE ": %.200s: %s; name a PNG file, or remove the key", path, strerror(errno));
        stamp = 0;
    }
    free(path);
    return stamp;
}

static cpl_image *read_whole(const cpl_layout *layout, cpl_error *error) {
    static const char remedy[] = "; name another PNG file, or remove the key";
    cpl_error fault = {0};
    char *path = cpl_path_join(layout->directory, layout->init_image, error);
    cpl_image *image = path ? cpl_image_read_png(path, &fault) : NULL;
    free(path);
    if (!image && fault.code) {
        cpl_fail_at(error, -1, PLACE, PLACE ": %.400s%s", fault.message, strchr(fault.message, ';') ? "" : remedy);
        if (error && fault.code == CPL_E_MEMORY) error->code = fault.code;
    }
    return image;
}

bool cpl_layout_check_start(const cpl_layout *layout, cpl_error *error) {
    if (!layout->init_image || !*layout->init_image) return true;
    if (!cpl_start_stamp(layout, error)) return false;
    cpl_image *image = read_whole(layout, error);
    cpl_image_free(image);
    return image != NULL;
}

static cpl_image *read_picture(const cpl_layout *layout, const cpl_settings *settings, cpl_error *error) {
    cpl_image *image = read_whole(layout, error);
    if (!image || (image->width == settings->width && image->height == settings->height)) return image;
    cpl_image *resized = cpl_image_resize(image, settings->width, settings->height, error);
    cpl_image_free(image);
    return resized;
}

static cpl_vae_encoder *load_encoder(const cpl_model *model, cpl_stream *stream, const cpl_layout *layout,
                                     cpl_error *error) {
    const cpl_model_source source = cpl_layout_source(layout);
    const cpl_load_watch watch = {.cancelled = stream->cancelled};
    cpl_checkpoint *checkpoint = cpl_model_open_files(&source, error);
    cpl_loader loader = {.backend = model->backend, .weights = checkpoint, .error = error, .watch = &watch};
    cpl_vae_encoder *encoder = checkpoint ? cpl_vae_encoder_new(&loader, &model->spec.vae) : NULL;
    cpl_checkpoint_close(checkpoint);
    return encoder;
}

float *cpl_start_encode(const cpl_model *model, cpl_stream *stream, const cpl_layout *layout, const cpl_image *picture,
                        size_t vae_pixels, cpl_error *error) {
    cpl_vae_encoder *encoder = load_encoder(model, stream, layout, error);
    const cpl_vae_way way = {.pixels = vae_pixels};
    float *latent = encoder ? cpl_encode_picture(encoder, &model->spec.vae, stream, picture, &way, error) : NULL;
    cpl_vae_encoder_free(encoder, model->backend);
    cpl_pool_trim(stream->pool, CPL_VAE_KEEP);
    return latent;
}

const float *cpl_start_find(cpl_start *start, const cpl_model *model, cpl_stream *stream, const cpl_layout *layout,
                            const cpl_settings *settings, uint64_t stamp, size_t vae_pixels, cpl_error *error) {
    uint64_t identity = cpl_hash_u64(stamp, model->identity);
    identity += !identity;
    if (start->identity == identity && start->width == settings->width && start->height == settings->height)
        return start->latent;
    cpl_start_clear(start);
    cpl_image *picture = read_picture(layout, settings, error);
    float *latent = picture ? cpl_start_encode(model, stream, layout, picture, vae_pixels, error) : NULL;
    cpl_image_free(picture);
    if (latent) *start = (cpl_start){identity, settings->width, settings->height, latent};
    return latent;
}

void cpl_start_clear(cpl_start *start) {
    free(start->latent);
    *start = (cpl_start){0};
}
