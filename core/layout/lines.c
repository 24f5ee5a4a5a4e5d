/* lines.c: from prompts to the lines that are encoded. LoRA tags go first: the original never sees them. Two ways in: one text for all lines, split by Forge Couple's rules,
 * or one prompt per row, which is never split again. How many lines a layout needs is check.c's. */
#include "lines.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "loras.h"
#include "words.h"

void cpl_lines_clear(cpl_lines *lines) {
    for (int i = 0; i < lines->count; i++) free(lines->line[i]);
    free(lines->line);
    *lines = (cpl_lines){0};
}

char *cpl_layout_separator(const cpl_layout *layout, cpl_error *error) {
    char *text = cpl_strdup(layout->separator ? layout->separator : "\n", error);
    if (!text || !cpl_replace_all(&text, "\\n", "\n", error) || !cpl_replace_all(&text, "\\t", " ", error)) {
        free(text);
        return NULL;
    }
    return cpl_is_blank(text) && !cpl_text_set(&text, "\n", error) ? NULL : text;
}

static bool add_line(cpl_lines *lines, int *room, const char *text, size_t length, cpl_error *error) {
    if (!cpl_grow((void **)&lines->line, room, lines->count + 1, sizeof *lines->line, error)) return false;
    char *line = cpl_strndup(text, length, error);
    if (line) lines->line[lines->count++] = cpl_strip(line);
    return line;
}

static bool check_length(size_t bytes, const char *path, cpl_error *error) {
    return bytes <= CPL_MAX_PROMPT_BYTES ||
           cpl_fail_at(error, -1, path, "%s: the prompts have %zu bytes together; at most %d are possible", path, bytes,
                       CPL_MAX_PROMPT_BYTES);
}

/* Common prompts see no tag in either case. */
static char *without_loras(char *text, bool tagged) {
    if (tagged)
        cpl_hide_loras(text);
    else
        cpl_strip_loras(text);
    return text;
}

/* Blank pieces are lines too: a trailing newline makes one. */
static bool split(const cpl_layout *layout, bool tagged, cpl_lines *lines, cpl_error *error) {
    if (!check_length(strlen(layout->prompt), "prompt", error)) return false;
    char *separator = cpl_layout_separator(layout, error), *text = separator ? cpl_strdup(layout->prompt, error) : NULL;
    if (text) without_loras(text, tagged);
    bool done = text && cpl_common_expand(&text, 1, layout->brackets, layout->definitions, error);
    int room = 0;
    const char *from = text;
    while (done) {
        const char *end = strstr(from, separator);
        done = add_line(lines, &room, from, end ? (size_t)(end - from) : strlen(from), error);
        if (!end) break;
        from = end + strlen(separator);
    }
    free(text);
    free(separator);
    return done;
}

static void newlines_to_blanks(char *text) {
    for (; *text; text++)
        if (*text == '\n' || *text == '\r') *text = ' ';
}

/* With `fill` one more line: that of what no region covers. */
static bool by_rows(const cpl_layout *layout, const char *fill, bool tagged, cpl_lines *lines, cpl_error *error) {
    size_t bytes = fill ? strlen(fill) : 0;
    int room = 0;
    for (int i = 0; i < layout->region_count; i++)
        bytes += layout->regions[i].prompt ? strlen(layout->regions[i].prompt) : 0;
    if (!check_length(bytes, "regions", error)) return false;
    for (int i = 0; i < layout->region_count + (fill ? 1 : 0); i++) {
        const char *text = i < layout->region_count ? layout->regions[i].prompt : fill;
        if (!add_line(lines, &room, text ? text : "", text ? strlen(text) : 0, error)) return false;
        newlines_to_blanks(without_loras(lines->line[i], tagged));
    }
    if (!cpl_common_expand(lines->line, lines->count, layout->brackets, layout->definitions, error)) return false;
    for (int i = 0; i < lines->count; i++) cpl_strip(lines->line[i]);
    return true;
}

static bool make_lines(const cpl_layout *layout, bool tagged, cpl_lines *lines, cpl_error *error) {
    *lines = (cpl_lines){0};
    bool done = layout->prompt ? split(layout, tagged, lines, error) : by_rows(layout, NULL, tagged, lines, error);
    if (!done) cpl_lines_clear(lines);
    return done;
}

bool cpl_layout_lines(const cpl_layout *layout, cpl_lines *lines, cpl_error *error) {
    return make_lines(layout, false, lines, error);
}

bool cpl_layout_tagged_lines(const cpl_layout *layout, cpl_lines *lines, cpl_error *error) {
    if (!make_lines(layout, true, lines, error)) return false;
    for (int i = 0; i < lines->count; i++) cpl_show_loras(lines->line[i]);
    return true;
}

int cpl_layout_line_count(const cpl_layout *layout) {
    cpl_lines lines;
    if (!layout->prompt) return layout->region_count;
    int count = cpl_layout_lines(layout, &lines, NULL) ? lines.count : -1;
    cpl_lines_clear(&lines);
    return count;
}

/* Definitions may stand in the one text or in the rows; the fill line is looked at as a text beside them. */
static char *expand_beside_prompt(const cpl_layout *layout, cpl_error *error) {
    char *texts[2] = {cpl_without_loras(layout->prompt, error), cpl_without_loras(layout->background_prompt, error)};
    bool done = texts[0] && texts[1] && cpl_common_expand(texts, 2, layout->brackets, layout->definitions, error);
    free(texts[0]);
    if (!done) free(texts[1]);
    return done ? texts[1] : NULL;
}

char *cpl_layout_fill_line(const cpl_layout *layout, cpl_error *error) {
    cpl_lines lines = {0};
    char *line = NULL;
    if (layout->background_prompt && layout->prompt) {
        if (!check_length(strlen(layout->prompt) + strlen(layout->background_prompt), "prompt", error)) return NULL;
        line = expand_beside_prompt(layout, error);
    } else if (layout->background_prompt) {
        if (by_rows(layout, layout->background_prompt, false, &lines, error) && lines.count > 0)
            line = cpl_strdup(lines.line[lines.count - 1], error);
    } else if (cpl_layout_lines(layout, &lines, error)) {
        line = cpl_strdup(lines.count ? lines.line[0] : "", error);
    }
    cpl_lines_clear(&lines);
    if (!line) return NULL;
    newlines_to_blanks(line);
    return cpl_strip(line);
}
