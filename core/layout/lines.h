/* lines.h: prompt lines beyond couplet.h. */
#ifndef CPL_LAYOUT_LINES_H
#define CPL_LAYOUT_LINES_H

#include "../memory/error.h"

/* The line that stands for what no region covers (CPL_UNCOVERED_FILL): background.prompt with common prompts put in,
 * else the first line. Caller frees. */
char *cpl_layout_fill_line(const cpl_layout *layout, cpl_error *error);
/* cpl_layout_lines, but with the LoRA tags left where they stand. */
bool cpl_layout_tagged_lines(const cpl_layout *layout, cpl_lines *lines, cpl_error *error);
/* The separator as it works: \n and \t in two characters understood, blank means newline. Caller frees. */
char *cpl_layout_separator(const cpl_layout *layout, cpl_error *error);
/* How many lines there are, -1 when that cannot be told (out of memory, too long). */
int cpl_layout_line_count(const cpl_layout *layout);

#endif
