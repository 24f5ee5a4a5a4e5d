/* embedding_file.c: which tensors of a file are vectors for which text encoder. The names are those that trainers write: one
 * tensor of any name for models with one encoder ("emb_params" by the WebUI and kohya's scripts, the token itself by
 * diffusers), a pair for SDXL. */
#include "embedding_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../memory/unicode.h"
#include "asset_index.h"

/* SDXL's pairs: for CLIP's encoder and for OpenCLIP's. */
static const char *const pairs[][CPL_MAX_TEXTS] = {{"clip_l", "clip_g"}, {"text_encoders_0", "text_encoders_1"}};

static const struct {
    int width;
    const char *family;
} families[] = {{768, "sd1"}, {1024, "sd2"}};

static bool holds_vectors(const cpl_st_entry *e) {
    int64_t width = e->rank > 0 ? e->shape[e->rank - 1] : 0, rows = e->rank == 2 ? e->shape[0] : 1;
    bool floats = strcmp(e->dtype, "F32") == 0 || strcmp(e->dtype, "F16") == 0 || strcmp(e->dtype, "BF16") == 0;
    return floats && (e->rank == 1 || e->rank == 2) && width > 0 && width <= 1 << 16 && rows > 0 && rows <= 1 << 16;
}

int cpl_embedding_width(const cpl_st_entry *part) { return (int)part->shape[part->rank - 1]; }

static int vectors_of(const cpl_st_entry *part) { return part->rank == 2 ? (int)part->shape[0] : 1; }

static bool find_pair(cpl_embedding_file *f) {
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const cpl_st_entry *l = cpl_safetensors_find(f->st, pairs[i][0]), *g = cpl_safetensors_find(f->st, pairs[i][1]);
        if (!l || !g || !holds_vectors(l) || !holds_vectors(g) || vectors_of(l) != vectors_of(g)) continue;
        f->part[0] = l;
        f->part[1] = g;
        return true;
    }
    return false;
}

/* A count of steps or the like may stand beside the vectors. */
static bool find_single(cpl_embedding_file *f) {
    int found = 0;
    for (int i = 0; i < cpl_safetensors_count(f->st); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(f->st, i);
        if (!holds_vectors(e) || e->count == 1) continue;
        f->part[0] = e;
        found++;
    }
    return found == 1;
}

static void describe(cpl_embedding_file *f) {
    cpl_embedding_info *info = &f->info;
    const char *path = cpl_safetensors_path(f->st), *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
    const char *dot = strrchr(stem, '.');
    size_t length = dot && dot > stem ? (size_t)(dot - stem) : strlen(stem);
    snprintf(info->path, sizeof info->path, "%s", path);
    snprintf(info->name, sizeof info->name, "%.*s",
             (int)cpl_utf8_fit(stem, length < sizeof info->name ? length : sizeof info->name - 1), stem);
    info->vectors = vectors_of(f->part[0]);
    for (int i = 0; i < CPL_MAX_TEXTS && f->part[i]; i++) info->width[i] = cpl_embedding_width(f->part[i]);
    if (f->part[1]) snprintf(info->family, sizeof info->family, "sdxl");
    for (size_t i = 0; !f->part[1] && i < sizeof families / sizeof *families; i++)
        if (families[i].width == info->width[0]) snprintf(info->family, sizeof info->family, "%s", families[i].family);
}

bool cpl_embedding_file_open(cpl_embedding_file *f, const char *path, cpl_error *error) {
    *f = (cpl_embedding_file){.st = cpl_safetensors_open(path, error)};
    if (f->st && (find_pair(f) || find_single(f))) {
        describe(f);
        return true;
    }
    if (f->st)
        cpl_fail(error, CPL_E_UNSUPPORTED,
                 "%s is no textual inversion: it has neither one tensor of vectors nor clip_l and clip_g", path);
    cpl_embedding_file_close(f);
    return false;
}

void cpl_embedding_file_close(cpl_embedding_file *f) {
    cpl_safetensors_close(f->st);
    *f = (cpl_embedding_file){0};
}

bool cpl_embedding_peek(const char *embedding, const char *directory, cpl_embedding_info *info, cpl_error *error) {
    cpl_embedding_file file;
    cpl_asset_index *index = NULL;
    const char *path = embedding;
    if (access(embedding, F_OK) != 0) {
        index = cpl_asset_index_new(&cpl_embedding_assets, directory, error);
        path = index ? cpl_asset_index_find(index, embedding, "", error) : NULL;
    }
    bool done = path && cpl_embedding_file_open(&file, path, error);
    if (done) {
        *info = file.info;
        cpl_embedding_file_close(&file);
    }
    cpl_asset_index_free(index);
    return done;
}
