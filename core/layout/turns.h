/* turns.h: texts that change during a run: [from:to:when], [to:when], [from::when] and [a|b] (golden/engine/FORMAT.md
 * section 2). Text to texts; what is made of them is the session's. */
#ifndef CPL_LAYOUT_TURNS_H
#define CPL_LAYOUT_TURNS_H

#include "../memory/error.h"

typedef struct cpl_turn {
    int last; /* step of the schedule, from 1, at which the text ends */
    char *text;
} cpl_turn;
typedef struct cpl_turns {
    cpl_turn *list; /* owned, [count], count >= 1; the last one's `last` is the number of steps */
    int count;
} cpl_turns;

/* The texts of a run of `steps`, in their order; neighbours may be equal. In a pass that comes after one of `steps_before`
 * steps, times go on from there: numbers of steps count from the first pass, shares from 1. Text that does not follow the
 * syntax stays as it is. */
bool cpl_turns_read(const char *text, int steps, int steps_before, cpl_turns *turns, cpl_error *error);
/* One text for all steps. */
bool cpl_turns_keep(const char *text, int steps, cpl_turns *turns, cpl_error *error);
void cpl_turns_clear(cpl_turns *turns);
/* Which text a call of the model (from 0) gets. As in the original a text is still given to the call *after* its last step,
 * since calls are counted from 0 and steps from 1. */
int cpl_turns_at(const cpl_turns *turns, int call);

#endif
