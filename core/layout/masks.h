/* masks.h: the masks of one layout at several grids, for who asks again with each edit: what holds for all grids (whether the
 * layout can be used, its shapes, whether it is covered) is found once. */
#ifndef CPL_LAYOUT_MASKS_H
#define CPL_LAYOUT_MASKS_H

#include "../memory/error.h"

typedef struct cpl_masks cpl_masks;
/* Borrows the layout until it is closed. Errors as of cpl_layout_masks. */
cpl_masks *cpl_masks_open(const cpl_layout *layout, const cpl_defaults *defaults, cpl_error *error);
void cpl_masks_close(cpl_masks *masks);
/* How many lines there are at every grid, the one that fills what nothing covers included. */
int cpl_masks_lines(const cpl_masks *masks);
/* out: room for [lines of the layout + 1][w * h]. */
bool cpl_masks_read(const cpl_masks *masks, int w, int h, float *out, cpl_error *error);

#endif
