/* snapshot.c: what a layout's picture depends on: resolved settings, the model that it names, and one hash over all. Whether
 * the layout makes sense as a whole is checked by the worker. */
#include "snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../layout/hash.h"
#include "../memory/alloc.h"
#include "../memory/hash.h"
#include "../sample/img2img.h"
#include "../sample/schedule.h"
#include "lora_wants.h"
#include "start.h"

#define SMALL_MODEL_PARAMETERS 50000000 /* the built-in model has 4 million, SD 1.5 a thousand million */

static void forget_model(cpl_lookup *lookup) {
    free(lookup->model);
    free(lookup->directory);
    free(lookup->vae);
    *lookup = (cpl_lookup){.loras = lookup->loras, .embeddings = lookup->embeddings};
}

void cpl_lookup_clear(cpl_lookup *lookup) {
    forget_model(lookup);
    cpl_asset_index_free(lookup->loras);
    cpl_embedding_index_free(lookup->embeddings);
    lookup->loras = NULL;
    lookup->embeddings = NULL;
}

static bool same_text(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static bool still_holds(const cpl_lookup *lookup, const cpl_model_source *source) {
    return lookup->valid && same_text(lookup->model, source->model) &&
           same_text(lookup->directory, source->directory) && same_text(lookup->vae, source->vae) &&
           lookup->stamp == cpl_model_stamp(source);
}

/* A failure is not remembered: the file may come. */
static bool look_up(cpl_lookup *lookup, const cpl_model_source *source, cpl_error *fault) {
    if (still_holds(lookup, source)) return true;
    forget_model(lookup);
    if (!cpl_text_set(&lookup->model, source->model, fault) ||
        !cpl_text_set(&lookup->directory, source->directory, fault) || !cpl_text_set(&lookup->vae, source->vae, fault))
        return false;
    /* What is remembered must not be older than the files' time, so the headers are read after that. */
    lookup->stamp = cpl_model_stamp(source);
    lookup->valid = cpl_model_look(source, &lookup->info, &lookup->identity, fault);
    return lookup->valid;
}

static void name_the_key(cpl_error *fault) {
    if (*fault->path) return;
    fault->row = -1;
    snprintf(fault->path, sizeof fault->path, "sampling.model");
}

static bool find_loras(cpl_snapshot *snapshot, const cpl_layout *layout, cpl_lookup *lookup,
                       const cpl_surroundings *around, cpl_error *fault) {
    cpl_lora_uses uses;
    if (!cpl_layout_loras(layout, &uses, fault)) return false;
    if (uses.count > 0 && !lookup->loras)
        lookup->loras = cpl_asset_index_new(&cpl_lora_assets, around->lora_dir, fault);
    bool done = uses.count == 0 ||
                (lookup->loras && cpl_lora_wants_find(&snapshot->loras, &snapshot->lora_count, &uses, lookup->loras,
                                                      layout->directory, lookup->info.path, fault));
    cpl_lora_uses_clear(&uses);
    return done;
}

static bool find_embeddings(cpl_snapshot *snapshot, const cpl_layout *layout, cpl_lookup *lookup,
                            const cpl_surroundings *around, cpl_error *fault) {
    if (!lookup->embeddings) lookup->embeddings = cpl_embedding_index_new(around->embedding_dir, fault);
    return lookup->embeddings && cpl_embedding_wants_find(&snapshot->embeddings, &snapshot->embedding_count, layout,
                                                          lookup->embeddings, lookup->info.path, fault);
}

static bool find_start(cpl_snapshot *snapshot, const cpl_layout *layout, cpl_error *fault) {
    if (!(snapshot->settings.denoise > 0)) return true;
    snapshot->start = cpl_start_stamp(layout, fault);
    return snapshot->start;
}

/* A small part of a schedule that still has all steps is the end of a very long one. */
static bool check_part(const char *place, const char *words, int steps, double denoise, cpl_error *fault) {
    int total, taken;
    cpl_img2img_steps(steps, denoise, true, &total, &taken);
    return total <= CPL_MAX_TRAIN_STEPS ||
           cpl_fail_at(fault, -1, place,
                       "%s: %g%s makes %d steps of a schedule of %d; at most %d are possible, so take more of it or "
                       "fewer steps",
                       place, denoise, words, steps, total, CPL_MAX_TRAIN_STEPS);
}

static bool check_span(const cpl_snapshot *snapshot, cpl_error *fault) {
    const cpl_settings *s = &snapshot->settings;
    if (s->hires_width && !check_part("hires.denoise", "", s->hires_steps, s->hires_denoise, fault)) return false;
    return !(s->denoise > 0) || !s->fix_steps ||
           check_part("img2img.denoise", " with fix_steps", s->steps, s->denoise, fault);
}

static uint64_t hash_loras(uint64_t hash, const cpl_snapshot *snapshot) {
    for (int i = 0; i < snapshot->lora_count; i++) {
        const cpl_lora_want *want = &snapshot->loras[i];
        hash = cpl_hash_u64(cpl_hash_text(hash, want->path), want->identity);
        hash = cpl_hash_double(cpl_hash_double(hash, want->unet), want->text);
    }
    return hash;
}

static uint64_t hash_embeddings(uint64_t hash, const cpl_snapshot *snapshot) {
    for (int i = 0; i < snapshot->embedding_count; i++)
        hash = cpl_hash_u64(cpl_hash_text(hash, snapshot->embeddings[i].name), snapshot->embeddings[i].identity);
    return hash;
}

/* What a picture depends on beside its layout. */
static uint64_t hash_around(uint64_t layout, const cpl_snapshot *snapshot, const cpl_surroundings *around) {
    uint64_t hash = hash_loras(cpl_hash_u64(cpl_hash_u64(CPL_HASH_START, layout), snapshot->identity), snapshot);
    hash = hash_embeddings(hash, snapshot);
    if (snapshot->start) hash = cpl_hash_u64(hash, snapshot->start);
    return cpl_hash_text(cpl_hash_text(hash, cpl_dtype_name(snapshot->precision)), around->ops->name);
}

cpl_dtype cpl_precision_for(const cpl_surroundings *around, const cpl_model_info *model) {
    static const cpl_dtype fast[] = {CPL_BF16, CPL_F16};
    if (!around->automatic) return around->precision;
    for (size_t i = 0; model->parameters > SMALL_MODEL_PARAMETERS && i < sizeof fast / sizeof *fast; i++)
        if (around->ops->supports(fast[i], NULL)) return fast[i];
    return CPL_F32;
}

bool cpl_snapshot_measure(cpl_snapshot *snapshot, const cpl_layout *layout, cpl_lookup *lookup,
                          const cpl_surroundings *around, cpl_error *error) {
    cpl_error *fault = &snapshot->error;
    *snapshot = (cpl_snapshot){0};
    const cpl_model_source source = cpl_layout_source(layout);
    if (!look_up(lookup, &source, fault))
        name_the_key(fault);
    else if (!cpl_layout_resolve(layout, &lookup->info.defaults, &snapshot->settings, fault))
        snapshot->settings = (cpl_settings){0};
    else if (find_loras(snapshot, layout, lookup, around, fault) &&
             find_embeddings(snapshot, layout, lookup, around, fault) && find_start(snapshot, layout, fault))
        check_span(snapshot, fault);
    if (fault->code == CPL_E_MEMORY) {
        if (error) *error = *fault;
        cpl_snapshot_clear(snapshot);
        return false;
    }
    snapshot->model = lookup->info;
    snapshot->identity = lookup->identity;
    snapshot->precision = cpl_precision_for(around, &lookup->info);
    snapshot->frame = hash_around(cpl_layout_frame_hash(layout, &snapshot->settings), snapshot, around);
    uint64_t hash = hash_around(cpl_layout_hash(layout, &snapshot->settings), snapshot, around);
    /* Two layouts that are wrong in different ways are different news. */
    if (fault->code) hash = cpl_hash_text(hash, fault->message);
    snapshot->hash = hash ? hash : 1;
    return true;
}

void cpl_snapshot_clear(cpl_snapshot *snapshot) {
    cpl_layout_free(snapshot->layout);
    cpl_lora_wants_free(snapshot->loras, snapshot->lora_count);
    cpl_embedding_wants_free(snapshot->embeddings, snapshot->embedding_count);
    *snapshot = (cpl_snapshot){0};
}

void cpl_snapshot_free(cpl_snapshot *snapshot) {
    if (!snapshot) return;
    cpl_snapshot_clear(snapshot);
    free(snapshot);
}
