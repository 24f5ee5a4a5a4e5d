/* compose.h: a text that asks for several pictures in one: "a AND b :0.5". */
#ifndef CPL_LAYOUT_COMPOSE_H
#define CPL_LAYOUT_COMPOSE_H

#include "../memory/error.h"

typedef struct cpl_part {
    char *text;
    double weight; /* 1 where none is given */
} cpl_part;
typedef struct cpl_parts {
    cpl_part *list; /* owned, [count], count >= 1 */
    int count;
} cpl_parts;

/* Splits at the word AND; each part may end with ": number". Blanks before the words stay, those behind them go. */
bool cpl_parts_read(const char *text, cpl_parts *parts, cpl_error *error);
void cpl_parts_clear(cpl_parts *parts);
/* Is AND one of its words? */
bool cpl_parts_any(const char *text);

#endif
