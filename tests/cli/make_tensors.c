/* make_tensors FILE SEED NAME ROWS COLUMNS [NAME ROWS COLUMNS ...]: a safetensors file of values that look like noise. */
#include <stdio.h>
#include <stdlib.h>

#include "../../core/model/safetensors.h"

static bool add(cpl_st_writer *w, const char *name, int64_t rows, int64_t columns, unsigned *seed, cpl_error *error) {
    const int64_t shape[2] = {rows, columns};
    float *values = calloc((size_t)(rows * columns), sizeof *values);
    for (int64_t i = 0; values && i < rows * columns; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        values[i] = 0.5F * ((float)(*seed >> 8) / (float)(1 << 23) - 1);
    }
    bool done = values && cpl_st_writer_add(w, name, values, 2, shape, error);
    free(values);
    return done;
}

int main(int argc, char **argv) {
    cpl_error error = {0};
    if (argc < 6 || argc % 3 != 0) return 2;
    unsigned seed = (unsigned)atoi(argv[2]);
    cpl_st_writer *w = cpl_st_writer_new(&error);
    bool done = w;
    for (int i = 3; done && i < argc; i += 3)
        done = add(w, argv[i], atoi(argv[i + 1]), atoi(argv[i + 2]), &seed, &error);
    done = done && cpl_st_writer_save(w, argv[1], &error);
    if (!done) fprintf(stderr, "%s\n", error.message);
    cpl_st_writer_free(w);
    return done ? 0 : 1;
}
