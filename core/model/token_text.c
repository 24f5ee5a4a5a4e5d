/* token_text.c: the clean-up and the split that come before byte pairs (golden/engine/FORMAT.md section 1).
 *
 * The clean-up is what matters of the original's: control characters go, curly quotes, full-width forms and ligatures
 * become plain, a base and its mark become one letter, blanks become one blank, everything lower case. It does not repair
 * mojibake and does not resolve HTML entities: a prompt typed here has none. */
#include "token_text.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/unicode.h"

/* Characters that a plain keyboard lacks, and what they stand for. */
static const struct {
    uint32_t first, last;
    const char *plain;
} replacements[] = {
    {0x2018, 0x201B, "'"},   {0x02BC, 0x02BC, "'"},   {0x201C, 0x201F, "\""},
    {0xFB00, 0xFB00, "ff"},  {0xFB01, 0xFB01, "fi"},  {0xFB02, 0xFB02, "fl"},
    {0xFB03, 0xFB03, "ffi"}, {0xFB04, 0xFB04, "ffl"}, {0xFB05, 0xFB06, "st"},
};
enum { LONGEST = 3 }; /* code points that one may become */

static bool is_control(uint32_t c) {
    return c < 9 || c == 0x0B || (c >= 0x0E && c < 0x20) || c == 0x7F || (c >= 0x206A && c <= 0x206F) || c == 0xFEFF ||
           (c >= 0xFFF9 && c <= 0xFFFC);
}

static size_t plain_form(uint32_t c, uint32_t out[LONGEST]) {
    if (is_control(c)) return 0;
    if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFF01 - '!'; /* full-width ASCII */
    out[0] = c;
    if (c < 0x80) return 1;
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++) {
        if (c < replacements[i].first || c > replacements[i].last) continue;
        size_t n = 0;
        for (const char *p = replacements[i].plain; *p; p++) out[n++] = (uint32_t)*p;
        return n;
    }
    return 1;
}

/* Sigma has a form of its own at the end of a word. */
static bool ends_word(const token_text *t, size_t at) {
    bool before = at > 0 && cpl_unicode_letter(t->code[at - 1]);
    bool after = at + 1 < t->count && cpl_unicode_letter(t->code[at + 1]);
    return before && !after;
}

/* In place, from the end, as the dotted capital I becomes two code points. `t` has the room for it. */
static void lower(token_text *t) {
    size_t dotted = 0;
    for (size_t i = 0; i < t->count; i++) dotted += t->code[i] == 0x130;
    for (size_t i = 0; i < t->count; i++)
        if (t->code[i] == 0x3A3 && ends_word(t, i)) t->code[i] = 0x3C2;
    size_t to = t->count + dotted;
    for (size_t i = t->count; i-- > 0;) {
        bool two = t->code[i] == 0x130;
        if (two) t->code[--to] = 0x307;
        t->code[--to] = two ? 'i' : cpl_unicode_lower(t->code[i]);
    }
    t->count += dotted;
}

bool cpl_token_text(token_text *t, const char *utf8, cpl_error *error) {
    t->count = 0;
    t->code = cpl_alloc(strlen(utf8) * (LONGEST + 1) + 1, sizeof *t->code, error);
    if (!t->code) return false;
    bool gap = false; /* a blank is written only before what follows it: none at the ends, never two */
    while (*utf8) {
        uint32_t form[LONGEST], c = cpl_utf8_next(&utf8);
        if (cpl_unicode_blank(c)) {
            gap = true;
            continue;
        }
        size_t n = plain_form(c, form);
        for (size_t i = 0; i < n; i++) {
            uint32_t joined = !gap && t->count ? cpl_unicode_compose(t->code[t->count - 1], form[i]) : 0;
            if (joined) {
                t->code[t->count - 1] = joined;
                continue;
            }
            if (gap && t->count) t->code[t->count++] = ' ';
            gap = false;
            t->code[t->count++] = form[i];
        }
    }
    lower(t);
    return true;
}

static size_t match(const token_text *t, size_t at, const char *ascii) {
    size_t n = 0;
    for (; ascii[n]; n++)
        if (at + n >= t->count || t->code[at + n] != (unsigned char)ascii[n]) return 0;
    return n;
}

static bool is_other(uint32_t c) { return !cpl_unicode_blank(c) && !cpl_unicode_letter(c) && !cpl_unicode_number(c); }

static size_t run(const token_text *t, size_t at, bool (*belongs)(uint32_t)) {
    size_t n = 0;
    while (at + n < t->count && belongs(t->code[at + n])) n++;
    return n;
}

bool cpl_token_piece(const token_text *t, size_t *at, token_piece *piece) {
    /* Tried in this order, as in the pattern. */
    static const char *const fixed[] = {CPL_START_MARKER, CPL_END_MARKER, "'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    while (*at < t->count && cpl_unicode_blank(t->code[*at])) ++*at;
    if (*at >= t->count) return false;
    size_t n = 0;
    for (size_t i = 0; !n && i < sizeof fixed / sizeof *fixed; i++) n = match(t, *at, fixed[i]);
    if (!n) n = run(t, *at, cpl_unicode_letter);
    if (!n && cpl_unicode_number(t->code[*at])) n = 1;
    if (!n) n = run(t, *at, is_other);
    *piece = (token_piece){t->code + *at, n};
    *at += n;
    return true;
}

bool cpl_token_piece_is(const token_piece *piece, const char *ascii) {
    size_t n = 0;
    for (; n < piece->count && ascii[n]; n++)
        if (piece->code[n] != (unsigned char)ascii[n]) return false;
    return n == piece->count && !ascii[n];
}
