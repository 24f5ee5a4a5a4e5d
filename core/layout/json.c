/* json.c: cJSON with the corners cut off: it follows LC_NUMERIC, takes duplicate keys, bad UTF-8 and \u0000, and recurses
 * as deep as the text does. It knows nothing of layouts. */
#include "json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"

enum { MAX_DEPTH = 100 };

static bool fail_at(const char *text, const char *at, cpl_error *error, const char *what) {
    int line = 1, column = 1;
    for (const char *p = text; p < at; p++) {
        column = *p == '\n' ? 1 : column + ((*p & 0xC0) != 0x80);
        line += *p == '\n';
    }
    return cpl_fail(error, CPL_E_INPUT, "line %d, column %d: %s", line, column, what);
}

/* Length of the UTF-8 sequence at p, 0 if it is none: no overlong forms, no surrogates. */
static int utf8_length(const unsigned char *p, const unsigned char *end) {
    if (p[0] < 0x80) return 1;
    int n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || end - p < n) return 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return n;
}

/* What cJSON would let pass or would lose without a word. */
static bool scan(const char *text, size_t size, cpl_error *error) {
    const unsigned char *p = (const unsigned char *)text, *end = p + size;
    int depth = 0;
    bool string = false;
    while (p < end) {
        int n = utf8_length(p, end);
        if (n == 0) return fail_at(text, (const char *)p, error, "is not UTF-8 text; save it as UTF-8");
        if (*p == 0) return fail_at(text, (const char *)p, error, "a zero byte is not text");
        if (string && *p == '\\') {
            if (end - p >= 6 && memcmp(p + 1, "u0000", 5) == 0)
                return fail_at(text, (const char *)p, error, "\\u0000 cannot be kept; remove it");
            n = end - p >= 2 && p[1] < 0x80 ? 2 : 1;
        } else if (*p == '"') {
            string = !string;
        } else if (!string) {
            depth += (*p == '[' || *p == '{') - (*p == ']' || *p == '}');
            if (depth > MAX_DEPTH) return fail_at(text, (const char *)p, error, "is nested deeper than 100 levels");
        }
        p += n;
    }
    return true;
}

static int compare_keys(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool check_object(const cJSON *object, cpl_error *error) {
    int count = cJSON_GetArraySize(object), i = 0;
    const char **keys = cpl_alloc((size_t)count, sizeof *keys, error);
    bool unique = keys;
    for (const cJSON *c = object->child; keys && c; c = c->next) keys[i++] = c->string;
    if (keys) qsort(keys, (size_t)count, sizeof *keys, compare_keys);
    for (i = 1; unique && i < count; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            unique = cpl_fail(error, CPL_E_INPUT, "the key \"%.60s\" stands twice in one object; remove one", keys[i]);
    free(keys);
    return unique;
}

static bool check_tree(const cJSON *item, cpl_error *error) {
    if (cJSON_IsNumber(item) && !isfinite(item->valuedouble))
        return cpl_fail(error, CPL_E_INPUT, "%s%s%sa number is too large", item->string ? "\"" : "",
                        item->string ? item->string : "", item->string ? "\": " : "");
    if (cJSON_IsObject(item) && !check_object(item, error)) return false;
    for (const cJSON *c = item->child; c; c = c->next)
        if (!check_tree(c, error)) return false;
    return true;
}

cJSON *cpl_json_parse(const char *text, size_t size, cpl_error *error) {
    if (!scan(text, size, error)) return NULL;
    /* for this thread and this call only: cJSON and the strtod in it follow LC_NUMERIC */
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), before = plain ? uselocale(plain) : (locale_t)0;
    const char *stop = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, size + 1, &stop, true); /* + 1: the zero byte ends it */
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    if (!root) {
        bool end = !stop || stop >= text + size;
        fail_at(text, end ? text + size : stop, error,
                end ? "the JSON ends too early; the file may be cut off" : "is not valid JSON");
        return NULL;
    }
    if (check_tree(root, error)) return root;
    cJSON_Delete(root);
    return NULL;
}

void cpl_json_describe(const cJSON *item, char *text, size_t size) {
    char number[CPL_NUMBER_SIZE];
    if (cJSON_IsString(item)) {
        snprintf(text, size, "the text \"%.40s\"", item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        cpl_number_print(item->valuedouble, number);
        snprintf(text, size, "%s", number);
    } else if (cJSON_IsBool(item)) {
        snprintf(text, size, "%s", cJSON_IsTrue(item) ? "true" : "false");
    } else {
        snprintf(text, size, "%s", cJSON_IsArray(item) ? "a list" : cJSON_IsObject(item) ? "an object" : "null");
    }
}
