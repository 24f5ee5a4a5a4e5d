/* idle_team.h: a team of OpenMP threads that only sleeps, so that the others do not spin for long (see idle_team.c). */
#ifndef CPL_CPU_IDLE_TEAM_H
#define CPL_CPU_IDLE_TEAM_H

#include <pthread.h>
#include <stdbool.h>

/* All zero: not there. It lies in its owner, as it may come in the middle of a step, which takes no memory. */
typedef struct cpu_idle_team {
    bool there;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool formed, dismissed;
} cpu_idle_team;

/* Afterwards `there` may still be false: not needed, or not to be had; nothing depends on it but speed. */
void cpu_idle_team_start(cpu_idle_team *team);
void cpu_idle_team_stop(cpu_idle_team *team); /* also one that is not there */

#endif
