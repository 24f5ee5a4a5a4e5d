/* spelling.c: pieces of text put one behind the other with edges between them, so that finding a name is finding a part. */
#include "spelling.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/unicode.h"
#include "prompt.h"
#include "token_text.h"

enum { LONGEST_CODE = 4 }; /* bytes */

typedef struct speller {
    char *text; /* owned until handed over */
    int used, room;
    cpl_error *error;
} speller;

static bool make_room(speller *s, size_t codes) {
    size_t need = (size_t)s->used + codes * (LONGEST_CODE + 1) + 2;
    if (need > INT32_MAX) return cpl_fail(s->error, CPL_E_INPUT, "the prompt is too long");
    return cpl_grow((void **)&s->text, &s->room, (int)need, 1, s->error);
}

static void put(speller *s, uint32_t code) { s->used += (int)cpl_utf8_put(s->text + s->used, code); }

static bool spell(speller *s, const char *text) {
    token_text clean;
    token_piece piece;
    size_t at = 0;
    if (!cpl_token_text(&clean, text, s->error)) return false;
    bool done = make_room(s, clean.count), any = false;
    for (; done && cpl_token_piece(&clean, &at, &piece); any = true) {
        if (!any) put(s, CPL_SPELLING_EDGE);
        for (size_t i = 0; i < piece.count; i++) put(s, piece.code[i]);
        put(s, CPL_SPELLING_EDGE);
    }
    if (s->text) s->text[s->used] = '\0';
    free(clean.code);
    return done;
}

char *cpl_spelling(const char *name, cpl_error *error) {
    speller s = {.error = error};
    if (spell(&s, name)) return s.text;
    free(s.text);
    return NULL;
}

char *cpl_prompt_spelling(const char *text, cpl_error *error) {
    speller s = {.error = error};
    cpl_prompt_part *parts = NULL;
    int count = 0;
    bool done = cpl_prompt_parse(text, &parts, &count, error);
    for (int i = 0; done && i < count; i++) done = spell(&s, parts[i].text);
    cpl_prompt_parts_free(parts, count);
    if (done) return s.text;
    free(s.text);
    return NULL;
}

bool cpl_spells(const char *text, const char *name) { return *name && strstr(text, name); }
