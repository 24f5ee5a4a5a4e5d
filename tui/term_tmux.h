/* term_tmux.h: what tmux does with pictures, asked of tmux itself: it says that it has sixel, whoever looks on. */
#ifndef TUI_TERM_TMUX_H
#define TUI_TERM_TMUX_H

#include <stdbool.h>

/* Whether every terminal that shows this pane's session has sixel, by what tmux knows of it. False too where tmux does not answer
 * within TERM_TMUX_MS, or nobody looks on. Runs the program tmux. */
bool term_tmux_shows_sixel(void);

#define TERM_TMUX_MS 500

#endif
