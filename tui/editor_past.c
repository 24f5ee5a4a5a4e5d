/* editor_past.c: the commands typed before: in memory for Up and Down, in a file for the next time. */
#include "editor_ui.h"

#include "folders.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = sizeof((editor *)0)->past / sizeof((editor *)0)->past[0], FILE_BYTES = 64 * 1024 };

static void keep(editor *e, char *line) {
    if (!line) return;
    if (e->past_count == MOST) {
        free(e->past[0]);
        memmove(e->past, e->past + 1, sizeof e->past[0] * (MOST - 1));
        e->past_count--;
    }
    e->past[e->past_count++] = line;
}

static bool is_last(const editor *e, const char *line) {
    return e->past_count && !strcmp(e->past[e->past_count - 1], line);
}

/* A file that has grown for long is written anew with what is remembered. */
static void trim(const editor *e, const char *path) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; out && i < e->past_count; i++) fprintf(out, "%s\n", e->past[i]);
    if (out && fclose(out) == 0) folders_write(path, text);
    free(text);
}

/* Only the end of the file counts; a line that was cut at its beginning is left out. */
void editor_past_read(editor *e) {
    char *path = folders_state("commands"), *text = calloc(1, FILE_BYTES + 1);
    FILE *file = path && text ? fopen(path, "re") : NULL;
    if (file) {
        long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0;
        bool cut = size > FILE_BYTES;
        fseek(file, cut ? size - FILE_BYTES : 0, SEEK_SET);
        text[fread(text, 1, FILE_BYTES, file)] = '\0';
        char *rest = text;
        if (cut) strsep(&rest, "\n");
        for (char *line; (line = strsep(&rest, "\n"));)
            if (*line && rest && !is_last(e, line)) keep(e, strdup(line));
        fclose(file);
        if (size > 4 * FILE_BYTES) trim(e, path);
    }
    free(text);
    free(path);
}

/* Appended in one write, so that two editors at once do not mix their lines. */
void editor_past_add(editor *e, const char *line) {
    if (!line[strspn(line, " ")] || is_last(e, line)) return;
    keep(e, strdup(line));
    char *path = folders_state("commands"), *whole = NULL;
    int size = asprintf(&whole, "%s\n", line);
    int file = path && size > 0 ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file >= 0) {
        /* Nothing is lost but a line of history where the disk is full. */
        ssize_t written = write(file, whole, (size_t)size);
        (void)written;
        close(file);
    }
    if (size >= 0) free(whole);
    free(path);
}

void editor_past_clear(editor *e) {
    for (int i = 0; i < e->past_count; i++) free(e->past[i]);
    e->past_count = 0;
    free(e->past_begun);
    e->past_begun = NULL;
}

/* Up goes to the older ones that begin as the line did when Up was first pressed. */
void editor_past_recall(editor *e, int direction) {
    int to = e->past_at + direction;
    if (e->past_at == e->past_count) {
        free(e->past_begun);
        e->past_begun = strdup(e->line.text);
    }
    const char *begun = e->past_begun ? e->past_begun : "";
    while (to >= 0 && to < e->past_count && strncmp(e->past[to], begun, strlen(begun)) != 0) to += direction;
    if (to < 0 || to > e->past_count) return;
    if (line_edit_start(&e->line, to < e->past_count ? e->past[to] : begun)) e->past_at = to;
}
