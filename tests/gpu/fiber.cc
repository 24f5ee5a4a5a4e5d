/* fiber.cc: see fiber.h. */
#include "fiber.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { STACK_BYTES = 256 * 1024, GUARD_BYTES = 4096 };

static fiber *previous; /* the one that has just been left */

#ifdef __x86_64__
extern "C" void emulator_switch(void **save, void *load) __attribute__((visibility("hidden")));
asm(".text\n.hidden emulator_switch\n.globl emulator_switch\n.type emulator_switch,@function\nemulator_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
#endif

bool fiber_prepare(fiber *f, void (*entry)(void)) {
    void *memory = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE)) return false;
    f->stack = (char *)memory + GUARD_BYTES;
    f->bottom = f->stack;
    f->bytes = STACK_BYTES;
#ifdef __x86_64__
    /* As if the fiber had called emulator_switch: six registers and a return address, the stack aligned as at a call. */
    void **top = (void **)(void *)(f->stack + STACK_BYTES) - 1;
    *top-- = nullptr;
    *top = (void *)entry;
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    f->top = top;
#else
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
#endif
#ifdef EMULATED_TSAN
    f->watched = __tsan_create_fiber(0);
#endif
    return true;
}

void fiber_adopt_thread(fiber *f) {
#ifdef EMULATED_TSAN
    f->watched = __tsan_get_current_fiber();
#else
    (void)f;
#endif
}

/* A thread's stack has no bounds here until it is left for the first time: the sanitizer tells them. */
void fiber_entered(void) {
#if defined(EMULATED_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &previous->bottom, &previous->bytes);
#elif defined(EMULATED_MSAN)
    __msan_finish_switch_fiber(&previous->bottom, &previous->bytes);
#endif
}

EMULATED_UNWATCHED void fiber_switch(fiber *from, fiber *to) {
    previous = from;
#if defined(EMULATED_ASAN)
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, to->bottom, to->bytes);
#elif defined(EMULATED_MSAN)
    __msan_start_switch_fiber(to->bottom, to->bytes);
#elif defined(EMULATED_TSAN)
    __tsan_switch_to_fiber(to->watched, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef __x86_64__
    emulator_switch(&from->top, to->top);
#else
    swapcontext(&from->context, &to->context);
#endif
#if defined(EMULATED_ASAN)
    __sanitizer_finish_switch_fiber(fake, &previous->bottom, &previous->bytes);
#elif defined(EMULATED_MSAN)
    __msan_finish_switch_fiber(&previous->bottom, &previous->bytes);
#endif
}

void fill_unset(void *memory, size_t bytes) {
    memset(memory, 0xff, bytes);
#ifdef EMULATED_MSAN
    __msan_poison(memory, bytes);
#endif
}
