/* bench_editor.h: the editor as its user has it, measured from outside: in a pseudo terminal that takes sixel. */
#ifndef TUI_BENCH_EDITOR_H
#define TUI_BENCH_EDITOR_H

#include "../core/couplet.h"

#include <stdio.h>

/* Writes the member "editor" and a comma. Starts this program several times, in a folder of its own under $TMPDIR. */
bool bench_editor(FILE *out, const cpl_bench_options *options, cpl_error *error);

#endif
