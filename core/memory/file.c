/* file.c: reading a file whole and replacing one atomically. It does not know what is inside. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"

/* strerror is not safe with threads; the reentrant one of glibc returns the text. */
static bool fail_errno(cpl_error *error, const char *what, const char *path, int number) {
    char text[128];
    return cpl_fail(error, CPL_E_FILE, "%s: %s: %s", path, what, strerror_r(number, text, sizeof text));
}

static void *read_all(int fd, const char *path, size_t expected, size_t limit, size_t *size, cpl_error *error) {
    size_t room = expected < limit ? expected + 1 : limit + 1, used = 0;
    char *data = cpl_alloc(room + 1, 1, error);
    while (data) {
        ssize_t got = read(fd, data + used, room - used);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            if (got == 0 && used <= limit) break;
            if (got < 0) fail_errno(error, "cannot be read", path, errno);
        } else if ((used += (size_t)got) < room) {
            continue;
        } else if (used <= limit) { /* a pipe, or a file that grows */
            room = room < limit / 2 ? room * 2 : limit + 1;
            char *grown = realloc(data, room + 1);
            if (grown) {
                data = grown;
                continue;
            }
            cpl_fail(error, CPL_E_MEMORY, "%s: out of memory while reading", path);
        } else {
            cpl_fail(error, CPL_E_FILE, "%s: larger than %zu MiB, which is the most that is read", path, limit >> 20);
        }
        free(data);
        return NULL;
    }
    if (data) data[used] = '\0';
    if (data && size) *size = used;
    return data;
}

void *cpl_file_read(const char *path, size_t limit, size_t *size, cpl_error *error) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_errno(error, "cannot be opened", path, errno);
        return NULL;
    }
    struct stat st;
    void *data = NULL;
    if (fstat(fd, &st) != 0)
        fail_errno(error, "cannot be read", path, errno);
    else if (S_ISDIR(st.st_mode))
        cpl_fail(error, CPL_E_FILE, "%s: is a folder; name a file in it", path);
    else
        data = read_all(fd, path, S_ISREG(st.st_mode) ? (size_t)st.st_size : 65536, limit, size, error);
    close(fd);
    return data;
}

static bool write_all(int fd, const void *data, size_t size) {
    for (const char *p = data; size > 0;) {
        ssize_t put = write(fd, p, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        p += put;
        size -= (size_t)put;
    }
    return true;
}

char *cpl_path_folder(const char *path, cpl_error *error) {
    const char *slash = strrchr(path, '/');
    return cpl_strndup(path, slash ? (size_t)(slash - path) + (slash == path) : 0, error);
}

char *cpl_path_join(const char *folder, const char *name, cpl_error *error) {
    if (!folder || !*folder || name[0] == '/') return cpl_strdup(name, error);
    bool ends = folder[strlen(folder) - 1] == '/';
    return cpl_format(error, "%s%s%s", folder, ends ? "" : "/", name);
}

/* A new name in the folder of `path`, opened. mkstemp would ignore the user's umask. */
static int open_temporary(const char *path, char **name, cpl_error *error) {
    static atomic_uint serial;
    char *folder = cpl_path_folder(path, error);
    int fd = -1;
    for (int attempt = 0; folder && fd < 0 && attempt < 100; attempt++) {
        free(*name);
        *name = cpl_format(error, "%s%s.couplet-%ld-%u.tmp", folder, *folder && strcmp(folder, "/") ? "/" : "",
                           (long)getpid(), atomic_fetch_add(&serial, 1));
        if (!*name) break;
        fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0 && *name) fail_errno(error, "cannot be written", path, errno);
    free(folder);
    return fd;
}

/* The rename itself is only durable once the folder is synced; some file systems cannot, which is no failure. */
static void sync_folder(const char *path) {
    char *folder = cpl_path_folder(path, NULL);
    int fd = folder ? open(*folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

static bool replace_regular(const char *path, const struct stat *old, const void *data, size_t size, cpl_error *error) {
    char *name = NULL;
    int fd = open_temporary(path, &name, error);
    bool done = false;
    if (fd >= 0) {
        bool kept = !old || fchmod(fd, old->st_mode & 07777) == 0;
        done = kept && write_all(fd, data, size) && fsync(fd) == 0;
        int number = errno;
        if (close(fd) != 0 && done) {
            done = false;
            number = errno;
        }
        if (done && rename(name, path) != 0) {
            done = false;
            number = errno;
        }
        if (!done) {
            unlink(name);
            fail_errno(error, "cannot be written", path, number);
        }
    }
    if (done) sync_folder(path);
    free(name);
    return done;
}

static bool write_special(const char *path, const void *data, size_t size, cpl_error *error) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write_all(fd, data, size);
    if (!done) fail_errno(error, "cannot be written", path, errno);
    if (fd >= 0) close(fd);
    return done;
}

bool cpl_file_replace(const char *path, const void *data, size_t size, cpl_error *error) {
    struct stat st;
    if (!*path) return cpl_fail(error, CPL_E_FILE, "an empty file name cannot be written");
    if (stat(path, &st) != 0) return replace_regular(path, NULL, data, size, error);
    if (S_ISDIR(st.st_mode)) return cpl_fail(error, CPL_E_FILE, "%s: is a folder; name a file in it", path);
    if (!S_ISREG(st.st_mode)) return write_special(path, data, size, error);
    if (access(path, W_OK) != 0) return fail_errno(error, "cannot be written", path, errno);
    /* renaming over a symbolic link would replace the link, not the file it points to */
    char *real = realpath(path, NULL);
    if (!real) return fail_errno(error, "cannot be written", path, errno);
    bool done = replace_regular(real, &st, data, size, error);
    free(real);
    return done;
}
