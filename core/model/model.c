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
    cpl_named_layers_clear(&model->layers);
    free(model);
}

static bool tokenizer_fits(const cpl_model *m, const char *file, cpl_error *error) {
    int has = m->tokenizer ? cpl_tokenizer_size(m->tokenizer) : 0, wants = m->spec.text[0].vocab_size;
    return !m->tokenizer || has == wants ||
           cpl_fail(error, CPL_E_INPUT,
                    "%s: the tokenizer has %d entries, but the model was trained with %d; choose its own", file, has,
                    wants);
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

static bool load(cpl_model *m, const cpl_checkpoint *checkpoint, const cpl_load_watch *watch, cpl_error *error) {
    const char *file = cpl_checkpoint_path(checkpoint);
    if (!cpl_model_spec_read(checkpoint, &m->spec, error) || !vector_fits(&m->spec, file, error) ||
        !tokenizer_fits(m, file, error))
        return false;
    cpl_model_describe(checkpoint, &m->spec, &m->info);
    m->identity = cpl_checkpoint_identity(checkpoint);
    cpl_loader l = {.backend = m->backend,
                    .weights = checkpoint,
                    .error = error,
                    .watch = watch,
                    .layers = &m->layers,
                    .total = cpl_model_bytes(checkpoint, &m->spec)};
    for (int i = 0; i < m->spec.texts && !l.failed; i++) m->text[i] = cpl_text_encoder_new(&l, &m->spec.text[i]);
    if (!l.failed) m->unet = cpl_unet_new(&l, &m->spec.unet);
    l.layers = NULL;
    if (!l.failed) m->vae = cpl_vae_new(&l, &m->spec.vae);
    return !l.failed;
}

cpl_model *cpl_model_from(const cpl_checkpoint *checkpoint, cpl_tokenizer *tokenizer, cpl_backend *backend,
                          const cpl_load_watch *watch, cpl_error *error) {
    cpl_model *m = cpl_alloc(1, sizeof *m, error);
    if (!m) {
        cpl_tokenizer_free(tokenizer);
        return NULL;
    }
    m->backend = backend;
    m->tokenizer = tokenizer;
    if (load(m, checkpoint, watch, error)) return m;
    cpl_model_close(m);
    return NULL;
}

static cpl_model *open_builtin(cpl_backend *backend, const cpl_load_watch *watch, cpl_error *error) {
    cpl_checkpoint *checkpoint = cpl_checkpoint_of(cpl_builtin_open(error), error);
    cpl_tokenizer *tokenizer = checkpoint ? cpl_builtin_tokenizer(error) : NULL;
    cpl_model *m = tokenizer ? cpl_model_from(checkpoint, tokenizer, backend, watch, error) : NULL;
    if (m) m->identity = cpl_builtin_identity();
    cpl_checkpoint_close(checkpoint);
    return m;
}

static cpl_model *open_files(const cpl_checkpoint *checkpoint, const char *tokenizer, cpl_backend *backend,
                             const cpl_load_watch *watch, cpl_error *error) {
    cpl_model_spec spec;
    if (!cpl_model_spec_read(checkpoint, &spec, error)) return NULL;
    const char *path = cpl_checkpoint_path(checkpoint);
    char *folder =
        tokenizer && *tokenizer ? cpl_strdup(tokenizer, error) : cpl_tokenizer_folder(path, spec.text[0].vocab_size);
    cpl_tokenizer *opened = folder ? cpl_tokenizer_open(folder, error) : NULL;
    cpl_model *m = opened || !folder ? cpl_model_from(checkpoint, opened, backend, watch, error) : NULL;
    if (m) snprintf(m->info.path, sizeof m->info.path, "%s", path);
    if (m && folder) snprintf(m->info.tokenizer, sizeof m->info.tokenizer, "%s", folder);
    free(folder);
    return m;
}

cpl_model *cpl_model_open(const cpl_model_source *source, cpl_backend *backend, const cpl_load_watch *watch,
                          cpl_error *error) {
    /* The built-in model brings its own vocabulary; no other would fit it. */
    if (cpl_model_is_builtin(source->model)) return open_builtin(backend, watch, error);
    cpl_checkpoint *checkpoint = cpl_model_file_open(source->model, source->directory, error);
    cpl_model *m = checkpoint ? open_files(checkpoint, source->tokenizer, backend, watch, error) : NULL;
    cpl_checkpoint_close(checkpoint);
    return m;
}
