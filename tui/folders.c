/* folders.c: paths and small files of the program itself. */
#include "folders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *a, const char *b, const char *c) {
    char *text = NULL;
    return asprintf(&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

bool folders_make(char *path) {
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        bool fine = mkdir(path, 0700) == 0 || errno == EEXIST;
        *slash = '/';
        if (!fine) return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static char *base_folder(const char *variable, const char *below_home) {
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base && base[0] == '/') return join(base, "/couplet", "");
    return home && home[0] == '/' ? join(home, below_home, "/couplet") : NULL;
}

static char *inside(char *folder, const char *name) {
    char *path = folder && folders_make(folder) ? join(folder, "/", name) : NULL;
    free(folder);
    return path;
}

char *folders_state(const char *name) { return inside(base_folder("XDG_STATE_HOME", "/.local/state"), name); }
char *folders_config(const char *name) { return inside(base_folder("XDG_CONFIG_HOME", "/.config"), name); }

char *folders_config_path(const char *name) {
    char *folder = base_folder("XDG_CONFIG_HOME", "/.config"), *path = folder ? join(folder, "/", name) : NULL;
    free(folder);
    return path;
}

char *folders_models(void) {
    char *folder = base_folder("XDG_DATA_HOME", "/.local/share"), *models = folder ? join(folder, "/models", "") : NULL;
    free(folder);
    return models;
}

char *folders_expand(const char *path) {
    const char *home = getenv("HOME");
    path += strspn(path, " ");
    return path[0] == '~' && path[1] == '/' && home ? join(home, path + 1, "") : strdup(path);
}

char *folders_whole(const char *path) {
    const char *slash = strrchr(path, '/');
    char *directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    char *real = directory ? realpath(directory, NULL) : NULL, *whole = NULL;
    if (real && asprintf(&whole, "%s/%s", strcmp(real, "/") ? real : "", slash ? slash + 1 : path) < 0) whole = NULL;
    free(real);
    free(directory);
    return whole;
}

char *folders_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
}

static bool same_place(const char *a, const char *b, mode_t kind) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && (x.st_mode & S_IFMT) == kind && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

bool folders_same_file(const char *a, const char *b) { return same_place(a, b, S_IFREG); }

bool folders_same(const char *a, const char *b) { return same_place(a ? a : ".", b ? b : ".", S_IFDIR); }

static const char *below(const char *path, const char *folder) {
    size_t length = folder ? strlen(folder) : 0;
    return length > 1 && !strncmp(path, folder, length) && path[length] == '/' ? path + length + 1 : NULL;
}

char *folders_shown(const char *whole) {
    char *here = realpath(".", NULL), *home = getenv("HOME") ? realpath(getenv("HOME"), NULL) : NULL;
    const char *inside_here = below(whole, here), *inside_home = below(whole, home);
    char *shown = inside_here ? strdup(inside_here) : inside_home ? join("~/", inside_home, "") : strdup(whole);
    free(home);
    free(here);
    return shown;
}

bool folders_write(const char *path, const char *text) {
    /* Renaming over a link would replace the link, not the file that it leads to, and over a device the device. */
    char *real = realpath(path, NULL), *part = NULL;
    const char *target = real ? real : path;
    struct stat old;
    bool was_there = stat(target, &old) == 0, special = was_there && !S_ISREG(old.st_mode);
    if (asprintf(&part, special ? "%s" : "%s.%ld", target, (long)getpid()) < 0) part = NULL;
    FILE *file = part ? fopen(part, "we") : NULL;
    bool kept = special || !was_there || (file && fchmod(fileno(file), old.st_mode & 07777) == 0);
    bool whole = file && kept && fputs(text, file) >= 0;
    if (file) whole = fclose(file) == 0 && whole;
    if (!special) whole = whole && rename(part, target) == 0;
    int number = errno;
    if (file && !whole && !special) unlink(part);
    free(part);
    free(real);
    errno = number;
    return whole;
}
