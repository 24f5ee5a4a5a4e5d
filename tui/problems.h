/* problems.h: what is wrong with a layout, as `check` and `render` tell it: the layout's own faults, and what only the
 * model can say about its lines (words it does not know, tokens that are cut, regions too thin for a grid). */
#ifndef TUI_PROBLEMS_H
#define TUI_PROBLEMS_H

#include "../core/couplet.h"

/* Everything that the layout itself shows, errors first: core's findings, and control characters in its texts, which core
 * would pass on to whoever shows them. True: no error. */
bool find_layout_problems(const cpl_layout *layout, const cpl_defaults *defaults, cpl_problems *problems);
/* The warnings in a SYNCED event, added to `problems`. */
bool add_line_warnings(const cpl_layout *layout, const cpl_event *event, cpl_problems *problems);
void say_line_warnings(const char *file, const cpl_layout *layout, const cpl_event *event);
/* The first error, else (unless quiet) all warnings, on stderr. True: no error. */
bool say_layout_problems(const char *file, const cpl_layout *layout, const cpl_defaults *defaults, bool quiet);

#endif
