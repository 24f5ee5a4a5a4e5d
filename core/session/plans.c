/* plans.c: the cache of coupling plans. Its key is the geometry in full: all that cpl_layout_masks looks at, and nothing of
 * the texts, so that typing in a prompt recomputes no mask and moving a rectangle encodes no text. */
#include "plans.h"

#include <stdlib.h>
#include <string.h>

#include "../layout/masks.h"
#include "../memory/alloc.h"

/* No padding between members: keys are compared as bytes. */
typedef struct key_head {
    double background_weight;
    int32_t width, height, picture_width, picture_height, mode, direction, background, uncovered, lines, regions;
} key_head;

typedef struct key_region {
    double x1, x2, y1, y2, weight, feather;
    uint64_t mask; /* the address: the entry holds a reference, so that no other mask can get it */
} key_region;

_Static_assert(sizeof(key_head) == 48 && sizeof(key_region) == 56, "keys have no padding");

/* Of the picture that the network works at. */
typedef struct picture_size {
    int width, height;
} picture_size;

static void *make_key(const cpl_layout *layout, const cpl_settings *settings, picture_size picture, int lines,
                      size_t *size, cpl_error *error) {
    *size = sizeof(key_head) + (size_t)layout->region_count * sizeof(key_region);
    char *key = cpl_alloc(*size, 1, error);
    if (!key) return NULL;
    key_head head = {layout->background_weight,
                     settings->width,
                     settings->height,
                     picture.width,
                     picture.height,
                     (int32_t)layout->mode,
                     (int32_t)layout->direction,
                     (int32_t)layout->background,
                     (int32_t)layout->uncovered,
                     lines,
                     layout->region_count};
    memcpy(key, &head, sizeof head);
    for (int i = 0; i < layout->region_count; i++) {
        const cpl_region *r = &layout->regions[i];
        key_region part = {r->x1, r->x2, r->y1, r->y2, r->weight, r->feather, (uint64_t)(uintptr_t)r->mask};
        memcpy(key + sizeof head + (size_t)i * sizeof part, &part, sizeof part);
    }
    return key;
}

static void free_set(cpl_plan_set *set) {
    for (int i = 0; i < CPL_MAX_LEVELS; i++) cpl_plan_free(set->level[i]);
    for (int i = 0; i < set->mask_count; i++) cpl_mask_unref(set->masks[i]);
    free(set->masks);
    free(set->vanishes);
    free(set);
}

static void drop_set(void *context, void *value) {
    (void)context;
    free_set(value);
}

cpl_cache *cpl_plans_new(uint64_t budget_bytes, cpl_error *error) {
    return cpl_cache_new(budget_bytes, drop_set, NULL, error);
}

static bool hold_masks(cpl_plan_set *set, const cpl_layout *layout, cpl_error *error) {
    set->masks = cpl_alloc((size_t)layout->region_count, sizeof(cpl_mask *), error);
    if (!set->masks) return false;
    for (int i = 0; i < layout->region_count; i++)
        if (layout->regions[i].mask) set->masks[set->mask_count++] = cpl_mask_ref(layout->regions[i].mask);
    return true;
}

/* The grids of a network, finest first. */
typedef struct grids {
    int levels, w[CPL_MAX_LEVELS], h[CPL_MAX_LEVELS];
    size_t largest;
} grids;

static grids find_grids(const cpl_model *model, picture_size picture) {
    int factor = cpl_vae_factor(model->vae);
    grids g = {.levels = cpl_unet_levels(model->unet)};
    for (int i = 0; i < g.levels; i++) {
        cpl_unet_grid(picture.width / factor, picture.height / factor, i, &g.w[i], &g.h[i]);
        size_t cells = (size_t)g.w[i] * (size_t)g.h[i];
        if (cells > g.largest) g.largest = cells;
    }
    return g;
}

static bool note_vanishing(cpl_plan_set *set, cpl_error *error) {
    set->vanishes = cpl_alloc((size_t)set->lines, sizeof *set->vanishes, error);
    if (!set->vanishes) return false;
    for (int level = 0; level < CPL_MAX_LEVELS; level++)
        for (int line = 0; set->level[level] && line < set->lines; line++)
            if (!set->level[level]->touched[line]) set->vanishes[line] = true;
    return true;
}

/* All grids speak of the same lines: whether a hole is filled is decided on the canvas. */
static bool make_levels(cpl_plan_set *set, const cpl_model *model, const cpl_masks *masks, picture_size picture,
                        cpl_error *error) {
    grids g = find_grids(model, picture);
    set->lines = cpl_masks_lines(masks);
    float *weights = cpl_alloc(((size_t)set->lines + 1) * g.largest, sizeof *weights, error);
    bool done = weights != NULL;
    for (int i = 0; done && i < g.levels; i++) {
        if (!cpl_unet_couples(model->unet, i)) continue;
        done = cpl_masks_read(masks, g.w[i], g.h[i], weights, error);
        if (done) set->level[i] = cpl_plan_new(weights, set->lines, g.w[i], g.h[i], error);
        done = done && set->level[i];
    }
    free(weights);
    return done && note_vanishing(set, error);
}

static size_t set_bytes(const cpl_plan_set *set) {
    size_t bytes = sizeof *set;
    for (int i = 0; i < CPL_MAX_LEVELS; i++)
        if (set->level[i]) bytes += cpl_plan_bytes(set->level[i]);
    return bytes;
}

static cpl_plan_set *make_set(const cpl_model *model, const cpl_layout *layout, picture_size picture, int lines,
                              cpl_error *error) {
    cpl_plan_set *set = cpl_alloc(1, sizeof *set, error);
    if (!set) return NULL;
    cpl_masks *masks = cpl_masks_open(layout, &model->info.defaults, error);
    bool done = masks && (cpl_masks_lines(masks) >= lines ||
                          cpl_fail(error, CPL_E_INPUT, "the regions give %d lines and the texts %d",
                                   cpl_masks_lines(masks), lines));
    done = done && hold_masks(set, layout, error) && make_levels(set, model, masks, picture, error);
    cpl_masks_close(masks);
    if (done) return set;
    free_set(set);
    return NULL;
}

const cpl_plan_set *cpl_plans_find(cpl_cache *cache, const cpl_model *model, const cpl_layout *layout,
                                   const cpl_settings *settings, bool second, int lines, cpl_error *error) {
    size_t size;
    picture_size picture = {settings->width, settings->height};
    if (second) cpl_settings_final_size(settings, &picture.width, &picture.height);
    void *key = make_key(layout, settings, picture, lines, &size, error);
    if (!key) return NULL;
    cpl_plan_set *set = cpl_cache_find(cache, key, size);
    if (!set) {
        set = make_set(model, layout, picture, lines, error);
        if (set && !cpl_cache_insert(cache, key, size, set, set_bytes(set), error)) set = NULL;
    }
    free(key);
    return set;
}
