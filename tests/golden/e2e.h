/* e2e.h: the groups from token ids to a picture. */
#ifndef TESTS_GOLDEN_E2E_H
#define TESTS_GOLDEN_E2E_H

#include "golden.h"

void golden_run_sd1_e2e(golden *g); /* sd1_tiny_e2e_expected.safetensors, on sd1_tiny.safetensors */
void golden_run_sdxl_e2e(golden *g);

#endif
