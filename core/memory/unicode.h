/* unicode.h: the little that prompts need to know of Unicode, the same under every locale. */
#ifndef CPL_MEMORY_UNICODE_H
#define CPL_MEMORY_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point at *text, which moves past it. Bytes that are no UTF-8 give U+FFFD, one byte each. */
uint32_t cpl_utf8_next(const char **text);
/* Writes 1..4 bytes, returns how many. */
size_t cpl_utf8_put(char *out, uint32_t code);
/* The code point that ends before `at`, 0 at the beginning. */
uint32_t cpl_utf8_before(const char *begin, const char *at);
/* The most bytes of a text, up to `most`, that end between characters. */
size_t cpl_utf8_fit(const char *text, size_t most);
/* Where [begin, end) ends without the blanks behind its words. */
const char *cpl_utf8_trim(const char *begin, const char *end);

bool cpl_unicode_letter(uint32_t code); /* general category L* */
bool cpl_unicode_number(uint32_t code); /* N*: digits, also Roman numerals and fractions */
bool cpl_unicode_blank(uint32_t code);
uint32_t cpl_unicode_lower(uint32_t code); /* simple lower case; itself where it has none */
/* What NFC makes of a base and the mark behind it, 0 if they stay apart. */
uint32_t cpl_unicode_compose(uint32_t base, uint32_t mark);

/* `word` (ASCII letters) in [from, end), with no letter, number or underscore on either side, or NULL; `begin` <= `from` is where
 * the text begins. */
const char *cpl_find_word(const char *begin, const char *from, const char *end, const char *word);

#endif
