/* random_layout.h: layouts from a seed, for tests that compare two ways to the same result. Plain and valid unless said. */
#ifndef TESTS_CORE_LAYOUT_RANDOM_LAYOUT_H
#define TESTS_CORE_LAYOUT_RANDOM_LAYOUT_H

#include <stdlib.h>
#include <string.h>

#include "../../../core/couplet.h"

static inline uint32_t draw(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static inline int draw_below(uint64_t *state, int n) { return (int)(draw(state) % (uint32_t)n); }
static inline double draw_unit(uint64_t *state) { return (draw(state) & 0xFFFFFF) / 16777216.0; }

/* Round numbers, edges of the canvas, and numbers with many digits. */
static inline double draw_fraction(uint64_t *state) {
    switch (draw_below(state, 4)) {
    case 0:
        return draw_below(state, 9) / 8.0;
    case 1:
        return draw_below(state, 101) / 100.0;
    case 2:
        return draw_below(state, 2);
    default:
        return draw_unit(state);
    }
}

static inline void draw_rect(uint64_t *state, cpl_region *region) {
    double a = draw_fraction(state), b = draw_fraction(state), c = draw_fraction(state), d = draw_fraction(state);
    region->x1 = a < b ? a : b;
    region->x2 = a < b ? b : a;
    region->y1 = c < d ? c : d;
    region->y2 = c < d ? d : c;
}

static inline cpl_mask *draw_mask(uint64_t *state, int width, int height) {
    unsigned char *grey = malloc((size_t)width * (size_t)height);
    int blocks = 1 + draw_below(state, 6);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            grey[y * width + x] = (unsigned char)((x / blocks * 37 + y / blocks * 91) % 256 * (x % 7 > 0));
    cpl_mask *mask = cpl_mask_new(width, height, grey, NULL);
    free(grey);
    return mask;
}

static inline cpl_layout *draw_layout(uint64_t *state, int max_side) {
    static const double feathers[] = {0, 0, 0.05, 0.2, 1};
    cpl_layout *layout = cpl_layout_new(NULL);
    layout->width = 24 + 8 * draw_below(state, (max_side - 24) / 8 + 1);
    layout->height = 24 + 8 * draw_below(state, (max_side - 24) / 8 + 1);
    layout->mode = (cpl_mode)draw_below(state, 3);
    layout->direction = (cpl_direction)draw_below(state, 2);
    if (layout->mode != CPL_MODE_ADVANCED) layout->background = (cpl_background)draw_below(state, 3);
    layout->background_weight = draw_below(state, 20) / 10.0;
    layout->uncovered = (cpl_uncovered)draw_below(state, 2);
    int rows = 3 + draw_below(state, 5);
    for (int i = 0; i < rows; i++) {
        cpl_region *region = cpl_layout_insert(layout, i, NULL);
        cpl_text_set(&region->prompt, i % 2 ? "a cat, night sky" : "a boat, sea", NULL);
        draw_rect(state, region);
        region->feather = feathers[draw_below(state, 5)];
        if (i != cpl_layout_background_row(layout) && layout->mode != CPL_MODE_BASIC)
            region->weight = draw_below(state, 4) ? 0.1 * draw_below(state, 30) : 1;
        if (layout->mode == CPL_MODE_MASK) {
            bool fits = draw_below(state, 2);
            region->mask = draw_mask(state, fits ? layout->width : 5 + draw_below(state, 150),
                                     fits ? layout->height : 5 + draw_below(state, 150));
            cpl_text_set(&region->mask_source, "mask.png", NULL);
        }
    }
    int background = cpl_layout_background_row(layout); /* rows moved since the weights were drawn */
    for (int i = 0; i < rows; i++)
        if (i == background) layout->regions[i].weight = 1;
    return layout;
}

#endif
