/* presets.c: reads and writes files of mappings. */
#include "presets.h"

#include "folders.h"
#include "json_out.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_BYTES = 4 << 20, MOST_NAME = 100 };

static bool refuse(cpl_error *error, cpl_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool refuse(cpl_error *error, cpl_code code, const char *format, ...) {
    va_list list;
    if (!error) return false;
    *error = (cpl_error){.code = code, .row = -1};
    va_start(list, format);
    vsnprintf(error->message, sizeof error->message, format, list);
    va_end(list);
    return false;
}

char *presets_folder(void) {
    char *folder = folders_config("presets");
    if (folder && folders_make(folder)) return folder;
    free(folder);
    return NULL;
}

char *presets_path(const char *name, cpl_error *error) {
    size_t length = strlen(name);
    if (!length || length > MOST_NAME || name[0] == '.' || strchr(name, '/'))
        return refuse(error, CPL_E_INPUT, "a preset's name has no \"/\", no dot at its beginning and at most %d bytes",
                      MOST_NAME),
               NULL;
    char *folder = presets_folder(), *path = NULL;
    if (!folder || asprintf(&path, "%s/%s.json", folder, name) < 0) path = NULL;
    if (!path) refuse(error, CPL_E_FILE, "there is no folder for presets: is HOME set?");
    free(folder);
    return path;
}

/* ---- Reading ---- */

static cJSON *read_json(const char *path, cpl_error *error) {
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(MOST_BYTES + 1) : NULL;
    size_t size = text ? fread(text, 1, MOST_BYTES + 1, file) : 0;
    bool fine = text && !ferror(file) && size <= MOST_BYTES;
    if (!fine)
        refuse(error, CPL_E_FILE, "%.300s: cannot be read: %s", path,
               file && !ferror(file) ? "it is too large" : strerror(errno));
    if (file) fclose(file);
    cJSON *root = NULL;
    if (fine) {
        text[size] = '\0';
        root = cJSON_Parse(text);
        if (!root) refuse(error, CPL_E_FILE, "%.300s: is not JSON", path);
    }
    free(text);
    return root;
}

/* A layout may leave out its version, and its regions too where one prompt is split into lines. */
static bool is_presets(const cJSON *root) {
    return cJSON_IsObject(root) && !cJSON_GetObjectItemCaseSensitive(root, "couplet") &&
           !cJSON_GetObjectItemCaseSensitive(root, "regions") &&
           !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(root, "prompt"));
}

bool presets_are_in(const char *path) {
    cJSON *root = read_json(path, NULL);
    bool are = is_presets(root);
    cJSON_Delete(root);
    return are;
}

static bool read_row(const cJSON *row, cpl_region *r) {
    double value[5] = {0, 1, 0, 1, 1};
    int count = cJSON_GetArraySize(row);
    if (!cJSON_IsArray(row) || count < 4) return false;
    for (int i = 0; i < 5 && i < count; i++) {
        const cJSON *item = cJSON_GetArrayItem(row, i);
        /* Some versions kept what was typed, as text. */
        char *end = NULL;
        value[i] = cJSON_IsString(item) ? strtod(item->valuestring, &end) : item->valuedouble;
        if ((!cJSON_IsNumber(item) && !cJSON_IsString(item)) || (end && (*end || end == item->valuestring)))
            return false;
    }
    /* As in a layout, and in Forge Couple, a row may be of no width: it has no effect. */
    bool fine = value[0] >= 0 && value[0] <= value[1] && value[1] <= 1 && value[2] >= 0 && value[2] <= value[3] &&
                value[3] <= 1 && value[4] >= 0 && value[4] <= CPL_MAX_WEIGHT;
    r->x1 = value[0], r->x2 = value[1], r->y1 = value[2], r->y2 = value[3], r->weight = value[4];
    return fine;
}

static cpl_layout *read_mapping(const char *path, const cJSON *mapping, cpl_error *error) {
    /* A table of the user interface keeps its rows in "data". */
    const cJSON *rows = cJSON_IsObject(mapping) ? cJSON_GetObjectItemCaseSensitive(mapping, "data") : mapping;
    cpl_layout *layout = cpl_layout_new(error);
    bool done = layout && cJSON_IsArray(rows) && cJSON_GetArraySize(rows) <= CPL_MAX_REGIONS;
    if (layout && !done) refuse(error, CPL_E_FILE, "%.200s: \"%.80s\" is no list of rows", path, mapping->string);
    const cJSON *row = done ? rows->child : NULL;
    for (int i = 0; done && row; row = row->next, i++) {
        cpl_region *region = cpl_layout_insert(layout, i, error);
        done = region && cpl_text_set(&region->prompt, "", error);
        if (done && !read_row(row, region))
            done = refuse(error, CPL_E_FILE, "%.200s: \"%.80s\": row %d is not [x1, x2, y1, y2, weight] within 0 and 1",
                          path, mapping->string, i + 1);
    }
    if (done) return layout;
    cpl_layout_free(layout);
    return NULL;
}

static bool make_room(presets *p, int count, cpl_error *error) {
    size_t room = (size_t)count + 1;
    p->name = calloc(room, sizeof *p->name);
    p->layout = calloc(room, sizeof(cpl_layout *));
    p->text = calloc(room, sizeof *p->text);
    p->why = calloc(room, sizeof *p->why);
    return (p->name && p->layout && p->text && p->why) || refuse(error, CPL_E_MEMORY, "out of memory");
}

/* Forge Couple looks at a mapping when it is used; one that is wrong is in nobody's way until then. */
static bool add_mapping(presets *p, const char *path, const cJSON *item, cpl_error *error) {
    int at = p->count++;
    p->layout[at] = read_mapping(path, item, &p->why[at]);
    p->name[at] = strdup(item->string);
    if (!p->layout[at]) p->text[at] = cJSON_PrintUnformatted(item);
    if (p->name[at] && (p->layout[at] || (p->text[at] && p->why[at].code != CPL_E_MEMORY))) return true;
    return refuse(error, CPL_E_MEMORY, "out of memory");
}

bool presets_read(const char *path, presets *p, cpl_error *error) {
    *p = (presets){0};
    cJSON *root = read_json(path, error);
    bool done = root != NULL;
    if (done && !is_presets(root))
        done = refuse(error, CPL_E_FILE, "%.300s: is no file of presets: an object of mappings by name", path);
    if (done) done = make_room(p, cJSON_GetArraySize(root), error);
    int usable = 0;
    for (const cJSON *item = done ? root->child : NULL; done && item; item = item->next) {
        done = add_mapping(p, path, item, error);
        usable += done && p->layout[p->count - 1];
    }
    cJSON_Delete(root);
    if (done && p->count && !usable) {
        if (error) *error = p->why[0];
        done = false;
    }
    if (!done) presets_clear(p);
    return done;
}

void presets_clear(presets *p) {
    for (int i = 0; i < p->count; i++) {
        free(p->name[i]);
        free(p->text[i]);
        cpl_layout_free(p->layout[i]);
    }
    free(p->why);
    free(p->text);
    free(p->name);
    free(p->layout);
    *p = (presets){0};
}

/* ---- Writing ---- */

static void print_name(FILE *out, const char *name, bool first) {
    fprintf(out, "%s\n  ", first ? "" : ",");
    json_text(out, name);
    fputs(": ", out);
}

static void print_mapping(FILE *out, const cpl_layout *layout) {
    fputs("[", out);
    for (int i = 0; i < layout->region_count; i++) {
        const cpl_region *r = &layout->regions[i];
        const double value[5] = {r->x1, r->x2, r->y1, r->y2, r->weight};
        fputs(i ? ", [" : "[", out);
        for (int k = 0; k < 5; k++) {
            if (k) fputs(", ", out);
            json_double(out, value[k]);
        }
        fputc(']', out);
    }
    fputc(']', out);
}

bool presets_write(const char *path, const char *name, const cpl_layout *layout, cpl_error *error) {
    presets there = {0};
    if (layout->mode != CPL_MODE_ADVANCED)
        return refuse(error, CPL_E_INPUT, "only advanced mode has a mapping: rectangles with weights");
    /* Of a file that cannot be read the other presets would be lost. */
    struct stat found;
    bool has_others = stat(path, &found) == 0 ? S_ISREG(found.st_mode) : errno != ENOENT;
    if (has_others && !presets_read(path, &there, error)) return false;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool first = true;
    if (out) fputc('{', out);
    for (int i = 0; out && i < there.count; i++) {
        if (!strcmp(there.name[i], name)) continue;
        print_name(out, there.name[i], first);
        if (there.layout[i])
            print_mapping(out, there.layout[i]);
        else
            fputs(there.text[i], out);
        first = false;
    }
    if (out) print_name(out, name, first), print_mapping(out, layout);
    if (out) fputs("\n}\n", out);
    bool done = out && fclose(out) == 0 && folders_write(path, text);
    if (!done) refuse(error, CPL_E_FILE, "%.300s: cannot be written: %s", path, strerror(errno));
    free(text);
    presets_clear(&there);
    return done;
}
