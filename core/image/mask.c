/* mask.c: painted masks: immutable grey pixels shared by all snapshots of a layout. */
#include "mask.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/file.h"
#include "../memory/hash.h"
#include "png_decode.h"

struct cpl_mask {
    atomic_int references;
    int width, height;
    uint64_t hash;
    unsigned char *grey; /* owned */
};

static size_t area(const cpl_mask *mask) { return (size_t)mask->width * (size_t)mask->height; }

/* Takes `grey` over, also on failure. */
static cpl_mask *adopt(int width, int height, unsigned char *grey, cpl_error *error) {
    cpl_mask *mask = grey ? cpl_alloc(1, sizeof *mask, error) : NULL;
    if (!mask) {
        free(grey);
        return NULL;
    }
    atomic_init(&mask->references, 1);
    mask->width = width;
    mask->height = height;
    mask->grey = grey;
    uint64_t hash = cpl_hash_u64(CPL_HASH_START, (uint64_t)width << 32 | (uint64_t)height);
    mask->hash = cpl_hash_bytes(hash, grey, area(mask));
    return mask;
}

cpl_mask *cpl_mask_new(int width, int height, const unsigned char *grey, cpl_error *error) {
    if (width < 1 || height < 1 || width > CPL_PNG_MAX_SIDE || height > CPL_PNG_MAX_SIDE) {
        cpl_fail(error, CPL_E_INPUT, "a mask of %dx%d pixels cannot be made; sides are 1 to %d", width, height,
                 CPL_PNG_MAX_SIDE);
        return NULL;
    }
    size_t count = (size_t)width * (size_t)height;
    unsigned char *copy = cpl_alloc(count, 1, error);
    if (copy) memcpy(copy, grey, count);
    return adopt(width, height, copy, error);
}

cpl_mask *cpl_mask_decode(const void *png, size_t size, const char *name, cpl_error *error) {
    cpl_pixels pixels;
    if (!cpl_png_decode(png, size, name, CPL_PNG_GREY, &pixels, error)) return NULL;
    return adopt(pixels.width, pixels.height, pixels.data, error);
}

cpl_mask *cpl_mask_read_png(const char *path, cpl_error *error) {
    size_t size = 0;
    void *bytes = cpl_file_read(path, CPL_PNG_MAX_BYTES, &size, error);
    cpl_mask *mask = bytes ? cpl_mask_decode(bytes, size, path, error) : NULL;
    free(bytes);
    return mask;
}

cpl_mask *cpl_mask_ref(cpl_mask *mask) {
    if (mask) atomic_fetch_add_explicit(&mask->references, 1, memory_order_relaxed);
    return mask;
}

void cpl_mask_unref(cpl_mask *mask) {
    if (!mask || atomic_fetch_sub_explicit(&mask->references, 1, memory_order_acq_rel) != 1) return;
    free(mask->grey);
    free(mask);
}

int cpl_mask_width(const cpl_mask *mask) { return mask->width; }
int cpl_mask_height(const cpl_mask *mask) { return mask->height; }
const unsigned char *cpl_mask_pixels(const cpl_mask *mask) { return mask->grey; }
uint64_t cpl_mask_hash(const cpl_mask *mask) { return mask->hash; }

bool cpl_mask_equal(const cpl_mask *a, const cpl_mask *b) {
    if (a == b) return true;
    return a && b && a->width == b->width && a->height == b->height && a->hash == b->hash &&
           memcmp(a->grey, b->grey, area(a)) == 0;
}
