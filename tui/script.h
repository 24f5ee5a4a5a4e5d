/* script.h: key scripts (`couplet --keys FILE`): keys, text, mouse and commands from a file, as if a user typed them. The
 * whole file is read and checked before the editor starts. Knows nothing of the editor.
 *
 *     # a line that begins with "#" is a comment
 *     :wait synced                commands, with their ":"
 *     ] 5 l Ctrl-R dd Enter       keys, by the names of the help screen
 *     "a cat, night sky" Enter    text
 *     click 10 5                  mouse: click, double, drag C R C R, wheel up|down; column and row from 0;
 *                                 right-drag C R C R is a drag with the right button
 *     paste "two\nlines"          as the terminal's paste
 */
#ifndef TUI_SCRIPT_H
#define TUI_SCRIPT_H

#include "../core/couplet.h"
#include "keys.h"

typedef enum script_kind {
    SCRIPT_KEY,
    SCRIPT_COMMAND,
    SCRIPT_CLICK,
    SCRIPT_DOUBLE,
    SCRIPT_DRAG,
    SCRIPT_RIGHT_DRAG,
    SCRIPT_WHEEL,
    SCRIPT_PASTE
} script_kind;

typedef struct script_step {
    script_kind kind;
    key_press press;
    int at[4];  /* column, row, and of a drag the end; of a wheel -1 (up) or 1 */
    char *text; /* owned by the script */
} script_step;

typedef enum script_state {
    SCRIPT_RUNNING,
    SCRIPT_SYNCED,
    SCRIPT_DONE
} script_state; /* the last two: waiting for that */

typedef struct script script;
script *script_open(const char *path, cpl_error *error);
script *script_parse(const char *text, const char *name, cpl_error *error);
void script_free(script *s);
const script_step *script_next(script *s); /* NULL: it has ended */
bool script_ended(const script *s);
void script_wait(script *s, script_state until);
script_state script_waits(const script *s);

#endif
