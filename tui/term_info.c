/* term_info.c: what terminfo says about a terminal, read without ncurses' screen. Apart because <term.h> defines macros
 * with everyday names (columns, lines). */
#include <ncurses.h>
#include <term.h>

#include "term_info.h"

#include <stdint.h>
#include <string.h>

static void append(char *out, size_t size, const char *capability) {
    const char *text = tigetstr(capability);
    if (!text || (intptr_t)text == -1) return; /* -1: not a string capability */
    /* Padding such as $<5> is for hardware of another age; a crash handler cannot wait for it. */
    size_t used = strlen(out);
    for (; *text && used + 1 < size; text++) {
        const char *end = text[0] == '$' && text[1] == '<' ? strchr(text, '>') : NULL;
        if (end) {
            text = end;
        } else {
            out[used++] = *text;
        }
    }
    out[used] = 0;
}

void term_info_read(const char *name, term_info *info) {
    *info = (term_info){0};
    int status = 0;
    TERMINAL *before = cur_term;
    if (!name || setupterm(name, 1, &status) == ERR) return;
    info->colors = tigetnum("colors");
    if (info->colors < 0) info->colors = 0;
    const char *address = tigetstr("cup");
    info->known = address && (intptr_t)address != -1;
    append(info->leave, sizeof info->leave, "sgr0");
    append(info->leave, sizeof info->leave, "op");
    append(info->leave, sizeof info->leave, "rmkx");
    append(info->leave, sizeof info->leave, "cnorm");
    append(info->leave, sizeof info->leave, "rmcup");
    TERMINAL *mine = set_curterm(before);
    if (mine) del_curterm(mine);
}
