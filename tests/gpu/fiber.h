/* fiber.h: stacks that take turns on one CPU thread, and what sanitizers have to be told of it. */
#ifndef TESTS_GPU_FIBER_H
#define TESTS_GPU_FIBER_H

#include <stddef.h>

#if defined(__has_feature)
#define EMULATED_HAS(feature) __has_feature(feature)
#else
#define EMULATED_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || EMULATED_HAS(address_sanitizer)
#define EMULATED_ASAN 1
#include <sanitizer/common_interface_defs.h>
#endif
#if EMULATED_HAS(memory_sanitizer)
#define EMULATED_MSAN 1
#include <sanitizer/msan_interface.h>
#endif
#if defined(__SANITIZE_THREAD__) || EMULATED_HAS(thread_sanitizer)
#define EMULATED_TSAN 1
#include <sanitizer/tsan_interface.h>
#define EMULATED_UNWATCHED __attribute__((no_sanitize("thread")))
#else
#define EMULATED_UNWATCHED
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

struct fiber {
#ifdef __x86_64__
    void *top = nullptr; /* of the stack while it does not run */
#else
    ucontext_t context;
#endif
    char *stack = nullptr;        /* owned, never given back; NULL: the stack of a thread */
    const void *bottom = nullptr; /* of the stack, as sanitizers know it */
    size_t bytes = 0;
    void *watched = nullptr; /* ThreadSanitizer's idea of it */
};

/* A stack of its own for `f`, which begins with `entry` when it is first switched to; entry never returns. False: no memory. */
bool fiber_prepare(fiber *f, void (*entry)(void));
/* Runs `to` until it switches back. For ThreadSanitizer a switch orders nothing: fibers are threads. */
void fiber_switch(fiber *from, fiber *to);
/* The first thing that a fiber's entry calls. */
void fiber_entered(void);
/* Makes `f` the stack of the thread that calls. */
void fiber_adopt_thread(fiber *f);

/* What one fiber did before it calls fiber_leaves(x) is seen by those that call fiber_sees(x) later. */
static inline void fiber_leaves(void *at) {
#ifdef EMULATED_TSAN
    __tsan_release(at);
#else
    (void)at;
#endif
}
static inline void fiber_sees(void *at) {
#ifdef EMULATED_TSAN
    __tsan_acquire(at);
#else
    (void)at;
#endif
}

/* Memory whose values nobody has set: NaN, and for MemorySanitizer unknown. */
void fill_unset(void *memory, size_t bytes);

#endif
