/* vae_work.h: how encoder and decoder decide between whole levels and strips, and tell how far they are. */
#ifndef CPL_MODEL_VAE_WORK_H
#define CPL_MODEL_VAE_WORK_H

#include "vae.h"
#include "vae_strips.h"

typedef struct cpl_vae_work {
    cpl_vae_way way;
    size_t
        values; /* a level with more is worked on in strips; these are a quarter of it, as several are held at a time */
    cpl_strips strips;
    double total, done, level; /* multiply-adds: of all levels, so far, of the one at hand */
    double level_done;         /* 0..1 */
} cpl_vae_work;

/* `work` stays where it is: the strips point to it. `channels`: of an image at its full size. */
void cpl_vae_work_begin(cpl_vae_work *work, const cpl_vae_way *way, int channels, double total);
void cpl_vae_work_enter(cpl_vae_work *work, double level);
void cpl_vae_work_add(void *work, double share); /* of the level at hand; also what the strips call */
bool cpl_vae_work_needs_strips(const cpl_vae_work *work, int n, int h, int w, int channels);

#endif
