/* editor_draw_bars.c: the line above the panes and the two below: file and core, settings and progress, message or key
 * hints. What does not fit is left out by importance, never cut in the middle. */
#include "editor_ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Top line ---- */

enum { NAME_COLUMNS = 100 };

typedef struct segment {
    char text[NAME_COLUMNS * 4 + 16];
    style style;
    int importance;
    bool right;
} segment;

static const char *file_name(const editor *e) {
    const char *slash = e->path ? strrchr(e->path, '/') : NULL;
    return !e->path ? "(no name)" : slash ? slash + 1 : e->path;
}

/* Half of the line at most: what is not valid or not saved must not go for it. */
static void name_text(const editor *e, segment *s) {
    char *name = term_safe(file_name(e));
    int most = e->windows.columns / 2;
    if (most > NAME_COLUMNS) most = NAME_COLUMNS;
    bool whole = !name || text_columns(name) <= most;
    size_t bytes = !name ? 0 : whole ? strlen(name) : text_fit(name, most - 1, NULL);
    snprintf(s->text, sizeof s->text, "%.*s%s%s", (int)bytes, name ? name : "",
             whole ? "" : theme_glyph(&e->theme, GLYPH_MORE), e->state.dirty ? " [+]" : "");
    free(name);
}

static const char *mode_text(const cpl_layout *layout) {
    if (layout->mode == CPL_MODE_BASIC) return layout->direction == CPL_HORIZONTAL ? "basic columns" : "basic rows";
    return layout->mode == CPL_MODE_MASK ? "mask" : "advanced";
}

static void sync_text(const editor *e, segment *s) {
    const core_status *core = &e->core;
    s->style = STYLE_BAR_WARNING;
    if (core->loading[0])
        snprintf(s->text, sizeof s->text, "loading %s", core->loading);
    else if (core->invalid)
        snprintf(s->text, sizeof s->text, "r%llu not valid", (unsigned long long)core->revision),
            s->style = STYLE_BAR_BAD;
    else if (core->synced == core->revision)
        snprintf(s->text, sizeof s->text, "r%llu synced", (unsigned long long)core->revision),
            s->style = STYLE_BAR_GOOD;
    else
        snprintf(s->text, sizeof s->text, "r%llu syncing", (unsigned long long)core->revision);
}

static int fill_segments(const editor *e, segment *s) {
    const cpl_layout *layout = e->state.layout;
    int n = 0, covered = (int)(100 * e->state.coverage);
    s[n++] = (segment){"couplet", STYLE_BAR_STRONG, 3, false};
    s[n] = (segment){"", STYLE_BAR_STRONG, 9, false};
    name_text(e, &s[n++]);
    s[n] = (segment){"", STYLE_BAR, 6, false};
    snprintf(s[n++].text, sizeof s->text, "%s", mode_text(layout));
    s[n] = (segment){"", STYLE_BAR, 4, false};
    snprintf(s[n++].text, sizeof s->text, "%d region%s", e->state.count, e->state.count == 1 ? "" : "s");
    bool hole = covered < 100 && layout->uncovered == CPL_UNCOVERED_ERROR;
    s[n] = (segment){"", hole ? STYLE_BAR_WARNING : STYLE_BAR, 7, false};
    snprintf(s[n++].text, sizeof s->text, "covered %d %%", covered);
    s[n] = (segment){"", STYLE_BAR, 5, true};
    snprintf(s[n++].text, sizeof s->text, "%s", e->core.model[0] ? e->core.model : "");
    s[n] = (segment){"", STYLE_BAR, 2, true};
    snprintf(s[n++].text, sizeof s->text, "%s", e->core.backend);
    s[n] = (segment){"", STYLE_BAR, 8, true};
    sync_text(e, &s[n++]);
    if (e->live) s[n++] = (segment){"live", STYLE_BAR_STRONG, 8, true};
    return n;
}

/* Two blanks between neighbours, one at each end. */
static int needed(const segment *s, int count) {
    int columns = 0;
    for (int i = 0; i < count; i++)
        if (s[i].text[0]) columns += text_columns(s[i].text) + 2;
    return columns;
}

static void drop_least(segment *s, int count) {
    segment *least = NULL;
    for (int i = 0; i < count; i++)
        if (s[i].text[0] && (!least || s[i].importance < least->importance)) least = &s[i];
    if (least) least->text[0] = '\0';
}

void editor_draw_top(editor *e) {
    window w = e->windows.top;
    segment s[10];
    int count = fill_segments(e, s);
    while (needed(s, count) > w.columns) drop_least(s, count);
    draw_fill(w.row, w.column, 1, w.columns, theme_ink(&e->theme, STYLE_BAR));
    int left = w.column + 1, right = w.column + w.columns - 1;
    for (int i = 0; i < count; i++)
        if (s[i].right && s[i].text[0]) right -= text_columns(s[i].text) + 2;
    right += 2;
    for (int i = 0; i < count; i++) {
        if (!s[i].text[0]) continue;
        int *at = s[i].right ? &right : &left;
        *at += draw_text(&e->theme, w.row, *at, w.columns, theme_ink(&e->theme, s[i].style), s[i].text) + 2;
    }
}

/* ---- Settings and progress ---- */

/* Names and samplers speak for themselves; numbers need a word before them. */
static const char *label_of(setting which) {
    bool bare = which == SETTING_SIZE || which == SETTING_SAMPLER || which == SETTING_SCHEDULE;
    return bare ? "" : state_setting_name(which);
}

static int progress_columns(const editor *e) { return e->windows.columns >= 100 ? 36 : 26; }

void editor_settings_fields(const editor *e, field fields[SETTINGS_SHOWN]) {
    int at = 1, room = e->windows.columns - progress_columns(e);
    for (int i = 0; i < SETTINGS_SHOWN; i++) {
        char text[STATE_TEXT];
        state_setting_text(&e->state, (setting)i, text);
        bool typed = e->typing == TYPING_SETTING && (setting)i == e->state.setting;
        int label = text_columns(label_of((setting)i)), value = text_columns(text),
            least = i == SETTING_NEGATIVE ? 24 : 10;
        if (!value) value = 1;
        if (typed && value < least) value = least;
        if (typed && text_columns(e->line.text) >= value) value = text_columns(e->line.text) + 1;
        int width = label + (label ? 1 : 0) + value, most = room - at - 1;
        if (i == SETTING_NEGATIVE && width > most && most >= label + 5) width = most;
        /* The chosen field is always there, over the progress if need be. */
        bool chosen = e->focus == PANE_SETTINGS && (setting)i == e->state.setting;
        if (chosen && width > most)
            width = most = width < e->windows.columns - at - 1 ? width : e->windows.columns - at - 1;
        fields[i] = width > most ? (field){0, 0, 0} : (field){at, width, at + label + (label ? 1 : 0)};
        if (fields[i].width) at += width + 2;
    }
}

static void draw_field(editor *e, setting which, const field *f) {
    window w = e->windows.settings;
    if (!f->width) return;
    int value_columns = f->at + f->width - f->value_at;
    draw_text(&e->theme, w.row, f->at, f->value_at - f->at, theme_ink(&e->theme, STYLE_DIM), label_of(which));
    bool chosen = e->focus == PANE_SETTINGS && which == e->state.setting;
    if (chosen && e->typing == TYPING_SETTING) {
        editor_draw_typing(e, w.row, f->value_at, value_columns);
        return;
    }
    char text[STATE_TEXT];
    state_setting_text(&e->state, which, text);
    const char *shown = which == SETTING_NEGATIVE && e->state.layout->negative ? e->state.layout->negative : text;
    ink with = theme_ink(&e->theme, chosen ? STYLE_CURSOR : STYLE_TEXT);
    if (chosen) draw_fill(w.row, f->value_at, 1, value_columns, with);
    draw_text(&e->theme, w.row, f->value_at, value_columns, with, *shown ? shown : "-");
}

static void draw_bar(const editor *e, int row, int column, int columns, double part) {
    int full = (int)(part * columns + 0.5);
    for (int i = 0; i < columns; i++) {
        bool on = i < full;
        draw_glyph(&e->theme, row, column + i, theme_ink(&e->theme, on ? STYLE_PROGRESS : STYLE_PROGRESS_REST),
                   theme_glyph(&e->theme, on ? GLYPH_FULL : GLYPH_EMPTY));
    }
}

static void draw_progress(const editor *e, int left) {
    const core_status *core = &e->core;
    window w = e->windows.settings;
    char before[48] = "", after[32] = "";
    style with = STYLE_TEXT;
    bool bar = false;
    double part = core->steps ? (double)core->step / core->steps : 0;
    if (core->loading[0]) {
        snprintf(before, sizeof before, "loading %.30s ", core->loading);
        snprintf(after, sizeof after, " %3d %%", (int)(100 * core->fraction));
        bar = true;
        part = core->fraction;
    } else if (core->running) {
        snprintf(before, sizeof before, "step %d/%d ", core->step, core->steps);
        snprintf(after, sizeof after, " %.1f s", (double)(editor_clock_ms() - core->started_ms) / 1000);
        bar = true;
    } else if (core->requested) {
        snprintf(before, sizeof before, "starting");
    } else if (core->failed) {
        snprintf(before, sizeof before, "failed"), with = STYLE_WARNING;
    } else if (core->cancelled) {
        snprintf(before, sizeof before, "cancelled at step %d", core->step), with = STYLE_WARNING;
    } else if (core->done) {
        snprintf(before, sizeof before, "done %.1f s", core->ms / 1000), with = STYLE_GOOD;
    }
    int columns = text_columns(before) + text_columns(after), room = w.columns - 1 - left;
    int bar_columns = bar ? room - columns : 0;
    if (bar_columns > 20) bar_columns = 20;
    if (bar_columns < 4) bar_columns = 0;
    int at = w.columns - 1 - columns - bar_columns;
    if (at < left) return;
    at += draw_text(&e->theme, w.row, at, w.columns - at, theme_ink(&e->theme, with), before);
    draw_bar(e, w.row, at, bar_columns, part);
    draw_text(&e->theme, w.row, at + bar_columns, w.columns - at - bar_columns, theme_ink(&e->theme, with), after);
}

void editor_draw_settings(editor *e) {
    field fields[SETTINGS_SHOWN];
    editor_settings_fields(e, fields);
    int left = 0;
    for (int i = 0; i < SETTINGS_SHOWN; i++) {
        draw_field(e, (setting)i, &fields[i]);
        if (fields[i].width) left = fields[i].at + fields[i].width + 1;
    }
    draw_progress(e, left);
}

/* ---- Status line ---- */

static const char *badge(const editor *e) {
    if (e->asking) return " QUIT ";
    if (e->recovering) return " RECOVER ";
    static const char *const lists[] = {
        [LIST_HELP] = " HELP ",     [LIST_MESSAGES] = " MESSAGES ", [LIST_STATS] = " STATS ",
        [LIST_RECENT] = " RECENT ", [LIST_PRESETS] = " PRESETS ",   [LIST_WORDS] = " WORDS "};
    if (e->list) return lists[e->list];
    if (e->typing == TYPING_CELL || e->typing == TYPING_SETTING) return " EDIT ";
    return e->focus == PANE_TABLE ? " TABLE " : e->focus == PANE_SETTINGS ? " SETTINGS " : " NORMAL ";
}

/* The hints of a context from the key table; "? help" always has a place. */
static void draw_hints(const editor *e, int row, int column, int columns) {
    int count, at = column, end = column + columns;
    const key_binding *table = keys_table(&count);
    key_context context = editor_context(e);
    for (int i = 0; i < count; i++) {
        const key_binding *b = &table[i];
        bool here = b->context == context || (context < KEYS_TYPING && b->context == KEYS_ALL);
        if (b->action == ACTION_CHOICE_RENAME && e->list != LIST_PRESETS) continue; /* files keep their names */
        if (!b->hint || !here) continue;
        int width = text_columns(b->hint), reserve = b->action == ACTION_HELP || context >= KEYS_TYPING ? 0 : 8;
        if (at + width + reserve > end) continue;
        const char *word = strrchr(b->hint, ' ');
        size_t key = b->context == KEYS_TYPING ? strcspn(b->hint, " ")
                     : word                    ? (size_t)(word - b->hint)
                                               : strlen(b->hint);
        int used = draw_format(&e->theme, row, at, width, theme_ink(&e->theme, STYLE_KEY), "%.*s", (int)key, b->hint);
        draw_text(&e->theme, row, at + used, width - used, theme_ink(&e->theme, STYLE_DIM), b->hint + key);
        at += width + 2;
    }
}

static int draw_prompt(editor *e, int row, int column, int columns) {
    static const char *const before[] = {[TYPING_COMMAND] = ":",
                                         [TYPING_SAVE_AS] = "save as: ",
                                         [TYPING_PNG] = "write the picture to: ",
                                         [TYPING_RENAME] = "rename to: "};
    const char *text = before[e->typing];
    int used = draw_text(&e->theme, row, column, columns, theme_ink(&e->theme, STYLE_KEY), text);
    editor_draw_typing(e, row, column + used, columns - used - 1);
    return columns;
}

static bool draw_row_warning(const editor *e, int row, int column, int columns) {
    char text[256];
    bool bad = false;
    const char *warning =
        e->state.selected >= 0 ? editor_row_warning(e, e->state.selected, &bad, text, sizeof text) : NULL;
    const cpl_error *fault = editor_fault(e);
    /* Of no row; holes are told by the canvas' title. */
    bool general = !warning && fault && fault->row < 0 && strcmp(fault->path, "regions") != 0;
    if (!warning && !general) return false;
    /* The way to the help gives place only to the end of a sentence that would be cut, and other keys come if there is
     * room for some of them. */
    const int help = 8, keys = 44;
    char told[300];
    if (general)
        snprintf(told, sizeof told, "%s %.290s", theme_glyph(&e->theme, GLYPH_WARNING), fault->message);
    else
        snprintf(told, sizeof told, "%s row %d: %s", theme_glyph(&e->theme, GLYPH_WARNING), e->state.selected + 1,
                 warning);
    bad |= general;
    int whole = text_columns(told), room = whole <= columns ? columns : columns - help - 2;
    draw_text(&e->theme, row, column, room, theme_ink(&e->theme, bad ? STYLE_ERROR : STYLE_WARNING), told);
    if (columns - whole - 2 >= keys) {
        draw_hints(e, row, column + whole + 2, columns - whole - 2);
    } else if (room < columns || columns - whole - 2 >= help) {
        int at = column + columns - help;
        at += draw_text(&e->theme, row, at, help, theme_ink(&e->theme, STYLE_KEY), "?");
        draw_text(&e->theme, row, at, help - 1, theme_ink(&e->theme, STYLE_DIM), " help");
    }
    return true;
}

/* As many lines as the text needs, the last of them at `bottom`; what goes beyond `most` is cut. */
static void draw_lines(const editor *e, int bottom, int most, ink with, const char *text) {
    size_t starts[16];
    window w = e->windows.status;
    int columns = w.columns - 2, count = text_wrap(text, columns, starts, sizeof starts / sizeof starts[0]);
    if (count > most) count = most;
    for (int i = 0; i < count; i++) {
        int row = bottom - (count - 1 - i);
        size_t end = i + 1 < count ? starts[i + 1] : strlen(text);
        if (i + 1 < count && text[end - 1] == ' ') end--;
        draw_fill(row, 0, 1, w.columns, with);
        draw_format(&e->theme, row, 1, columns, with, "%.*s", (int)(end - starts[i]), text + starts[i]);
    }
}

/* Until the next key a long message goes on over the settings and the table, but not over a cell that is being typed. No
 * picture is ever there. */
static int message_rows(const editor *e) { return e->typing == TYPING_CELL ? 2 : 2 + e->windows.table.rows; }

static void draw_error(const editor *e) {
    draw_lines(e, e->windows.status.row, message_rows(e), theme_ink(&e->theme, STYLE_ERROR), e->message);
}

/* Above the line that is being typed: what there is to say about it. */
static void draw_note(const editor *e) {
    window w = e->windows.settings;
    if (e->tone != TONE_NONE)
        draw_lines(e, w.row, message_rows(e) - 1,
                   theme_ink(&e->theme, e->tone == TONE_ERROR ? STYLE_ERROR : STYLE_TEXT), e->message);
    else
        editor_draw_completion(e);
}

/* What is wrong with the value as far as it is typed. */
static bool draw_refusal(const editor *e, int row, int column, int columns) {
    cpl_error error = {0};
    bool takes =
        e->typing == TYPING_CELL
            ? state_cell_takes(&e->state, e->typing_row, e->state.cell, e->line.text, &error)
            : e->typing != TYPING_SETTING || state_setting_takes(&e->state, e->state.setting, e->line.text, &error);
    if (!takes) draw_text(&e->theme, row, column, columns, theme_ink(&e->theme, STYLE_WARNING), error.message);
    return !takes;
}

void editor_draw_status(editor *e) {
    window w = e->windows.status;
    bool line = e->typing == TYPING_COMMAND || e->typing == TYPING_SAVE_AS || e->typing == TYPING_PNG ||
                e->typing == TYPING_RENAME;
    if (line) {
        draw_note(e);
        draw_prompt(e, w.row, 1, w.columns - 1);
        return;
    }
    if (e->tone == TONE_ERROR) {
        draw_error(e);
        return;
    }
    bool told = (e->tone == TONE_INFO || e->tone == TONE_WARNING) && !e->asking && !e->confirming && !e->recovering;
    const ink saying = theme_ink(&e->theme, e->tone == TONE_WARNING ? STYLE_WARNING : STYLE_TEXT);
    if (told && text_columns(badge(e)) + 1 + text_columns(e->message) >= w.columns) {
        draw_lines(e, w.row, message_rows(e), saying, e->message);
        return;
    }
    int at = draw_text(&e->theme, w.row, 0, w.columns, theme_ink(&e->theme, STYLE_BADGE), badge(e)) + 1;
    /* The last cell stays free: writing it makes some terminals scroll. */
    int columns = w.columns - at - 1;
    if (e->count) at += draw_format(&e->theme, w.row, at, columns, theme_ink(&e->theme, STYLE_STRONG), "%d ", e->count);
    if (e->has_pending)
        at +=
            draw_format(&e->theme, w.row, at, columns, theme_ink(&e->theme, STYLE_STRONG), "%c ", (int)e->pending.key);
    columns = w.columns - at - 1;
    if (e->asking) {
        const char *question = columns < 70 ? "Unsaved changes.  " : "The layout has unsaved changes.  ";
        at += draw_text(&e->theme, w.row, at, columns, theme_ink(&e->theme, STYLE_STRONG), question);
        draw_hints(e, w.row, at, w.columns - at - 1);
    } else if (e->confirming) {
        at += draw_format(&e->theme, w.row, at, columns, theme_ink(&e->theme, STYLE_STRONG), "Delete \"%.40s\"?  ",
                          e->choices.list[e->choices.at].name);
        draw_hints(e, w.row, at, w.columns - at - 1);
    } else if (e->recovering) {
        char question[96];
        editor_recover_question(e, columns < 65, question, sizeof question);
        at += draw_text(&e->theme, w.row, at, columns, theme_ink(&e->theme, STYLE_STRONG), question);
        draw_hints(e, w.row, at, w.columns - at - 1);
    } else if (told) {
        draw_text(&e->theme, w.row, at, columns, saying, e->message);
    } else if (e->typing && draw_refusal(e, w.row, at, columns)) {
        return;
    } else if (e->typing || e->list || e->focus == PANE_SETTINGS || !draw_row_warning(e, w.row, at, columns)) {
        draw_hints(e, w.row, at, columns);
    }
}
