/* unicode.c: look-ups in the tables of unicode_tables.h. The C library's towlower and iswalpha follow the locale, and a
 * prompt must give the same tokens under every one. No normalisation beyond joining a base with the mark behind it. */
#include "unicode.h"

#include <string.h>

#include "unicode_tables.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

uint32_t cpl_utf8_next(const char **text) {
    const unsigned char *p = (const unsigned char *)*text;
    uint32_t code = *p, least = 0x80;
    int more = code < 0x80 ? 0 : (code & 0xE0) == 0xC0 ? 1 : (code & 0xF0) == 0xE0 ? 2 : (code & 0xF8) == 0xF0 ? 3 : -1;
    *text += 1;
    if (more <= 0) return more ? 0xFFFD : code;
    code &= 0x3FU >> more;
    if (more > 1) least = more == 2 ? 0x800 : 0x10000;
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0xFFFD; /* also stops at the end of the text */
        code = code << 6 | (p[i] & 0x3F);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0xFFFD;
    *text += more;
    return code;
}

size_t cpl_utf8_put(char *out, uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    out[0] = (char)((0xFFU << (7 - more) & 0xFF) | code >> (6 * more));
    for (size_t i = 1; i <= more; i++) out[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3F));
    return more + 1;
}

size_t cpl_utf8_fit(const char *text, size_t most) {
    size_t length = strnlen(text, most + 1);
    if (length <= most) return length;
    for (length = most; length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80;) length--;
    return length;
}

static const char *step_back(const char *begin, const char *at) {
    do at--;
    while (at > begin && ((unsigned char)*at & 0xC0) == 0x80);
    return at;
}

uint32_t cpl_utf8_before(const char *begin, const char *at) {
    if (at == begin) return 0;
    at = step_back(begin, at);
    return cpl_utf8_next(&at);
}

const char *cpl_utf8_trim(const char *begin, const char *end) {
    while (end > begin && cpl_unicode_blank(cpl_utf8_before(begin, end))) end = step_back(begin, end);
    return end;
}

static bool is_word(uint32_t code) { return code == '_' || cpl_unicode_letter(code) || cpl_unicode_number(code); }

const char *cpl_find_word(const char *begin, const char *from, const char *end, const char *word) {
    size_t length = strlen(word);
    for (; (size_t)(end - from) >= length; from++) {
        const char *after = from + length;
        if (memcmp(from, word, length) != 0 || is_word(cpl_utf8_before(begin, from))) continue;
        if (after == end || !is_word(cpl_utf8_next(&after))) return from;
    }
    return NULL;
}

static bool in_ranges(const code_range *list, size_t count, uint32_t code) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (code > list[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && code >= list[low].first;
}

bool cpl_unicode_letter(uint32_t code) {
    if (code < 0x80) return (code | 32) >= 'a' && (code | 32) <= 'z';
    return in_ranges(letters, COUNT(letters), code);
}

bool cpl_unicode_number(uint32_t code) {
    if (code < 0x80) return code >= '0' && code <= '9';
    return in_ranges(digits, COUNT(digits), code);
}

bool cpl_unicode_blank(uint32_t code) {
    static const code_range blanks[] = {{9, 13},          {28, 32},         {0x85, 0x85},     {0xA0, 0xA0},
                                        {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                        {0x205F, 0x205F}, {0x3000, 0x3000}};
    return in_ranges(blanks, COUNT(blanks), code);
}

uint32_t cpl_unicode_lower(uint32_t code) {
    if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
    size_t low = 0, high = COUNT(lower_case);
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (code > lower_case[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == COUNT(lower_case) || code < lower_case[low].first) return code;
    const code_shift *s = &lower_case[low];
    return (code - s->first) % s->step ? code : (uint32_t)((int32_t)code + s->delta);
}

/* Hangul syllables are numbered by their letters: 19 leads x 21 vowels x 28 tails (the first of them: none). */
static uint32_t compose_hangul(uint32_t base, uint32_t mark) {
    if (base - 0x1100 < 19 && mark - 0x1161 < 21) return 0xAC00 + ((base - 0x1100) * 21 + (mark - 0x1161)) * 28;
    if (base - 0xAC00 < 11172 && (base - 0xAC00) % 28 == 0 && mark - 0x11A8 < 27) /* a syllable without a tail */
        return base + (mark - 0x11A7);
    return 0;
}

uint32_t cpl_unicode_compose(uint32_t base, uint32_t mark) {
    size_t low = 0, high = COUNT(pairs);
    while (low < high) {
        size_t mid = (low + high) / 2;
        const code_pair *p = &pairs[mid];
        if (p->base < base || (p->base == base && p->mark < mark))
            low = mid + 1;
        else
            high = mid;
    }
    if (low < COUNT(pairs) && pairs[low].base == base && pairs[low].mark == mark) return pairs[low].composed;
    return compose_hangul(base, mark);
}
