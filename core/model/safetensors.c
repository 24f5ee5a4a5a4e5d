/* safetensors.c: opens checkpoints and reads tensors on demand, with pread and never through a mapping, so that a file
 * that shrinks under the program is an error and not a signal. The header is checked in st_header.c, files are written
 * in st_write.c. Big-endian machines are not served: the format is little-endian and read as it lies. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/hash.h"
#include "st_convert.h"
#include "st_header.h"
#include "st_kind.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are read as they lie in the file");

#define MAX_HEADER ((uint64_t)100 * 1000 * 1000) /* the reference implementation's limit */

struct cpl_safetensors {
    char *path;                  /* owned */
    int fd;                      /* -1: in memory */
    const unsigned char *memory; /* borrowed */
    uint64_t size;
    uint64_t identity;
    st_header header;
};

/* `what` names what is being read, for the message. */
static bool read_at(const cpl_safetensors *st, uint64_t offset, void *out, size_t bytes, const char *what,
                    cpl_error *error) {
    if (st->fd < 0) {
        memcpy(out, st->memory + offset, bytes);
        return true;
    }
    unsigned char *at = out;
    while (bytes) {
        ssize_t got = pread(st->fd, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cpl_fail(error, CPL_E_FILE, "%s: cannot read %s: %s", st->path, what, strerror(errno));
        if (got == 0)
            return cpl_fail(error, CPL_E_FILE, "%s: the file ends inside %s; it was changed while it was in use",
                            st->path, what);
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return true;
}

/* Everything behind open: length, header, checks. */
static bool read_header(cpl_safetensors *st, cpl_error *error) {
    unsigned char first[ST_KIND_BYTES] = {0};
    size_t begin = st->size < sizeof first ? (size_t)st->size : sizeof first;
    uint64_t length;
    if (!read_at(st, 0, first, begin, "the header", error)) return false;
    memcpy(&length, first, sizeof length);
    /* The eight bytes of a length may be anything, but the header begins with a brace. */
    const char *is = begin > 8 && first[8] == '{' ? NULL : cpl_st_kind(first, begin);
    if (is) return cpl_fail(error, CPL_E_FILE, "%s is %s", st->path, is);
    if (st->size < 8)
        return cpl_fail(error, CPL_E_FILE, "%s: too short for a safetensors file (%llu bytes)", st->path,
                        (unsigned long long)st->size);
    if (length > MAX_HEADER || length > st->size - 8)
        return cpl_fail(error, CPL_E_FILE,
                        "%s: not a safetensors file, or cut off: its header would be %llu bytes long, and %llu follow",
                        st->path, (unsigned long long)length, (unsigned long long)(st->size - 8));
    st->header.text = cpl_alloc((size_t)length + 1, 1, error);
    st->header.length = (size_t)length;
    if (!st->header.text || !read_at(st, 8, st->header.text, (size_t)length, "the header", error)) return false;
    /* Taken before parsing decodes the text in place. */
    st->identity = cpl_hash_u64(st->identity, st->size);
    st->identity = cpl_hash_bytes(st->identity, st->header.text, (size_t)length);
    return cpl_st_header_parse(&st->header, st->size - 8 - length, st->path, error);
}

static cpl_safetensors *blank(const char *path, cpl_error *error) {
    cpl_safetensors *st = cpl_alloc(1, sizeof *st, error);
    if (!st) return NULL;
    st->fd = -1;
    st->identity = CPL_HASH_START;
    st->path = cpl_strdup(path, error);
    if (st->path) return st;
    free(st);
    return NULL;
}

static bool open_file(cpl_safetensors *st, cpl_error *error) {
    struct stat about;
    /* O_NONBLOCK: a named pipe must be refused, not waited for. It means nothing for a regular file. */
    st->fd = open(st->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (st->fd < 0 || fstat(st->fd, &about))
        return cpl_fail(error, CPL_E_FILE, "%s: cannot open: %s", st->path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return cpl_fail(error, CPL_E_FILE, "%s: not a file%s", st->path,
                        S_ISDIR(about.st_mode) ? " but a folder; name the .safetensors file inside it" : "");
    st->size = (uint64_t)about.st_size;
    /* Fine-tunes of one model have equal headers and sizes, and a copy or an archive may give them one time as well. */
    const uint64_t facts[] = {(uint64_t)about.st_dev, (uint64_t)about.st_ino, (uint64_t)about.st_mtim.tv_sec,
                              (uint64_t)about.st_mtim.tv_nsec};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) st->identity = cpl_hash_u64(st->identity, facts[i]);
    return read_header(st, error);
}

cpl_safetensors *cpl_safetensors_open(const char *path, cpl_error *error) {
    cpl_safetensors *st = blank(path, error);
    if (st && open_file(st, error)) return st;
    cpl_safetensors_close(st);
    return NULL;
}

cpl_safetensors *cpl_safetensors_memory(const void *data, size_t size, const char *name, cpl_error *error) {
    cpl_safetensors *st = blank(name, error);
    if (!st) return NULL;
    st->memory = data;
    st->size = size;
    if (read_header(st, error)) return st;
    cpl_safetensors_close(st);
    return NULL;
}

void cpl_safetensors_close(cpl_safetensors *st) {
    if (!st) return;
    if (st->fd >= 0) close(st->fd);
    cpl_st_header_clear(&st->header);
    free(st->path);
    free(st);
}

const char *cpl_safetensors_path(const cpl_safetensors *st) { return st->path; }

uint64_t cpl_safetensors_identity(const cpl_safetensors *st) { return st->identity; }

int cpl_safetensors_count(const cpl_safetensors *st) { return st->header.count; }

const cpl_st_entry *cpl_safetensors_at(const cpl_safetensors *st, int index) {
    return index >= 0 && index < st->header.count ? &st->header.entries[index] : NULL;
}

const cpl_st_entry *cpl_safetensors_find(const cpl_safetensors *st, const char *name) {
    int low = 0, high = st->header.count;
    while (low < high) {
        int mid = low + (high - low) / 2, order = strcmp(name, st->header.by_name[mid]->name);
        if (order == 0) return st->header.by_name[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const char *cpl_safetensors_metadata(const cpl_safetensors *st, const char *key) {
    for (int i = 0; i < st->header.pairs; i++)
        if (!strcmp(st->header.metadata[i].key, key)) return st->header.metadata[i].value;
    return NULL;
}

static bool read_values(const cpl_safetensors *st, const cpl_st_entry *e, uint64_t from, void *out, size_t bytes,
                        cpl_error *error) {
    char what[160];
    snprintf(what, sizeof what, "tensor %.140s", e->name);
    return read_at(st, 8 + st->header.length + e->offset + from, out, bytes, what, error);
}

bool cpl_safetensors_raw(const cpl_safetensors *st, const cpl_st_entry *entry, uint64_t from, size_t bytes, void *out,
                         cpl_error *error) {
    return read_values(st, entry, from, out, bytes, error);
}

/* Walks a tensor in pieces that fit a buffer on the stack: no second copy of a large one, and values are aligned. */
static bool read_converted(const cpl_safetensors *st, const cpl_st_entry *e, void *out, size_t out_bytes,
                           st_convert *convert, cpl_error *error) {
    uint64_t piece[2048];
    size_t width = (size_t)cpl_st_dtype_bytes(e->dtype), room = sizeof piece / width;
    for (size_t done = 0, count = (size_t)e->count; done < count;) {
        size_t now = count - done < room ? count - done : room;
        if (!read_values(st, e, done * width, piece, now * width, error)) return false;
        convert((unsigned char *)out + done * out_bytes, piece, now);
        done += now;
    }
    return true;
}

float *cpl_safetensors_f32(const cpl_safetensors *st, const cpl_st_entry *entry, cpl_error *error) {
    float *values = cpl_alloc((size_t)entry->count + !entry->count, sizeof *values, error);
    if (values && read_converted(st, entry, values, sizeof *values, cpl_st_to_f32(entry->dtype), error)) return values;
    free(values);
    return NULL;
}

int64_t *cpl_safetensors_i64(const cpl_safetensors *st, const cpl_st_entry *entry, cpl_error *error) {
    st_convert *convert = cpl_st_to_i64(entry->dtype);
    if (!convert) {
        cpl_fail(error, CPL_E_FILE, "%s: tensor %s is of type %s, but whole numbers were expected", st->path,
                 entry->name, entry->dtype);
        return NULL;
    }
    int64_t *values = cpl_alloc((size_t)entry->count + !entry->count, sizeof *values, error);
    bool ok = values && read_converted(st, entry, values, sizeof *values, convert, error);
    for (int64_t i = 0; ok && entry->dtype[0] == 'U' && i < entry->count; i++)
        if (values[i] < 0)
            ok = cpl_fail(error, CPL_E_FILE, "%s: tensor %s holds a number above 2^63", st->path, entry->name);
    if (ok) return values;
    free(values);
    return NULL;
}
