/* interpose.h: the heap of a test program, watched. malloc and its kin are defined here, in front of the C library's, and a
 * call is ours or a library's by the address it came from: everything of couplet is linked into the program itself.
 * Under a sanitizer, which has a heap of its own, nothing is watched and WATCHED is 0. */
#ifndef TESTS_SESSION_INTERPOSE_H
#define TESTS_SESSION_INTERPOSE_H

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define WATCHED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCHED 0
#endif
#endif
#ifndef WATCHED
#define WATCHED 1
#endif

/* While counting is on, calls of all threads count. */
#define MAYBE_UNUSED __attribute__((unused)) /* each test reads its part of these */
static MAYBE_UNUSED atomic_bool heap_counting;
static MAYBE_UNUSED atomic_ulong heap_ours, heap_theirs;
static MAYBE_UNUSED _Atomic(void *) heap_first_of_ours; /* where to look */

/* From 1: this call of ours from now fails; 0: none. After it comes the one that is `heap_fail_then` further, and so on; 0: no
 * other. Threads that set `heap_spares_this_thread` are left alone. */
static MAYBE_UNUSED atomic_long heap_fail_at, heap_fail_then;
static MAYBE_UNUSED atomic_bool heap_failed;
static MAYBE_UNUSED _Thread_local bool heap_spares_this_thread;

#if WATCHED
extern char __executable_start, etext;
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static inline bool comes_from_us(void *caller) {
    return (char *)caller >= &__executable_start && (char *)caller < &etext;
}

/* False: this call is to fail. */
static inline bool note_call(void *caller) {
    bool ours = comes_from_us(caller);
    if (atomic_load_explicit(&heap_counting, memory_order_relaxed)) {
        if (ours && atomic_fetch_add(&heap_ours, 1) == 0) atomic_store(&heap_first_of_ours, caller);
        if (!ours) atomic_fetch_add(&heap_theirs, 1);
    }
    if (!ours || heap_spares_this_thread || atomic_load(&heap_fail_at) <= 0) return true;
    if (atomic_fetch_sub(&heap_fail_at, 1) != 1) return true;
    atomic_store(&heap_failed, true);
    atomic_store(&heap_fail_at, atomic_load(&heap_fail_then));
    return false;
}

void *malloc(size_t size) { return note_call(__builtin_return_address(0)) ? __libc_malloc(size) : NULL; }
void *calloc(size_t count, size_t size) {
    return note_call(__builtin_return_address(0)) ? __libc_calloc(count, size) : NULL;
}
void *realloc(void *block, size_t size) {
    return note_call(__builtin_return_address(0)) ? __libc_realloc(block, size) : NULL;
}
void *memalign(size_t alignment, size_t size) {
    return note_call(__builtin_return_address(0)) ? __libc_memalign(alignment, size) : NULL;
}
void *aligned_alloc(size_t alignment, size_t size) {
    return note_call(__builtin_return_address(0)) ? __libc_memalign(alignment, size) : NULL;
}
int posix_memalign(void **block, size_t alignment, size_t size) {
    void *taken = note_call(__builtin_return_address(0)) ? __libc_memalign(alignment, size) : NULL;
    if (!taken) return ENOMEM;
    *block = taken;
    return 0;
}
#endif

#endif
