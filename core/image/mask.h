/* mask.h: what core/layout needs of a mask beyond couplet.h. */
#ifndef CPL_IMAGE_MASK_H
#define CPL_IMAGE_MASK_H

#include "../memory/error.h"

/* `name` stands in messages. */
cpl_mask *cpl_mask_decode(const void *png, size_t size, const char *name, cpl_error *error);
/* Of size and pixels; computed once, since masks never change. */
uint64_t cpl_mask_hash(const cpl_mask *mask);
bool cpl_mask_equal(const cpl_mask *a, const cpl_mask *b); /* either may be NULL */

#endif
