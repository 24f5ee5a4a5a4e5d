/* common.c: common prompts: {key: value} defines, {key} uses. The order of the two passes and what "every occurrence"
 * means is Forge Couple's (golden couple/FORMAT.md 2.1), accidents included. */
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "words.h"

typedef struct common {
    char *whole;       /* owned: the matched text, brackets included */
    char *key, *value; /* owned, stripped; of a use only the key */
} common;

typedef struct commons {
    common *list;
    int count, room;
    cpl_error *error;
} commons;

static void clear(commons *c) {
    for (int i = 0; i < c->count; i++) {
        free(c->list[i].whole);
        free(c->list[i].key);
        free(c->list[i].value);
    }
    free(c->list);
}

/* The first colon at index >= 1 that still has a character after it. */
static const char *find_colon(const char *inner, const char *end) {
    for (const char *p = inner + 1; p + 1 < end; p++)
        if (*p == ':') return p;
    return NULL;
}

static bool add(commons *c, const char *open, const char *end, const char *colon) {
    if (!cpl_grow((void **)&c->list, &c->room, c->count + 1, sizeof *c->list, c->error)) return false;
    const char *key_end = colon ? colon : end;
    common *made = &c->list[c->count++];
    made->whole = cpl_strndup(open, (size_t)(end + 1 - open), c->error);
    made->key = cpl_strndup(open + 1, (size_t)(key_end - open - 1), c->error);
    made->value = colon ? cpl_strndup(colon + 1, (size_t)(end - colon - 1), c->error) : NULL;
    if (!made->whole || !made->key || (colon && !made->value)) return false;
    cpl_strip(made->key);
    if (made->value) cpl_strip(made->value);
    return true;
}

/* All definitions, or all bracketed texts, in order; brackets do not nest: only an innermost pair is one. */
static bool scan(commons *c, const char *text, char open, char close, bool definitions) {
    const char brackets[] = {open, close, '\0'};
    for (const char *p = text; (p = strchr(p, open)); p++) {
        const char *end = p + 1 + strcspn(p + 1, brackets);
        if (*end != close || end == p + 1) continue;
        const char *colon = definitions ? find_colon(p + 1, end) : NULL;
        if (definitions && !colon) continue;
        if (!add(c, p, end, colon)) return false;
        p = end;
    }
    return true;
}

static bool replace_in_all(char **texts, int count, const char *what, const char *with, cpl_error *error) {
    for (int i = 0; i < count; i++)
        if (!cpl_replace_all(&texts[i], what, with, error)) return false;
    return true;
}

static const char *value_of(const commons *defined, const char *key) {
    for (int i = defined->count - 1; i >= 0; i--) /* the last definition of a key wins */
        if (strcmp(defined->list[i].key, key) == 0) return defined->list[i].value;
    return NULL;
}

bool cpl_common_expand(char **texts, int count, cpl_brackets brackets, bool definitions, cpl_error *error) {
    static const char pairs[][2] = {[CPL_BRACKETS_CURLY] = {'{', '}'}, [CPL_BRACKETS_ANGLE] = {'<', '>'}};
    if (brackets == CPL_BRACKETS_OFF) return true;
    char open = pairs[brackets][0], close = pairs[brackets][1];
    commons defined = {.error = error}, used = {.error = error};
    bool done = true;
    for (int i = 0; done && i < count; i++) done = scan(&defined, texts[i], open, close, true);
    for (int i = 0; done && i < defined.count; i++)
        done = replace_in_all(texts, count, defined.list[i].whole, definitions ? defined.list[i].value : "", error);
    for (int i = 0; done && defined.count && i < count; i++) done = scan(&used, texts[i], open, close, false);
    for (int i = 0; done && i < used.count; i++) {
        const char *value = value_of(&defined, used.list[i].key);
        if (value) done = replace_in_all(texts, count, used.list[i].whole, value, error);
    }
    clear(&defined);
    clear(&used);
    return done;
}
