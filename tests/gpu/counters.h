/* counters.h: what the emulated runtime has been asked for, as tests see it: the symbol emulated_counts of the module. */
#ifndef TESTS_GPU_COUNTERS_H
#define TESTS_GPU_COUNTERS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emulated_counters {
    uint64_t device_allocations, pinned_allocations;
    uint64_t copies, bytes_in, bytes_out; /* as they were asked for (recorded ones once): to and from the device */
    uint64_t stream_waits;                /* of the host, for all that a stream has to do */
} emulated_counters;

extern __attribute__((visibility("default"))) emulated_counters emulated_counts;

#ifdef __cplusplus
}
#endif
#endif
