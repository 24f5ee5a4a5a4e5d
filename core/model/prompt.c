/* prompt.c: the emphasis syntax of a prompt line. Chunks are prompt_chunks.c's subject; `[from:to:when]`, `[a|b]` and AND
 * are literal text here: where they are more, layout/turns.c and layout/compose.c have made plain texts of them.
 *
 * It follows the original's scanner to the letter, in double precision and in its order of products, because weights that
 * are equal are joined and -1 means BREAK (golden/engine/FORMAT.md section 2). */
#include "prompt.h"

#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"
#include "../memory/unicode.h"

#define ROUND_FACTOR 1.1
#define SQUARE_FACTOR (1 / 1.1)

typedef struct bracket_stack {
    int *list; /* owned: the part that each open bracket stands before */
    int count, room;
} bracket_stack;

typedef struct parser {
    cpl_prompt_part *parts; /* owned until handed over */
    int count, room;
    bracket_stack round, square;
    cpl_error *error;
} parser;

static bool add(parser *p, const char *text, size_t length, double weight) {
    if (!cpl_grow((void **)&p->parts, &p->room, p->count + 1, sizeof *p->parts, p->error)) return false;
    char *copy = cpl_strndup(text, length, p->error);
    if (!copy) return false;
    p->parts[p->count++] = (cpl_prompt_part){copy, weight};
    return true;
}

static bool open_bracket(parser *p, bracket_stack *stack) {
    if (!cpl_grow((void **)&stack->list, &stack->room, stack->count + 1, sizeof *stack->list, p->error)) return false;
    stack->list[stack->count++] = p->count;
    return true;
}

/* Everything since the last open bracket of `stack`, which closes. */
static void multiply(parser *p, bracket_stack *stack, double factor) {
    for (int i = stack->list[--stack->count]; i < p->count; i++) p->parts[i].weight *= factor;
}

/* ": 1.3 )" at `at`: its length and value, or 0. What looks like one but is no number ("1.2.3") is plain text. */
static size_t weight_at(const char *at, double *value) {
    const char *p = at + 1, *ahead = p;
    char digits[64];
    size_t n = 0;
    while (cpl_unicode_blank(cpl_utf8_next(&ahead))) p = ahead;
    if (*p == '+' || *p == '-') digits[n++] = *p++;
    while ((*p == '.' || (*p >= '0' && *p <= '9')) && n + 1 < sizeof digits) digits[n++] = *p++;
    digits[n] = 0;
    ahead = p;
    while (cpl_unicode_blank(cpl_utf8_next(&ahead))) p = ahead;
    return *p == ')' && cpl_number_parse(digits, value) ? (size_t)(p - at) + 1 : 0;
}

static const char *skip_blanks(const char *at, const char *end) {
    const char *ahead = at;
    while (ahead < end && cpl_unicode_blank(cpl_utf8_next(&ahead))) at = ahead;
    return at;
}

/* Plain text: split at BREAK, with the blanks around it. */
static bool add_text(parser *p, const char *begin, size_t length) {
    const char *end = begin + length, *at = begin, *found;
    while ((found = cpl_find_word(begin, at, end, "BREAK"))) {
        if (!add(p, at, (size_t)(cpl_utf8_trim(at, found) - at), 1) || !add(p, "BREAK", 5, -1)) return false;
        at = skip_blanks(found + 5, end);
    }
    return add(p, at, (size_t)(end - at), 1);
}

/* One token of the syntax at `*text`, which moves behind it. */
static bool step(parser *p, const char **text) {
    static const char special[] = "\\()[]:";
    const char *at = *text;
    double weight;
    size_t length = strcspn(at, special);
    if (length) {
        *text += length;
        return add_text(p, at, length);
    }
    *text += 1;
    if (*at == '\\') {
        bool literal = at[1] && strchr("\\()[]", at[1]);
        *text += literal;
        return add(p, at + 1, literal, 1);
    }
    if (*at == '(') return open_bracket(p, &p->round);
    if (*at == '[') return open_bracket(p, &p->square);
    if (*at == ')' && p->round.count) return multiply(p, &p->round, ROUND_FACTOR), true;
    if (*at == ']' && p->square.count) return multiply(p, &p->square, SQUARE_FACTOR), true;
    if (*at != ':' || !(length = weight_at(at, &weight))) return add_text(p, at, 1);
    *text = at + length;
    if (!p->round.count) return add_text(p, at, length);
    return multiply(p, &p->round, weight), true;
}

/* Neighbours of equal weight become one part. */
static bool join(parser *p) {
    int to = 0;
    for (int i = 1; i < p->count; i++) {
        cpl_prompt_part *last = &p->parts[to], *next = &p->parts[i];
        if (last->weight != next->weight) {
            if (++to != i) {
                p->parts[to] = *next;
                next->text = NULL;
            }
            continue;
        }
        char *both = cpl_format(p->error, "%s%s", last->text, next->text);
        if (!both) return false;
        free(last->text);
        free(next->text);
        last->text = both;
        next->text = NULL;
    }
    p->count = to + 1;
    return true;
}

bool cpl_prompt_parse(const char *text, cpl_prompt_part **parts, int *count, cpl_error *error) {
    parser p = {.error = error};
    bool ok = true;
    while (ok && *text) ok = step(&p, &text);
    /* What was left open acts to the end, round brackets first; the position of each is its own, not a stack's. */
    for (int i = 0; ok && i < p.round.count; i++)
        for (int k = p.round.list[i]; k < p.count; k++) p.parts[k].weight *= ROUND_FACTOR;
    for (int i = 0; ok && i < p.square.count; i++)
        for (int k = p.square.list[i]; k < p.count; k++) p.parts[k].weight *= SQUARE_FACTOR;
    if (ok && !p.count) ok = add(&p, "", 0, 1);
    ok = ok && join(&p);
    free(p.round.list);
    free(p.square.list);
    if (!ok) {
        cpl_prompt_parts_free(p.parts, p.count);
        p = (parser){0};
    }
    *parts = p.parts;
    *count = p.count;
    return ok;
}

void cpl_prompt_parts_free(cpl_prompt_part *parts, int count) {
    for (int i = 0; i < count; i++) free(parts[i].text);
    free(parts);
}
