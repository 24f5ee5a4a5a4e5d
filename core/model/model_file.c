/* model_file.c: from the name of a model to its file, and what a look at the header tells. Loads no weights. */
#include "model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/unicode.h"
#include "builtin.h"
#include "model.h"
#include "tokenizer_find.h"

/* CLIP's own vocabulary has 49408 entries. One that is so much smaller was made for the few words that its model was
 * trained on, and everything else falls into pieces that mean nothing to it. */
#define CLOSED_BELOW 10000

bool cpl_model_is_builtin(const char *model) { return !model || !*model || !strcmp(model, CPL_BUILTIN_NAME); }

char *cpl_model_path(const char *model, const char *directory, cpl_error *error) {
    if (directory && *directory && *model != '/') {
        char *beside = cpl_format(error, "%s/%s", directory, model);
        if (!beside || access(beside, F_OK) == 0) return beside;
        free(beside);
    }
    return cpl_strdup(model, error);
}

cpl_checkpoint *cpl_model_file_open(const char *model, const char *directory, cpl_error *error) {
    if (cpl_model_is_builtin(model)) return cpl_checkpoint_of(cpl_builtin_open(error), error);
    char *path = cpl_model_path(model, directory, error);
    cpl_safetensors *st = path ? cpl_safetensors_open(path, error) : NULL;
    free(path);
    return cpl_checkpoint_of(st, error);
}

/* A file's name for the screen: without folder and ending, cut between characters, free of control characters. */
static void show_name(const char *path, char *name, size_t size) {
    const char *slash = strrchr(path, '/'), *at = slash ? slash + 1 : path, *dot = strrchr(at, '.');
    size_t used = 0;
    if (!dot || dot == at) dot = at + strlen(at);
    while (at < dot && used + 5 < size) {
        uint32_t code = cpl_utf8_next(&at);
        used += cpl_utf8_put(name + used, code < 0x20 || (code >= 0x7F && code < 0xA0) ? '?' : code);
    }
    name[used] = 0;
}

static bool begins_with(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* Only the VAE's decoder is loaded: nothing turns a picture into a latent yet. */
static bool is_encoder_of_pictures(const char *name) {
    return begins_with(name, "first_stage_model.encoder.") || begins_with(name, "first_stage_model.quant_conv.");
}

/* Which part a tensor belongs to; NULL: none that is run (a second set of averaged weights, counters of training). */
static int64_t *part_of(const char *name, const cpl_model_spec *spec, cpl_model_info *info) {
    if (begins_with(name, "model.diffusion_model.")) return &info->unet_parameters;
    if (begins_with(name, "first_stage_model.")) return &info->vae_parameters;
    for (int i = 0; i < spec->texts; i++)
        if (begins_with(name, spec->text[i].prefix)) return &info->text_parameters;
    return NULL;
}

uint64_t cpl_model_bytes(const cpl_checkpoint *checkpoint, const cpl_model_spec *spec) {
    uint64_t bytes = 0;
    cpl_model_info info;
    for (int i = 0; i < cpl_checkpoint_count(checkpoint); i++) {
        const cpl_ck_tensor *tensor = cpl_checkpoint_at(checkpoint, i);
        if (part_of(tensor->name, spec, &info) && !is_encoder_of_pictures(tensor->name)) bytes += tensor->entry->bytes;
    }
    return bytes;
}

void cpl_model_describe(const cpl_checkpoint *checkpoint, const cpl_model_spec *spec, cpl_model_info *info) {
    uint64_t most = 0, bytes[8] = {0};
    const char *types[8] = {0};
    *info = (cpl_model_info){.context_length = spec->text[0].context_length,
                             .closed_vocabulary = spec->text[0].vocab_size < CLOSED_BELOW,
                             .defaults = spec->defaults};
    show_name(cpl_checkpoint_path(checkpoint), info->name, sizeof info->name);
    snprintf(info->family, sizeof info->family, "%s", spec->family);
    snprintf(info->prediction, sizeof info->prediction, "%s", spec->prediction == CPL_PREDICT_V ? "v" : "epsilon");
    for (int i = 0; i < cpl_checkpoint_count(checkpoint); i++) {
        const cpl_ck_tensor *tensor = cpl_checkpoint_at(checkpoint, i);
        const cpl_st_entry *e = tensor->entry;
        int64_t *part = part_of(tensor->name, spec, info);
        int k = 0;
        if (!strchr(e->dtype, 'F') || !e->rank) continue; /* counters and flags are no parameters */
        info->parameters += e->count;
        if (part) *part += e->count;
        while (k < 7 && types[k] && strcmp(types[k], e->dtype) != 0) k++;
        types[k] = e->dtype;
        bytes[k] += e->bytes;
        if (bytes[k] <= most) continue;
        most = bytes[k];
        snprintf(info->weights, sizeof info->weights, "%s", e->dtype);
    }
}

bool cpl_model_peek(const char *model, const char *directory, cpl_model_info *info, cpl_error *error) {
    cpl_model_spec spec;
    cpl_checkpoint *checkpoint = cpl_model_file_open(model, directory, error);
    bool ok = checkpoint && cpl_model_spec_read(checkpoint, &spec, error);
    if (ok) cpl_model_describe(checkpoint, &spec, info);
    if (ok && !cpl_model_is_builtin(model)) {
        snprintf(info->path, sizeof info->path, "%s", cpl_checkpoint_path(checkpoint));
        char *folder = cpl_tokenizer_folder(info->path, spec.text[0].vocab_size);
        if (folder) snprintf(info->tokenizer, sizeof info->tokenizer, "%s", folder);
        free(folder);
    }
    cpl_checkpoint_close(checkpoint);
    return ok;
}

bool cpl_model_identity(const char *model, const char *directory, uint64_t *identity, cpl_error *error) {
    if (cpl_model_is_builtin(model)) {
        *identity = cpl_builtin_identity();
        return true;
    }
    cpl_checkpoint *checkpoint = cpl_model_file_open(model, directory, error);
    if (checkpoint) *identity = cpl_checkpoint_identity(checkpoint);
    cpl_checkpoint_close(checkpoint);
    return checkpoint != NULL;
}
