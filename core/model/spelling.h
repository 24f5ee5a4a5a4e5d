/* spelling.h: whether a text names something, decided as the tokenizer would and without one: by the pieces that byte pairs
 * are made within. Case, blanks between pieces and typographic quotes make no difference. */
#ifndef CPL_MODEL_SPELLING_H
#define CPL_MODEL_SPELLING_H

#include "../memory/error.h"

#define CPL_SPELLING_EDGE '\x1f' /* stands before, between and behind pieces; no text has it after the clean-up */

/* The pieces of a name, freed by the caller; "" where it has none. */
char *cpl_spelling(const char *name, cpl_error *error);
/* The pieces of a prompt line, its emphasis read: none reaches from one weight to another. */
char *cpl_prompt_spelling(const char *text, cpl_error *error);
/* Both as made above. */
bool cpl_spells(const char *text, const char *name);

#endif
