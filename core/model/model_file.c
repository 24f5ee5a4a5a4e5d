/* model_file.c: from the name of a model to its files, and whether they are all that it needs. Loads no weights. */
#include "model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/file.h"
#include "../memory/hash.h"
#include "builtin.h"
#include "model.h"
#include "model_folder.h"
#include "tokenizer_find.h"

#define UNET "model.diffusion_model."
#define FIRST "input_blocks.0.0.weight"
#define FIRST_AVERAGED "model_ema.diffusion_modelinput_blocks00weight"

bool cpl_model_is_builtin(const char *model) { return !model || !*model || !strcmp(model, CPL_BUILTIN_NAME); }

/* A name as it was given: beside the layout if it is there, else as seen from the working folder. */
static char *find_path(const char *name, const char *directory, cpl_error *error) {
    if (directory && *directory && *name != '/') {
        char *beside = cpl_path_join(directory, name, error);
        if (!beside || access(beside, F_OK) == 0) return beside;
        free(beside);
    }
    return cpl_strdup(name, error);
}

static bool names_vae(const cpl_model_source *source) { return source->vae && *source->vae; }

/* Checkpoints of training runs may hold only the averages of the UNet's weights. */
static bool use_averages(cpl_checkpoint *c, cpl_error *error) {
    if (cpl_checkpoint_find(c, UNET FIRST) || !cpl_checkpoint_find(c, FIRST_AVERAGED)) return true;
    int part = cpl_checkpoint_add_part(c, UNET, false, error);
    if (part < 0) return false;
    cpl_checkpoint_share(c, part, 0);
    cpl_checkpoint_set_naming(c, part, (cpl_naming){.kind = CPL_NAMED_EMA});
    return true;
}

#define MAX_CONFIG ((size_t)1 << 20)

/* x.yaml beside x.safetensors, where the WebUI and Forge look for it; NULL: there is none. Caller frees. */
static char *config_beside(const char *path) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    char *config = cpl_format(NULL, "%.*s.yaml", dot ? (int)(dot - path) : (int)strlen(path), path);
    struct stat about;
    if (config && stat(config, &about) == 0 && S_ISREG(about.st_mode)) return config;
    free(config);
    return NULL;
}

static bool keep_config(cpl_checkpoint *c, const char *path, cpl_error *error) {
    char *config = config_beside(path);
    /* One that cannot be read says nothing, as if it were not there. */
    char *text = config ? cpl_file_read(config, MAX_CONFIG, NULL, NULL) : NULL;
    bool done = !text || cpl_checkpoint_keep(c, CPL_CHECKPOINT_CONFIG, text, error);
    free(text);
    free(config);
    return done;
}

static cpl_checkpoint *open_path(const char *path, bool with_vae, cpl_error *error) {
    char *folder = cpl_model_folder(path);
    cpl_checkpoint *c = folder ? cpl_model_folder_open(folder, with_vae, error)
                               : cpl_checkpoint_of(cpl_safetensors_open(path, error), error);
    bool fine = c && (folder || (use_averages(c, error) && keep_config(c, path, error)));
    free(folder);
    if (fine) return c;
    cpl_checkpoint_close(c);
    return NULL;
}

static bool add_vae(cpl_checkpoint *c, const cpl_model_source *source, cpl_error *error) {
    char *path = find_path(source->vae, source->directory, error);
    bool done = path && cpl_model_add_vae(c, path, error);
    /* Without a place a fault is taken for one of the model, whose file may be in order. */
    if (!done && error && !*error->path) {
        error->row = -1;
        snprintf(error->path, sizeof error->path, "sampling.vae");
    }
    free(path);
    return done;
}

cpl_checkpoint *cpl_model_open_files(const cpl_model_source *source, cpl_error *error) {
    cpl_checkpoint *c = NULL;
    if (cpl_model_is_builtin(source->model)) {
        c = cpl_checkpoint_of(cpl_builtin_open(error), error);
    } else {
        char *path = find_path(source->model, source->directory, error);
        if (path) c = open_path(path, !names_vae(source), error);
        free(path);
    }
    if (!c || !names_vae(source) || add_vae(c, source, error)) return c;
    cpl_checkpoint_close(c);
    return NULL;
}

char *cpl_model_tokenizer(const cpl_model_source *source, const cpl_checkpoint *c, const cpl_model_spec *spec) {
    if (source->tokenizer && *source->tokenizer) return cpl_strdup(source->tokenizer, NULL);
    const char *path = cpl_checkpoint_path(c);
    char *folder = cpl_model_folder(path), *inside = folder ? cpl_path_join(folder, "model_index.json", NULL) : NULL;
    char *found = cpl_tokenizer_folder(inside ? inside : path, spec->text[0].vocab_size);
    free(inside);
    free(folder);
    return found;
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

/* A part of which nothing was found since `before` is not damaged, it was never there; then only the remedy helps. */
static bool part_is_there(const cpl_checkpoint *c, const cpl_load_survey *before, const cpl_load_survey *now,
                          const char *what, cpl_error *error) {
    return now->missing == before->missing || now->bytes > before->bytes ||
           cpl_fail(error, CPL_E_FILE, "%s: there is no %s", cpl_checkpoint_path(c), what);
}

bool cpl_model_survey(const cpl_checkpoint *c, const cpl_model_spec *spec, cpl_load_survey *survey, cpl_error *error) {
    *survey = (cpl_load_survey){0};
    if (!vector_fits(spec, cpl_checkpoint_path(c), error)) return false;
    cpl_loader l = {.weights = c, .error = error, .survey = survey};
    cpl_load_survey before = *survey;
    for (int i = 0; i < spec->texts && !l.failed; i++)
        cpl_text_encoder_free(cpl_text_encoder_new(&l, &spec->text[i]), NULL);
    if (l.failed || !part_is_there(c, &before, survey,
                                   "text encoder in it; choose the whole checkpoint that its UNet belongs to", error))
        return false;
    before = *survey;
    cpl_unet_free(cpl_unet_new(&l, &spec->unet), NULL);
    if (l.failed || !part_is_there(c, &before, survey, "UNet in it; choose a whole checkpoint", error)) return false;
    before = *survey;
    cpl_vae_free(cpl_vae_new(&l, &spec->vae), NULL);
    if (l.failed || !part_is_there(c, &before, survey, "VAE in it; name a file that has one with --vae", error))
        return false;
    if (!survey->missing) return true;
    char others[40] = "";
    if (survey->missing > 1) snprintf(others, sizeof others, " and %d more are", survey->missing - 1);
    return cpl_fail(error, CPL_E_FILE, "%s: tensor %s%s missing; this checkpoint is not complete or of another kind",
                    cpl_checkpoint_path(c), survey->first_missing, *others ? others : " is");
}

uint64_t cpl_model_identity(const cpl_model_source *source, const cpl_checkpoint *c) {
    bool plain = cpl_model_is_builtin(source->model) && !names_vae(source);
    return plain ? cpl_builtin_identity() : cpl_checkpoint_identity(c);
}

bool cpl_model_look(const cpl_model_source *source, cpl_model_info *info, uint64_t *identity, cpl_error *error) {
    cpl_model_spec spec;
    cpl_load_survey survey;
    cpl_checkpoint *c = cpl_model_open_files(source, error);
    bool done = c && cpl_model_spec_read(c, &spec, error) && cpl_model_survey(c, &spec, &survey, error);
    if (done) {
        cpl_model_describe(c, &spec, &survey, info);
        *identity = cpl_model_identity(source, c);
    }
    if (done && !cpl_model_is_builtin(source->model)) {
        snprintf(info->path, sizeof info->path, "%s", cpl_checkpoint_path(c));
        char *folder = cpl_model_tokenizer(source, c, &spec);
        if (folder) snprintf(info->tokenizer, sizeof info->tokenizer, "%s", folder);
        free(folder);
    }
    cpl_checkpoint_close(c);
    return done;
}

bool cpl_model_peek(const cpl_model_source *source, cpl_model_info *info, cpl_error *error) {
    uint64_t identity;
    return cpl_model_look(source, info, &identity, error);
}

/* ---- Has a file changed? ---- */

typedef struct stamp {
    uint64_t sum; /* of hashes, since folders list their files in any order */
    bool lacking;
} stamp;

static void stamp_file(void *user, const char *path) {
    stamp *s = user;
    struct stat about;
    if (stat(path, &about) != 0) {
        s->lacking = true;
        return;
    }
    const uint64_t facts[] = {(uint64_t)about.st_dev, (uint64_t)about.st_ino, (uint64_t)about.st_size,
                              (uint64_t)about.st_mtim.tv_sec, (uint64_t)about.st_mtim.tv_nsec};
    uint64_t hash = cpl_hash_text(CPL_HASH_START, path);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) hash = cpl_hash_u64(hash, facts[i]);
    s->sum += hash;
}

static void stamp_path(stamp *s, const char *name, const char *directory) {
    char *path = find_path(name, directory, NULL), *folder = path ? cpl_model_folder(path) : NULL;
    if (folder)
        cpl_model_folder_files(folder, stamp_file, s);
    else if (path)
        stamp_file(s, path);
    char *config = path && !folder ? config_beside(path) : NULL;
    if (config) stamp_file(s, config);
    s->lacking |= !path;
    free(config);
    free(folder);
    free(path);
}

uint64_t cpl_model_stamp(const cpl_model_source *source) {
    stamp s = {.sum = 1};
    if (!cpl_model_is_builtin(source->model)) stamp_path(&s, source->model, source->directory);
    if (names_vae(source)) stamp_path(&s, source->vae, source->directory);
    return s.lacking ? 0 : s.sum ? s.sum : 1;
}
