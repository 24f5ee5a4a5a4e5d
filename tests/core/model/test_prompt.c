/* test_prompt.c: what every prompt must keep, whatever is typed: emphasis syntax and chunks. The recorded cases of both are
 * golden groups. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../core/model/prompt.h"
#include "../../test.h"

static cpl_tokenizer *tokenizer;

static int set_up(void **state) {
    (void)state;
    cpl_error error = {0};
    tokenizer = cpl_tokenizer_open("core/model/builtin", &error);
    return tokenizer ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    cpl_tokenizer_free(tokenizer);
    return 0;
}

static void check_parts(const char *text, int count, const char *const *texts, const double *weights) {
    cpl_prompt_part *parts;
    int got;
    cpl_error error = {0};
    assert_true(cpl_prompt_parse(text, &parts, &got, &error));
    if (got != count) fail_msg("'%s' has %d parts", text, got);
    for (int i = 0; i < count; i++) {
        assert_string_equal(parts[i].text, texts[i]);
        assert_true(fabs(parts[i].weight - weights[i]) < 1e-12);
    }
    cpl_prompt_parts_free(parts, got);
}
#define PARTS(text, count, ...) check_parts(text, count, (const char *const[]){__VA_ARGS__}, weights)

static void test_emphasis(void **state) {
    (void)state;
    {
        const double weights[] = {1, 1.1 * 1.1, 1.1, 1};
        PARTS("a ((red) cat), sky", 4, "a ", "red", " cat", ", sky");
    }
    {
        const double weights[] = {1, -1, 1};
        PARTS("a\xc2\xa0"
              "BREAK\xe3\x80\x80"
              "b",
              3, "a", "BREAK", "b"); /* blanks beyond ASCII go with it */
    }
    {
        const double weights[] = {1};
        PARTS("\xc3\xa9"
              "BREAK BREAK\xc3\xa9",
              1,
              "\xc3\xa9"
              "BREAK BREAK\xc3\xa9"); /* letters beside it: no word */
        PARTS("a:1.5)", 1, "a:1.5)");
    }
    {
        const double weights[] = {1.25};
        PARTS("(a:\t1.25 \n)", 1, "a");
    }
    {
        const double weights[] = {1.1};
        PARTS("(a:1.2.3)", 1, "a:1.2.3"); /* no number: text, and the bracket counts */
        PARTS("(a:)", 1, "a:");
    }
}

/* Nothing of the text but syntax may get lost, and nothing may crash. */
static void test_any_prompt_parses(void **state) {
    (void)state;
    static const char *const pieces[] = {"(",  ")",        "[",     "]",        ":",     "1.3",   ".",
                                         "-",  "\\",       "BREAK", " ",        "a",     "cat",   ",",
                                         "\n", "\xc3\xa9", "\xff",  "\xf0\x9f", ":1.2)", "1..2)", "9999999999"};
    uint32_t seed = 4;
    for (int round = 0; round < 20000; round++) {
        char text[256] = "";
        for (uint32_t i = 0, n = test_random(&seed) % 20; i < n; i++)
            strcat(text, pieces[test_random(&seed) % (sizeof pieces / sizeof *pieces)]);
        char *exact = strdup(text);
        cpl_prompt_part *parts;
        int count;
        size_t kept = 0;
        cpl_error error = {0};
        assert_true(cpl_prompt_parse(exact, &parts, &count, &error));
        assert_true(count > 0);
        for (int i = 0; i < count; i++) {
            kept += strlen(parts[i].text);
            if (i) assert_true(parts[i].weight != parts[i - 1].weight);
        }
        assert_true(kept <= strlen(exact));
        cpl_prompt_parts_free(parts, count);
        free(exact);
    }
}

static cpl_chunks chunk(const char *text, int length, int pad) {
    cpl_chunks chunks;
    cpl_error error = {0};
    if (!cpl_prompt_chunks(tokenizer, NULL, text, length, pad, &chunks, &error)) fail_msg("%s", error.message);
    return chunks;
}

/* Text tokens of a chunk: between the start marker and the first end marker. */
static int text_tokens(const cpl_chunks *c, int index) {
    const int *ids = c->ids + index * c->length;
    int n = 0;
    assert_int_equal(ids[0], cpl_tokenizer_start(tokenizer));
    while (ids[1 + n] != cpl_tokenizer_end(tokenizer)) {
        n++;
        assert_true(n <= c->length - 2);
    }
    return n;
}

static void check_counts(const char *text, int length, int chunks, const int *counts) {
    cpl_chunks c = chunk(text, length, cpl_tokenizer_end(tokenizer));
    if (c.chunks != chunks) fail_msg("'%s': %d chunks", text, c.chunks);
    for (int i = 0; i < chunks; i++) {
        int n = text_tokens(&c, i);
        if (n != counts[i]) fail_msg("'%s': %d tokens in chunk %d", text, n, i);
    }
    cpl_chunks_clear(&c);
}
#define CHUNKS(text, length, count, ...) check_counts(text, length, count, (const int[]){__VA_ARGS__})

static void test_chunks(void **state) {
    (void)state;
    CHUNKS("", 24, 1, 0);
    CHUNKS("a cat", 24, 1, 2);
    CHUNKS("a a a a", 6, 1, 4);
    CHUNKS("a a a a a", 6, 2, 4, 1);
    CHUNKS("a, a a a a", 6, 2, 2, 4); /* what follows the comma moves along */
    CHUNKS("a a a a, a", 6, 2, 4, 2); /* a comma that does not fit opens the next chunk */
    CHUNKS("a a a, a", 6, 2, 4, 1);   /* a comma at the very end moves nothing */
    CHUNKS("a BREAK b", 6, 2, 1, 1);
    CHUNKS("a BREAK BREAK b", 6, 3, 1, 0, 1);
    CHUNKS("BREAK", 6, 1, 0);
    CHUNKS("a BREAK", 6, 1, 1);
    CHUNKS("(a BREAK b:1.0)", 6, 2, 1, 1);                                /* -1 times 1 is still -1 */
    CHUNKS("a, a a a a a a a a a a a a a a a a a a a a a", 24, 2, 22, 1); /* 21 tokens back: too far */
    CHUNKS("a a, a a a a a a a a a a a a a a a a a a a a", 24, 2, 3, 20);
}

/* As the WebUI counts: whatever closed a chunk, it is full; BREAK at the end closes one and opens none. */
static void test_token_counts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int tokens, chunks;
    } rows[] = {{"", 0, 1},           {"a b", 2, 1},       {"a a a a", 4, 1}, {"a a a a a", 5, 2},
                {"a, a a a a", 8, 2}, {"a BREAK b", 5, 2}, {"a BREAK", 4, 1}, {"BREAK BREAK", 8, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cpl_chunks c = chunk(rows[i].text, 6, cpl_tokenizer_end(tokenizer));
        if (c.tokens != rows[i].tokens || c.chunks != rows[i].chunks)
            fail_msg("'%s': %d tokens in %d chunks", rows[i].text, c.tokens, c.chunks);
        cpl_chunks_clear(&c);
    }
}

static void test_multipliers_and_filling(void **state) {
    (void)state;
    cpl_chunks c = chunk("(a:1.5) a, [a a a]", 6, 0);
    static const float expected[2][6] = {{1, 1.5F, 1, 1, 1, 1},
                                         {1, (float)(1 / 1.1), (float)(1 / 1.1), (float)(1 / 1.1), 1, 1}};
    assert_int_equal(c.chunks, 2);
    assert_memory_equal(c.multipliers, expected, sizeof expected);
    assert_int_equal(c.ids[4], cpl_tokenizer_end(tokenizer));
    assert_int_equal(c.ids[5], 0); /* behind the first end marker */
    assert_int_equal(c.ids[6 + 5], 0);
    cpl_chunks_clear(&c);
    c = chunk("(a BREAK:1.2)", 24, cpl_tokenizer_end(tokenizer));
    assert_int_equal(c.chunks, 1); /* inside brackets BREAK is a word, and its weight is negative */
    assert_float_equal(c.multipliers[2], -1.2F, 1e-6);
    cpl_chunks_clear(&c);
    cpl_error error = {0};
    assert_false(cpl_prompt_chunks(tokenizer, NULL, "(a:99999999)", 24, 0, &c, &error));
    assert_int_equal(error.code, CPL_E_INPUT);
    assert_false(cpl_prompt_chunks(tokenizer, NULL, "a", 2, 0, &c, &error));
    assert_null(c.ids);
}

/* Every token of a text stands in its chunks once, in order. */
static void test_no_token_is_lost(void **state) {
    (void)state;
    static const char *const words[] = {"a ", "cat ", "zebra ", ", ", "(red:1.2) ", "[night] ", ",,, ", "moon "};
    uint32_t seed = 11;
    for (int round = 0; round < 500; round++) {
        char text[1024] = "", plain[1024];
        for (uint32_t i = 0, n = test_random(&seed) % 90; i < n; i++)
            strcat(text, words[test_random(&seed) % (sizeof words / sizeof *words)]);
        cpl_chunks c = chunk(text, 5 + (int)(test_random(&seed) % 40), cpl_tokenizer_end(tokenizer));
        int *ids, count, at = 0;
        cpl_error error = {0};
        cpl_prompt_part *parts;
        int n;
        size_t used = 0;
        assert_true(cpl_prompt_parse(text, &parts, &n, &error));
        plain[0] = 0;
        for (int i = 0; i < n; i++) used += (size_t)sprintf(plain + used, "%s ", parts[i].text);
        cpl_prompt_parts_free(parts, n);
        assert_true(cpl_tokenizer_encode(tokenizer, plain, &ids, &count, &error));
        for (int i = 0; i < c.chunks; i++)
            for (int k = 0, room = text_tokens(&c, i); k < room; k++) {
                assert_true(at < count);
                assert_int_equal(c.ids[i * c.length + 1 + k], ids[at++]);
            }
        assert_int_equal(at, count);
        assert_true(c.tokens >= count && c.tokens <= c.chunks * (c.length - 2));
        free(ids);
        cpl_chunks_clear(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_emphasis),
        cmocka_unit_test(test_any_prompt_parses),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_token_counts),
        cmocka_unit_test(test_multipliers_and_filling),
        cmocka_unit_test(test_no_token_is_lost),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
