/* windows.h: where everything stands on the screen: a pure function of the terminal's size and the view. */
#ifndef TUI_WINDOWS_H
#define TUI_WINDOWS_H

#include <stdbool.h>

#define WINDOWS_MIN_ROWS 16 /* with less of either, only a card that says so */
#define WINDOWS_MIN_COLUMNS 61
#define WINDOWS_SPLIT_COLUMNS 76 /* from here on canvas and picture stand side by side */

typedef struct window {
    int row, column, rows, columns;
} window; /* cells from 0; rows 0: not shown */

typedef enum screen_view { VIEW_BOTH, VIEW_CANVAS, VIEW_PICTURE } screen_view;

typedef struct windows {
    int rows, columns;      /* of the terminal */
    bool card;              /* too small: nothing else is shown */
    screen_view view;       /* what is really shown: VIEW_BOTH may have become VIEW_CANVAS */
    window top;             /* program, file, mode, model, revision */
    window canvas, picture; /* with their frames */
    window table;           /* with its frame and header */
    window settings;        /* settings and progress */
    window status;          /* the last line: message or key hints; no picture ever touches it */
} windows;

windows windows_arrange(int rows, int columns, screen_view wanted, int regions);
window windows_inside(window framed); /* without the frame */
bool windows_contain(window w, int row, int column);

#endif
