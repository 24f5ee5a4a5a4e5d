/* layout.c: the layout as a value: made, copied, compared, rows inserted and moved. What rows mean is not decided here. */
#include <stdlib.h>
#include <string.h>

#include "../image/mask.h"
#include "../memory/alloc.h"
#include "fields.h"

static void region_clear(cpl_region *region) {
    free(region->prompt);
    free(region->negative);
    free(region->mask_source);
    cpl_mask_unref(region->mask);
    cJSON_Delete(region->extra);
}

static void lora_clear(cpl_lora *lora) {
    free(lora->name);
    free(lora->path);
    cJSON_Delete(lora->extra);
}

static bool copy_text(char **to, const char *from, cpl_error *error) {
    *to = from ? cpl_strdup(from, error) : NULL;
    return *to || !from;
}

static bool copy_extra(cJSON **to, const cJSON *from, cpl_error *error) {
    *to = from ? cJSON_Duplicate(from, true) : NULL;
    return *to || !from || cpl_fail(error, CPL_E_MEMORY, "out of memory while copying a layout");
}

static bool region_copy(cpl_region *to, const cpl_region *from, cpl_error *error) {
    *to = *from;
    to->prompt = to->negative = to->mask_source = NULL;
    to->extra = NULL;
    to->mask = cpl_mask_ref(from->mask);
    return copy_text(&to->prompt, from->prompt, error) && copy_text(&to->negative, from->negative, error) &&
           copy_text(&to->mask_source, from->mask_source, error) && copy_extra(&to->extra, from->extra, error);
}

static bool copy_loras(cpl_layout *to, const cpl_layout *from, cpl_error *error) {
    to->loras = cpl_alloc((size_t)from->lora_count, sizeof *to->loras, error);
    bool done = to->loras;
    for (int i = 0; done && i < from->lora_count; i++) {
        const cpl_lora *old = &from->loras[i];
        cpl_lora *made = &to->loras[to->lora_count++]; /* a half-copied entry is freed with the rest */
        *made = (cpl_lora){.weight = old->weight, .text_weight = old->text_weight, .present = old->present};
        done = copy_text(&made->name, old->name, error) && copy_text(&made->path, old->path, error) &&
               copy_extra(&made->extra, old->extra, error);
    }
    return done;
}

cpl_layout *cpl_layout_new(cpl_error *error) {
    cpl_layout *layout = cpl_alloc(1, sizeof *layout, error);
    if (!layout) return NULL;
    cpl_fields_reset(&cpl_layout_object, layout);
    cpl_fields_reset(&cpl_sampling_object, &layout->sampling);
    return layout;
}

static bool copy_sampling(cpl_sampling *to, const cpl_sampling *from, cpl_error *error) {
    *to = *from;
    to->model = to->sampler = to->schedule = to->rng = to->vae = to->prediction = NULL;
    to->extra = NULL;
    return copy_text(&to->model, from->model, error) && copy_text(&to->sampler, from->sampler, error) &&
           copy_text(&to->schedule, from->schedule, error) && copy_text(&to->rng, from->rng, error) &&
           copy_text(&to->vae, from->vae, error) && copy_text(&to->prediction, from->prediction, error) &&
           copy_extra(&to->extra, from->extra, error);
}

static bool copy_members(cpl_layout *to, const cpl_layout *from, cpl_error *error) {
    return copy_sampling(&to->sampling, &from->sampling, error) && copy_loras(to, from, error) &&
           copy_text(&to->background_prompt, from->background_prompt, error) &&
           copy_text(&to->separator, from->separator, error) && copy_text(&to->prompt, from->prompt, error) &&
           copy_text(&to->negative, from->negative, error) && copy_text(&to->init_image, from->init_image, error) &&
           copy_text(&to->hires_upscaler, from->hires_upscaler, error) &&
           copy_text(&to->directory, from->directory, error) && copy_extra(&to->extra, from->extra, error) &&
           copy_extra(&to->extra_canvas, from->extra_canvas, error) &&
           copy_extra(&to->extra_background, from->extra_background, error) &&
           copy_extra(&to->extra_common, from->extra_common, error) &&
           copy_extra(&to->extra_img2img, from->extra_img2img, error) &&
           copy_extra(&to->extra_hires, from->extra_hires, error);
}

cpl_layout *cpl_layout_copy(const cpl_layout *layout, cpl_error *error) {
    cpl_layout *copy = cpl_layout_new(error);
    if (!copy) return NULL;
    copy->width = layout->width;
    copy->height = layout->height;
    copy->mode = layout->mode;
    copy->direction = layout->direction;
    copy->background = layout->background;
    copy->background_weight = layout->background_weight;
    copy->uncovered = layout->uncovered;
    copy->brackets = layout->brackets;
    copy->definitions = layout->definitions;
    copy->schedules = layout->schedules;
    copy->denoise = layout->denoise;
    copy->fix_steps = layout->fix_steps;
    copy->hires_scale = layout->hires_scale;
    copy->hires_steps = layout->hires_steps;
    copy->hires_denoise = layout->hires_denoise;
    copy->present = layout->present;
    bool done = copy_members(copy, layout, error);
    copy->regions = done ? cpl_alloc((size_t)layout->region_count, sizeof *copy->regions, error) : NULL;
    for (int i = 0; copy->regions && done && i < layout->region_count; i++) {
        copy->region_count = i + 1; /* a half-copied row is freed with the rest */
        done = region_copy(&copy->regions[i], &layout->regions[i], error);
    }
    if (done && copy->regions) return copy;
    cpl_layout_free(copy);
    return NULL;
}

void cpl_layout_free(cpl_layout *layout) {
    if (!layout) return;
    for (int i = 0; layout->regions && i < layout->region_count; i++) region_clear(&layout->regions[i]);
    for (int i = 0; i < layout->lora_count; i++) lora_clear(&layout->loras[i]);
    char *texts[] = {layout->background_prompt, layout->separator,           layout->prompt,
                     layout->negative,          layout->directory,           layout->sampling.model,
                     layout->sampling.sampler,  layout->sampling.schedule,   layout->sampling.rng,
                     layout->sampling.vae,      layout->sampling.prediction, layout->init_image,
                     layout->hires_upscaler};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    cJSON_Delete(layout->extra);
    cJSON_Delete(layout->extra_canvas);
    cJSON_Delete(layout->extra_background);
    cJSON_Delete(layout->extra_common);
    cJSON_Delete(layout->extra_img2img);
    cJSON_Delete(layout->extra_hires);
    cJSON_Delete(layout->sampling.extra);
    free(layout->regions);
    free(layout->loras);
    free(layout);
}

/* Two layouts are equal if they would be the same file; masks may also have been painted over in memory. */
bool cpl_layout_equal(const cpl_layout *a, const cpl_layout *b) {
    if (a == b) return true;
    if (a->region_count != b->region_count) return false;
    for (int i = 0; i < a->region_count; i++)
        if (!cpl_mask_equal(a->regions[i].mask, b->regions[i].mask)) return false;
    char *left = cpl_layout_print(a, NULL), *right = cpl_layout_print(b, NULL);
    bool equal = left && right && strcmp(left, right) == 0;
    free(left);
    free(right);
    return equal;
}

bool cpl_text_set(char **text, const char *value, cpl_error *error) {
    char *copy = value ? cpl_strdup(value, error) : NULL;
    if (value && !copy) return false;
    free(*text);
    *text = copy;
    return true;
}

cpl_region *cpl_layout_insert(cpl_layout *layout, int at, cpl_error *error) {
    int count = layout->region_count;
    if (count >= CPL_MAX_REGIONS) {
        cpl_fail_at(error, -1, "regions", "a layout has at most %d regions; remove one first", CPL_MAX_REGIONS);
        return NULL;
    }
    cpl_region *grown = realloc(layout->regions, (size_t)(count + 1) * sizeof *grown);
    if (!grown) {
        cpl_fail(error, CPL_E_MEMORY, "out of memory while adding a region");
        return NULL;
    }
    layout->regions = grown;
    at = at < 0 ? 0 : at > count ? count : at;
    memmove(grown + at + 1, grown + at, (size_t)(count - at) * sizeof *grown);
    layout->region_count++;
    grown[at] = (cpl_region){0};
    cpl_fields_reset(&cpl_region_object, &grown[at]);
    return &grown[at];
}

cpl_lora *cpl_layout_add_lora(cpl_layout *layout, cpl_error *error) {
    if (layout->lora_count >= CPL_MAX_LORAS) {
        cpl_fail_at(error, -1, "loras", "a layout has at most %d LoRAs in its list; remove one first", CPL_MAX_LORAS);
        return NULL;
    }
    cpl_lora *grown = realloc(layout->loras, (size_t)(layout->lora_count + 1) * sizeof *grown);
    if (!grown) {
        cpl_fail(error, CPL_E_MEMORY, "out of memory while adding a LoRA");
        return NULL;
    }
    layout->loras = grown;
    cpl_lora *lora = &grown[layout->lora_count++];
    *lora = (cpl_lora){0};
    cpl_fields_reset(&cpl_lora_object, lora);
    return lora;
}

void cpl_layout_remove(cpl_layout *layout, int row) {
    if (row < 0 || row >= layout->region_count) return;
    region_clear(&layout->regions[row]);
    layout->region_count--;
    memmove(layout->regions + row, layout->regions + row + 1,
            (size_t)(layout->region_count - row) * sizeof(cpl_region));
}

void cpl_layout_move(cpl_layout *layout, int from, int to) {
    int count = layout->region_count;
    if (from < 0 || from >= count || to < 0 || to >= count || from == to) return;
    cpl_region moved = layout->regions[from], *rows = layout->regions;
    if (from < to)
        memmove(rows + from, rows + from + 1, (size_t)(to - from) * sizeof *rows);
    else
        memmove(rows + to + 1, rows + to, (size_t)(from - to) * sizeof *rows);
    rows[to] = moved;
}

int cpl_layout_background_row(const cpl_layout *layout) {
    if (layout->mode == CPL_MODE_ADVANCED || layout->background == CPL_BACKGROUND_NONE) return -1;
    return layout->background == CPL_BACKGROUND_FIRST ? 0 : layout->region_count - 1;
}

cpl_model_source cpl_layout_source(const cpl_layout *layout) {
    return (cpl_model_source){
        .model = layout->sampling.model, .directory = layout->directory, .vae = layout->sampling.vae};
}
