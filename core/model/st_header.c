/* st_header.c: parses the JSON header of a safetensors file and believes nothing in it before it is checked.
 *
 * A parser of its own, not cJSON: a header may be 100 MB, offsets need all 64 bits, and the format knows exactly one
 * shape of document, so anything else can be refused at the byte where it appears, before memory is spent on it. */
#include "st_header.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"

typedef struct scan {
    char *at, *end;
    const char *start, *file;
    cpl_error *error;
} scan;

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {
    {"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4},  {"U32", 4},     {"F16", 2},     {"BF16", 2},
    {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1},
};

int cpl_st_dtype_bytes(const char *dtype) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, dtype)) return dtypes[i].bytes;
    return 0;
}

static bool bad(const scan *s, const char *what) {
    return cpl_fail(s->error, CPL_E_FILE, "%s: damaged safetensors header: %s at byte %zu; get the file again", s->file,
                    what, (size_t)(s->at - s->start) + 8);
}

static void blanks(scan *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) s->at++;
}

/* The next character that is not blank, taken if it is `c`. */
static bool take(scan *s, char c) {
    blanks(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static int hex4(const scan *s, const char *p) {
    int value = 0;
    if (s->end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int c = (unsigned char)p[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *put_utf8(char *out, unsigned code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 63));
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    }
    return out;
}

/* After a backslash. A NUL would cut the name that C sees short, so \u0000 is refused. */
static bool escape(scan *s, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = s->at < s->end ? *s->at++ : 0;
    const char *plain = c ? strchr(from, c) : NULL;
    if (plain) {
        *(*out)++ = to[plain - from];
        return true;
    }
    int code = c == 'u' ? hex4(s, s->at) : -1;
    if (code <= 0 || (code >= 0xDC00 && code < 0xE000)) return bad(s, "a wrong escape");
    s->at += 4;
    if (code >= 0xD800 && code < 0xDC00) {
        int low = s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u' ? hex4(s, s->at + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF) return bad(s, "half a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        s->at += 6;
    }
    *out = put_utf8(*out, (unsigned)code);
    return true;
}

/* A string, decoded where it stands (it never grows) and ended by a NUL in the place of its closing quote or before. */
static bool string(scan *s, const char **text) {
    if (!take(s, '"')) return bad(s, "no string where one must be");
    char *out = s->at;
    *text = out;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20) return bad(s, "a control character in a string");
        if (*s->at != '\\') {
            *out++ = *s->at++;
            continue;
        }
        s->at++;
        if (!escape(s, &out)) return false;
    }
    if (s->at == s->end) return bad(s, "a string without an end");
    s->at++;
    *out = 0;
    return true;
}

/* A whole number from 0 to 2^63 - 1; fractions, signs and exponents have no business here. */
static bool whole(scan *s, uint64_t *value) {
    blanks(s);
    char *first = s->at;
    *value = 0;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        unsigned digit = (unsigned)(*s->at - '0');
        if (*value > ((uint64_t)INT64_MAX - digit) / 10) return bad(s, "a number that is too large");
        *value = *value * 10 + digit;
        s->at++;
    }
    if (s->at == first) return bad(s, "no whole number where one must be");
    if (*first == '0' && s->at - first > 1) return bad(s, "a number with leading zeros");
    return true;
}

/* `max` numbers at most; *count of them. */
static bool numbers(scan *s, uint64_t *list, int max, int *count) {
    *count = 0;
    if (!take(s, '[')) return bad(s, "no list where one must be");
    if (take(s, ']')) return true;
    do {
        if (*count == max) return bad(s, "a list that is too long");
        if (!whole(s, &list[(*count)++])) return false;
    } while (take(s, ','));
    return take(s, ']') || bad(s, "a list without an end");
}

static bool metadata(scan *s, st_header *h) {
    if (!take(s, '{')) return bad(s, "metadata that is no object");
    if (take(s, '}')) return true;
    do {
        if (!cpl_grow((void **)&h->metadata, &h->pairs_room, h->pairs + 1, sizeof *h->metadata, s->error)) return false;
        st_pair *pair = &h->metadata[h->pairs];
        if (!string(s, &pair->key)) return false;
        if (!take(s, ':')) return bad(s, "no colon");
        if (!string(s, &pair->value)) return false;
        h->pairs++;
    } while (take(s, ','));
    return take(s, '}') || bad(s, "metadata without an end");
}

/* Checks what an entry says of itself; its place among the others is checked when all are known. */
static bool settle(const scan *s, cpl_st_entry *e, const char *dtype, const uint64_t *shape, const uint64_t *offsets) {
    int width = cpl_st_dtype_bytes(dtype);
    if (!width)
        return cpl_fail(s->error, CPL_E_FILE, "%s: tensor %s has the type '%s', which is not known here", s->file,
                        e->name, dtype);
    memcpy(e->dtype, dtype, strlen(dtype) + 1);
    e->count = 1;
    for (int i = 0; i < e->rank; i++) {
        int64_t side = (int64_t)shape[i];
        e->shape[i] = side;
        if (side > 0 && e->count > INT64_MAX / 8 / side)
            return cpl_fail(s->error, CPL_E_FILE, "%s: tensor %s has an impossible shape; get the file again", s->file,
                            e->name);
        e->count *= side;
    }
    if (offsets[0] > offsets[1])
        return cpl_fail(s->error, CPL_E_FILE, "%s: tensor %s ends before it begins; get the file again", s->file,
                        e->name);
    e->offset = offsets[0];
    e->bytes = offsets[1] - offsets[0];
    if (e->bytes != (uint64_t)e->count * (uint64_t)width)
        return cpl_fail(s->error, CPL_E_FILE,
                        "%s: tensor %s has %llu bytes, but its shape and type %s need %llu; get the file again",
                        s->file, e->name, (unsigned long long)e->bytes, dtype,
                        (unsigned long long)e->count * (unsigned long long)width);
    return true;
}

static bool entry(scan *s, cpl_st_entry *e) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    unsigned seen = 0;
    const char *key = "", *dtype = "";
    uint64_t shape[8], offsets[2];
    int two = 0;
    if (!take(s, '{')) return bad(s, "a tensor that is no object");
    do {
        if (!string(s, &key)) return false;
        if (!take(s, ':')) return bad(s, "no colon");
        unsigned bit = !strcmp(key, "dtype")          ? DTYPE
                       : !strcmp(key, "shape")        ? SHAPE
                       : !strcmp(key, "data_offsets") ? OFFSETS
                                                      : 0;
        if (!bit || (seen & bit)) return bad(s, "an unknown or repeated key in a tensor");
        seen |= bit;
        if (bit == DTYPE && !string(s, &dtype)) return false;
        if (bit == SHAPE && !numbers(s, shape, 8, &e->rank)) return false;
        if (bit == OFFSETS && !numbers(s, offsets, 2, &two)) return false;
    } while (take(s, ','));
    if (!take(s, '}')) return bad(s, "a tensor without an end");
    if (seen != (DTYPE | SHAPE | OFFSETS) || two != 2)
        return bad(s, "a tensor without dtype, shape or two data_offsets");
    return settle(s, e, dtype, shape, offsets);
}

static bool document(scan *s, st_header *h) {
    bool metadata_seen = false;
    if (!take(s, '{')) return bad(s, "no object");
    if (take(s, '}')) return true;
    do {
        const char *name = "";
        if (!string(s, &name)) return false;
        if (!take(s, ':')) return bad(s, "no colon");
        if (!strcmp(name, "__metadata__")) {
            if (metadata_seen) return bad(s, "a second __metadata__");
            metadata_seen = true;
            if (!metadata(s, h)) return false;
            continue;
        }
        if (!*name) return bad(s, "a tensor without a name");
        if (!cpl_grow((void **)&h->entries, &h->room, h->count + 1, sizeof *h->entries, s->error)) return false;
        cpl_st_entry *e = &h->entries[h->count];
        *e = (cpl_st_entry){.name = name};
        if (!entry(s, e)) return false;
        h->count++;
    } while (take(s, ','));
    return take(s, '}') || bad(s, "an object without an end");
}

static int name_order(const void *a, const void *b) {
    return strcmp((*(const cpl_st_entry *const *)a)->name, (*(const cpl_st_entry *const *)b)->name);
}

static int place_order(const void *a, const void *b) {
    const cpl_st_entry *x = *(const cpl_st_entry *const *)a, *y = *(const cpl_st_entry *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Laid end to end the tensors must fill the data exactly. `list` holds them in order of place. */
static bool tile(const cpl_st_entry *const *list, int count, uint64_t data_bytes, const char *file, cpl_error *error) {
    uint64_t at = 0;
    for (int i = 0; i < count; i++) {
        const cpl_st_entry *e = list[i];
        if (e->bytes > data_bytes || e->offset > data_bytes - e->bytes)
            return cpl_fail(error, CPL_E_FILE, "%s: the file ends before its tensor %s does; get the file again", file,
                            e->name);
        if (e->offset != at)
            return cpl_fail(error, CPL_E_FILE, "%s: tensor %s %s; get the file again", file, e->name,
                            e->offset < at ? "overlaps another" : "follows a hole in the data");
        at += e->bytes;
    }
    if (at != data_bytes)
        return cpl_fail(error, CPL_E_FILE, "%s: %llu bytes follow the last tensor; get the file again", file,
                        (unsigned long long)(data_bytes - at));
    return true;
}

static bool index_entries(st_header *h, uint64_t data_bytes, const char *file, cpl_error *error) {
    size_t count = (size_t)h->count;
    h->by_name = cpl_alloc(count + 1, sizeof(void *), error);
    if (!h->by_name) return false;
    for (size_t i = 0; i < count; i++) h->by_name[i] = &h->entries[i];
    qsort(h->by_name, count, sizeof(void *), place_order);
    if (!tile(h->by_name, h->count, data_bytes, file, error)) return false;
    qsort(h->by_name, count, sizeof(void *), name_order);
    for (size_t i = 1; i < count; i++)
        if (!strcmp(h->by_name[i - 1]->name, h->by_name[i]->name))
            return cpl_fail(error, CPL_E_FILE, "%s: tensor %s stands in the header twice; get the file again", file,
                            h->by_name[i]->name);
    return true;
}

/* Overlong forms, surrogates and code points past U+10FFFF are refused: two spellings of one name would not be equal. */
static bool is_utf8(const unsigned char *p, const unsigned char *end) {
    while (p < end) {
        unsigned c = *p++;
        if (c < 0x80) continue;
        int more = c >= 0xC2 && c < 0xE0 ? 1 : c >= 0xE0 && c < 0xF0 ? 2 : c >= 0xF0 && c < 0xF5 ? 3 : 0;
        if (!more || end - p < more) return false;
        if ((c == 0xE0 && *p < 0xA0) || (c == 0xED && *p > 0x9F) || (c == 0xF0 && *p < 0x90) ||
            (c == 0xF4 && *p > 0x8F))
            return false;
        for (; more; more--, p++)
            if ((*p & 0xC0) != 0x80) return false;
    }
    return true;
}

bool cpl_st_header_parse(st_header *h, uint64_t data_bytes, const char *file, cpl_error *error) {
    scan s = {h->text, h->text + h->length, h->text, file, error};
    const unsigned char *bytes = (const unsigned char *)h->text;
    if (memchr(h->text, 0, h->length))
        return cpl_fail(error, CPL_E_FILE, "%s: damaged safetensors header: a NUL byte; get the file again", file);
    if (!is_utf8(bytes, bytes + h->length))
        return cpl_fail(error, CPL_E_FILE, "%s: damaged safetensors header: not UTF-8; get the file again", file);
    if (!document(&s, h)) return false;
    blanks(&s);
    if (s.at != s.end) return bad(&s, "something after the object");
    return index_entries(h, data_bytes, file, error);
}

void cpl_st_header_clear(st_header *h) {
    free(h->text);
    free(h->entries);
    free(h->by_name);
    free(h->metadata);
    *h = (st_header){0};
}
