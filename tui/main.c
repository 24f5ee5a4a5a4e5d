/* main.c: the door. Everything else is in program_run, so that tests can link it. */
#include <locale.h>

#include "command.h"

int main(int argc, char **argv) {
    /* LC_CTYPE for UTF-8 and nothing more: numbers are written and read with a point, whatever the user's locale. */
    setlocale(LC_CTYPE, "");
    return program_run(argc, argv);
}
