/* editor_lists.c: the lists that open over the panes: keys and commands, messages. Each is made anew for a
 * frame, so that it is never old, and scrolls alike. */
#include "editor_ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEFT 20 /* columns of the names */
#define WIDEST 100

typedef struct line {
    bool heading;
    char *left, *right; /* owned; NULL: nothing */
} line;

typedef struct lines {
    line *line;
    int count, room;
    int columns; /* for the right side */
} lines;

static void clear(lines *l) {
    for (int i = 0; i < l->count; i++) {
        free(l->line[i].left);
        free(l->line[i].right);
    }
    free(l->line);
    *l = (lines){0};
}

static void add(lines *l, bool heading, const char *left, const char *right, size_t right_size) {
    if (l->count == l->room) {
        int room = l->room ? l->room * 2 : 128;
        line *more = realloc(l->line, sizeof *more * (size_t)room);
        if (!more) return;
        l->line = more;
        l->room = room;
    }
    l->line[l->count++] = (line){heading, left ? strdup(left) : NULL, right ? strndup(right, right_size) : NULL};
}

/* How much of `text` goes on a line: whole words, unless one is longer than the line. */
static size_t line_of(const char *text, int columns) {
    size_t fits = text_fit(text, columns, NULL), word = fits;
    if (!text[fits] || text[fits] == ' ') return fits;
    while (word > 0 && text[word] != ' ') word--;
    return word ? word : fits ? fits : strlen(text);
}

/* A long text goes on in the next lines, and begins there behind a name that is too long for its column. */
static void add_text(lines *l, const char *left, const char *text) {
    if (left && text_columns(left) > LEFT) {
        add(l, false, left, NULL, 0);
        left = NULL;
    }
    do {
        size_t size = line_of(text, l->columns);
        add(l, false, left, text, size);
        left = NULL;
        text += size;
        text += strspn(text, " ");
    } while (*text);
}

static void add_heading(lines *l, const char *text) {
    if (l->count) add(l, false, NULL, NULL, 0);
    add(l, true, text, NULL, 0);
}

/* ---- Keys and commands ---- */

static void list_keys(lines *l) {
    int count;
    const key_binding *table = keys_table(&count);
    for (int i = 0; i < count; i++) {
        if (!i || strcmp(table[i].group, table[i - 1].group) != 0) add_heading(l, table[i].group);
        add_text(l, table[i].keys, table[i].description);
    }
}

static void list_commands(lines *l) {
    int count;
    const ex_command *table = ex_table(&count);
    for (int i = 0; i < count; i++) {
        char left[64];
        if (!i || strcmp(table[i].group, table[i - 1].group) != 0) add_heading(l, table[i].group);
        snprintf(left, sizeof left, ":%s%s%s%s%s", table[i].alias ? table[i].alias : table[i].name,
                 table[i].alias ? " :" : "", table[i].alias ? table[i].name : "", *table[i].argument ? " " : "",
                 table[i].argument);
        add_text(l, left, table[i].description);
    }
}

/* ---- Messages ---- */

static void list_messages(const editor *e, lines *l) {
    if (!e->said_count) add_text(l, NULL, "nothing was said so far");
    for (int i = 0; i < e->said_count; i++) {
        const said_line *s = &e->said[(e->said_first + i) % SAID];
        add_text(l, s->tone == TONE_ERROR ? "error" : s->tone == TONE_WARNING ? "warning" : "", s->text);
    }
}

/* ---- What the text encoder gets ---- */

static void add_words(void *to, const char *heading, const char *left, const char *text) {
    lines *l = to;
    if (heading)
        add_heading(l, heading);
    else
        add_text(l, left, text);
}

/* Where the selected row's heading stands. */
static int seek(const editor *e, const lines *l) {
    int heading = 0;
    for (int i = 0; i < l->count; i++)
        if (l->line[i].heading && heading++ == e->state.selected) return i;
    return 0;
}

/* ---- To choose from ---- */

/* One line each, so that the chosen one is found by its number. */
static void list_choices(const editor *e, lines *l) {
    static const char *const nothing[] = {[LIST_RECENT] = "no other layout was edited before",
                                          [LIST_PRESETS] = "none yet: \":preset save NAME\" makes one"};
    if (!e->choices.count) add_text(l, NULL, nothing[e->list]);
    for (int i = 0; i < e->choices.count; i++)
        add(l, false, e->choices.list[i].name, e->choices.list[i].note, strlen(e->choices.list[i].note));
}

/* ---- The list on the screen ---- */

static int width_of(const editor *e) { return e->windows.columns < WIDEST + 4 ? e->windows.columns - 4 : WIDEST; }
static int page_of(const editor *e) { return e->windows.rows - 6; }

static void fill(const editor *e, lines *l) {
    *l = (lines){.columns = width_of(e) - 4 - LEFT - 3};
    if (e->list == LIST_HELP) {
        list_keys(l);
        list_commands(l);
    } else if (e->list == LIST_MESSAGES) {
        list_messages(e, l);
    } else if (e->list == LIST_WORDS) {
        editor_list_words(e, l, add_words);
    } else {
        list_choices(e, l);
    }
}

void editor_close_list(editor *e) {
    e->list = LIST_NONE;
    editor_choices_clear(&e->choices);
}

void editor_open_list(editor *e, list_kind which) {
    e->list = which;
    e->list_seeks = which == LIST_WORDS;
    /* The newest message is the last. */
    e->list_top = which == LIST_MESSAGES ? 1 << 20 : 0;
    e->changed = true;
}

void editor_scroll_list(editor *e, int count, bool pages) { e->list_top += count * (pages ? page_of(e) - 1 : 1); }

static void draw_line(const editor *e, const line *l, bool chosen, int row, int column, int columns) {
    int left = l->right ? LEFT : columns;
    if (l->left)
        draw_text(&e->theme, row, column + (l->heading ? 0 : 2), left,
                  theme_ink(&e->theme, l->heading ? STYLE_TITLE_FOCUS
                                       : chosen   ? STYLE_CURSOR
                                                  : STYLE_KEY),
                  l->left);
    if (chosen)
        draw_glyph(&e->theme, row, column, theme_ink(&e->theme, STYLE_STRONG), theme_glyph(&e->theme, GLYPH_POINTER));
    if (l->right)
        draw_text(&e->theme, row, column + 3 + LEFT, columns - 3 - LEFT, theme_ink(&e->theme, STYLE_TEXT), l->right);
}

void editor_draw_scroll(const editor *e, window w, int first, int shown, int count) {
    char where[48];
    snprintf(where, sizeof where, " %d-%d of %d ", first + 1, first + shown, count);
    draw_text(&e->theme, w.row + w.rows - 1, w.column + w.columns - 2 - text_columns(where), w.columns,
              theme_ink(&e->theme, STYLE_TITLE), where);
}

void editor_draw_list(editor *e) {
    static const char *const titles[] = {[LIST_HELP] = " Keys of couplet ",
                                         [LIST_MESSAGES] = " Messages ",
                                         [LIST_RECENT] = " Layouts edited last ",
                                         [LIST_PRESETS] = " Presets ",
                                         [LIST_WORDS] = " What the text encoder gets "};
    bool choosing = e->choices.count > 0;
    int width = width_of(e), page = page_of(e), top = 2, left = (e->windows.columns - width) / 2;
    lines l;
    if (e->list == LIST_STATS) {
        editor_draw_stats(e);
        return;
    }
    fill(e, &l);
    if (e->list_seeks) e->list_top = seek(e, &l), e->list_seeks = false;
    /* Short lists take no more room than they need. */
    if (l.count < page) page = l.count > 0 ? l.count : 1;
    if (choosing && e->choices.at < e->list_top) e->list_top = e->choices.at;
    if (choosing && e->choices.at >= e->list_top + page) e->list_top = e->choices.at - page + 1;
    if (e->list_top > l.count - page) e->list_top = l.count - page;
    if (e->list_top < 0) e->list_top = 0;
    e->list_cells = (window){top + 1, left + 2, page, width - 4};
    draw_fill(top, left - 1, page + 2, width + 2, theme_ink(&e->theme, STYLE_TEXT));
    draw_frame(&e->theme, top, left, page + 2, width, true);
    draw_text(&e->theme, top, left + 2, width - 4, theme_ink(&e->theme, STYLE_TITLE_FOCUS), titles[e->list]);
    if (l.count > page) editor_draw_scroll(e, (window){top, left, page + 2, width}, e->list_top, page, l.count);
    for (int i = 0; i < page && e->list_top + i < l.count; i++)
        draw_line(e, &l.line[e->list_top + i], choosing && e->list_top + i == e->choices.at, top + 1 + i, left + 2,
                  width - 4);
    clear(&l);
}
