/* clock.h: time spans in milliseconds. */
#ifndef CPL_SAMPLE_CLOCK_H
#define CPL_SAMPLE_CLOCK_H

#include <time.h>

/* Of a clock that never jumps; only differences mean something. */
static inline double cpl_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

#endif
