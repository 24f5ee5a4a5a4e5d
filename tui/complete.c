/* complete.c: collects candidates; what is offered where is the editor's (editor_complete.c). */
#include "complete.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "folders.h"

#define MOST 2000 /* of a folder with more only so many are offered */

void completion_clear(completion *c) {
    for (int i = 0; i < c->count; i++) free(c->word[i]);
    free(c->word);
    *c = (completion){.chosen = -1};
}

static void add(completion *c, char *word) {
    if (c->count == c->room) {
        int room = c->room ? c->room * 2 : 16;
        char **more = realloc(c->word, sizeof *more * (size_t)room);
        if (!more) {
            free(word);
            return;
        }
        c->word = more;
        c->room = room;
    }
    if (word) c->word[c->count++] = word;
}

void completion_offer(completion *c, const char *typed, const char *word) {
    if (!strncmp(word, typed, strlen(typed))) add(c, strdup(word));
}

void completion_offer_all(completion *c, const char *typed, const char *const *words) {
    for (; words && *words; words++) completion_offer(c, typed, *words);
}

static bool ends_with(const char *name, const char *const *endings) {
    size_t length = strlen(name);
    if (!endings) return true;
    for (; *endings; endings++) {
        size_t size = strlen(*endings);
        if (length > size && !strcmp(name + length - size, *endings)) return true;
    }
    return false;
}

void completion_offer_files(completion *c, const char *typed, const char *folder, const char *const *endings) {
    const char *slash = strrchr(typed, '/'), *beginning = slash ? slash + 1 : typed;
    char shown[4096], *path = NULL;
    if ((size_t)(beginning - typed) >= sizeof shown) return;
    snprintf(shown, sizeof shown, "%.*s", (int)(beginning - typed), typed);
    char *whole = folders_expand(shown);
    bool relative = whole && folder && whole[0] != '/';
    if (asprintf(&path, "%s%s%s", relative ? folder : "", relative ? "/" : "",
                 whole && *whole ? whole
                 : relative      ? ""
                                 : ".") < 0)
        path = NULL;
    free(whole);
    DIR *open = path ? opendir(path) : NULL;
    const struct dirent *entry;
    while (open && (entry = readdir(open)) && c->count < MOST) {
        if (strncmp(entry->d_name, beginning, strlen(beginning)) != 0) continue;
        if (entry->d_name[0] == '.' && beginning[0] != '.') continue;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        struct stat info;
        bool is_folder = fstatat(dirfd(open), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
        if (!is_folder && !ends_with(entry->d_name, endings)) continue;
        char *word = NULL;
        if (asprintf(&word, "%s%s%s", shown, entry->d_name, is_folder ? "/" : "") >= 0) add(c, word);
    }
    if (open) closedir(open);
    free(path);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void completion_finish(completion *c) {
    if (c->count > 1) qsort(c->word, (size_t)c->count, sizeof *c->word, by_name);
    int kept = 0;
    for (int i = 0; i < c->count; i++) {
        if (kept && !strcmp(c->word[i], c->word[kept - 1]))
            free(c->word[i]);
        else
            c->word[kept++] = c->word[i];
    }
    c->count = kept;
    c->chosen = -1;
}

size_t completion_common(const completion *c) {
    if (!c->count) return 0;
    size_t common = strlen(c->word[0]);
    for (int i = 1; i < c->count; i++) {
        size_t same = 0;
        while (same < common && c->word[i][same] == c->word[0][same]) same++;
        common = same;
    }
    /* Not in the middle of a character. */
    while (common && ((unsigned char)c->word[0][common] & 0xc0) == 0x80) common--;
    return common;
}

char *completion_apply(const completion *c, const char *line, const char *word, size_t length, bool final) {
    bool folder = length && word[length - 1] == '/';
    char *text = NULL;
    int size = asprintf(&text, "%.*s%.*s%s", (int)c->from, line, (int)length, word, final && !folder ? " " : "");
    return size < 0 ? NULL : text;
}
