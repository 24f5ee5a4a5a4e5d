/* model.c: puts a checkpoint together on a backend: text encoders, UNet, VAE, tokenizer. What a prompt becomes is
 * model_encode.c's, which file is meant model_file.c's subject. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "builtin.h"
#include "model_file.h"
#include "tokenizer_find.h"

void cpl_model_close(cpl_model *model) {
    if (!model) return;
    for (int i = 0; i < CPL_MAX_TEXTS; i++) cpl_text_encoder_free(model->text[i], model->backend);
    cpl_unet_free(model->unet, model->backend);
    cpl_vae_free(model->vae, model->backend);
    cpl_tokenizer_free(model->tokenizer);
    free(model);
}

static bool tokenizer_fits(const cpl_model *m, const cpl_safetensors *st, cpl_error *error) {
    int has = m->tokenizer ? cpl_tokenizer_size(m->tokenizer) : 0, wants = m->spec.text[0].vocab_size;
    return !m->tokenizer || has == wants ||
           cpl_fail(error, CPL_E_INPUT,
                    "%s: the tokenizer has %d entries, but the model was trained with %d; choose its own",
                    cpl_safetensors_path(st), has, wants);
}

/* The vector beside the context must be one that can be made: SDXL's. Its refiner has another one. */
static bool vector_fits(const cpl_model_spec *spec, const char *file, cpl_error *error) {
    int wanted = cpl_model_pooled_width(spec), has = spec->texts ? spec->text[spec->texts - 1].projection : 0;
    return !spec->unet.adm_in_channels || (spec->texts == CPL_MAX_TEXTS && wanted > 0 && wanted == has) ||
           cpl_fail(
               error, CPL_E_UNSUPPORTED,
               "%s: the UNet takes a vector of %d values, which is not SDXL's (%d from the text and 1536 of sizes); "
               "choose an SD 1.x or an SDXL base checkpoint",
               file, spec->unet.adm_in_channels, has);
}

static bool load(cpl_model *m, const cpl_safetensors *st, cpl_error *error) {
    if (!cpl_model_spec_read(st, &m->spec, error) || !vector_fits(&m->spec, cpl_safetensors_path(st), error) ||
        !tokenizer_fits(m, st, error))
        return false;
    cpl_model_describe(st, &m->spec, &m->info);
    m->identity = cpl_safetensors_identity(st);
    for (int i = 0; i < m->spec.texts; i++) {
        m->text[i] = cpl_text_encoder_new(m->backend, st, &m->spec.text[i], error);
        if (!m->text[i]) return false;
    }
    m->unet = cpl_unet_new(m->backend, st, &m->spec.unet, error);
    m->vae = m->unet ? cpl_vae_new(m->backend, st, &m->spec.vae, error) : NULL;
    return m->vae != NULL;
}

cpl_model *cpl_model_from(const cpl_safetensors *st, cpl_tokenizer *tokenizer, cpl_backend *backend, cpl_error *error) {
    cpl_model *m = cpl_alloc(1, sizeof *m, error);
    if (!m) {
        cpl_tokenizer_free(tokenizer);
        return NULL;
    }
    m->backend = backend;
    m->tokenizer = tokenizer;
    if (load(m, st, error)) return m;
    cpl_model_close(m);
    return NULL;
}

static cpl_model *open_builtin(cpl_backend *backend, cpl_error *error) {
    cpl_safetensors *st = cpl_builtin_open(error);
    cpl_tokenizer *tokenizer = st ? cpl_builtin_tokenizer(error) : NULL;
    cpl_model *m = tokenizer ? cpl_model_from(st, tokenizer, backend, error) : NULL;
    if (m) m->identity = cpl_builtin_identity();
    cpl_safetensors_close(st);
    return m;
}

static cpl_model *open_file(const cpl_safetensors *st, const char *tokenizer, cpl_backend *backend, cpl_error *error) {
    cpl_model_spec spec;
    if (!cpl_model_spec_read(st, &spec, error)) return NULL;
    const char *path = cpl_safetensors_path(st);
    char *folder =
        tokenizer && *tokenizer ? cpl_strdup(tokenizer, error) : cpl_tokenizer_folder(path, spec.text[0].vocab_size);
    cpl_tokenizer *opened = folder ? cpl_tokenizer_open(folder, error) : NULL;
    cpl_model *m = opened || !folder ? cpl_model_from(st, opened, backend, error) : NULL;
    if (m) snprintf(m->info.path, sizeof m->info.path, "%s", path);
    if (m && folder) snprintf(m->info.tokenizer, sizeof m->info.tokenizer, "%s", folder);
    free(folder);
    return m;
}

cpl_model *cpl_model_open(const char *model, const char *directory, const char *tokenizer, cpl_backend *backend,
                          cpl_error *error) {
    /* The built-in model brings its own vocabulary; no other would fit it. */
    if (cpl_model_is_builtin(model)) return open_builtin(backend, error);
    cpl_safetensors *st = cpl_model_file_open(model, directory, error);
    cpl_model *m = st ? open_file(st, tokenizer, backend, error) : NULL;
    cpl_safetensors_close(st);
    return m;
}
