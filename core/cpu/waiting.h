/* waiting.h: how OpenMP's threads wait for their next work: awake, which costs nothing where the processors are free, or
 * asleep, where others want them. */
#ifndef CPL_CPU_WAITING_H
#define CPL_CPU_WAITING_H

#include <pthread.h>
#include <stdbool.h>

#include "idle_team.h"

enum { CPU_WATCHED_THREADS = 16 };

/* When to sleep, decided by how long threads that could run had to queue for a processor. Knows no clock and no threads of its
 * own. All zero: awake. */
typedef struct cpu_patience {
    bool asleep;
    double looked_ms, until_ms; /* until_ms: no decision before; only while asleep */
    double pause_ms;            /* how long the last sleep was to be */
    double queued_ms;           /* at looked_ms */
} cpu_patience;

/* True if it is time to look: a few times a second at most, and often enough that little is lost. */
bool cpu_patience_is_due(const cpu_patience *p, double now_ms);
/* queued_ms: the sum over `threads` threads, which only grows. Returns whether they should sleep. */
bool cpu_patience_look(cpu_patience *p, double now_ms, double queued_ms, int threads);

/* Of one stream, whose operations run on one team of threads at a time. */
typedef struct cpu_waiting {
    cpu_patience patience;
    cpu_idle_team team; /* there while the threads are to sleep */
    bool fixed;         /* the environment says how to wait, or nobody tells how long threads queue */
    bool watched;       /* the descriptors below are open */
    pthread_t owner;    /* whose team they are of */
    int count;
    int file[CPU_WATCHED_THREADS];
} cpu_waiting;

void cpu_waiting_open(cpu_waiting *w);
void cpu_waiting_close(cpu_waiting *w);
/* Before each operation, in the thread that runs it. */
void cpu_waiting_look(cpu_waiting *w, int threads);

#endif
