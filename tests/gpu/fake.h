/* fake.h: what emulator.cc and fake_runtime.cc know of each other. */
#ifndef TESTS_GPU_FAKE_H
#define TESTS_GPU_FAKE_H

#include <functional>

#include "cuda_runtime_api.h"

/* Runs all blocks of a grid, one after the other. `kernel` is the kernel's address: templates share a name. */
void emulator_run(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared,
                  const std::function<void()> &body);
/* Appends work to a stream, or to the graph that it records. */
void fake_enqueue(cudaStream_t stream, std::function<void()> work);
/* The device's clock, which events read: it counts what the device did, so that what is measured is the same every time. */
void fake_spend(double ms);
double fake_now_ms(void);
/* Ends the process with a message: a kernel broke a rule of the device. */
[[noreturn]] void emulator_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
