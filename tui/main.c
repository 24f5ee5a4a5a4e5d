/* main.c: the door, and what a whole process decides: locale and heap. Everything else is in program_run, so that tests can
 * link it. */
#include <locale.h>
#include <malloc.h>

#include "command.h"

/* Larger blocks go back to the system as soon as they are freed. Left alone, glibc learns to keep those up to 32 MB; the
 * holes between the weights of SD 1.5 then add 0.3 GB to the peak. */
#define LARGE_BLOCK (1 << 20)

int main(int argc, char **argv) {
    /* LC_CTYPE for UTF-8 and nothing more: numbers are written and read with a point, whatever the user's locale. */
    setlocale(LC_CTYPE, "");
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
    return program_run(argc, argv);
}
