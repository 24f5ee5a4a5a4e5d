/* lora.c: matches the modules of LoRA files with a model's layers and packs what is added to each. Several files on one layer
 * become one adapter: their ranks stand one below the other, whole matrices are summed. */
#include "lora.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/unicode.h"
#include "diffusers.h"
#include "lora_delta.h"

static const char unet_prefix[] = "model.diffusion_model.";

typedef struct binder {
    const cpl_model *model;
    const cpl_lora_want *wants;
    int count;
    cpl_lora_file *files;    /* owned: [count] */
    cpl_lora_module **found; /* owned: [layers][count], borrowed modules; NULL: the file has none for the layer */
    cpl_lora_set *set;
    cpl_error *error;
} binder;

/* ---- What is asked for ---- */

void cpl_lora_wants_free(cpl_lora_want *wants, int count) {
    for (int i = 0; wants && i < count; i++) free(wants[i].path);
    free(wants);
}

/* The path is part of it: files of one size and header may carry the same time. */
void *cpl_lora_key(const cpl_lora_want *wants, int count, size_t *size, cpl_error *error) {
    size_t used = 0;
    *size = 0;
    for (int i = 0; i < count; i++)
        *size += strlen(wants[i].path) + 1 + sizeof wants->identity + 2 * sizeof wants->unet;
    char *key = cpl_alloc(*size, 1, error);
    for (int i = 0; key && i < count; i++) {
        const double weights[2] = {wants[i].unet, wants[i].text};
        used += (size_t)(stpcpy(key + used, wants[i].path) - (key + used)) + 1;
        memcpy(key + used, &wants[i].identity, sizeof wants->identity);
        memcpy(key + used + sizeof wants->identity, weights, sizeof weights);
        used += sizeof wants->identity + sizeof weights;
    }
    return key;
}

/* A fault of a file is a fault of what asked for it. */
static bool blame(const binder *b, int file, const cpl_error *fault) {
    const cpl_lora_want *want = &b->wants[file];
    if (fault->code != CPL_E_MEMORY)
        return cpl_fail_at(b->error, want->row, want->place, "%s: %s", want->place, fault->message);
    if (b->error) *b->error = *fault;
    return false;
}

/* ---- Names ---- */

static void underscores(char *to, size_t size, const char *front, const char *name) {
    if (snprintf(to, size, "%s%s", front, name) >= (int)size) *to = '\0';
    for (char *p = to; *p; p++)
        if (*p == '.') *p = '_';
}

/* A layer's names in LoRA files, in the spelling of lora_names.h: its own, and diffusers'. Either may be "". */
static void names_of(const cpl_model *m, const cpl_named_layer *layer, char own[CPL_LORA_KEY_SIZE],
                     char theirs[CPL_LORA_KEY_SIZE]) {
    char name[CPL_LORA_KEY_SIZE];
    own[0] = theirs[0] = '\0';
    if (strncmp(layer->name, unet_prefix, sizeof unet_prefix - 1) == 0) {
        const char *ldm = layer->name + sizeof unet_prefix - 1;
        underscores(own, CPL_LORA_KEY_SIZE, "unet_", ldm);
        if (cpl_diffusers_unet_name(ldm, m->spec.unet.num_res_blocks, name, sizeof name))
            underscores(theirs, CPL_LORA_KEY_SIZE, "unet_", name);
        return;
    }
    for (int i = 0; i < m->spec.texts; i++) {
        const cpl_text_spec *text = &m->spec.text[i];
        static const char deep[] = "text_model.", projection[] = "text_projection";
        const char *front = i ? "te2_" : "te1_", *inner = layer->name + strlen(text->prefix);
        size_t outer = cpl_text_projection_prefix(text);
        if (strncmp(layer->name, text->prefix, outer) != 0) continue;
        bool last = strcmp(layer->name + outer, projection) == 0;
        if (!last && strncmp(layer->name, text->prefix, strlen(text->prefix)) != 0) continue;
        /* LoRA files know the names of transformers only, whatever the checkpoint calls its layers. */
        if (last)
            underscores(own, CPL_LORA_KEY_SIZE, front, projection);
        else if (!text->openclip)
            underscores(own, CPL_LORA_KEY_SIZE, front, inner);
        else if (cpl_diffusers_text_name(inner, layer->part, name, sizeof name))
            underscores(theirs, CPL_LORA_KEY_SIZE, front, name + sizeof deep - 1);
    }
}

static bool match_layer(binder *b, int at) {
    char own[CPL_LORA_KEY_SIZE], theirs[CPL_LORA_KEY_SIZE];
    names_of(b->model, &b->model->layers.list[at], own, theirs);
    for (int i = 0; i < b->count; i++) {
        cpl_lora_module *first = *own ? cpl_lora_file_find(&b->files[i], own) : NULL;
        cpl_lora_module *second = *theirs ? cpl_lora_file_find(&b->files[i], theirs) : NULL;
        cpl_error fault = {0};
        if (first && second && first != second) {
            cpl_fail(&fault, CPL_E_FILE, "%s adds to one layer twice, as %s and as %s", b->wants[i].path, own, theirs);
            return blame(b, i, &fault);
        }
        b->found[at * b->count + i] = first ? first : second;
        if (first || second) (first ? first : second)->placed = true;
    }
    return true;
}

/* ---- Files ---- */

static const char *spoken(const char *family) {
    static const char *const names[][2] = {
        {"sd1", "SD 1.x"}, {"sd2", "SD 2.x"}, {"sdxl", "SDXL"}, {"sd3", "SD 3"}, {"flux", "Flux"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], family) == 0) return names[i][1];
    return family;
}

bool cpl_lora_fits(const cpl_lora_info *lora, const cpl_model_info *model, cpl_error *error) {
    if (!lora->usable)
        return cpl_fail(error, CPL_E_UNSUPPORTED,
                        "%s is of the kind %s, which cannot be used here; LoRA, LoCon, LoHa and LoKr can", lora->path,
                        lora->kind);
    return !*lora->family || strcmp(lora->family, model->family) == 0 ||
           cpl_fail(error, CPL_E_INPUT, "%s was made for %s, but the model %s is %s; choose a LoRA for it", lora->path,
                    spoken(lora->family), model->name, spoken(model->family));
}

static bool file_fits(const binder *b, int at, cpl_error *fault) {
    const cpl_lora_file *f = &b->files[at];
    if (cpl_safetensors_identity(f->st) != b->wants[at].identity)
        return cpl_fail(fault, CPL_E_FILE, "%s: the file changed while it was read; generate again", b->wants[at].path);
    return cpl_lora_fits(&f->info, &b->model->info, fault);
}

static bool open_files(binder *b) {
    for (int i = 0; i < b->count; i++) {
        cpl_error fault = {0};
        if (!cpl_lora_file_open(&b->files[i], b->wants[i].path, &fault) || !file_fits(b, i, &fault))
            return blame(b, i, &fault);
    }
    return true;
}

/* Tells what of a file is left out, after what was told of others. */
static void leave_out(cpl_lora_set *set, const cpl_lora_file *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void leave_out(cpl_lora_set *set, const cpl_lora_file *f, const char *format, ...) {
    size_t used = strlen(set->note), room = sizeof set->note - used;
    int start = snprintf(set->note + used, room, "%sLoRA %.60s: ", used ? "; " : "", f->info.name);
    va_list list;
    va_start(list, format);
    if ((size_t)start < room) vsnprintf(set->note + used + start, room - (size_t)start, format, list);
    va_end(list);
    set->note[cpl_utf8_fit(set->note, sizeof set->note - 1)] = '\0';
}

/* A file of which nothing fits is an error; where some of it does not, that is told. */
static bool check_placed(binder *b, int at) {
    const cpl_lora_file *f = &b->files[at];
    const char *first = NULL;
    int lost = 0;
    cpl_error fault = {0};
    for (int i = 0; i < f->count; i++) {
        if (f->modules[i].placed) continue;
        if (!lost++) first = f->modules[i].key;
    }
    if (lost == f->count) {
        cpl_fail(&fault, CPL_E_INPUT, "%s fits nothing in %s: the model has none of its %d modules, such as %s",
                 b->wants[at].path, b->model->info.name, f->count, first ? first : "none");
        return blame(b, at, &fault);
    }
    if (lost) leave_out(b->set, f, "%d of its %d modules are not in the model, such as %.80s", lost, f->count, first);
    if (f->strange)
        leave_out(b->set, f, "%d of its tensors are not understood and left out, such as %.80s",
                  f->info.strange_tensors, f->strange);
    return true;
}

/* ---- Packing ---- */

/* Takes over what `from` holds and adds it to `sum`. */
static bool add_delta(cpl_lora_delta *sum, cpl_lora_delta *from, const cpl_named_layer *layer, cpl_error *error) {
    size_t out = (size_t)layer->out, columns = (size_t)layer->in * (size_t)layer->k * (size_t)layer->k;
    size_t first = (size_t)sum->rank, second = (size_t)from->rank, both = first + second;
    if (from->whole && sum->whole) {
        for (size_t i = 0; i < out * columns; i++) sum->whole[i] += from->whole[i];
    } else if (from->whole) {
        sum->whole = from->whole;
        from->whole = NULL;
    } else if (!first) {
        sum->rank = from->rank;
        sum->down = from->down;
        sum->up = from->up;
        from->down = from->up = NULL;
    } else {
        float *down = cpl_alloc(both * columns, sizeof *down, error);
        float *up = down ? cpl_alloc(out * both, sizeof *up, error) : NULL;
        if (!up) {
            free(down);
            return false;
        }
        memcpy(down, sum->down, first * columns * sizeof *down);
        memcpy(down + first * columns, from->down, second * columns * sizeof *down);
        for (size_t o = 0; o < out; o++) {
            memcpy(up + o * both, sum->up + o * first, first * sizeof *up);
            memcpy(up + o * both + first, from->up + o * second, second * sizeof *up);
        }
        free(sum->down);
        free(sum->up);
        sum->down = down;
        sum->up = up;
        sum->rank = (int)both;
    }
    cpl_lora_delta_clear(from);
    return true;
}

static cpl_weight *pack(const binder *b, const cpl_named_layer *layer, const float *values, int out, int in, int k) {
    const cpl_backend_ops *ops = b->model->backend->ops;
    b->set->bytes += (size_t)out * (size_t)in * (size_t)k * (size_t)k * cpl_dtype_bytes(layer->type);
    cpl_values as_f32 = {values, CPL_F32};
    return layer->conv ? ops->conv_weight(b->model->backend, layer->type, as_f32, NULL, out, in, k, k, b->error)
                       : ops->linear_weight(b->model->backend, layer->type, as_f32, NULL, out, in, b->error);
}

static bool pack_sum(binder *b, const cpl_named_layer *layer, const cpl_lora_delta *sum) {
    cpl_adapter *a = &b->set->adapters.list[b->set->adapters.count++];
    *a = (cpl_adapter){.base = layer->weight, .rank = sum->rank};
    if (sum->whole && !(a->whole = pack(b, layer, sum->whole, layer->out, layer->in, layer->k))) return false;
    if (!sum->rank) return true;
    a->down = pack(b, layer, sum->down, sum->rank, layer->in, layer->k);
    a->up = a->down ? pack(b, layer, sum->up, layer->out, sum->rank, 1) : NULL;
    return a->up;
}

static bool bind_layer(binder *b, int at) {
    const cpl_named_layer *layer = &b->model->layers.list[at];
    bool unet = strncmp(layer->name, unet_prefix, sizeof unet_prefix - 1) == 0, done = true;
    cpl_lora_delta sum = {0}, delta = {0};
    for (int i = 0; done && i < b->count; i++) {
        const cpl_lora_module *module = b->found[at * b->count + i];
        double weight = unet ? b->wants[i].unet : b->wants[i].text;
        cpl_error fault = {0};
        if (!module || weight == 0) continue;
        done = cpl_lora_delta_read(&delta, &b->files[i], module, layer, weight, &fault) || blame(b, i, &fault);
        done = done && add_delta(&sum, &delta, layer, b->error);
    }
    if (done && (sum.rank || sum.whole)) done = pack_sum(b, layer, &sum);
    cpl_lora_delta_clear(&delta);
    cpl_lora_delta_clear(&sum);
    return done;
}

/* A file without modules for the text encoders, or with weight 0 there, leaves every line as it is. */
static bool make_text_key(binder *b) {
    cpl_lora_want *texts = cpl_alloc((size_t)b->count, sizeof *texts, b->error);
    int count = 0;
    for (int i = 0; texts && i < b->count; i++) {
        if (b->wants[i].text == 0 || b->files[i].info.text_modules == 0) continue;
        texts[count] = b->wants[i]; /* borrows the path */
        texts[count++].unet = 0;
    }
    b->set->text_key = texts ? cpl_lora_key(texts, count, &b->set->text_key_size, b->error) : NULL;
    free(texts);
    return b->set->text_key;
}

static bool bind(binder *b) {
    const cpl_named_layers *layers = &b->model->layers;
    bool done = open_files(b);
    for (int i = 0; done && i < layers->count; i++) done = match_layer(b, i);
    for (int i = 0; done && i < b->count; i++) done = check_placed(b, i);
    for (int i = 0; done && i < layers->count; i++) done = bind_layer(b, i);
    return done && make_text_key(b) && cpl_adapters_index(&b->set->adapters, b->error);
}

cpl_lora_set *cpl_lora_set_new(const cpl_model *model, const cpl_lora_want *wants, int count, cpl_error *error) {
    binder b = {.model = model, .wants = wants, .count = count, .error = error};
    size_t layers = (size_t)model->layers.count;
    bool done = false;
    b.set = cpl_alloc(1, sizeof *b.set, error);
    if (!b.set) return NULL;
    b.set->backend = model->backend;
    b.set->key = cpl_lora_key(wants, count, &b.set->key_size, error);
    b.set->adapters.list = cpl_alloc(layers, sizeof *b.set->adapters.list, error);
    b.files = cpl_alloc((size_t)count, sizeof *b.files, error);
    b.found = cpl_alloc(layers * (size_t)count, sizeof *b.found, error);
    if (b.set->key && b.set->adapters.list && b.files && b.found) done = bind(&b);
    for (int i = 0; b.files && i < count; i++) cpl_lora_file_close(&b.files[i]);
    free(b.files);
    free(b.found);
    if (done) return b.set;
    cpl_lora_set_free(b.set);
    return NULL;
}

void cpl_lora_set_free(cpl_lora_set *set) {
    if (!set) return;
    for (int i = 0; set->adapters.list && i < set->adapters.count; i++) {
        cpl_adapter *a = &set->adapters.list[i];
        cpl_weight *const weights[] = {a->down, a->up, a->whole};
        for (size_t k = 0; k < sizeof weights / sizeof *weights; k++)
            if (weights[k]) set->backend->ops->weight_free(set->backend, weights[k]);
    }
    free(set->adapters.list);
    free(set->adapters.slot);
    free(set->key);
    free(set->text_key);
    free(set);
}
