/* fake_clock.cc: the emulated device's clock. */
#include <atomic>

#include "fake.h"

static std::atomic<long long> picoseconds;

void fake_spend(double ms) { picoseconds += (long long)(ms * 1e9); }
double fake_now_ms(void) { return (double)picoseconds * 1e-9; }
