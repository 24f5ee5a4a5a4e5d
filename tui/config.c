/* config.c: what holds for a machine rather than for a layout: where things are, and what may be used of it. Settings of a
 * picture have no place here, since a layout must mean the same to everybody. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folders.h"

static const char *const allowed[] = {"device",  "precision", "tokenizer",   "lora-dir",   "embeddings-dir",
                                      "threads", "vae-tile",  "cache-bytes", "pool-bytes", "vram",
                                      "color",   "theme",     NULL};

/* Options keep pointing into it, and to folders that were written with "~/". */
static char text[16384];
static char *expanded[8];

static const option_entry *find(const char *name) {
    bool is_allowed = false;
    for (int i = 0; allowed[i]; i++) is_allowed |= strcmp(allowed[i], name) == 0;
    for (int i = 0; is_allowed && i < option_count; i++)
        if (strcmp(option_table[i].name, name) == 0) return &option_table[i];
    return NULL;
}

static char *trim(char *word) {
    word += strspn(word, " \t\r");
    for (size_t end = strlen(word); end && strchr(" \t\r", word[end - 1]); end--) word[end - 1] = '\0';
    return word;
}

static bool refuse(char *why, size_t size, const char *path, int line, const char *what) {
    snprintf(why, size, "%s:%d: %s", path, line, what);
    return false;
}

/* A shell does this on a command line. */
static char *at_home(char *value) {
    size_t i = 0;
    while (i < sizeof expanded / sizeof *expanded && expanded[i]) i++;
    if (strncmp(value, "~/", 2) != 0 || i == sizeof expanded / sizeof *expanded) return value;
    expanded[i] = folders_expand(value);
    return expanded[i] ? expanded[i] : value;
}

static bool read_line(arguments *a, char *line, const char *path, int number, char *why, size_t size) {
    char what[300];
    char *name = trim(line);
    if (!*name || *name == '#') return true;
    char *value = name + strcspn(name, " \t=");
    if (*value) *value++ = '\0';
    value = trim(value);
    if (*value == '=') value = trim(value + 1);
    const option_entry *o = find(name);
    if (!o) {
        const char *nearest = options_nearest(name, allowed);
        snprintf(what, sizeof what, "no option \"%.40s\" can stand here%s%s%s", name,
                 nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                 nearest ? "\"?" : "; see FILES in couplet(1)");
        return refuse(why, size, path, number, what);
    }
    if (!(o->commands & (1u << a->command))) return true;
    return options_set(a, o, at_home(value), what, sizeof what) || refuse(why, size, path, number, what);
}

bool config_read(arguments *a, char *why, size_t why_size) {
    char *path = folders_config_path("config");
    FILE *file = path ? fopen(path, "re") : NULL;
    bool done =
        !file ? !path || errno == ENOENT || errno == ENOTDIR || refuse(why, why_size, path, 1, strerror(errno)) : true;
    if (file) {
        size_t length = fread(text, 1, sizeof text - 1, file);
        text[length] = '\0';
        if (length == sizeof text - 1) done = refuse(why, why_size, path, 1, "the file is too long");
        fclose(file);
        char *rest = text, *line;
        for (int number = 1; done && (line = strsep(&rest, "\n")); number++)
            done = read_line(a, line, path, number, why, why_size);
    }
    free(path);
    return done;
}
