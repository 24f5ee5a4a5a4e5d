/* resolve.h: the canvas size of a layout that may be unfinished. */
#ifndef CPL_LAYOUT_RESOLVE_H
#define CPL_LAYOUT_RESOLVE_H

#include "../couplet.h"

/* Never fails: what is out of range is left to cpl_layout_resolve. `defaults` may be NULL. */
void cpl_layout_size(const cpl_layout *layout, const cpl_defaults *defaults, int *width, int *height);

#endif
