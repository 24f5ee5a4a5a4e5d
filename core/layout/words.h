/* words.h: plain operations on prompt texts. */
#ifndef CPL_LAYOUT_WORDS_H
#define CPL_LAYOUT_WORDS_H

#include "../memory/error.h"

/* Prompts of one layout together, before and after common prompts are put in: beyond it something is wrong. */
#define CPL_MAX_PROMPT_BYTES 65536
#define CPL_MAX_RESOLVED_BYTES 1048576

/* Cuts white space off both ends, in place: Unicode's, as Python's str.strip does. Returns text. */
char *cpl_strip(char *text);
bool cpl_is_blank(const char *text);
/* The first control character (C0, DEL, C1) that is not white space to cpl_strip, or 0. text may be NULL. */
unsigned cpl_control_in(const char *text);
/* Every occurrence of `what` (not empty), left to right without overlap. *text is owned and exchanged. */
bool cpl_replace_all(char **text, const char *what, const char *with, cpl_error *error);

/* Forge Couple's common prompts over `count` texts: definitions are collected over all of them, uses are put in. A
 * bracket never reaches from one text into the next. */
bool cpl_common_expand(char **texts, int count, cpl_brackets brackets, bool definitions, cpl_error *error);

#endif
