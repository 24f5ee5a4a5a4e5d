/* line_edit.h: one line of UTF-8 text being typed: cursor, erasing, words, and the part that fits a field. Pure. */
#ifndef TUI_LINE_EDIT_H
#define TUI_LINE_EDIT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct line_edit {
    char *text; /* owned, always valid UTF-8 without control characters */
    size_t length, room;
    size_t cursor; /* byte offset, on a character's first byte (combining marks stay with their base) */
    int scroll;    /* columns hidden on the left */
} line_edit;

bool line_edit_start(line_edit *edit, const char *text); /* cursor at the end */
void line_edit_clear(line_edit *edit);
/* Line breaks and tabs become blanks, other control characters and broken UTF-8 are left out. */
bool line_edit_insert(line_edit *edit, const char *text);
bool line_edit_insert_key(line_edit *edit, unsigned code_point);
void line_edit_move(line_edit *edit, int direction);
void line_edit_move_word(line_edit *edit, int direction);
void line_edit_move_end(line_edit *edit, int direction);
void line_edit_erase(line_edit *edit, int direction);
void line_edit_erase_word(line_edit *edit);
void line_edit_erase_line(line_edit *edit, int direction);
/* Scrolls so that the cursor is inside `columns`; returns the cursor's column in the field. The text from `scroll` on
 * is what to draw: *visible points to its first whole character, *lead is 1 where a wide one was cut in half. */
int line_edit_view(line_edit *edit, int columns, const char **visible, int *lead);

/* A row up or down of the text as it is wrapped at so many columns. False: there is none. */
bool line_edit_move_row(line_edit *edit, int columns, int direction);

/* Wraps at blanks, which stay at the end of their row, and inside of words that are longer than a row. starts: [room] byte
 * offsets of the rows, at least one; more rows than there is room for are left out. Returns how many there are. */
int text_wrap(const char *text, int columns, size_t *starts, int room);
/* The row that holds a byte offset, and its column there. */
int text_row_of(const char *text, const size_t *starts, int rows, size_t at, int *column);

/* Columns of UTF-8 text on the screen; invalid bytes count one each. */
int text_columns(const char *text);
/* How many bytes of `text` fit `columns`; *used (may be NULL) is the columns they take. */
size_t text_fit(const char *text, int columns, int *used);
/* The next character (at least one byte, 0 at the end) with the marks that combine with it and the emoji that are joined to
 * it; *columns its width. */
size_t text_next(const char *text, int *columns);
/* How many of its bytes to draw: of joined emoji the first, about whose width all terminals agree. */
size_t text_drawn(const char *text);

#endif
