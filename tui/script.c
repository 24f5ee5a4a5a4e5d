/* script.c: from the lines of a key script to steps. */
#include "script.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20 };

struct script {
    script_step *step; /* owned, with their texts */
    int count, room, at;
    script_state state;
};

typedef struct reader {
    script *s;
    const char *name, *at;
    int line;
    cpl_error *error;
} reader;

static bool refuse(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(const reader *r, const char *format, ...) {
    char why[300];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof why, format, list);
    va_end(list);
    if (!r->error) return false;
    *r->error = (cpl_error){.code = CPL_E_INPUT, .row = -1};
    snprintf(r->error->message, sizeof r->error->message, "%.150s: line %d: %s", r->name, r->line, why);
    return false;
}

static script_step *add(reader *r, script_kind kind) {
    script *s = r->s;
    if (s->count == s->room) {
        int room = s->room ? s->room * 2 : 64;
        script_step *more = realloc(s->step, sizeof *more * (size_t)room);
        if (!more) return refuse(r, "out of memory"), NULL;
        s->step = more;
        s->room = room;
    }
    s->step[s->count] = (script_step){.kind = kind};
    return &s->step[s->count++];
}

static bool add_key(reader *r, key_press press) {
    script_step *step = add(r, SCRIPT_KEY);
    if (step) step->press = press;
    return step != NULL;
}

/* ---- Text ---- */

/* 0: it is not UTF-8. */
static size_t code_point(const char *text, uint32_t *code) {
    int size = input_utf8_decode(text, strnlen(text, 4), code);
    return size > 0 ? (size_t)size : 0;
}

/* Any part of it may come to stand in the layout. */
static bool is_text(const reader *r, const char *text) {
    uint32_t code;
    size_t size = 1;
    for (; size && *text; text += size) size = code_point(text, &code);
    return size || refuse(r, "the text is not UTF-8");
}

/* From a quote to the next; \n, \t, \" and \\ stand for what they do everywhere. Caller frees. */
static char *quoted(reader *r) {
    const char *from = ++r->at;
    char *text = malloc(strcspn(from, "\n") + 1), *to = text;
    if (!text) return refuse(r, "out of memory"), NULL;
    while (*r->at && *r->at != '\n' && *r->at != '"') {
        char c = *r->at++;
        if (c == '\\' && *r->at && *r->at != '\n') {
            c = *r->at++;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        *to++ = c;
    }
    *to = '\0';
    if (*r->at != '"')
        refuse(r, "the text has no closing quote");
    else if (is_text(r, text))
        return r->at++, text;
    free(text);
    return NULL;
}

static bool read_text(reader *r) {
    char *text = quoted(r);
    uint32_t code;
    bool done = text != NULL;
    for (const char *c = text; done && *c;) {
        c += code_point(c, &code);
        done = add_key(r, (key_press){code == '\n' ? 13 : code, 0});
    }
    free(text);
    return done;
}

/* ---- Lines ---- */

static void skip_blanks(reader *r) { r->at += strspn(r->at, " \t\r"); }

static bool read_numbers(reader *r, int *to, int count, const char *usage) {
    for (int i = 0; i < count; i++) {
        char *end;
        skip_blanks(r);
        long value = strtol(r->at, &end, 10);
        if (end == r->at || value < 0 || value > 10000) return refuse(r, "it is \"%s\"", usage);
        to[i] = (int)value;
        r->at = end;
    }
    return true;
}

static bool read_mouse(reader *r, script_kind kind, int numbers, const char *usage) {
    script_step *step = add(r, kind);
    return step && read_numbers(r, step->at, numbers, usage);
}

static bool read_wheel(reader *r) {
    script_step *step = add(r, SCRIPT_WHEEL);
    skip_blanks(r);
    bool up = !strncmp(r->at, "up", 2), down = !strncmp(r->at, "down", 4);
    if (!step || (!up && !down)) return step && refuse(r, "it is \"wheel up\" or \"wheel down\"");
    step->at[0] = up ? -1 : 1;
    r->at += up ? 2 : 4;
    return true;
}

static bool read_paste(reader *r) {
    skip_blanks(r);
    if (*r->at != '"') return refuse(r, "it is \"paste\" and a text in quotes");
    char *text = quoted(r);
    script_step *step = text ? add(r, SCRIPT_PASTE) : NULL;
    if (step)
        step->text = text;
    else
        free(text);
    return step != NULL;
}

static bool is(const char *word, size_t length, const char *name) {
    return strlen(name) == length && !memcmp(word, name, length);
}

static bool read_word(reader *r) {
    if (*r->at == '"') return read_text(r);
    const char *word = r->at;
    size_t length = strcspn(word, " \t\r\n");
    r->at += length;
    if (is(word, length, "click")) return read_mouse(r, SCRIPT_CLICK, 2, "click COLUMN ROW");
    if (is(word, length, "double")) return read_mouse(r, SCRIPT_DOUBLE, 2, "double COLUMN ROW");
    if (is(word, length, "drag")) return read_mouse(r, SCRIPT_DRAG, 4, "drag COLUMN ROW COLUMN ROW");
    if (is(word, length, "right-drag")) return read_mouse(r, SCRIPT_RIGHT_DRAG, 4, "right-drag COLUMN ROW COLUMN ROW");
    if (is(word, length, "wheel")) return read_wheel(r);
    if (is(word, length, "paste")) return read_paste(r);
    key_press press[2];
    int count = keys_parse(word, length, press);
    if (!count)
        return refuse(r, "no key is called %.*s; text stands in quotes", (int)(length < 40 ? length : 40), word);
    return add_key(r, press[0]) && (count < 2 || add_key(r, press[1]));
}

static bool read_line(reader *r) {
    skip_blanks(r);
    if (*r->at == '#') {
        r->at += strcspn(r->at, "\n");
    } else if (*r->at == ':' && r->at[1] > ' ') { /* else it is the key */
        size_t length = strcspn(r->at, "\n");
        while (length && (r->at[length - 1] == ' ' || r->at[length - 1] == '\r')) length--;
        script_step *step = add(r, SCRIPT_COMMAND);
        if (!step || !(step->text = strndup(r->at + 1, length - 1))) return refuse(r, "out of memory");
        if (!is_text(r, step->text)) return false;
        r->at += strcspn(r->at, "\n");
    }
    for (; *r->at && *r->at != '\n'; skip_blanks(r))
        if (!read_word(r)) return false;
    return true;
}

script *script_parse(const char *text, const char *name, cpl_error *error) {
    reader r = {.s = calloc(1, sizeof(script)), .name = name, .at = text, .line = 1, .error = error};
    if (!r.s) return refuse(&r, "out of memory"), NULL;
    while (*r.at) {
        if (!read_line(&r)) {
            script_free(r.s);
            return NULL;
        }
        if (*r.at == '\n') r.at++, r.line++;
    }
    return r.s;
}

script *script_open(const char *path, cpl_error *error) {
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(MOST_BYTES + 1) : NULL;
    size_t size = text ? fread(text, 1, MOST_BYTES + 1, file) : 0;
    script *s = NULL;
    if (!text || ferror(file) || size > MOST_BYTES) {
        *error = (cpl_error){.code = CPL_E_FILE, .row = -1};
        snprintf(error->message, sizeof error->message, "cannot read the key script %.200s: %s", path,
                 size > MOST_BYTES ? "it is larger than a megabyte" : strerror(errno));
    } else {
        text[size] = '\0';
        s = script_parse(text, path, error);
    }
    if (file) fclose(file);
    free(text);
    return s;
}

void script_free(script *s) {
    if (!s) return;
    for (int i = 0; i < s->count; i++) free(s->step[i].text);
    free(s->step);
    free(s);
}

const script_step *script_next(script *s) { return s->at < s->count ? &s->step[s->at++] : NULL; }
bool script_ended(const script *s) { return s->at >= s->count && s->state == SCRIPT_RUNNING; }
void script_wait(script *s, script_state until) { s->state = until; }
script_state script_waits(const script *s) { return s->state; }
