/* reason.h: why a layout was refused, for programs; the words are in the error. */
#ifndef CPL_LAYOUT_REASON_H
#define CPL_LAYOUT_REASON_H

#include "../memory/error.h"

typedef enum cpl_reason {
    CPL_REASON_NONE,
    CPL_REASON_OTHER,
    CPL_REASON_NO_REGIONS,
    CPL_REASON_MALFORMED,    /* a rect that is no list of four */
    CPL_REASON_NOT_NUMERIC,  /* a rect or weight that holds something else than numbers */
    CPL_REASON_OUT_OF_RANGE, /* a rect beyond 0..1 */
    CPL_REASON_REVERSED,     /* x2 < x1 or y2 < y1 */
    CPL_REASON_TOO_FEW_LINES,
    CPL_REASON_COUNT_MISMATCH,
    CPL_REASON_NOT_COVERED,
    CPL_REASON_TILE_COUNT
} cpl_reason;

typedef struct cpl_fault {
    cpl_reason reason;
    int have, need; /* with TOO_FEW_LINES and COUNT_MISMATCH */
    cpl_error error;
} cpl_fault;

/* Fills the fault (its message becomes "PATH: WORDS") and returns false. `row` is -1 where there is none. */
bool cpl_fault_set(cpl_fault *fault, cpl_reason reason, int row, const char *path, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* cpl_layout_parse that also tells the reason. */
cpl_layout *cpl_layout_parse_fault(const char *json, size_t size, const char *directory, const char *name,
                                   cpl_fault *fault);

/* Reads the masks that the regions name. A mask that cannot be read is an error only where the mode needs it. */
bool cpl_layout_open_masks(cpl_layout *layout, cpl_fault *fault);

/* The first thing that is wrong with a layout, in Forge Couple's order of checks: row by row, then the line count, then
 * (if asked for) coverage. */
bool cpl_layout_verify(const cpl_layout *layout, const cpl_defaults *defaults, bool coverage, cpl_fault *fault);

#endif
