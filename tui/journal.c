/* journal.c: one JSON file an editor, with a lock file beside it that is held while the editor lives: the kernel lets go of
 * it however a process ends. */
#include "journal.h"

#include "folders.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK ".lock"

struct journal {
    char *file, *lock; /* owned */
    int lock_fd;
    bool there; /* the file may be */
};

static bool refuse(cpl_error *error, const char *path) {
    if (!error) return false;
    *error = (cpl_error){.code = CPL_E_FILE, .row = -1};
    snprintf(error->message, sizeof error->message, "the journal of unsaved edits cannot be written: %.200s: %s",
             path ? path : "there is no folder for it", path ? strerror(errno) : "is HOME set?");
    return false;
}

static char *folder(void) {
    char *path = folders_state("journal");
    if (path && folders_make(path)) return path;
    free(path);
    return NULL;
}

static int take_lock(const char *path, int flags) {
    int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

journal *journal_open(cpl_error *error) {
    journal *j = calloc(1, sizeof *j);
    char *where = j ? folder() : NULL;
    if (j) j->lock_fd = -1;
    /* The time keeps apart two hosts that share a home and happen to share a number. */
    if (j && where && asprintf(&j->file, "%s/%ld-%lld.json", where, (long)getpid(), (long long)time(NULL)) < 0)
        j->file = NULL;
    if (j && j->file && asprintf(&j->lock, "%s" LOCK, j->file) < 0) j->lock = NULL;
    if (j && j->lock) j->lock_fd = take_lock(j->lock, O_CREAT);
    free(where);
    if (j && j->lock_fd >= 0) return j;
    refuse(error, j ? j->lock : NULL);
    journal_close(j);
    return NULL;
}

bool journal_write(journal *j, const cpl_layout *layout, const char *path, cpl_error *error) {
    char *json = cpl_layout_print(layout, error), *whole = path ? folders_whole(path) : NULL;
    cJSON *name = cJSON_CreateString(whole ? whole : "");
    /* Whole: the next session may begin in another working folder. */
    char *lies_in = realpath(layout->directory ? layout->directory : ".", NULL);
    cJSON *directory = cJSON_CreateString(lies_in ? lies_in : layout->directory ? layout->directory : "");
    char *name_text = name ? cJSON_PrintUnformatted(name) : NULL;
    char *directory_text = directory ? cJSON_PrintUnformatted(directory) : NULL, *text = NULL;
    /* The layout goes in as it was printed: cJSON would lose digits of its numbers. */
    bool done = json && name_text && directory_text &&
                asprintf(&text, "{\"journal\": 1, \"path\": %s, \"directory\": %s, \"layout\":\n%s}\n", name_text,
                         directory_text, json) >= 0;
    if (done && !folders_write(j->file, text)) done = refuse(error, j->file);
    j->there |= done;
    free(text);
    free(directory_text);
    free(lies_in);
    free(name_text);
    cJSON_Delete(directory);
    cJSON_Delete(name);
    free(whole);
    free(json);
    return done;
}

void journal_drop(journal *j) {
    if (j && j->there) unlink(j->file);
    if (j) j->there = false;
}

void journal_close(journal *j) {
    if (!j) return;
    /* The lock alone tells nothing. */
    if (j->lock && j->lock_fd >= 0 && !j->there) unlink(j->lock);
    if (j->lock_fd >= 0) close(j->lock_fd);
    free(j->lock);
    free(j->file);
    free(j);
}

/* ---- What was left ---- */

static char *read_all(const char *path, time_t *when) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    char *text = NULL;
    if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size < (off_t)256 << 20) {
        size_t size = (size_t)info.st_size, got = 0;
        text = malloc(size + 1);
        for (ssize_t n; text && got < size && (n = read(fd, text + got, size - got)) > 0;) got += (size_t)n;
        if (text) text[got] = '\0';
        *when = info.st_mtime;
    }
    if (fd >= 0) close(fd);
    return text;
}

static cpl_layout *parse(const char *text, const char *wanted) {
    static const char mark[] = "\"layout\":\n";
    const char *json = strstr(text, mark);
    cJSON *root = json ? cJSON_Parse(text) : NULL;
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "path"));
    const char *directory = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "directory"));
    cpl_layout *layout = NULL;
    if (json && path && directory && !strcmp(path, wanted)) {
        json += sizeof mark - 1;
        const char *end = strrchr(json, '}');
        char *own = end ? strndup(json, (size_t)(end - json)) : NULL;
        layout = own ? cpl_layout_parse(own, *directory ? directory : NULL, "journal", NULL) : NULL;
        free(own);
    }
    cJSON_Delete(root);
    return layout;
}

/* Looks into one journal whose editor is gone. */
static void consider(const char *lock, const char *wanted, journal_left *best) {
    char *file = strndup(lock, strlen(lock) - strlen(LOCK)), *own = strdup(lock);
    time_t when = 0;
    char *text = file && own ? read_all(file, &when) : NULL;
    if (!text && file && access(file, F_OK) != 0) unlink(lock); /* it had nothing unsaved */
    cpl_layout *layout = text ? parse(text, wanted) : NULL;
    free(text);
    if (layout && (!best->layout || when > best->when)) {
        journal_left_clear(best);
        *best = (journal_left){.file = file, .lock = own, .layout = layout, .when = when};
        return;
    }
    cpl_layout_free(layout);
    free(file);
    free(own);
}

bool journal_find(const char *path, journal_left *left) {
    *left = (journal_left){0};
    char *where = folder(), *wanted = path ? folders_whole(path) : strdup("");
    DIR *open = where && wanted ? opendir(where) : NULL;
    const struct dirent *entry;
    while (open && (entry = readdir(open))) {
        size_t length = strlen(entry->d_name);
        char *lock = NULL;
        if (length <= strlen(LOCK) || strcmp(entry->d_name + length - strlen(LOCK), LOCK) != 0 ||
            asprintf(&lock, "%s/%s", where, entry->d_name) < 0)
            continue;
        int fd = take_lock(lock, 0);
        if (fd >= 0) {
            consider(lock, wanted, left);
            close(fd);
        }
        free(lock);
    }
    if (open) closedir(open);
    free(wanted);
    free(where);
    return left->layout != NULL;
}

void journal_left_remove(journal_left *left) {
    if (left->file) unlink(left->file);
    if (left->lock) unlink(left->lock);
    journal_left_clear(left);
}

void journal_left_clear(journal_left *left) {
    free(left->file);
    free(left->lock); /* NOLINT(clang-analyzer-unix.Malloc): the last line forgets what is freed here */
    cpl_layout_free(left->layout);
    *left = (journal_left){0};
}
