/* problems.h: what is wrong with a layout, as `check` and `render` tell it: core's findings, and what only the
 * model can say about its lines (words it does not know, tokens that are cut, regions too thin for a grid). */
#ifndef TUI_PROBLEMS_H
#define TUI_PROBLEMS_H

#include "../core/couplet.h"

/* The warnings in a SYNCED event, added to `problems`. */
bool add_line_warnings(const cpl_layout *layout, const cpl_event *event, cpl_problems *problems);
void say_line_warnings(const char *file, const cpl_layout *layout, const cpl_event *event);
/* The first error, else (unless quiet) all warnings, on stderr. True: no error. */
bool say_layout_problems(const char *file, const cpl_layout *layout, const cpl_defaults *defaults, bool quiet);

#endif
