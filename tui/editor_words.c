/* editor_words.c: what the text encoder gets, shown on demand: each line after common prompts, separator, LoRA tags and
 * schedules, with the tokens of each of its chunks. */
#include "editor_ui.h"

#include <stdio.h>
#include <string.h>

enum { LEFT = 18 }; /* columns beside a text */

/* "5/22", chunk by chunk "75+75+12/75", or only how many where there are more. */
static void tokens_text(const cpl_line_info *info, char *text, size_t size) {
    int each = info->chunks ? info->room / info->chunks : 0, used = 0;
    int told = info->chunks < CPL_TOLD_CHUNKS ? info->chunks : CPL_TOLD_CHUNKS;
    for (int i = 0; i < told && used < (int)size; i++)
        used += snprintf(text + used, size - (size_t)used, "%s%d", i ? "+" : "", info->chunk_tokens[i]);
    if (used < (int)size) snprintf(text + used, size - (size_t)used, "%s/%d", info->chunks > told ? "+..." : "", each);
}

/* What stands beside the text; *more, where that does not say all. */
static void about(const cpl_line_text *t, bool whole_run, char left[40], char more[200]) {
    char tokens[160];
    int used = 0;
    left[0] = more[0] = '\0';
    tokens_text(&t->info, tokens, sizeof tokens);
    if (!whole_run && t->first < t->last) used = snprintf(left, 40, "steps %d-%d", t->first, t->last);
    if (!whole_run && t->first >= t->last) used = snprintf(left, 40, "step %d", t->last);
    if (whole_run && t->weight != 1) used = snprintf(left, 40, "weight %.4g", t->weight);
    bool fits = used + (used ? 2 : 0) + (int)strlen(tokens) <= LEFT;
    if (fits) snprintf(left + used, 40 - (size_t)used, "%s%s", used ? "  " : "", tokens);
    if (!fits && !used) snprintf(left, 40, "%d chunks", t->info.chunks);
    if (!fits) snprintf(more, 200, "tokens in its chunks: %s", tokens);
    size_t length = strlen(more);
    if (!whole_run && t->weight != 1)
        snprintf(more + length, 200 - length, "%sweight %.4g", length ? ", " : "", t->weight);
}

/* Alternations give the same text again and again: what follows and is equal is one. */
static bool goes_on(const cpl_line_text *a, const cpl_line_text *b) {
    return a->line == b->line && a->last + 1 == b->first && a->weight == b->weight && !strcmp(a->text, b->text);
}

/* The core tells of the newest state that it could use; of any other the texts are known, and not their tokens. */
static bool core_tells(const editor *e, int line) {
    const core_status *core = &e->core;
    const char *prompt = state_prompt(&e->state, line);
    return core->synced == core->revision && core->line_text_count && line < core->line_count &&
           core->line_prompts[line] && !strcmp(core->line_prompts[line], prompt);
}

static void add_told(const editor *e, int line, void *to, editor_words_fn *add) {
    const core_status *core = &e->core;
    for (int i = 0; i < core->line_text_count; i++) {
        cpl_line_text t = core->line_texts[i];
        char left[40], more[200];
        if (t.line != line) continue;
        while (i + 1 < core->line_text_count && goes_on(&t, &core->line_texts[i + 1]))
            t.last = core->line_texts[++i].last;
        const cpl_line_text *next = i + 1 < core->line_text_count ? &core->line_texts[i + 1] : NULL;
        bool whole_run = t.first == 1 && !(next && next->line == line && next->first > 1);
        about(&t, whole_run, left, more);
        add(to, NULL, left, *t.text ? t.text : "(no words)");
        if (*more) add(to, NULL, NULL, more);
    }
}

void editor_list_words(const editor *e, void *to, editor_words_fn *add) {
    const cpl_lines *lines = &e->state.lines;
    for (int i = 0; i < lines->count; i++) {
        char heading[64];
        snprintf(heading, sizeof heading, "Line %d%s%s", i + 1,
                 i == cpl_layout_background_row(e->state.layout) ? ", the background" : "",
                 i == e->state.selected ? ", selected" : "");
        add(to, heading, NULL, NULL);
        if (core_tells(e, i))
            add_told(e, i, to, add);
        else /* the core has not seen it yet, or cannot use the layout */
            add(to, NULL, "tokens not known", *lines->line[i] ? lines->line[i] : "(no words)");
    }
    if (!lines->count) add(to, NULL, NULL, "the layout has no lines as it is: the table tells why");
}
