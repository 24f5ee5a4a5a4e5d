/* waiting.c: watches how long this stream's threads queue for a processor, as the kernel counts it for each of them
 * (/proc/thread-self/schedstat), and sends them to sleep or keeps them awake by idle_team.c. */
#include "waiting.h"

#include <fcntl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A step has hundreds of parallel regions. To be woken for each takes 50 us and more, most of all in a virtual machine; to
 * stay awake beside another program that computes takes milliseconds, as its time slices are. */
static const double look_ms = 20, first_pause_ms = 1000, longest_pause_ms = 30000, crowded = 0.15;

bool cpu_patience_is_due(const cpu_patience *p, double now_ms) {
    return now_ms >= (p->asleep ? p->until_ms : p->looked_ms + look_ms);
}

bool cpu_patience_look(cpu_patience *p, double now_ms, double queued_ms, int threads) {
    double passed = now_ms - p->looked_ms, share = passed > 0 ? (queued_ms - p->queued_ms) / (passed * threads) : 0;
    bool first = p->looked_ms <= 0;
    if (first) {
        p->asleep = false;
    } else if (share > crowded) {
        /* What sleeps queues as well, each time that it is woken: the crowd is seen to leave without waking up for it. Only
         * a crowd that is back at once makes the pauses longer. */
        bool back_at_once = !p->asleep && p->pause_ms > 0 && now_ms - p->until_ms < p->pause_ms;
        double longer = p->pause_ms * 2 < longest_pause_ms ? p->pause_ms * 2 : longest_pause_ms;
        p->pause_ms = back_at_once ? longer : p->asleep ? p->pause_ms : first_pause_ms;
        p->until_ms = now_ms + p->pause_ms;
        p->asleep = true;
    } else {
        p->asleep = false;
    }
    p->looked_ms = now_ms;
    p->queued_ms = queued_ms;
    return p->asleep;
}

void cpu_waiting_open(cpu_waiting *w) {
    *w = (cpu_waiting){.fixed = getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || getenv("KMP_BLOCKTIME")};
}

static void unwatch(cpu_waiting *w) {
    for (int i = 0; w->watched && i < w->count; i++)
        if (w->file[i] >= 0) close(w->file[i]);
    w->watched = false;
}

void cpu_waiting_close(cpu_waiting *w) {
    unwatch(w);
    cpu_idle_team_stop(&w->team);
}

/* Each thread of the team opens its own counter. */
static void watch(cpu_waiting *w, int threads) {
    unwatch(w);
    w->owner = pthread_self();
    w->count = threads < CPU_WATCHED_THREADS ? threads : CPU_WATCHED_THREADS;
    for (int i = 0; i < w->count; i++) w->file[i] = -1;
    w->watched = true;
#pragma omp parallel num_threads(threads)
    {
        int self = omp_get_thread_num();
        if (self < w->count) w->file[self] = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    }
}

/* Negative: a thread has ended, or there are no such counters. */
static double queued_ms(const cpu_waiting *w) {
    double sum = 0;
    for (int i = 0; i < w->count; i++) {
        char text[96];
        ssize_t length = w->file[i] >= 0 ? pread(w->file[i], text, sizeof text - 1, 0) : -1;
        unsigned long long ran, queued;
        if (length <= 0) return -1;
        text[length] = 0;
        if (sscanf(text, "%llu %llu", &ran, &queued) != 2) return -1;
        sum += (double)queued * 1e-6;
    }
    return sum;
}

static void settle(cpu_waiting *w, bool asleep) {
    if (asleep)
        cpu_idle_team_start(&w->team);
    else
        cpu_idle_team_stop(&w->team);
}

void cpu_waiting_look(cpu_waiting *w, int threads) {
    if (w->fixed || threads < 2) return;
    double now = omp_get_wtime() * 1e3;
    if (!cpu_patience_is_due(&w->patience, now)) return;
    bool fresh = !w->watched || !pthread_equal(w->owner, pthread_self());
    double queued = fresh ? -1 : queued_ms(w);
    if (queued < 0) {
        watch(w, threads);
        queued = queued_ms(w);
        w->patience.looked_ms = 0; /* other counters: what they say begins here */
    }
    w->fixed = queued < 0;
    /* Not known: as if there were always a crowd, which costs little more than it should. */
    settle(w, w->fixed || cpu_patience_look(&w->patience, now, queued, w->count));
}
