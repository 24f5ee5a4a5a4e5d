/* thread.h: threads of the library, which leave the program's signals to the program's own threads. */
#ifndef CPL_MEMORY_THREAD_H
#define CPL_MEMORY_THREAD_H

#include <pthread.h>

/* As pthread_create, with every signal blocked but those a fault raises in the thread itself: the kernel kills a process
 * whose faulting thread blocks them without running its handler, and the terminal would stay as it is. Threads that the
 * new one starts inherit the mask. Returns 0 or an errno value. */
int cpl_thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
