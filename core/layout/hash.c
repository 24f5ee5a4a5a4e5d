/* hash.c: identity of a layout's pixels. Geometry goes in as the canvas pixels that it covers, so that two ways to write
 * the same mask are the same layout. */
#include "hash.h"

#include <stdlib.h>
#include <string.h>

#include "../image/mask.h"
#include "../memory/hash.h"
#include "lines.h"
#include "loras.h"
#include "shapes.h"

static uint64_t hash_shape(uint64_t hash, const cpl_shape *s) {
    hash = cpl_hash_double(cpl_hash_u64(hash, (uint64_t)s->kind), s->weight);
    if (s->kind == CPL_SHAPE_NONE || s->kind == CPL_SHAPE_WHOLE) return hash;
    const int numbers[] = {s->x0, s->x1, s->y0, s->y1, s->soft_x, s->soft_y};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) hash = cpl_hash_u64(hash, (uint64_t)numbers[i]);
    return s->mask ? cpl_hash_u64(hash, cpl_mask_hash(s->mask)) : hash;
}

static uint64_t hash_settings(uint64_t hash, const cpl_settings *s) {
    const int numbers[] = {s->width, s->height, s->steps, s->clip_skip, s->batch};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) hash = cpl_hash_u64(hash, (uint64_t)numbers[i]);
    hash = cpl_hash_u64(cpl_hash_double(hash, s->cfg), (uint64_t)s->seed);
    hash = cpl_hash_text(cpl_hash_text(cpl_hash_text(hash, s->sampler), s->schedule), s->rng);
    hash = cpl_hash_text(hash, s->prediction);
    if (s->hires_width) {
        hash = cpl_hash_u64(hash, (uint64_t)s->hires_width << 32 | (uint64_t)s->hires_height);
        hash = cpl_hash_double(cpl_hash_u64(hash, (uint64_t)s->hires_steps), s->hires_denoise);
        hash = cpl_hash_text(hash, s->hires_upscaler);
    }
    /* which picture it is is added by the session */
    return s->denoise > 0 ? cpl_hash_u64(cpl_hash_double(hash, s->denoise), s->fix_steps) : hash;
}

/* The line of what nothing covers matters only where there is such a place. */
static uint64_t hash_fill(uint64_t hash, const cpl_layout *layout, const cpl_settings *settings,
                          const cpl_shape *shapes, int lines) {
    cpl_cover cover = {.share = 1};
    if (layout->uncovered == CPL_UNCOVERED_FILL &&
        !cpl_shapes_cover(shapes, lines, settings->width, settings->height, &cover, NULL))
        cover.share = 0;
    char *line = cover.share < 1 ? cpl_layout_fill_line(layout, NULL) : NULL;
    hash = cpl_hash_text(hash, line);
    free(line);
    return hash;
}

/* A layout without lines (too long, out of memory) cannot make a picture; it only must not look like another one. */
static uint64_t hash_raw(uint64_t hash, const cpl_layout *layout) {
    char *json = cpl_layout_print(layout, NULL);
    hash = cpl_hash_text(hash, json);
    free(json);
    return hash;
}

/* Without its LoRA tags: which files they mean and with what weight is added by the session. */
static uint64_t hash_prompt(uint64_t hash, const char *text) {
    char *plain = text ? cpl_without_loras(text, NULL) : NULL;
    hash = cpl_hash_text(hash, text && !plain ? text : plain);
    free(plain);
    return hash;
}

uint64_t cpl_layout_hash(const cpl_layout *layout, const cpl_settings *settings) {
    uint64_t hash = hash_settings(CPL_HASH_START, settings);
    cpl_lines lines;
    if (!cpl_layout_lines(layout, &lines, NULL)) return hash_raw(hash, layout);
    cpl_shape *shapes = cpl_shapes_new(layout, settings->width, settings->height, lines.count, NULL);
    hash = cpl_hash_u64(hash, (uint64_t)lines.count);
    for (int i = 0; i < lines.count; i++) {
        const cpl_region *region = i < layout->region_count ? &layout->regions[i] : NULL;
        hash = cpl_hash_text(hash, lines.line[i]);
        hash = hash_prompt(hash, region ? region->negative : NULL);
        if (shapes) hash = hash_shape(hash, &shapes[i]);
    }
    if (shapes)
        hash = hash_fill(hash, layout, settings, shapes, lines.count);
    else
        hash = hash_raw(hash, layout);
    /* some models read the text as it was typed, beside the lines; and whether a layout is refused depends on the rest */
    hash = hash_prompt(hash_prompt(hash, layout->prompt), layout->negative ? layout->negative : "");
    hash = cpl_hash_u64(hash, layout->schedules);
    hash = cpl_hash_u64(hash, (uint64_t)layout->region_count << 8 | (uint64_t)layout->mode << 4 | layout->uncovered);
    free(shapes);
    cpl_lines_clear(&lines);
    return hash;
}

uint64_t cpl_layout_frame_hash(const cpl_layout *layout, const cpl_settings *settings) {
    uint64_t hash = hash_settings(CPL_HASH_START, settings);
    cpl_lines lines;
    if (!cpl_layout_lines(layout, &lines, NULL)) return hash_raw(hash, layout);
    hash = cpl_hash_u64(hash, (uint64_t)lines.count << 16 | (uint64_t)layout->region_count);
    hash = cpl_hash_u64(hash, (uint64_t)layout->mode << 8 | (uint64_t)layout->schedules << 4 | layout->uncovered);
    cpl_lines_clear(&lines);
    return hash;
}
