/* exchange.cc: what the lanes of a warp do together, and copies that go on beside a thread. Fragments are laid out as PTX
 * says of mma.m16n8k16 and ldmatrix.x4; test_emulator.cc compares with the formulas there. */
#include <string.h>

#include "emulator.h"

#define ALL_LANES 0xffffffffu

/* Kernels here use whole warps only: another mask is a mistake. */
static void check_mask(unsigned mask, place where) {
    if (mask != ALL_LANES) emulator_fault("%s:%d: an exchange of the lanes %08x only", where.file, where.line, mask);
}

struct shuffle {
    float mine, got;
    int source;
};
EMULATED_UNWATCHED static void do_shuffle(void *all[WARP]) {
    for (int i = 0; i < WARP; i++) {
        shuffle *s = (shuffle *)all[i];
        s->got = ((shuffle *)all[s->source & (WARP - 1)])->mine;
    }
}
float emulated_shuffle(unsigned mask, float value, int source_lane, const char *file, int line) {
    shuffle s = {value, 0, source_lane};
    check_mask(mask, place{file, line});
    meet(do_shuffle, &s, place{file, line});
    return s.got;
}

struct vote {
    bool mine, any;
};
EMULATED_UNWATCHED static void do_vote(void *all[WARP]) {
    bool any = false;
    for (int i = 0; i < WARP; i++) any |= ((vote *)all[i])->mine;
    for (int i = 0; i < WARP; i++) ((vote *)all[i])->any = any;
}
bool emulated_any(unsigned mask, bool mine, const char *file, int line) {
    vote v = {mine, false};
    check_mask(mask, place{file, line});
    meet(do_vote, &v, place{file, line});
    return v.any;
}

/* Each lane reads the row that it names by itself, so that a sanitizer knows who did. */
struct tiles {
    uint16_t row[8];
    uint32_t *got;
};
EMULATED_UNWATCHED static void do_tiles(void *all[WARP], bool transposed) {
    for (int i = 0; i < WARP; i++)
        for (int j = 0; j < 4; j++) {
            uint32_t pair[2];
            for (int k = 0; k < 2; k++) {
                int row = transposed ? i % 4 * 2 + k : i / 4, column = transposed ? i / 4 : i % 4 * 2 + k;
                pair[k] = ((tiles *)all[j * 8 + row])->row[column];
            }
            ((tiles *)all[i])->got[j] = pair[0] | pair[1] << 16;
        }
}
EMULATED_UNWATCHED static void do_tiles_plain(void *all[WARP]) { do_tiles(all, false); }
EMULATED_UNWATCHED static void do_tiles_transposed(void *all[WARP]) { do_tiles(all, true); }
void emulated_load_tiles(uint32_t r[4], const void *row, bool transposed) {
    if ((uintptr_t)row % 16) emulator_fault("a tile's row is not aligned to 16 bytes");
    tiles t;
    memcpy(t.row, row, sizeof t.row);
    t.got = r;
    meet(transposed ? do_tiles_transposed : do_tiles_plain, &t, place{"load_tiles", transposed});
}

struct product {
    float *c;
    const uint32_t *a;
    uint32_t b[2];
};
/* The sum of an element runs over k in ascending order. */
template <float widen(uint16_t)> EMULATED_UNWATCHED static void do_product(void *all[WARP]) {
    float a[16][16], b[16][8], c[16][8];
    for (int i = 0; i < WARP; i++) {
        const product *p = (const product *)all[i];
        int g = i / 4, t = i % 4 * 2;
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 2; k++) {
                a[g + (j & 1) * 8][t + (j >> 1) * 8 + k] = widen((uint16_t)(p->a[j] >> (16 * k)));
                c[g + (j >> 1) * 8][t + (j & 1)] = p->c[j];
            }
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++) b[t + j * 8 + k][g] = widen((uint16_t)(p->b[j] >> (16 * k)));
    }
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++) c[row][column] += a[row][k] * b[k][column];
    for (int i = 0; i < WARP; i++)
        for (int j = 0; j < 4; j++) ((product *)all[i])->c[j] = c[i / 4 + (j >> 1) * 8][i % 4 * 2 + (j & 1)];
}
void emulated_multiply_add_half(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    product p = {c, a, {b0, b1}};
    meet(do_product<emulated_half_to_float>, &p, place{"multiply_add", 0});
}
void emulated_multiply_add_bfloat(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    product p = {c, a, {b0, b1}};
    meet(do_product<emulated_bfloat_to_float>, &p, place{"multiply_add", 0});
}

/* ---- Memory ---- */

void *emulated_shared(void) { return device.shared; }

static void make_copy(const pending_copy &c) {
    if (c.there)
        memcpy(c.to, c.from, 16);
    else
        memset(c.to, 0, 16);
}
void emulated_copy16(void *to, const void *from, bool there) {
    lane *l = running_lane();
    if ((uintptr_t)to % 16 || (there && (uintptr_t)from % 16)) emulator_fault("a copy is not aligned to 16 bytes");
    pending_copy copy = {to, from, there, l->copy_group};
    if (device.copies_are_early) make_copy(copy);
    l->copies.push_back(copy);
}
void emulated_copy_commit(void) { running_lane()->copy_group++; }
void emulated_copy_wait(int newest) {
    lane *l = running_lane();
    while (l->copies_awaited < l->copies.size() && l->copies[l->copies_awaited].group < l->copy_group - newest) {
        const pending_copy &copy = l->copies[l->copies_awaited++];
        if (!device.copies_are_early) make_copy(copy);
    }
}

/* `at` must not be known to be aligned by the compiler that sees the type. */
void emulated_check_aligned(uintptr_t at) {
    if (at % 16) emulator_fault("a vector of 16 bytes at %#zx is not aligned to them", (size_t)at);
}
