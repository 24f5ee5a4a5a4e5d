/* print.c: layouts to JSON. Keys that were absent stay absent, unknown ones are written back, numbers read back
 * bit-equal; the shape of the text is stable, so that a diff of two saved layouts shows the edit and nothing else. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/file.h"
#include "../memory/number.h"
#include "builder.h"
#include "fields.h"

enum { LINE_WIDTH = 110 };

typedef struct printer {
    cpl_builder out;
    int line_start; /* where the current line begins in out.text */
} printer;

static void newline(printer *p, int indent) {
    cpl_builder_text(&p->out, "\n");
    p->line_start = p->out.length;
    for (int i = 0; i < indent; i++) cpl_builder_text(&p->out, " ");
}

/* Members of an object: at the top one a line, elsewhere as many as fit. `item` is "key": value, printed by itself. */
typedef struct members {
    printer *p;
    int count;
    int indent;
    bool each_line;
} members;

static void member(members *m, const char *key, cpl_builder *value) {
    char *text = cpl_builder_take(value);
    printer *p = m->p;
    if (!text) {
        p->out.failed = true;
        return;
    }
    size_t first = strcspn(text, "\n"); /* a value of several lines only begins on this one */
    size_t width = strlen(key) + 6 + first;
    bool wrap = m->count > 0 && (size_t)(p->out.length - p->line_start) + width > LINE_WIDTH;
    if (m->count > 0) cpl_builder_text(&p->out, m->each_line || wrap ? "," : ", ");
    if (m->each_line || wrap) newline(p, m->indent);
    cpl_builder_quoted(&p->out, key);
    cpl_builder_text(&p->out, ": ");
    cpl_builder_text(&p->out, text);
    m->count++;
    free(text);
}

static void put_json(cpl_builder *out, const cJSON *item) {
    const cJSON *child = item->child;
    if (cJSON_IsArray(item) || cJSON_IsObject(item)) {
        cpl_builder_text(out, cJSON_IsArray(item) ? "[" : "{");
        for (; child; child = child->next) {
            if (cJSON_IsObject(item)) {
                cpl_builder_quoted(out, child->string);
                cpl_builder_text(out, ": ");
            }
            put_json(out, child);
            if (child->next) cpl_builder_text(out, ", ");
        }
        cpl_builder_text(out, cJSON_IsArray(item) ? "]" : "}");
    } else if (cJSON_IsString(item)) {
        cpl_builder_quoted(out, item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        cpl_builder_number(out, item->valuedouble);
    } else {
        cpl_builder_text(out, cJSON_IsTrue(item) ? "true" : cJSON_IsFalse(item) ? "false" : "null");
    }
}

/* Fractions are shown as such: 1.0, not 1. */
static void put_fraction(cpl_builder *out, double value) {
    char text[CPL_NUMBER_SIZE];
    cpl_number_print(value, text);
    cpl_builder_text(out, text);
    if (!strpbrk(text, ".en")) cpl_builder_text(out, ".0");
}

static bool is_default(const cpl_field *f, const void *at) {
    static const double whole[4] = {0, 1, 0, 1};
    switch (f->kind) {
    case CPL_FIELD_INT:
    case CPL_FIELD_NAME:
        return *(const int *)at == (int)f->fallback;
    case CPL_FIELD_SEED:
        return *(const int64_t *)at == CPL_SEED_UNSET;
    case CPL_FIELD_NUMBER:
        return *(const double *)at == f->fallback || isnan(*(const double *)at);
    case CPL_FIELD_BOOL:
        return *(const bool *)at == (f->fallback != 0);
    case CPL_FIELD_CHOICE:
    case CPL_FIELD_TEXT:
        return !*(char *const *)at;
    case CPL_FIELD_RECT:
        for (int i = 0; i < 4; i++)
            if (((const double *)at)[i] != whole[i]) return false;
        return true;
    case CPL_FIELD_OBJECT:
        break;
    }
    return false;
}

static void put_value(cpl_builder *out, const cpl_field *f, const void *at) {
    const double *rect = at;
    switch (f->kind) {
    case CPL_FIELD_INT:
        cpl_builder_format(out, "%d", *(const int *)at);
        break;
    case CPL_FIELD_SEED:
        cpl_builder_format(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case CPL_FIELD_NUMBER:
        put_fraction(out, *(const double *)at);
        break;
    case CPL_FIELD_BOOL:
        cpl_builder_text(out, *(const bool *)at ? "true" : "false");
        break;
    case CPL_FIELD_NAME:
        cpl_builder_quoted(out, f->names[*(const int *)at]);
        break;
    case CPL_FIELD_CHOICE:
    case CPL_FIELD_TEXT:
        cpl_builder_quoted(out, *(char *const *)at);
        break;
    case CPL_FIELD_RECT:
        for (int i = 0; i < 4; i++) {
            cpl_builder_text(out, i ? ", " : "[");
            put_fraction(out, rect[i]);
        }
        cpl_builder_text(out, "]");
        break;
    case CPL_FIELD_OBJECT:
        break;
    }
}

static bool put_object(printer *p, const cpl_object *object, const void *base, int indent);

static void put_fields(members *m, const cpl_object *object, const void *base) {
    unsigned present = object->present == SIZE_MAX ? 0 : *(const unsigned *)((const char *)base + object->present);
    for (const cpl_field *f = object->fields; f->key; f++) {
        const void *at = (const char *)base + f->offset;
        printer value = {.out = {.error = m->p->out.error}};
        bool wanted = present & f->bit;
        if (f->kind == CPL_FIELD_OBJECT) {
            /* the key and ": {" stand before the first member */
            wanted |= put_object(&value, f->object, base, m->indent + (int)strlen(f->key) + 5);
        } else if (wanted || !is_default(f, at)) {
            wanted = true;
            put_value(&value.out, f, at);
        }
        if (wanted)
            member(m, f->key, &value.out);
        else
            free(value.out.text);
    }
}

static void put_extra(members *m, const cpl_object *object, const void *base) {
    const cJSON *extra = *(cJSON *const *)((const char *)base + object->extra);
    for (const cJSON *item = extra ? extra->child : NULL; item; item = item->next) {
        cpl_builder value = {.error = m->p->out.error};
        put_json(&value, item);
        member(m, item->string, &value);
    }
}

/* True if the object has any member. Its lines are indented so that members stand under each other. */
static bool put_object(printer *p, const cpl_object *object, const void *base, int indent) {
    members m = {.p = p, .indent = indent};
    p->line_start = p->out.length - indent + 1;
    cpl_builder_text(&p->out, "{");
    put_fields(&m, object, base);
    put_extra(&m, object, base);
    cpl_builder_text(&p->out, "}");
    return m.count > 0;
}

/* A list of objects, one a line. */
static void put_list(members *m, const char *key, const cpl_object *object, const void *list, size_t size, int count) {
    printer value = {.out = {.error = m->p->out.error}};
    cpl_builder_text(&value.out, "[");
    for (int i = 0; i < count; i++) {
        newline(&value, 4);
        put_object(&value, object, (const char *)list + (size_t)i * size, 5);
        if (i + 1 < count) cpl_builder_text(&value.out, ",");
    }
    if (count) newline(&value, 2);
    cpl_builder_text(&value.out, "]");
    member(m, key, &value.out);
}

char *cpl_layout_print(const cpl_layout *layout, cpl_error *error) {
    printer p = {.out = {.error = error}};
    printer value = {.out = {.error = error}};
    members m = {.p = &p, .indent = 2, .each_line = true};
    cpl_builder_text(&p.out, "{");
    cpl_builder_format(&value.out, "%d", CPL_FORMAT_VERSION);
    member(&m, "couplet", &value.out);
    put_fields(&m, &cpl_layout_object, layout);
    if (layout->region_count || (layout->present & CPL_PRESENT_REGIONS))
        put_list(&m, "regions", &cpl_region_object, layout->regions, sizeof *layout->regions, layout->region_count);
    if (layout->lora_count || (layout->present & CPL_PRESENT_LORAS))
        put_list(&m, "loras", &cpl_lora_object, layout->loras, sizeof *layout->loras, layout->lora_count);
    if (put_object(&value, &cpl_sampling_object, &layout->sampling, 15)) member(&m, "sampling", &value.out);
    put_extra(&m, &cpl_layout_object, layout);
    cpl_builder_text(&p.out, "\n}\n");
    free(value.out.text);
    return cpl_builder_take(&p.out);
}

bool cpl_layout_save(const cpl_layout *layout, const char *path, cpl_error *error) {
    char *json = cpl_layout_print(layout, error);
    bool done = json && cpl_file_replace(path, json, strlen(json), error);
    free(json);
    return done;
}
