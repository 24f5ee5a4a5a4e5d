/* editor_outside.c: what leaves the program for a moment: text to the system's clipboard, a prompt to $EDITOR. */
#include "editor_ui.h"

#include "input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Clipboard ---- */

#define MOST_BYTES 48000 /* terminals drop longer ones */

/* OSC 52: the terminal puts it into the clipboard of the machine it stands on, also through SSH. */
static void send_clipboard(editor *e, const char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = strlen(text), used = 0;
    if (size > MOST_BYTES) return;
    char *out = malloc(size / 3 * 4 + 24);
    if (!out) return;
    used = (size_t)sprintf(out, "\033]52;c;");
    for (size_t i = 0; i < size; i += 3) {
        unsigned char b[3] = {0, 0, 0};
        size_t count = size - i < 3 ? size - i : 3;
        memcpy(b, text + i, count);
        out[used++] = digits[b[0] >> 2];
        out[used++] = digits[(b[0] & 3) << 4 | b[1] >> 4];
        out[used++] = count > 1 ? digits[(b[1] & 15) << 2 | b[2] >> 6] : '=';
        out[used++] = count > 2 ? digits[b[2] & 63] : '=';
    }
    memcpy(out + used, "\033\\", 2); /* NOLINT(bugprone-not-null-terminated-result): its length is told */
    term_write(e->term, out, used + 2);
    free(out);
}

void editor_to_clipboard(editor *e, const cpl_layout *rows) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    for (int i = 0; out && i < rows->region_count; i++)
        fprintf(out, "%s%s", i ? "\n" : "", rows->regions[i].prompt ? rows->regions[i].prompt : "");
    if (out && fclose(out) == 0) send_clipboard(e, text);
    free(text);
}

/* ---- $EDITOR ---- */

#define MOST_READ (1 << 20) /* bytes; the rest is dropped */

static const char *chosen_editor(void) {
    static const char *const variables[] = {"VISUAL", "EDITOR"};
    for (size_t i = 0; i < 2; i++) {
        const char *value = getenv(variables[i]);
        if (value && *value) return value;
    }
    return "vi";
}

static bool write_text(int fd, const char *text) {
    for (size_t left = strlen(text); left;) {
        ssize_t count = write(fd, text, left);
        if (count < 0) return false;
        text += count;
        left -= (size_t)count;
    }
    return true;
}

/* Line breaks are blanks in a row's prompt; those at the end come from the editor. What is no text would be saved, and then
 * the layout not be opened any more. */
static char *read_text(const char *path) {
    FILE *file = fopen(path, "re");
    char *bytes = file ? malloc(MOST_READ) : NULL;
    size_t size = bytes ? fread(bytes, 1, MOST_READ, file) : 0;
    if (file) fclose(file);
    while (size && strchr(" \t\r\n", bytes[size - 1])) size--;
    char *text = bytes ? input_paste_text(bytes, size) : NULL;
    for (char *c = text; c && *c; c++)
        if (strchr("\t\n", *c)) *c = ' ';
    free(bytes);
    return text;
}

static void take_back(editor *e, const char *path) {
    cpl_error error = {0};
    char *text = read_text(path);
    if (!text || !state_set_cell(&e->state, e->state.selected, e->state.cell, text, &error)) {
        editor_say(e, TONE_ERROR, "%s", error.message[0] ? error.message : "the text cannot be read back");
    } else {
        editor_edited(e);
        editor_say(e, TONE_INFO, "the text is back");
    }
    free(text);
}

void editor_edit_outside(editor *e) {
    const char *folder = getenv("TMPDIR"), *program = chosen_editor();
    char path[4096], why[200];
    cpl_error error = {0};
    table_cell c = e->state.cell == CELL_NEGATIVE ? CELL_NEGATIVE : CELL_PROMPT;
    if (!state_cell_editable(&e->state, e->state.selected, c, &error)) {
        editor_say_error(e, &error);
        return;
    }
    e->state.cell = c;
    snprintf(path, sizeof path, "%s/couplet-XXXXXX.txt", folder && *folder ? folder : "/tmp");
    int fd = mkstemps(path, 4);
    char *text = state_cell_whole(&e->state, e->state.selected, c);
    bool written = fd >= 0 && text && write_text(fd, text) && write_text(fd, "\n");
    if (fd >= 0) close(fd);
    free(text);
    if (!written)
        editor_say(e, TONE_ERROR, "cannot write the text to %s", path);
    else if (!term_run(e->term, program, path, why, sizeof why))
        editor_say(e, TONE_ERROR, "%.80s: %s; VISUAL and EDITOR name another editor", program, why);
    else
        take_back(e, path);
    if (fd >= 0) unlink(path);
    preview_lost(&e->preview);
    e->changed = true;
}
