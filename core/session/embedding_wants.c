/* embedding_wants.c: looks for the names of all embedding files in a layout's texts, with every edit and so without a model.
 * Reads headers, and those only when a file is new. */
#include "embedding_wants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../layout/loras.h"
#include "../memory/alloc.h"
#include "../memory/unicode.h"
#include "../model/asset_index.h"
#include "../model/spelling.h"

#define PREFIX                                                                                                         \
    "\x1f"                                                                                                             \
    "embedding"                                                                                                        \
    "\x1f"                                                                                                             \
    ":"                                                                                                                \
    "\x1f" /* as cpl_spelling writes ComfyUI's "embedding:" */

struct cpl_embedding_index {
    cpl_asset_index *assets;
    char **spelling; /* owned: of each file's name */
    int count;
    unsigned searches; /* of the assets when the spellings were made */
};

static void forget(cpl_embedding_index *index) {
    for (int i = 0; i < index->count; i++) free(index->spelling[i]);
    free(index->spelling);
    index->spelling = NULL;
    index->count = 0;
    index->searches = 0;
}

cpl_embedding_index *cpl_embedding_index_new(const char *folder, cpl_error *error) {
    cpl_embedding_index *index = cpl_alloc(1, sizeof *index, error);
    if (!index) return NULL;
    index->assets = cpl_asset_index_new(&cpl_embedding_assets, folder, error);
    if (index->assets) return index;
    free(index);
    return NULL;
}

void cpl_embedding_index_free(cpl_embedding_index *index) {
    if (!index) return;
    forget(index);
    cpl_asset_index_free(index->assets);
    free(index);
}

static bool refresh(cpl_embedding_index *index, const char *model_path, cpl_error *error) {
    if (!cpl_asset_index_refresh(index->assets, model_path, error)) return false;
    if (index->searches == cpl_asset_index_searches(index->assets)) return true;
    forget(index);
    int count = cpl_asset_index_count(index->assets);
    index->spelling = cpl_alloc((size_t)count + 1, sizeof *index->spelling, error);
    if (!index->spelling) return false;
    for (; index->count < count; index->count++) {
        char *name = cpl_asset_index_name(index->assets, index->count, error);
        index->spelling[index->count] = name ? cpl_spelling(name, error) : NULL;
        free(name);
        if (!index->spelling[index->count]) {
            forget(index);
            return false;
        }
    }
    index->searches = cpl_asset_index_searches(index->assets);
    return true;
}

/* ---- The layout's texts ---- */

typedef struct text {
    char *spelling; /* owned */
    int row;
    char place[64];
} text;

typedef struct texts {
    text *list; /* owned */
    int count, room;
} texts;

static void clear_texts(texts *t) {
    for (int i = 0; i < t->count; i++) free(t->list[i].spelling);
    free(t->list);
}

static bool add_text(texts *t, const char *typed, int row, const char *place, cpl_error *error) {
    if (!typed || !*typed) return true;
    if (!cpl_grow((void **)&t->list, &t->room, t->count + 1, sizeof *t->list, error)) return false;
    char *plain = cpl_without_loras(typed, error), *spelling = plain ? cpl_prompt_spelling(plain, error) : NULL;
    free(plain);
    if (!spelling) return false;
    text *to = &t->list[t->count++];
    *to = (text){.spelling = spelling, .row = row};
    snprintf(to->place, sizeof to->place, "%s", place);
    return true;
}

static bool add_rows(texts *t, const cpl_layout *layout, cpl_error *error) {
    char place[64];
    bool done = true;
    for (int i = 0; done && i < layout->region_count; i++) {
        snprintf(place, sizeof place, "regions[%d].prompt", i);
        done = add_text(t, layout->regions[i].prompt, i, place, error);
        snprintf(place, sizeof place, "regions[%d].negative", i);
        done = done && add_text(t, layout->regions[i].negative, i, place, error);
    }
    return done;
}

static bool add_texts(texts *t, const cpl_layout *layout, cpl_error *error) {
    return add_text(t, layout->prompt, -1, "prompt", error) && add_rows(t, layout, error) &&
           add_text(t, layout->background_prompt, -1, "background.prompt", error) &&
           add_text(t, layout->negative, -1, "negative", error);
}

static const text *who_names(const texts *t, const char *name) {
    for (int i = 0; i < t->count; i++)
        if (cpl_spells(t->list[i].spelling, name)) return &t->list[i];
    return NULL;
}

/* ---- Files ---- */

static bool is_listed(const cpl_embedding_want *wants, int count, const char *spelling) {
    for (int i = 0; i < count; i++)
        if (strcmp(wants[i].spelling, spelling) == 0) return true;
    return false;
}

static bool take(cpl_embedding_want *want, cpl_embedding_index *index, int file, const text *by, cpl_error *fault) {
    const char *path = cpl_asset_index_path(index->assets, file);
    cpl_error inner = {0};
    want->row = by->row;
    memcpy(want->place, by->place, sizeof want->place);
    want->name = cpl_asset_index_name(index->assets, file, &inner);
    want->path = cpl_strdup(path, &inner);
    want->spelling = cpl_strdup(index->spelling[file], &inner);
    if (want->name && want->path && want->spelling &&
        cpl_asset_index_identity(index->assets, path, &want->identity, &inner))
        return true;
    if (inner.code != CPL_E_MEMORY)
        return cpl_fail_at(fault, by->row, by->place, "%s: \"%.*s\": %s", by->place, (int)cpl_utf8_fit(want->name, 60),
                           want->name, inner.message);
    *fault = inner;
    return false;
}

/* What stands behind "embedding:", as far as a name can reach. */
static void name_behind(const char *at, char *name, size_t size) {
    size_t used = 0;
    for (; *at && *at != ',' && used + 1 < size; at++)
        if (*at != CPL_SPELLING_EDGE)
            name[used++] = *at;
        else if (at[1] == CPL_SPELLING_EDGE)
            break;
    name[used] = '\0';
}

static bool is_known(const cpl_embedding_index *index, const char *behind) {
    for (int i = 0; i < index->count; i++) {
        const char *name = index->spelling[i];
        if (*name && strncmp(behind, name, strlen(name)) == 0) return true;
    }
    return false;
}

/* Who writes "embedding:" means one. */
static bool check_prefixed(const texts *t, cpl_embedding_index *index, const char *model_path, cpl_error *fault) {
    for (int i = 0; i < t->count; i++)
        for (const char *at = t->list[i].spelling; (at = strstr(at, PREFIX)); at++) {
            const char *behind = at + sizeof PREFIX - 2; /* with the edge before the name */
            char name[128];
            cpl_error inner = {0};
            if (is_known(index, behind)) continue;
            name_behind(behind + 1, name, sizeof name);
            if (cpl_asset_index_find(index->assets, name, model_path, &inner))
                cpl_fail(&inner, CPL_E_INPUT, "the embedding \"%s\" is named without its folder in texts", name);
            cpl_fail_at(fault, t->list[i].row, t->list[i].place, "%s: %s", t->list[i].place, inner.message);
            return false;
        }
    return true;
}

bool cpl_embedding_wants_find(cpl_embedding_want **wants, int *count, const cpl_layout *layout,
                              cpl_embedding_index *index, const char *model_path, cpl_error *fault) {
    texts t = {0};
    bool done = refresh(index, model_path, fault) && add_texts(&t, layout, fault) &&
                check_prefixed(&t, index, model_path, fault);
    int room = 0;
    *wants = NULL;
    *count = 0;
    for (int i = 0; done && i < index->count; i++) {
        const text *by = who_names(&t, index->spelling[i]);
        if (!by || is_listed(*wants, *count, index->spelling[i])) continue;
        done = cpl_grow((void **)wants, &room, *count + 1, sizeof **wants, fault);
        if (!done) break;
        cpl_embedding_want *want = &(*wants)[(*count)++];
        *want = (cpl_embedding_want){0};
        done = take(want, index, i, by, fault);
    }
    clear_texts(&t);
    if (done) return true;
    cpl_embedding_wants_free(*wants, *count);
    *wants = NULL;
    *count = 0;
    return false;
}

bool cpl_layout_check_embeddings(const cpl_layout *layout, const char *embedding_dir, const cpl_model_info *model,
                                 cpl_error *error) {
    cpl_embedding_want *wants = NULL;
    int count = 0;
    cpl_error local = {0};
    if (!error) error = &local;
    cpl_embedding_index *index = cpl_embedding_index_new(embedding_dir, error);
    cpl_embeddings *embeddings = NULL;
    if (index && cpl_embedding_wants_find(&wants, &count, layout, index, model->path, error))
        embeddings = cpl_embeddings_new(wants, count, NULL, model, false, error);
    bool done = embeddings != NULL;
    cpl_embeddings_free(embeddings);
    cpl_embedding_wants_free(wants, count);
    cpl_embedding_index_free(index);
    return done;
}
