/* idle_team.h: a team of OpenMP threads that only sleeps, so that the others do not spin for long (see idle_team.c). */
#ifndef CPL_CPU_IDLE_TEAM_H
#define CPL_CPU_IDLE_TEAM_H

typedef struct cpu_idle_team cpu_idle_team;
cpu_idle_team *cpu_idle_team_new(void); /* NULL: not needed, or not to be had; nothing depends on it but speed */
void cpu_idle_team_free(cpu_idle_team *team);

#endif
