/* line_edit.c: typing into one line, and the measuring of text on screen that it rests on. Draws nothing. */
#include "line_edit.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* ---- Measuring ---- */

/* Decodes one code point, 0 bytes at the end. Invalid: one byte and U+FFFD, so that a walk always goes on. */
static size_t decode(const char *text, uint32_t *code) {
    const unsigned char *p = (const unsigned char *)text;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (!*p) return *code = 0, 0;
    if (*p < 0x80) return *code = *p, 1;
    size_t size = *p >= 0xf0 && *p < 0xf5 ? 4 : *p >= 0xe0 ? 3 : 2;
    *code = 0xfffd;
    if (*p < 0xc2 || *p >= 0xf5) return 1;
    uint32_t value = *p & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) return 1;
        value = value << 6 | (p[i] & 0x3fu);
    }
    if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 1;
    *code = value;
    return size;
}

static int code_columns(uint32_t code) {
    int width = wcwidth((wchar_t)code);
    return width < 0 ? 1 : width;
}

/* What terminals draw as one picture together with an emoji before it. They differ in how wide it is then: as the first one
 * alone, or as all of them side by side. */
static bool is_tone(uint32_t code) { return code >= 0x1f3fb && code <= 0x1f3ff; }
static bool is_symbol(uint32_t code) { return (code >= 0x2190 && code < 0x2e80) || code >= 0x1f000; }
enum { JOINER = 0x200d, TEXT_STYLE = 0xfe0e, EMOJI_STYLE = 0xfe0f };

/* `*drawn`: the bytes at the beginning that are as wide in every terminal. */
static size_t cluster(const char *text, int *columns, size_t *drawn) {
    uint32_t base, code, last;
    size_t size = decode(text, &base), more;
    *columns = size ? code_columns(base) : 0;
    *drawn = 0;
    for (last = base; size && (more = decode(text + size, &code)) && code != 0xfffd; size += more, last = code) {
        bool joined = is_symbol(base) && (is_tone(code) || (last == JOINER && is_symbol(code)));
        if (!joined && wcwidth((wchar_t)code) != 0) break;
        bool plain = !joined && code != TEXT_STYLE && code != EMOJI_STYLE && !(code == JOINER && is_symbol(base));
        if (!plain && !*drawn) *drawn = size;
    }
    if (!*drawn) *drawn = size;
    return size;
}

size_t text_next(const char *text, int *columns) {
    size_t drawn;
    return cluster(text, columns, &drawn);
}

size_t text_drawn(const char *text) {
    size_t drawn;
    int columns;
    cluster(text, &columns, &drawn);
    return drawn;
}

size_t text_fit(const char *text, int columns, int *used) {
    size_t bytes = 0;
    int total = 0, width;
    for (size_t size; (size = text_next(text + bytes, &width)) && total + width <= columns; bytes += size)
        total += width;
    if (used) *used = total;
    return bytes;
}

int text_columns(const char *text) {
    int total = 0, width;
    for (size_t size; (size = text_next(text, &width)); text += size) total += width;
    return total;
}

/* ---- Editing ---- */

static bool reserve(line_edit *edit, size_t more) {
    if (edit->length + more < edit->room) return true;
    size_t room = (edit->length + more + 1) * 2;
    char *text = realloc(edit->text, room);
    if (!text) return false;
    edit->text = text;
    edit->room = room;
    return true;
}

bool line_edit_start(line_edit *edit, const char *text) {
    line_edit_clear(edit);
    if (!reserve(edit, 64)) return false;
    edit->text[0] = '\0';
    return line_edit_insert(edit, text ? text : "");
}

void line_edit_clear(line_edit *edit) {
    free(edit->text);
    *edit = (line_edit){0};
}

bool line_edit_insert(line_edit *edit, const char *text) {
    if (!reserve(edit, strlen(text))) return false;
    uint32_t code;
    for (size_t size; (size = decode(text, &code)); text += size) {
        bool blank = code == '\n' || code == '\t' || code == '\r';
        bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
        /* U+FFFD written out is three bytes; one byte is the mark of something broken. */
        bool broken = code == 0xfffd && size == 1;
        if (!blank && (control || broken)) continue;
        size_t put = blank ? 1 : size;
        memmove(edit->text + edit->cursor + put, edit->text + edit->cursor, edit->length - edit->cursor + 1);
        memcpy(edit->text + edit->cursor, blank ? " " : text, put);
        edit->length += put;
        edit->cursor += put;
    }
    return true;
}

bool line_edit_insert_key(line_edit *edit, unsigned code) {
    char bytes[5] = {0};
    if (code < 0x80) {
        bytes[0] = (char)code;
    } else if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xe0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (code & 0x3f));
    } else {
        bytes[0] = (char)(0xf0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[3] = (char)(0x80 | (code & 0x3f));
    }
    return line_edit_insert(edit, bytes);
}

/* The start of the character before `at`. UTF-8 cannot be walked back over combining marks without knowing them, so
 * this walks forward from the line's start: lines are short. */
static size_t before(const line_edit *edit, size_t at) {
    size_t position = 0, last = 0;
    int width;
    while (position < at) {
        last = position;
        position += text_next(edit->text + position, &width);
    }
    return last;
}

static size_t after(const line_edit *edit, size_t at) {
    int width;
    return at + text_next(edit->text + at, &width);
}

void line_edit_move(line_edit *edit, int direction) {
    edit->cursor = direction < 0 ? before(edit, edit->cursor) : after(edit, edit->cursor);
}

static bool blank_before(const line_edit *edit) { return edit->text[edit->cursor - 1] == ' '; }

void line_edit_move_word(line_edit *edit, int direction) {
    if (direction < 0) {
        while (edit->cursor > 0 && blank_before(edit)) line_edit_move(edit, -1);
        while (edit->cursor > 0 && !blank_before(edit)) line_edit_move(edit, -1);
        return;
    }
    while (edit->text[edit->cursor] == ' ') line_edit_move(edit, 1);
    while (edit->cursor < edit->length && edit->text[edit->cursor] != ' ') line_edit_move(edit, 1);
}

void line_edit_move_end(line_edit *edit, int direction) { edit->cursor = direction < 0 ? 0 : edit->length; }

static void cut(line_edit *edit, size_t from, size_t to) {
    memmove(edit->text + from, edit->text + to, edit->length - to + 1);
    edit->length -= to - from;
    edit->cursor = from;
}

void line_edit_erase(line_edit *edit, int direction) {
    if (direction < 0)
        cut(edit, before(edit, edit->cursor), edit->cursor);
    else
        cut(edit, edit->cursor, after(edit, edit->cursor));
}

void line_edit_erase_word(line_edit *edit) {
    size_t end = edit->cursor;
    line_edit_move_word(edit, -1);
    cut(edit, edit->cursor, end);
}

void line_edit_erase_line(line_edit *edit, int direction) {
    if (direction < 0)
        cut(edit, 0, edit->cursor);
    else
        cut(edit, edit->cursor, edit->length);
}

int line_edit_view(line_edit *edit, int columns, const char **visible, int *lead) {
    int cursor = 0, width;
    for (size_t at = 0; at < edit->cursor; cursor += width) at += text_next(edit->text + at, &width);
    int under = 1;
    if (edit->cursor < edit->length) text_next(edit->text + edit->cursor, &under);
    if (cursor < edit->scroll) edit->scroll = cursor;
    if (cursor + under > edit->scroll + columns) edit->scroll = cursor + under - columns;
    /* After erasing do not leave the field half empty while text is hidden on the left. */
    int total = text_columns(edit->text) + 1;
    if (edit->scroll > 0 && total - edit->scroll < columns) edit->scroll = total > columns ? total - columns : 0;
    const char *p = edit->text;
    int skipped = 0;
    while (skipped < edit->scroll) {
        size_t size = text_next(p, &width);
        if (!size) break;
        p += size;
        skipped += width;
    }
    *visible = p;
    *lead = skipped - edit->scroll;
    return cursor - edit->scroll;
}

/* ---- Wrapped ---- */

/* Bytes of the row that begins at `text`. */
static size_t row_size(const char *text, int columns) {
    size_t fits = text_fit(text, columns, NULL), size = fits;
    if (!text[fits]) return fits;
    /* One blank may hang over: it is not seen. */
    if (text[fits] == ' ') return fits + 1;
    while (size && text[size - 1] != ' ') size--;
    if (size) return size;
    int width;
    return fits ? fits : text_next(text, &width);
}

int text_wrap(const char *text, int columns, size_t *starts, int room) {
    int rows = 0;
    size_t at = 0;
    do {
        if (rows < room) starts[rows++] = at;
        size_t size = row_size(text + at, columns > 0 ? columns : 1);
        at += size;
    } while (text[at] && rows < room);
    return rows;
}

int text_row_of(const char *text, const size_t *starts, int rows, size_t at, int *column) {
    int row = 0, width;
    while (row + 1 < rows && starts[row + 1] <= at) row++;
    *column = 0;
    for (size_t i = starts[row]; i < at; *column += width) i += text_next(text + i, &width);
    return row;
}

enum { MOST_ROWS = 512 };

bool line_edit_move_row(line_edit *edit, int columns, int direction) {
    size_t starts[MOST_ROWS];
    int rows = text_wrap(edit->text, columns, starts, MOST_ROWS), column, used = 0, width;
    int row = text_row_of(edit->text, starts, rows, edit->cursor, &column) + direction;
    if (row < 0 || row >= rows) return false;
    size_t at = starts[row], end = row + 1 < rows ? starts[row + 1] : edit->length;
    for (size_t size; at < end && (size = text_next(edit->text + at, &width)) && used + width <= column;
         used += width) {
        /* The last place of a row that goes on is the first of the next one. */
        if (at + size >= end && row + 1 < rows) break;
        at += size;
    }
    edit->cursor = at;
    return true;
}
