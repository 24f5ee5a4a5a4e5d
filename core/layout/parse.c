/* parse.c: JSON to a layout: syntax, types and the ranges of single values. What only a whole layout shows is check.c's;
 * reading files and masks is load.c's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/alloc.h"
#include "../memory/number.h"
#include "fields.h"
#include "infotext.h"
#include "json.h"

typedef struct reader {
    cpl_fault *fault;
    int row; /* of the region that is being read, else -1 */
} reader;

/* "%.40s": paths of unknown depth must leave room for the words in cpl_error.path. */
static void join(char path[64], const char *parent, const char *key) {
    snprintf(path, 64, "%.40s%s%.20s", parent, *parent ? "." : "", key);
}

static bool wrong_type(reader *r, const cJSON *item, const char *path, cpl_reason reason, const char *wanted) {
    char found[128];
    cpl_json_describe(item, found, sizeof found);
    return cpl_fault_set(r->fault, reason, r->row, path, "must be %s, not %s", wanted, found);
}

static bool out_of_memory(reader *r) {
    r->fault->reason = CPL_REASON_OTHER;
    return cpl_fail(&r->fault->error, CPL_E_MEMORY, "out of memory while reading a layout");
}

/* Integers are checked against their range here, before a large number is squeezed into an int. */
static bool read_whole(reader *r, const cpl_field *f, const cJSON *item, const char *path, double *value) {
    char low[CPL_NUMBER_SIZE], high[CPL_NUMBER_SIZE], wanted[96];
    cpl_number_print(f->low, low);
    cpl_number_print(f->high, high);
    snprintf(wanted, sizeof wanted, "a whole number from %s to %s", low, high);
    *value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (*value >= f->low && *value <= f->high && *value == floor(*value)) return true;
    return wrong_type(r, item, path, CPL_REASON_OTHER, wanted);
}

static bool read_name(reader *r, const cpl_field *f, const cJSON *item, const char *path, void *at) {
    int index;
    char known[CPL_NAMES_SIZE];
    cpl_names_list(f->names, known, sizeof known);
    if (!cJSON_IsString(item) || !cpl_name_find(f->names, item->valuestring, &index))
        return wrong_type(r, item, path, CPL_REASON_OTHER, known);
    if (f->kind == CPL_FIELD_NAME)
        *(int *)at = index;
    else if (!(*(char **)at = cpl_strdup(item->valuestring, NULL)))
        return out_of_memory(r);
    return true;
}

static bool read_rect(reader *r, const cJSON *item, const char *path, double *rect) {
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 4)
        return wrong_type(r, item, path, CPL_REASON_MALFORMED, "a list of four numbers [x1, x2, y1, y2] from 0 to 1");
    int i = 0;
    for (const cJSON *side = item->child; side; side = side->next, i++) {
        char place[96];
        snprintf(place, sizeof place, "%s[%d]", path, i);
        if (!cJSON_IsNumber(side)) return wrong_type(r, side, place, CPL_REASON_NOT_NUMERIC, "a number from 0 to 1");
        rect[i] = side->valuedouble;
    }
    return true;
}

static bool read_object(reader *r, const cpl_object *object, const cJSON *json, const char *path, void *base);

static bool read_field(reader *r, const cpl_field *f, const cJSON *item, const char *path, void *base) {
    void *at = (char *)base + f->offset;
    double whole;
    switch (f->kind) {
    case CPL_FIELD_INT:
        if (!read_whole(r, f, item, path, &whole)) return false;
        *(int *)at = (int)whole;
        return true;
    case CPL_FIELD_SEED:
        if (!read_whole(r, f, item, path, &whole)) return false;
        *(int64_t *)at = (int64_t)whole;
        return true;
    case CPL_FIELD_NUMBER:
        if (!cJSON_IsNumber(item)) return wrong_type(r, item, path, CPL_REASON_NOT_NUMERIC, "a number");
        *(double *)at = item->valuedouble;
        return true;
    case CPL_FIELD_BOOL:
        if (!cJSON_IsBool(item)) return wrong_type(r, item, path, CPL_REASON_OTHER, "true or false");
        *(bool *)at = cJSON_IsTrue(item);
        return true;
    case CPL_FIELD_NAME:
    case CPL_FIELD_CHOICE:
        return read_name(r, f, item, path, at);
    case CPL_FIELD_TEXT:
        if (!cJSON_IsString(item)) return wrong_type(r, item, path, CPL_REASON_OTHER, "a text in quotes");
        *(char **)at = cpl_strdup(item->valuestring, NULL);
        return *(char **)at || out_of_memory(r);
    case CPL_FIELD_RECT:
        return read_rect(r, item, path, at);
    case CPL_FIELD_OBJECT:
        return read_object(r, f->object, item, path, base);
    }
    return false;
}

static bool keep(reader *r, cJSON **extra, const cJSON *item) {
    cJSON *copy = cJSON_Duplicate(item, true);
    if (!*extra) *extra = cJSON_CreateObject();
    if (copy && *extra && cJSON_AddItemToObject(*extra, item->string, copy)) return true;
    cJSON_Delete(copy);
    return out_of_memory(r);
}

/* Keys that the layout's own reader takes care of. */
static bool is_structural(const cpl_object *object, const char *key) {
    if (object != &cpl_layout_object) return false;
    return strcmp(key, "couplet") == 0 || strcmp(key, "regions") == 0 || strcmp(key, "loras") == 0 ||
           strcmp(key, "sampling") == 0;
}

/* Types only, in the order of the table and not of the file, so that the same fault is named however keys are sorted. */
static bool read_object(reader *r, const cpl_object *object, const cJSON *json, const char *path, void *base) {
    if (!cJSON_IsObject(json)) return wrong_type(r, json, path, CPL_REASON_OTHER, "an object in braces");
    for (const cpl_field *f = object->fields; f->key; f++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, f->key);
        char place[64];
        join(place, path, f->key);
        if (!item) continue;
        if (!read_field(r, f, item, place, base)) return false;
        if (object->present != SIZE_MAX) *(unsigned *)((char *)base + object->present) |= f->bit;
    }
    for (const cJSON *item = json->child; item; item = item->next) {
        bool known = is_structural(object, item->string);
        for (const cpl_field *f = object->fields; f->key && !known; f++) known = strcmp(f->key, item->string) == 0;
        if (!known && !keep(r, (cJSON **)((char *)base + object->extra), item)) return false;
    }
    return true;
}

static bool stop_at_first(void *user, cpl_fault *fault) {
    reader *r = user;
    *r->fault = *fault;
    return false;
}

static bool read_checked(reader *r, const cpl_object *object, const cJSON *json, const char *path, void *base) {
    return read_object(r, object, json, path, base) && cpl_fields_check(object, base, r->row, path, stop_at_first, r);
}

static bool read_version(reader *r, const cJSON *item) {
    if (!item) return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < 1 || item->valuedouble != floor(item->valuedouble))
        return wrong_type(r, item, "couplet", CPL_REASON_OTHER, "the version of the file format, 1");
    if (item->valuedouble > CPL_FORMAT_VERSION)
        return cpl_fault_set(r->fault, CPL_REASON_OTHER, -1, "couplet",
                             "the file has version %.17g, this program knows version %d; use a newer couplet",
                             item->valuedouble, CPL_FORMAT_VERSION);
    return true;
}

static bool read_regions(reader *r, const cJSON *item, cpl_layout *layout) {
    if (!item) return true;
    if (!cJSON_IsArray(item)) return wrong_type(r, item, "regions", CPL_REASON_OTHER, "a list of regions");
    int count = cJSON_GetArraySize(item);
    if (count > CPL_MAX_REGIONS)
        return cpl_fault_set(r->fault, CPL_REASON_OTHER, -1, "regions", "has %d regions; at most %d are possible",
                             count, CPL_MAX_REGIONS);
    layout->present |= CPL_PRESENT_REGIONS;
    layout->regions = cpl_alloc((size_t)count, sizeof *layout->regions, NULL);
    if (!layout->regions) return out_of_memory(r);
    for (const cJSON *row = item->child; row; row = row->next) {
        char path[32];
        r->row = layout->region_count;
        snprintf(path, sizeof path, "regions[%d]", r->row);
        cpl_region *region = &layout->regions[layout->region_count++];
        cpl_fields_reset(&cpl_region_object, region);
        if (!read_checked(r, &cpl_region_object, row, path, region)) return false;
    }
    r->row = -1;
    return true;
}

static bool read_loras(reader *r, const cJSON *item, cpl_layout *layout) {
    if (!item) return true;
    if (!cJSON_IsArray(item)) return wrong_type(r, item, "loras", CPL_REASON_OTHER, "a list of LoRAs");
    int count = cJSON_GetArraySize(item);
    if (count > CPL_MAX_LORAS)
        return cpl_fault_set(r->fault, CPL_REASON_OTHER, -1, "loras", "has %d entries; at most %d are possible", count,
                             CPL_MAX_LORAS);
    layout->present |= CPL_PRESENT_LORAS;
    layout->loras = cpl_alloc((size_t)count, sizeof *layout->loras, NULL);
    if (!layout->loras) return out_of_memory(r);
    for (const cJSON *entry = item->child; entry; entry = entry->next) {
        char path[32];
        snprintf(path, sizeof path, "loras[%d]", layout->lora_count);
        cpl_lora *lora = &layout->loras[layout->lora_count++];
        cpl_fields_reset(&cpl_lora_object, lora);
        if (!read_checked(r, &cpl_lora_object, entry, path, lora)) return false;
    }
    return true;
}

static bool read_layout(reader *r, const cJSON *root, cpl_layout *layout) {
    const cJSON *sampling = cJSON_GetObjectItemCaseSensitive(root, "sampling");
    if (!cJSON_IsObject(root))
        return wrong_type(r, root, "", CPL_REASON_OTHER, "a layout, which is an object in braces");
    return read_version(r, cJSON_GetObjectItemCaseSensitive(root, "couplet")) &&
           read_checked(r, &cpl_layout_object, root, "", layout) &&
           read_regions(r, cJSON_GetObjectItemCaseSensitive(root, "regions"), layout) &&
           read_loras(r, cJSON_GetObjectItemCaseSensitive(root, "loras"), layout) &&
           (!sampling || read_checked(r, &cpl_sampling_object, sampling, "sampling", &layout->sampling));
}

/* Messages begin with the file; the place was put before the words by cpl_fault_set. */
static void put_name(const char *name, cpl_error *error) {
    cpl_error inner = *error;
    cpl_fail_at(error, inner.row, inner.path, "%s: %s", name, inner.message);
    error->code = inner.code;
}

cpl_layout *cpl_layout_parse_fault(const char *json, size_t size, const char *directory, const char *name,
                                   cpl_fault *fault) {
    *fault = (cpl_fault){.error.row = -1};
    reader r = {fault, -1};
    cJSON *root = cpl_json_parse(json, size, &fault->error);
    cpl_layout *layout = root ? cpl_layout_new(&fault->error) : NULL;
    bool done = layout && read_layout(&r, root, layout) &&
                (!directory || cpl_text_set(&layout->directory, directory, &fault->error)) &&
                cpl_layout_open_masks(layout, fault);
    cJSON_Delete(root);
    if (done) return layout;
    if (fault->reason == CPL_REASON_NONE) fault->reason = CPL_REASON_OTHER;
    if (name) put_name(name, &fault->error);
    cpl_layout_free(layout);
    return NULL;
}

cpl_layout *cpl_layout_parse(const char *json, const char *directory, const char *name, cpl_error *error) {
    if (cpl_infotext_is(json)) return cpl_infotext_read(json, directory, name, error);
    cpl_fault fault;
    cpl_layout *layout = cpl_layout_parse_fault(json, strlen(json), directory, name, &fault);
    if (!layout && error) *error = fault.error;
    return layout;
}
