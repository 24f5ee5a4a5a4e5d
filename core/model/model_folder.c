/* model_folder.c: reads diffusers folders: model_index.json, and a folder for each part with its config.json and one file of
 * weights, or several and an index. What the parts' tensors are called is found out here; the rules are diffusers.c's. */
#include "model_folder.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/file.h"

#define UNET "model.diffusion_model."
#define VAE "first_stage_model."
#define MAX_JSON ((size_t)32 << 20) /* an index names each tensor of a model */
#define MAX_SHARDS 256

/* Which file to take where there are several: the first of these that is there. */
static const char *const variants[] = {"", ".fp32", ".fp16", ".bf16", ".non_ema"};

static const struct {
    const char *folder, *weights, *prefix;
    bool xl_only;
} components[] = {
    {"unet", "diffusion_pytorch_model", UNET, false},
    {"vae", "diffusion_pytorch_model", VAE, false},
    {"text_encoder", "model", NULL, false}, /* its prefix is the family's */
    {"text_encoder_2", "model", "conditioner.embedders.1.transformer.", true},
};
enum { COMPONENTS = sizeof components / sizeof *components, VAE_COMPONENT = 1, TEXT_COMPONENT = 2 };

static bool is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool is_there(const char *folder, const char *name) {
    char *path = cpl_path_join(folder, name, NULL);
    bool there = path && access(path, F_OK) == 0;
    free(path);
    return there;
}

char *cpl_model_folder(const char *path) {
    static const char index[] = "model_index.json";
    size_t length = strlen(path), tail = sizeof index - 1;
    if (length >= tail && !strcmp(path + length - tail, index) && (length == tail || path[length - tail - 1] == '/'))
        return length == tail ? cpl_strdup(".", NULL) : cpl_strndup(path, length - tail - 1, NULL);
    while (length > 1 && path[length - 1] == '/') length--;
    return is_folder(path) ? cpl_strndup(path, length, NULL) : NULL;
}

/* ---- Files of one part ---- */

static bool add_file(cpl_checkpoint *c, int part, const char *folder, const char *name, cpl_error *error) {
    char *path = cpl_path_join(folder, name, error);
    bool done = path && cpl_checkpoint_add_file(c, part, cpl_safetensors_open(path, error), error);
    free(path);
    return done;
}

static bool is_plain_name(const cJSON *item) {
    return cJSON_IsString(item) && *item->valuestring && !strchr(item->valuestring, '/');
}

/* Adds each file that the index names, once. */
static bool add_shards(cpl_checkpoint *c, int part, const char *folder, const char *index, const cJSON *root,
                       cpl_error *error) {
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(root, "weight_map"), *item;
    const char *seen[MAX_SHARDS];
    int count = 0;
    if (!cJSON_IsObject(map) || !map->child)
        return cpl_fail(error, CPL_E_FILE, "%s/%s: no index of shards: it has no weight_map; get the file again",
                        folder, index);
    cJSON_ArrayForEach(item, map) {
        bool known = false;
        if (!is_plain_name(item))
            return cpl_fail(error, CPL_E_FILE, "%s/%s: tensor %.80s is in no file of this folder; get the file again",
                            folder, index, item->string ? item->string : "");
        for (int i = 0; i < count && !known; i++) known = !strcmp(seen[i], item->valuestring);
        if (known) continue;
        if (count == MAX_SHARDS)
            return cpl_fail(error, CPL_E_FILE, "%s/%s: names more than %d files", folder, index, MAX_SHARDS);
        seen[count++] = item->valuestring;
        if (!add_file(c, part, folder, item->valuestring, error)) return false;
    }
    return true;
}

static bool add_index(cpl_checkpoint *c, int part, const char *folder, const char *index, cpl_error *error) {
    char *path = cpl_path_join(folder, index, error);
    char *text = path ? cpl_file_read(path, MAX_JSON, NULL, error) : NULL;
    cJSON *root = text ? cJSON_Parse(text) : NULL;
    bool done = text && add_shards(c, part, folder, index, root, error);
    cJSON_Delete(root);
    free(text);
    free(path);
    return done;
}

/* The weights of a part: one file, or an index of several. */
static bool add_weights(cpl_checkpoint *c, int part, const char *folder, const char *base, cpl_error *error) {
    char name[128];
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        snprintf(name, sizeof name, "%s%s.safetensors", base, variants[i]);
        if (is_there(folder, name)) return add_file(c, part, folder, name, error);
        snprintf(name, sizeof name, "%s%s.safetensors.index.json", base, variants[i]);
        if (is_there(folder, name)) return add_index(c, part, folder, name, error);
        snprintf(name, sizeof name, "%s.safetensors.index%s.json", base, variants[i]);
        if (is_there(folder, name)) return add_index(c, part, folder, name, error);
    }
    snprintf(name, sizeof name, "%s.bin", base);
    char *pickle = !strcmp(base, "model") ? cpl_strdup("pytorch_model.bin", error) : cpl_strdup(name, error);
    if (pickle && is_there(folder, pickle))
        cpl_fail(error, CPL_E_UNSUPPORTED,
                 "%s/%s is a PyTorch pickle, which can run code when it is loaded; get the .safetensors of this model",
                 folder, pickle);
    else if (pickle)
        cpl_fail(error, CPL_E_FILE, "%s holds no %s.safetensors; get the whole model", folder, base);
    free(pickle);
    return false;
}

/* ---- What their tensors are called ---- */

static int count_named(const cpl_checkpoint *c, int part, const char *format) {
    char name[128];
    int count = 0;
    for (; count < 64; count++) {
        char *at = strchr(format, '#');
        snprintf(name, sizeof name, "%.*s%d%s", (int)(at - format), format, count, at + 1);
        if (!cpl_checkpoint_in_files(c, part, name)) break;
    }
    return count;
}

/* False: no VAE at all, or none of this kind. */
static bool find_vae_naming(const cpl_checkpoint *c, int part, cpl_naming *naming) {
    static const char diffusers[] = "decoder.mid_block.resnets.0.conv1.weight";
    static const char old[] = "decoder.mid_block.attentions.0.query.weight";
    *naming = (cpl_naming){.kind = CPL_NAMED_LDM};
    if (cpl_checkpoint_in_files(c, part, VAE "decoder.mid.block_1.conv1.weight")) return true;
    naming->kind = CPL_NAMED_BARE;
    if (cpl_checkpoint_in_files(c, part, "decoder.mid.block_1.conv1.weight")) return true;
    *naming = (cpl_naming){.kind = CPL_NAMED_DIFFUSERS_VAE,
                           .count = count_named(c, part, "decoder.up_blocks.#.resnets.0.conv1.weight"),
                           .old_attention = cpl_checkpoint_in_files(c, part, old) != NULL};
    return cpl_checkpoint_in_files(c, part, diffusers) != NULL;
}

static bool name_part(cpl_checkpoint *c, int part, int component, const char *folder, cpl_error *error) {
    cpl_naming naming = {.kind = CPL_NAMED_BARE};
    if (component == 0) {
        naming = (cpl_naming){.kind = CPL_NAMED_DIFFUSERS_UNET,
                              .count = count_named(c, part, "down_blocks.0.resnets.#.conv1.weight")};
        if (!naming.count)
            return cpl_fail(error, CPL_E_UNSUPPORTED,
                            "%s: its weights are no UNet that is known here; choose an SD 1.x or SDXL model", folder);
    } else if (component == VAE_COMPONENT && !find_vae_naming(c, part, &naming)) {
        return cpl_fail(error, CPL_E_UNSUPPORTED, "%s: its weights are no VAE that is known here", folder);
    }
    cpl_checkpoint_set_naming(c, part, naming);
    return true;
}

/* ---- The whole ---- */

/* Keeps FOLDER/NAME as a text of the checkpoint, if it is there. */
static bool keep_text(cpl_checkpoint *c, const char *folder, const char *name, cpl_error *error) {
    char *path = cpl_path_join(folder, name, error);
    if (!path) return false;
    if (access(path, F_OK) != 0) {
        free(path);
        return true;
    }
    char *text = cpl_file_read(path, MAX_JSON, NULL, error);
    bool done = text && cpl_checkpoint_keep(c, name, text, error);
    free(text);
    free(path);
    return done;
}

static bool add_component(cpl_checkpoint *c, const char *root, int component, const char *prefix, cpl_error *error) {
    char config[64];
    char *folder = cpl_path_join(root, components[component].folder, error);
    int part = folder ? cpl_checkpoint_add_part(c, prefix, false, error) : -1;
    snprintf(config, sizeof config, "%s/config.json", components[component].folder);
    bool done = part >= 0 && add_weights(c, part, folder, components[component].weights, error) &&
                name_part(c, part, component, folder, error) && keep_text(c, root, config, error);
    free(folder);
    return done;
}

/* Pipelines of diffusers whose parts are those of a plain model, and what to say about others. */
static bool pipeline_is_known(const cpl_checkpoint *c, cpl_error *error) {
    static const char *const known[] = {
        "StableDiffusionPipeline",   "StableDiffusionImg2ImgPipeline",   "LatentConsistencyModelPipeline",
        "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline",
    };
    const char *index = cpl_checkpoint_metadata(c, "model_index.json"), *file = cpl_checkpoint_path(c);
    cJSON *root = index ? cJSON_Parse(index) : NULL;
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(root, "_class_name");
    bool fine = !cJSON_IsString(name);
    for (size_t i = 0; !fine && i < sizeof known / sizeof *known; i++) fine = !strcmp(name->valuestring, known[i]);
    if (!cJSON_IsObject(root))
        fine = cpl_fail(error, CPL_E_FILE, "%s/model_index.json is no JSON object; get the file again", file);
    else if (!fine)
        cpl_fail(error, CPL_E_UNSUPPORTED,
                 "%s is a model for diffusers' %.60s, which cannot be used here; choose an SD 1.x or SDXL model", file,
                 name->valuestring);
    cJSON_Delete(root);
    return fine;
}

static bool add_all(cpl_checkpoint *c, const char *folder, bool with_vae, cpl_error *error) {
    if (!is_there(folder, "model_index.json"))
        return cpl_fail(error, CPL_E_FILE,
                        "%s: a folder without model_index.json, so not a model of diffusers; name the .safetensors "
                        "file inside it",
                        folder);
    if (!keep_text(c, folder, "model_index.json", error) || !pipeline_is_known(c, error)) return false;
    bool xl = is_there(folder, "text_encoder_2");
    if (!is_there(folder, "text_encoder"))
        return cpl_fail(error, CPL_E_UNSUPPORTED, "%s %s; choose an SD 1.x or SDXL base model", folder,
                        xl ? "has only the second text encoder, as SDXL's refiner does, which makes no picture alone"
                           : "has no folder text_encoder");
    for (int i = 0; i < COMPONENTS; i++) {
        const char *prefix = components[i].prefix;
        if ((components[i].xl_only && !xl) || (i == VAE_COMPONENT && !with_vae)) continue;
        if (i == TEXT_COMPONENT) prefix = xl ? "conditioner.embedders.0.transformer." : "cond_stage_model.transformer.";
        if (!add_component(c, folder, i, prefix, error)) return false;
    }
    return keep_text(c, folder, "scheduler/scheduler_config.json", error);
}

cpl_checkpoint *cpl_model_folder_open(const char *folder, bool with_vae, cpl_error *error) {
    cpl_checkpoint *c = cpl_checkpoint_new(folder, error);
    if (c && add_all(c, folder, with_vae, error)) return c;
    cpl_checkpoint_close(c);
    return NULL;
}

static bool add_vae_files(cpl_checkpoint *c, int part, const char *path, cpl_error *error) {
    char *folder = cpl_model_folder(path);
    if (!folder) return cpl_checkpoint_add_file(c, part, cpl_safetensors_open(path, error), error);
    char *inside = is_there(folder, "vae") ? cpl_path_join(folder, "vae", error) : cpl_strdup(folder, error);
    bool done = inside && add_weights(c, part, inside, components[VAE_COMPONENT].weights, error);
    free(inside);
    free(folder);
    return done;
}

bool cpl_model_add_vae(cpl_checkpoint *c, const char *path, cpl_error *error) {
    cpl_naming naming;
    int part = cpl_checkpoint_add_part(c, VAE, true, error);
    if (part < 0 || !add_vae_files(c, part, path, error)) return false;
    if (!find_vae_naming(c, part, &naming))
        return cpl_fail(error, CPL_E_UNSUPPORTED,
                        "%s holds no VAE that is known here; choose one for SD 1.x or SDXL, such as "
                        "vae-ft-mse-840000 or sdxl_vae",
                        path);
    cpl_checkpoint_set_naming(c, part, naming);
    return true;
}

void cpl_model_folder_files(const char *folder, void (*each)(void *user, const char *path), void *user) {
    static const char *const places[] = {"", "unet", "vae", "text_encoder", "text_encoder_2", "scheduler"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *place = *places[i] ? cpl_path_join(folder, places[i], NULL) : cpl_strdup(folder, NULL);
        DIR *listing = place ? opendir(place) : NULL;
        for (struct dirent *entry; listing && (entry = readdir(listing));) {
            char *path = *entry->d_name != '.' ? cpl_path_join(place, entry->d_name, NULL) : NULL;
            if (path) each(user, path);
            free(path);
        }
        if (listing) closedir(listing);
        free(place);
    }
}
