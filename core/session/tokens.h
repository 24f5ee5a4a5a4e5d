/* tokens.h: how long the texts of a line are. Private to the session; what others ask is cpl_layout_tokens of couplet.h. */
#ifndef CPL_SESSION_TOKENS_H
#define CPL_SESSION_TOKENS_H

#include "../couplet.h"

/* Puts what is known of one of a line's texts into what is known of the line: the longest text counts. `info` begins as zeros. */
void cpl_line_info_add(cpl_line_info *info, const cpl_line_info *text);
/* Copies a list of texts, or gives one back. NULL without memory. */
cpl_line_text *cpl_line_texts_copy(const cpl_line_text *list, int count);
void cpl_line_texts_free(cpl_line_text *list, int count);

#endif
