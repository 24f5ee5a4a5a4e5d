/* resolve.h: the canvas size of a layout that may be unfinished, and what a second pass makes of it. */
#ifndef CPL_LAYOUT_RESOLVE_H
#define CPL_LAYOUT_RESOLVE_H

#include "../couplet.h"

/* Never fails: what is out of range is left to cpl_layout_resolve. `defaults` may be NULL. */
void cpl_layout_size(const cpl_layout *layout, const cpl_defaults *defaults, int *width, int *height);
/* A side of the canvas in a second pass that is `scale` times as large. */
int cpl_side_enlarged(int side, double scale);

#endif
