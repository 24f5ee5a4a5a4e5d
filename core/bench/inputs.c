/* inputs.c: what is measured on. It stands by itself, as the benchmark of a GPU links nothing of the processor's. */
#include "inputs.h"

#include "../memory/alloc.h"

float *cpl_bench_tiles(int regions, int w, int h, cpl_error *error) {
    size_t cells = (size_t)w * (size_t)h;
    float *masks = cpl_alloc((size_t)regions * cells, sizeof *masks, error);
    int columns = 1;
    while (columns * columns < regions) columns *= 2;
    int rows = regions / columns;
    for (int y = 0; masks && y < h; y++)
        for (int x = 0; x < w; x++) {
            int region = y * rows / h * columns + x * columns / w;
            masks[(size_t)region * cells + (size_t)y * (size_t)w + (size_t)x] = 1;
        }
    return masks;
}

/* The sum of two uniform numbers: smooth, without far outliers, and quick for millions of them. */
void cpl_bench_fill(float *values, size_t count, unsigned seed) {
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        float sum = (float)(state >> 20) + (float)(state >> 8 & 0xfff);
        values[i] = sum * (1.0f / 2048) - 2;
    }
}
