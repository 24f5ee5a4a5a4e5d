/* editor_stats.c: the statistics panel: what the core and the line to the terminal have done, in blocks that stand beside
 * each other where there is room. Made anew for each frame from the one struct that `couplet stats` shows too. */
#include "editor_ui.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 14, BAR = 10, GAP = 3, BLOCK = 34, BLOCK_MOST = 44, BLOCKS = 4, LINES_MOST = 24, TALLEST = 6 };

typedef enum line_kind { LINE_TEXT, LINE_BAR, LINE_STEPS } line_kind;

typedef struct stats_line {
    line_kind kind;
    char label[24], text[64];
    double part;     /* of LINE_BAR, 0..1 */
    int at, of;      /* of LINE_STEPS: which of how many rows, from above */
    style text_with; /* STYLE_TEXT unless there is something to say */
} stats_line;

typedef struct block {
    const char *title;
    stats_line line[LINES_MOST];
    int count;
} block;

static void human_bytes(double bytes, char text[24]) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    int unit = 0;
    while (bytes >= 999.5 && unit < 4) bytes /= 1000, unit++;
    snprintf(text, 24, unit && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void human_ms(double ms, char text[24]) {
    if (ms >= 999.5)
        snprintf(text, 24, "%.2f s", ms / 1000);
    else
        snprintf(text, 24, ms < 9.95 ? "%.1f ms" : "%.0f ms", ms);
}

static void human_rate(double per_second, char text[24]) {
    int digits = per_second < 0.0995 ? 3 : per_second < 0.995 ? 2 : per_second < 9.95 ? 1 : 0;
    snprintf(text, 24, "%.*f/s", digits, per_second);
}

static stats_line *add(block *b, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));
static stats_line *add(block *b, const char *label, const char *format, ...) {
    stats_line *l = &b->line[b->count < LINES_MOST ? b->count++ : LINES_MOST - 1];
    va_list list;
    *l = (stats_line){.text_with = STYLE_TEXT};
    snprintf(l->label, sizeof l->label, "%s", label);
    va_start(list, format);
    vsnprintf(l->text, sizeof l->text, format, list);
    va_end(list);
    return l;
}

static void add_bytes(block *b, const char *label, uint64_t bytes, const char *behind) {
    char text[24];
    human_bytes((double)bytes, text);
    add(b, label, "%s%s", text, behind);
}

static void add_ms(block *b, const char *label, double ms) {
    char text[24];
    human_ms(ms, text);
    if (ms > 0) add(b, label, "%s", text);
}

/* ---- What the blocks say ---- */

static void fill_steps(const editor *e, const cpl_stats *s, int tall, block *b) {
    char text[24], rate[24];
    *b = (block){.title = "Steps"};
    for (int i = 0; i < tall; i++) {
        stats_line *l = add(b, "", "%s", "");
        l->kind = LINE_STEPS;
        l->at = i;
        l->of = tall;
    }
    if (!e->steps.count) snprintf(b->line[tall - 1].text, sizeof b->line->text, "no step was made yet");
    human_ms(s->step_ms, text);
    human_rate(s->steps_per_second, rate);
    if (s->step_ms > 0) add(b, "a step", "%s, %s", text, rate);
    add_ms(b, "  by the device", s->device_step_ms);
    add_ms(b, "the first", s->first_step_ms);
    add_ms(b, "all steps", s->sampling_ms);
    add_ms(b, "texts, plans", s->text_ms);
    add_ms(b, "decoding", s->decode_ms);
    add_ms(b, "whole picture", s->total_ms);
    add_ms(b, "loading", s->load_ms);
    add(b, "so far", "%llu run%s, %llu steps", (unsigned long long)s->runs, s->runs == 1 ? "" : "s",
        (unsigned long long)s->steps);
    if (s->splices) add(b, "taken up", "%llu edits between steps", (unsigned long long)s->splices);
}

static double ratio(uint64_t part, uint64_t rest) { return part + rest ? (double)part / (double)(part + rest) : 0; }

static void fill_memory(const cpl_stats *s, block *b) {
    char text[48];
    *b = (block){.title = "Memory"};
    add_bytes(b, "weights", s->weight_bytes, "");
    if (s->device_bytes) add_bytes(b, "on the device", s->device_bytes, "");
    add_bytes(b, "pool", s->pool_bytes, " held");
    add_bytes(b, "  at most", s->pool_held_peak_bytes, " held");
    add_bytes(b, "  needed", s->live_peak_bytes, " at a time");
    snprintf(text, sizeof text, ", %llu tensors", (unsigned long long)s->active_tensors);
    add_bytes(b, "  in use", s->active_bytes, text);
    snprintf(text, sizeof text, ", %llu tensors", (unsigned long long)s->cached_tensors);
    add_bytes(b, "  kept texts", s->cached_bytes, text);
    unsigned long long taken = s->pool_reuses + s->pool_allocations;
    stats_line *l = add(b, "  reused", "%.0f %% of %llu", 100 * ratio(s->pool_reuses, s->pool_allocations), taken);
    l->kind = LINE_BAR;
    l->part = ratio(s->pool_reuses, s->pool_allocations);
    l = add(b, "new in steps", "%llu", (unsigned long long)s->step_allocations);
    if (s->step_allocations) l->text_with = STYLE_WARNING;
    if (s->memory_rescues)
        add(b, "made room", "%llu times", (unsigned long long)s->memory_rescues)->text_with = STYLE_WARNING;
}

/* Hits of all that was asked for; how much each keeps. */
static void add_cache(block *b, const char *label, const cpl_cache_stats *c) {
    char bytes[24];
    human_bytes((double)c->bytes, bytes);
    stats_line *l = !(c->hits + c->misses) ? add(b, label, "not asked yet")
                                           : add(b, label, "%3.0f %%  %s", 100 * ratio(c->hits, c->misses), bytes);
    l->kind = LINE_BAR;
    l->part = ratio(c->hits, c->misses);
    if (!(c->hits + c->misses)) l->text_with = STYLE_DIM;
    if (c->evictions)
        snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text), ", -%llu",
                 (unsigned long long)c->evictions);
}

static void fill_caches(const cpl_stats *s, block *b) {
    *b = (block){.title = "Caches: found again"};
    add_cache(b, "texts", &s->conditioning);
    if (s->pooled.hits + s->pooled.misses) add_cache(b, "pooled", &s->pooled);
    add_cache(b, "keys, values", &s->text_kv);
    add_cache(b, "plans", &s->plans);
    if (s->loras.hits + s->loras.misses) add_cache(b, "LoRAs", &s->loras);
    add_cache(b, "primitives", &s->primitives);
    add(b, "encoded", "%llu lines", (unsigned long long)s->encoder_calls);
}

bool editor_link_text(const editor *e, char *text, size_t size) {
    char rate[24];
    size_t second = term_link_bytes(e->term, 1000);
    if (second == SIZE_MAX) return false;
    human_bytes((double)second, rate);
    snprintf(text, size, "%s/s", rate);
    return true;
}

static void fill_link(const editor *e, block *b) {
    static const char *const sizes[] = {"whole", "a half", "a quarter", "an eighth", "none"};
    char text[40];
    *b = (block){.title = "Line to the terminal"};
    if (!e->caps->sixel) {
        add(b, "pictures", "in characters");
    } else {
        add(b, "rate", "%s", editor_link_text(e, text, sizeof text) ? text : "measured by the next picture");
        add_bytes(b, "sent", term_bytes_written(e->term), " in all");
        int level = preview_level(&e->preview);
        stats_line *l = add(b, "previews", "%s%s", sizes[level], level ? ": the line is slow" : " size");
        if (level) l->text_with = STYLE_WARNING;
    }
    human_ms(term_answer_ms(e->term), text);
    if (term_answer_ms(e->term) > 0) add(b, "an answer", "after %s", text);
    add(b, "terminal", "%s", e->caps->name);
}

/* ---- The steps that were timed last ---- */

void editor_time_step(editor *e, const cpl_event *progress) {
    step_times *t = &e->steps;
    int made = progress->step - t->last_step;
    bool goes_on = t->last_step > 0 && made > 0 && progress->ms > t->last_ms;
    /* A first step waits for texts and plans. Where events came too quickly to be told each, a step has their mean. */
    for (int i = 0; goes_on && i < made && i < STEP_TIMES; i++) {
        t->ms[(t->first + t->count) % STEP_TIMES] = (float)((progress->ms - t->last_ms) / made);
        if (t->count < STEP_TIMES)
            t->count++;
        else
            t->first = (t->first + 1) % STEP_TIMES;
    }
    if (made) t->last_ms = progress->ms;
    t->last_step = progress->step;
}

static double newest(const step_times *t, int back) {
    return back < t->count ? t->ms[(t->first + t->count - 1 - back) % STEP_TIMES] : 0;
}

/* One row of the bars: eighths of a cell where the terminal has them. */
static void draw_steps(const editor *e, const stats_line *l, int row, int column, int columns) {
    static const char *const eighths[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[] = {" ", ".", ".", ":", ":", "|", "|", "#", "#"};
    double most = 0;
    int shown = e->steps.count < columns ? e->steps.count : columns;
    for (int i = 0; i < shown; i++) most = fmax(most, newest(&e->steps, i));
    for (int i = 0; i < shown && most > 0; i++) {
        int height = (int)ceil(newest(&e->steps, shown - 1 - i) / most * 8 * l->of - 0.01), below = l->of - 1 - l->at;
        int here = height - 8 * below;
        here = here < 0 ? 0 : here > 8 ? 8 : here;
        draw_glyph(&e->theme, row, column + i, theme_ink(&e->theme, STYLE_PROGRESS),
                   e->theme.utf8 ? eighths[here] : plain[here]);
    }
}

/* ---- The panel ---- */

/* A thin one: bars below each other do not grow together. */
static void draw_ratio(const editor *e, int row, int column, int columns, double part) {
    int full = (int)(part * columns + 0.5);
    for (int i = 0; i < columns; i++)
        draw_glyph(&e->theme, row, column + i, theme_ink(&e->theme, i < full ? STYLE_PROGRESS : STYLE_PROGRESS_REST),
                   theme_line(&e->theme, CANVAS_LEFT | CANVAS_RIGHT, i < full));
}

static void draw_line(const editor *e, const stats_line *l, int row, int column, int columns) {
    if (l->kind == LINE_STEPS && !l->text[0]) {
        draw_steps(e, l, row, column, columns);
        return;
    }
    int at = column + (l->label[0] || l->kind == LINE_BAR ? LABEL + 1 : 0);
    if (l->label[0]) draw_text(&e->theme, row, column, LABEL, theme_ink(&e->theme, STYLE_DIM), l->label);
    if (l->kind == LINE_BAR) {
        int bar = columns < 40 ? BAR / 2 : BAR;
        draw_ratio(e, row, at, bar, l->part);
        at += bar + 1;
    }
    draw_text(&e->theme, row, at, column + columns - at,
              theme_ink(&e->theme, l->kind == LINE_STEPS ? STYLE_DIM : l->text_with), l->text);
}

/* Rows of the column that ends lowest, when each block goes below the others of its column. */
static int place(const block *blocks, int columns, int column_of[BLOCKS], int row_of[BLOCKS]) {
    /* Steps and line, memory and caches; in three columns the line stands below the caches. */
    static const int order[3][BLOCKS] = {{0, 0, 0, 0}, {0, 1, 1, 0}, {0, 1, 2, 2}};
    int used[3] = {0}, lowest = 0;
    for (int i = 0; i < BLOCKS; i++) {
        int c = order[columns - 1][i];
        column_of[i] = c;
        row_of[i] = used[c] + (used[c] ? 1 : 0);
        used[c] = row_of[i] + 1 + blocks[i].count;
        if (used[c] > lowest) lowest = used[c];
    }
    return lowest;
}

static void draw_block(const editor *e, const block *b, window in, int row, int column, int columns) {
    for (int i = -1; i < b->count; i++) {
        int at = row + 1 + i;
        if (at < 0 || at >= in.rows) continue;
        if (i < 0)
            draw_text(&e->theme, in.row + at, column, columns, theme_ink(&e->theme, STYLE_TITLE_FOCUS), b->title);
        else
            draw_line(e, &b->line[i], in.row + at, column, columns);
    }
}

static void draw_title(const editor *e, window w, const cpl_stats *s) {
    char what[160];
    int at = w.column + 2;
    at += draw_text(&e->theme, w.row, at, w.columns - 4, theme_ink(&e->theme, STYLE_TITLE_FOCUS), " Statistics ");
    snprintf(what, sizeof what, " %s  %s %s  %d thread%s ", s->model[0] ? s->model : "no model yet", s->backend,
             s->precision, s->threads, s->threads == 1 ? "" : "s");
    int columns = text_columns(what), room = w.column + w.columns - 2 - at;
    if (columns <= room)
        draw_text(&e->theme, w.row, w.column + w.columns - 2 - columns, columns, theme_ink(&e->theme, STYLE_TITLE),
                  what);
}

void editor_draw_stats(editor *e) {
    cpl_stats stats = {0};
    block blocks[BLOCKS];
    int column_of[BLOCKS], row_of[BLOCKS], room = e->windows.columns - 8, page = e->windows.rows - 6;
    int columns = room >= 3 * BLOCK + 2 * GAP ? 3 : room >= 2 * BLOCK + GAP ? 2 : 1;
    int each = (room - (columns - 1) * GAP) / columns;
    if (columns > 1 && each > BLOCK_MOST) each = BLOCK_MOST;
    if (columns == 1 && each > 2 * BLOCK) each = 2 * BLOCK;
    cpl_session_stats(e->session, &stats);
    fill_memory(&stats, &blocks[1]);
    fill_caches(&stats, &blocks[2]);
    fill_link(e, &blocks[3]);
    fill_steps(e, &stats, 1, &blocks[0]);
    /* What is left is for the bars of the steps. */
    int rows = place(blocks, columns, column_of, row_of), tall = 1;
    while (tall < TALLEST && rows <= page) {
        fill_steps(e, &stats, tall + 1, &blocks[0]);
        int more = place(blocks, columns, column_of, row_of);
        if (more > page) break;
        rows = more;
        tall++;
    }
    fill_steps(e, &stats, tall, &blocks[0]);
    rows = place(blocks, columns, column_of, row_of);
    if (rows < page) page = rows;
    if (e->list_top > rows - page) e->list_top = rows - page;
    if (e->list_top < 0) e->list_top = 0;
    int width = columns * each + (columns - 1) * GAP + 4;
    window w = {2, (e->windows.columns - width) / 2, page + 2, width}, in = {w.row + 1, w.column + 2, page, width - 4};
    draw_fill(w.row, w.column - 1, w.rows, w.columns + 2, theme_ink(&e->theme, STYLE_TEXT));
    draw_frame(&e->theme, w.row, w.column, w.rows, w.columns, true);
    draw_title(e, w, &stats);
    for (int i = 0; i < BLOCKS; i++)
        draw_block(e, &blocks[i], in, row_of[i] - e->list_top, in.column + column_of[i] * (each + GAP), each);
    if (rows > page) editor_draw_scroll(e, w, e->list_top, page, rows);
}
