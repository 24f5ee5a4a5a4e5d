/* idle_team.c: keeps OpenMP from burning the processor while it waits.
 *
 * libgomp's threads spin for milliseconds at the end of each parallel region, hundreds of regions a step. On a machine
 * whose cores are all free that is right; where another program wants one of them the spinning threads wait for each
 * other's time slices, and a step of 14 ms takes 600 and more (measured). libgomp spins only briefly while it manages
 * more threads than there are processors: as long as one more team is there that never works. Its threads sleep. There
 * is no call to ask for the same, and the environment variable (GOMP_SPINCOUNT) is read before main. LLVM's run-time, which
 * clang brings, spins as well, and gives way in a loop where threads are many; but it can be told. Whether it is wanted is
 * decided in waiting.c. */
#include "idle_team.h"
#include "../memory/thread.h"

#include <omp.h>

/* LLVM's: how long threads spin before they sleep; a property of the thread that starts the regions. NULL under libgomp. */
extern void kmp_set_blocktime(int ms) __attribute__((weak));
static const int llvm_default_ms = 200;

static void set(cpu_idle_team *team, bool *flag) {
    pthread_mutex_lock(&team->mutex);
    *flag = true;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->mutex);
}

static void await(cpu_idle_team *team, const bool *flag) {
    pthread_mutex_lock(&team->mutex);
    while (!*flag) pthread_cond_wait(&team->changed, &team->mutex);
    pthread_mutex_unlock(&team->mutex);
}

static void *idle(void *argument) {
    cpu_idle_team *team = argument;
    int members = 0;
#pragma omp parallel reduction(+ : members)
    members++;
    (void)members;
    set(team, &team->formed);
    await(team, &team->dismissed);
    return NULL;
}

static void leave(cpu_idle_team *team) {
    pthread_cond_destroy(&team->changed);
    pthread_mutex_destroy(&team->mutex);
    team->there = false;
}

void cpu_idle_team_start(cpu_idle_team *team) {
    /* one thread alone has nobody to wait for */
    if (team->there || omp_get_max_threads() < 2) return;
    team->there = true;
    if (kmp_set_blocktime) {
        kmp_set_blocktime(0);
        return;
    }
    team->formed = team->dismissed = false;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->changed, NULL);
    if (cpl_thread_start(&team->thread, idle, team) == 0)
        await(team, &team->formed);
    else
        leave(team);
}

void cpu_idle_team_stop(cpu_idle_team *team) {
    if (!team->there) return;
    if (kmp_set_blocktime) {
        kmp_set_blocktime(llvm_default_ms);
        team->there = false;
        return;
    }
    set(team, &team->dismissed);
    pthread_join(team->thread, NULL);
    leave(team);
}
