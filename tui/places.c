/* places.c: reads and writes the file of places: JSON, at most PLACES_MOST entries, replaced as a whole. */
#include "places.h"

#include "folders.h"
#include "json_out.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MOST_BYTES = 1 << 20, WHOLE = 10000 };

static const struct {
    const char *name;
    size_t at;
    int low, high, otherwise;
} fields[] = {
    {"row", offsetof(place, row), 0, 255, 0},
    {"cell", offsetof(place, cell), 0, 31, 5},
    {"setting", offsetof(place, setting), 0, 31, 0},
    {"pane", offsetof(place, pane), 0, 2, 0},
    {"view", offsetof(place, view), 0, 2, 0},
    {"step", offsetof(place, step), 8, 64, 16},
    {"latent", offsetof(place, latent), 0, 1, 0},
    {"zoom", offsetof(place, zoom), 0, 31, 0},
    {"zoom_x", offsetof(place, zoom_x), 0, WHOLE, WHOLE / 2},
    {"zoom_y", offsetof(place, zoom_y), 0, WHOLE, WHOLE / 2},
    {"brush_x", offsetof(place, brush_x), 0, WHOLE, 0},
    {"brush_y", offsetof(place, brush_y), 0, WHOLE, 0},
    {"brush", offsetof(place, brush), 1, 16, 1},
    {"erase", offsetof(place, erase), 0, 1, 0},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static int *value_of(place *p, int i) { return (int *)(void *)((char *)p + fields[i].at); }

static bool within(int i, double value) { return value >= fields[i].low && value <= fields[i].high; }

/* ---- Reading ---- */

static char *read_text(const char *path) {
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(MOST_BYTES + 1) : NULL;
    size_t size = text ? fread(text, 1, MOST_BYTES + 1, file) : 0;
    bool fine = text && !ferror(file) && size <= MOST_BYTES;
    if (file) fclose(file);
    if (!fine) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

/* A number that is none of ours becomes what a fresh editor has. */
static bool read_place(const cJSON *from, place *to) {
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(from, "path"));
    const cJSON *when = cJSON_GetObjectItemCaseSensitive(from, "when");
    *to = (place){.path = path && path[0] == '/' ? strdup(path) : NULL};
    if (cJSON_IsNumber(when) && when->valuedouble >= 0 && when->valuedouble < 1e15)
        to->when = (int64_t)when->valuedouble;
    for (int i = 0; i < FIELDS; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(from, fields[i].name);
        bool good = cJSON_IsNumber(value) && within(i, value->valuedouble);
        *value_of(to, i) = good ? (int)value->valuedouble : fields[i].otherwise;
    }
    return to->path != NULL;
}

static places_found read_root(const cJSON *root, places *p) {
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(root, "places");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "list");
    if (cJSON_IsNumber(version) && version->valuedouble > VERSION) return PLACES_NEWER;
    if (!cJSON_IsNumber(version) || !cJSON_IsArray(list)) return PLACES_BROKEN;
    p->list = calloc(PLACES_MOST, sizeof *p->list);
    const cJSON *item = p->list ? list->child : NULL;
    for (; item && p->count < PLACES_MOST; item = item->next)
        if (read_place(item, &p->list[p->count])) p->count++;
    return PLACES_READ;
}

places_found places_read(places *p) {
    *p = (places){0};
    char *path = folders_state("places.json");
    errno = 0;
    char *text = path ? read_text(path) : NULL;
    bool missing = !path || (!text && errno == ENOENT);
    cJSON *root = text ? cJSON_Parse(text) : NULL;
    places_found found = missing ? PLACES_NONE : root ? read_root(root, p) : PLACES_BROKEN;
    cJSON_Delete(root);
    free(text);
    free(path);
    return found;
}

void places_clear(places *p) {
    for (int i = 0; i < p->count; i++) free(p->list[i].path);
    free(p->list);
    *p = (places){0};
}

const place *places_find(const places *p, const char *path) {
    for (int i = 0; path && i < p->count; i++)
        if (!strcmp(p->list[i].path, path)) return &p->list[i];
    return NULL;
}

/* ---- Writing ---- */

static void print_place(FILE *out, const place *from, bool first) {
    place p = *from;
    fputs(first ? "\n{\"path\": " : ",\n{\"path\": ", out);
    json_text(out, p.path);
    fprintf(out, ", \"when\": %lld", (long long)p.when);
    for (int i = 0; i < FIELDS; i++)
        if (within(i, *value_of(&p, i))) fprintf(out, ", \"%s\": %d", fields[i].name, *value_of(&p, i));
    fputc('}', out);
}

/* `mine` may be NULL: then the path is only taken out. */
static bool write_without(const char *path, const place *mine) {
    places there;
    if (places_read(&there) == PLACES_NEWER) return false;
    char *file = folders_state("places.json"), *text = NULL;
    size_t size = 0;
    int count = 0;
    FILE *out = file ? open_memstream(&text, &size) : NULL;
    if (out) fprintf(out, "{\"places\": %d, \"list\": [", VERSION);
    if (out && mine) print_place(out, mine, !count++);
    for (int i = 0; out && i < there.count && count < PLACES_MOST; i++)
        if (strcmp(there.list[i].path, path) != 0) print_place(out, &there.list[i], !count++);
    if (out) fputs("\n]}\n", out);
    bool done = out && fclose(out) == 0 && size <= MOST_BYTES && folders_write(file, text);
    free(text);
    free(file);
    places_clear(&there);
    return done;
}

bool places_keep(const place *mine) { return write_without(mine->path, mine); }

bool places_forget(const char *path) { return write_without(path, NULL); }
