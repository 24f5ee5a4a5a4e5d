/* command.h: what the program does without its screen. One function a command; each returns the exit status: 0 done,
 * 1 the input or the run failed, 2 wrong usage. Messages go to stderr, data to stdout. */
#ifndef TUI_COMMAND_H
#define TUI_COMMAND_H

#include "../core/couplet.h"
#include "options.h"

int program_run(int argc, char **argv); /* everything but the locale, which is main's */

int command_edit(const arguments *a);
int command_render(const arguments *a);
int command_check(const arguments *a);
int command_lines(const arguments *a);
int command_masks(const arguments *a);
int command_map(const arguments *a);
int command_show(const arguments *a);
int command_convert(const arguments *a);
int command_info(const arguments *a);
int command_stats(const arguments *a);
int command_bench(const arguments *a);

struct term_caps;

/* ---- Shared by the commands -------------------------------------------------------------------------------- */

/* "couplet: ..." on stderr, made safe for a terminal. Returns 1, the exit status of what failed. */
int say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "FILE: PATH: what is wrong" on stderr, or "FILE: PATH: warning: ..."; PATH is left out where there is none. Returns 1. */
int say_problem(const char *file, const cpl_error *error, bool warning);
/* A fault's text without the file and path that it may begin with. */
const char *bare_message(const char *file, const cpl_error *error);
/* Loads the layout that the first operand names, says what is wrong, and puts the options over it. NULL: failed. */
cpl_layout *open_layout(const arguments *a);
bool override_layout(cpl_layout *layout, const arguments *a, cpl_error *error);
/* What the layout's model gives to the keys that it leaves out. */
bool open_defaults(const arguments *a, const cpl_layout *layout, cpl_model_info *info);
/* What standard output can show: a terminal is asked; elsewhere there is no sixel, and colours only with --color always.
 * True: it is a terminal. */
bool output_capabilities(const arguments *a, struct term_caps *caps);
bool print_safe(const char *text); /* to stdout; false: out of memory */
/* The name of a file that was written, on a line: a script gets it as it is and at once, a terminal only what is safe. */
void print_path(const char *path);

#endif
