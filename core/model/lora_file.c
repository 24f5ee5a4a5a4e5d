/* lora_file.c: groups a LoRA file's tensors into modules and says what they are. Whether they fit a model is lora.c's. */
#include "lora_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/unicode.h"
#include "asset_index.h"

/* The kinds of files, by the part that tells them. */
static const char *const kinds[] = {
    [CPL_LORA_DOWN] = "LoRA",  [CPL_LORA_UP] = "LoRA",     [CPL_LORA_MID] = "LoRA",
    [CPL_LOHA_W1A] = "LoHa",   [CPL_LOHA_W1B] = "LoHa",    [CPL_LOHA_W2A] = "LoHa",
    [CPL_LOHA_W2B] = "LoHa",   [CPL_LOHA_T1] = "LoHa",     [CPL_LOHA_T2] = "LoHa",
    [CPL_LOKR_W1] = "LoKr",    [CPL_LOKR_W1A] = "LoKr",    [CPL_LOKR_W1B] = "LoKr",
    [CPL_LOKR_W2] = "LoKr",    [CPL_LOKR_W2A] = "LoKr",    [CPL_LOKR_W2B] = "LoKr",
    [CPL_LOKR_T2] = "LoKr",    [CPL_LORA_DORA] = "DoRA",   [CPL_LORA_DIFF] = "full difference",
    [CPL_LORA_OFT] = "OFT",    [CPL_LORA_GLORA] = "GLoRA", [CPL_LORA_IA3] = "IA3",
    [CPL_LORA_STRANGE] = NULL,
};

/* Families by a part of a module's key, the first that is found. */
static const struct {
    const char *part, *family;
} key_families[] = {
    {"double_blocks_", "flux"}, {"single_transformer_blocks_", "flux"}, {"joint_blocks_", "sd3"},
    {"te2_", "sdxl"},           {"unet_add_embedding_", "sdxl"},        {"unet_label_emb_", "sdxl"},
};
/* By what trainers write into the metadata. */
static const struct {
    const char *key, *part, *family;
} metadata_families[] = {
    {"modelspec.architecture", "stable-diffusion-xl", "sdxl"},
    {"modelspec.architecture", "stable-diffusion-v1", "sd1"},
    {"modelspec.architecture", "stable-diffusion-v2", "sd2"},
    {"modelspec.architecture", "flux", "flux"},
    {"modelspec.architecture", "stable-diffusion-3", "sd3"},
    {"ss_base_model_version", "sdxl", "sdxl"},
    {"ss_base_model_version", "sd_v1", "sd1"},
    {"ss_base_model_version", "sd_1", "sd1"},
    {"ss_base_model_version", "sd_v2", "sd2"},
    {"ss_base_model_version", "flux", "flux"},
    {"ss_base_model_version", "sd3", "sd3"},
};
/* By how wide the text is that the UNet's cross-attention listens to. */
static const struct {
    int64_t width;
    const char *family;
} width_families[] = {{768, "sd1"}, {1024, "sd2"}, {2048, "sdxl"}};

int cpl_lora_module_rank(const cpl_lora_module *m) {
    static const cpl_lora_part rows[] = {CPL_LORA_DOWN, CPL_LOHA_W1B, CPL_LOKR_W2B, CPL_LOKR_W1B};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cpl_st_entry *e = m->part[rows[i]];
        if (e && e->rank >= 2 && e->shape[0] > 0 && e->shape[0] < 1 << 20) return (int)e->shape[0];
    }
    return 0;
}

/* ---- Families ---- */

static const char *family_of_keys(const cpl_lora_file *f) {
    for (size_t k = 0; k < sizeof key_families / sizeof *key_families; k++)
        for (int i = 0; i < f->count; i++)
            if (strstr(f->modules[i].key, key_families[k].part)) return key_families[k].family;
    return NULL;
}

static const char *family_of_metadata(const cpl_lora_file *f) {
    for (size_t k = 0; k < sizeof metadata_families / sizeof *metadata_families; k++) {
        const char *value = cpl_safetensors_metadata(f->st, metadata_families[k].key);
        if (value && strstr(value, metadata_families[k].part)) return metadata_families[k].family;
    }
    return NULL;
}

static const char *family_of_widths(const cpl_lora_file *f) {
    for (int i = 0; i < f->count; i++) {
        const cpl_st_entry *down = f->modules[i].part[CPL_LORA_DOWN];
        if (!down || down->rank < 2 || !strstr(f->modules[i].key, "attn2_to_k")) continue;
        for (size_t k = 0; k < sizeof width_families / sizeof *width_families; k++)
            if (down->shape[1] == width_families[k].width) return width_families[k].family;
    }
    return NULL;
}

/* ---- Description ---- */

/* Cut between characters, free of control characters: it will stand on a screen. */
static void put_text(char *to, size_t size, const char *from, const char *end) {
    size_t used = 0;
    while (from < end && used + 5 < size) {
        uint32_t code = cpl_utf8_next(&from);
        used += cpl_utf8_put(to + used, code < 0x20 || (code >= 0x7F && code < 0xA0) ? '?' : code);
    }
    to[used] = 0;
}

static void describe(cpl_lora_file *f) {
    cpl_lora_info *info = &f->info;
    const char *family = family_of_keys(f), *title = cpl_safetensors_metadata(f->st, "ss_output_name");
    const char *base = cpl_safetensors_metadata(f->st, "ss_sd_model_name");
    if (!family) family = family_of_widths(f);
    if (!family) family = family_of_metadata(f);
    snprintf(info->family, sizeof info->family, "%s", family ? family : "");
    snprintf(info->path, sizeof info->path, "%s", cpl_safetensors_path(f->st));
    const char *slash = strrchr(info->path, '/'), *stem = slash ? slash + 1 : info->path, *dot = strrchr(stem, '.');
    put_text(info->name, sizeof info->name, stem, dot && dot > stem ? dot : stem + strlen(stem));
    if (title) put_text(info->title, sizeof info->title, title, title + strlen(title));
    if (base) put_text(info->base, sizeof info->base, base, base + strlen(base));
    for (int i = 0; i < f->count; i++) {
        const cpl_lora_module *m = &f->modules[i];
        int rank = cpl_lora_module_rank(m);
        *(strncmp(m->key, "unet_", 5) == 0 ? &info->unet_modules : &info->text_modules) += 1;
        if (rank > info->most_rank) info->most_rank = rank;
        if (rank > 0 && (!info->least_rank || rank < info->least_rank)) info->least_rank = rank;
        for (int k = 0; k < CPL_LORA_PARTS; k++)
            if (m->part[k] && k != CPL_LORA_ALPHA) {
                info->parameters += m->part[k]->count;
                snprintf(info->kind, sizeof info->kind, "%s", kinds[k]);
                snprintf(info->weights, sizeof info->weights, "%s", m->part[k]->dtype);
            }
    }
    if (f->refused) snprintf(info->kind, sizeof info->kind, "%s", kinds[f->refused]);
    info->usable = !f->refused;
}

/* ---- Reading ---- */

static int compare_modules(const void *a, const void *b) {
    return strcmp(((const cpl_lora_module *)a)->key, ((const cpl_lora_module *)b)->key);
}

static bool broken(const cpl_lora_file *f, cpl_error *error, const char *key, const char *what) {
    return cpl_fail(error, CPL_E_FILE, "%s: the module %s %s; the file is not complete, get it again",
                    cpl_safetensors_path(f->st), key, what);
}

/* Tensors of a module need not stand side by side; an index by key is made by sorting: gather, sort, join. */
static bool gather(cpl_lora_file *f, int *strange, cpl_error *error) {
    for (int i = 0; i < cpl_safetensors_count(f->st); i++) {
        const cpl_st_entry *e = cpl_safetensors_at(f->st, i);
        cpl_lora_module made = {0};
        cpl_lora_part part = cpl_lora_name_split(e->name, made.key);
        if (part == CPL_LORA_STRANGE && !(*strange)++) f->strange = e->name;
        if (part > CPL_LORA_PARTS - 1 && part < CPL_LORA_STRANGE && (!f->refused || (int)part < f->refused))
            f->refused = (int)part;
        if (part >= CPL_LORA_PARTS) continue;
        made.part[part] = e;
        if (!cpl_grow((void **)&f->modules, &f->room, f->count + 1, sizeof made, error)) return false;
        f->modules[f->count++] = made;
    }
    if (f->count) qsort(f->modules, (size_t)f->count, sizeof *f->modules, compare_modules);
    return true;
}

static bool join(cpl_lora_file *f, cpl_error *error) {
    int to = 0;
    for (int i = 1; i < f->count; i++) {
        cpl_lora_module *last = &f->modules[to], *next = &f->modules[i];
        if (strcmp(last->key, next->key) != 0) {
            if (++to != i) f->modules[to] = *next;
            continue;
        }
        for (int k = 0; k < CPL_LORA_PARTS; k++) {
            if (!next->part[k]) continue;
            if (last->part[k]) return broken(f, error, last->key, "stands twice in it");
            last->part[k] = next->part[k];
        }
    }
    if (f->count) f->count = to + 1;
    return true;
}

static bool has_either(const cpl_lora_module *m, cpl_lora_part whole, cpl_lora_part a, cpl_lora_part b) {
    return m->part[whole] || (m->part[a] && m->part[b]);
}

/* A module is one of three kinds, and has all parts of it. */
static bool complete(const cpl_lora_file *f, cpl_error *error) {
    for (int i = 0; i < f->count; i++) {
        const cpl_lora_module *m = &f->modules[i];
        const cpl_st_entry *const *p = m->part;
        bool lora = p[CPL_LORA_DOWN] || p[CPL_LORA_UP], loha = p[CPL_LOHA_W1A] || p[CPL_LOHA_W2A];
        bool lokr = p[CPL_LOKR_W1] || p[CPL_LOKR_W1A] || p[CPL_LOKR_W2] || p[CPL_LOKR_W2A];
        if (lora + loha + lokr > 1) return broken(f, error, m->key, "is of two kinds at once");
        if (lora && !(p[CPL_LORA_DOWN] && p[CPL_LORA_UP]))
            return broken(f, error, m->key, p[CPL_LORA_DOWN] ? "lacks its lora_up" : "lacks its lora_down");
        if (loha && !(p[CPL_LOHA_W1A] && p[CPL_LOHA_W1B] && p[CPL_LOHA_W2A] && p[CPL_LOHA_W2B] &&
                      !p[CPL_LOHA_T1] == !p[CPL_LOHA_T2]))
            return broken(f, error, m->key, "lacks a part of its LoHa");
        if (lokr && !(has_either(m, CPL_LOKR_W1, CPL_LOKR_W1A, CPL_LOKR_W1B) &&
                      has_either(m, CPL_LOKR_W2, CPL_LOKR_W2A, CPL_LOKR_W2B)))
            return broken(f, error, m->key, "lacks a part of its LoKr");
        if (!lora && !loha && !lokr && !f->refused) return broken(f, error, m->key, "has no weights");
    }
    return true;
}

/* A name that ends as in a LoRA, whatever it begins with. */
static bool ends_as_lora(const char *name) {
    char whole[CPL_LORA_KEY_SIZE * 2], key[CPL_LORA_KEY_SIZE];
    snprintf(whole, sizeof whole, "lora_unet_%s", name);
    return cpl_lora_name_split(whole, key) != CPL_LORA_STRANGE;
}

static bool is_lora(const cpl_lora_file *f, int strange, cpl_error *error) {
    if (f->refused || (f->count && strange < f->count * 4)) return true;
    if (!f->count && f->strange && ends_as_lora(f->strange))
        return cpl_fail(
            error, CPL_E_UNSUPPORTED,
            "%s is a LoRA for another kind of model than SD 1.x and SDXL (it has a tensor %.100s); choose one "
            "that was made for the model",
            cpl_safetensors_path(f->st), f->strange);
    return cpl_fail(error, CPL_E_UNSUPPORTED, "%s is no LoRA: it has none of a LoRA's tensors%s",
                    cpl_safetensors_path(f->st), strange > 100 ? "; a checkpoint is named by --model" : "");
}

bool cpl_lora_file_open(cpl_lora_file *f, const char *path, cpl_error *error) {
    int strange = 0;
    *f = (cpl_lora_file){.st = cpl_safetensors_open(path, error)};
    if (f->st && gather(f, &strange, error) && is_lora(f, strange, error) && join(f, error) && complete(f, error)) {
        describe(f);
        f->info.strange_tensors = strange;
        return true;
    }
    cpl_lora_file_close(f);
    return false;
}

void cpl_lora_file_close(cpl_lora_file *f) {
    cpl_safetensors_close(f->st);
    free(f->modules);
    *f = (cpl_lora_file){0};
}

cpl_lora_module *cpl_lora_file_find(const cpl_lora_file *f, const char *key) {
    cpl_lora_module wanted = {0};
    snprintf(wanted.key, sizeof wanted.key, "%s", key);
    return f->count ? bsearch(&wanted, f->modules, (size_t)f->count, sizeof wanted, compare_modules) : NULL;
}

bool cpl_lora_peek(const char *lora, const char *lora_dir, cpl_lora_info *info, cpl_error *error) {
    cpl_lora_file file;
    cpl_asset_index *index = NULL;
    const char *path = lora;
    if (access(lora, F_OK) != 0) {
        index = cpl_asset_index_new(&cpl_lora_assets, lora_dir, error);
        path = index ? cpl_asset_index_find(index, lora, "", error) : NULL;
    }
    bool done = path && cpl_lora_file_open(&file, path, error);
    if (done) {
        *info = file.info;
        cpl_lora_file_close(&file);
    }
    cpl_asset_index_free(index);
    return done;
}
