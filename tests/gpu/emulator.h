/* emulator.h: what the parts of the emulated device share: the lanes that run, and how those of a warp meet. */
#ifndef TESTS_GPU_EMULATOR_H
#define TESTS_GPU_EMULATOR_H

#include <vector>

#include <cuda_port.h>

#include "fake.h"
#include "fiber.h"

enum { WARP = 32 };
enum lane_state { READY, IN_WARP, IN_BLOCK, ENDED };

struct place { /* in a kernel's source */
    const char *file;
    int line;
};

struct pending_copy {
    void *to;
    const void *from;
    bool there;
    int group;
};

struct lane {
    fiber f;
    emulated_thread here;
    lane_state state;
    void *exchange; /* of this lane, while it waits in its warp */
    int copy_group; /* the one that is being filled */
    std::vector<pending_copy> copies;
    size_t copies_awaited;
};

typedef void exchange_fn(void *exchange[WARP]);
struct warp {
    int arrived, ended, exchanges;
    char clocks[2]; /* of barriers, for fiber_leaves */
    exchange_fn *what;
    place where;
};

struct emulated_device { /* one grid and one block at a time */
    const char *kernel;
    int running; /* thread of the block */
    char *shared;
    bool copies_are_early;
};
extern emulated_device device;

lane *running_lane(void);
/* Meets the other lanes of the warp; the last one runs `what` on what all have brought. Orders no memory. */
void meet(exchange_fn *what, void *mine, place where);

#endif
