/* model_describe.c: what is told of a model: its parts, their sizes, types and files, what it predicts. */
#include <stdio.h>
#include <string.h>

#include "../memory/unicode.h"
#include "model_file.h"

/* CLIP's own vocabulary has 49408 entries. One that is so much smaller was made for the few words that its model was
 * trained on, and everything else falls into pieces that mean nothing to it. */
#define CLOSED_BELOW 10000

#define UNET "model.diffusion_model."
#define VAE "first_stage_model."

/* Bytes of each type of number, in one part or in all. */
typedef struct types {
    const char *name[8];
    uint64_t bytes[8];
} types;

static void add_type(types *t, const cpl_st_entry *e) {
    int k = 0;
    while (k < 7 && t->name[k] && strcmp(t->name[k], e->dtype) != 0) k++;
    t->name[k] = e->dtype;
    t->bytes[k] += e->bytes;
}

/* The type of most bytes; with `two`, the next one as well. */
static void show_types(const types *t, bool two, char *text, size_t size) {
    int most = 0, next = -1;
    for (int k = 1; k < 8; k++)
        if (t->bytes[k] > t->bytes[most]) most = k;
    for (int k = 0; k < 8; k++)
        if (k != most && t->bytes[k] && (next < 0 || t->bytes[k] > t->bytes[next])) next = k;
    snprintf(text, size, "%s%s%s", t->name[most] ? t->name[most] : "", two && next >= 0 ? " " : "",
             two && next >= 0 ? t->name[next] : "");
}

/* A file's or folder's name for the screen: without the folder it lies in and without ending, cut between characters, free
 * of control characters. */
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

/* The place of a tensor among the parts: the text encoders, the UNet, the VAE. -1: it is none that is run: averages beside
 * the weights, counters of training, the VAE that another one replaces. */
static int part_of(const cpl_checkpoint *c, const cpl_ck_tensor *t, const cpl_model_spec *spec, bool averaged) {
    bool apart = *t->part != 0;
    const char *name = t->name, *own = apart ? t->part : t->name;
    for (int i = 0; i < spec->texts; i++)
        if (apart ? begins_with(spec->text[i].prefix, own) : begins_with(own, spec->text[i].prefix)) return i;
    if (begins_with(own, UNET) || (averaged && begins_with(name, "model_ema.diffusion_model"))) return spec->texts;
    if (!begins_with(own, VAE)) return -1;
    bool lent = cpl_checkpoint_is_lent(c, VAE);
    if (lent && !apart) return -1;
    /* A whole checkpoint may have been given for its VAE. */
    return cpl_checkpoint_has_ldm_names(c, VAE) && !begins_with(name, VAE) ? -1 : spec->texts + 1;
}

static void name_parts(const cpl_model_spec *spec, cpl_model_info *info) {
    static const char *const texts[CPL_MAX_TEXTS] = {"text", "text 2"};
    for (int i = 0; i < spec->texts && i < CPL_MAX_TEXTS; i++)
        snprintf(info->part[i].name, sizeof info->part[i].name, "%s", texts[i]);
    snprintf(info->part[spec->texts].name, sizeof info->part[0].name, "unet");
    snprintf(info->part[spec->texts + 1].name, sizeof info->part[0].name, "vae");
    info->parts = spec->texts + 2;
}

static void add_tensor(cpl_model_part *part, const cpl_ck_tensor *t, const cpl_safetensors **last) {
    part->parameters += t->entry->count;
    if (t->file == *last) return;
    *last = t->file;
    if (part->files++ == 0) snprintf(part->file, sizeof part->file, "%s", cpl_safetensors_path(t->file));
}

void cpl_model_describe(const cpl_checkpoint *c, const cpl_model_spec *spec, const cpl_load_survey *survey,
                        cpl_model_info *info) {
    types all = {0}, own[CPL_MODEL_PARTS] = {0};
    const cpl_safetensors *last[CPL_MODEL_PARTS] = {0};
    const cpl_ck_tensor *first = cpl_checkpoint_find(c, UNET "input_blocks.0.0.weight");
    *info = (cpl_model_info){.context_length = spec->text[0].context_length,
                             .closed_vocabulary = spec->text[0].vocab_size < CLOSED_BELOW,
                             .zero_terminal_snr = spec->zero_terminal_snr,
                             .averaged = first && begins_with(first->name, "model_ema."),
                             .packed_f32 = (int64_t)(4 * (survey->matrices + survey->vectors)),
                             .packed_bf16 = (int64_t)(2 * survey->matrices + 4 * survey->vectors),
                             .defaults = spec->defaults};
    for (int i = 0; i < spec->texts && i < CPL_MAX_TEXTS; i++) info->text_width[i] = spec->text[i].width;
    show_name(cpl_checkpoint_path(c), info->name, sizeof info->name);
    snprintf(info->family, sizeof info->family, "%s", spec->family);
    snprintf(info->prediction, sizeof info->prediction, "%s", spec->prediction == CPL_PREDICT_V ? "v" : "epsilon");
    name_parts(spec, info);
    for (int i = 0; i < cpl_checkpoint_count(c); i++) {
        const cpl_ck_tensor *t = cpl_checkpoint_at(c, i);
        int k = part_of(c, t, spec, info->averaged);
        if (k < 0 || !strchr(t->entry->dtype, 'F') || !t->entry->rank)
            continue; /* counters and flags are no parameters */
        add_tensor(&info->part[k], t, &last[k]);
        add_type(&own[k], t->entry);
        add_type(&all, t->entry);
        info->parameters += t->entry->count;
    }
    show_types(&all, false, info->weights, sizeof info->weights);
    for (int k = 0; k < info->parts; k++)
        show_types(&own[k], true, info->part[k].weights, sizeof info->part[k].weights);
}
