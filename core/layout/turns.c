/* turns.c: reads the brackets of prompt schedules. The original gives the text to a general parser; the same is found here in
 * one pass with a stack: a bracket is one of the syntax if all that stands in it is, and else it is a letter, and so are those
 * around it. A bar that belongs to no bracket makes the whole text plain. */
#include "turns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"

enum { LETTER, EMPHASIS, SCHEDULED, ALTERNATE };

typedef struct bracket {
    size_t at, colon; /* of the bracket, of its last colon */
    int colons, bars;
} bracket;

typedef struct reader {
    const char *text;
    size_t length;
    char *kind;    /* owned, [length], of the bracket that opens there */
    size_t *close; /* owned, [length], where it is closed */
    double *when;  /* owned, [length], last step before the change, of a scheduled one */
    bool *ends;    /* owned, [steps + 1]: a text ends at this step */
    bracket *open; /* owned stack */
    int count, room;
    bool plain; /* the text does not follow the syntax */
    int steps, steps_before;
    cpl_error *error;
} reader;

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Brackets that are open cannot be ones of the syntax any more. */
static void give_up_open(reader *r) {
    for (int i = 0; i < r->count; i++) r->plain |= r->open[i].bars > 0;
    r->count = 0;
}

/* The number between a bracket's last colon and its end, as the last step before the change. */
static bool read_when(const reader *r, size_t from, size_t to, double *last) {
    char digits[64];
    double value;
    while (from < to && is_blank(r->text[from])) from++;
    while (to > from && is_blank(r->text[to - 1])) to--;
    if (to == from || to - from >= sizeof digits) return false;
    memcpy(digits, r->text + from, to - from);
    digits[to - from] = '\0';
    /* words such as "inf" are no numbers here */
    if (strspn(digits, "+-.0123456789eE") != to - from || !cpl_number_parse(digits, &value)) return false;
    bool share = strchr(digits, '.') != NULL;
    value = share ? (value - (r->steps_before > 0 ? 1 : 0)) * r->steps : value - r->steps_before;
    *last = fmin(r->steps, trunc(value));
    return true;
}

static void mark_ends(reader *r, size_t at) {
    if (r->kind[at] == SCHEDULED && r->when[at] >= 1) r->ends[(int)r->when[at]] = true;
    for (int step = 1; r->kind[at] == ALTERNATE && step <= r->steps; step++) r->ends[step] = true;
}

/* A closing bracket at `at`. */
static void close_bracket(reader *r, size_t at) {
    char opening = r->text[at] == ')' ? '(' : '[';
    const bracket *b = r->count > 0 ? &r->open[r->count - 1] : NULL;
    int kind = LETTER;
    if (b && r->text[b->at] == opening) {
        if (opening == '(')
            kind = b->bars == 0 && b->colons <= 1 ? EMPHASIS : LETTER;
        else if (b->bars > 0)
            kind = b->colons == 0 ? ALTERNATE : LETTER;
        else if (b->colons == 0)
            kind = EMPHASIS;
        else if (b->colons <= 2 && read_when(r, b->colon + 1, at, &r->when[b->at]))
            kind = SCHEDULED;
    }
    if (kind == LETTER) {
        give_up_open(r);
        return;
    }
    r->kind[b->at] = (char)kind;
    r->close[b->at] = at;
    mark_ends(r, b->at);
    r->count--;
}

/* One character; false: no memory. */
static bool take(reader *r, size_t *at) {
    bracket *top = r->count > 0 ? &r->open[r->count - 1] : NULL;
    char c = r->text[*at];
    if (c == '\\') {
        /* what follows is a letter; a newline, and nothing, cannot follow */
        r->plain |= *at + 1 >= r->length || r->text[*at + 1] == '\n';
        ++*at;
    } else if (c == '(' || c == '[') {
        if (!cpl_grow((void **)&r->open, &r->room, r->count + 1, sizeof *r->open, r->error)) return false;
        r->open[r->count++] = (bracket){.at = *at};
    } else if (c == ')' || c == ']') {
        close_bracket(r, *at);
    } else if (c == '|') {
        if (top)
            top->bars++;
        else
            r->plain = true;
    } else if (c == ':' && top) {
        top->colons++;
        top->colon = *at;
    }
    ++*at;
    return true;
}

static bool scan(reader *r) {
    for (size_t at = 0; at < r->length && !r->plain;)
        if (!take(r, &at)) return false;
    give_up_open(r);
    return true;
}

/* The next separator of the bracket that opens at `open`, from `at` on, or its end. */
static size_t separator_at(const reader *r, size_t open, size_t at) {
    char separator = r->kind[open] == ALTERNATE ? '|' : ':';
    while (at < r->close[open] && r->text[at] != separator) {
        if (r->text[at] == '\\')
            at++;
        else if (r->kind[at] != LETTER)
            at = r->close[at];
        at++;
    }
    return at;
}

/* The part of a scheduled or alternating bracket that counts at a step: [*from, *to). */
static void find_part(const reader *r, size_t open, int step, size_t *from, size_t *to) {
    int parts = 1, wanted = 0;
    for (size_t at = separator_at(r, open, open + 1); at < r->close[open]; at = separator_at(r, open, at + 1)) parts++;
    /* The last part of a scheduled one is the time; one of two parts has nothing before it. */
    bool before = r->kind[open] == SCHEDULED && step <= r->when[open];
    if (r->kind[open] == ALTERNATE) wanted = (step - 1) % parts;
    if (r->kind[open] == SCHEDULED && parts == 3) wanted = before ? 0 : 1;
    *from = open + 1;
    for (int i = 0; i < wanted; i++) *from = separator_at(r, open, *from) + 1;
    *to = before && parts == 2 ? *from : separator_at(r, open, *from);
}

typedef struct frame {
    size_t end, resume;
} frame;

/* The text at a step. Brackets in brackets are as deep as the user likes, so the stack is not that of calls. */
static char *write_step(const reader *r, int step) {
    char *out = cpl_alloc(r->length + 1, 1, r->error);
    frame *stack = NULL;
    int depth = 0, room = 0;
    size_t used = 0, at = 0, end = r->length;
    while (out && (at < end || depth > 0)) {
        if (at >= end) {
            at = stack[--depth].resume;
            end = stack[depth].end;
        } else if (r->text[at] == '\\' && at + 1 < end) {
            out[used++] = r->text[at++];
            out[used++] = r->text[at++];
        } else if (r->kind[at] == SCHEDULED || r->kind[at] == ALTERNATE) {
            if (!cpl_grow((void **)&stack, &room, depth + 1, sizeof *stack, r->error)) {
                free(out);
                out = NULL;
                break;
            }
            stack[depth++] = (frame){end, r->close[at] + 1};
            find_part(r, at, step, &at, &end);
        } else {
            out[used++] = r->text[at++];
        }
    }
    free(stack);
    return out;
}

static bool add(cpl_turns *turns, int *room, int last, char *text, cpl_error *error) {
    if (!text || !cpl_grow((void **)&turns->list, room, turns->count + 1, sizeof *turns->list, error)) {
        free(text);
        return false;
    }
    turns->list[turns->count++] = (cpl_turn){last, text};
    return true;
}

static bool write_turns(const reader *r, cpl_turns *turns) {
    int room = 0;
    bool done = true;
    for (int step = 1; done && step <= r->steps; step++)
        if (r->ends[step]) done = add(turns, &room, step, write_step(r, step), r->error);
    return done;
}

static bool make_arrays(reader *r) {
    r->kind = cpl_alloc(r->length + 1, 1, r->error);
    r->close = cpl_alloc(r->length + 1, sizeof *r->close, r->error);
    r->when = cpl_alloc(r->length + 1, sizeof *r->when, r->error);
    r->ends = cpl_alloc((size_t)r->steps + 1, sizeof *r->ends, r->error);
    return r->kind && r->close && r->when && r->ends;
}

bool cpl_turns_keep(const char *text, int steps, cpl_turns *turns, cpl_error *error) {
    int room = 0;
    *turns = (cpl_turns){0};
    if (add(turns, &room, steps, cpl_strdup(text, error), error)) return true;
    cpl_turns_clear(turns);
    return false;
}

bool cpl_turns_read(const char *text, int steps, int steps_before, cpl_turns *turns, cpl_error *error) {
    reader r = {.text = text, .length = strlen(text), .steps = steps, .steps_before = steps_before, .error = error};
    *turns = (cpl_turns){0};
    bool done = make_arrays(&r) && scan(&r);
    if (done) r.ends[steps] = true;
    if (done) done = r.plain ? cpl_turns_keep(text, steps, turns, error) : write_turns(&r, turns);
    free(r.open);
    free(r.ends);
    free(r.when);
    free(r.close);
    free(r.kind);
    if (!done) cpl_turns_clear(turns);
    return done;
}

void cpl_turns_clear(cpl_turns *turns) {
    for (int i = 0; i < turns->count; i++) free(turns->list[i].text);
    free(turns->list);
    *turns = (cpl_turns){0};
}

int cpl_turns_at(const cpl_turns *turns, int call) {
    for (int i = 0; i < turns->count; i++)
        if (call <= turns->list[i].last) return i;
    return 0;
}
