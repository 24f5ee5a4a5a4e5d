/* align_your_steps.h: the levels of the schedules of that name. */
#ifndef CPL_SAMPLE_ALIGN_YOUR_STEPS_H
#define CPL_SAMPLE_ALIGN_YOUR_STEPS_H

#include <stdbool.h>

typedef struct cpl_knots {
    const double *sigma; /* falling */
    int count;
} cpl_knots;

typedef enum cpl_align { CPL_ALIGN_11, CPL_ALIGN_GITS, CPL_ALIGN_32 } cpl_align;
const cpl_knots *cpl_align_your_steps(cpl_align which, bool of_sdxl);

#endif
