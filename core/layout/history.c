/* history.c: undo steps as whole layouts. Masks are shared between them, so that a step costs what its rows cost. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

enum { MAX_STEPS = 1000 };

struct cpl_history {
    cpl_layout **state; /* owned, count of them */
    int count, room;
    int current;
};

cpl_history *cpl_history_new(const cpl_layout *first, cpl_error *error) {
    cpl_history *history = cpl_alloc(1, sizeof *history, error);
    if (!history) return NULL;
    history->current = -1;
    if (cpl_history_push(history, first, error)) return history;
    cpl_history_free(history);
    return NULL;
}

void cpl_history_free(cpl_history *history) {
    if (!history) return;
    for (int i = 0; i < history->count; i++) cpl_layout_free(history->state[i]);
    free(history->state);
    free(history);
}

bool cpl_history_push(cpl_history *history, const cpl_layout *layout, cpl_error *error) {
    if (history->current >= 0 && cpl_layout_equal(history->state[history->current], layout)) return true;
    int at = history->current + 1;
    if (!cpl_grow((void **)&history->state, &history->room, at + 1, sizeof(void *), error)) return false;
    cpl_layout *copy = cpl_layout_copy(layout, error);
    if (!copy) return false;
    for (int i = at; i < history->count; i++) cpl_layout_free(history->state[i]); /* what was undone is gone now */
    history->state[at] = copy;
    history->count = at + 1;
    history->current = at;
    if (history->count > MAX_STEPS + 1) {
        cpl_layout_free(history->state[0]);
        memmove(history->state, history->state + 1, (size_t)--history->count * sizeof(void *));
        history->current--;
    }
    return true;
}

const cpl_layout *cpl_history_undo(cpl_history *history) {
    return history->current > 0 ? history->state[--history->current] : NULL;
}

const cpl_layout *cpl_history_redo(cpl_history *history) {
    return history->current + 1 < history->count ? history->state[++history->current] : NULL;
}
