/* tokenizer.c: CLIP's byte-level byte pair encoding on a vocabulary from vocab.json and merges.txt. Symbols are ids from
 * the start, so that encoding compares numbers and never strings. What a text looks like before it is split into pieces is
 * token_text.c's subject; emphasis and chunks are prompt.c's. */
#include "tokenizer.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../memory/alloc.h"
#include "../memory/hash.h"
#include "../memory/unicode.h"
#include "token_text.h"

#define MAX_FILE_BYTES ((off_t)64 << 20)
#define MAX_TOKENS (1 << 24)

typedef struct merge {
    int left, right; /* left -1: an empty slot */
    int rank, result;
} merge;

struct cpl_tokenizer {
    int byte[256], last_byte[256]; /* a byte's symbol inside of a piece, and at its end */
    merge *merges;                 /* owned: hash table, linear probing */
    bool *ends;                    /* owned: [size], whether a word ends with a token */
    size_t mask;
    int start, end, comma, size;
};

typedef struct vocab_word {
    const char *text; /* borrowed; NULL: an empty slot */
    int id;
} vocab_word;

/* The vocabulary as text to id, needed only while a tokenizer is built. */
typedef struct word_map {
    vocab_word *slots; /* owned: hash table, linear probing */
    size_t mask;
    const char *name; /* borrowed, for messages */
    cpl_error *error;
} word_map;

static size_t table_size(size_t entries) {
    size_t size = 16;
    while (size < entries * 2) size *= 2;
    return size;
}

static vocab_word *word_slot(const word_map *map, const char *text) {
    size_t at = (size_t)cpl_hash_text(CPL_HASH_START, text) & map->mask;
    while (map->slots[at].text && strcmp(map->slots[at].text, text) != 0) at = (at + 1) & map->mask;
    return &map->slots[at];
}

static int word_id(const word_map *map, const char *text) {
    const vocab_word *found = word_slot(map, text);
    return found->text ? found->id : -1;
}

/* `seen` has a byte for each of the `total` ids. */
static bool map_word(word_map *map, const cJSON *item, unsigned char *seen, size_t total) {
    double id = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(id >= 0 && id < (double)total) || id != (double)(int)id || seen[(int)id]++)
        return cpl_fail(map->error, CPL_E_FILE, "%s: vocab.json: the ids are not 0 to %zu, each once, at '%s'",
                        map->name, total - 1, item->string);
    vocab_word *slot = word_slot(map, item->string);
    if (slot->text)
        return cpl_fail(map->error, CPL_E_FILE, "%s: vocab.json: '%s' stands there twice", map->name, item->string);
    *slot = (vocab_word){item->string, (int)id};
    return true;
}

/* Ids must be 0 ... count - 1, each once. */
static bool map_words(word_map *map, const cJSON *vocabulary, int *count) {
    size_t total = 0;
    for (const cJSON *item = vocabulary->child; item; item = item->next) total++;
    if (total < 2 || total > MAX_TOKENS) {
        cpl_fail(map->error, CPL_E_FILE, "%s: vocab.json has %zu entries, which cannot be right", map->name, total);
        return false;
    }
    unsigned char *seen = cpl_alloc(total, 1, map->error);
    map->mask = table_size(total) - 1;
    map->slots = cpl_alloc(map->mask + 1, sizeof *map->slots, map->error);
    bool ok = map->slots && seen;
    for (const cJSON *item = vocabulary->child; ok && item; item = item->next) ok = map_word(map, item, seen, total);
    free(seen);
    *count = (int)total;
    return ok && map->slots;
}

/* GPT-2's alphabet: a byte that prints stands for itself, the others for 256, 257, ... in order. */
static uint32_t byte_letter(int byte) {
    static const int gaps[][2] = {{0, 33}, {127, 161}, {173, 174}}; /* bytes that do not print: first to last + 1 */
    uint32_t next = 256;
    for (size_t i = 0; i < 3; i++) {
        if (byte < gaps[i][0]) break;
        if (byte < gaps[i][1]) return next + (uint32_t)(byte - gaps[i][0]);
        next += (uint32_t)(gaps[i][1] - gaps[i][0]);
    }
    return (uint32_t)byte;
}

static bool find_symbols(cpl_tokenizer *t, const word_map *map) {
    for (int b = 0; b < 256; b++) {
        char text[12];
        size_t n = cpl_utf8_put(text, byte_letter(b));
        text[n] = 0;
        t->byte[b] = word_id(map, text);
        if (t->byte[b] >= 0) memcpy(text + n, "</w>", 5); /* so that a message names the one that is missing */
        t->last_byte[b] = word_id(map, text);
        if (t->last_byte[b] < 0)
            return cpl_fail(map->error, CPL_E_FILE, "%s: vocab.json lacks '%s', so it is not CLIP's kind of vocabulary",
                            map->name, text);
    }
    t->start = word_id(map, CPL_START_MARKER);
    t->end = word_id(map, CPL_END_MARKER);
    t->comma = word_id(map, ",</w>");
    if (t->start < 0 || t->end < 0)
        return cpl_fail(map->error, CPL_E_FILE, "%s: vocab.json lacks " CPL_START_MARKER " or " CPL_END_MARKER,
                        map->name);
    return true;
}

static bool note_ends(cpl_tokenizer *t, const word_map *map) {
    t->ends = cpl_alloc((size_t)t->size, sizeof *t->ends, map->error);
    for (size_t i = 0; t->ends && i <= map->mask; i++) {
        const char *text = map->slots[i].text;
        size_t length = text ? strlen(text) : 0;
        if (length >= 4 && strcmp(text + length - 4, "</w>") == 0) t->ends[map->slots[i].id] = true;
    }
    if (t->ends) t->ends[t->start] = t->ends[t->end] = true;
    return t->ends;
}

static merge *merge_slot(const cpl_tokenizer *t, int left, int right) {
    uint64_t key = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(key >> 32) & t->mask;
    while (t->merges[at].left >= 0 && (t->merges[at].left != left || t->merges[at].right != right))
        at = (at + 1) & t->mask;
    return &t->merges[at];
}

/* One line "left right" of merges.txt, `length` long. */
static bool add_merge(cpl_tokenizer *t, const word_map *map, const char *line, size_t length, int number, int rank) {
    char left[256], right[256], joined[sizeof left + sizeof right];
    const char *blank = memchr(line, ' ', length);
    size_t first = blank ? (size_t)(blank - line) : 0, second = blank ? length - first - 1 : 0;
    if (!first || !second || length >= sizeof left || memchr(blank + 1, ' ', second))
        return cpl_fail(map->error, CPL_E_FILE, "%s: merges.txt line %d is not two symbols with a blank between them",
                        map->name, number);
    snprintf(left, sizeof left, "%.*s", (int)first, line);
    snprintf(right, sizeof right, "%.*s", (int)second, blank + 1);
    snprintf(joined, sizeof joined, "%s%s", left, right);
    merge m = {word_id(map, left), word_id(map, right), rank, word_id(map, joined)};
    if (m.left < 0 || m.right < 0 || m.result < 0)
        return cpl_fail(map->error, CPL_E_FILE,
                        "%s: merges.txt line %d: '%s' is not in vocab.json; the files do not belong together",
                        map->name, number,
                        m.left < 0    ? left
                        : m.right < 0 ? right
                                      : joined);
    merge *slot = merge_slot(t, m.left, m.right);
    if (slot->left < 0) *slot = m;
    return true;
}

static bool read_merges(cpl_tokenizer *t, const word_map *map, const char *text) {
    size_t lines = 1;
    for (const char *p = text; (p = strchr(p, '\n')); p++) lines++;
    t->mask = table_size(lines) - 1;
    t->merges = cpl_alloc(t->mask + 1, sizeof *t->merges, map->error);
    if (!t->merges) return false;
    for (size_t i = 0; i <= t->mask; i++) t->merges[i].left = -1;
    int number = 0, rank = 0;
    while (*text) {
        size_t length = strcspn(text, "\n"), used = length;
        if (used && text[used - 1] == '\r') used--;
        number++;
        bool version = number == 1 && !strncmp(text, "#version", 8);
        if (used && !version && !add_merge(t, map, text, used, number, rank++)) return false;
        text += length + (text[length] != 0);
    }
    return true;
}

cpl_tokenizer *cpl_tokenizer_parse(const char *vocab_json, const char *merges, const char *name, cpl_error *error) {
    word_map map = {.name = name, .error = error};
    cpl_tokenizer *t = cpl_alloc(1, sizeof *t, error);
    cJSON *vocabulary = t ? cJSON_Parse(vocab_json) : NULL;
    bool ok =
        t && (cJSON_IsObject(vocabulary) || cpl_fail(error, CPL_E_FILE, "%s: vocab.json is not a JSON object", name));
    ok = ok && map_words(&map, vocabulary, &t->size) && find_symbols(t, &map) && note_ends(t, &map) &&
         read_merges(t, &map, merges);
    free(map.slots);
    cJSON_Delete(vocabulary);
    if (ok) return t;
    cpl_tokenizer_free(t);
    return NULL;
}

static char *read_text(const char *directory, const char *file, cpl_error *error) {
    char *path = cpl_format(error, "%s/%s", directory, file), *text = NULL;
    struct stat about;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (path && (fd < 0 || fstat(fd, &about))) {
        cpl_fail(error, CPL_E_FILE, "%s: cannot open: %s", path, strerror(errno));
    } else if (path && (!S_ISREG(about.st_mode) || about.st_size > MAX_FILE_BYTES)) {
        cpl_fail(error, CPL_E_FILE, "%s: not a file, or too large for a tokenizer", path);
    } else if (path && (text = cpl_alloc((size_t)about.st_size + 1, 1, error))) {
        ssize_t got = 0;
        for (off_t at = 0; at < about.st_size && (got = read(fd, text + at, (size_t)(about.st_size - at))) > 0;)
            at += got;
        if (got < 0) {
            cpl_fail(error, CPL_E_FILE, "%s: cannot read: %s", path, strerror(errno));
            free(text);
            text = NULL;
        }
    }
    if (fd >= 0) close(fd);
    free(path);
    return text;
}

cpl_tokenizer *cpl_tokenizer_open(const char *directory, cpl_error *error) {
    char *vocabulary = read_text(directory, "vocab.json", error);
    char *merges = vocabulary ? read_text(directory, "merges.txt", error) : NULL;
    cpl_tokenizer *t = merges ? cpl_tokenizer_parse(vocabulary, merges, directory, error) : NULL;
    free(vocabulary);
    free(merges);
    return t;
}

void cpl_tokenizer_free(cpl_tokenizer *tokenizer) {
    if (!tokenizer) return;
    free(tokenizer->merges);
    free(tokenizer->ends);
    free(tokenizer);
}

int cpl_tokenizer_start(const cpl_tokenizer *tokenizer) { return tokenizer->start; }
int cpl_tokenizer_end(const cpl_tokenizer *tokenizer) { return tokenizer->end; }
int cpl_tokenizer_size(const cpl_tokenizer *tokenizer) { return tokenizer->size; }
int cpl_tokenizer_comma(const cpl_tokenizer *tokenizer) { return tokenizer->comma; }
bool cpl_tokenizer_ends_word(const cpl_tokenizer *tokenizer, int id) { return tokenizer->ends[id]; }

/* Merges the symbols of one piece in place: always the pair of the lowest rank, all its occurrences from left to right. */
static int merge_symbols(const cpl_tokenizer *t, int *symbols, int count) {
    while (count > 1) {
        const merge *best = NULL;
        for (int i = 0; i + 1 < count; i++) {
            const merge *m = merge_slot(t, symbols[i], symbols[i + 1]);
            if (m->left >= 0 && (!best || m->rank < best->rank)) best = m;
        }
        if (!best) break;
        int to = 0;
        for (int i = 0; i < count; to++) {
            bool pair = i + 1 < count && symbols[i] == best->left && symbols[i + 1] == best->right;
            symbols[to] = pair ? best->result : symbols[i];
            i += pair ? 2 : 1;
        }
        count = to;
    }
    return count;
}

/* `ids` has room for 4 per code point. Returns how many there are. */
static int encode_piece(const cpl_tokenizer *t, const token_piece *piece, int *ids) {
    int count = 0;
    if (cpl_token_piece_is(piece, CPL_START_MARKER) || cpl_token_piece_is(piece, CPL_END_MARKER)) {
        ids[0] = piece->code[2] == 's' ? t->start : t->end;
        return 1;
    }
    for (size_t i = 0; i < piece->count; i++) {
        char bytes[4];
        size_t n = cpl_utf8_put(bytes, piece->code[i]);
        for (size_t k = 0; k < n; k++) {
            bool last = i + 1 == piece->count && k + 1 == n;
            ids[count++] = (last ? t->last_byte : t->byte)[(unsigned char)bytes[k]];
        }
    }
    return merge_symbols(t, ids, count);
}

bool cpl_tokenizer_encode(const cpl_tokenizer *tokenizer, const char *text, int **ids, int *count, cpl_error *error) {
    token_text clean;
    token_piece piece;
    *ids = NULL;
    *count = 0;
    if (!cpl_token_text(&clean, text, error)) return false;
    *ids = cpl_alloc(clean.count * 4 + 1, sizeof **ids, error);
    for (size_t at = 0; *ids && cpl_token_piece(&clean, &at, &piece);)
        *count += encode_piece(tokenizer, &piece, *ids + *count);
    free(clean.code);
    return *ids != NULL;
}

/* Adds a word to a list "a, b" if it is new and has room; a first word that is too long is cut between characters. */
static void list_word(const token_piece *word, char *words, size_t size) {
    char text[256];
    size_t length = 0, used = strlen(words);
    for (size_t i = 0; i < word->count && length + 5 < sizeof text; i++) {
        if (!used && length + 5 > size) break;
        length += cpl_utf8_put(text + length, word->code[i]);
    }
    text[length] = 0;
    for (const char *p = words; (p = strstr(p, text)); p++)
        if ((p == words || p[-1] == ' ') && (p[length] == 0 || p[length] == ',')) return;
    if (used + length + (used ? 3 : 1) > size) return;
    snprintf(words + used, size - used, "%s%s", used ? ", " : "", text);
}

bool cpl_tokenizer_unknown(const cpl_tokenizer *tokenizer, const char *text, char *words, size_t size) {
    token_text clean;
    token_piece piece;
    bool found = false;
    if (size) *words = 0;
    if (!cpl_token_text(&clean, text, NULL)) return false;
    int *ids = cpl_alloc(clean.count * 4 + 1, sizeof *ids, NULL);
    for (size_t at = 0; ids && cpl_token_piece(&clean, &at, &piece);) {
        /* Punctuation and the endings behind an apostrophe are no words. */
        if (!cpl_unicode_letter(*piece.code) && *piece.code < 0x80) continue;
        if (encode_piece(tokenizer, &piece, ids) == 1) continue;
        found = true;
        if (size) list_word(&piece, words, size);
    }
    free(ids);
    free(clean.code);
    return found;
}
