/* backend.h: the module as its door sees it. */
#ifndef GPU_BACKEND_H
#define GPU_BACKEND_H

#include "../core/module.h"

extern const cpl_backend_ops gpu_ops;
extern const cpl_module gpu_module;

#endif
