/* main.c: the door, and what a whole process decides: locale and heap. Everything else is in program_run, so that tests can
 * link it. */
#include <locale.h>
#include <malloc.h>

#include "command.h"

/* Larger blocks go back to the system as soon as they are freed. Left alone, glibc learns to keep those up to 32 MB; the
 * holes between the weights of SD 1.5 then add 0.3 GB to the peak. */
#define LARGE_BLOCK (1 << 20)

/* What the end of the heap may keep: a drawing that is made anew at each key would else be made of fresh pages, and bringing
 * those in takes longer than drawing. */
#define KEPT (16 << 20)

int main(int argc, char **argv) {
    /* LC_CTYPE for UTF-8 and nothing more: numbers are written and read with a point, whatever the user's locale. */
    setlocale(LC_CTYPE, "");
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    mallopt(M_TRIM_THRESHOLD, KEPT);
#endif
    return program_run(argc, argv);
}
