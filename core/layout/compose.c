/* compose.c: the word AND and the weights behind the parts (golden/engine/FORMAT.md section 2, "multicond"). */
#include "compose.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"
#include "../memory/unicode.h"

static const char *find_and(const char *begin, const char *from) {
    return cpl_find_word(begin, from, from + strlen(from), "AND");
}

/* ":1.2" at the end of [begin, *end), which then ends before it. */
static double take_weight(const char *begin, const char **end) {
    const char *digits = *end, *colon;
    char number[32];
    double value;
    while (digits > begin && (digits[-1] == '.' || (digits[-1] >= '0' && digits[-1] <= '9'))) digits--;
    if (digits > begin && digits < *end && (digits[-1] == '+' || digits[-1] == '-')) digits--;
    size_t length = (size_t)(*end - digits);
    colon = cpl_utf8_trim(begin, digits);
    if (!length || length >= sizeof number || colon == begin || colon[-1] != ':') return 1;
    memcpy(number, digits, length);
    number[length] = '\0';
    if (!cpl_number_parse(number, &value)) return 1;
    *end = cpl_utf8_trim(begin, colon - 1);
    return value;
}

static bool add(cpl_parts *parts, int *room, const char *begin, const char *end, cpl_error *error) {
    end = cpl_utf8_trim(begin, end);
    double weight = take_weight(begin, &end);
    if (!cpl_grow((void **)&parts->list, room, parts->count + 1, sizeof *parts->list, error)) return false;
    char *text = cpl_strndup(begin, (size_t)(end - begin), error);
    if (!text) return false;
    parts->list[parts->count++] = (cpl_part){text, weight};
    return true;
}

bool cpl_parts_read(const char *text, cpl_parts *parts, cpl_error *error) {
    const char *from = text, *found;
    int room = 0;
    *parts = (cpl_parts){0};
    do {
        found = find_and(text, from);
        if (!add(parts, &room, from, found ? found : from + strlen(from), error)) {
            cpl_parts_clear(parts);
            return false;
        }
        if (found) from = found + 3;
    } while (found);
    return true;
}

void cpl_parts_clear(cpl_parts *parts) {
    for (int i = 0; i < parts->count; i++) free(parts->list[i].text);
    free(parts->list);
    *parts = (cpl_parts){0};
}

bool cpl_parts_any(const char *text) { return find_and(text, text) != NULL; }
