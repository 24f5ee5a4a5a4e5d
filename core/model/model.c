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

static bool load(cpl_model *m, const cpl_checkpoint *checkpoint, const cpl_load_watch *watch, cpl_error *error) {
    const char *file = cpl_checkpoint_path(checkpoint);
    cpl_load_survey survey;
    if (!cpl_model_spec_read(checkpoint, &m->spec, error) || !tokenizer_fits(m, file, error) ||
        !cpl_model_survey(checkpoint, &m->spec, &survey, error))
        return false;
    cpl_model_describe(checkpoint, &m->spec, &survey, &m->info);
    m->identity = cpl_checkpoint_identity(checkpoint);
    cpl_loader l = {.backend = m->backend,
                    .weights = checkpoint,
                    .error = error,
                    .watch = watch,
                    .layers = &m->layers,
                    .total = survey.bytes};
    cpl_begin_component(m->backend, CPL_COMPONENT_TEXT);
    for (int i = 0; i < m->spec.texts && !l.failed; i++) m->text[i] = cpl_text_encoder_new(&l, &m->spec.text[i]);
    cpl_begin_component(m->backend, CPL_COMPONENT_UNET);
    if (!l.failed) m->unet = cpl_unet_new(&l, &m->spec.unet);
    l.layers = NULL;
    cpl_begin_component(m->backend, CPL_COMPONENT_VAE);
    if (!l.failed) m->vae = cpl_vae_new(&l, &m->spec.vae);
    cpl_begin_component(m->backend, CPL_COMPONENT_NONE);
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

/* Found before the weights are read, which may take a minute and would be of no use without it. */
static cpl_tokenizer *open_tokenizer(const cpl_model_source *source, const cpl_checkpoint *checkpoint, char **folder,
                                     cpl_error *error) {
    cpl_model_spec spec;
    /* The built-in model brings its own vocabulary; no other would fit it. */
    if (cpl_model_is_builtin(source->model)) return cpl_builtin_tokenizer(error);
    if (!cpl_model_spec_read(checkpoint, &spec, error)) return NULL;
    *folder = cpl_model_tokenizer(source, checkpoint, &spec);
    if (*folder) return cpl_tokenizer_open(*folder, error);
    cpl_fail(error, CPL_E_FILE,
             "%s: its tokenizer was not found; `make clip-vocab` fetches CLIP's, or name a folder with vocab.json and "
             "merges.txt with --tokenizer",
             cpl_checkpoint_path(checkpoint));
    return NULL;
}

cpl_model *cpl_model_open(const cpl_model_source *source, cpl_backend *backend, const cpl_load_watch *watch,
                          cpl_error *error) {
    char *folder = NULL;
    cpl_checkpoint *checkpoint = cpl_model_open_files(source, error);
    cpl_tokenizer *tokenizer = checkpoint ? open_tokenizer(source, checkpoint, &folder, error) : NULL;
    cpl_model *m = tokenizer ? cpl_model_from(checkpoint, tokenizer, backend, watch, error) : NULL;
    if (m) m->identity = cpl_model_identity(source, checkpoint);
    if (m && !cpl_model_is_builtin(source->model))
        snprintf(m->info.path, sizeof m->info.path, "%s", cpl_checkpoint_path(checkpoint));
    if (m && folder) snprintf(m->info.tokenizer, sizeof m->info.tokenizer, "%s", folder);
    free(folder);
    cpl_checkpoint_close(checkpoint);
    return m;
}
