/* vae_work.c: limits and progress of the VAE. The convolutions outside of the levels are too few to be counted. */
#include "vae_work.h"

void cpl_vae_work_begin(cpl_vae_work *work, const cpl_vae_way *way, int channels, double total) {
    *work = (cpl_vae_work){.way = *way, .values = way->pixels * (size_t)channels, .total = total};
    work->strips = (cpl_strips){work->values / 4, cpl_vae_work_add, work};
}

void cpl_vae_work_enter(cpl_vae_work *work, double level) {
    work->done += work->level;
    work->level = level;
    work->level_done = 0;
}

void cpl_vae_work_add(void *user, double share) {
    cpl_vae_work *work = user;
    work->level_done = work->level_done + share < 1 ? work->level_done + share : 1;
    double fraction = (work->done + work->level * work->level_done) / work->total;
    if (work->way.told) work->way.told(work->way.user, fraction < 1 ? fraction : 1);
}

bool cpl_vae_work_needs_strips(const cpl_vae_work *work, int n, int h, int w, int channels) {
    return work->way.pixels > 0 && n == 1 && (size_t)h * (size_t)w * (size_t)channels > work->values;
}
