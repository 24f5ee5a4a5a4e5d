/* dump.h: each stage's tensors as safetensors, for whoever looks for the stage at which a picture goes wrong. */
#ifndef CPL_SESSION_DUMP_H
#define CPL_SESSION_DUMP_H

#include "../sample/pipeline.h"
#include "context.h"
#include "prepare.h"

typedef struct cpl_dump cpl_dump;
/* `folder` is there and stays borrowed. h, w: of the latent. */
cpl_dump *cpl_dump_open(const char *folder, int channels, int h, int w, cpl_error *error);
/* conditionings.safetensors (positive.N, negative.N) and masks.safetensors (WxH of each coupled grid, [lines, h, w]). */
bool cpl_dump_prepared(cpl_dump *dump, const cpl_prepared *prepared, cpl_stream *s, cpl_error *error);
/* x.N and denoised.N of steps.safetensors; a failure is told by cpl_dump_close. */
void cpl_dump_step(cpl_dump *dump, int step, const float *x, const float *denoised);
/* Writes steps.safetensors and, with a result, result.safetensors (latent, image01 where it was decoded). Frees the dump. */
bool cpl_dump_close(cpl_dump *dump, const cpl_run_result *result, int width, int height, cpl_error *error);

#endif
