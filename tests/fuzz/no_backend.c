/* no_backend.c: in the place of the CPU backend, which libFuzzer's programs have no use for: headers are read, not weights. */
#include "../../core/backend.h"

const cpl_backend_ops cpl_cpu_backend = {.abi = CPL_BACKEND_ABI, .name = "none"};
