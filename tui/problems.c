/* problems.c: puts the findings of core into words and lines. Decides nothing about what is an error. */
#include "problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

/* Errors stand before warnings. */
static bool add(cpl_problems *problems, bool warning, int row, const char *path, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static bool add(cpl_problems *problems, bool warning, int row, const char *path, const char *format, ...) {
    cpl_problem *list = realloc(problems->list, ((size_t)problems->count + 1) * sizeof *list);
    if (!list) return false;
    problems->list = list;
    int at = problems->count++;
    for (; !warning && at > 0 && list[at - 1].warning; at--) list[at] = list[at - 1];
    list[at] = (cpl_problem){.warning = warning, .error = {.code = CPL_E_INPUT, .row = row}};
    snprintf(list[at].error.path, sizeof list[at].error.path, "%s", path);
    va_list values;
    va_start(values, format);
    vsnprintf(list[at].error.message, sizeof list[at].error.message, format, values);
    va_end(values);
    return true;
}

/* A line is a row of the table, a piece of the one prompt, or the line that fills the hole. Returns the row, or -1. */
static int line_path(const cpl_layout *layout, int line, int lines, char *path, size_t size) {
    int row = line < layout->region_count && line < lines ? line : -1;
    if (line >= lines)
        snprintf(path, size, "%s", layout->background_prompt ? "background.prompt" : "uncovered");
    else if (layout->prompt)
        snprintf(path, size, "prompt, line %d", line + 1);
    else
        snprintf(path, size, "regions[%d]", line);
    return row;
}

bool add_line_warnings(const cpl_layout *layout, const cpl_event *event, cpl_problems *problems) {
    cpl_lines own = {0};
    bool done = cpl_layout_lines(layout, &own, NULL);
    int lines = own.count;
    cpl_lines_clear(&own);
    for (int i = 0; i < event->line_count && done; i++) {
        const cpl_line_info *line = &event->lines[i];
        char path[64];
        int row = line_path(layout, i, lines, path, sizeof path);
        if (*line->unknown) done &= add(problems, true, row, path, "the model does not know: %s", line->unknown);
        if (line->vanishes)
            done &= add(problems, true, row, path, "too thin: some attention layers have no token of it");
    }
    return done;
}

void say_line_warnings(const char *file, const cpl_layout *layout, const cpl_event *event) {
    cpl_problems problems = {0};
    add_line_warnings(layout, event, &problems);
    for (int i = 0; i < problems.count; i++) say_problem(file, &problems.list[i].error, true);
    cpl_problems_clear(&problems);
}

bool say_layout_problems(const char *file, const cpl_layout *layout, const cpl_defaults *defaults, bool quiet) {
    cpl_problems problems = {0};
    bool valid = cpl_layout_check(layout, defaults, &problems);
    for (int i = 0; i < problems.count; i++) {
        const cpl_problem *p = &problems.list[i];
        if (valid ? quiet : p->warning) continue;
        say_problem(file, &p->error, p->warning);
        if (!valid) break;
    }
    cpl_problems_clear(&problems);
    return valid;
}
