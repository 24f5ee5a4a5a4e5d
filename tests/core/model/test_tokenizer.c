/* test_tokenizer.c: byte pairs against a slow reference, the clean-up before them, unknown words, damaged vocabularies. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "../../../core/memory/unicode.h"
#include "../../../core/model/safetensors.h"
#include "../../../core/model/tokenizer.h"
#include "../../test.h"

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s is missing", path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc((size_t)size + 1, 1);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    return text;
}

#define FOLDER "core/model/builtin"

static cpl_tokenizer *open_builtin(void) {
    cpl_error error = {0};
    cpl_tokenizer *t = cpl_tokenizer_open(FOLDER, &error);
    if (!t) fail_msg("%s", error.message);
    return t;
}

static int encode(const cpl_tokenizer *t, const char *text, int **ids) {
    int count;
    cpl_error error = {0};
    if (!cpl_tokenizer_encode(t, text, ids, &count, &error)) fail_msg("%s", error.message);
    return count;
}

static void assert_same_ids(const cpl_tokenizer *t, const char *a, const char *b) {
    int *x, *y, n = encode(t, a, &x), m = encode(t, b, &y);
    if (n != m || memcmp(x, y, (size_t)n * sizeof *x) != 0) fail_msg("'%s' and '%s' have different tokens", a, b);
    free(x);
    free(y);
}

static void test_recorded_ids(void **state) {
    (void)state;
    cpl_error error = {0};
    cpl_tokenizer *t = open_builtin();
    char *text = read_text("tests/golden/builtin/expected.json");
    cJSON *expected = cJSON_Parse(text);
    const cJSON *prompts = cJSON_GetObjectItem(expected, "text");
    cpl_safetensors *st = cpl_safetensors_open("tests/golden/builtin/expected.safetensors", &error);
    const cpl_st_entry *e = cpl_safetensors_find(st, "text.input_ids");
    int64_t *rows = cpl_safetensors_i64(st, e, &error);
    assert_int_equal(cJSON_GetArraySize(prompts), e->shape[0]);
    for (int i = 0; i < e->shape[0]; i++) {
        int *ids, count = encode(t, cJSON_GetArrayItem(prompts, i)->valuestring, &ids);
        const int64_t *row = rows + i * e->shape[1];
        assert_int_equal(row[0], cpl_tokenizer_start(t));
        for (int k = 0; k < count; k++) assert_int_equal(ids[k], row[1 + k]);
        assert_int_equal(row[1 + count], cpl_tokenizer_end(t));
        free(ids);
    }
    assert_int_equal(cpl_tokenizer_size(t), 858);
    assert_int_equal(cpl_tokenizer_start(t), 856);
    assert_int_equal(cpl_tokenizer_end(t), 857);
    free(rows);
    cpl_safetensors_close(st);
    cJSON_Delete(expected);
    free(text);
    cpl_tokenizer_free(t);
}

/* ---- Byte pairs against a reference that works on strings ---- */

enum { MERGES = 344 };

typedef struct reference {
    char left[MERGES][32], right[MERGES][32];
    int count;
    cJSON *vocabulary;
} reference;

static void load_reference(reference *r) {
    char *text = read_text(FOLDER "/vocab.json"), *merges = read_text(FOLDER "/merges.txt");
    r->vocabulary = cJSON_Parse(text);
    r->count = 0;
    for (char *line = strtok(merges, "\n"); line; line = strtok(NULL, "\n"))
        if (*line != '#') {
            assert_in_range(r->count, 0, MERGES - 1);
            assert_int_equal(sscanf(line, "%31s %31s", r->left[r->count], r->right[r->count]), 2);
            r->count++;
        }
    assert_int_equal(r->count, MERGES);
    free(text);
    free(merges);
}

static int reference_word(const reference *r, const char *word, int *ids) {
    char symbols[64][64];
    int n = (int)strlen(word);
    for (int i = 0; i < n; i++) snprintf(symbols[i], 64, "%c%s", word[i], i == n - 1 ? "</w>" : "");
    for (int m = 0; m < r->count;) {
        int to = 0;
        bool merged = false;
        for (int i = 0; i < n; to++) {
            bool pair = i + 1 < n && !strcmp(symbols[i], r->left[m]) && !strcmp(symbols[i + 1], r->right[m]);
            char joined[128];
            snprintf(joined, sizeof joined, "%s%s", symbols[i], pair ? symbols[i + 1] : "");
            memcpy(symbols[to], joined, 64);
            i += pair ? 2 : 1;
            merged |= pair;
        }
        n = to;
        m = merged ? 0 : m + 1; /* from the lowest rank again */
    }
    for (int i = 0; i < n; i++) ids[i] = cJSON_GetObjectItemCaseSensitive(r->vocabulary, symbols[i])->valueint;
    return n;
}

static void test_byte_pairs_against_reference(void **state) {
    (void)state;
    static reference r;
    static const char letters[] = "aabcdeeghilnnoprsstuwky";
    load_reference(&r);
    cpl_tokenizer *t = open_builtin();
    uint32_t seed = 7;
    for (int round = 0; round < 3000; round++) {
        char word[24];
        int expected[64], *ids;
        size_t length = 1 + test_random(&seed) % 20;
        if (round % 2) { /* two real symbols beside each other make more merges than chance */
            snprintf(word, sizeof word, "%.9s%.9s", r.left[test_random(&seed) % (uint32_t)r.count],
                     r.left[test_random(&seed) % (uint32_t)r.count]);
        } else {
            for (size_t i = 0; i < length; i++) word[i] = letters[test_random(&seed) % (sizeof letters - 1)];
            word[length] = 0;
        }
        int n = reference_word(&r, word, expected), count = encode(t, word, &ids);
        if (n != count || memcmp(ids, expected, (size_t)n * sizeof *ids) != 0) fail_msg("'%s' differs", word);
        free(ids);
    }
    cJSON_Delete(r.vocabulary);
    cpl_tokenizer_free(t);
}

static void test_clean_up(void **state) {
    (void)state;
    cpl_tokenizer *t = open_builtin();
    assert_same_ids(t, "  A \t CAT\r\n", "a cat");
    assert_same_ids(t,
                    "a\xc2\xa0"
                    "cat\xe2\x80\x83",
                    "a cat"); /* blanks beyond ASCII */
    assert_same_ids(t,
                    "\xe2\x80\x9c"
                    "a\xe2\x80\x9d it\xe2\x80\x99s",
                    "\"a\" it's");                                                              /* curly quotes */
    assert_same_ids(t, "\xef\xbc\xa3\xef\xbc\xa1\xef\xbc\xb4\xef\xbc\x8c", "cat,");             /* full width */
    assert_same_ids(t, "\xef\xac\x81sh", "fish");                                               /* ligature */
    assert_same_ids(t, "cafe\xcc\x81", "caf\xc3\xa9");                                          /* base and mark */
    assert_same_ids(t, "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c");                 /* Hangul letters */
    assert_same_ids(t, "\xc3\x89\xd0\x9f\xce\x91", "\xc3\xa9\xd0\xbf\xce\xb1");                 /* capitals */
    assert_same_ids(t, "\xce\x9f\xce\x94\xce\x9f\xce\xa3", "\xce\xbf\xce\xb4\xce\xbf\xcf\x82"); /* final sigma */
    assert_same_ids(t, "\xc4\xb0", "i\xcc\x87"); /* dotted capital I: two code points */
    assert_same_ids(t,
                    "c\x01"
                    "a\x7ft\xef\xbb\xbf",
                    "cat");                           /* control characters */
    assert_same_ids(t, "cat\xff", "cat\xef\xbf\xbd"); /* no UTF-8 */
    int *ids;
    assert_int_equal(encode(t, "", &ids), 0);
    free(ids);
    assert_int_equal(encode(t, " \n ", &ids), 0);
    free(ids);
    assert_int_equal(encode(t, "<|endoftext|>", &ids), 1);
    assert_int_equal(ids[0], cpl_tokenizer_end(t));
    free(ids);
    assert_int_equal(encode(t, "123", &ids), 3); /* digits stand alone */
    free(ids);
    assert_int_equal(encode(t, ",", &ids), 1);
    assert_int_equal(ids[0], cpl_tokenizer_comma(t));
    free(ids);
    cpl_tokenizer_free(t);
}

/* Any bytes give ids of the vocabulary, and as many bytes of text always fit the room. */
static void test_any_bytes(void **state) {
    (void)state;
    cpl_tokenizer *t = open_builtin();
    uint32_t seed = 99;
    for (int round = 0; round < 2000; round++) {
        char text[64];
        size_t length = test_random(&seed) % sizeof text;
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(test_random(&seed) % 3 ? 0x80 + test_random(&seed) % 128 : 1 + test_random(&seed) % 127);
        text[length ? length - 1 : 0] = 0;
        char *exact = strdup(text);
        int *ids, count = encode(t, exact, &ids);
        for (int i = 0; i < count; i++) assert_in_range(ids[i], 0, cpl_tokenizer_size(t) - 1);
        char words[16];
        cpl_tokenizer_unknown(t, exact, words, sizeof words);
        assert_true(strlen(words) < sizeof words);
        free(ids);
        free(exact);
    }
    cpl_tokenizer_free(t);
}

static void test_unknown_words(void **state) {
    (void)state;
    cpl_tokenizer *t = open_builtin();
    char words[64], few[12];
    assert_false(
        cpl_tokenizer_unknown(t, "Two red hearts, and a fox! (3) on a blue background...", words, sizeof words));
    assert_string_equal(words, "");
    assert_true(cpl_tokenizer_unknown(t, "a Zebra at night, a zebra, an okapi", words, sizeof words));
    assert_string_equal(words, "zebra, okapi");
    assert_true(cpl_tokenizer_unknown(t, "caf\xc3\xa9 \xf0\x9f\x90\xb1", words, sizeof words));
    assert_string_equal(words, "caf\xc3\xa9, \xf0\x9f\x90\xb1");
    assert_true(cpl_tokenizer_unknown(t, "zebra okapi", few, sizeof few));
    assert_string_equal(few, "zebra"); /* the second has no room */
    assert_true(
        cpl_tokenizer_unknown(t, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", few, sizeof few));
    assert_true(strlen(few) > 0 && strlen(few) % 2 == 0); /* cut between characters */
    assert_false(cpl_tokenizer_unknown(t, "cat's", words, 0));
    cpl_tokenizer_free(t);
}

static void test_unicode_tables(void **state) {
    (void)state;
    assert_true(cpl_unicode_letter('z') && cpl_unicode_letter(0x4E2D) && cpl_unicode_letter(0x1D400));
    assert_false(cpl_unicode_letter('1') || cpl_unicode_letter(0x301) || cpl_unicode_letter(0x1F431));
    assert_true(cpl_unicode_number(0xBD) && cpl_unicode_number(0x2160) && cpl_unicode_number(0x663));
    assert_false(cpl_unicode_number('a') || cpl_unicode_number(0x10FFFF));
    assert_int_equal(cpl_unicode_lower(0x410), 0x430);
    assert_int_equal(cpl_unicode_lower(0x100), 0x101);
    assert_int_equal(cpl_unicode_lower(0x101), 0x101); /* every second code point of this range is small */
    assert_int_equal(cpl_unicode_compose('e', 0x301), 0xE9);
    assert_int_equal(cpl_unicode_compose('e', 'x'), 0);
    for (uint32_t code = 1; code < 0x110000; code += code < 0x3000 ? 1 : 97) {
        char text[5] = "";
        const char *at = text;
        if (code >= 0xD800 && code < 0xE000) continue;
        size_t n = cpl_utf8_put(text, code);
        assert_int_equal(cpl_utf8_next(&at), code);
        assert_int_equal(at - text, n);
    }
}

/* ---- Damaged vocabularies ---- */

/* `text` with its first `what` replaced. */
static char *replaced(const char *text, const char *what, const char *by) {
    const char *at = strstr(text, what);
    if (!at) fail_msg("'%s' is not there to be replaced", what);
    char *copy = malloc(strlen(text) + strlen(by) + 1);
    sprintf(copy, "%.*s%s%s", (int)(at - text), text, by, at + strlen(what));
    return copy;
}

static void test_damaged_vocabularies(void **state) {
    (void)state;
    static const struct {
        const char *what, *by, *says;
        bool in_merges;
    } damages[] = {
        {"{", "[", "JSON", false},
        {"\"#\":2", "\"#\":1", "each once", false},
        {"\"#\":2", "\"#\":-2", "each once", false},
        {"\"#\":2", "\"#\":2.5", "each once", false},
        {"\"#\":2", "\"#\":99999999999", "each once", false},
        {"\"#\":2", "\"#\":\"2\"", "each once", false},
        {"\"#\":2", "\"!\":2", "twice", false},
        {"\"#\":2", "\"##\":2", "lacks '#'", false},
        {"<|endoftext|>", "<|end|>", "lacks <|startoftext|>", false},
        {"r o\n", "r\n", "line 3", true},
        {"r o\n", "r o o\n", "line 3", true},
        {"r o\n", " o\n", "line 3", true},
        {"r o\n", "zz qq\n", "'zz'", true},
        {"r o\n", "z q\n", "'zq'", true},
    };
    char *vocab = read_text(FOLDER "/vocab.json"), *merges = read_text(FOLDER "/merges.txt");
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        cpl_error error = {0};
        char *bad = replaced(damages[i].in_merges ? merges : vocab, damages[i].what, damages[i].by);
        cpl_tokenizer *t = damages[i].in_merges ? cpl_tokenizer_parse(vocab, bad, "words", &error)
                                                : cpl_tokenizer_parse(bad, merges, "words", &error);
        if (t || !strstr(error.message, damages[i].says) || !strstr(error.message, "words"))
            fail_msg("'%s' for '%s': %s", damages[i].by, damages[i].what, t ? "was accepted" : error.message);
        free(bad);
    }
    cpl_error error = {0};
    assert_null(cpl_tokenizer_parse("", merges, "words", &error));
    assert_null(cpl_tokenizer_parse("{}", merges, "words", &error));
    assert_null(cpl_tokenizer_open("/nowhere", &error));
    assert_non_null(strstr(error.message, "/nowhere/vocab.json"));
    /* Line ends of Windows, blank lines and a missing version line are no damage. */
    char *plain = replaced(merges, "#version: 0.2\n", ""), *windows = replaced(plain, "r o\n", "r o\r\n\r\n");
    cpl_tokenizer *t = cpl_tokenizer_parse(vocab, windows, "words", &error);
    if (!t) fail_msg("%s", error.message);
    cpl_tokenizer *good = open_builtin();
    int *a, *b, n = encode(t, "a rocket over the rainbow", &a), m = encode(good, "a rocket over the rainbow", &b);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
    free(a);
    free(b);
    cpl_tokenizer_free(t);
    cpl_tokenizer_free(good);
    free(plain);
    free(windows);
    free(vocab);
    free(merges);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_ids),
        cmocka_unit_test(test_byte_pairs_against_reference),
        cmocka_unit_test(test_clean_up),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_unknown_words),
        cmocka_unit_test(test_unicode_tables),
        cmocka_unit_test(test_damaged_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
