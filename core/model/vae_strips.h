/* vae_strips.h: residual blocks over an image of which only a strip of rows is worked on at a time.
 *
 * Nothing is approximated and nothing is blended: convolutions get the rows above and below that they look at, and group
 * norms the sums over all strips, for which a block is run again up to each of its norms. So there is no seam to hide; the
 * result is that of the whole image but for the rounding of convolutions of other shapes. */
#ifndef CPL_MODEL_VAE_STRIPS_H
#define CPL_MODEL_VAE_STRIPS_H

#include "resblock.h"

/* An image [1, h, w, c] whose rows are either kept or made each time they are asked for: by `conv` (3x3, same size) from
 * `from`, which is first doubled in both directions if `doubled`. */
typedef struct cpl_rows {
    int h, w, c;
    const cpl_tensor *kept; /* borrowed, as all here; NULL: made */
    const cpl_tensor *from;
    const cpl_weight *conv;
    bool doubled;
} cpl_rows;

typedef struct cpl_strips {
    size_t values;                          /* a strip's activation has about this many, and at least two rows */
    void (*told)(void *user, double share); /* so much more of the work is done; may be NULL */
    void *user;
} cpl_strips;

/* y [1, h, w, out] may be x->kept where the block keeps the number of channels. sums: of x, NULL where they are not known;
 * sums_y (cpl_make_sums) gets those of y. `share`: what the block counts of the work told of. */
void cpl_strips_resblock(const cpl_strips *strips, cpl_stream *s, const cpl_resblock *block, const cpl_rows *x,
                         const cpl_tensor *y, const cpl_tensor *sums, const cpl_tensor *sums_y, double share);
/* y = conv(SiLU(norm(x))). */
void cpl_strips_end(const cpl_strips *strips, cpl_stream *s, const cpl_weight *norm, int groups, const cpl_weight *conv,
                    const cpl_tensor *x, const cpl_tensor *y, const cpl_tensor *sums, double share);

#endif
